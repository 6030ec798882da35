//! What /proc tells of processes.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A process id.
pub type Pid = i32;

/// The pause between two looks of anything that waits.
pub const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until `done` says yes; false when time is up before.
pub fn wait_until(at_most: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + at_most;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Every process that this process can see.
pub fn all() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The words of its command line.
pub fn cmdline(pid: Pid) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned());
    words.filter(|w| !w.is_empty()).collect()
}

/// The program it runs, as its own mount namespace names it.
pub fn exe(pid: Pid) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// The identity of one of its namespaces, such as `pid:[4026531836]`.
pub fn namespace(pid: Pid, kind: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()
}

/// All processes in the same pid namespace as `leader`, in order.
pub fn in_namespace_of(leader: Pid) -> Vec<Pid> {
    let Some(wanted) = namespace(leader, "pid") else { return Vec::new() };
    let mut found = all();
    found.retain(|pid| namespace(*pid, "pid").as_ref() == Some(&wanted));
    found.sort_unstable();
    found
}

/// One field of /proc/PID/status.
pub fn status_field(pid: Pid, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_string())
}

/// Its parent.
pub fn parent(pid: Pid) -> Option<Pid> {
    status_field(pid, "PPid")?.parse().ok()
}

/// Whether it is the first process of a pid namespace below ours.
pub fn is_namespace_init(pid: Pid) -> bool {
    let ids = status_field(pid, "NSpid").unwrap_or_default();
    let ids: Vec<&str> = ids.split_whitespace().collect();
    ids.len() > 1 && ids.last() == Some(&"1")
}

/// Whether `ancestor` is among its parents.
pub fn descends_from(pid: Pid, ancestor: Pid) -> bool {
    let mut at = pid;
    while let Some(up) = parent(at).filter(|up| *up > 0) {
        if up == ancestor {
            return true;
        }
        at = up;
    }
    false
}

/// The letter of its state: R, S, D, T, Z...
pub fn state(pid: Pid) -> Option<char> {
    status_field(pid, "State")?.chars().next()
}
