//! Child processes: agents and the commands of fence devices.
//!
//! A child gets what this process had before it made itself special (see
//! [`Baseline`]), a process group of its own, exactly the environment that was
//! asked for, and three descriptors. One task watches it by its pidfd, so that
//! its group can be killed while the leader is still unreaped and its number
//! cannot have passed to a stranger. Starting happens on a thread: an exec on
//! storage that hangs must not stop the loop.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use sansio::edge::{Child, ChildEvent, Input, Spawn};
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::sys::{self, Baseline};

/// How many resource limits Linux has.
const RLIMITS: u32 = 16;

impl Baseline {
    /// Takes the picture, to be kept for the process's life: `isolate` reads it
    /// between fork and exec, where nothing may be allocated or freed.
    pub(crate) fn capture() -> io::Result<&'static Self> {
        let (policy, priority) = sys::scheduler()?;
        let limits = (0..RLIMITS).filter_map(|resource| {
            let (soft, hard) = sys::limit(resource).ok()?;
            Some((resource, soft, hard))
        });
        Ok(Box::leak(Box::new(Self {
            policy,
            priority,
            nice: sys::nice(),
            oom_score_adj: std::fs::read("/proc/self/oom_score_adj").unwrap_or(b"0\n".to_vec()),
            limits: limits.collect(),
            umask: sys::umask(),
        })))
    }
}

/// Bounds of all children of a daemon.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many may run at once; more fail with EAGAIN.
    pub running: usize,
    /// How long a child that exceeded its time has between SIGTERM and SIGKILL.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { running: 1024, grace: Duration::from_secs(2) }
    }
}

/// The running children of the daemon.
pub(crate) struct Children<R> {
    running: BTreeMap<Child, Option<oneshot::Sender<()>>>,
    inbox: mpsc::UnboundedSender<Input<R>>,
    baseline: &'static Baseline,
    limits: Limits,
}

impl<R: Send + 'static> Children<R> {
    pub(crate) fn new(
        inbox: mpsc::UnboundedSender<Input<R>>,
        baseline: &'static Baseline,
        limits: Limits,
    ) -> Self {
        Self { running: BTreeMap::new(), inbox, baseline, limits }
    }

    /// Starts a child; exactly one event about it will arrive in the inbox.
    pub(crate) fn spawn(&mut self, spawn: Spawn) {
        let child = spawn.child;
        let refused = if self.running.contains_key(&child) {
            tracing::error!("Child {} was asked for twice: the second is not started", child.0);
            Some(libc::EEXIST)
        } else if self.running.len() >= self.limits.running {
            Some(libc::EAGAIN)
        } else if !spawn.program.starts_with('/') {
            Some(libc::EINVAL)
        } else {
            None
        };
        if let Some(errno) = refused {
            let event = ChildEvent::SpawnFailed { errno };
            let _ = self.inbox.send(Input::Child { child, event });
            return;
        }
        let (kill, killed) = oneshot::channel();
        self.running.insert(child, Some(kill));
        let (inbox, baseline, grace) = (self.inbox.clone(), self.baseline, self.limits.grace);
        tokio::spawn(async move {
            let event = supervise(spawn, baseline, grace, killed).await;
            let _ = inbox.send(Input::Child { child, event });
        });
    }

    /// Kills a child with its group; no effect when it has ended.
    pub(crate) fn kill(&mut self, child: Child) {
        if let Some(kill) = self.running.get_mut(&child).and_then(Option::take) {
            let _ = kill.send(());
        }
    }

    /// The event of `child` has been taken from the inbox.
    pub(crate) fn forget(&mut self, child: Child) {
        self.running.remove(&child);
    }
}

/// Follows one child from its start to its end.
async fn supervise(
    spawn: Spawn,
    baseline: &'static Baseline,
    grace: Duration,
    mut killed: oneshot::Receiver<()>,
) -> ChildEvent {
    let deadline = Instant::now() + Duration::from_millis(spawn.timeout_ms);
    let (stdin, stdout_max, program) =
        (spawn.stdin.clone(), spawn.stdout_max, spawn.program.clone());
    let mut starting = match start(spawn, baseline) {
        Ok(starting) => starting,
        Err(error) => return spawn_failed(&error),
    };
    let started = tokio::select! {
        started = &mut starting => started.unwrap_or_else(|_| Err(Errno::EIO.into())),
        () = sleep_until(deadline) => {
            abandon(starting);
            return ChildEvent::TimedOut;
        }
        _ = &mut killed => {
            abandon(starting);
            return ChildEvent::Signalled { signal: libc::SIGKILL };
        }
    };
    match started.and_then(|process| Running::new(process, stdin, stdout_max as usize, program)) {
        Ok(running) => running.watch(deadline, grace, killed).await,
        Err(error) => spawn_failed(&error),
    }
}

fn spawn_failed(error: &io::Error) -> ChildEvent {
    ChildEvent::SpawnFailed { errno: error.raw_os_error().unwrap_or(libc::EINVAL) }
}

type Starting = oneshot::Receiver<io::Result<std::process::Child>>;

/// Forks and waits for exec on a thread of its own.
fn start(spawn: Spawn, baseline: &'static Baseline) -> io::Result<Starting> {
    let (sender, receiver) = oneshot::channel();
    let forked = move || {
        let mut command = Command::new(&spawn.program);
        command.args(&spawn.args).env_clear().envs(spawn.env);
        let stdin = if spawn.stdin.is_empty() { Stdio::null() } else { Stdio::piped() };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        sys::isolate(&mut command, baseline);
        if let Err(Ok(late)) = sender.send(command.spawn()) {
            // Nobody waits any more: the daemon ends.
            kill_and_reap(late);
        }
    };
    std::thread::Builder::new().name("spawn".into()).stack_size(128 << 10).spawn(forked)?;
    Ok(receiver)
}

/// A child that is not there yet and already not wanted: it is killed when it comes.
fn abandon(starting: Starting) {
    tokio::spawn(async move {
        if let Ok(Ok(late)) = starting.await {
            kill_and_reap(late);
        }
    });
}

/// SIGKILL cannot be refused, so the wait is short; still it is not for the loop.
fn kill_and_reap(mut process: std::process::Child) {
    signal_group(process.id(), Signal::SIGKILL);
    let wait = move || drop(process.wait());
    let _ = std::thread::Builder::new().name("reap".into()).stack_size(64 << 10).spawn(wait);
}

fn signal_group(leader: u32, signal: Signal) {
    // ESRCH: the group is gone, which is what was wanted.
    let _ = i32::try_from(leader).map(|pid| killpg(Pid::from_raw(pid), signal));
}

/// Standard error is for the log, not for the core.
const STDERR_MAX: usize = 4096;

/// A child that runs.
struct Running {
    process: std::process::Child,
    ended: AsyncFd<OwnedFd>,
    stdin: Option<(pipe::Sender, Vec<u8>)>,
    stdout: Capture,
    stderr: Capture,
    program: String,
}

/// How the end came about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    InTime,
    Terminated,
    Killed { timed_out: bool },
}

impl Running {
    fn new(
        mut process: std::process::Child,
        stdin: Vec<u8>,
        stdout_max: usize,
        program: String,
    ) -> io::Result<Self> {
        let parts = Self::open(&mut process, stdout_max);
        match parts {
            Ok((ended, sender, stdout, stderr)) => {
                let stdin = sender.map(|sender| (sender, stdin));
                Ok(Self { process, ended, stdin, stdout, stderr, program })
            }
            Err(error) => {
                kill_and_reap(process);
                Err(error)
            }
        }
    }

    fn open(
        process: &mut std::process::Child,
        stdout_max: usize,
    ) -> io::Result<(AsyncFd<OwnedFd>, Option<pipe::Sender>, Capture, Capture)> {
        let ended = sys::watch(sys::pidfd_open(process.id())?)?;
        let stdin = process.stdin.take().map(|p| pipe::Sender::from_owned_fd(p.into()));
        let stdout = Capture::new(process.stdout.take().map(OwnedFd::from), stdout_max)?;
        let stderr = Capture::new(process.stderr.take().map(OwnedFd::from), STDERR_MAX)?;
        Ok((ended, stdin.transpose()?, stdout, stderr))
    }

    async fn watch(
        mut self,
        mut deadline: Instant,
        grace: Duration,
        mut killed: oneshot::Receiver<()>,
    ) -> ChildEvent {
        let leader = self.process.id();
        let mut phase = Phase::InTime;
        let mut kill_wanted = true;
        let mut feed = pin!(feed(self.stdin.take()));
        let mut fed = false;
        loop {
            tokio::select! {
                ready = self.ended.readable() => {
                    drop(ready);
                    break;
                }
                () = self.stdout.pump() => {}
                () = self.stderr.pump() => {}
                () = &mut feed, if !fed => fed = true,
                asked = &mut killed, if kill_wanted => {
                    kill_wanted = false;
                    // An error means that the daemon forgot the child: let it run.
                    if asked.is_ok() {
                        signal_group(leader, Signal::SIGKILL);
                        phase = Phase::Killed { timed_out: phase != Phase::InTime };
                    }
                }
                () = sleep_until(deadline), if !matches!(phase, Phase::Killed { .. }) => {
                    phase = match phase {
                        Phase::InTime => {
                            signal_group(leader, Signal::SIGTERM);
                            deadline = Instant::now() + grace;
                            Phase::Terminated
                        }
                        Phase::Terminated | Phase::Killed { .. } => {
                            signal_group(leader, Signal::SIGKILL);
                            Phase::Killed { timed_out: true }
                        }
                    };
                }
            }
        }
        self.finish(phase)
    }

    /// The leader is a zombie: its group still bears its number.
    fn finish(mut self, phase: Phase) -> ChildEvent {
        if phase != Phase::InTime {
            signal_group(self.process.id(), Signal::SIGKILL);
        }
        let status = self.process.wait();
        self.stdout.drain();
        self.stderr.drain();
        self.report_stderr();
        match (phase, status) {
            (Phase::Terminated | Phase::Killed { timed_out: true }, _) => ChildEvent::TimedOut,
            (_, Ok(status)) => ended(status, self.stdout.kept),
            (_, Err(error)) => {
                tracing::error!("{} ended, but not its status: {error}", self.program);
                ChildEvent::SpawnFailed { errno: error.raw_os_error().unwrap_or(libc::ECHILD) }
            }
        }
    }

    fn report_stderr(&self) {
        let text = String::from_utf8_lossy(&self.stderr.kept);
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            tracing::info!(target: "child", "{}[{}] says: {line}", self.program, self.process.id());
        }
    }
}

fn ended(status: ExitStatus, stdout: Vec<u8>) -> ChildEvent {
    match (status.code(), status.signal()) {
        (Some(code), _) => ChildEvent::Exited { code, stdout },
        (None, signal) => ChildEvent::Signalled { signal: signal.unwrap_or(libc::SIGKILL) },
    }
}

/// Writes standard input and closes it; a child that does not read it is its own affair.
async fn feed(stdin: Option<(pipe::Sender, Vec<u8>)>) {
    let Some((pipe, bytes)) = stdin else { return };
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        if pipe.writable().await.is_err() {
            return;
        }
        match pipe.try_write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// The first bytes of an output; the rest is read and dropped, so that the
/// child never waits for us.
struct Capture {
    pipe: Option<pipe::Receiver>,
    kept: Vec<u8>,
    max: usize,
}

impl Capture {
    fn new(pipe: Option<OwnedFd>, max: usize) -> io::Result<Self> {
        let pipe = pipe.map(pipe::Receiver::from_owned_fd).transpose()?;
        Ok(Self { pipe, kept: Vec::new(), max })
    }

    /// Reads once; waits for ever at the end, as `select!` wants it.
    async fn pump(&mut self) {
        let Some(pipe) = &self.pipe else { return std::future::pending().await };
        let mut buffer = [0; 4096];
        let read = match pipe.readable().await {
            Ok(()) => pipe.try_read(&mut buffer),
            Err(error) => Err(error),
        };
        match read {
            Ok(0) => self.pipe = None,
            Ok(len) => self.keep(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.pipe = None,
        }
    }

    /// Takes what the child left in the pipe. A background process of the
    /// child may hold the pipe open and go on writing: it is not waited for.
    fn drain(&mut self) {
        let Some(pipe) = self.pipe.take() else { return };
        let mut buffer = [0; 4096];
        while self.kept.len() < self.max {
            match nix::unistd::read(pipe.as_fd(), &mut buffer) {
                Ok(len) if len > 0 => self.keep(&buffer[..len]),
                Err(Errno::EINTR) => {}
                _ => return,
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.max - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}
