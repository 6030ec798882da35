//! What can go wrong for a client, by culprit.

use std::fmt;
use std::io;

/// Why a client's call failed.
#[derive(Debug)]
pub enum Error {
    /// The server answered the connection request with this error number.
    Refused(i32),
    /// The server is not who it should be.
    NotAuthentic(String),
    /// The connection has ended, or nobody serves that name.
    Disconnected(String),
    /// Held back by flow control, or the channel is full: try again later.
    Again,
    /// Nothing came within the time given.
    TimedOut,
    /// The message is longer than the connection carries.
    TooLong {
        /// Length with its header, in bytes.
        len: usize,
        /// The most that fits, in bytes.
        max: usize,
    },
    /// The server broke the protocol.
    Malformed(String),
    /// The operating system refused something.
    Io(io::Error),
}

impl Error {
    /// The `errno` that libqb's client library reports in this case.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Refused(errno) => *errno,
            Self::NotAuthentic(_) => libc::EACCES,
            Self::Disconnected(_) => libc::ENOTCONN,
            Self::Again => libc::EAGAIN,
            Self::TimedOut => libc::ETIMEDOUT,
            Self::TooLong { .. } => libc::EMSGSIZE,
            Self::Malformed(_) => libc::EBADMSG,
            Self::Io(e) => e.raw_os_error().unwrap_or(libc::EIO),
        }
    }

    /// Whether the connection can still be used.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::Again | Self::TimedOut | Self::TooLong { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(errno) => {
                write!(f, "the server refused: {}", io::Error::from_raw_os_error(*errno))
            }
            Self::NotAuthentic(why) => write!(f, "the server is not authentic: {why}"),
            Self::Disconnected(why) => write!(f, "disconnected: {why}"),
            Self::Again => f.write_str("the server takes no requests now"),
            Self::TimedOut => f.write_str("timed out"),
            Self::TooLong { len, max } => {
                write!(f, "a message of {len} bytes is longer than the {max} that fit")
            }
            Self::Malformed(what) => write!(f, "the server broke the protocol: {what}"),
            Self::Io(e) => write!(f, "{e}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(e: io::Error) -> Self {
        match e.raw_os_error() {
            Some(libc::EAGAIN | libc::ENOBUFS) => Self::Again,
            Some(libc::ECONNREFUSED | libc::ENOENT) => {
                Self::Disconnected("nobody serves that name".into())
            }
            Some(libc::ECONNRESET | libc::EPIPE | libc::ENOTCONN) => {
                Self::Disconnected(e.to_string())
            }
            _ => Self::Io(e),
        }
    }
}

impl From<nix::Error> for Error {
    fn from(e: nix::Error) -> Self {
        io::Error::from(e).into()
    }
}

impl From<wire::Malformed> for Error {
    fn from(e: wire::Malformed) -> Self {
        Self::Malformed(e.to_string())
    }
}
