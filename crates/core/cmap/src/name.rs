//! What a key may be called.

/// Shortest name of a key, in bytes.
pub const MIN_LEN: usize = 3;
/// Longest name of a key, in bytes.
pub const MAX_LEN: usize = 255;

/// Whether a key may have this name [CMAP-1].
pub fn is_valid(name: &str) -> bool {
    (MIN_LEN..=MAX_LEN).contains(&name.len()) && name.bytes().all(is_valid_byte)
}

/// The name with every byte that is not allowed replaced by an underscore.
pub fn made_valid(name: &str) -> String {
    name.bytes().map(|b| if is_valid_byte(b) { char::from(b) } else { '_' }).collect()
}

fn is_valid_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_and_characters_are_limited() {
        for name in ["abc", "totem.interface.0.bindnetaddr", "a-b_c/d:e", &"x".repeat(255)] {
            assert!(is_valid(name), "{name}");
        }
        for name in ["", "ab", "a b", "a=b", "a+bc", "dünn", &"x".repeat(256)] {
            assert!(!is_valid(name), "{name}");
        }
        assert_eq!(made_valid("a b=c/d"), "a_b_c/d");
    }
}
