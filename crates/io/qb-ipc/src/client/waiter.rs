//! A thread that turns the semaphore of a ring into a descriptor.
//!
//! Responses over SHM are announced by a semaphore alone, and no descriptor
//! becomes readable. The thread sleeps until it is asked to watch, then waits for
//! the semaphore and for a word by which it is called back, and writes to an
//! eventfd when there is a response. While nobody watches it costs nothing, and
//! the server no wake-up.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::ring::Ring;
use crate::semaphore::{wait_private, wake_private};

const IDLE: u32 = 0;
const WATCHING: u32 = 1;
const STOPPING: u32 = 2;
/// Files that were truncated wake nobody; then the wait ends by itself.
const SLICE: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(3600);

/// Watches one ring.
pub(super) struct Waiter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: AtomicU32,
    ring: Ring,
    event: EventFd,
}

impl Waiter {
    pub(super) fn start(ring: Ring) -> io::Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let shared = Arc::new(Shared { state: AtomicU32::new(IDLE), ring, event });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("qb-ipc-waiter".into());
        let thread = thread.spawn(move || theirs.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A descriptor that becomes readable after [`Waiter::watch`].
    pub(super) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.shared.event.as_fd().try_clone_to_owned()
    }

    /// Asks for one notice when a response is there.
    pub(super) fn watch(&self) {
        let state = &self.shared.state;
        if state.compare_exchange(IDLE, WATCHING, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            wake_private(state);
        }
    }

    /// Takes notices away, so that the descriptor waits for the next one.
    pub(super) fn clear(&self) {
        let _ = self.shared.event.read();
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.shared.state.store(STOPPING, Ordering::Release);
        wake_private(&self.shared.state);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        loop {
            match self.state.load(Ordering::Acquire) {
                IDLE => wait_private(&self.state, IDLE, LONG),
                WATCHING => self.watch(),
                _ => return,
            }
        }
    }

    fn watch(&self) {
        let semaphore = self.ring.semaphore();
        if semaphore.value() == 0 && !self.ring.torn() {
            return semaphore.wait_or(&self.state, WATCHING, SLICE);
        }
        let idle = (WATCHING, IDLE);
        if self.state.compare_exchange(idle.0, idle.1, Ordering::AcqRel, Ordering::Acquire).is_ok()
        {
            let _ = self.event.write(1);
        }
    }
}

impl AsFd for Waiter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.event.as_fd()
    }
}
