//! The bytes that `libcmap` and the service exchange, behind libqb's headers.
//! Every field starts at a multiple of eight bytes.

use wire::{Malformed, Reader, Writer};

use crate::{Notice, Type, Value};

/// Request ids; the response has the same, except where said.
pub mod id {
    /// Set a key.
    pub const SET: i32 = 0;
    /// Delete a key.
    pub const DELETE: i32 = 1;
    /// Read a key.
    pub const GET: i32 = 2;
    /// Add to an integer.
    pub const ADJUST: i32 = 3;
    /// Begin an iteration.
    pub const ITER_INIT: i32 = 4;
    /// The next key of an iteration.
    pub const ITER_NEXT: i32 = 5;
    /// End an iteration.
    pub const ITER_FINALIZE: i32 = 6;
    /// Track keys.
    pub const TRACK_ADD: i32 = 7;
    /// Track no more.
    pub const TRACK_DELETE: i32 = 8;
    /// Choose the map.
    pub const SET_MAP: i32 = 9;
    /// Event: a tracked key has changed.
    pub const NOTIFY: i32 = 9;
    /// Response to [`SET_MAP`].
    pub const SET_MAP_RESPONSE: i32 = 10;
}

/// Longest name on the wire, in bytes.
pub const NAME_LEN: usize = 256;

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Set a key.
    Set {
        /// The key.
        key: String,
        /// The value's length as the client says.
        len: u64,
        /// The number of its type.
        value_type: u8,
        /// What was sent of it.
        bytes: Vec<u8>,
    },
    /// Delete a key.
    Delete {
        /// The key.
        key: String,
    },
    /// Read a key.
    Get {
        /// The key.
        key: String,
        /// How many bytes the client has room for; 0: it only wants to know type and length.
        room: u64,
    },
    /// Add to an integer.
    Adjust {
        /// The key.
        key: String,
        /// How much.
        step: i32,
    },
    /// Begin an iteration.
    IterInit {
        /// Over keys with this prefix.
        prefix: String,
    },
    /// The next key.
    IterNext {
        /// Of this iteration.
        handle: u64,
    },
    /// End an iteration.
    IterFinalize {
        /// This one.
        handle: u64,
    },
    /// Track keys.
    TrackAdd {
        /// The key; None: every key.
        key: Option<String>,
        /// What of.
        wanted: i32,
        /// The client's own number, which notifications carry.
        instance: u64,
    },
    /// Track no more.
    TrackDelete {
        /// The handle that the service gave.
        handle: u64,
    },
    /// Choose the map.
    SetMap {
        /// 0 icmap, 1 stats.
        map: i32,
    },
}

impl Request {
    /// Reads the body of request `id`; None for an id that does not exist.
    pub fn decode(request: i32, body: &[u8]) -> Option<Result<Self, Malformed>> {
        let mut r = Reader::new(body);
        let decode = match request {
            id::SET => set,
            id::DELETE => |r: &mut Reader<'_>| Ok(Self::Delete { key: name(r)?.0 }),
            id::GET => {
                |r: &mut Reader<'_>| Ok(Self::Get { key: name(r)?.0, room: r.u64("a length")? })
            }
            id::ADJUST => {
                |r: &mut Reader<'_>| Ok(Self::Adjust { key: name(r)?.0, step: r.i32("a step")? })
            }
            id::ITER_INIT => |r: &mut Reader<'_>| {
                Ok(Self::IterInit { prefix: optional_name(r)?.unwrap_or_default() })
            },
            id::ITER_NEXT => |r: &mut Reader<'_>| Ok(Self::IterNext { handle: handle(r)? }),
            id::ITER_FINALIZE => |r: &mut Reader<'_>| Ok(Self::IterFinalize { handle: handle(r)? }),
            id::TRACK_ADD => track_add,
            id::TRACK_DELETE => |r: &mut Reader<'_>| Ok(Self::TrackDelete { handle: handle(r)? }),
            id::SET_MAP => |r: &mut Reader<'_>| Ok(Self::SetMap { map: r.i32("a map")? }),
            _ => return None,
        };
        Some(decode(&mut r))
    }

    /// The id under which this is answered.
    pub fn response_id(request: i32) -> i32 {
        if request == id::SET_MAP { id::SET_MAP_RESPONSE } else { request }
    }
}

/// How long the body of a response is when it only carries an error.
pub fn empty_response_len(request: i32) -> usize {
    match request {
        id::GET => 16,
        id::ITER_INIT | id::TRACK_ADD | id::TRACK_DELETE => 8,
        id::ITER_NEXT => ITER_NEXT_LEN,
        _ => 0,
    }
}

const ITER_NEXT_LEN: usize = 8 + NAME_LEN + 8 + 8;

/// Body of the answer to [`Request::Get`]: `room` bytes are sent however long
/// the value is.
pub fn got(value_type: Type, len: usize, value: &[u8], room: usize) -> Vec<u8> {
    let mut w = Writer::new();
    w.u64(len as u64).u64(value_type as u64).raw(value);
    w.raw(&vec![0; room.saturating_sub(value.len())]).finish()
}

/// Body of the answer to [`Request::IterNext`].
pub fn iterated(key: &str, len: usize, value_type: Type) -> Vec<u8> {
    put_name(&mut Writer::new(), key).u64(len as u64).u64(value_type as u64).finish()
}

/// Body of the event [`id::NOTIFY`].
pub fn notification(notice: &Notice, instance: u64) -> Vec<u8> {
    let number = |value: &Option<Value>| value.as_ref().map_or(0, |v| v.value_type() as u64);
    let bytes = |value: &Option<Value>| value.as_ref().map(Value::to_bytes).unwrap_or_default();
    let (new, old) = (bytes(&notice.new), bytes(&notice.old));
    let mut w = Writer::new();
    put_name(w.u64(instance), &notice.key).i32(notice.event as i32).u32(0);
    w.u64(number(&notice.new)).u64(number(&notice.old));
    w.u64(new.len() as u64).u64(old.len() as u64).raw(&new).raw(&old).finish()
}

fn set(r: &mut Reader<'_>) -> Result<Request, Malformed> {
    let (key, len) = (name(r)?.0, r.u64("a value's length")?);
    let value_type = r.u8("a type")?;
    r.take(7, "padding")?;
    Ok(Request::Set { key, len, value_type, bytes: r.take(r.remaining(), "a value")?.to_vec() })
}

fn track_add(r: &mut Reader<'_>) -> Result<Request, Malformed> {
    let (key, wanted) = (optional_name(r)?, r.i32("what to track")?);
    r.take(4, "padding")?;
    Ok(Request::TrackAdd { key, wanted, instance: handle(r)? })
}

fn handle(r: &mut Reader<'_>) -> Result<u64, Malformed> {
    r.u64("a handle")
}

/// A name and the length that goes with it. The name is what stands before the
/// first NUL; a byte that no key may have is kept out of the map by the rule
/// for names, so how it is replaced here does not matter.
fn name(r: &mut Reader<'_>) -> Result<(String, u16), Malformed> {
    let len = r.u16("a name's length")?;
    r.take(6, "padding")?;
    let field = r.take(NAME_LEN, "a name")?;
    let bytes = field.split(|b| *b == 0).next().unwrap_or_default();
    Ok((String::from_utf8_lossy(bytes).into_owned(), len))
}

fn optional_name(r: &mut Reader<'_>) -> Result<Option<String>, Malformed> {
    let (name, len) = name(r)?;
    Ok((len > 0).then_some(name))
}

fn put_name<'a>(w: &'a mut Writer, key: &str) -> &'a mut Writer {
    let mut field = [0; NAME_LEN];
    field[..key.len()].copy_from_slice(key.as_bytes());
    w.u64(key.len() as u64).raw(&field)
}
