//! A hung or full log costs lines, which are counted, and no deadline.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use crate::daemon::{Daemon, PATIENCE, Scratch, SmallDisk, command, until};

const PERIOD: Duration = Duration::from_millis(500);
/// More lines per tick than any queue and pipe hold.
const NOISE: [&str; 2] = ["period=500", "lines=4000"];

/// Lets it tick against the obstacle and asserts that no tick was missed.
fn assert_ticks_in_time(daemon: &Daemon) {
    let (before, ..) = daemon.stats();
    until("ticks", || (daemon.stats().0 >= before + 4).then_some(()));
    let (_, late, _) = daemon.stats();
    assert!(late < PERIOD, "a tick was {late:?} late");
}

fn confesses(line: &str, name: &str) -> bool {
    line.contains("lines were lost") && line.contains(&format!("\"{name}\""))
}

#[test]
fn a_standard_error_that_nobody_reads() {
    let mut command = command(&[&NOISE[..], &["stderr=info"]].concat());
    command.stderr(Stdio::piped());
    let mut daemon = Daemon::from(command);
    assert_ticks_in_time(&daemon);
    let mut lines = BufReader::new(daemon.take_stderr()).lines();
    assert!(lines.any(|line| confesses(&line.expect("text"), "stderr")));
}

#[test]
fn a_pipe_in_the_place_of_the_log_file_that_nobody_reads() {
    let scratch = Scratch::new();
    let path = scratch.at("log");
    nix::unistd::mkfifo(path.as_str(), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    // Open at both ends, so that the daemon does not wait in open already.
    let pipe = OpenOptions::new().read(true).write(true).open(&path).expect("the pipe");
    let daemon = Daemon::start(&[&NOISE[..], &[&format!("file={path}")]].concat());
    assert_ticks_in_time(&daemon);
    let mut lines = BufReader::new(pipe).lines();
    assert!(lines.any(|line| confesses(&line.expect("text"), "file")));
}

#[test]
fn a_pipe_without_a_reader_hangs_already_at_open() {
    let scratch = Scratch::new();
    let path = scratch.at("log");
    nix::unistd::mkfifo(path.as_str(), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let mut daemon = Daemon::start(&[&NOISE[..], &[&format!("file={path}")]].concat());
    assert_ticks_in_time(&daemon);
    // Nor does it hold up the end.
    daemon.say("exit 0");
    assert!(daemon.wait().success());
}

#[test]
fn a_log_on_a_full_disk() {
    let disk = SmallDisk::new(256);
    let path = disk.at("log");
    disk.fill();
    let daemon = Daemon::start(&[&NOISE[..], &[&format!("file={path}")]].concat());
    assert_ticks_in_time(&daemon);
    disk.empty();
    until("the losses are said", || {
        let text = fs::read(&path).ok()?;
        String::from_utf8_lossy(&text).lines().any(|line| confesses(line, "file")).then_some(())
    });
}

#[test]
fn a_system_logger_and_a_journal_that_do_not_read() {
    for name in ["syslog", "journal"] {
        let scratch = Scratch::new();
        let path = scratch.at("socket");
        let logger = UnixDatagram::bind(&path).expect("a socket");
        logger.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let daemon = Daemon::start(&[&NOISE[..], &[&format!("{name}={path}")]].concat());
        assert_ticks_in_time(&daemon);
        let mut buffer = vec![0; 65_536];
        let mut next = || {
            let len = logger.recv(&mut buffer).expect("a line");
            String::from_utf8_lossy(&buffer[..len]).into_owned()
        };
        let first = next();
        let pid = daemon.pid();
        match name {
            "syslog" => {
                assert!(first.starts_with("<30>"), "{first}");
                assert!(first.contains(&format!(" host-testd[{pid}]: info: ")), "{first}");
            }
            _ => {
                assert!(first.starts_with("PRIORITY=6\nSYSLOG_IDENTIFIER=host-testd\n"), "{first}");
                assert!(first.contains(&format!("\nSYSLOG_PID={pid}\n")), "{first}");
                assert!(first.contains("\nMESSAGE="), "{first}");
            }
        }
        while !confesses(&next(), name) {}
    }
}

#[test]
fn a_system_logger_that_comes_back_is_found_again() {
    let scratch = Scratch::new();
    let path = scratch.at("socket");
    let daemon = Daemon::start(&[&format!("syslog={path}")]);
    daemon.say("log 3");
    assert_eq!(daemon.ask("hello"), "hello");
    for _ in 0..2 {
        let logger = UnixDatagram::bind(&path).expect("a socket");
        logger.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        until("a line", || {
            daemon.say("log 1");
            logger.recv(&mut [0; 1000]).ok()
        });
        drop(logger);
        fs::remove_file(&path).expect("the socket");
    }
}

#[test]
fn observations_are_lines_of_the_schema() {
    let scratch = Scratch::new();
    let path = scratch.at("observations");
    let mut daemon = Daemon::start(&[&format!("observe={path}")]);
    daemon.say("mark one");
    daemon.say("mark two");
    daemon.say("exit 0");
    assert!(daemon.wait().success());
    let text = fs::read_to_string(&path).expect("the file");
    let seen: Vec<observe::Observation> =
        text.lines().map(|line| line.parse().expect("an observation")).collect();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].node, observe::Node(1));
    assert_eq!(seen[1].event, observe::Event::Mark { text: "mark two".into() });
    assert!(seen[0].at <= seen[1].at && seen[0].at > 1_700_000_000_000_000_000);
}

/// So that the daemon's own end shows what its standard error had.
#[test]
fn the_last_lines_come_out() {
    let mut command = command(&["stderr=info"]);
    command.stderr(Stdio::piped());
    let mut daemon = Daemon::from(command);
    daemon.say("log 100");
    daemon.say("exit 4");
    let mut text = String::new();
    daemon.take_stderr().read_to_string(&mut text).expect("text");
    assert_eq!(daemon.wait().code(), Some(4));
    assert!(text.contains("line 99 of tick 0"), "{text}");
    assert!(text.trim_end().ends_with("Exiting with status 4"), "{text}");
}
