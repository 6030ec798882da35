//! The GNU build id of an executable, by which the lab knows which build runs.

use crate::run::Failure;

/// The type of the program header that holds notes.
const PT_NOTE: u32 = 4;

/// The type of the note that holds the build id.
const NT_GNU_BUILD_ID: u32 = 3;

/// The build id of a 64-bit little-endian ELF file, as hexadecimal digits.
///
/// # Errors
/// When the bytes are no such file, or it has no build id.
pub(super) fn build_id(bytes: &[u8]) -> Result<String, Failure> {
    if bytes.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(Failure::new("no 64-bit little-endian ELF file"));
    }
    find_build_id(bytes).ok_or_else(|| Failure::new("no GNU build id; link with -Wl,--build-id"))
}

fn find_build_id(bytes: &[u8]) -> Option<String> {
    let table = usize::try_from(number(bytes, 32, 8)?).ok()?;
    let size = usize::try_from(number(bytes, 54, 2)?).ok()?;
    let count = usize::try_from(number(bytes, 56, 2)?).ok()?;
    (0..count).find_map(|index| {
        let header = bytes.get(table.checked_add(index.checked_mul(size)?)?..)?;
        let offset = usize::try_from(number(header, 8, 8)?).ok()?;
        let len = usize::try_from(number(header, 32, 8)?).ok()?;
        let is_note = number(header, 0, 4)? == u64::from(PT_NOTE);
        is_note.then(|| bytes.get(offset..offset.checked_add(len)?)).flatten().and_then(in_notes)
    })
}

/// Looks through notes: lengths of name and content, type, both padded to 4.
fn in_notes(mut notes: &[u8]) -> Option<String> {
    while notes.len() >= 12 {
        let name_len = usize::try_from(number(notes, 0, 4)?).ok()?;
        let content_len = usize::try_from(number(notes, 4, 4)?).ok()?;
        let kind = number(notes, 8, 4)?;
        let content_at = 12 + name_len.checked_next_multiple_of(4)?;
        let content = notes.get(content_at..content_at.checked_add(content_len)?)?;
        if kind == u64::from(NT_GNU_BUILD_ID) && notes.get(12..16)? == b"GNU\0" {
            return Some(content.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        notes = notes.get(content_at + content_len.checked_next_multiple_of(4)?..)?;
    }
    None
}

/// A little-endian number of up to eight bytes.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let raw = bytes.get(at..at.checked_add(len)?)?;
    Some(raw.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The smallest executable that has notes: one header, another note, the id.
    pub(in crate::dist) fn planted(id: &[u8]) -> Vec<u8> {
        let mut notes = Vec::new();
        for (kind, content) in [(1u32, &[1u8, 2, 3][..]), (NT_GNU_BUILD_ID, id)] {
            notes.extend(4u32.to_le_bytes());
            notes.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
            notes.extend(kind.to_le_bytes());
            notes.extend(b"GNU\0");
            notes.extend(content);
            notes.resize(notes.len().next_multiple_of(4), 0);
        }
        let mut bytes = b"\x7fELF\x02\x01".to_vec();
        bytes.resize(64, 0);
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes.extend(PT_NOTE.to_le_bytes());
        bytes.resize(64 + 56, 0);
        bytes[64 + 8] = 120;
        bytes[64 + 32] = u8::try_from(notes.len()).unwrap();
        bytes.extend(notes);
        bytes
    }

    #[test]
    fn the_id_is_read_behind_other_notes() {
        assert_eq!(build_id(&planted(&[0xab, 0x01])).unwrap(), "ab01");
    }

    #[test]
    fn no_prefix_of_a_file_panics() {
        let whole = planted(&[7; 20]);
        for len in 0..whole.len() - 1 {
            assert!(build_id(&whole[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn wild_offsets_and_lengths_are_an_error() {
        for at in [32, 64 + 8, 64 + 32, 120, 124] {
            let mut bytes = planted(&[7; 20]);
            bytes[at..at + 4].fill(0xff);
            assert!(build_id(&bytes).is_err(), "{at}");
        }
    }
}
