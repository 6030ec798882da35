//! The few system calls that no safe wrapper offers.
#![allow(unsafe_code)]

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::sockopt::{PassCred, PeerCredentials, RcvBuf, SndBuf};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, UnixCredentials, getsockopt, recvmsg, sendmsg, setsockopt,
};
use sansio::edge::Credentials;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What one `recvmsg` brought.
pub(crate) struct Received {
    /// Bytes put into the buffer.
    pub(crate) len: usize,
    /// The sender, where the socket asks for credentials.
    pub(crate) sender: Option<Credentials>,
    /// The message was longer than the buffer.
    pub(crate) truncated: bool,
}

/// Receives without waiting, with the sender's credentials if the socket asks
/// for them. Descriptors that come along are closed.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    let mut control = nix::cmsg_space!(UnixCredentials, [RawFd; 4]);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let mut slices = [IoSliceMut::new(buffer)];
    let fd = socket.as_fd().as_raw_fd();
    let message = recvmsg::<()>(fd, &mut slices, Some(&mut control), flags)?;
    let mut sender = None;
    for item in message.cmsgs()? {
        match item {
            ControlMessageOwned::ScmCredentials(c) => sender = Some(credentials(c)),
            ControlMessageOwned::ScmRights(fds) => fds.into_iter().for_each(close_received),
            _ => {}
        }
    }
    let truncated = message.flags.contains(MsgFlags::MSG_TRUNC);
    Ok(Received { len: message.bytes, sender, truncated })
}

/// Sends all parts as one message without waiting and without SIGPIPE.
pub(crate) fn send(socket: impl AsFd, parts: &[&[u8]]) -> io::Result<usize> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let mut slices = [IoSlice::new(&[]), IoSlice::new(&[])];
    assert!(parts.len() <= slices.len(), "a message has a header and a body");
    for (slice, part) in slices.iter_mut().zip(parts) {
        *slice = IoSlice::new(part);
    }
    let fd = socket.as_fd().as_raw_fd();
    Ok(sendmsg::<()>(fd, &slices[..parts.len()], &[], flags, None)?)
}

/// Who made the other end of a connected stream socket; of a listener, who
/// called `listen`.
pub(crate) fn peer_credentials(socket: impl AsFd) -> io::Result<Credentials> {
    Ok(credentials(getsockopt(&socket, PeerCredentials)?))
}

/// The supplementary groups of whoever made the other end.
pub(crate) fn peer_groups(socket: impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; 32];
    loop {
        let room = groups.len() * size_of::<u32>();
        let mut len = libc::socklen_t::try_from(room).map_err(io::Error::other)?;
        // SAFETY: the buffer has `len` bytes, and the kernel writes no more.
        let result = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        let count = len as usize / size_of::<u32>();
        if result == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

/// Asks the kernel to attach the sender's credentials to what arrives, or not.
pub(crate) fn set_pass_credentials(socket: &impl AsFd, on: bool) -> io::Result<()> {
    Ok(setsockopt(socket, PassCred, &on)?)
}

/// Makes room for messages of `max` bytes, where there is less, as libqb does:
/// the kernel doubles the value and cuts it to its own limit.
pub(crate) fn set_buffer_sizes(socket: &impl AsFd, max: usize) -> io::Result<()> {
    if getsockopt(socket, SndBuf)? <= max {
        setsockopt(socket, SndBuf, &max)?;
    }
    if getsockopt(socket, RcvBuf)? <= max {
        setsockopt(socket, RcvBuf, &max)?;
    }
    Ok(())
}

/// Whether a process of this id exists; in doubt it does.
pub(crate) fn process_exists(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    pid > 0
        && nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) != Err(nix::Error::ESRCH)
}

/// Has the runtime watch a descriptor for reading.
pub(crate) fn readable(fd: impl Into<OwnedFd>) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays open and the same while the `AsyncFd`
    // owns it.
    let registered = unsafe { AsyncFd::register_with_interest(fd.into(), Interest::READABLE) };
    registered.map_err(io::Error::from)
}

fn credentials(c: UnixCredentials) -> Credentials {
    Credentials { pid: c.pid().cast_unsigned(), uid: c.uid(), gid: c.gid() }
}

fn close_received(fd: RawFd) {
    // SAFETY: the kernel just made this descriptor for us, and nobody knows it.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}
