//! corosync: reads the configuration, binds the network, and lets the driver
//! run the core of the crate `membership`.
//!
//! Command line, exit status, files and log lines are Corosync's, where tools
//! and administrators depend on them.

mod arguments;
mod logs;
mod machine;
mod reading;
mod sockets;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use arguments::Command;
use corosync_conf::Config;
use corosync_conf::system::{IpcType, RootCgroup};
use corosync_conf::totem::Hash;
use host::{Made, Service};
use membership::{Membership, Reading, Setup};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

/// `COROSYNC_DONE_*` of the reference, as far as something can end like that.
mod exit {
    pub(crate) const FORK: u8 = 4;
    pub(crate) const CONFIGURATION: u8 = 8;
    pub(crate) const NETWORK: u8 = 15;
    pub(crate) const NO_STATE_FOLDER: u8 = 16;
}

const PID_FILE: &str = "/run/corosync.pid";
const SERVICES: [&str; 5] = ["cmap", "cfg", "cpg", "quorum", "votequorum"];
/// The highest priority of SCHED_RR.
const PRIORITY: i32 = 99;

fn main() -> ExitCode {
    let (file, foreground, test) = match arguments::parse(std::env::args_os()) {
        Ok(Command::Help) => {
            print!("{}", arguments::USAGE);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Version) => {
            print!("{}", arguments::version());
            return ExitCode::SUCCESS;
        }
        Ok(Command::Run { file, foreground, test }) => (file, foreground, test),
        Err(why) => {
            eprintln!("corosync: {why}\n{}", arguments::USAGE);
            return ExitCode::FAILURE;
        }
    };
    let (reading, config) = match configuration(&file) {
        Ok(read) => read,
        Err(why) => return fail(exit::CONFIGURATION, &why),
    };
    if test {
        return ExitCode::SUCCESS;
    }
    run(&file, foreground, reading, &config)
}

fn fail(code: u8, why: &str) -> ExitCode {
    eprintln!("corosync: {why}");
    logs::tell_syslog(why);
    ExitCode::from(code)
}

fn configuration(file: &Path) -> Result<(Reading, Config), String> {
    let reading = reading::read(file)?;
    let config = reading.config().map_err(|refused| refused.to_string())?;
    check(&config)?;
    Ok((reading, config))
}

/// A cluster that is to be protected never runs in clear.
fn check(config: &Config) -> Result<(), String> {
    if config.totem.protection.hash != Hash::None {
        return Err("secauth, crypto_hash and crypto_cipher are not built yet: set secauth: off, \
                    or run Corosync"
            .into());
    }
    Ok(())
}

fn run(file: &Path, foreground: bool, reading: Reading, config: &Config) -> ExitCode {
    let state = PathBuf::from(&config.system.state_dir);
    if let Err(why) = std::env::set_current_dir(&state) {
        let why = format!("Cannot chdir to state directory {}. {why}", state.display());
        return fail(exit::NO_STATE_FOLDER, &why);
    }
    let links = match sockets::bind(config) {
        Ok(links) => links,
        Err(why) => return fail(exit::NETWORK, &why),
    };
    // Keeps the working folder, gives standard input and output away.
    if !foreground && let Err(why) = nix::unistd::daemon(true, false) {
        return fail(exit::FORK, &format!("cannot go to the background: {why}"));
    }
    let mut process = process(config, foreground);
    process.links = links;
    process.state_folder = Some(state.clone());
    process.read_config = Some(reload(file, foreground));
    let (warnings, notices) = (config.warnings.clone(), config.notices.clone());
    let node = config.local.node;
    host::run(process, move |now, handle| {
        logs::say_start(&handle.logs, &warnings, &notices);
        let setup = Setup {
            reading,
            stored_ring_id: stored(&state.join(membership::ring_id_file(node)))?,
            stored_votes: stored(&state.join(membership::VOTES_FILE))?,
            seed: u64::try_from(now.wall.0).unwrap_or(0) ^ u64::from(node.0),
        };
        let core = Membership::new(now, setup)?;
        Ok(Made { core, setup: Vec::new() })
    })
}

/// The content of a state file; a missing one is a node's first start.
fn stored(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

fn process(config: &Config, foreground: bool) -> host::Config {
    let mut process = host::Config::new("corosync");
    process.node = config.local.node.0;
    process.logs = logs::sinks(&config.logging, foreground);
    process.log_form = host::log::Form::Corosync(logs::timestamp(&config.logging));
    process.pid_file = Some(PID_FILE.into());
    process.realtime = host::realtime::Realtime {
        round_robin: config.system.sched_rr.then_some(PRIORITY),
        // Under a limit, locking what comes later would make it fail.
        lock_memory: { setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY).is_ok() },
        root_cgroup: match config.system.root_cgroup {
            RootCgroup::Yes => host::realtime::RootCgroup::Yes,
            RootCgroup::No => host::realtime::RootCgroup::No,
            RootCgroup::Auto => host::realtime::RootCgroup::Auto,
        },
        ..Default::default()
    };
    let allowed = process.allowed.clone();
    process.services = SERVICES
        .into_iter()
        .filter(|name| *name != "votequorum" || config.quorum.is_some())
        .map(|name| service(name, config.system.ipc_type, &allowed))
        .collect();
    process
}

fn service(name: &str, ipc_type: IpcType, allowed: &qb_ipc::UidGidTable) -> Service {
    let mut config = qb_ipc::ServerConfig::new(name);
    if ipc_type == IpcType::Socket {
        config.transport = qb_ipc::Transport::Socket;
    }
    let rule = qb_ipc::corosync_rule(allowed.clone());
    Service { config, rule, waits_for_ready: true }
}

/// Reads the files again, and sets the levels of the logs by them.
fn reload(file: &Path, foreground: bool) -> host::ReadConfig {
    let file = file.to_path_buf();
    Arc::new(move |running| {
        let (reading, config) = configuration(&file)?;
        logs::set_levels(running, &config.logging, foreground);
        Ok(reading.encode())
    })
}
