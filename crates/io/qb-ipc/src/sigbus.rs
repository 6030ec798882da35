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
        slot.start.store(start, Ordering::Relaxed);
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
    let address = unsafe { (*info).si_addr() } as usize;
    for slot in blocks().flat_map(|b| &b.slots) {
        let len = slot.len.load(Ordering::Acquire);
        let start = slot.start.load(Ordering::Relaxed);
        if len > 0 && address.wrapping_sub(start) < len && replace(start, len) {
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
            // SAFETY: restores the default; the access is made again and ends
            // the process with the right signal and address.
            unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
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
