//! The pid file: says who runs, and by a lock on it that nobody else does.
//!
//! The lock is the truth, not the number: a file left over from a crash is
//! simply taken over, also when its number belongs to some other process now.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// A pid file that is ours until it is dropped.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    lock: Flock<File>,
}

/// Why there is no pid file.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Another process holds it.
    Running { path: PathBuf, pid: String },
    /// It is a link, a pipe, a folder, or has a second name.
    Foreign { path: PathBuf },
    /// The system refused.
    System { path: PathBuf, error: io::Error },
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Running { path, pid } => {
                write!(f, "it runs already with pid {pid}, which holds {}", path.display())
            }
            Self::Foreign { path } => {
                write!(f, "{} is not a plain file of its own: remove it", path.display())
            }
            Self::System { path, error } => write!(f, "pid file {}: {error}", path.display()),
        }
    }
}

impl PidFile {
    /// Takes the file and writes our pid into it.
    pub(crate) fn take(path: &Path) -> Result<Self, Refusal> {
        let system = |error: io::Error| Refusal::System { path: path.into(), error };
        loop {
            let file = open_plain(path)?;
            let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
            let mut lock = lock.map_err(|(file, errno)| match errno {
                nix::errno::Errno::EWOULDBLOCK => running(path, file),
                errno => system(errno.into()),
            })?;
            if !is_same(path, &lock) {
                // The holder before us removed it between our open and our lock.
                continue;
            }
            lock.set_len(0).map_err(system)?;
            write!(lock, "{}\n", std::process::id()).map_err(system)?;
            return Ok(Self { path: path.into(), lock });
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // While the lock is held, so that it cannot be a successor's.
        if is_same(&self.path, &self.lock) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn open_plain(path: &Path) -> Result<File, Refusal> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o644);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = options.open(path).map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP | libc::EISDIR | libc::ENXIO) => Refusal::Foreign { path: path.into() },
        _ => Refusal::System { path: path.into(), error },
    })?;
    let plain = file.metadata().is_ok_and(|found| found.is_file() && found.nlink() <= 1);
    if plain { Ok(file) } else { Err(Refusal::Foreign { path: path.into() }) }
}

fn running(path: &Path, mut file: File) -> Refusal {
    let mut text = String::new();
    let _ = file.rewind();
    let _ = file.take(20).read_to_string(&mut text);
    let pid = text.trim();
    let pid = if pid.is_empty() { "(not written yet)" } else { pid };
    Refusal::Running { path: path.into(), pid: pid.to_string() }
}

fn is_same(path: &Path, file: &File) -> bool {
    let (named, open) = (std::fs::symlink_metadata(path), file.metadata());
    matches!((named, open), (Ok(a), Ok(b)) if a.dev() == b.dev() && a.ino() == b.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn one_holder_at_a_time() {
        let dir = Scratch::new("pidfile");
        let path = dir.path().join("d.pid");
        let held = PidFile::take(&path).unwrap();
        let own = std::process::id();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{own}\n"));
        let refusal = PidFile::take(&path).unwrap_err().to_string();
        assert!(refusal.contains(&format!("pid {own}")), "{refusal}");
        drop(held);
        assert!(!path.exists());
        PidFile::take(&path).unwrap();
    }

    #[test]
    fn a_stale_file_is_taken_over_whole() {
        let dir = Scratch::new("pidfile-stale");
        let path = dir.path().join("d.pid");
        std::fs::write(&path, "99999999 and a long tail\n").unwrap();
        let _held = PidFile::take(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn what_is_not_a_plain_file_is_refused_and_left_alone() {
        let dir = Scratch::new("pidfile-link");
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "mine").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        let twin = dir.path().join("twin");
        std::fs::hard_link(&victim, &twin).unwrap();
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [link, twin, pipe, dir.path().to_path_buf()] {
            let refusal = PidFile::take(&path).unwrap_err();
            assert!(matches!(refusal, Refusal::Foreign { .. }), "{refusal}");
        }
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
    }
}
