//! Real-time options: asked for, granted, refused softly or fatally.

use std::process::Stdio;

use crate::daemon::{Daemon, Scratch, command, until};

#[test]
fn what_is_granted_is_in_force() {
    let daemon = Daemon::start(&["rr=3", "mlock=1", "oom=300"]);
    assert_eq!(daemon.proc("oom_score_adj").trim(), "300");
    assert_ne!(daemon.status("VmLck"), "0 kB");
    let policy = |stat: &str| stat.rsplit(' ').nth(11).unwrap_or_default().to_string();
    assert_eq!(policy(&daemon.proc("stat")), "2", "SCHED_RR");
    // Its other threads, logs and disk, must not compete with other daemons' loops.
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("tasks");
    for task in tasks.flatten().filter(|t| t.file_name() != *daemon.pid().to_string()) {
        let stat = std::fs::read_to_string(task.path().join("stat")).expect("a thread");
        assert_eq!(policy(stat.trim_end()), "0", "{stat}");
    }
}

#[test]
fn a_refusal_is_a_warning_or_the_end() {
    let scratch = Scratch::new();
    let (log, mount) = (scratch.at("log"), scratch.at("no-cgroups"));
    let wish = format!("cgroup={mount}");
    let daemon = Daemon::start(&[&wish, &format!("file={log}")]);
    assert_eq!(daemon.ask("hello"), "hello");
    until("a line about it", || {
        let text = std::fs::read_to_string(&log).ok()?;
        text.contains("Move to the root control group: no control groups are mounted").then_some(())
    });
    let output =
        command(&[&wish, "required=1"]).stderr(Stdio::piped()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("root control group"));
}
