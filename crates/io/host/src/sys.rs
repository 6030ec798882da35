//! The system calls that neither the standard library nor `nix` offers safely.
//!
//! Each function is a thin, total wrapper: sizes come from the types, results
//! become `io::Result`, and nothing here decides anything.
#![allow(unsafe_code)] // the kernel's interface is C

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use tokio::io::unix::AsyncFd;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Seconds east of UTC of the local time zone at `wall_s`.
pub(crate) fn utc_offset_s(wall_s: i64) -> i32 {
    let mut local = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call; localtime_r writes only `local`,
    // which all-zero bytes initialize should it fail.
    let offset = unsafe {
        libc::localtime_r(&wall_s, local.as_mut_ptr());
        local.assume_init().tm_gmtoff
    };
    i32::try_from(offset).unwrap_or(0)
}

/// Reads the time zone of the environment and `/etc/localtime` again.
pub(crate) fn reload_time_zone() {
    unsafe extern "C" {
        fn tzset();
    }
    // SAFETY: tzset takes nothing and locks glibc's own state.
    unsafe { tzset() }
}

/// A descriptor that becomes readable when the child `pid` has ended.
///
/// Only meaningful while the caller has not reaped the child.
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    let pid = libc::c_long::from(pid);
    // SAFETY: the call has no pointer arguments.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0_i64) };
    let fd = libc::c_int::try_from(fd).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: a non-negative result is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(check(fd)?) })
}

/// Lets the runtime tell when `fd` is ready.
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd names the same open descriptor until it is dropped.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)
}

/// Keeps the pages of `words` in memory. They are given back with the process.
pub(crate) fn lock_memory<T>(words: &[T]) -> io::Result<()> {
    // SAFETY: the range is a live allocation; mlock does not change its contents.
    check(unsafe { libc::mlock(words.as_ptr().cast(), size_of_val(words)) }).map(drop)
}

/// The calling thread's scheduling policy and static priority.
pub(crate) fn scheduler() -> io::Result<(i32, i32)> {
    let mut param = libc::sched_param { sched_priority: 0 };
    // SAFETY: `param` is valid for the call; 0 is the calling thread.
    let policy = check(unsafe { libc::sched_getscheduler(0) })?;
    // SAFETY: as above.
    check(unsafe { libc::sched_getparam(0, &mut param) })?;
    Ok((policy, param.sched_priority))
}

/// Makes the calling thread round-robin real-time at `priority`; what it forks
/// and the threads it makes get the default class.
pub(crate) fn set_round_robin(priority: i32) -> io::Result<()> {
    let param = libc::sched_param { sched_priority: priority };
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: `param` is valid for the call; 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, policy, &param) }).map(drop)
}

/// The calling thread's permitted capabilities.
pub(crate) fn permitted_capabilities() -> io::Result<u64> {
    let header = CapabilityHeader::default();
    let mut data = [[0_u32; 3]; 2];
    // SAFETY: header and data have the layout of version 3: three u32 twice.
    let result = unsafe { libc::syscall(libc::SYS_capget, &header, data.as_mut_ptr()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from(data[0][1]) | u64::from(data[1][1]) << 32)
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: libc::c_int,
}

impl Default for CapabilityHeader {
    /// Version 3 of the interface, for the calling thread.
    fn default() -> Self {
        Self { version: 0x2008_0522, pid: 0 }
    }
}

/// Sets the calling thread's effective, permitted and inheritable capabilities.
pub(crate) fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> io::Result<()> {
    let header = CapabilityHeader::default();
    let half = |set: u64, high: bool| {
        let word = if high { set >> 32 } else { set & 0xffff_ffff };
        u32::try_from(word).expect("half of 64 bits fits 32")
    };
    let data = [false, true]
        .map(|high| [half(effective, high), half(permitted, high), half(inheritable, high)]);
    // SAFETY: header and data have the layout of version 3: three u32 twice.
    let result = unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Takes capability `number` from what the process can ever get back by exec;
/// false when the kernel does not know it.
pub(crate) fn drop_bounding(number: u32) -> io::Result<bool> {
    let number = libc::c_ulong::from(number);
    // SAFETY: these prctl calls take plain numbers.
    let known = unsafe { libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) };
    if known < 0 {
        return Ok(false);
    }
    // SAFETY: as above.
    check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) }).map(|_| true)
}

/// What children inherit: this process as it was before it took a scheduling
/// class, locked memory, lowered its OOM score or set a umask.
#[derive(Clone, Debug)]
pub(crate) struct Baseline {
    pub(crate) policy: i32,
    pub(crate) priority: i32,
    pub(crate) nice: i32,
    pub(crate) oom_score_adj: Vec<u8>,
    pub(crate) limits: Vec<(u32, u64, u64)>,
    pub(crate) umask: u32,
}

/// Arranges that the child is what this process was when `baseline` was taken:
/// scheduling class, nice value, OOM score, limits, umask; in a process group of its own,
/// with no signal blocked and no descriptor but the three standard ones.
pub(crate) fn isolate(command: &mut Command, baseline: &'static Baseline) {
    command.process_group(0);
    // SAFETY: the closure runs between fork and exec of a process that may have
    // threads: it only makes async-signal-safe calls and allocates nothing.
    unsafe { command.pre_exec(move || become_child(baseline)) };
}

/// Runs in the child; see [`isolate`]. What the child may be denied (raising a
/// limit back as an ordinary user) is no reason not to run it.
fn become_child(baseline: &Baseline) -> io::Result<()> {
    let param = libc::sched_param { sched_priority: baseline.priority };
    // SAFETY: plain system calls with pointers to live data.
    unsafe {
        libc::sched_setscheduler(0, baseline.policy, &param);
        libc::setpriority(libc::PRIO_PROCESS, 0, baseline.nice);
        write_file(c"/proc/self/oom_score_adj", &baseline.oom_score_adj);
        for (resource, soft, hard) in &baseline.limits {
            let limit = libc::rlimit { rlim_cur: *soft, rlim_max: *hard };
            libc::setrlimit(*resource, &limit);
        }
        libc::umask(baseline.umask);
        let mut none = MaybeUninit::<libc::sigset_t>::zeroed();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
        for signal in 1..=libc::SIGSYS {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
    close_others_on_exec()
}

/// # Safety
/// None beyond the kernel's: async-signal-safe calls on live data.
unsafe fn write_file(path: &CStr, bytes: &[u8]) {
    // SAFETY: the path ends in NUL and the buffer is live.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd >= 0 {
            libc::write(fd, bytes.as_ptr().cast(), bytes.len());
            libc::close(fd);
        }
    }
}

/// Marks every descriptor from 3 so that exec closes it: also those that the
/// daemon itself inherited from a careless parent.
fn close_others_on_exec() -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_ulong = 4;
    let (first, last) = (3 as libc::c_ulong, libc::c_ulong::from(u32::MAX));
    // SAFETY: plain numbers.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, CLOSE_RANGE_CLOEXEC) } == 0 {
        return Ok(());
    }
    for fd in 3..65_536 {
        // SAFETY: plain numbers; a closed descriptor is EBADF, which is fine.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// Sets SIGCHLD to its default: a parent that ignored it would have left us
/// children that vanish before they can be asked for their status.
pub(crate) fn default_sigchld() {
    // SAFETY: SIG_DFL installs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// The process's umask.
pub(crate) fn umask() -> u32 {
    // SAFETY: umask cannot fail; it is set back at once. Called before threads start.
    unsafe {
        let mask = libc::umask(0o077);
        libc::umask(mask);
        mask
    }
}

/// A resource limit: soft and hard.
pub(crate) fn limit(resource: u32) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for the call.
    check(unsafe { libc::getrlimit(resource, &mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// The calling thread's nice value.
pub(crate) fn nice() -> i32 {
    // SAFETY: plain numbers. -1 is also a valid value; an error cannot happen for oneself.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// Room for a batch of datagrams, received by one system call.
pub(crate) struct Batch {
    buffers: Vec<Box<[u8]>>,
}

impl Batch {
    /// Room for `count` datagrams of up to `size` bytes.
    pub(crate) fn new(count: usize, size: usize) -> Self {
        Self { buffers: (0..count).map(|_| vec![0; size].into_boxed_slice()).collect() }
    }

    /// Receives what is there without waiting; truncated datagrams are left out.
    pub(crate) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        max: usize,
    ) -> io::Result<Vec<(SocketAddr, Vec<u8>)>> {
        let count = max.min(self.buffers.len());
        // SAFETY: all-zero bytes are valid for these C structures.
        let mut names: Vec<libc::sockaddr_storage> = vec![unsafe { std::mem::zeroed() }; count];
        let mut parts =
            io_parts(self.buffers[..count].iter_mut().map(|b| (b.as_mut_ptr(), b.len())));
        let mut headers =
            message_headers(&mut names, &mut parts, |_| size_of::<libc::sockaddr_storage>());
        let len = libc::c_uint::try_from(count).unwrap_or(0);
        // SAFETY: every header points to a live name, part and buffer of the stated sizes.
        let got = check(unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                len,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        })?;
        let got = usize::try_from(got).unwrap_or(0);
        let whole = headers[..got].iter().zip(&names).zip(&self.buffers);
        let whole = whole.filter(|((h, _), _)| h.msg_hdr.msg_flags & libc::MSG_TRUNC == 0);
        Ok(whole
            .filter_map(|((h, name), b)| Some((address(name)?, b[..h.msg_len as usize].to_vec())))
            .collect())
    }
}

/// Sends datagrams in order by one system call; how many the kernel took.
pub(crate) fn send_batch(
    socket: BorrowedFd<'_>,
    datagrams: &[(SocketAddr, Vec<u8>)],
) -> io::Result<usize> {
    let (mut names, lengths): (Vec<_>, Vec<_>) =
        datagrams.iter().map(|(to, _)| c_address(*to)).unzip();
    // The kernel only reads what it sends, so the cast to a mutable pointer is nominal.
    let mut parts = io_parts(datagrams.iter().map(|(_, b)| (b.as_ptr().cast_mut(), b.len())));
    let mut headers = message_headers(&mut names, &mut parts, |i| lengths[i]);
    let len = libc::c_uint::try_from(headers.len()).unwrap_or(libc::c_uint::MAX);
    // SAFETY: every header points to a live name, part and datagram of the stated sizes.
    let sent = check(unsafe {
        libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), len, libc::MSG_DONTWAIT)
    })?;
    Ok(usize::try_from(sent).unwrap_or(0))
}

fn io_parts(buffers: impl Iterator<Item = (*mut u8, usize)>) -> Vec<libc::iovec> {
    buffers.map(|(base, len)| libc::iovec { iov_base: base.cast(), iov_len: len }).collect()
}

fn message_headers(
    names: &mut [libc::sockaddr_storage],
    parts: &mut [libc::iovec],
    name_len: impl Fn(usize) -> usize,
) -> Vec<libc::mmsghdr> {
    let pairs = names.iter_mut().zip(parts).enumerate();
    pairs
        .map(|(i, (name, part))| {
            // SAFETY: all-zero bytes are a valid (empty) header.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = libc::socklen_t::try_from(name_len(i)).unwrap_or(0);
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header
        })
        .collect()
}

fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let at = std::ptr::from_ref(name);
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: sockaddr_storage is large and aligned enough for every family.
            let v4 = unsafe { &*at.cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*at.cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn c_address(address: SocketAddr) -> (libc::sockaddr_storage, usize) {
    let c = socket2::SockAddr::from(address);
    // SAFETY: all-zero bytes are a valid storage, and `c` holds len() bytes of at most its size.
    unsafe {
        let mut storage: libc::sockaddr_storage = std::mem::zeroed();
        let to = std::ptr::from_mut(&mut storage).cast::<u8>();
        std::ptr::copy_nonoverlapping(c.as_ptr().cast::<u8>(), to, c.len() as usize);
        (storage, c.len() as usize)
    }
}
