//! Mapped files of a connection, one behind the other in one range of addresses.
//!
//! The memory is shared with a process that may change it at any moment and may
//! take its pages away. It is therefore never a Rust reference to plain data:
//! single words are atomics, longer stretches are copied by raw pointer to or
//! from private memory, and what was copied is judged afterwards.
#![allow(unsafe_code)]

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use crate::sigbus::Guard;

/// Files mapped next to each other, readable and writable.
pub(crate) struct Region {
    base: NonNull<u8>,
    len: usize,
    /// `None` only while it is being dropped.
    guard: Option<Guard>,
}

// SAFETY: all access goes through atomics and raw copies, whose races with
// other processes are as possible as those with other threads, and are expected.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

/// The machine's page size in bytes.
pub(crate) fn page_size() -> usize {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(4096)
}

impl Region {
    /// Maps the first `len` bytes of each file. Returns the region and the offset
    /// of each file in it, all multiples of the page size.
    pub(crate) fn map(files: &[(BorrowedFd<'_>, usize)]) -> io::Result<(Self, Vec<usize>)> {
        let page = page_size();
        let total = files.iter().map(|(_, len)| len.next_multiple_of(page)).sum();
        let total = NonZeroUsize::new(total).ok_or(io::ErrorKind::InvalidInput)?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: reserves fresh addresses; nothing else is there.
        let base = unsafe { mmap_anonymous(None, total, ProtFlags::PROT_NONE, flags) }?;
        let start = base.addr().get();
        base.as_ptr().expose_provenance();
        let guard = Guard::new(start, total.get());
        let region = Self { base: base.cast(), len: total.get(), guard: guard.ok() };
        let mut offsets = Vec::with_capacity(files.len());
        let mut at = 0;
        for (fd, len) in files {
            let size =
                NonZeroUsize::new(len.next_multiple_of(page)).ok_or(io::ErrorKind::InvalidInput)?;
            let place = NonZeroUsize::new(start + at);
            let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
            let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
            // SAFETY: the place lies within the range reserved above.
            unsafe { mmap(place, size, protection, flags, fd, 0) }?;
            offsets.push(at);
            at += size.get();
        }
        if region.guard.is_none() {
            return Err(io::Error::other("no handler for SIGBUS could be installed"));
        }
        Ok((region, offsets))
    }

    /// Whether the peer took pages away; the region then holds private zeroes.
    pub(crate) fn torn(&self) -> bool {
        self.guard.as_ref().is_some_and(Guard::torn)
    }

    /// A word that other processes change, too.
    pub(crate) fn u32(&self, at: usize) -> &AtomicU32 {
        let pointer = self.checked(at, 4, 4);
        // SAFETY: in bounds and aligned, mapped as long as `self` lives.
        unsafe { AtomicU32::from_ptr(pointer.cast()) }
    }

    /// A signed word that other processes change, too.
    pub(crate) fn i32(&self, at: usize) -> &AtomicI32 {
        let pointer = self.checked(at, 4, 4);
        // SAFETY: in bounds and aligned, mapped as long as `self` lives.
        unsafe { AtomicI32::from_ptr(pointer.cast()) }
    }

    /// A double word that other processes change, too.
    pub(crate) fn u64(&self, at: usize) -> &AtomicU64 {
        let pointer = self.checked(at, 8, 8);
        // SAFETY: in bounds and aligned, mapped as long as `self` lives.
        unsafe { AtomicU64::from_ptr(pointer.cast()) }
    }

    /// Copies `bytes` to offset `at`.
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) {
        let pointer = self.checked(at, bytes.len(), 1);
        // SAFETY: in bounds; `bytes` is private memory, so they cannot overlap.
        unsafe { pointer.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// Appends the `len` bytes at offset `at` to `out`.
    pub(crate) fn read(&self, at: usize, len: usize, out: &mut Vec<u8>) {
        let pointer = self.checked(at, len, 1);
        out.reserve(len);
        // SAFETY: in bounds; there is room for `len` bytes behind the present
        // ones, and they are initialised before the length says so.
        unsafe {
            out.as_mut_ptr().add(out.len()).copy_from_nonoverlapping(pointer, len);
            out.set_len(out.len() + len);
        }
    }

    /// The pointer to `len` bytes at `at`. Offsets are computed by us from sizes
    /// that we chose or checked: one outside is a mistake of this crate.
    fn checked(&self, at: usize, len: usize, align: usize) -> *mut u8 {
        let end = at.checked_add(len).expect("offsets are small");
        assert!(end <= self.len && at.is_multiple_of(align), "{at}+{len} of {}", self.len);
        // SAFETY: the offset was just checked against the length.
        unsafe { self.base.as_ptr().add(at) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // The addresses may be mapped anew the moment they are free, so they
        // leave the handler's list first.
        self.guard = None;
        // SAFETY: the range was mapped by `map`, and no borrow outlives `self`.
        let _ = unsafe { munmap(self.base.cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::sync::atomic::Ordering;

    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;

    fn file(len: u64) -> File {
        let file = File::from(memfd_create("qb-ipc-test", MFdFlags::empty()).unwrap());
        file.set_len(len).unwrap();
        file
    }

    #[test]
    fn files_lie_next_to_each_other() {
        let (a, b) = (file(24), file(8192));
        let (region, offsets) = Region::map(&[(a.as_fd(), 24), (b.as_fd(), 8192)]).unwrap();
        assert_eq!(offsets, [0, page_size()]);
        region.write(offsets[1], b"hello");
        let mut out = vec![b'>'];
        region.read(offsets[1], 5, &mut out);
        assert_eq!(out, b">hello");
        region.u32(8).store(7, Ordering::Relaxed);
        assert_eq!(region.u64(8).load(Ordering::Relaxed), 7);
        assert!(!region.torn());
    }

    #[test]
    fn a_truncated_file_costs_its_own_region_only() {
        let (a, b) = (file(8192), file(8192));
        let (torn, _) = Region::map(&[(a.as_fd(), 8192)]).unwrap();
        let (whole, _) = Region::map(&[(b.as_fd(), 8192)]).unwrap();
        torn.write(0, &[1; 8192]);
        whole.write(0, &[1; 8192]);
        a.set_len(0).unwrap();
        assert_eq!(torn.u32(4096).load(Ordering::Relaxed), 0);
        assert!(torn.torn());
        let mut out = Vec::new();
        torn.read(0, 8192, &mut out);
        assert!(out.iter().all(|b| *b == 0));
        torn.write(0, &[2; 8192]);
        assert!(!whole.torn());
        whole.read(0, 1, &mut out);
        assert_eq!(out.last(), Some(&1));
    }

    #[test]
    fn many_regions_can_be_torn_in_many_threads() {
        let tear = || {
            for _ in 0..100 {
                let a = file(4096);
                let (region, _) = Region::map(&[(a.as_fd(), 4096)]).unwrap();
                a.set_len(0).unwrap();
                region.write(0, &[1; 4096]);
                assert!(region.torn());
            }
        };
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(tear);
            }
        });
    }

    #[test]
    #[should_panic(expected = "of 4096")]
    fn an_offset_outside_is_our_mistake() {
        let a = file(4096);
        let (region, _) = Region::map(&[(a.as_fd(), 4096)]).unwrap();
        region.u32(4096);
    }
}
