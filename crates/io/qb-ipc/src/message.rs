//! Layouts of headers, handshake and control file; pure decoders.
//!
//! Every field is aligned to eight bytes and in the machine's own order, which
//! is little-endian on all machines that we support. `size` in a header is the
//! length of the whole message.

use wire::{Malformed, Reader, Writer};

/// Bytes of a request's header.
pub const REQUEST_HEADER_SIZE: usize = 16;
/// Bytes of the header of a response or event.
pub const RESPONSE_HEADER_SIZE: usize = 24;
/// Bytes of a connection request.
pub const CONNECTION_REQUEST_SIZE: usize = 24;
/// Bytes of a connection response.
pub const CONNECTION_RESPONSE_SIZE: usize = 12328;
/// Bytes of the control file of a SOCKET connection.
pub const CONTROL_SIZE: usize = 24;

/// Id of both messages of the handshake.
pub(crate) const ID_AUTHENTICATE: i32 = -1;
/// Id by which old clients say goodbye.
pub(crate) const ID_DISCONNECT: i32 = -3;
const NAME_SIZE: usize = 4096;

/// What stands before a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// Message id; negative ones are the library's own.
    pub id: i32,
    /// Bytes of the whole message, as claimed.
    pub size: i32,
}

/// What stands before a response or event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHeader {
    /// Message id.
    pub id: i32,
    /// Bytes of the whole message, as claimed.
    pub size: i32,
    /// The application's error.
    pub error: i32,
}

/// A client's wish to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionRequest {
    /// The longest message it wants to carry, in bytes with header.
    pub max_msg_size: u32,
}

/// The server's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionResponse {
    /// 0, or a negative error number: then all else is meaningless.
    pub error: i32,
    /// 0 SOCKET, 1 SHM.
    pub kind: i32,
    /// The longest message of each channel, in bytes with header.
    pub max_msg_size: u32,
    /// The server's own number for the connection.
    pub cookie: u64,
    /// SHM: name of the request ring. SOCKET: path of the control file.
    pub request: String,
    /// SHM: name of the response ring. SOCKET: base of the four socket names.
    pub response: String,
    /// SHM: name of the event ring. SOCKET: empty.
    pub event: String,
}

/// One channel's record in the control file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Messages sent and not yet received.
    pub sent: i32,
    /// 0, 1 or 2; only the request channel's counts.
    pub flow_control: i32,
}

/// Reads a request's header; checks nothing but the length of `bytes`.
pub fn decode_request_header(bytes: &[u8]) -> Result<RequestHeader, Malformed> {
    let mut r = Reader::new(bytes);
    Ok(RequestHeader { id: field(&mut r, "a message id")?, size: field(&mut r, "a size")? })
}

/// Reads the header of a response or event; checks nothing but the length.
pub fn decode_response_header(bytes: &[u8]) -> Result<ResponseHeader, Malformed> {
    let mut r = Reader::new(bytes);
    let id = field(&mut r, "a message id")?;
    let size = field(&mut r, "a size")?;
    Ok(ResponseHeader { id, size, error: field(&mut r, "an error")? })
}

/// Splits a request as it arrived into id and body. The claimed size must hold
/// the header and lie within both `bytes` and `max`; what lies beyond it is not
/// part of the message.
pub fn decode_request(bytes: &[u8], max: usize) -> Result<(i32, &[u8]), Malformed> {
    let header = decode_request_header(bytes)?;
    let end = checked_size(header.size, REQUEST_HEADER_SIZE, bytes.len().min(max))?;
    Ok((header.id, &bytes[REQUEST_HEADER_SIZE..end]))
}

/// Splits a response or event as it arrived, as [`decode_request`] does.
pub fn decode_response(bytes: &[u8], max: usize) -> Result<(ResponseHeader, &[u8]), Malformed> {
    let header = decode_response_header(bytes)?;
    let end = checked_size(header.size, RESPONSE_HEADER_SIZE, bytes.len().min(max))?;
    Ok((header, &bytes[RESPONSE_HEADER_SIZE..end]))
}

/// Reads a connection request; anything but exactly one is malformed.
pub fn decode_connection_request(bytes: &[u8]) -> Result<ConnectionRequest, Malformed> {
    let mut r = Reader::new(bytes);
    expect(&mut r, ID_AUTHENTICATE, "the id of a connection request")?;
    expect(&mut r, CONNECTION_REQUEST_SIZE as i32, "the size of a connection request")?;
    let max_msg_size = r.u32("the longest message")?;
    r.take(4, "padding")?;
    r.end()?;
    Ok(ConnectionRequest { max_msg_size })
}

/// Reads a connection response. Only where `error` is zero are the other fields
/// there, and checked: a kind that exists, names that end.
pub fn decode_connection_response(bytes: &[u8]) -> Result<ConnectionResponse, Malformed> {
    let mut r = Reader::new(bytes);
    expect(&mut r, ID_AUTHENTICATE, "the id of a connection response")?;
    expect(&mut r, CONNECTION_RESPONSE_SIZE as i32, "the size of a connection response")?;
    let mut response =
        ConnectionResponse { error: field(&mut r, "an error")?, ..ConnectionResponse::default() };
    response.kind = r.i32("a connection type")?;
    response.max_msg_size = r.u32("the longest message")?;
    response.cookie = r.u64("a cookie")?;
    if response.error != 0 {
        r.take(3 * NAME_SIZE, "three names")?;
        r.end()?;
        return Ok(response);
    }
    if !(0..=1).contains(&response.kind) {
        return Err(r.refuse("connection type 0 or 1"));
    }
    response.request = name(&mut r)?;
    response.response = name(&mut r)?;
    response.event = name(&mut r)?;
    r.end()?;
    Ok(response)
}

/// Reads the control file's records of requests, responses and events.
pub fn decode_control(bytes: &[u8]) -> Result<[Control; 3], Malformed> {
    let mut r = Reader::new(bytes);
    let mut records = [Control::default(); 3];
    for record in &mut records {
        record.sent = r.i32("a count")?;
        record.flow_control = r.i32("a flow control level")?;
    }
    r.end()?;
    Ok(records)
}

/// The header of a request with a body of `body_len` bytes.
pub(crate) fn request_header(id: i32, body_len: usize) -> [u8; REQUEST_HEADER_SIZE] {
    let mut bytes = [0; REQUEST_HEADER_SIZE];
    bytes[..4].copy_from_slice(&id.to_ne_bytes());
    bytes[8..12].copy_from_slice(&whole(REQUEST_HEADER_SIZE, body_len).to_ne_bytes());
    bytes
}

/// The header of a response or event with a body of `body_len` bytes.
pub(crate) fn response_header(id: i32, error: i32, body_len: usize) -> [u8; RESPONSE_HEADER_SIZE] {
    let mut bytes = [0; RESPONSE_HEADER_SIZE];
    bytes[..4].copy_from_slice(&id.to_ne_bytes());
    bytes[8..12].copy_from_slice(&whole(RESPONSE_HEADER_SIZE, body_len).to_ne_bytes());
    bytes[16..20].copy_from_slice(&error.to_ne_bytes());
    bytes
}

/// Writes a connection request.
pub(crate) fn encode_connection_request(request: ConnectionRequest) -> Vec<u8> {
    let mut w = Writer::new();
    w.i32(ID_AUTHENTICATE).i32(0).i32(CONNECTION_REQUEST_SIZE as i32).i32(0);
    w.u32(request.max_msg_size).u32(0);
    w.finish()
}

/// Writes a connection response; names are cut to what their fields hold.
pub(crate) fn encode_connection_response(response: &ConnectionResponse) -> Vec<u8> {
    let mut w = Writer::new();
    w.i32(ID_AUTHENTICATE).i32(0).i32(CONNECTION_RESPONSE_SIZE as i32).i32(0);
    w.i32(response.error).i32(0);
    w.i32(response.kind).u32(response.max_msg_size).u64(response.cookie);
    for name in [&response.request, &response.response, &response.event] {
        let mut field = [0; NAME_SIZE];
        let len = name.len().min(NAME_SIZE - 1);
        field[..len].copy_from_slice(&name.as_bytes()[..len]);
        w.raw(&field);
    }
    w.finish()
}

/// A text in a field of fixed length, up to its first zero byte.
pub(crate) fn text_field(field: &[u8]) -> Option<&str> {
    let end = field.iter().position(|b| *b == 0)?;
    std::str::from_utf8(&field[..end]).ok()
}

fn name(r: &mut Reader<'_>) -> Result<String, Malformed> {
    let field = r.take(NAME_SIZE, "a name")?;
    text_field(field).map(str::to_string).ok_or(r.refuse("a name that ends"))
}

/// A 32-bit field on its eight bytes.
fn field(r: &mut Reader<'_>, wanted: &'static str) -> Result<i32, Malformed> {
    let value = r.i32(wanted)?;
    r.take(4, "padding")?;
    Ok(value)
}

fn expect(r: &mut Reader<'_>, value: i32, wanted: &'static str) -> Result<(), Malformed> {
    if field(r, wanted)? == value { Ok(()) } else { Err(r.refuse(wanted)) }
}

fn checked_size(claimed: i32, least: usize, most: usize) -> Result<usize, Malformed> {
    match usize::try_from(claimed) {
        Ok(size) if (least..=most).contains(&size) => Ok(size),
        _ => Err(Malformed { at: 8, wanted: "a size that fits the message" }),
    }
}

fn whole(header: usize, body_len: usize) -> i32 {
    i32::try_from(header + body_len).expect("senders check the length against the channel's bound")
}

#[cfg(test)]
mod tests;
