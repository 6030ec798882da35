//! The error numbers of Corosync's libraries.

use std::fmt;

/// What a service answered, or what its library makes of a broken connection:
/// `cs_error_t` without its `CS_OK`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CsError(i32);

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        impl CsError {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// The name by which tools print it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("CS_ERR_", stringify!($name)),)*
                    _ => "unknown error",
                }
            }
        }
    };
}

errors! {
    /// The connection broke, or nobody serves the name.
    LIBRARY = 2,
    /// The versions do not fit.
    VERSION = 3,
    /// Not initialised.
    INIT = 4,
    /// It took too long.
    TIMEOUT = 5,
    /// Not now.
    TRY_AGAIN = 6,
    /// An argument that the service does not take.
    INVALID_PARAM = 7,
    /// No memory.
    NO_MEMORY = 8,
    /// A handle that is unknown.
    BAD_HANDLE = 9,
    /// Refused because something is in use.
    BUSY = 10,
    /// The caller may not do this.
    ACCESS = 11,
    /// There is no such thing.
    NOT_EXIST = 12,
    /// A name is too long.
    NAME_TOO_LONG = 13,
    /// There is one already.
    EXIST = 14,
    /// No room.
    NO_SPACE = 15,
    /// A signal came.
    INTERRUPT = 16,
    /// The name is unknown.
    NAME_NOT_FOUND = 17,
    /// A limit is reached.
    NO_RESOURCES = 18,
    /// The service cannot do this.
    NOT_SUPPORTED = 19,
    /// Not allowed in this state.
    BAD_OPERATION = 20,
    /// It was tried and failed.
    FAILED_OPERATION = 21,
    /// A message makes no sense.
    MESSAGE_ERROR = 22,
    /// A queue is full.
    QUEUE_FULL = 23,
    /// A queue is not there.
    QUEUE_NOT_AVAILABLE = 24,
    /// Unknown flags.
    BAD_FLAGS = 25,
    /// A message is too long.
    TOO_BIG = 26,
    /// The iteration is at its end.
    NO_SECTIONS = 27,
    /// A context is unknown.
    CONTEXT_NOT_FOUND = 28,
    /// Too many groups.
    TOO_MANY_GROUPS = 30,
    /// Security forbids it.
    SECURITY = 100,
}

/// The answer that is no error.
const OK: i32 = 1;

impl CsError {
    /// The number, as some tools print it.
    pub fn code(self) -> i32 {
        self.0
    }

    /// Judges the error field of a response.
    pub(crate) fn check(answer: i32) -> Result<(), Self> {
        if answer == OK { Ok(()) } else { Err(Self(answer)) }
    }

    /// What the libraries make of an error number of libqb's.
    fn from_errno(errno: i32) -> Self {
        match errno {
            libc::EBADF => Self::BAD_HANDLE,
            libc::ENOMEM => Self::NO_MEMORY,
            libc::ENOMSG | libc::ENOBUFS | libc::ETIMEDOUT | libc::EAGAIN => Self::TRY_AGAIN,
            libc::EBADE => Self::FAILED_OPERATION,
            libc::ETIME => Self::TIMEOUT,
            libc::EINVAL => Self::INVALID_PARAM,
            libc::EBUSY => Self::BUSY,
            libc::EACCES => Self::ACCESS,
            libc::EOVERFLOW => Self::NAME_TOO_LONG,
            libc::EEXIST => Self::EXIST,
            libc::ENOSPC => Self::NO_SPACE,
            libc::EINTR => Self::INTERRUPT,
            libc::ENOENT | libc::ENODEV => Self::NOT_EXIST,
            libc::ENOSYS | libc::ENOTSUP => Self::NOT_SUPPORTED,
            libc::EBADMSG => Self::MESSAGE_ERROR,
            libc::EMSGSIZE | libc::E2BIG => Self::TOO_BIG,
            _ => Self::LIBRARY,
        }
    }
}

impl fmt::Display for CsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for CsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl std::error::Error for CsError {}

impl From<qb_ipc::Error> for CsError {
    fn from(e: qb_ipc::Error) -> Self {
        Self::from_errno(e.errno())
    }
}

/// A response that is shorter than its layout.
impl From<wire::Malformed> for CsError {
    fn from(_: wire::Malformed) -> Self {
        Self::LIBRARY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_the_librarys() {
        assert_eq!(CsError::check(1), Ok(()));
        assert_eq!(CsError::check(12), Err(CsError::NOT_EXIST));
        assert_eq!(CsError::NOT_EXIST.to_string(), "CS_ERR_NOT_EXIST");
        assert_eq!(CsError(29).to_string(), "unknown error");
        assert_eq!(CsError::from(qb_ipc::Error::Refused(libc::EACCES)), CsError::ACCESS);
        assert_eq!(CsError::from(qb_ipc::Error::Again), CsError::TRY_AGAIN);
        assert_eq!(CsError::from(qb_ipc::Error::Disconnected(String::new())), CsError::LIBRARY);
    }
}
