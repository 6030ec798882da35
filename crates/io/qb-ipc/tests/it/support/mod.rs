//! Names, programs, services and processes for the tests.

pub(crate) mod logs;
mod process;
mod programs;
pub(crate) mod raw;
mod service;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use qb_ipc::{ConnectOptions, Naming, ServerConfig, Transport};

pub(crate) use process::{Forked, ROOT, STRANGER, User, haclient, hacluster, member, run_as};
pub(crate) use programs::{c_client, c_server};
pub(crate) use service::{Log, Service, serve};

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

/// A folder for one service's connections, apart from those of other tests.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = Path::new("/dev/shm").join(unique("dir"));
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        Self(path)
    }

    /// What is in it.
    pub(crate) fn entries(&self) -> Vec<PathBuf> {
        std::fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().path()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
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
pub(crate) fn folders_of(pid: u32) -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/dev/shm").unwrap().flatten();
    let ours = format!("qb-{pid}-");
    entries
        .filter(|e| e.file_name().to_string_lossy().starts_with(&ours))
        .map(|e| e.path())
        .collect()
}

/// A service under abstract names, whatever this machine prefers.
pub(crate) fn config(name: &str, transport: Transport) -> ServerConfig {
    ServerConfig { transport, naming: Naming::Abstract, ..ServerConfig::new(name) }
}

/// [`config`] with a folder of its own.
pub(crate) fn config_in(name: &str, transport: Transport, folder: &Folder) -> ServerConfig {
    ServerConfig { shared_folder: folder.0.clone(), ..config(name, transport) }
}

/// How our clients find it.
pub(crate) fn options(max_msg_size: u32) -> ConnectOptions {
    ConnectOptions { naming: Naming::Abstract, ..ConnectOptions::new(max_msg_size) }
}

/// Runs an asynchronous test.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(future)
}

pub(crate) const LONG: Option<Duration> = Some(Duration::from_secs(20));

/// Both transports, with the C server's word for each.
pub(crate) const TRANSPORTS: [(Transport, &str); 2] =
    [(Transport::Shm, "shm"), (Transport::Socket, "socket")];
