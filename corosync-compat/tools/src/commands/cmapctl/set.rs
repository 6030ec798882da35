//! Setting a key from the words of a user.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use corosync_client::{Cmap, CsError, Kind, Value};

use super::render::KINDS;
use super::{about, fail};
use crate::numbers::{scan_float, scan_float32, scan_i64, scan_u64};
use crate::output::{Exit, system_text};

/// Sets `key` to `text`, which is to be of the type named `kind`.
pub(super) fn set(cmap: &mut Cmap, key: &[u8], kind: &[u8], text: &[u8]) -> Result<(), Exit> {
    let Some((name, kind)) = KINDS.iter().find(|(name, _)| name.as_bytes() == kind) else {
        return Err(fail([b"Unknown type ", kind, b"\n"].concat()));
    };
    let value = match kind {
        Kind::Binary => read_binary(text)?,
        _ => parse(*kind, name, text)?,
    };
    // The reference's library takes no binary value without bytes.
    let result = match &value {
        Value::Binary(bytes) if bytes.is_empty() => Err(CsError::INVALID_PARAM),
        _ => cmap.set(key, &value),
    };
    result.map_err(|e| fail(about("Failed to set key ", key, e)))
}

fn parse(kind: Kind, name: &str, text: &[u8]) -> Result<Value, Exit> {
    let not_one = |what: &str| fail([text, b" is not valid ", what.as_bytes(), b"\n"].concat());
    let no_value = || not_one(&format!("{name} type value"));
    let out_of_range = |_| not_one(&format!("{name} integer"));
    let signed = || scan_i64(text).ok_or_else(no_value);
    let unsigned = || scan_u64(text).ok_or_else(no_value);
    Ok(match kind {
        Kind::I8 => Value::I8(signed()?.try_into().map_err(out_of_range)?),
        Kind::I16 => Value::I16(signed()?.try_into().map_err(out_of_range)?),
        Kind::I32 => Value::I32(signed()?.try_into().map_err(out_of_range)?),
        Kind::I64 => Value::I64(signed()?),
        Kind::U8 => Value::U8(unsigned()?.try_into().map_err(out_of_range)?),
        Kind::U16 => Value::U16(unsigned()?.try_into().map_err(out_of_range)?),
        Kind::U32 => Value::U32(unsigned()?.try_into().map_err(out_of_range)?),
        Kind::U64 => Value::U64(unsigned()?),
        Kind::F32 => Value::F32(scan_float32(text).ok_or_else(no_value)?),
        Kind::F64 => Value::F64(scan_float(text).ok_or_else(no_value)?),
        Kind::Text | Kind::Binary => Value::Text(text.into()),
    })
}

/// The bytes of a file, or of standard input for `-`. What cannot be read is
/// as if it were not there, as it is for the reference.
fn read_binary(name: &[u8]) -> Result<Value, Exit> {
    let mut bytes = Vec::new();
    let _ = if name == b"-" {
        io::stdin().read_to_end(&mut bytes)
    } else {
        let mut file = File::open(Path::new(std::ffi::OsStr::from_bytes(name)))
            .map_err(|e| fail(format!("Can't open input file: {}\n", system_text(&e))))?;
        file.read_to_end(&mut bytes)
    };
    Ok(Value::Binary(bytes))
}
