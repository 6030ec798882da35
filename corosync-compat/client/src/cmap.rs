//! The configuration map: keys with typed values, iteration, tracking.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use wire::{Malformed, Reader, Writer};

use crate::CsError;
use crate::connection::{Aligned, Connection, put_padded, until_nul};

const SET: i32 = 0;
const DELETE: i32 = 1;
const GET: i32 = 2;
const ITER_INIT: i32 = 4;
const ITER_NEXT: i32 = 5;
const ITER_FINALIZE: i32 = 6;
const TRACK_ADD: i32 = 7;
const SET_CURRENT_MAP: i32 = 9;

/// Id of the event that tells of a change.
const NOTIFY: i32 = 9;

/// Bits of what a tracker asks for, and which of them happened.
const DELETED: u32 = 1;
const MODIFIED: u32 = 2;
const ADDED: u32 = 4;
const PREFIX: u32 = 8;

/// A name on the wire: a 16-bit length in eight bytes, and the field.
const NAME_FIELD: usize = 256;
/// The longest key, in bytes.
pub const MAX_KEY_LEN: usize = NAME_FIELD - 1;

/// Which map a connection works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// Configuration and runtime state.
    Icmap,
    /// Statistics.
    Stats,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say all")]
pub enum Kind {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
    Text,
    Binary,
}

impl Kind {
    /// All, with their numbers on the wire.
    const NUMBERS: [(Self, u8); 12] = [
        (Self::I8, 1),
        (Self::U8, 2),
        (Self::I16, 3),
        (Self::U16, 4),
        (Self::I32, 5),
        (Self::U32, 6),
        (Self::I64, 7),
        (Self::U64, 8),
        (Self::F32, 9),
        (Self::F64, 10),
        (Self::Text, 11),
        (Self::Binary, 12),
    ];

    fn number(self) -> u8 {
        let found = Self::NUMBERS.iter().find(|(kind, _)| *kind == self);
        found.map_or(0, |(_, number)| *number)
    }

    fn from_number(number: u8) -> Option<Self> {
        Self::NUMBERS.iter().find(|(_, known)| *known == number).map(|(kind, _)| *kind)
    }
}

/// A value with its type.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say all")]
pub enum Value {
    I8(i8),
    U8(u8),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    F32(f32),
    F64(f64),
    Text(Vec<u8>),
    Binary(Vec<u8>),
}

impl Value {
    /// Its type.
    pub fn kind(&self) -> Kind {
        match self {
            Self::I8(_) => Kind::I8,
            Self::U8(_) => Kind::U8,
            Self::I16(_) => Kind::I16,
            Self::U16(_) => Kind::U16,
            Self::I32(_) => Kind::I32,
            Self::U32(_) => Kind::U32,
            Self::I64(_) => Kind::I64,
            Self::U64(_) => Kind::U64,
            Self::F32(_) => Kind::F32,
            Self::F64(_) => Kind::F64,
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::I8(v) => v.to_le_bytes().into(),
            Self::U8(v) => v.to_le_bytes().into(),
            Self::I16(v) => v.to_le_bytes().into(),
            Self::U16(v) => v.to_le_bytes().into(),
            Self::I32(v) => v.to_le_bytes().into(),
            Self::U32(v) => v.to_le_bytes().into(),
            Self::I64(v) => v.to_le_bytes().into(),
            Self::U64(v) => v.to_le_bytes().into(),
            Self::F32(v) => v.to_le_bytes().into(),
            Self::F64(v) => v.to_le_bytes().into(),
            Self::Text(v) | Self::Binary(v) => v.clone(),
        }
    }

    fn from_bytes(kind: Kind, bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let wanted = "a value of its type";
        Ok(match kind {
            Kind::I8 => Self::I8(r.u8(wanted)?.cast_signed()),
            Kind::U8 => Self::U8(r.u8(wanted)?),
            Kind::I16 => Self::I16(r.u16(wanted)?.cast_signed()),
            Kind::U16 => Self::U16(r.u16(wanted)?),
            Kind::I32 => Self::I32(r.i32(wanted)?),
            Kind::U32 => Self::U32(r.u32(wanted)?),
            Kind::I64 => Self::I64(r.i64(wanted)?),
            Kind::U64 => Self::U64(r.u64(wanted)?),
            Kind::F32 => Self::F32(f32::from_bits(r.u32(wanted)?)),
            Kind::F64 => Self::F64(f64::from_bits(r.u64(wanted)?)),
            // The daemon keeps texts with a zero byte at the end.
            Kind::Text => Self::Text(until_nul(bytes).into()),
            Kind::Binary => Self::Binary(bytes.into()),
        })
    }
}

/// A key as an iteration gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub key: Vec<u8>,
    /// Bytes of its value.
    pub value_len: u64,
    /// Type of its value; `None` if it is one that nobody knows.
    pub kind: Option<Kind>,
}

/// What to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    /// One key.
    Key,
    /// All keys that begin so.
    Prefix,
}

/// A change of a key that is tracked.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The key is new, with this value.
    Created(Vec<u8>, Value),
    /// The key is gone; it had this value.
    Deleted(Vec<u8>, Value),
    /// The key has this value now.
    Modified(Vec<u8>, Value),
}

/// A connection to the service `cmap`.
pub struct Cmap {
    connection: Connection,
}

impl Cmap {
    /// Connects, and works on the configuration.
    pub fn open() -> Result<Self, CsError> {
        Ok(Self { connection: Connection::open("cmap")? })
    }

    /// Connects, and chooses the map.
    pub fn open_map(map: Map) -> Result<Self, CsError> {
        let mut cmap = Self::open()?;
        let number: u32 = if map == Map::Stats { 1 } else { 0 };
        cmap.connection.call(SET_CURRENT_MAP, &Writer::new().u32(number).u32(0).finish())?;
        Ok(cmap)
    }

    /// Sets a key.
    pub fn set(&mut self, key: &[u8], value: &Value) -> Result<(), CsError> {
        let bytes = value.to_bytes();
        let mut out = Writer::new();
        put_key(&mut out, key)?;
        out.u64(bytes.len() as u64).u8(value.kind().number()).raw(&[0; 7]).raw(&bytes);
        self.connection.call(SET, &out.finish()).map(|_| ())
    }

    /// Deletes a key.
    pub fn delete(&mut self, key: &[u8]) -> Result<(), CsError> {
        let mut out = Writer::new();
        put_key(&mut out, key)?;
        self.connection.call(DELETE, &out.finish()).map(|_| ())
    }

    /// Type and length in bytes of a key's value.
    pub fn describe(&mut self, key: &[u8]) -> Result<(Option<Kind>, u64), CsError> {
        let body = self.get_at_most(key, 0)?;
        let mut r = Reader::new(&body);
        let len = r.u64("the value's length")?;
        Ok((Kind::from_number(r.u8("the value's type")?), len))
    }

    /// The value of a key whose length is known: the daemon refuses to send more
    /// than the caller has room for, and tells the length alone when asked with none.
    pub fn get_sized(&mut self, key: &[u8], len: u64) -> Result<Value, CsError> {
        let body = self.get_at_most(key, len)?;
        let mut r = Reader::new(&body);
        let len = r.u64("the value's length")?;
        let kind = Kind::from_number(r.u8_of_8("the value's type")?);
        let len = usize::try_from(len).map_err(|_| CsError::LIBRARY)?;
        let bytes = r.take(len, "the value")?;
        Ok(Value::from_bytes(kind.ok_or(CsError::INVALID_PARAM)?, bytes)?)
    }

    /// The value of a key.
    pub fn get(&mut self, key: &[u8]) -> Result<Value, CsError> {
        let (_, len) = self.describe(key)?;
        // Room for any number, whose length is not worth the question.
        self.get_sized(key, len.max(16))
    }

    /// The value of a key that is a text.
    pub fn get_text(&mut self, key: &[u8]) -> Result<Vec<u8>, CsError> {
        match self.get(key)? {
            Value::Text(text) => Ok(text),
            _ => Err(CsError::INVALID_PARAM),
        }
    }

    /// The value of a key that is an unsigned number of 32 bits.
    pub fn get_u32(&mut self, key: &[u8]) -> Result<u32, CsError> {
        match self.get(key)? {
            Value::U32(number) => Ok(number),
            _ => Err(CsError::INVALID_PARAM),
        }
    }

    fn get_at_most(&mut self, key: &[u8], len: u64) -> Result<Vec<u8>, CsError> {
        let mut out = Writer::new();
        put_key(&mut out, key)?;
        self.connection.call(GET, &out.u64(len).finish())
    }

    /// Begins to walk over the keys that begin with `prefix`; the handle is for
    /// [`Cmap::iterate`] and [`Cmap::end_iteration`].
    pub fn begin_iteration(&mut self, prefix: &[u8]) -> Result<u64, CsError> {
        let mut out = Writer::new();
        put_key(&mut out, prefix)?;
        let body = self.connection.call(ITER_INIT, &out.finish())?;
        Ok(Reader::new(&body).u64("the iteration's handle")?)
    }

    /// The next key, or [`CsError::NO_SECTIONS`] at the end.
    pub fn iterate(&mut self, handle: u64) -> Result<Entry, CsError> {
        let body = self.connection.call(ITER_NEXT, &Writer::new().u64(handle).finish())?;
        let mut r = Reader::new(&body);
        let key = take_key(&mut r)?;
        let value_len = r.u64("the value's length")?;
        Ok(Entry { key, value_len, kind: Kind::from_number(r.u8("the value's type")?) })
    }

    /// Ends a walk.
    pub fn end_iteration(&mut self, handle: u64) -> Result<(), CsError> {
        self.connection.call(ITER_FINALIZE, &Writer::new().u64(handle).finish()).map(|_| ())
    }

    /// All keys that begin with `prefix`.
    pub fn keys(&mut self, prefix: &[u8]) -> Result<Vec<Entry>, CsError> {
        let handle = self.begin_iteration(prefix)?;
        let mut entries = Vec::new();
        while let Ok(entry) = self.iterate(handle) {
            entries.push(entry);
        }
        // The daemon forgets the walk with the connection, if not now.
        let _ = self.end_iteration(handle);
        Ok(entries)
    }

    /// Asks to be told when keys are created, deleted and changed.
    pub fn track(&mut self, key: &[u8], track: Track) -> Result<(), CsError> {
        let prefix = if track == Track::Prefix { PREFIX } else { 0 };
        let mut out = Writer::new();
        put_key(&mut out, key)?;
        out.u32(ADDED | DELETED | MODIFIED | prefix).u32(0).u64(0);
        self.connection.call(TRACK_ADD, &out.finish()).map(|_| ())
    }

    /// The next change within `timeout`; `None` waits for ever.
    pub fn next_change(&mut self, timeout: Option<Duration>) -> Result<Option<Change>, CsError> {
        let Some(frame) = self.connection.event(timeout)? else { return Ok(None) };
        if frame.id != NOTIFY {
            return Err(CsError::LIBRARY);
        }
        decode_change(&frame.body).map(Some)
    }

    /// Becomes readable when a change or the end comes.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.connection.fd()
    }
}

fn decode_change(body: &[u8]) -> Result<Change, CsError> {
    let mut r = Reader::new(body);
    r.u64("the tracker")?;
    let key = take_key(&mut r)?;
    let event = r.u32_of_8("the event")?;
    let new_kind = r.u8_of_8("the new type")?;
    let old_kind = r.u8_of_8("the old type")?;
    let new_len = r.u64("the new length")?;
    let old_len = r.u64("the old length")?;
    let mut bytes = |len: u64| match usize::try_from(len) {
        Ok(len) => r.take(len, "a value"),
        Err(_) => Err(r.refuse("a length that fits memory")),
    };
    let (new, old) = (bytes(new_len)?, bytes(old_len)?);
    let value = |kind, bytes| -> Result<Value, CsError> {
        Ok(Value::from_bytes(Kind::from_number(kind).ok_or(CsError::LIBRARY)?, bytes)?)
    };
    // The value that a change does not have is sent without bytes and type.
    match event {
        ADDED => Ok(Change::Created(key, value(new_kind, new)?)),
        MODIFIED => Ok(Change::Modified(key, value(new_kind, new)?)),
        DELETED => Ok(Change::Deleted(key, value(old_kind, old)?)),
        _ => Err(CsError::LIBRARY),
    }
}

fn put_key(out: &mut Writer, key: &[u8]) -> Result<(), CsError> {
    let len = u16::try_from(key.len()).map_err(|_| CsError::NAME_TOO_LONG)?;
    if key.len() > MAX_KEY_LEN {
        return Err(CsError::NAME_TOO_LONG);
    }
    out.u16(len).raw(&[0; 6]);
    put_padded(out, key, NAME_FIELD);
    Ok(())
}

fn take_key(r: &mut Reader<'_>) -> Result<Vec<u8>, Malformed> {
    let len = usize::from(r.u16("a key's length")?);
    r.take(6, "its padding")?;
    let field = r.take(NAME_FIELD, "a key")?;
    field.get(..len).map(<[u8]>::to_vec).ok_or_else(|| r.refuse("a key that fits its field"))
}

#[cfg(test)]
mod tests;
