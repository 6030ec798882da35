//! Integers as the reference reads them.

use cmap::{Type, Value};

/// A decimal integer within a type's range.
pub(crate) fn integer(text: &[u8], value_type: Type) -> Option<Value> {
    if value_type == Type::U64 {
        return unsigned(text).map(Value::U64);
    }
    let number: i64 = digits(text)?.parse().ok()?;
    Some(match value_type {
        Type::I8 => Value::I8(number.try_into().ok()?),
        Type::U8 => Value::U8(number.try_into().ok()?),
        Type::I16 => Value::I16(number.try_into().ok()?),
        Type::U16 => Value::U16(number.try_into().ok()?),
        Type::I32 => Value::I32(number.try_into().ok()?),
        Type::U32 => Value::U32(number.try_into().ok()?),
        _ => return None,
    })
}

/// The least and the greatest number of a type, for the message.
pub(crate) fn range(value_type: Type) -> (i128, i128) {
    match value_type {
        Type::I8 => (i8::MIN.into(), i8::MAX.into()),
        Type::U8 => (0, u8::MAX.into()),
        Type::I16 => (i16::MIN.into(), i16::MAX.into()),
        Type::U16 => (0, u16::MAX.into()),
        Type::I32 => (i32::MIN.into(), i32::MAX.into()),
        Type::U32 => (0, u32::MAX.into()),
        _ => (0, u64::MAX.into()),
    }
}

fn unsigned(text: &[u8]) -> Option<u64> {
    digits(text)?.parse().ok()
}

/// Like C's strtoll, blanks and a sign may come first, and nothing may follow.
fn digits(text: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(text).ok()?;
    Some(text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_and_in_range() {
        assert_eq!(integer(b"+7", Type::U8), Some(Value::U8(7)));
        assert_eq!(integer(b"-7", Type::I32), Some(Value::I32(-7)));
        assert_eq!(integer(b"007", Type::U32), Some(Value::U32(7)));
        assert_eq!(integer(b"4294967295", Type::U32), Some(Value::U32(u32::MAX)));
        assert_eq!(integer(b"18446744073709551615", Type::U64), Some(Value::U64(u64::MAX)));
        for text in ["", "-", "256", "-1", "1x", "0x1", "1 ", "9999999999999999999999", "\u{663}"] {
            assert_eq!(integer(text.as_bytes(), Type::U8), None, "{text}");
        }
        assert_eq!(integer(b"-1", Type::U64), None);
    }
}
