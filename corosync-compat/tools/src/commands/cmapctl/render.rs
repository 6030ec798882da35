//! A key with its value as a line.

use corosync_client::{Kind, Value};

use crate::numbers::fixed;
use crate::output::escape;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    /// With the bytes of binary values.
    pub(super) binary: bool,
    /// The value alone.
    pub(super) quiet: bool,
}

/// `key (type) = value`, with its end.
pub(super) fn line(style: Style, key: &[u8], value: &Value) -> Vec<u8> {
    let mut line = Vec::new();
    if !style.quiet {
        line.extend_from_slice(&[key, b" ("].concat());
    }
    if let Value::Binary(bytes) = value {
        // Also in quiet mode: who asks for values gets this.
        line.extend_from_slice(b"bin)");
        if style.binary {
            line.extend_from_slice(b" = ");
            escape(bytes, &mut line);
        }
    } else {
        if !style.quiet {
            line.extend_from_slice(format!("{}) = ", name(value.kind())).as_bytes());
        }
        line.extend_from_slice(&text(value));
    }
    line.push(b'\n');
    line
}

/// All types with the names that users give them.
pub(super) const KINDS: [(&str, Kind); 12] = [
    ("i8", Kind::I8),
    ("u8", Kind::U8),
    ("i16", Kind::I16),
    ("u16", Kind::U16),
    ("i32", Kind::I32),
    ("u32", Kind::U32),
    ("i64", Kind::I64),
    ("u64", Kind::U64),
    ("flt", Kind::F32),
    ("dbl", Kind::F64),
    ("str", Kind::Text),
    ("bin", Kind::Binary),
];

fn name(kind: Kind) -> &'static str {
    KINDS.iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| name)
}

fn text(value: &Value) -> Vec<u8> {
    match value {
        Value::I8(v) => v.to_string().into(),
        Value::U8(v) => v.to_string().into(),
        Value::I16(v) => v.to_string().into(),
        Value::U16(v) => v.to_string().into(),
        Value::I32(v) => v.to_string().into(),
        Value::U32(v) => v.to_string().into(),
        Value::I64(v) => v.to_string().into(),
        Value::U64(v) => v.to_string().into(),
        Value::F32(v) => fixed(f64::from(*v)).into(),
        Value::F64(v) => fixed(*v).into(),
        Value::Text(v) | Value::Binary(v) => v.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(binary: bool, quiet: bool, value: &Value) -> String {
        String::from_utf8(line(Style { binary, quiet }, b"a.key", value)).unwrap()
    }

    #[test]
    fn lines_name_key_type_and_value() {
        assert_eq!(shown(false, false, &Value::I8(-5)), "a.key (i8) = -5\n");
        assert_eq!(shown(false, false, &Value::F64(0.5)), "a.key (dbl) = 0.500000\n");
        assert_eq!(shown(false, false, &Value::Text(b"x y".to_vec())), "a.key (str) = x y\n");
        assert_eq!(shown(false, true, &Value::U64(u64::MAX)), "18446744073709551615\n");
    }

    #[test]
    fn binary_values_show_their_bytes_on_demand() {
        let value = Value::Binary(vec![b'a', 0, b'\\']);
        assert_eq!(shown(false, false, &value), "a.key (bin)\n");
        assert_eq!(shown(true, false, &value), "a.key (bin) = a\\x00\\\\\n");
        assert_eq!(shown(true, true, &value), "bin) = a\\x00\\\\\n");
    }
}
