//! Durable files: written under another name, synced, renamed, the directory synced.
//!
//! One thread does it in the order asked and answers in that order. Its queue
//! is bounded in bytes: what exceeds it fails in its turn, unwritten.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc as thread_mpsc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use sansio::edge::{Input, PersistId};
use tokio::sync::mpsc;

/// Bytes that may wait for the disk.
const QUEUED_BYTES_MAX: usize = 256 << 20;

/// The thread that writes, and the way to it.
pub(crate) struct Persister {
    requests: Option<thread_mpsc::Sender<Request>>,
    queued: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Request {
    id: PersistId,
    name: String,
    content: Result<Vec<u8>, Errno>,
}

impl Persister {
    /// Starts the thread for the files of `folder`; without one every request fails.
    pub(crate) fn start<R: Send + 'static>(
        folder: Option<PathBuf>,
        mode: u32,
        inbox: mpsc::UnboundedSender<Input<R>>,
    ) -> io::Result<Self> {
        let (requests, arriving) = thread_mpsc::channel::<Request>();
        let queued = Arc::new(AtomicUsize::new(0));
        let counter = queued.clone();
        let mode = Mode::from_bits_truncate(mode);
        let work = move || {
            let mut folder = Folder { path: folder, opened: None, mode };
            for request in arriving {
                let len = request.content.as_ref().map_or(0, Vec::len);
                let done = request.content.and_then(|bytes| folder.replace(&request.name, &bytes));
                counter.fetch_sub(len, Ordering::Relaxed);
                let id = request.id;
                let answer = match done {
                    Ok(()) => Input::Persisted(id),
                    Err(errno) => Input::PersistFailed { id, errno: errno as i32 },
                };
                if inbox.send(answer).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("persist".into()).spawn(work)?;
        Ok(Self { requests: Some(requests), queued, thread: Some(thread) })
    }

    /// Queues a request.
    pub(crate) fn replace(&mut self, id: PersistId, name: String, bytes: Vec<u8>) {
        let queued = self.queued.load(Ordering::Relaxed);
        let content = if queued.saturating_add(bytes.len()) > QUEUED_BYTES_MAX {
            Err(Errno::ENOBUFS)
        } else {
            self.queued.fetch_add(bytes.len(), Ordering::Relaxed);
            Ok(bytes)
        };
        if let Some(requests) = &self.requests {
            // The thread ends only after the loop, whose inbox it sends to.
            let _ = requests.send(Request { id, name, content });
        }
    }

    /// Lets the thread write what was asked for, but waits no longer than `patience`.
    pub(crate) fn finish(&mut self, patience: std::time::Duration) {
        self.requests = None;
        let Some(thread) = self.thread.take() else { return };
        let end = std::time::Instant::now() + patience;
        while !thread.is_finished() && std::time::Instant::now() < end {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        if !thread.is_finished() {
            tracing::error!(
                "The disk did not answer in {patience:?}: the last files are not written"
            );
        }
    }
}

/// The daemon's state directory, opened once it is there.
struct Folder {
    path: Option<PathBuf>,
    opened: Option<OwnedFd>,
    mode: Mode,
}

impl Folder {
    fn replace(&mut self, name: &str, bytes: &[u8]) -> Result<(), Errno> {
        if !is_file_name(name) {
            return Err(Errno::EINVAL);
        }
        let mode = self.mode;
        let folder = self.open()?;
        let temporary = format!(".{name}.new");
        let written = write_synced(folder, &temporary, mode, bytes)
            .and_then(|()| renameat(folder, temporary.as_str(), folder, name));
        if let Err(errno) = written {
            let _ = unlinkat(folder, temporary.as_str(), UnlinkatFlags::NoRemoveDir);
            return Err(errno);
        }
        nix::unistd::fsync(folder)
    }

    fn open(&mut self) -> Result<&OwnedFd, Errno> {
        if self.opened.is_none() {
            let path: &Path = self.path.as_deref().ok_or(Errno::ENOTDIR)?;
            let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
            self.opened = Some(open(path, flags, Mode::empty())?);
        }
        self.opened.as_ref().ok_or(Errno::ENOTDIR)
    }
}

/// A plain name: no path, nothing hidden behind the temporary name.
fn is_file_name(name: &str) -> bool {
    let bounded = !name.is_empty() && name.len() <= 200;
    bounded && name != "." && name != ".." && !name.contains(['/', '\0'])
}

fn write_synced(folder: &OwnedFd, name: &str, mode: Mode, bytes: &[u8]) -> Result<(), Errno> {
    // Left over from a life that ended in the middle; EEXIST tells of anything else.
    let _ = unlinkat(folder, name, UnlinkatFlags::NoRemoveDir);
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut file = File::from(openat(folder, name, flags, mode)?);
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_path_in_them_are_refused() {
        for bad in ["", ".", "..", "a/b", "/etc/passwd", "a\0b", &"x".repeat(201)] {
            assert!(!is_file_name(bad), "{bad:?}");
        }
        assert!(is_file_name("ring-1") && is_file_name(".hidden"));
    }

    #[tokio::test]
    async fn answers_come_in_the_order_asked() {
        let dir = crate::testing::Scratch::new("persist-order");
        let (sender, mut inbox) = mpsc::unbounded_channel::<Input<()>>();
        let mut persister = Persister::start(Some(dir.path().into()), 0o600, sender).unwrap();
        for n in 1..=20_u64 {
            let name = if n % 3 == 0 { "no/path" } else { "state" };
            persister.replace(PersistId(n), name.into(), n.to_string().into_bytes());
        }
        for n in 1..=20_u64 {
            let expected = match n % 3 {
                0 => Input::PersistFailed { id: PersistId(n), errno: libc::EINVAL },
                _ => Input::Persisted(PersistId(n)),
            };
            assert_eq!(inbox.recv().await, Some(expected));
        }
        assert_eq!(std::fs::read_to_string(dir.path().join("state")).unwrap(), "20");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[tokio::test]
    async fn a_symlink_in_the_way_of_the_temporary_name_is_not_followed() {
        let dir = crate::testing::Scratch::new("persist-link");
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join(".state.new")).unwrap();
        let (sender, mut inbox) = mpsc::unbounded_channel::<Input<()>>();
        let mut persister = Persister::start(Some(dir.path().into()), 0o600, sender).unwrap();
        persister.replace(PersistId(1), "state".into(), b"new".to_vec());
        assert_eq!(inbox.recv().await, Some(Input::Persisted(PersistId(1))));
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
        assert_eq!(std::fs::read_to_string(dir.path().join("state")).unwrap(), "new");
    }
}
