//! The id that the linker gave this executable, so that a recording names the
//! build that can replay it. The same bytes that `file` and debuggers show.

use std::fmt::Write;
use std::fs::File;
use std::io::Read;

use wire::{Malformed, Reader};

/// The notes stand near the start of an executable.
const LOOKED_AT: u64 = 64 << 10;
const NOTE_SEGMENT: u32 = 4;
const BUILD_ID: u32 = 3;

/// The id in hexadecimal; None where the linker was told not to make one.
pub(crate) fn build_id() -> Option<String> {
    let mut bytes = Vec::new();
    File::open("/proc/self/exe").ok()?.take(LOOKED_AT).read_to_end(&mut bytes).ok()?;
    let id = find(&bytes).ok().flatten()?;
    Some(id.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// Goes through the program headers of a 64-bit ELF file.
fn find(elf: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let mut header = Reader::new(elf);
    header.take(32, "an ELF header")?;
    let at = header.u64("the place of the program headers")?;
    header.take(14, "an ELF header")?;
    let (size, count) = (header.u16("their size")?, header.u16("their number")?);
    for index in 0..count {
        let start = at.saturating_add(u64::from(size) * u64::from(index));
        let mut entry = reader_at(elf, start)?;
        let kind = entry.u32("a type")?;
        entry.u32("flags")?;
        let offset = entry.u64("an offset")?;
        entry.take(16, "addresses")?;
        let len = entry.u64("a size")?;
        if kind == NOTE_SEGMENT
            && let Some(id) = in_notes(reader_at(elf, offset)?, len)
        {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

fn reader_at(bytes: &[u8], at: u64) -> Result<Reader<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    reader.take(usize::try_from(at).unwrap_or(usize::MAX), "an offset within the file")?;
    Ok(reader)
}

fn in_notes(mut notes: Reader<'_>, len: u64) -> Option<&[u8]> {
    let end = (notes.offset() as u64).saturating_add(len);
    while (notes.offset() as u64) < end {
        let name_len = notes.u32("a name's length").ok()? as usize;
        let len = notes.u32("a length").ok()? as usize;
        let kind = notes.u32("a type").ok()?;
        let name = notes.take(name_len.next_multiple_of(4), "a name").ok()?;
        let content = notes.take(len.next_multiple_of(4), "a note").ok()?;
        if kind == BUILD_ID && name.starts_with(b"GNU\0") {
            return content.get(..len);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_one_that_readelf_shows() {
        let exe = std::env::current_exe().unwrap();
        let output = std::process::Command::new("readelf").arg("-n").arg(exe).output();
        let text = output.expect("readelf is in binutils: apt-get install binutils").stdout;
        let text = String::from_utf8_lossy(&text).into_owned();
        let shown = text.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
        assert_eq!(build_id().as_deref(), shown);
    }

    #[test]
    fn damaged_files_have_none() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let mut rng = sansio::Rng::new(3);
        for _ in 0..2000 {
            let mut bytes = bytes[..4096].to_vec();
            for _ in 0..8 {
                let at = usize::try_from(rng.below(4096)).unwrap();
                bytes[at] = rng.next_u64().to_le_bytes()[0];
            }
            let _ = find(&bytes);
            let cut = usize::try_from(rng.below(4096)).unwrap();
            let _ = find(&bytes[..cut]);
        }
    }
}
