//! Signals, pid file, readiness, log levels, IPC: the process around the core.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::daemon::{Daemon, PATIENCE, Scratch, command, until};

#[test]
fn sigterm_and_sigint_are_a_stop() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = Daemon::start(&[]);
        assert_eq!(daemon.ask("hello"), "hello");
        daemon.signal(signal);
        assert_eq!(daemon.hear(), "stop");
        assert!(daemon.wait().success());
    }
}

#[test]
fn a_state_directory_that_is_not_there_is_refused_at_the_start() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path().join("file"), "x").expect("a file");
    for (folder, why) in [("nowhere", "No such file"), ("file", "is none")] {
        let argument = format!("state={}", scratch.at(folder));
        let refused = command(&[&argument]).stderr(Stdio::piped()).output().expect("it starts");
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{text}");
        assert!(text.contains(&scratch.at(folder)) && text.contains(why), "{text}");
    }
}

#[test]
fn one_instance_by_pid_file_and_a_crash_leaves_no_obstacle() {
    let scratch = Scratch::new();
    let argument = format!("pidfile={}", scratch.at("d.pid"));
    let mut first = Daemon::start(&[&argument]);
    let written = std::fs::read_to_string(scratch.at("d.pid")).expect("the pid file");
    assert_eq!(written, format!("{}\n", first.pid()));
    let second = command(&[&argument]).stderr(Stdio::piped()).output().expect("it starts");
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(text.contains(&format!("pid {}", first.pid())), "{text}");
    first.signal(Signal::SIGKILL);
    first.wait();
    let mut third = Daemon::start(&[&argument]);
    third.say("exit 0");
    assert!(third.wait().success());
    assert!(!scratch.path().join("d.pid").exists(), "removed at the end");
}

#[test]
fn the_service_manager_is_told() {
    let scratch = Scratch::new();
    let path = scratch.at("notify");
    let abstract_name = format!("host-it-notify-{}", std::process::id());
    let by_name = SocketAddr::from_abstract_name(&abstract_name).expect("a name");
    let managers = [
        (UnixDatagram::bind(&path).expect("a socket"), path.clone()),
        (UnixDatagram::bind_addr(&by_name).expect("a socket"), format!("@{abstract_name}")),
    ];
    for (manager, name) in managers {
        manager.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let hear = || {
            let mut buffer = [0; 200];
            let len = manager.recv(&mut buffer).expect("a notification");
            String::from_utf8_lossy(&buffer[..len]).into_owned()
        };
        let mut command = command(&[]);
        command.env("NOTIFY_SOCKET", &name);
        let daemon = Daemon::from(command);
        assert_eq!(hear(), "READY=1\n");
        assert_eq!(daemon.ask("hello"), "hello");
        daemon.signal(Signal::SIGHUP);
        assert_eq!(daemon.hear(), "reload");
        assert!(hear().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(hear(), "READY=1\n");
        daemon.signal(Signal::SIGTERM);
        assert_eq!(hear(), "STOPPING=1\n");
    }
}

#[test]
fn sighup_reopens_the_log_and_reads_its_level_again() {
    let scratch = Scratch::new();
    let (log, levels) = (scratch.at("log"), scratch.at("levels"));
    let daemon = Daemon::start(&[&format!("file={log}"), &format!("levels={levels}")]);
    let text = || std::fs::read_to_string(&log).unwrap_or_default();
    daemon.say("debug quiet");
    daemon.say("log 1");
    until("an info line", || text().contains("line 0").then_some(()));
    assert!(!text().contains("quiet"));
    std::fs::rename(&log, scratch.at("log.1")).expect("rotated");
    std::fs::write(&levels, "debug\n").expect("configured");
    daemon.signal(Signal::SIGHUP);
    assert_eq!(daemon.hear(), "reload");
    // The level is read beside the loop: it comes soon.
    until("a debug line in the new file", || {
        daemon.say("debug loud");
        text().contains("debug: debug loud").then_some(())
    });
    let line = text().lines().last().expect("a line").to_string();
    assert!(line.contains(&format!(" host-testd [{}] (core) ", daemon.pid())), "{line}");
}

#[test]
fn a_panic_of_the_core_is_logged_and_recorded() {
    let scratch = Scratch::new();
    let (log, folder) = (scratch.at("log"), scratch.at("rec"));
    let mut daemon = Daemon::from({
        let mut command = command(&[&format!("file={log}"), &format!("record={folder}")]);
        command.stderr(Stdio::null());
        command
    });
    assert_eq!(daemon.ask("hello"), "hello");
    daemon.say("panic");
    assert_eq!(daemon.wait().code(), Some(101));
    assert!(std::fs::read_to_string(&log).expect("a log").contains("as asked"));
    let report = crate::recording::play(&scratch.path().join("rec"), 0);
    assert!(report.is_same(), "{report:?}");
    assert_eq!(report.missing.len(), 1, "{report:?}");
    assert!(report.missing[0].contains("the core panics"), "{report:?}");
}

#[test]
fn a_daemon_serves_and_uses_local_services() {
    let service = format!("host-it-{}", std::process::id());
    let server = Daemon::start(&[&format!("service={service}")]);
    let client = Daemon::start(&[]);
    assert_eq!(server.ask("hello"), "hello");
    let answer = client.ask("connect 1 nobody-serves-this");
    assert!(answer.starts_with("closed 1 "), "{answer}");
    assert_eq!(client.ask(&format!("connect 2 {service}")), "connected 2 0");
    let conn = 1_u64 << 32;
    assert_eq!(server.hear(), format!("accepted {conn} {service} 0"));
    assert_eq!(client.ask("request 2 7 100"), "frame 2 Response 7 100");
    assert_eq!(server.hear(), format!("frame {conn} Request 7 100"));
    server.say(&format!("event {conn} 9 200"));
    assert_eq!(client.hear(), "frame 2 Event 9 200");
    // Held back, served again.
    server.say(&format!("flow {conn} 1"));
    assert_eq!(server.ask("held"), "held");
    client.say("request 2 8 10");
    server.say(&format!("flow {conn} 0"));
    assert_eq!(client.hear(), "frame 2 Response 8 10");
    assert_eq!(server.hear(), format!("frame {conn} Request 8 10"));
    server.say(&format!("close {conn}"));
    assert!(client.hear().starts_with("closed 2 "));
    assert_eq!(server.ask("nothing more of it"), "nothing more of it");
}

#[test]
fn a_client_that_does_not_read_is_first_blocked_and_then_dropped() {
    let service = format!("host-it-slow-{}", std::process::id());
    let server = Daemon::start(&[&format!("service={service}")]);
    let client = Daemon::start(&[]);
    assert_eq!(server.ask("hello"), "hello");
    assert_eq!(client.ask(&format!("connect 1 {service}")), "connected 1 0");
    let conn = 1_u64 << 32;
    assert_eq!(server.hear(), format!("accepted {conn} {service} 0"));
    client.signal(Signal::SIGSTOP);
    // Past what the rings hold and the first mark of the queue, short of the second.
    server.say(&format!("events {conn} 2500 3000"));
    assert_eq!(server.hear(), format!("blocked {conn}"));
    client.signal(Signal::SIGCONT);
    assert_eq!(server.hear(), format!("writable {conn}"));
    client.signal(Signal::SIGSTOP);
    server.say(&format!("events {conn} 9000 3000"));
    assert_eq!(server.hear(), format!("blocked {conn}"));
    assert!(server.hear().starts_with(&format!("closed {conn} ")));
    client.signal(Signal::SIGCONT);
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut daemon = Daemon::start(&["stubborn=1"]);
    assert_eq!(daemon.ask("hello"), "hello");
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.hear(), "stop");
    assert_eq!(daemon.ask("still here"), "still here");
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(143));
}

/// The soft and the hard limit of open files of a process.
fn descriptor_limits(pid: i32) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("its limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut words = line.expect("a line of open files").split_whitespace().map(String::from);
    (words.next().expect("a soft limit"), words.next().expect("a hard limit"))
}

#[test]
fn a_daemon_has_all_descriptors_it_may_have_and_its_children_the_usual() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    // What the daemon inherits; raised again below for other tests in this process.
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits");
    let low = soft.min(hard - 1);
    setrlimit(Resource::RLIMIT_NOFILE, low, hard).expect("a lower soft limit");
    let daemon = Daemon::start(&[]);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("the old limit");
    assert_eq!(daemon.ask("hello"), "hello");
    assert_eq!(descriptor_limits(daemon.pid()), (hard.to_string(), hard.to_string()));
    let child = daemon.ask("spawn 1 9999 4000 - /bin/grep ^Max.open.files /proc/self/limits");
    let words: Vec<&str> = child.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "files").expect("a line of open files");
    assert_eq!(words[at + 1], low.to_string(), "{child}");
}
