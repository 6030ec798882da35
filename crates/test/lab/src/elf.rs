//! The build id of an ELF program: the note `.note.gnu.build-id`, found by the
//! program headers, which no strip removes.

const PT_NOTE: u32 = 4;
const NT_GNU_BUILD_ID: u32 = 3;

/// Where the build id's bytes stand in the file; none when this is no 64-bit
/// little-endian ELF file or it has no such note.
pub fn build_id_range(file: &[u8]) -> Option<std::ops::Range<usize>> {
    if file.get(..6)? != [0x7f, b'E', b'L', b'F', 2, 1] {
        return None;
    }
    let table = usize::try_from(u64_at(file, 32)?).ok()?;
    let entry_size = usize::from(u16_at(file, 54)?);
    let entries = usize::from(u16_at(file, 56)?);
    (0..entries).find_map(|index| {
        let at = table.checked_add(index.checked_mul(entry_size)?)?;
        if u32_at(file, at)? != PT_NOTE {
            return None;
        }
        let start = usize::try_from(u64_at(file, at.checked_add(8)?)?).ok()?;
        let size = usize::try_from(u64_at(file, at.checked_add(32)?)?).ok()?;
        build_id_in(file, start, start.checked_add(size)?.min(file.len()))
    })
}

/// Walks the notes of one segment.
fn build_id_in(file: &[u8], mut at: usize, end: usize) -> Option<std::ops::Range<usize>> {
    while at < end {
        let name_size = usize::try_from(u32_at(file, at)?).ok()?;
        let size = usize::try_from(u32_at(file, at.checked_add(4)?)?).ok()?;
        let kind = u32_at(file, at.checked_add(8)?)?;
        let name = at.checked_add(12)?;
        let content = name.checked_add(round_up(name_size)?)?;
        let content_end = content.checked_add(size)?;
        let is_gnu = file.get(name..name.checked_add(name_size)?)? == b"GNU\0";
        if kind == NT_GNU_BUILD_ID && is_gnu && content_end <= end {
            return Some(content..content_end);
        }
        at = content.checked_add(round_up(size)?)?;
    }
    None
}

/// The build id in hexadecimal.
pub fn build_id(file: &[u8]) -> Option<String> {
    let bytes = file.get(build_id_range(file)?)?;
    Some(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// Notes are padded to words.
fn round_up(size: usize) -> Option<usize> {
    size.checked_next_multiple_of(4)
}

fn u16_at(file: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(file.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(file: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(file.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(file: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(file.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header, one PT_NOTE entry at 64 and at 120 two notes, the second a build id.
    fn sample() -> Vec<u8> {
        let mut file = vec![0; 120];
        file[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file[64] = 4;
        file[64 + 8] = 120;
        for (name, kind, content) in [("GNU\0", 5, &[9_u8; 5][..]), ("GNU\0", 3, &[0xab, 1, 2])] {
            for word in [name.len(), content.len(), kind] {
                file.extend(u32::try_from(word).unwrap().to_le_bytes());
            }
            file.extend(name.bytes());
            file.extend(content);
            file.resize(file.len().next_multiple_of(4), 0);
        }
        file[64 + 32] = u8::try_from(file.len() - 120).unwrap();
        file
    }

    #[test]
    fn the_note_is_found_behind_others() {
        assert_eq!(build_id(&sample()).as_deref(), Some("ab0102"));
    }

    #[test]
    fn no_cut_or_twisted_file_panics() {
        let whole = sample();
        for end in 0..whole.len() {
            let _ = build_id(&whole[..end]);
        }
        for at in 0..whole.len() {
            let mut twisted = whole.clone();
            twisted[at] = 0xff;
            let _ = build_id(&twisted);
        }
        assert_eq!(build_id(b"#!/bin/sh"), None);
    }
}
