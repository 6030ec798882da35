//! The daemon on a thread of its own, in a network namespace of its own.

use std::ffi::OsStr;
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};

use crate::Daemon;

/// How soon a request to stop is seen.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A running node; dropping it ends it.
pub struct Solo {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<String>>>,
    namespace: std::path::PathBuf,
}

impl Solo {
    /// Starts a node in a new network namespace.
    ///
    /// # Errors
    /// Making the namespace needs root.
    pub fn start(votes: votequorum::Config) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (started, ready) = mpsc::channel();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || serve(votes, &stopped, &started));
        let namespace = ready.recv().map_err(io::Error::other)??;
        Ok(Self { stop, thread: Some(thread), namespace })
    }

    /// A command that will run beside the node and reach it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        let mut namespace = std::ffi::OsString::from("--net=");
        namespace.push(&self.namespace);
        command.arg(namespace).arg("--").arg(program);
        command
    }

    /// Whether the node has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends the node; what it had to say comes back.
    pub fn stop(mut self) -> Vec<String> {
        self.end()
    }

    fn end(&mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Release);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Solo {
    fn drop(&mut self) {
        self.end();
    }
}

fn serve(
    votes: votequorum::Config,
    stop: &AtomicBool,
    started: &mpsc::Sender<io::Result<std::path::PathBuf>>,
) -> Vec<String> {
    let runtime = unshare(CloneFlags::CLONE_NEWNET)
        .map_err(io::Error::from)
        .and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(why) => {
            let why = io::Error::new(why.kind(), format!("a network namespace needs root: {why}"));
            started.send(Err(why)).ok();
            return Vec::new();
        }
    };
    runtime.block_on(async {
        let mut daemon = match Daemon::start(votes) {
            Ok(daemon) => daemon,
            Err(why) => {
                started.send(Err(why)).ok();
                return Vec::new();
            }
        };
        let thread = nix::unistd::gettid();
        let process = std::process::id();
        started.send(Ok(format!("/proc/{process}/task/{thread}/ns/net").into())).ok();
        while !stop.load(Ordering::Acquire) && !daemon.ended {
            daemon.turn(LOOK_AGAIN).await;
        }
        daemon.log
    })
}
