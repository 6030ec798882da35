//! Typed values.

use std::fmt;

/// Longest value, in bytes, without the NUL that ends a text.
pub const MAX_LEN: usize = 16 * 1024;

/// The type of a value; the numbers are the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Type {
    /// `i8`
    I8 = 1,
    /// `u8`
    U8 = 2,
    /// `i16`
    I16 = 3,
    /// `u16`
    U16 = 4,
    /// `i32`
    I32 = 5,
    /// `u32`
    U32 = 6,
    /// `i64`
    I64 = 7,
    /// `u64`
    U64 = 8,
    /// `f32`
    Float = 9,
    /// `f64`
    Double = 10,
    /// A text, on the wire with a NUL at its end.
    Text = 11,
    /// Bytes.
    Binary = 12,
}

impl Type {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::I8,
        Self::U8,
        Self::I16,
        Self::U16,
        Self::I32,
        Self::U32,
        Self::I64,
        Self::U64,
        Self::Float,
        Self::Double,
        Self::Text,
        Self::Binary,
    ];

    /// The type with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|t| *t as u8 == number)
    }

    /// Bytes of a value of this type; None where that is up to the value.
    pub fn fixed_len(self) -> Option<usize> {
        match self {
            Self::I8 | Self::U8 => Some(1),
            Self::I16 | Self::U16 => Some(2),
            Self::I32 | Self::U32 | Self::Float => Some(4),
            Self::I64 | Self::U64 | Self::Double => Some(8),
            Self::Text | Self::Binary => None,
        }
    }

    /// The short name that `corosync-cmapctl` prints.
    pub fn short_name(self) -> &'static str {
        match self {
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::U16 => "u16",
            Self::I32 => "i32",
            Self::U32 => "u32",
            Self::I64 => "i64",
            Self::U64 => "u64",
            Self::Float => "flt",
            Self::Double => "dbl",
            Self::Text => "str",
            Self::Binary => "bin",
        }
    }
}

/// A value. Equality is that of the bytes, also for floating point numbers: it
/// decides whether a change is a change.
#[derive(Clone)]
pub enum Value {
    /// `i8`
    I8(i8),
    /// `u8`
    U8(u8),
    /// `i16`
    I16(i16),
    /// `u16`
    U16(u16),
    /// `i32`
    I32(i32),
    /// `u32`
    U32(u32),
    /// `i64`
    I64(i64),
    /// `u64`
    U64(u64),
    /// `f32`
    Float(f32),
    /// `f64`
    Double(f64),
    /// A text: bytes without a NUL, mostly UTF-8, but nobody checks that.
    Text(Vec<u8>),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Value {
    /// A text; what follows a NUL is cut off.
    pub fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Text(until_nul(text.as_ref()).to_vec())
    }

    /// Its type.
    pub fn value_type(&self) -> Type {
        match self {
            Self::I8(_) => Type::I8,
            Self::U8(_) => Type::U8,
            Self::I16(_) => Type::I16,
            Self::U16(_) => Type::U16,
            Self::I32(_) => Type::I32,
            Self::U32(_) => Type::U32,
            Self::I64(_) => Type::I64,
            Self::U64(_) => Type::U64,
            Self::Float(_) => Type::Float,
            Self::Double(_) => Type::Double,
            Self::Text(_) => Type::Text,
            Self::Binary(_) => Type::Binary,
        }
    }

    /// Its bytes on the wire; a text with the NUL at its end.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::I8(v) => v.to_le_bytes().to_vec(),
            Self::U8(v) => vec![*v],
            Self::I16(v) => v.to_le_bytes().to_vec(),
            Self::U16(v) => v.to_le_bytes().to_vec(),
            Self::I32(v) => v.to_le_bytes().to_vec(),
            Self::U32(v) => v.to_le_bytes().to_vec(),
            Self::I64(v) => v.to_le_bytes().to_vec(),
            Self::U64(v) => v.to_le_bytes().to_vec(),
            Self::Float(v) => v.to_le_bytes().to_vec(),
            Self::Double(v) => v.to_le_bytes().to_vec(),
            Self::Text(v) => [v.as_slice(), &[0]].concat(),
            Self::Binary(v) => v.clone(),
        }
    }

    /// Length of [`Value::to_bytes`].
    pub fn wire_len(&self) -> usize {
        match self {
            Self::Text(v) => v.len() + 1,
            Self::Binary(v) => v.len(),
            other => other.value_type().fixed_len().unwrap_or(0),
        }
    }

    /// Reads a value as a client sends it [CMAP-2]: `len` is the length that it
    /// claims, `sent` what is there. None when they do not fit the type.
    pub fn from_client(value_type: Type, len: u64, sent: &[u8]) -> Option<Self> {
        let len = usize::try_from(len).ok().filter(|len| *len <= MAX_LEN)?;
        if value_type == Type::Text {
            let text = until_nul(sent);
            // The claimed length may leave out the end of the text and its NUL,
            // but not go beyond the NUL.
            return (len <= text.len() + 1)
                .then(|| Self::Text(text[..len.min(text.len())].to_vec()));
        }
        Self::from_bytes(value_type, sent.get(..len)?)
    }

    /// Reads the bytes of [`Value::to_bytes`].
    pub fn from_bytes(value_type: Type, bytes: &[u8]) -> Option<Self> {
        Some(match value_type {
            Type::I8 => Self::I8(i8::from_le_bytes(bytes.try_into().ok()?)),
            Type::U8 => Self::U8(u8::from_le_bytes(bytes.try_into().ok()?)),
            Type::I16 => Self::I16(i16::from_le_bytes(bytes.try_into().ok()?)),
            Type::U16 => Self::U16(u16::from_le_bytes(bytes.try_into().ok()?)),
            Type::I32 => Self::I32(i32::from_le_bytes(bytes.try_into().ok()?)),
            Type::U32 => Self::U32(u32::from_le_bytes(bytes.try_into().ok()?)),
            Type::I64 => Self::I64(i64::from_le_bytes(bytes.try_into().ok()?)),
            Type::U64 => Self::U64(u64::from_le_bytes(bytes.try_into().ok()?)),
            Type::Float => Self::Float(f32::from_le_bytes(bytes.try_into().ok()?)),
            Type::Double => Self::Double(f64::from_le_bytes(bytes.try_into().ok()?)),
            Type::Text => Self::text(bytes),
            Type::Binary => Self::Binary(bytes.to_vec()),
        })
    }

    /// The text of a text value, when it is UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The number, where it is a `u8`.
    pub fn as_u8(&self) -> Option<u8> {
        if let Self::U8(v) = self { Some(*v) } else { None }
    }

    /// The number, where it is a `u16`.
    pub fn as_u16(&self) -> Option<u16> {
        if let Self::U16(v) = self { Some(*v) } else { None }
    }

    /// The number, where it is a `u32`.
    pub fn as_u32(&self) -> Option<u32> {
        if let Self::U32(v) = self { Some(*v) } else { None }
    }

    /// The number, where it is a `u64`.
    pub fn as_u64(&self) -> Option<u64> {
        if let Self::U64(v) = self { Some(*v) } else { None }
    }

    /// The value with `step` added, wrapping as its type does; None where it is
    /// not an integer.
    pub fn adjusted(&self, step: i32) -> Option<Self> {
        let wide = i64::from(step).to_le_bytes();
        Some(match self {
            Self::I8(v) => Self::I8(v.wrapping_add(i8::from_le_bytes([wide[0]]))),
            Self::U8(v) => Self::U8(v.wrapping_add(wide[0])),
            Self::I16(v) => Self::I16(v.wrapping_add(i16::from_le_bytes([wide[0], wide[1]]))),
            Self::U16(v) => Self::U16(v.wrapping_add(u16::from_le_bytes([wide[0], wide[1]]))),
            Self::I32(v) => Self::I32(v.wrapping_add(step)),
            Self::U32(v) => Self::U32(v.wrapping_add_signed(step)),
            Self::I64(v) => Self::I64(v.wrapping_add(i64::from(step))),
            Self::U64(v) => Self::U64(v.wrapping_add_signed(i64::from(step))),
            Self::Float(_) | Self::Double(_) | Self::Text(_) | Self::Binary(_) => return None,
        })
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.value_type() == other.value_type() && self.to_bytes() == other.to_bytes()
    }
}

impl Eq for Value {}

/// As `corosync-cmapctl` prints it: `(type) = value`.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) = {self}", self.value_type().short_name())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I8(v) => write!(f, "{v}"),
            Self::U8(v) => write!(f, "{v}"),
            Self::I16(v) => write!(f, "{v}"),
            Self::U16(v) => write!(f, "{v}"),
            Self::I32(v) => write!(f, "{v}"),
            Self::U32(v) => write!(f, "{v}"),
            Self::I64(v) => write!(f, "{v}"),
            Self::U64(v) => write!(f, "{v}"),
            Self::Float(v) => write!(f, "{v:.6}"),
            Self::Double(v) => write!(f, "{v:.6}"),
            Self::Text(v) => f.write_str(&String::from_utf8_lossy(v)),
            Self::Binary(v) if v.is_empty() => f.write_str("*empty*"),
            Self::Binary(_) => f.write_str("*binary*"),
        }
    }
}

#[cfg(test)]
mod tests;
