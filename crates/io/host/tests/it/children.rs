//! Child processes: how they are started, bounded, killed and reported.

use std::fs;
use std::process::Stdio;

use crate::daemon::{Daemon, PATIENCE, Scratch, command, status_field, until};

/// A word for the tester: it splits at spaces, so those inside are hard ones.
fn shell(script: &str) -> String {
    format!("/bin/sh -c {}", script.replace(' ', "\u{a0}"))
}

#[test]
fn status_output_and_environment() {
    let daemon = Daemon::start(&[]);
    assert_eq!(daemon.ask("spawn 1 9999 99 - /bin/echo hello"), "child 1 exited 0 hello\n");
    let ask =
        |id: u32, script: &str| daemon.ask(&format!("spawn {id} 9999 99 - {}", shell(script)));
    assert_eq!(ask(2, "exit 7"), "child 2 exited 7 ");
    assert_eq!(ask(3, "kill -9 $$"), "child 3 signalled 9");
    assert_eq!(daemon.ask("spawn 4 9999 99 - /usr/bin/env"), "child 4 exited 0 TESTER=yes\n");
    assert_eq!(daemon.ask("spawn 5 9999 99 fed /bin/cat"), "child 5 exited 0 fed");
    assert_eq!(daemon.ask("spawn 6 9999 4 - /bin/echo much too long"), "child 6 exited 0 much");
}

#[test]
fn what_cannot_be_started_says_why() {
    let daemon = Daemon::start(&[]);
    let enoent = libc(nix::errno::Errno::ENOENT);
    let einval = libc(nix::errno::Errno::EINVAL);
    assert_eq!(daemon.ask("spawn 1 9999 9 - /no/such"), format!("child 1 failed {enoent}"));
    assert_eq!(daemon.ask("spawn 2 9999 9 - true"), format!("child 2 failed {einval}"));
    let eacces = libc(nix::errno::Errno::EACCES);
    assert_eq!(daemon.ask("spawn 3 9999 9 - /etc/passwd"), format!("child 3 failed {eacces}"));
}

fn libc(errno: nix::errno::Errno) -> i32 {
    errno as i32
}

#[test]
fn a_timeout_takes_the_whole_group_also_who_ignores_sigterm() {
    let daemon = Daemon::start(&[]);
    let scratch = Scratch::new();
    let pids = scratch.at("pids");
    let script =
        format!("trap '' TERM; (trap '' TERM; sleep 60) & echo $$ $! > {pids}; wait; wait");
    let started = std::time::Instant::now();
    assert_eq!(daemon.ask(&format!("spawn 1 300 9 - {}", shell(&script))), "child 1 timed-out");
    assert!(started.elapsed().as_millis() >= 300);
    assert!(started.elapsed() < PATIENCE);
    assert_gone(&fs::read_to_string(&pids).expect("two pids"));
}

#[test]
fn a_kill_takes_the_whole_group_at_once() {
    let daemon = Daemon::start(&[]);
    let scratch = Scratch::new();
    let pids = scratch.at("pids");
    daemon.say(&format!(
        "spawn 1 60000 9 - {}",
        shell(&format!("sleep 60 & echo $$ $! > {pids}; wait"))
    ));
    let listed = until("the child runs", || {
        fs::read_to_string(&pids).ok().filter(|text| text.ends_with('\n'))
    });
    assert_eq!(daemon.ask("kill 1"), "child 1 signalled 9");
    assert_gone(&listed);
    // A second one is no news.
    daemon.say("kill 1");
    assert_eq!(daemon.ask("still here"), "still here");
}

/// Gone, or a zombie that its new parent has not looked at yet.
fn assert_gone(pids: &str) {
    for pid in pids.split_whitespace() {
        until(&format!("process {pid} ends"), || {
            let status = fs::read_to_string(format!("/proc/{pid}/status"));
            status.map_or(true, |s| status_field(&s, "State").starts_with('Z')).then_some(())
        });
    }
}

#[test]
fn a_background_process_of_a_child_neither_delays_nor_dies() {
    let daemon = Daemon::start(&[]);
    let scratch = Scratch::new();
    let done = scratch.at("done");
    let script = format!("echo out; (sleep 0.5; : > {done}) &");
    assert_eq!(
        daemon.ask(&format!("spawn 1 9999 9 - {}", shell(&script))),
        "child 1 exited 0 out\n"
    );
    assert!(!scratch.path().join("done").exists());
    until("the background process ends by itself", || {
        scratch.path().join("done").exists().then_some(())
    });
}

#[test]
fn a_child_that_does_not_read_or_writes_without_end_is_bounded() {
    let daemon = Daemon::start(&[]);
    let fed = "x".repeat(40_000);
    assert_eq!(daemon.ask(&format!("spawn 1 9999 9 {fed} /bin/true")), "child 1 exited 0 ");
    let endless = shell("head -c 50000000 /dev/zero | tr '\\0' y");
    assert_eq!(daemon.ask(&format!("spawn 2 20000 5 - {endless}")), "child 2 exited 0 yyyyy");
}

#[test]
fn five_hundred_children_leave_nothing_behind() {
    let daemon = Daemon::start(&["period=100"]);
    let fds = || fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("its fds").count();
    assert_eq!(daemon.ask("spawn 1 9999 9 - /bin/true"), "child 1 exited 0 ");
    let before = fds();
    for round in 0..10_u32 {
        for n in 0..50 {
            daemon.say(&format!("spawn {} 30000 9 - /bin/true", 10 + round * 50 + n));
        }
        for _ in 0..50 {
            assert!(daemon.hear().ends_with(" exited 0 "));
        }
    }
    assert_eq!(fds(), before, "descriptors");
    let children = daemon.proc(&format!("task/{}/children", daemon.pid()));
    assert_eq!(children.trim(), "", "zombies");
    until("their threads end", || {
        daemon.status("Threads").parse::<u32>().is_ok_and(|n| n < 8).then_some(())
    });
}

/// What an agent finds in /proc about itself must not depend on what the
/// daemon did to itself.
#[test]
fn a_child_is_what_the_daemon_was_before_it_made_itself_special() {
    let seen = |arguments: &[&str]| {
        let daemon = Daemon::start(arguments);
        let script = "ulimit -Sa; ulimit -Ha; umask; cat /proc/self/oom_score_adj; \
                      grep -E '^(Sig(Blk|Ign|Cgt)|Cap...|NoNewPrivs|Uid|Groups):' /proc/self/status; \
                      cut -d' ' -f6,18,19,40,41 /proc/self/stat; ls /proc/self/fd";
        let text = daemon.ask(&format!("spawn 1 9999 9999 - {}", shell(script)));
        (text, daemon.proc("oom_score_adj"), daemon.proc("stat"))
    };
    let (plain, ..) = seen(&[]);
    let (special, score, stat) = seen(&["rr=3", "oom=300", "mlock=1"]);
    assert_eq!(score.trim(), "300", "the daemon did change its score");
    let policy = stat.rsplit(' ').nth(11).map(str::to_string);
    assert_eq!(policy.as_deref(), Some("2"), "the daemon does run round-robin: {stat}");
    // The session is the daemon's own, and each daemon here has the test's.
    assert_eq!(plain, special);
    assert!(
        plain.contains("SigBlk: 0000000000000000") || plain.contains("SigBlk:\t0000000000000000")
    );
}

#[test]
fn descriptors_of_a_careless_parent_do_not_reach_agents() {
    let scratch = Scratch::new();
    let secret = fs::File::create(scratch.path().join("secret")).expect("a file");
    // A standard descriptor duplicated without close-on-exec, as shells leave them.
    let mut sh = std::process::Command::new("/bin/sh");
    let testd = command(&[]).get_program().to_str().expect("UTF-8").to_string();
    sh.args(["-c", &format!("exec 7>&2; exec {testd}")]).stdin(Stdio::null());
    sh.stdout(Stdio::piped()).stderr(secret);
    let daemon = Daemon::from(sh);
    let own = fs::read_link(format!("/proc/{}/fd/7", daemon.pid()));
    assert!(own.is_ok(), "the daemon inherited it");
    let text = daemon.ask(&format!("spawn 1 9999 99 - {}", shell("ls /proc/self/fd | tr '\\n' ,")));
    // 3 is the folder that ls reads.
    assert_eq!(text, "child 1 exited 0 0,1,2,3,");
}
