//! The process-shared `sem_t` of glibc on 64-bit machines, by its memory.
//!
//! One 64-bit word holds the value (low half) and the number of waiters (high
//! half); the futex is the low half. Working on the word itself, rather than
//! through libc, lets a reader look without a system call, spin for a moment,
//! and wait for the semaphore together with something else.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
compile_error!("the layout of sem_t is known for 64-bit little-endian machines only");

const WAITER: u64 = 1 << 32;
const VALUE: u64 = WAITER - 1;
/// glibc refuses to count further.
const VALUE_MAX: u64 = i32::MAX as u64;
/// What `sem_init(.., pshared = 1, ..)` writes behind the word.
pub(crate) const SHARED: u32 = 0x80;

/// A view of a semaphore in shared memory.
#[derive(Clone, Copy)]
pub(crate) struct Semaphore<'a> {
    word: &'a AtomicU64,
}

impl<'a> Semaphore<'a> {
    pub(crate) fn new(word: &'a AtomicU64) -> Self {
        Self { word }
    }

    /// How many posts have not been taken yet, as far as the memory says.
    pub(crate) fn value(self) -> u32 {
        (self.word.load(Ordering::Acquire) & VALUE) as u32
    }

    /// Takes one post, if there is one.
    pub(crate) fn try_wait(self) -> bool {
        let take = |data: u64| (data & VALUE > 0).then(|| data - 1);
        self.word.fetch_update(Ordering::Acquire, Ordering::Relaxed, take).is_ok()
    }

    /// Posts once. `false` if the count is at its limit, which an honest peer
    /// never lets happen.
    pub(crate) fn post(self) -> bool {
        let add = |data: u64| (data & VALUE < VALUE_MAX).then(|| data + 1);
        match self.word.fetch_update(Ordering::Release, Ordering::Relaxed, add) {
            Ok(before) if before >= WAITER => wake(self.futex()),
            Ok(_) => {}
            Err(_) => return false,
        }
        true
    }

    /// Waits until there is a post, without taking it, or until the time is
    /// over. May return early.
    pub(crate) fn wait(self, timeout: Duration) {
        self.word.fetch_add(WAITER, Ordering::Relaxed);
        if self.value() == 0 {
            wait_while(self.futex(), 0, true, timeout);
        }
        self.leave();
    }

    /// [`Semaphore::wait`] that also ends when `other`, a word of this process,
    /// is no longer `expected`.
    pub(crate) fn wait_or(self, other: &AtomicU32, expected: u32, timeout: Duration) {
        self.word.fetch_add(WAITER, Ordering::Relaxed);
        if self.value() == 0 {
            wait_two(self.futex(), other, expected, timeout);
        }
        self.leave();
    }

    /// One waiter fewer; a hostile peer's count does not run below zero.
    fn leave(self) {
        let fewer = |data: u64| (data >= WAITER).then(|| data - WAITER);
        let _ = self.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
    }

    fn futex(self) -> *const u32 {
        self.word.as_ptr().cast_const().cast()
    }
}

/// Waits while the private `word` is `expected`. May return early.
pub(crate) fn wait_private(word: &AtomicU32, expected: u32, timeout: Duration) {
    wait_while(word.as_ptr(), expected, false, timeout);
}

/// Wakes whoever waits for the private `word`.
pub(crate) fn wake_private(word: &AtomicU32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: waking reads no memory.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, i32::MAX) };
}

fn wake(futex: *const u32) {
    // SAFETY: waking reads no memory.
    unsafe { libc::syscall(libc::SYS_futex, futex, libc::FUTEX_WAKE, 1) };
}

fn wait_while(futex: *const u32, expected: u32, shared: bool, timeout: Duration) {
    let operation = libc::FUTEX_WAIT | if shared { 0 } else { libc::FUTEX_PRIVATE_FLAG };
    let timeout = timespec(timeout);
    // SAFETY: the kernel reads one word, and reports a lost page as an error.
    unsafe { libc::syscall(libc::SYS_futex, futex, operation, expected, &raw const timeout) };
}

/// How long the fallback for old kernels waits before it looks at the second
/// word again.
const FALLBACK: Duration = Duration::from_millis(20);

/// Waits for two words at once (`futex_waitv`, Linux 5.16).
fn wait_two(shared: *const u32, private: &AtomicU32, expected: u32, timeout: Duration) {
    const FUTEX2_SIZE_U32: u32 = 2;
    const FUTEX2_PRIVATE: u32 = 128;
    #[repr(C)]
    struct Waiter {
        value: u64,
        address: u64,
        flags: u32,
        reserved: u32,
    }
    let waiter = |value: u32, address: *const u32, flags| Waiter {
        value: u64::from(value),
        address: address.expose_provenance() as u64,
        flags,
        reserved: 0,
    };
    let waiters = [
        waiter(0, shared, FUTEX2_SIZE_U32),
        waiter(expected, private.as_ptr(), FUTEX2_SIZE_U32 | FUTEX2_PRIVATE),
    ];
    let deadline = deadline(timeout);
    // SAFETY: the array and the deadline outlive the call; the kernel reads the
    // two words and reports a lost page as an error.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            waiters.as_ptr(),
            waiters.len(),
            0,
            &raw const deadline,
            libc::CLOCK_MONOTONIC,
        )
    };
    if result == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) {
        wait_while(shared, 0, true, timeout.min(FALLBACK));
    }
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX / 2),
        tv_nsec: libc::c_long::from(duration.subsec_nanos().cast_signed()),
    }
}

/// The moment `timeout` from now on the monotonic clock.
fn deadline(timeout: Duration) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call only fills in `now`.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let mut at = timespec(timeout);
    at.tv_sec = at.tv_sec.saturating_add(now.tv_sec);
    at.tv_nsec += now.tv_nsec;
    if at.tv_nsec >= 1_000_000_000 {
        at.tv_nsec -= 1_000_000_000;
        at.tv_sec = at.tv_sec.saturating_add(1);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn it_counts() {
        let word = AtomicU64::new(0);
        let semaphore = Semaphore::new(&word);
        assert!(!semaphore.try_wait());
        assert!(semaphore.post() && semaphore.post());
        assert_eq!(semaphore.value(), 2);
        assert!(semaphore.try_wait() && semaphore.try_wait() && !semaphore.try_wait());
        word.store(VALUE_MAX, Ordering::Relaxed);
        assert!(!semaphore.post());
    }

    #[test]
    fn a_post_ends_a_wait() {
        let word = AtomicU64::new(0);
        std::thread::scope(|s| {
            let waiter = s.spawn(|| {
                while Semaphore::new(&word).value() == 0 {
                    Semaphore::new(&word).wait(LONG);
                }
            });
            Semaphore::new(&word).post();
            waiter.join().unwrap();
        });
        assert_eq!(word.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn either_word_ends_a_wait_for_two() {
        for by_post in [true, false] {
            let (word, other) = (AtomicU64::new(0), AtomicU32::new(0));
            std::thread::scope(|s| {
                let waiter = s.spawn(|| {
                    while Semaphore::new(&word).value() == 0 && other.load(Ordering::Acquire) == 0 {
                        Semaphore::new(&word).wait_or(&other, 0, LONG);
                    }
                });
                if by_post {
                    Semaphore::new(&word).post();
                } else {
                    other.store(1, Ordering::Release);
                    wake_private(&other);
                }
                waiter.join().unwrap();
            });
            assert!(word.load(Ordering::Relaxed) < WAITER);
        }
    }

    #[test]
    fn waits_end_in_time() {
        let (word, other) = (AtomicU64::new(0), AtomicU32::new(0));
        Semaphore::new(&word).wait(Duration::from_millis(1));
        Semaphore::new(&word).wait_or(&other, 0, Duration::from_millis(1));
        wait_private(&other, 0, Duration::from_millis(1));
        assert_eq!(word.load(Ordering::Relaxed), 0);
    }
}
