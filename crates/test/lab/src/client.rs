//! A lab as its owner holds it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::layout::{self, RunDir};
use crate::node::ENVIRONMENT;
use crate::procs::Pid;
use crate::spec::{Kind, Spec};
use crate::{hub, keeper};

/// A running lab. Dropping the owner's handle ends the lab and waits until
/// nothing of it is left; so does the owner's death, by whatever signal.
#[derive(Debug)]
pub struct Lab {
    dir: RunDir,
    spec: Spec,
    keeper: Option<(Child, ChildStdin)>,
}

impl Lab {
    /// Removes what dead labs left, then makes and boots the nodes. `program` is
    /// the binary `lab`, `name` the lab's name (none: a new one).
    pub fn start(program: &Path, name: Option<&str>, spec: Spec) -> Result<Self, String> {
        layout::reap()?;
        let dir = RunDir::named(name.unwrap_or(&new_name()))?;
        let root = layout::root()?;
        let failed = |e: std::io::Error| format!("cannot make {}: {e}", dir.path().display());
        fs::create_dir_all(&root).map_err(failed)?;
        fs::create_dir(dir.path()).map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => {
                format!("there is a lab \"{}\" already", dir.name())
            }
            _ => failed(e),
        })?;
        spec.save(&dir)?;
        let log = fs::File::create(dir.log()).map_err(failed)?;
        let mut command = Command::new(program);
        command.arg("__keeper").arg(dir.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child =
            command.spawn().map_err(|e| format!("cannot run {}: {e}", program.display()))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let lifeline = stdin.ok_or("no lifeline to the keeper")?;
        let mut line = String::new();
        if let Some(stdout) = stdout {
            // The keeper holds the pipe open as long as it lives: after anything
            // but "ready" it ends, and what it said is whole.
            let mut stdout = BufReader::new(stdout);
            stdout.read_line(&mut line).map_err(failed)?;
            if line != "ready\n" {
                stdout.read_to_string(&mut line).map_err(failed)?;
            }
        }
        let lab = Lab { dir, spec, keeper: Some((child, lifeline)) };
        match line.strip_prefix("failed ") {
            _ if line == "ready\n" => Ok(lab),
            Some(why) => Err(why.trim_end().to_string()),
            None => {
                let log = fs::read_to_string(lab.dir.log()).unwrap_or_default();
                Err(format!("the lab's hub ended before it was ready: {}", log.trim()))
            }
        }
    }

    /// A lab that was started by another process.
    pub fn open(name: &str) -> Result<Self, String> {
        let dir = RunDir::named(name)?;
        if !dir.path().is_dir() || !dir.is_alive() {
            return Err(format!("there is no lab \"{name}\" (lab status lists them)"));
        }
        Ok(Lab { spec: Spec::load(&dir)?, dir, keeper: None })
    }

    /// Lets the lab live on without this handle.
    pub fn detach(mut self) -> Result<(), String> {
        let Some((_, lifeline)) = &mut self.keeper else { return Ok(()) };
        lifeline.write_all(&[keeper::DETACH]).map_err(|e| format!("keeper: {e}"))?;
        self.keeper = None;
        Ok(())
    }

    /// Ends a lab that this handle does not own, and waits until it is gone.
    pub fn down(self) -> Result<(), String> {
        let _ = self.order(&["down"]);
        let dir = self.dir.clone();
        drop(self);
        let gone = || !dir.path().exists() || !dir.is_alive();
        if !crate::procs::wait_until(std::time::Duration::from_secs(30), gone) {
            return Err(format!("lab {} does not end", dir.name()));
        }
        if dir.path().exists() { dir.remove() } else { Ok(()) }
    }

    /// The lab's directory.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// What the lab was asked to be.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The keeper's process id, if this handle owns the lab.
    pub fn keeper_pid(&self) -> Option<Pid> {
        self.keeper.as_ref().and_then(|(child, _)| Pid::try_from(child.id()).ok())
    }

    /// The hub's process id on the host.
    pub fn hub_pid(&self) -> Result<Pid, String> {
        let text = fs::read_to_string(self.dir.hub_pid()).map_err(|e| format!("hub: {e}"))?;
        text.trim().parse().map_err(|_| format!("hub: \"{text}\" is no process id"))
    }

    /// Sends an order to the hub.
    ///
    /// The words are those of `lab`'s own scenario actions: `kill 1`, `cut 1,2 3`.
    pub fn order(&self, words: &[&str]) -> Result<String, String> {
        hub::send(&self.dir, words)
    }

    /// Runs a command in a node and returns what it printed.
    pub fn run_in(&self, node: u32, words: &[&str]) -> Result<String, String> {
        let node = node.to_string();
        let order: Vec<&str> = ["run", &node].into_iter().chain(words.iter().copied()).collect();
        self.order(&order)
    }

    /// A command that runs inside a node with our own stdin and stdout: through
    /// the hub's namespaces, where the node's first process has its number.
    pub fn command_in(&self, node: u32, words: &[String]) -> Result<Command, String> {
        let leader = self.order(&["leader", &node.to_string()])?;
        let hub = self.hub_pid()?.to_string();
        let mut command = Command::new("nsenter");
        command.args(["-t", &hub, "-m", "-p", "-n", "--", "nsenter", "-t", &leader]);
        command.args(["-m", "-u", "-i", "-n", "-p"]);
        if self.spec.kind == Kind::Full {
            command.args(["-C", "-r", "-w"]);
        }
        command.args(["--", "/usr/bin/env", "-i"]);
        let terminal = std::env::var("TERM").unwrap_or_else(|_| "dumb".into());
        command.arg(format!("TERM={terminal}"));
        command.args(ENVIRONMENT.iter().map(|(name, value)| format!("{name}={value}")));
        command.args(words);
        Ok(command)
    }

    /// A command that runs on the switch, in the hub's network namespace.
    pub fn command_on_switch(&self, words: &[&str]) -> Result<Command, String> {
        let hub = self.hub_pid()?.to_string();
        let mut command = Command::new("nsenter");
        // Of the hub's pid namespace, too: it ends with the lab.
        command.args(["-t", &hub, "-m", "-p", "-n", "--"]).args(words);
        Ok(command)
    }

    /// Starts the cluster software on nodes, together.
    pub fn start_stack(&self, nodes: &[u32]) -> Result<(), String> {
        self.order(&["start", &join(nodes)]).map(drop)
    }

    /// Which program every daemon runs, as a table; an error when it is not what
    /// the mix asks for, or when a daemon was respawned though no fault was planned.
    pub fn audit(&self) -> Result<String, (String, String)> {
        let answer = self.order(&["audit"]).map_err(|why| (why, String::new()))?;
        let (complaints, table) = answer.split_once('\n').unwrap_or((&answer, ""));
        if complaints.is_empty() {
            return Ok(table.to_string());
        }
        Err((complaints.to_string(), table.to_string()))
    }

    /// Whether the owned lab's keeper still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        match &mut self.keeper {
            Some((child, _)) => matches!(child.try_wait(), Ok(None)),
            None => self.dir.is_alive(),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some((mut child, lifeline)) = self.keeper.take() {
            drop(lifeline);
            let _ = child.wait();
        }
    }
}

/// Numbers with commas.
pub(crate) fn join(nodes: &[u32]) -> String {
    nodes.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

fn new_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("run-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Where the running program `lab` is, when it is what runs.
pub(crate) fn own_program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|e| format!("cannot find the program lab: {e}"))
}
