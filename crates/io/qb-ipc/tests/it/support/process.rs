//! Code of this crate in a process of its own, as another user.
//!
//! Forking is the one way to have our side killed or run by somebody else
//! without a second binary. The child runs nothing but the closure.
#![allow(unsafe_code)]

use std::io::{Read, Write};
use std::panic::AssertUnwindSafe;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, setgid, setgroups, setuid};

use super::need_root;

/// Somebody to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) extra: Option<u32>,
}

/// User 0.
pub(crate) const ROOT: User = User { uid: 0, gid: 0, extra: None };
/// Nobody that any rule knows.
pub(crate) const STRANGER: User = User { uid: 64002, gid: 64002, extra: None };

/// The cluster's user.
pub(crate) fn hacluster() -> User {
    let user = nix::unistd::User::from_name("hacluster").unwrap();
    let user = user.expect("no user hacluster: apt install pacemaker");
    User { uid: user.uid.as_raw(), gid: haclient(), extra: None }
}

/// The cluster's group.
pub(crate) fn haclient() -> u32 {
    let group = nix::unistd::Group::from_name("haclient").unwrap();
    group.expect("no group haclient: apt install pacemaker").gid.as_raw()
}

/// Somebody in the cluster's group by a supplementary membership.
pub(crate) fn member() -> User {
    User { uid: 64001, gid: 64001, extra: Some(haclient()) }
}

impl User {
    /// As the C programs take it after `-u`.
    pub(crate) fn spec(self) -> String {
        let extra = self.extra.map(|g| g.to_string()).unwrap_or_default();
        format!("{}:{}:{extra}", self.uid, self.gid)
    }

    fn become_it(self) {
        let extra: Vec<Gid> = self.extra.into_iter().map(Gid::from_raw).collect();
        setgroups(&extra).unwrap();
        setgid(Gid::from_raw(self.gid)).unwrap();
        setuid(Uid::from_raw(self.uid)).unwrap();
    }
}

/// A process that runs a closure.
pub(crate) struct Forked {
    pid: Pid,
    output: std::io::PipeReader,
    ended: bool,
}

/// Runs `work` as `user`. It may write to the pipe it is given, and what it
/// returns is written there, too; a panic becomes `panic: ..`.
pub(crate) fn run_as(user: User, work: impl FnOnce(&mut std::io::PipeWriter) -> String) -> Forked {
    need_root();
    // Nobody may wait for the compiler while a child holds what it inherited.
    for program in ["client", "server"] {
        super::programs::compiled(program);
    }
    let (reader, mut writer) = std::io::pipe().unwrap();
    // SAFETY: the child uses only memory and descriptors that it inherits, takes
    // no lock of another thread but the allocator's, which glibc makes safe, and
    // leaves by `_exit`.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => {
            drop(writer);
            Forked { pid: child, output: reader, ended: false }
        }
        ForkResult::Child => {
            drop(reader);
            std::panic::set_hook(Box::new(|_| {}));
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
                user.become_it();
                work(&mut writer)
            }));
            let text = result.unwrap_or_else(|e| {
                let text = e.downcast_ref::<String>().cloned();
                let text = text.or(e.downcast_ref::<&str>().map(ToString::to_string));
                format!("panic: {}", text.unwrap_or_default())
            });
            let _ = writer.write_all(text.as_bytes());
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { nix::libc::_exit(0) }
        }
    }
}

impl Forked {
    /// Everything it wrote, once it has ended.
    pub(crate) fn finish(mut self) -> String {
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        waitpid(self.pid, None).unwrap();
        self.ended = true;
        text
    }

    /// Waits until it has written this many bytes.
    pub(crate) fn read(&mut self, len: usize) -> String {
        let mut bytes = vec![0; len];
        self.output.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    /// kill -9, and waits for the process to be gone.
    pub(crate) fn kill(&mut self) {
        kill(self.pid, Signal::SIGKILL).unwrap();
        waitpid(self.pid, None).unwrap();
        self.ended = true;
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if !self.ended {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}
