//! The key that datagrams are protected with.

use std::fmt;

use cmap::Value;

use crate::schema::Document;
use crate::{Kind, Refused};

/// Shortest key, in bytes.
pub const MIN_LEN: usize = 128;
/// Longest key, in bytes; a longer file is read up to here.
pub const MAX_LEN: usize = 4096;
/// The file that holds the key unless another is named.
pub const DEFAULT_FILE: &str = "/etc/corosync/authkey";

/// Where the key is.
#[derive(Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In this file.
    File(String),
    /// In the configuration itself.
    Inline(Vec<u8>),
}

/// Says where, never what.
impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) => write!(f, "File({name:?})"),
            Self::Inline(key) => write!(f, "Inline({} bytes)", key.len()),
        }
    }
}

impl KeySource {
    /// `keyfile`, else `key`, else the default file.
    pub(crate) fn of(document: &Document) -> Result<Self, Refused> {
        let keys = &document.keys;
        if let Some(file) = keys.text("totem.keyfile") {
            return Ok(Self::File(file.to_owned()));
        }
        let Some(value) = keys.value("totem.key") else {
            return Ok(Self::File(DEFAULT_FILE.to_owned()));
        };
        let refuse = |reason: &str| Err(document.refuse(Kind::Plain, "totem.key", reason));
        // The reference counts the NUL at the end of the text.
        match value {
            Value::Text(text) if text.len() + 1 > MAX_LEN => refuse("key is too long"),
            Value::Text(text) if text.len() + 1 < MIN_LEN => refuse("key is too short"),
            Value::Text(_) => {
                let key = value.to_bytes();
                match check_variety(&key[..key.len() - 1]) {
                    Ok(()) => Ok(Self::Inline(key)),
                    Err(reason) => refuse(&reason),
                }
            }
            _ => refuse("can't load private key"),
        }
    }
}

/// The key in what was read from a file, or why it is none.
pub fn from_file<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a [u8], String> {
    let key = &bytes[..bytes.len().min(MAX_LEN)];
    if key.len() < MIN_LEN {
        let (got, least) = (key.len() * 8, MIN_LEN * 8);
        return Err(format!("Could only read {got} bits of minimum {least} bits from {file}."));
    }
    check_variety(key).map_err(|reason| format!("{file}: {reason}"))?;
    Ok(key)
}

/// A key that is one byte over and over is a file that nobody filled.
fn check_variety(key: &[u8]) -> Result<(), String> {
    let first = key.first();
    if key.iter().all(|byte| Some(byte) == first) {
        return Err("the key is one byte repeated".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_empty_looking_keys_are_refused() {
        let good: Vec<u8> = (0..=255).cycle().take(MAX_LEN + 10).collect();
        assert_eq!(from_file("f", &good[..128]).map(<[u8]>::len), Ok(128));
        assert_eq!(from_file("f", &good).map(<[u8]>::len), Ok(MAX_LEN));
        let short = "Could only read 1016 bits of minimum 1024 bits from f.";
        assert_eq!(from_file("f", &good[..127]), Err(short.to_owned()));
        assert_eq!(from_file("f", &[0; 256]), Err("f: the key is one byte repeated".to_owned()));
    }
}
