//! Outcomes that a client of a service can see.

/// `cs_error_t` of `corosync/corotypes.h`, as far as the services use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Done.
    Ok = 1,
    /// A handle that does not exist, or the library and the daemon disagree.
    Library = 2,
    /// It took too long.
    Timeout = 5,
    /// Not now.
    TryAgain = 6,
    /// The request makes no sense.
    InvalidParam = 7,
    /// Somebody objects, or a change is under way.
    Busy = 10,
    /// Not allowed.
    Access = 11,
    /// There is no such thing.
    NotExist = 12,
    /// A name is too long.
    NameTooLong = 13,
    /// It is there already.
    Exist = 14,
    /// The membership changed while a message was sent in parts.
    Interrupt = 16,
    /// No such node.
    NameNotFound = 17,
    /// A bound is reached.
    NoResources = 18,
    /// This daemon does not do that.
    NotSupported = 19,
    /// It was tried and failed.
    FailedOperation = 21,
    /// The message belongs to another ring.
    MessageError = 22,
    /// An iteration has come to its end.
    NoSections = 27,
}

impl Status {
    /// The number in a header.
    pub fn code(self) -> i32 {
        self as i32
    }
}
