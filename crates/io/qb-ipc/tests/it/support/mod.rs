//! Names, programs, services and processes for the tests.

mod programs;
mod service;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) use programs::{Program, c_client, c_server};
pub(crate) use service::{Log, Service};

/// Body bytes that both sides can compute.
pub(crate) fn pattern(seed: u32, len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| {
            let at = at as u32;
            (seed.wrapping_mul(31).wrapping_add(at.wrapping_mul(7)).wrapping_add(at >> 8)) as u8
        })
        .collect()
}

pub(crate) const ASK_EVENTS: i32 = 1000;
pub(crate) const ASK_FLOW: i32 = 1001;
pub(crate) const ASK_CLOSE: i32 = 1002;
pub(crate) const ASK_DIE: i32 = 1003;
pub(crate) const ECHO_ERROR: i32 = 7;

/// A service name that no other test uses.
pub(crate) fn unique(stem: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("t-{stem}-{}-{count}", std::process::id())
}

/// Waits for a condition, for as long as a slow machine may need.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The tests change users, which root alone can.
pub(crate) fn need_root() {
    let root = nix::unistd::geteuid().is_root();
    assert!(root, "these tests become other users: run them as root");
}

/// Folders in /dev/shm that the server `pid` made and that are still there.
pub(crate) fn folders_of(pid: u32) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir("/dev/shm").unwrap().flatten();
    let ours = format!("qb-{pid}-");
    entries
        .filter(|e| e.file_name().to_string_lossy().starts_with(&ours))
        .map(|e| e.path())
        .collect()
}
