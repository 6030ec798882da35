//! The one driver of every daemon.
//!
//! [`run`] makes a process out of a core: it takes the pid file, asks for
//! real-time scheduling, gives up privileges, starts the logs and the flight
//! recorder, and then feeds the core by the rules of [`sansio`]. Nothing that
//! may hang runs on the loop: logs, recorder, disk, jobs and the start of
//! children have threads of their own, with bounded queues before them.
//!
//! ```text
//!   sockets, IPC, signals, timer ─▶ loop ─▶ core ─▶ loop ─▶ sockets, IPC
//!   answers ─────────────────────────┘               ├─▶ persist thread, job threads, children ─▶ answers
//!                                                    └─▶ log threads, recorder thread
//! ```

mod build_id;
mod child;
mod clock;
mod drive;
mod ipc;
mod jobs;
pub mod log;
mod net;
mod notify;
mod observer;
mod persist;
mod pidfile;
pub mod privileges;
pub mod realtime;
pub mod recorder;
pub mod replay;
mod sys;
#[cfg(test)]
mod testing;

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use observe::Node;
use sansio::Now;
use sansio::edge::Daemon;
use tokio::sync::mpsc;

use child::Children;
pub use child::Limits as ChildLimits;
use drive::{Drive, Progress, Signals, Sources, Timer};
pub use ipc::Service;
use log::{Logs, Origin, SinkConfig};
use pidfile::PidFile;
use privileges::Privileges;
use realtime::Realtime;
use recorder::{Recorder, format::Header};
use sys::Baseline;

/// What a process is, besides its core.
pub struct Config {
    /// The daemon's name, in logs and recordings.
    pub daemon: String,
    /// Its version; recordings add the id of the build.
    pub version: String,
    /// The node's number in the cluster; 0 when it has none.
    pub node: u32,
    /// Where its lines go.
    pub logs: Vec<SinkConfig>,
    /// How they look.
    pub log_form: log::Form,
    /// Called off the loop when the core wants its configuration read.
    pub read_config: Option<ReadConfig>,
    /// Whom the core's `Allow` changes; the rules of services share it.
    pub allowed: qb_ipc::UidGidTable,
    /// Called off the loop at SIGHUP, to set log levels from the configuration.
    pub on_reload: Option<OnReload>,
    /// Where observations go.
    pub observations: Option<PathBuf>,
    /// The flight recorder.
    pub recorder: Option<recorder::Config>,
    /// Says who runs, and keeps a second one from it.
    pub pid_file: Option<PathBuf>,
    /// User, groups, capabilities.
    pub privileges: Option<Privileges>,
    /// Scheduling and memory.
    pub realtime: Realtime,
    /// Where `Persist` writes.
    pub state_folder: Option<PathBuf>,
    /// Mode of the files there.
    pub state_mode: u32,
    /// Bounds of child processes.
    pub children: ChildLimits,
    /// Link by link, bound: sockets may need privileges that are given up.
    pub links: Vec<UdpSocket>,
    /// Local services to offer.
    pub services: Vec<Service>,
    /// How the core's own connections are made.
    pub connect: qb_ipc::ConnectOptions,
}

/// What SIGHUP does to the logs.
pub type OnReload = Arc<dyn Fn(&Logs) + Send + Sync>;

/// Reads the configuration with what the machine knows of the names in it, in
/// the form that the core takes; may set log levels by it.
pub type ReadConfig = Arc<dyn Fn(&Logs) -> Result<Vec<u8>, String> + Send + Sync>;

/// The longest message on connections of ours, unless the configuration says otherwise.
const MESSAGE_MAX: u32 = 1 << 20;

impl Config {
    /// A daemon that logs notices to standard error and has nothing else.
    pub fn new(daemon: &str) -> Self {
        let stderr = SinkConfig {
            name: "stderr".into(),
            target: log::Target::Stderr,
            level: Some(sansio::edge::Level::Notice),
        };
        Self {
            daemon: daemon.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            node: 0,
            logs: vec![stderr],
            log_form: log::Form::default(),
            read_config: None,
            allowed: qb_ipc::UidGidTable::default(),
            on_reload: None,
            observations: None,
            recorder: None,
            pid_file: None,
            privileges: None,
            realtime: Realtime::default(),
            state_folder: None,
            state_mode: 0o600,
            children: ChildLimits::default(),
            links: Vec::new(),
            services: Vec::new(),
            connect: qb_ipc::ConnectOptions::new(MESSAGE_MAX),
        }
    }
}

/// A core that a daemon made at its start.
pub struct Made<D> {
    /// The core.
    pub core: D,
    /// What it was made from, for replay from process start; without secrets.
    pub setup: Vec<u8>,
}

/// Counts and switches of a running process, usable from any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    /// Log levels, and what the sinks have lost.
    pub logs: Logs,
    recorder_lost: Arc<AtomicU64>,
}

impl Handle {
    /// Inputs and deadlines that the flight recorder could not keep.
    pub fn recorder_lost(&self) -> u64 {
        self.recorder_lost.load(Ordering::Relaxed)
    }
}

/// Runs a daemon until it exits. `make` is called when privileges are given up
/// and the logs run; the time it is given is the first that the core sees.
pub fn run<D: Daemon>(
    mut config: Config,
    make: impl FnOnce(Now, &Handle) -> Result<Made<D>, String>,
) -> ExitCode {
    let started = match Process::start(&config) {
        Ok(process) => process,
        Err(why) => {
            eprintln!("{}: {why}", config.daemon);
            return ExitCode::from(EXIT_CANNOT_START);
        }
    };
    let code = started.drive(&mut config, make).unwrap_or_else(|why| {
        tracing::error!("{why}");
        ExitCode::from(EXIT_CANNOT_START)
    });
    started.handle.logs.flush(std::time::Duration::from_millis(500));
    code
}

/// With the id of the build, where the linker made one.
fn version(version: &str) -> String {
    match build_id::build_id() {
        Some(id) => format!("{version} ({id})"),
        None => version.to_string(),
    }
}

/// A folder that is not there at the start is a mistake in the configuration:
/// better said once than with every write.
fn check_state_folder(config: &Config) -> Result<(), String> {
    let Some(folder) = &config.state_folder else { return Ok(()) };
    let remedy = "make it, or name another";
    match std::fs::metadata(folder) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => Err(format!("the state directory {} is none: {remedy}", folder.display())),
        Err(why) => Err(format!("the state directory {}: {why}: {remedy}", folder.display())),
    }
}

/// Up to the first dot, as loggers show it.
fn host_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy();
    name.split('.').next().unwrap_or_default().to_string()
}

/// A panic of the core ends the process, one in a job only the job; either is
/// an error that an administrator should report.
fn log_panics(logs: Logs) {
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed").to_string();
        tracing::error!(target: "panic", "Thread \"{name}\" {panic}: please report this");
        if name == "main" {
            logs.flush(std::time::Duration::from_millis(500));
        }
    }));
}

/// What init scripts and service managers read as "not started".
const EXIT_CANNOT_START: u8 = 1;

/// A process that is set up, before its loop.
struct Process {
    handle: Handle,
    origin: Arc<Origin>,
    baseline: &'static Baseline,
    /// Held until the process ends.
    _pid_file: Option<PidFile>,
}

/// Takes all descriptors that the system grants: clients are bounded by number
/// and user, far above the usual 1024, and strangers must not be able to use up
/// what files and children need. Children get the old limit ([`Baseline`]).
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

impl Process {
    /// In the order of what needs privileges: first the pid file, then what the
    /// kernel grants to root, then everything as the daemon's own user. No
    /// thread starts before the privileges are set.
    fn start(config: &Config) -> Result<Self, String> {
        sys::default_sigchld();
        let baseline = Baseline::capture().map_err(|e| format!("cannot look at itself: {e}"))?;
        raise_descriptor_limit();
        let pid_file = config.pid_file.as_deref().map(PidFile::take).transpose();
        let pid_file = pid_file.map_err(|refusal| refusal.to_string())?;
        let refusals = config.realtime.apply();
        if config.realtime.required && !refusals.is_empty() {
            return Err(refusals.join("; "));
        }
        if let Some(privileges) = &config.privileges {
            privileges.apply().map_err(|refusal| refusal.to_string())?;
        }
        check_state_folder(config)?;
        let origin = Arc::new(Origin {
            host: host_name(),
            daemon: config.daemon.clone(),
            pid: std::process::id(),
            form: config.log_form,
        });
        let logs = Logs::start(&config.logs, &origin).map_err(|e| format!("cannot log: {e}"))?;
        logs.install();
        log_panics(logs.clone());
        for refusal in refusals {
            tracing::warn!("{refusal}");
        }
        let handle = Handle { logs, recorder_lost: Arc::default() };
        Ok(Self { handle, origin, baseline, _pid_file: pid_file })
    }

    fn drive<D: Daemon>(
        &self,
        config: &mut Config,
        make: impl FnOnce(Now, &Handle) -> Result<Made<D>, String>,
    ) -> Result<ExitCode, String> {
        let system = |error: std::io::Error| format!("cannot start: {error}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(system)?;
        let _context = runtime.enter();
        let mut clock = clock::Clock::default();
        let now = clock.now();
        let Made { core, setup } = make(now, &self.handle)?;
        let recorder = config.recorder.take().map(|c| self.record(c, config, setup));
        let observer = config.observations.as_deref();
        let observer = observer.map(|path| observer::Observer::start(path, Node(config.node)));
        let (inbox, answers) = mpsc::unbounded_channel();
        let folder = config.state_folder.clone();
        let open_doors = Arc::new(AtomicBool::new(false));
        let services = ipc::guarded(std::mem::take(&mut config.services), &open_doors);
        let drive = Drive {
            core,
            read_config: config.read_config.clone(),
            allowed: config.allowed.clone(),
            open_doors,
            inbox: inbox.clone(),
            clock,
            children: Children::new(inbox.clone(), self.baseline, config.children),
            jobs: jobs::Jobs::new(inbox.clone()),
            persister: persist::Persister::start(folder, config.state_mode, inbox)
                .map_err(system)?,
            recorder: recorder.transpose().map_err(system)?,
            observer: observer.transpose().map_err(system)?,
            notifier: notify::Notifier::from_env().map_err(system)?,
            logs: self.handle.logs.clone(),
            on_reload: config.on_reload.clone(),
            progress: Progress::default(),
            sources: Sources {
                timer: Timer::new().map_err(system)?,
                links: net::Links::new(std::mem::take(&mut config.links)).map_err(system)?,
                ipc: ipc::Ipc::start(services, config.connect.clone()).map_err(system)?,
                signals: Signals::new().map_err(system)?,
                inbox: answers,
                held: None,
            },
        };
        Ok(runtime.block_on(drive.run(now)))
    }

    fn record(
        &self,
        recording: recorder::Config,
        config: &Config,
        setup: Vec<u8>,
    ) -> std::io::Result<Recorder> {
        let header = Header {
            daemon: config.daemon.clone(),
            version: version(&config.version),
            host: self.origin.host.clone(),
            node: config.node,
            pid: self.origin.pid,
            started_wall: u64::try_from(clock::wall().0).unwrap_or(0),
            setup,
            ..Header::default()
        };
        let folder = recorder::Folder::new(&recording.folder, recording.segments);
        Recorder::start(recording, header, Box::new(folder), self.handle.recorder_lost.clone())
    }
}
