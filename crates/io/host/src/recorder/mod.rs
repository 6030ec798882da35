//! The flight recorder: what happened to a core, in a bounded set of files.
//!
//! ```text
//!   loop -> redact -> ring in memory -> thread -> segment-00000041.flr
//! ```
//! The loop copies entries into the ring and never waits. What finds no room is
//! lost and counted; then, as soon as half of the ring is free, a new segment
//! begins with a snapshot and the count, so that replay can go on from there.

mod digest;
pub mod format;
mod ring;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sansio::{Elided, Mono, Now, Recorded, Secrets};

pub(crate) use digest::Digest;
use format::{Dropped, End, Header, Kind, Outputs, Snapshot, Time};
pub(crate) use writer::{Folder, Storage, segment_name, segment_numbers};
use writer::{Shared, Tag};

/// What is recorded, and how much of it is kept.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of the segments, one daemon's alone; made if it is not there.
    pub folder: PathBuf,
    /// Bytes of records in a segment, at most; a snapshot comes on top, of at most as many.
    /// From half of them on the next segment begins when the core gives a snapshot.
    pub segment_bytes: usize,
    /// Segments that are kept.
    pub segments: usize,
    /// Memory between the loop and the writing thread.
    pub ring_bytes: usize,
    /// Longer inputs are recorded by length and hash only.
    pub bulk_max: usize,
}

impl Config {
    /// Defaults for a daemon: 8 segments of 4 MiB.
    pub fn in_folder(folder: PathBuf) -> Self {
        Self {
            folder,
            segment_bytes: 4 << 20,
            segments: 8,
            ring_bytes: 4 << 20,
            bulk_max: 16 << 10,
        }
    }
}

/// An input or deadline.
const RECORD: Tag = Tag { new_segment: false, records: 1 };
/// Something else.
const ENTRY: Tag = Tag { new_segment: false, records: 0 };
/// A segment that cannot be written is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The loop's side of the recorder.
pub(crate) struct Recorder {
    config: Config,
    header: Header,
    ring: ring::Producer,
    shared: Arc<Shared>,
    thread: std::thread::Thread,
    secrets: Secrets,
    state: State,
    /// Bytes of records in this segment.
    written: usize,
    /// Whether replay cannot use this segment: it follows a loss without a snapshot.
    adrift: bool,
    /// Of the last record.
    number: u64,
    total_lost: Arc<AtomicU64>,
    scratch: Vec<u8>,
    pushed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No segment yet.
    Fresh,
    /// Records go to the current segment.
    Recording,
    /// Records are lost until a new segment begins, not before `retry`. When
    /// the disk has failed, what is still in the ring is lost as well, and has
    /// to be counted first.
    Losing { lost: u64, retry: Mono, failed: bool },
}

impl Recorder {
    /// Starts the thread; `header` says who records.
    pub(crate) fn start(
        config: Config,
        header: Header,
        storage: Box<dyn Storage>,
        total_lost: Arc<AtomicU64>,
    ) -> std::io::Result<Self> {
        let (producer, consumer) = ring::ring(config.ring_bytes);
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let work = move || writer::run(consumer, storage, &theirs);
        let thread = std::thread::Builder::new().name("recorder".into()).spawn(work)?;
        Ok(Self {
            config,
            header,
            ring: producer,
            shared,
            thread: thread.thread().clone(),
            secrets: Secrets::default(),
            state: State::Fresh,
            written: 0,
            adrift: false,
            number: 0,
            total_lost,
            scratch: Vec::new(),
            pushed: false,
        })
    }

    /// Before the first outputs of a core that was made at `now`.
    pub(crate) fn process_start<C: Recorded>(&mut self, now: Now, core: &C) {
        if !self.prepare(now, core) {
            self.lose(0, now.mono);
        }
    }

    /// Before the core handles `input`; its outbox is empty.
    pub(crate) fn input<C: Recorded>(&mut self, now: Now, core: &C, input: &C::Input) {
        self.number += 1;
        if !self.prepare(now, core) {
            return self.lose(1, now.mono);
        }
        let record = C::redact(input, &mut self.secrets);
        let (mut body, mut elided) = (record.body, record.elided);
        if body.len() > self.config.bulk_max {
            elided = Some(Elided::of(&body));
            body.clear();
        }
        let elided = elided.map(|e| format::Elided { len: e.len, hash: e.hash });
        let number = self.number;
        let kind = record.kind.to_string();
        let entry = Kind::Input(format::Input { number, at: Some(time(now)), kind, body, elided });
        if !self.push(RECORD, entry) {
            self.lose(1, now.mono);
        }
    }

    /// Before the core handles the deadline that was `due`.
    pub(crate) fn deadline<C: Recorded>(&mut self, now: Now, core: &C, due: Mono) {
        self.number += 1;
        let deadline = format::Deadline { number: self.number, at: Some(time(now)), due: due.0 };
        if !self.prepare(now, core) || !self.push(RECORD, Kind::Deadline(deadline)) {
            self.lose(1, now.mono);
        }
    }

    /// After the outputs of the last record have been drained.
    pub(crate) fn outputs(&mut self, now: Mono, digest: Digest) {
        if digest.count == 0 || self.state != State::Recording {
            return;
        }
        let outputs = Outputs { count: digest.count, digest: digest.hash };
        if !self.push(ENTRY, Kind::Outputs(outputs)) {
            // No record is lost, but without its outputs replay would find a difference.
            self.lose(0, now);
        }
    }

    /// Lets the thread know that there is something to write. Once per turn of
    /// the loop: waking costs a system call.
    pub(crate) fn wake(&mut self) {
        if std::mem::take(&mut self.pushed) {
            self.thread.unpark();
        }
    }

    /// Ends the recording and waits for the disk, but not longer than `patience`.
    pub(crate) fn finish(&mut self, why: &str, patience: Duration) {
        if self.shared.ending.load(Ordering::Relaxed) {
            return;
        }
        if self.state == State::Recording {
            self.push(ENTRY, Kind::End(End { why: why.to_string() }));
        }
        self.shared.ending.store(true, Ordering::Release);
        self.thread.unpark();
        let end = Instant::now() + patience;
        while !self.shared.ended.load(Ordering::Acquire) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether a record can be pushed: begins a segment when one is due.
    fn prepare<C: Recorded>(&mut self, now: Now, core: &C) -> bool {
        if self.shared.failed.swap(false, Ordering::AcqRel) {
            self.lose(0, now.mono);
            if let State::Losing { failed, .. } = &mut self.state {
                *failed = true;
            }
        }
        match self.state {
            State::Fresh => self.begin(now, None),
            State::Losing { retry, .. } if now.mono < retry => false,
            State::Losing { failed: true, .. } if !self.ring.is_empty() => false,
            State::Losing { failed: false, .. } if !self.ring.is_half_free() => false,
            State::Losing { .. } => self.begin(now, core.snapshot()),
            State::Recording if self.adrift || self.written >= self.config.segment_bytes / 2 => {
                let snapshot = core.snapshot();
                let forced = self.written >= self.config.segment_bytes;
                if !forced && snapshot.is_none() {
                    return true;
                }
                self.begin(now, snapshot)
            }
            State::Recording => true,
        }
    }

    fn begin(&mut self, now: Now, snapshot: Option<Vec<u8>>) -> bool {
        let unwritten = self.shared.unwritten.load(Ordering::Acquire);
        let lost = match self.state {
            State::Losing { lost, .. } => Some(lost + unwritten),
            State::Fresh | State::Recording => (unwritten > 0).then_some(unwritten),
        };
        let (snapshot, snapshot_missing) = self.bounded(snapshot);
        let header = Header {
            at: Some(time(now)),
            has_snapshot: snapshot.is_some(),
            snapshot_missing,
            after_loss: lost.is_some(),
            ..self.header.clone()
        };
        let needed = snapshot.as_ref().map_or(0, Vec::len) + header.setup.len() + 4096;
        if !self.ring.has_room(needed) {
            return false;
        }
        self.adrift = snapshot.is_none() && (lost.is_some() || self.adrift);
        if self.state == State::Recording {
            self.push(ENTRY, Kind::End(End { why: CONTINUED.into() }));
        }
        self.secrets = Secrets::default();
        self.push(Tag { new_segment: true, records: 0 }, Kind::Header(header));
        if let Some(state) = snapshot {
            self.push(ENTRY, Kind::Snapshot(Snapshot { state }));
        }
        if let Some(count) = lost {
            self.push(Tag { new_segment: false, records: count }, Kind::Dropped(Dropped { count }));
            self.shared.unwritten.fetch_sub(unwritten, Ordering::AcqRel);
        }
        self.header.segment += 1;
        self.written = 0;
        self.state = State::Recording;
        true
    }

    /// The core's state, or why the segment has to do without.
    fn bounded(&self, snapshot: Option<Vec<u8>>) -> (Option<Vec<u8>>, String) {
        let most = self.config.segment_bytes.min(self.ring.max_item() / 2);
        match snapshot {
            Some(state) if state.len() > most => {
                (None, format!("it has {} bytes, {most} are allowed", state.len()))
            }
            snapshot => (snapshot, String::new()),
        }
    }

    fn push(&mut self, tag: Tag, kind: Kind) -> bool {
        self.scratch.clear();
        self.scratch.extend_from_slice(&tag.encode());
        format::encode(kind, &mut self.scratch);
        self.written += self.scratch.len();
        self.pushed = true;
        self.ring.push(&self.scratch)
    }

    fn lose(&mut self, records: u64, now: Mono) {
        self.total_lost.fetch_add(records, Ordering::Relaxed);
        self.state = match self.state {
            State::Losing { lost, retry, failed } => {
                State::Losing { lost: lost + records, retry, failed }
            }
            State::Fresh | State::Recording => {
                State::Losing { lost: records, retry: now + RETRY_AFTER, failed: false }
            }
        };
    }
}

impl Drop for Recorder {
    /// Also when a core panics: its last input is what the recording is for.
    fn drop(&mut self) {
        self.finish(PANICKED, Duration::from_secs(1));
    }
}

/// How the recorder ends a segment when the daemon unwinds.
pub(crate) const PANICKED: &str = "the daemon panicked";

/// Why a segment ends that another one follows.
pub(crate) const CONTINUED: &str = "continued in the next segment";

fn time(now: Now) -> Time {
    Time { mono: now.mono.0, wall: now.wall.0, utc_offset_s: now.utc_offset_s }
}

#[cfg(test)]
mod tests;
