//! The logging section, as the driver's sinks.

use std::os::unix::net::UnixDatagram;

use corosync_conf::logging::{Debug, Logging, Priority, Timestamp};
use host::log::{self, Logs, SinkConfig, Target};
use sansio::edge::Level;

const SYSLOG: &str = "/dev/log";
const LOGFILE: &str = "/var/log/cluster/corosync.log";
const LOGFILE_MODE: u32 = 0o660;
const FACILITIES: [(&str, u8); 20] = [
    ("kern", 0),
    ("user", 1),
    ("daemon", 3),
    ("auth", 4),
    ("security", 4),
    ("syslog", 5),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("mail", 2),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];
const DAEMON: u8 = 3;

/// Every sink, also those that are off: a reload may turn them on.
pub(crate) fn sinks(logging: &Logging, foreground: bool) -> Vec<SinkConfig> {
    let main = &logging.main;
    let facility = main.syslog_facility.as_deref();
    let facility = FACILITIES.iter().find(|(name, _)| Some(*name) == facility);
    let facility = facility.map_or(DAEMON, |(_, number)| *number);
    let mut targets = vec![
        ("stderr", Target::Stderr),
        ("syslog", Target::Syslog { socket: SYSLOG.into(), facility }),
    ];
    if let Some(path) = main.logfile.clone().or_else(|| main.to_logfile?.then(|| LOGFILE.into())) {
        targets.push(("logfile", Target::File { path: path.into(), mode: LOGFILE_MODE }));
    }
    let sink = |(name, target): (&str, Target)| SinkConfig {
        name: name.into(),
        target,
        level: level(logging, name, foreground),
    };
    targets.into_iter().map(sink).collect()
}

/// What a reload changes.
pub(crate) fn set_levels(running: &Logs, logging: &Logging, foreground: bool) {
    for name in ["stderr", "syslog", "logfile"] {
        running.set_level(name, level(logging, name, foreground));
    }
}

fn level(logging: &Logging, sink: &str, foreground: bool) -> Option<Level> {
    let main = &logging.main;
    let (is_on, priority) = match sink {
        "stderr" => (main.to_stderr.filter(|_| foreground), main.syslog_priority),
        "syslog" => (main.to_syslog, main.syslog_priority),
        _ => (main.to_logfile, main.logfile_priority),
    };
    if is_on != Some(true) {
        return None;
    }
    let wanted = priority.map_or(Some(Level::Info), of_priority);
    match main.debug {
        Debug::Off => wanted,
        Debug::On => wanted.max(Some(Level::Debug)),
        Debug::Trace => wanted.max(Some(Level::Trace)),
    }
}

fn of_priority(priority: Priority) -> Option<Level> {
    match priority {
        Priority::Emergency | Priority::Alert | Priority::Critical | Priority::Error => {
            Some(Level::Error)
        }
        Priority::Warning => Some(Level::Warning),
        Priority::Notice => Some(Level::Notice),
        Priority::Info => Some(Level::Info),
        Priority::Debug => Some(Level::Debug),
        Priority::None => None,
    }
}

pub(crate) fn timestamp(logging: &Logging) -> log::Timestamp {
    match logging.timestamp {
        Timestamp::Off => log::Timestamp::None,
        Timestamp::On => log::Timestamp::Seconds,
        Timestamp::HighResolution => log::Timestamp::Milliseconds,
    }
}

/// The first lines; tools find the start of a life by the first.
pub(crate) fn say_start(logs: &Logs, warnings: &[String], notices: &[String]) {
    let version = env!("CARGO_PKG_VERSION");
    let text = format!("Corosync Cluster Engine (Systole {version}) starting up");
    logs.say("MAIN", Level::Notice, &text);
    for text in warnings {
        logs.say("MAIN", Level::Warning, text);
    }
    for text in notices {
        logs.say("MAIN", Level::Notice, text);
    }
}

/// For what goes wrong before there are logs. Nobody may be listening.
pub(crate) fn tell_syslog(why: &str) {
    let Ok(socket) = UnixDatagram::unbound() else { return };
    let _ = socket.set_nonblocking(true);
    let error = u32::from(DAEMON) * 8 + 3;
    let line = format!("<{error}>corosync[{}]: {}", std::process::id(), why.replace('\n', " "));
    let _ = socket.send_to(line.as_bytes(), SYSLOG);
}
