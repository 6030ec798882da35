//! One handler for SIGBUS, so that a mapped file may lose its pages.
//!
//! Ranges are registered in blocks that are never freed, linked by atomics: the
//! handler takes no lock and allocates nothing. When a fault lies in a range, the
//! range is replaced by private zeroes and marked as torn, and the access is made
//! again. Any other fault goes to the handler that was installed before, which
//! for Rust programs is the one of the standard library.
//!
//! A thread that blocks SIGBUS must not touch mapped memory: the kernel would
//! end the process.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

const SLOTS: usize = 128;

/// A registered range; a free one has length zero.
struct Slot {
    start: AtomicUsize,
    len: AtomicUsize,
    torn: AtomicBool,
}

struct Block {
    slots: [Slot; SLOTS],
    next: AtomicPtr<Block>,
}

static FIRST: AtomicPtr<Block> = AtomicPtr::new(ptr::null_mut());
/// Held while slots are taken or given back; never by the handler.
static CHANGES: Mutex<()> = Mutex::new(());
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// The registration of one range; dropping it ends the protection.
pub(crate) struct Guard {
    slot: &'static Slot,
}

impl Guard {
    /// Protects the `len` bytes from `start`, which must be whole pages mapped
    /// by the caller and unmapped only after the guard is gone.
    pub(crate) fn new(start: usize, len: usize) -> io::Result<Self> {
        install()?;
        let _changes = CHANGES.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = free_slot();
        slot.torn.store(false, Ordering::Relaxed);
        slot.start.store(start, Ordering::Release);
        slot.len.store(len, Ordering::Release);
        Ok(Self { slot })
    }

    /// Whether a page of the range was lost.
    pub(crate) fn torn(&self) -> bool {
        self.slot.torn.load(Ordering::Acquire)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _changes = CHANGES.lock().unwrap_or_else(PoisonError::into_inner);
        self.slot.len.store(0, Ordering::Release);
    }
}

fn blocks() -> impl Iterator<Item = &'static Block> {
    let mut at = FIRST.load(Ordering::Acquire);
    std::iter::from_fn(move || {
        // SAFETY: blocks are leaked boxes, hence valid for ever once linked.
        let block = unsafe { at.as_ref() }?;
        at = block.next.load(Ordering::Acquire);
        Some(block)
    })
}

/// A slot of length zero; the caller holds `CHANGES`.
fn free_slot() -> &'static Slot {
    let free = |slot: &&Slot| slot.len.load(Ordering::Relaxed) == 0;
    if let Some(slot) = blocks().flat_map(|b| &b.slots).find(free) {
        return slot;
    }
    let slots = std::array::from_fn(|_| Slot {
        start: AtomicUsize::new(0),
        len: AtomicUsize::new(0),
        torn: AtomicBool::new(false),
    });
    let next = AtomicPtr::new(FIRST.load(Ordering::Relaxed));
    let block: &'static mut Block = Box::leak(Box::new(Block { slots, next }));
    FIRST.store(block, Ordering::Release);
    &block.slots[0]
}

fn install() -> io::Result<()> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if PREVIOUS.get().is_some() {
        return Ok(());
    }
    let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the call only writes the present action to `previous`.
    if unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), previous.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above filled it in. Known before the handler can run.
    let _ = PREVIOUS.set(unsafe { previous.assume_init() });
    // SAFETY: zeroes are a valid action, whose mask and flags are set below.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = on_sigbus as extern "C" fn(_, _, _) as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `on_sigbus` has the signature that SA_SIGINFO asks for and calls
    // only what a signal handler may call.
    if unsafe { libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

extern "C" fn on_sigbus(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid pointer, and SIGBUS has
    // an address.
    let (address, sent) = unsafe { ((*info).si_addr() as usize, (*info).si_code <= 0) };
    if sent {
        // By a process, not by a fault: there is no address.
        return chain(signal, info, context);
    }
    for slot in blocks().flat_map(|b| &b.slots) {
        let len = slot.len.load(Ordering::Acquire);
        let start = slot.start.load(Ordering::Acquire);
        // Another thread may be giving the slot to another range, whose start is
        // nothing to go with this length.
        let same = slot.len.load(Ordering::Acquire) == len;
        if same && len > 0 && address.wrapping_sub(start) < len && replace(start, len) {
            slot.torn.store(true, Ordering::Release);
            return;
        }
    }
    chain(signal, info, context);
}

/// Puts private zeroes where the file was mapped.
fn replace(start: usize, len: usize) -> bool {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    let start = ptr::with_exposed_provenance_mut(start);
    // SAFETY: the range belongs to a registered mapping, which stays of the same
    // size and protection; errno is restored for the code that was interrupted.
    unsafe {
        let errno = *libc::__errno_location();
        let mapped = libc::mmap(start, len, protection, flags, -1, 0);
        *libc::__errno_location() = errno;
        mapped == start
    }
}

/// Lets the previous handler judge a fault that is none of ours.
fn chain(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    type WithInfo = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);
    type Plain = extern "C" fn(i32);
    let Some(previous) = PREVIOUS.get() else { return };
    match previous.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: as above.
            let sent = unsafe { (*info).si_code } <= 0;
            if sent && previous.sa_sigaction == libc::SIG_IGN {
                return;
            }
            // SAFETY: restores the default; an access is made again and ends the
            // process with the right signal and address, a signal that somebody
            // sent is sent again.
            unsafe {
                libc::signal(libc::SIGBUS, libc::SIG_DFL);
                if sent {
                    libc::raise(libc::SIGBUS);
                }
            }
        }
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: the flag says that the handler has this signature.
            let handler = unsafe { std::mem::transmute::<usize, WithInfo>(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: without the flag the handler has this signature.
            let handler = unsafe { std::mem::transmute::<usize, Plain>(handler) };
            handler(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus};

    use super::*;

    /// Says to a copy of this test what it is to do.
    const ROLE: &str = "QB_IPC_SIGBUS_ROLE";
    const SEEN: i32 = 42;

    extern "C" fn foreign_with_info(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: called with what the kernel gave; `_exit` may be called here.
        unsafe { libc::_exit(if (*info).si_code > 0 { SEEN } else { SEEN + 1 }) };
    }

    extern "C" fn foreign_plain(_: i32) {
        // SAFETY: `_exit` may be called in a handler.
        unsafe { libc::_exit(SEEN) };
    }

    fn handle_by(handler: usize, flags: i32) {
        // SAFETY: zeroes are a valid action; the handler fits the flags.
        unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            action.sa_sigaction = handler;
            action.sa_flags = flags;
            assert_eq!(libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()), 0);
        }
    }

    /// Reads a mapped page that its file does not have, and that is not ours.
    fn fault() {
        // SAFETY: a fresh mapping of one page; reading it raises SIGBUS.
        unsafe {
            let fd = libc::memfd_create(c"fault".as_ptr(), 0);
            let page = libc::mmap(ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
            page.cast::<u8>().read_volatile();
        }
    }

    fn act(role: &str) {
        // SAFETY: no handler of ours is needed before `install`; no core files.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 }) };
        match role.split('-').next() {
            Some("info") => handle_by(foreign_with_info as *const () as usize, libc::SA_SIGINFO),
            Some("plain") => handle_by(foreign_plain as *const () as usize, 0),
            Some("default") => handle_by(libc::SIG_DFL, 0),
            _ => handle_by(libc::SIG_IGN, 0),
        }
        install().unwrap();
        if role.ends_with("sent") {
            // SAFETY: sends a signal to this thread.
            unsafe { libc::raise(libc::SIGBUS) };
        } else {
            fault();
        }
        std::process::exit(0);
    }

    fn run(role: &str) -> ExitStatus {
        let this = "sigbus::tests::what_is_not_ours_goes_to_whom_it_went_before";
        let mut copy = Command::new(std::env::current_exe().unwrap());
        copy.args(["--exact", this, "--nocapture"]).env(ROLE, role);
        copy.output().unwrap().status
    }

    #[test]
    fn what_is_not_ours_goes_to_whom_it_went_before() {
        if let Ok(role) = std::env::var(ROLE) {
            act(&role);
        }
        assert_eq!(run("info-fault").code(), Some(SEEN));
        assert_eq!(run("info-sent").code(), Some(SEEN + 1));
        assert_eq!(run("plain-fault").code(), Some(SEEN));
        assert_eq!(run("plain-sent").code(), Some(SEEN));
        assert_eq!(run("default-fault").signal(), Some(libc::SIGBUS));
        assert_eq!(run("default-sent").signal(), Some(libc::SIGBUS));
        assert_eq!(run("ignored-fault").signal(), Some(libc::SIGBUS));
        assert_eq!(run("ignored-sent").code(), Some(0));
    }
}
