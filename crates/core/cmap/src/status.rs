//! The error codes that Corosync's libraries return.

use std::fmt;

/// `cs_error_t`, as far as the configuration map uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// Done.
    Ok = 1,
    /// A parameter makes no sense.
    InvalidParam = 7,
    /// No room for the answer.
    NoMemory = 8,
    /// No such iterator or tracker on this connection.
    BadHandle = 9,
    /// The map cannot be changed while something is open in it.
    Busy = 10,
    /// The key is read-only.
    Access = 11,
    /// No such key.
    NotExist = 12,
    /// The key's name is too short, too long, or has a character that is not allowed.
    NameTooLong = 13,
    /// It is there already.
    Exist = 14,
    /// The connection has too many iterators or trackers open.
    NoResources = 18,
    /// The map does not do that.
    NotSupported = 19,
    /// The iteration has ended.
    NoSections = 27,
}

impl Status {
    /// The number on the wire.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The name that Corosync's tools print.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "CS_OK",
            Self::InvalidParam => "CS_ERR_INVALID_PARAM",
            Self::NoMemory => "CS_ERR_NO_MEMORY",
            Self::BadHandle => "CS_ERR_BAD_HANDLE",
            Self::Busy => "CS_ERR_BUSY",
            Self::Access => "CS_ERR_ACCESS",
            Self::NotExist => "CS_ERR_NOT_EXIST",
            Self::NameTooLong => "CS_ERR_NAME_TOO_LONG",
            Self::Exist => "CS_ERR_EXIST",
            Self::NoResources => "CS_ERR_NO_RESOURCES",
            Self::NotSupported => "CS_ERR_NOT_SUPPORTED",
            Self::NoSections => "CS_ERR_NO_SECTIONS",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
