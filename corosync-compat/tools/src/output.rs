//! Printing, and what the exit status says.

use std::io::{self, Write};
use std::sync::Mutex;

use corosync_client::CsError;

/// What the exit status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It worked.
    Success,
    /// It did not.
    Failure,
    /// It worked, and the node has no quorum.
    NotQuorate,
    /// The daemon answered with this error.
    Service(CsError),
    /// It did not, at a step that has a status of its own.
    Step(u8),
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::NotQuorate => 2,
            Self::Service(error) => u8::try_from(error.code() & 0xff).unwrap_or(1),
            Self::Step(code) => code,
        }
    }

    /// Success or failure.
    pub fn from_success(success: bool) -> Self {
        if success { Self::Success } else { Self::Failure }
    }
}

/// What was printed since the last [`flush`]. Data goes out in one piece, or
/// whenever a command begins to wait.
static PENDING: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Prints data.
pub(crate) fn print(bytes: impl AsRef<[u8]>) {
    let mut pending = PENDING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    pending.extend_from_slice(bytes.as_ref());
}

/// Says something on standard error, after the data that came before it.
pub(crate) fn say(text: impl AsRef<[u8]>) {
    // Who closed standard output or error does not want to know.
    let _ = flush();
    let _ = io::stderr().write_all(text.as_ref());
}

/// Hands the data over.
pub(crate) fn flush() -> io::Result<()> {
    let mut pending = PENDING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let bytes = std::mem::take(&mut *pending);
    let mut stdout = io::stdout().lock();
    stdout.write_all(&bytes)?;
    stdout.flush()
}

/// The system's words for an error, as C programs print them.
pub(crate) fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// Appends bytes, those that are not printable as `\xNN` and a backslash twice.
///
/// Bytes from 0x80 up come out with eight digits, `\xFFFFFF80`: that is what
/// the reference prints, whose characters have a sign.
pub(crate) fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b' '..=b'~' => out.push(*byte),
            _ => {
                let extended = i32::from(byte.cast_signed());
                out.extend_from_slice(format!("\\x{extended:02X}").as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_bytes_look_as_the_references() {
        let mut out = Vec::new();
        escape(b"a b\\\0\x1f\x7f\x80\xff~", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "a b\\\\\\x00\\x1F\\x7F\\xFFFFFF80\\xFFFFFFFF~"
        );
    }

    #[test]
    fn system_errors_lose_their_number() {
        let error = io::Error::from_raw_os_error(2);
        assert_eq!(system_text(&error), "No such file or directory");
    }

    #[test]
    fn exit_statuses_are_numbers_of_old() {
        assert_eq!(Exit::NotQuorate.code(), 2);
        assert_eq!(Exit::Service(CsError::NOT_EXIST).code(), 12);
        assert_eq!(Exit::Step(5).code(), 5);
    }
}
