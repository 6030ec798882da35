//! Records in words.

use sansio::edge::{self, Input};
use sansio::{Mono, Wall};

use crate::clock::Civil;
use crate::recorder::format::{Kind, Time};

/// Bytes that are shown of a payload.
const BYTES_SHOWN: usize = 32;

/// One line without its time: what the record says.
pub fn describe(entry: &Kind) -> String {
    match entry {
        Kind::Header(header) => format!("segment of {} on {}", header.daemon, header.host),
        Kind::Snapshot(snapshot) => format!("snapshot of {} bytes", snapshot.state.len()),
        Kind::Input(input) => {
            let body = match input.elided {
                Some(elided) => {
                    format!("{} bytes, not recorded (hash {:016x})", elided.len, elided.hash)
                }
                None => body(&input.kind, &input.body),
            };
            format!("#{} {} {body}", input.number, input.kind)
        }
        Kind::Deadline(deadline) => {
            let at = deadline.at.unwrap_or_default().mono;
            let late_us = at.saturating_sub(deadline.due) / 1000;
            format!("#{} deadline {} ({late_us} us late)", deadline.number, Mono(deadline.due))
        }
        Kind::Outputs(outputs) => format!("   {} outputs", outputs.count),
        Kind::Dropped(dropped) => format!("{} records are missing before this", dropped.count),
        Kind::End(end) => format!("end: {}", end.why),
    }
}

/// `Nov 21 09:00:00.123 12.034s`: the wall clock as the daemon saw it, and its
/// monotonic one; blank for records without a time.
pub fn show_time(entry: &Kind) -> String {
    let at = match entry {
        Kind::Input(input) => input.at,
        Kind::Deadline(deadline) => deadline.at,
        Kind::Header(header) => header.at,
        Kind::Snapshot(_) | Kind::Outputs(_) | Kind::Dropped(_) | Kind::End(_) => None,
    };
    at.map_or_else(|| " ".repeat(19), clock_face)
}

fn clock_face(at: Time) -> String {
    let Civil { month, day, hour, minute, second, millisecond } =
        Civil::at(Wall(at.wall), at.utc_offset_s);
    let mono = Mono(at.mono);
    format!("{month} {day:02} {hour:02}:{minute:02}:{second:02}.{millisecond:03} {mono}")
}

/// The usual kinds in their own words; what only the core understands by length.
fn body(kind: &str, bytes: &[u8]) -> String {
    let Ok(input) = edge::restore(kind, bytes, |outcome| Ok(outcome.to_vec())) else {
        return format!("{} bytes", bytes.len());
    };
    match input {
        Input::Datagram { link, from, bytes } => {
            format!("link {} from {from}: {}", link.0, preview(&bytes))
        }
        Input::Accepted { conn, service, peer } => {
            format!("{} for {service} from pid {} uid {}", conn.0, peer.pid, peer.uid)
        }
        Input::Connected { conn, peer } => {
            format!("{} to pid {} uid {}", conn.0, peer.pid, peer.uid)
        }
        Input::Frame { conn, frame } => {
            let (id, error, body) = (frame.id, frame.error, preview(&frame.body));
            format!("{} {:?} id {id} error {error}: {body}", conn.0, frame.channel)
        }
        Input::Closed { conn, why } => format!("{}: {why}", conn.0),
        Input::Blocked(conn) | Input::Writable(conn) => conn.0.to_string(),
        Input::Child { child, event } => format!("{}: {event:?}", child.0),
        Input::Persisted(id) => id.0.to_string(),
        Input::PersistFailed { id, errno } => format!("{}: error {errno}", id.0),
        Input::JobDone { id, outcome } => format!("{}: {}", id.0, preview(&outcome)),
        Input::JobFailed { id, why } => format!("{}: {why}", id.0),
        Input::Paused { ms } => format!("{ms} ms"),
        Input::ConfigRead(Ok(bytes)) => preview(&bytes),
        Input::ConfigRead(Err(why)) => why,
        Input::Reload | Input::Stop => String::new(),
    }
}

fn preview(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = format!("{} bytes ", bytes.len());
    for byte in bytes.iter().take(BYTES_SHOWN) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    if bytes.len() > BYTES_SHOWN {
        text.push_str("...");
    }
    text
}
