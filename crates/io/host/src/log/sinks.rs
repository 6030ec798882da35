//! What takes the lines: a queue, a thread, and something that may hang.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use observe::{Event, Node, Observation};
use sansio::edge::Level;

use super::format::{Line, Origin};
use super::{Losses, SharedLevel, Target};
use crate::clock;

/// What a sink's thread writes to. Every method may block; errors make the
/// thread open it again and try once more.
pub(crate) trait Medium: Send {
    fn open(&mut self) -> io::Result<()>;
    fn write(&mut self, line: &Line) -> io::Result<()>;

    /// Says how many lines were lost before.
    fn confess(&mut self, lost: u64, name: &str) -> io::Result<()> {
        let text = format!("{lost} lines were lost while the log \"{name}\" could not be written");
        self.write(&Line::now(Level::Warning, "log", &text))
    }
}

/// The medium of a configured target.
pub(crate) fn open(target: &Target, origin: &Arc<Origin>) -> Box<dyn Medium> {
    let origin = origin.clone();
    match target.clone() {
        Target::Stderr => Box::new(Stderr { origin }),
        Target::File { path, mode } => {
            Box::new(LogFile { path, mode, origin, file: None, torn: false })
        }
        Target::Syslog { socket, facility } => {
            Box::new(Logger { path: socket, form: Form::Syslog(facility), origin, socket: None })
        }
        Target::Journal { socket } => {
            Box::new(Logger { path: socket, form: Form::Journal, origin, socket: None })
        }
    }
}

/// The loop's side of a sink.
pub(crate) struct Sink {
    name: String,
    pub(crate) level: SharedLevel,
    /// All lines that were lost.
    pub(crate) lost: Arc<AtomicU64>,
    queue: SyncSender<Arc<Line>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    losses: Losses,
    reopen: AtomicBool,
    /// Lines queued or being written.
    pending: AtomicUsize,
}

impl Sink {
    /// Starts the thread.
    pub(crate) fn start(
        name: &str,
        medium: Box<dyn Medium>,
        queue_lines: usize,
        level: u8,
    ) -> io::Result<Self> {
        let (queue, lines) = sync_channel(queue_lines);
        let shared = Arc::new(Shared::default());
        let lost = Arc::new(AtomicU64::new(0));
        let worker = Worker {
            name: name.to_string(),
            medium,
            shared: shared.clone(),
            lost: lost.clone(),
            usable: false,
        };
        thread::Builder::new().name(format!("log-{name}")).spawn(move || worker.run(&lines))?;
        Ok(Self { name: name.to_string(), level: SharedLevel::new(level), lost, queue, shared })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Queues a line, or counts it as lost; never waits.
    pub(crate) fn offer(&self, line: Arc<Line>) {
        self.shared.pending.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(line).is_err() {
            self.shared.pending.fetch_sub(1, Ordering::Relaxed);
            self.shared.losses.add();
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Relaxed);
    }

    /// Waits until everything queued is written, but not beyond `end`.
    pub(crate) fn flush(&self, end: Instant) {
        while self.shared.pending.load(Ordering::Relaxed) > 0 && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The thread's side.
struct Worker {
    name: String,
    medium: Box<dyn Medium>,
    shared: Arc<Shared>,
    lost: Arc<AtomicU64>,
    usable: bool,
}

impl Worker {
    fn run(mut self, lines: &Receiver<Arc<Line>>) {
        for line in lines {
            if self.shared.reopen.swap(false, Ordering::Relaxed) {
                self.usable = false;
            }
            if !self.deliver(&line) {
                self.shared.losses.add();
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            self.shared.pending.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Writes the line, before it the number of those that were lost. An
    /// error is answered by one attempt on a newly opened medium.
    fn deliver(&mut self, line: &Line) -> bool {
        for _ in 0..2 {
            if !self.usable && self.medium.open().is_err() {
                // Don't spin on a file system that is full or a logger that restarts.
                thread::sleep(Duration::from_millis(10));
                return false;
            }
            self.usable = true;
            if self.report_losses().and_then(|()| self.medium.write(line)).is_ok() {
                return true;
            }
            self.usable = false;
        }
        false
    }

    fn report_losses(&mut self) -> io::Result<()> {
        let lost = self.shared.losses.take();
        if lost == 0 {
            return Ok(());
        }
        let confessed = self.medium.confess(lost, &self.name);
        confessed.inspect_err(|_| self.shared.losses.restore(lost))
    }
}

struct Stderr {
    origin: Arc<Origin>,
}

impl Medium for Stderr {
    fn open(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        // Not through std's lock: a panic message must not wait for a hung pipe
        // whose lock this thread holds.
        let text = line.detail(&self.origin);
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let written = nix::unistd::write(io::stderr(), rest)?;
            rest = &rest[written..];
        }
        Ok(())
    }
}

/// Observations: the text of each line alone.
pub(crate) struct Observations {
    pub(crate) path: PathBuf,
    pub(crate) node: Node,
    pub(crate) file: Option<File>,
}

impl Medium for Observations {
    fn open(&mut self) -> io::Result<()> {
        self.file = None;
        self.file = Some(append_to(&self.path, 0o640)?);
        Ok(())
    }

    /// The file is this daemon's alone: half a line is taken back, since no
    /// reader could make anything of it.
    fn write(&mut self, line: &Line) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let whole = file.metadata()?.len();
        let written = file.write_all(format!("{}\n", line.text()).as_bytes());
        written.inspect_err(|_| drop(file.set_len(whole)))
    }

    /// In the schema's own terms, so that whoever reads the file still can.
    fn confess(&mut self, lost: u64, _: &str) -> io::Result<()> {
        let text = format!("{lost} observations were lost");
        let at = u64::try_from(clock::wall().0).unwrap_or(0);
        let mark = Observation { at, node: self.node, event: Event::Mark { text } };
        self.write(&Line::now(Level::Warning, "observe", &mark.to_string()))
    }
}

fn append_to(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(mode).open(path)
}

struct LogFile {
    path: PathBuf,
    mode: u32,
    origin: Arc<Origin>,
    file: Option<File>,
    /// Whether the last line may have got no end.
    torn: bool,
}

impl Medium for LogFile {
    fn open(&mut self) -> io::Result<()> {
        self.file = None;
        self.file = Some(append_to(&self.path, self.mode)?);
        Ok(())
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        // Other daemons may write to it too: what is torn stays, and is ended.
        if self.torn {
            file.write_all(b"\n")?;
        }
        let written = file.write_all(line.detail(&self.origin).as_bytes());
        self.torn = written.is_err();
        written
    }
}

enum Form {
    Syslog(u8),
    Journal,
}

/// A system logger behind a local socket.
struct Logger {
    path: PathBuf,
    form: Form,
    origin: Arc<Origin>,
    socket: Option<Connection>,
}

enum Connection {
    Datagram(UnixDatagram),
    Stream(UnixStream),
}

impl Medium for Logger {
    fn open(&mut self) -> io::Result<()> {
        self.socket = None;
        let datagram = UnixDatagram::unbound()?;
        self.socket = Some(match datagram.connect(&self.path) {
            Ok(()) => Connection::Datagram(datagram),
            // Some loggers listen on a stream: the kernel says EPROTOTYPE.
            Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => {
                Connection::Stream(UnixStream::connect(&self.path)?)
            }
            Err(error) => return Err(error),
        });
        Ok(())
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let text = match self.form {
            Form::Syslog(facility) => line.syslog(&self.origin, facility),
            Form::Journal => line.journal(&self.origin),
        };
        match self.socket.as_mut().ok_or(io::ErrorKind::NotConnected)? {
            Connection::Datagram(socket) => socket.send(text.as_bytes()).map(drop),
            Connection::Stream(socket) => {
                // On a stream a NUL ends a message.
                socket.write_all(text.as_bytes())?;
                socket.write_all(&[0])
            }
        }
    }
}
