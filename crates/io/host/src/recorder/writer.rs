//! The thread that writes segments; it may hang as long as its disk does.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::format::MAGIC;
use super::ring::Consumer;

/// What the loop puts into the ring before an entry.
pub(crate) const APPEND: u8 = 0;
/// As [`APPEND`], to a new segment.
pub(crate) const NEW_SEGMENT: u8 = 1;

/// Where segments go: a folder, or a test's own idea of a disk.
pub(crate) trait Storage: Send {
    /// Opens the next segment, removing the oldest beyond the bound.
    fn next(&mut self) -> io::Result<()>;
    /// Appends to it.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes durable what was appended.
    fn sync(&mut self) -> io::Result<()>;
}

/// What both sides see.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The segment could not be written: the loop shall begin another.
    pub(crate) failed: AtomicBool,
    /// Entries that came while the segment could not be written.
    pub(crate) unwritten: AtomicU64,
    /// The loop is gone: write what is there, sync, end.
    pub(crate) ending: AtomicBool,
    /// The thread is through.
    pub(crate) ended: AtomicBool,
}

/// How often a segment that is written to is synced: a node that loses its
/// power loses no more of its recording.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Writes what comes until the loop is gone.
pub(crate) fn run(mut ring: Consumer, mut storage: Box<dyn Storage>, shared: &Arc<Shared>) {
    let mut item = Vec::new();
    let mut broken = true;
    let mut unsynced: Option<Instant> = None;
    loop {
        let ending = shared.ending.load(Ordering::Acquire);
        while ring.pop(&mut item) {
            match write_item(&item, &mut *storage, &mut broken) {
                Ok(true) => {}
                Ok(false) => drop(shared.unwritten.fetch_add(1, Ordering::AcqRel)),
                Err(error) => {
                    broken = true;
                    shared.unwritten.fetch_add(1, Ordering::AcqRel);
                    shared.failed.store(true, Ordering::Release);
                    tracing::warn!("The flight recorder cannot write: {error}");
                }
            }
            unsynced.get_or_insert_with(Instant::now);
        }
        let due = unsynced.is_some_and(|since| ending || since.elapsed() >= SYNC_EVERY);
        if due {
            unsynced = None;
            // What a sync cannot write is not lost from the file that others read.
            let _ = storage.sync();
        }
        if ending {
            shared.ended.store(true, Ordering::Release);
            return;
        }
        if ring.is_empty() {
            let wait = if unsynced.is_some() { SYNC_EVERY } else { Duration::from_secs(3600) };
            thread::park_timeout(wait);
        }
    }
}

/// Whether the item was written: after an error everything is left out until
/// the next segment begins.
fn write_item(item: &[u8], storage: &mut dyn Storage, broken: &mut bool) -> io::Result<bool> {
    let Some((&how, bytes)) = item.split_first() else { return Ok(true) };
    if how == NEW_SEGMENT {
        storage.next()?;
        storage.append(MAGIC)?;
        *broken = false;
    }
    if *broken { Ok(false) } else { storage.append(bytes).map(|()| true) }
}

/// A folder with a bounded number of segments, the oldest removed first. Their
/// numbers go on over the lives of the daemon.
pub(crate) struct Folder {
    path: PathBuf,
    keep: usize,
    next: u64,
    file: Option<File>,
    /// Bytes of whole entries in it.
    whole: u64,
}

const SUFFIX: &str = ".flr";

impl Folder {
    pub(crate) fn new(path: &Path, keep: usize) -> Self {
        Self { path: path.into(), keep: keep.max(1), next: 0, file: None, whole: 0 }
    }
}

/// The numbers of the segments in `path`.
pub(crate) fn segment_numbers(path: &Path) -> io::Result<BTreeSet<u64>> {
    let entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    let number = |name: &str| name.strip_prefix("segment-")?.strip_suffix(SUFFIX)?.parse().ok();
    Ok(entries.iter().filter_map(|entry| number(entry.file_name().to_str()?)).collect())
}

/// The file name of segment `number`.
pub(crate) fn segment_name(number: u64) -> String {
    format!("segment-{number:08}{SUFFIX}")
}

impl Storage for Folder {
    fn next(&mut self) -> io::Result<()> {
        self.sync()?;
        self.file = None;
        if !self.path.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        }
        let numbers = segment_numbers(&self.path)?;
        let surplus = (numbers.len() + 1).saturating_sub(self.keep);
        for number in numbers.iter().take(surplus) {
            fs::remove_file(self.path.join(segment_name(*number)))?;
        }
        let newest = numbers.last().map_or(0, |number| number + 1);
        let number = self.next.max(newest);
        let mut options = OpenOptions::new();
        options.append(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        self.file = Some(options.open(self.path.join(segment_name(number)))?);
        (self.next, self.whole) = (number + 1, 0);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        if let Err(error) = file.write_all(bytes) {
            // Half an entry would look like damage; what stands before it is good.
            let _ = file.set_len(self.whole);
            return Err(error);
        }
        self.whole += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }
}
