//! Raw frames of one interface, with the offload header that lets a checksum
//! which the sender left to its hardware be filled in later.
#![allow(unsafe_code)] // No safe interface binds a packet socket to one interface.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

/// Linux's PACKET_IGNORE_OUTGOING, which the libc crate does not name everywhere.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

/// The largest offloaded frame with its header.
const FRAME_MAX: usize = 70 * 1024;

/// A socket for all frames that arrive at, or are to leave by, one interface.
pub(super) struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    pub(super) fn open(interface: &str) -> io::Result<Self> {
        let index = nix::net::if_::if_nametoindex(interface)?;
        let every = u16::try_from(libc::ETH_P_ALL).map_err(io::Error::other)?.to_be();
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: plain call without pointers.
        let raw = unsafe { libc::socket(libc::AF_PACKET, kind, libc::c_int::from(every)) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and nothing else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        let socket = PacketSocket { fd };
        socket.set(libc::PACKET_VNET_HDR)?;
        socket.set(PACKET_IGNORE_OUTGOING)?;
        let pause = TimeVal::milliseconds(200);
        setsockopt(&socket.fd, sockopt::ReceiveTimeout, &pause)?;
        socket.bind(index, every)?;
        Ok(socket)
    }

    fn set(&self, option: libc::c_int) -> io::Result<()> {
        let on: libc::c_int = 1;
        let size = socklen::<libc::c_int>()?;
        // SAFETY: `on` outlives the call and `size` is its size.
        let done = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_PACKET,
                option,
                (&raw const on).cast(),
                size,
            )
        };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn bind(&self, index: u32, protocol: u16) -> io::Result<()> {
        // SAFETY: all bytes zero is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
        address.sll_protocol = protocol;
        address.sll_ifindex = i32::try_from(index).map_err(io::Error::other)?;
        let size = socklen::<libc::sockaddr_ll>()?;
        // SAFETY: `address` outlives the call and `size` is its size.
        let done = unsafe { libc::bind(self.fd.as_raw_fd(), (&raw const address).cast(), size) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The next frame; none when there was none for a while.
    pub(super) fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        let mut frame = vec![0; FRAME_MAX];
        match nix::unistd::read(self.fd.as_fd(), &mut frame) {
            Ok(size) => {
                frame.truncate(size);
                Ok(Some(frame))
            }
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Sends one frame.
    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        Ok(nix::unistd::write(self.fd.as_fd(), frame).map(drop)?)
    }
}

/// The size of a type, as socket calls take it.
fn socklen<T>() -> io::Result<libc::socklen_t> {
    libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)
}
