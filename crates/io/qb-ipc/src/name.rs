//! Service names and the addresses that stand for them.
//!
//! Abstract names are padded with zeroes to the full length of `sun_path`, as
//! libqb passes `sizeof(struct sockaddr_un)` to `bind` and `connect`; a name of
//! its exact length would be another address. Where the administrator made
//! `/etc/libqb/force-filesystem-sockets`, names are paths instead.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Its existence turns names into paths.
const FORCE_FILE: &str = "/etc/libqb/force-filesystem-sockets";
/// The folder of Debian's libqb for sockets with paths.
const SOCKET_FOLDER: &str = "/run";
/// Bytes of `sun_path`.
const SUN_PATH: usize = 108;
/// Longest abstract name: one byte goes to the leading zero, one stays zero.
const NAME_MAX: usize = SUN_PATH - 2;

/// How service names become addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// In the abstract namespace of the network namespace.
    Abstract,
    /// As a socket file in this folder.
    Filesystem(PathBuf),
}

impl Naming {
    /// What this machine's administrator decided.
    pub fn from_system() -> Self {
        Self::decide(Path::new(FORCE_FILE), Path::new(SOCKET_FOLDER))
    }

    /// [`Naming::Filesystem`] in `folder` if `force_file` exists.
    pub fn decide(force_file: &Path, folder: &Path) -> Self {
        if force_file.exists() { Self::Filesystem(folder.into()) } else { Self::Abstract }
    }

    /// The address of a service's stream socket.
    pub(crate) fn service(&self, name: &str) -> io::Result<SocketAddr> {
        check(name)?;
        match self {
            Self::Abstract => padded(name),
            Self::Filesystem(folder) => SocketAddr::from_pathname(folder.join(name)),
        }
    }

    /// The path of a service's stream socket, if it has one.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        match self {
            Self::Abstract => None,
            Self::Filesystem(folder) => Some(folder.join(name)),
        }
    }
}

/// The address of a connection's datagram socket: its name begins with a slash
/// and is abstract even where services have paths.
pub(crate) fn datagram(base: &str, suffix: &str) -> io::Result<SocketAddr> {
    padded(&format!("{base}-{suffix}"))
}

fn check(name: &str) -> io::Result<()> {
    let plain = !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != "..";
    if plain && name.len() <= NAME_MAX {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a service name: {name:?}")))
}

fn padded(name: &str) -> io::Result<SocketAddr> {
    if name.len() > NAME_MAX {
        let text = format!("longer than {NAME_MAX} bytes: {name:?}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let mut bytes = [0; SUN_PATH - 1];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    SocketAddr::from_abstract_name(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abstract_names_fill_the_address() {
        let address = Naming::Abstract.service("cpg").unwrap();
        let name = address.as_abstract_name().unwrap();
        assert_eq!(name.len(), 107);
        assert_eq!(&name[..4], b"cpg\0");
        assert!(name[3..].iter().all(|b| *b == 0));
    }

    #[test]
    fn names_with_slashes_or_without_letters_are_refused() {
        for name in ["", ".", "..", "../cpg", "a/b", "a\0b", &"x".repeat(107)] {
            assert!(Naming::Abstract.service(name).is_err(), "{name:?}");
            assert!(Naming::Filesystem("/run".into()).service(name).is_err(), "{name:?}");
        }
        assert!(Naming::Abstract.service(&"x".repeat(106)).is_ok());
    }

    #[test]
    fn the_force_file_decides() {
        let here = Path::new("/proc/self/status");
        let run = Path::new("/run/x");
        assert_eq!(Naming::decide(here, run), Naming::Filesystem(run.into()));
        assert_eq!(Naming::decide(Path::new("/nonexistent"), run), Naming::Abstract);
    }
}
