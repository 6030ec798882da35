//! The loop: one core, its inputs, its deadlines.
//!
//! A turn reads the clock, handles what is due, takes a bounded batch from every
//! source and feeds it one input at a time. Before each input the clock is read
//! again: a deadline that has passed comes first, then a gap of the loop
//! (`Paused`), then the input; outputs are drained after each of them. When no
//! source had anything, the loop waits for one, or for the next deadline, by a
//! timer on CLOCK_BOOTTIME, which also counts the time in which the machine
//! slept. A core that states a pause limit is looked after four times in it,
//! so that a gap is seen when it happens and not at the next input.

use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use sansio::edge::{Daemon, Input, Output, Who};
use sansio::{Job, Mono, Now};
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::child::Children;
use crate::clock::Clock;
use crate::ipc::{Happened, Ipc};
use crate::jobs::Jobs;
use crate::log::{self, Logs};
use crate::net::Links;
use crate::notify::{Notifier, State};
use crate::observer::Observer;
use crate::persist::Persister;
use crate::recorder::{Digest, Recorder};
use crate::sys;

type Outcome<D> = <<D as Daemon>::Jobs as Job>::Outcome;

/// Inputs that a turn takes from one source.
const BATCH: usize = 16;

/// A daemon in its process.
pub(crate) struct Drive<D: Daemon> {
    pub(crate) core: D,
    pub(crate) clock: Clock,
    pub(crate) sources: Sources<Outcome<D>>,
    pub(crate) children: Children<Outcome<D>>,
    pub(crate) jobs: Jobs<D::Jobs>,
    pub(crate) persister: Persister,
    pub(crate) recorder: Option<Recorder>,
    pub(crate) observer: Option<Observer>,
    pub(crate) notifier: Notifier,
    pub(crate) logs: Logs,
    pub(crate) on_reload: Option<crate::OnReload>,
    pub(crate) read_config: Option<crate::ReadConfig>,
    /// Whom `Allow` has named.
    pub(crate) allowed: qb_ipc::UidGidTable,
    /// Lets clients of services in that wait for `Ready`.
    pub(crate) open_doors: Arc<AtomicBool>,
    pub(crate) inbox: mpsc::UnboundedSender<Input<Outcome<D>>>,
    pub(crate) progress: Progress,
}

/// Where the loop stands.
#[derive(Default)]
pub(crate) struct Progress {
    /// When it last did anything.
    alive: Option<Mono>,
    /// Whether SIGTERM or SIGINT has come.
    stopping: bool,
    exit: Option<u8>,
}

/// Everything inputs come from.
pub(crate) struct Sources<R> {
    pub(crate) timer: Timer,
    pub(crate) links: Links,
    pub(crate) ipc: Ipc,
    pub(crate) signals: Signals,
    /// Answers of children, disk and jobs.
    pub(crate) inbox: mpsc::UnboundedReceiver<Input<R>>,
    /// Taken from the inbox while waiting, not fed yet.
    pub(crate) held: Option<Input<R>>,
}

/// A signal that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Stop,
    Reload,
}

impl<D: Daemon> Drive<D> {
    /// Runs until the core exits or is no longer let run.
    pub(crate) async fn run(mut self, made_at: Now) -> ExitCode {
        if let Some(recorder) = &mut self.recorder {
            recorder.process_start(made_at, &self.core);
        }
        self.drain(made_at);
        while self.progress.exit.is_none() {
            let busy = self.turn();
            if let Some(recorder) = &mut self.recorder {
                recorder.wake();
            }
            if self.progress.exit.is_some() {
                break;
            }
            if busy {
                // Lets the runtime look at descriptors and run its tasks.
                tokio::task::yield_now().await;
            } else {
                self.wait().await;
            }
        }
        self.end().await
    }

    /// One batch from each source; whether there was anything.
    fn turn(&mut self) -> bool {
        self.catch_up();
        self.sources.links.flush();
        let mut busy = self.take_signals();
        for datagram in self.sources.links.receive() {
            busy = true;
            let crate::net::Datagram { link, from, bytes } = datagram;
            self.feed(Input::Datagram { link, from, bytes });
        }
        for _ in 0..BATCH {
            let Some(happened) = self.sources.ipc.take() else { break };
            busy = true;
            self.feed(input(happened));
        }
        for _ in 0..BATCH {
            let Some(answer) = self.sources.answer() else { break };
            busy = true;
            self.feed_answer(answer);
        }
        busy
    }

    fn take_signals(&mut self) -> bool {
        let mut busy = false;
        while let Some(asked) = self.sources.signals.take() {
            busy = true;
            match asked {
                Asked::Reload => self.reload(),
                Asked::Stop if self.progress.stopping => {
                    tracing::warn!("Asked to stop a second time: ending at once");
                    self.progress.exit = Some(EXIT_SECOND_STOP);
                }
                Asked::Stop => {
                    self.progress.stopping = true;
                    self.notifier.tell(State::Stopping);
                    self.feed(Input::Stop);
                }
            }
        }
        busy
    }

    fn reload(&mut self) {
        self.notifier.tell(State::Reloading);
        self.clock.reload();
        self.logs.reopen();
        if let Some(observer) = &self.observer {
            observer.reopen();
        }
        if let Some(reload) = self.on_reload.clone() {
            let logs = self.logs.clone();
            // It may read files: not on the loop.
            let _ = std::thread::Builder::new().name("reload".into()).spawn(move || reload(&logs));
        }
        self.feed(Input::Reload);
        self.notifier.tell(State::Ready);
    }

    fn feed_answer(&mut self, answer: Input<Outcome<D>>) {
        match &answer {
            Input::Child { child, .. } => self.children.forget(*child),
            Input::JobDone { id, .. } | Input::JobFailed { id, .. } => self.jobs.finished(*id),
            _ => {}
        }
        self.feed(answer);
    }

    /// Hands an input to the core, after all that comes before it.
    fn feed(&mut self, input: Input<Outcome<D>>) {
        let now = self.catch_up();
        self.handle(now, input);
    }

    /// What is due, and then what was missed.
    fn catch_up(&mut self) -> Now {
        let now = self.clock.now();
        let alive = self.progress.alive.replace(now.mono).unwrap_or(now.mono);
        let gap = now.mono.since(alive);
        self.run_due(now);
        if self.core.pause_limit().is_some_and(|limit| gap > limit) {
            let ms = u64::try_from(gap.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!("This process stood still for {ms} ms");
            self.handle(now, Input::Paused { ms });
        }
        now
    }

    fn run_due(&mut self, now: Now) {
        while let Some(due) = self.core.poll_timeout().filter(|due| *due <= now.mono) {
            if self.progress.exit.is_some() {
                return;
            }
            if let Some(recorder) = &mut self.recorder {
                recorder.deadline(now, &self.core, due);
            }
            self.core.handle_timeout(now);
            self.drain(now);
        }
    }

    fn handle(&mut self, now: Now, input: Input<Outcome<D>>) {
        if self.progress.exit.is_some() {
            return;
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.input(now, &self.core, &input);
        }
        self.core.handle(now, input);
        self.drain(now);
    }

    fn drain(&mut self, now: Now) {
        let mut digest = Digest::default();
        while let Some(output) = self.core.poll_output() {
            if self.recorder.is_some() {
                digest.add(&output);
            }
            self.perform(now, output);
        }
        self.sources.links.flush();
        if let Some(recorder) = &mut self.recorder {
            recorder.outputs(now.mono, digest);
        }
    }

    fn perform(&mut self, now: Now, output: Output<D::Jobs>) {
        match output {
            Output::Send { link, to, bytes } => self.sources.links.send(link, to, bytes),
            Output::Connect { conn, service } => self.sources.ipc.connect(conn, service),
            Output::Frame { conn, frame } => self.sources.ipc.send(conn, &frame),
            Output::FlowControl { conn, level } => self.sources.ipc.flow_control(conn, level),
            Output::Close { conn, why } => self.sources.ipc.close(conn, &why),
            Output::Spawn(spawn) => self.children.spawn(spawn),
            Output::Kill(child) => self.children.kill(child),
            Output::Persist { id, name, bytes } => self.persister.replace(id, name, bytes),
            Output::Job { id, job } => self.jobs.start(id, job),
            Output::CancelJob(id) => self.jobs.cancel(id),
            Output::Allow { who, allowed } => self.allow(who, allowed),
            Output::ReadConfig => self.read_config(),
            Output::ReopenLogs => self.logs.reopen(),
            Output::Log { part, level, text } => log::say(part, level, &text),
            Output::Observe(event) => self.observe(now, event),
            Output::Ready => {
                tracing::info!("Ready");
                self.open_doors.store(true, Ordering::Relaxed);
                self.notifier.tell(State::Ready);
            }
            Output::Exit { code } => self.progress.exit = self.progress.exit.or(Some(code)),
        }
    }

    fn allow(&self, who: Who, allowed: bool) {
        match who {
            Who::User(uid) => self.allowed.set_uid(uid, allowed),
            Who::Group(gid) => self.allowed.set_gid(gid, allowed),
        }
    }

    /// On a thread: files and resolvers may hang.
    fn read_config(&self) {
        let (read, inbox, logs) = (self.read_config.clone(), self.inbox.clone(), self.logs.clone());
        let work = move || {
            let read = read.map_or_else(|| Err("nobody reads it".into()), |read| read(&logs));
            // Nobody listens any more when the daemon ends.
            let _ = inbox.send(Input::ConfigRead(read));
        };
        if let Err(error) = std::thread::Builder::new().name("config".into()).spawn(work) {
            let _ = self.inbox.send(Input::ConfigRead(Err(error.to_string())));
        }
    }

    fn observe(&mut self, now: Now, event: observe::Event) {
        tracing::trace!(target: "observe", "{event}");
        if let Some(observer) = &self.observer {
            observer.note(now, event);
        }
    }

    /// Waits for an input or a deadline.
    async fn wait(&mut self) {
        let deadline = self.core.poll_timeout();
        let look = self.core.pause_limit().map(|limit| crate::clock::mono() + limit / 4);
        let at = deadline.into_iter().chain(look).min();
        self.sources.wait(at).await;
    }

    /// In good order, but without waiting for anybody for long.
    async fn end(mut self) -> ExitCode {
        let code = self.progress.exit.unwrap_or(0);
        self.notifier.tell(State::Stopping);
        self.jobs.cancel_all();
        let second = code == EXIT_SECOND_STOP && self.progress.stopping;
        if !second {
            self.sources.ipc.finish(LAST_WORDS).await;
            self.persister.finish(LAST_FILES);
        }
        if let Some(mut recorder) = self.recorder.take() {
            recorder.finish(&format!("exit {code}"), LAST_WORDS);
        }
        if let Some(observer) = self.observer.take() {
            observer.flush(LAST_WORDS);
        }
        tracing::info!("Exiting with status {code}");
        self.logs.flush(LAST_WORDS);
        ExitCode::from(code)
    }
}

fn input<R>(happened: Happened) -> Input<R> {
    match happened {
        Happened::Accepted { conn, service, peer } => Input::Accepted { conn, service, peer },
        Happened::Connected { conn, peer } => Input::Connected { conn, peer },
        Happened::Frame { conn, frame } => Input::Frame { conn, frame },
        Happened::Closed { conn, why } => Input::Closed { conn, why },
        Happened::Blocked(conn) => Input::Blocked(conn),
        Happened::Writable(conn) => Input::Writable(conn),
    }
}

/// 128 and the number of SIGTERM, as a shell would report it.
const EXIT_SECOND_STOP: u8 = 143;
const LAST_WORDS: Duration = Duration::from_millis(500);
const LAST_FILES: Duration = Duration::from_secs(5);

impl<R> Sources<R> {
    fn answer(&mut self) -> Option<Input<R>> {
        self.held.take().or_else(|| self.inbox.try_recv().ok())
    }

    async fn wait(&mut self, until: Option<Mono>) {
        self.timer.set(until);
        tokio::select! {
            () = self.timer.expired() => {}
            () = self.links.ready() => {}
            () = self.ipc.ready() => {}
            () = self.signals.ready() => {}
            answer = self.inbox.recv() => self.held = answer,
        }
    }
}

/// A deadline that wakes the loop to the nanosecond, on CLOCK_BOOTTIME.
pub(crate) struct Timer {
    timer: TimerFd,
    /// A second descriptor of the same timer, for the runtime.
    readable: AsyncFd<OwnedFd>,
    set: Option<Mono>,
}

impl Timer {
    pub(crate) fn new() -> std::io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?;
        let readable = sys::watch(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Self { timer, readable, set: None })
    }

    fn set(&mut self, at: Option<Mono>) {
        if self.set == at {
            return;
        }
        self.set = at;
        let done = match at {
            // Zero would disarm; a deadline in the past fires at once.
            Some(at) => {
                let at = TimeSpec::from_duration(Duration::from_nanos(at.0.max(1)));
                self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            }
            None => self.timer.unset(),
        };
        if let Err(errno) = done {
            tracing::error!("The timer cannot be set: {errno}");
        }
    }

    async fn expired(&mut self) {
        if let Ok(mut ready) = self.readable.readable().await {
            self.set = None;
            // Reading would clear it too, but setting it again does both.
            ready.clear_ready();
        }
    }
}

/// The signals that the driver answers.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    asked: std::collections::VecDeque<Asked>,
}

impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            asked: std::collections::VecDeque::new(),
        })
    }

    async fn ready(&mut self) {
        let asked = tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hang_up.recv() => Asked::Reload,
        };
        self.asked.push_back(asked);
    }

    /// Also what came while the loop was busy.
    fn take(&mut self) -> Option<Asked> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        for (signal, asked) in [
            (&mut self.terminate, Asked::Stop),
            (&mut self.interrupt, Asked::Stop),
            (&mut self.hang_up, Asked::Reload),
        ] {
            if signal.poll_recv(&mut cx).is_ready() {
                self.asked.push_back(asked);
            }
        }
        self.asked.pop_front()
    }
}
