//! The driver's test daemon: a [`Tester`] in a process, set up by `KEY=VALUE`
//! arguments. It says the port of its link on standard output.

mod core;

use std::io::Write;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use host::log::{SinkConfig, Target};
use host::privileges::Role;
use host::realtime::RootCgroup;
use host::{Config, Made};
use sansio::edge::Level;

use crate::core::{Setup, Tester};

fn main() -> ExitCode {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a loopback address");
    let port = socket.local_addr().expect("a bound socket").port();
    let mut config = Config::new("host-testd");
    config.links = vec![socket];
    config.node = 1;
    config.logs.clear();
    let mut setup = Setup::default();
    for argument in std::env::args().skip(1) {
        let (key, value) = argument.split_once('=').expect("KEY=VALUE");
        apply(&mut config, &mut setup, key, value);
    }
    host::run(config, |now, _| {
        println!("port {port}");
        println!("dumpable {}", nix::sys::prctl::get_dumpable().unwrap_or(true));
        let _ = std::io::stdout().flush();
        Ok(Made { setup: setup.encode(), core: Tester::new(now, setup) })
    })
}

fn apply(config: &mut Config, setup: &mut Setup, key: &str, value: &str) {
    let number = || value.parse::<u32>().expect("a number");
    match key {
        "period" => setup.period_ms = number().into(),
        "lines" => setup.lines = number(),
        "pause" => setup.pause_limit_ms = number().into(),
        "stubborn" => setup.stubborn = true,
        "padding" => setup.snapshot_padding = number(),
        "state" => config.state_folder = Some(value.into()),
        "pidfile" => config.pid_file = Some(value.into()),
        "record" => config.recorder = Some(host::recorder::Config::in_folder(value.into())),
        "segment" => recorder(config).segment_bytes = number() as usize,
        "segments" => recorder(config).segments = number() as usize,
        "observe" => config.observations = Some(value.into()),
        "privileges" => config.privileges = Some(role(value).privileges()),
        "user" => {
            let mut privileges = Role::Based.privileges();
            privileges.user = Some(value.into());
            config.privileges = Some(privileges);
        }
        "rr" => config.realtime.round_robin = value.parse().ok(),
        "oom" => config.realtime.oom_score_adj = value.parse().ok(),
        "mlock" => config.realtime.lock_memory = true,
        "cgroup" => {
            config.realtime.root_cgroup = RootCgroup::Yes;
            config.realtime.cgroup_mount = value.into();
        }
        "required" => config.realtime.required = true,
        "service" => config.services.push(host::Service {
            config: qb_ipc::ServerConfig::new(value),
            rule: qb_ipc::allow_all(),
            waits_for_ready: false,
        }),
        "umask" => {
            let mask = nix::sys::stat::Mode::from_bits_truncate(number());
            nix::sys::stat::umask(mask);
        }
        "levels" => {
            let path = PathBuf::from(value);
            config.on_reload = Some(Arc::new(move |logs| {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                logs.set_level("file", level(text.trim()));
            }));
        }
        _ => config.logs.push(sink(key, value)),
    }
}

fn recorder(config: &mut Config) -> &mut host::recorder::Config {
    config.recorder.as_mut().expect("record= first")
}

fn role(name: &str) -> Role {
    *Role::ALL.iter().find(|role| role.name() == name).expect("a daemon's name")
}

/// `stderr=LEVEL`, `file=PATH`, `syslog=PATH`, `journal=PATH`
fn sink(key: &str, value: &str) -> SinkConfig {
    let path = || PathBuf::from(value);
    let target = match key {
        "stderr" => Target::Stderr,
        "file" => Target::File { path: path(), mode: 0o640 },
        "syslog" => Target::Syslog { socket: path(), facility: 3 },
        "journal" => Target::Journal { socket: path() },
        _ => panic!("no argument {key}"),
    };
    let level = if key == "stderr" { level(value) } else { Some(Level::Info) };
    SinkConfig { name: key.into(), target, level }
}

fn level(name: &str) -> Option<Level> {
    match name {
        "error" => Some(Level::Error),
        "warning" => Some(Level::Warning),
        "notice" => Some(Level::Notice),
        "info" => Some(Level::Info),
        "debug" => Some(Level::Debug),
        "trace" => Some(Level::Trace),
        _ => None,
    }
}
