//! The service manager's notification protocol (`sd_notify(3)`): one datagram
//! to the socket that `NOTIFY_SOCKET` names.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::{env, io};

use crate::clock;

/// What the service manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Clients are served from now on.
    Ready,
    /// The configuration is being read again; `Ready` follows.
    Reloading,
    /// The daemon is on its way out.
    Stopping,
}

/// The service manager, if one started us and wants to know.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    /// Finds the service manager by the environment.
    pub(crate) fn from_env() -> io::Result<Self> {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let to = match name.as_bytes() {
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
            path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Some((socket, to)) })
    }

    /// Tells it. Never waits: a manager whose socket is full misses it.
    pub(crate) fn tell(&self, state: State) {
        let Some((socket, to)) = &self.socket else { return };
        let text = match state {
            State::Ready => "READY=1\n".to_string(),
            State::Reloading => {
                // The manager compares this with its CLOCK_MONOTONIC.
                format!("RELOADING=1\nMONOTONIC_USEC={}\n", clock::monotonic_us())
            }
            State::Stopping => "STOPPING=1\n".to_string(),
        };
        if let Err(error) = socket.send_to_addr(text.as_bytes(), to) {
            tracing::warn!("The service manager was not told {state:?}: {error}");
        }
    }
}
