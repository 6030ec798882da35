//! Jobs: beside the loop, one of a kind, cancelled, panicking.

use std::time::Duration;

use crate::daemon::Daemon;

#[test]
fn the_loop_goes_on_while_a_job_runs() {
    let daemon = Daemon::start(&["period=100"]);
    daemon.say("count 1 600");
    for n in 0..20 {
        assert_eq!(daemon.ask(&format!("echo {n}")), format!("echo {n}"));
    }
    assert_eq!(daemon.hear(), "job 1 done 600");
}

#[test]
fn a_panic_is_a_failed_job_and_no_more() {
    let daemon = Daemon::start(&[]);
    assert_eq!(daemon.ask("panic-job 1"), "job 1 failed panicked: as asked");
    assert_eq!(daemon.ask("panic-job 2"), "job 2 failed panicked: as asked");
    assert_eq!(daemon.ask("count 3 1"), "job 3 done 1");
}

#[test]
fn a_cancelled_job_ends_early() {
    let daemon = Daemon::start(&[]);
    daemon.say("count 1 600000");
    assert_eq!(daemon.ask("running"), "running");
    assert_eq!(daemon.ask("cancel 1"), "job 1 failed cancelled");
    daemon.say("cancel 1");
    assert_eq!(daemon.ask("count 2 1"), "job 2 done 1", "a late cancel hits nobody else");
}

#[test]
fn one_of_a_kind_runs_and_a_newer_one_makes_it_hurry() {
    let daemon = Daemon::start(&[]);
    daemon.say("count 1 600000");
    daemon.say("count 2 5");
    assert_eq!(daemon.hear(), "job 1 failed cancelled");
    assert_eq!(daemon.hear(), "job 2 done 5");
    // Another kind does not wait.
    daemon.say("count 3 600000");
    assert_eq!(daemon.ask("panic-job 4"), "job 4 failed panicked: as asked");
    // One that waits is answered too when it is cancelled.
    daemon.say("count 5 600000");
    assert_eq!(daemon.hear(), "job 3 failed cancelled");
    daemon.say("count 6 1");
    assert_eq!(daemon.hear(), "job 5 failed cancelled");
    assert_eq!(daemon.hear(), "job 6 done 1");
}

#[test]
fn a_running_job_does_not_hold_up_the_end() {
    let mut daemon = Daemon::start(&[]);
    daemon.say("count 1 600000");
    assert_eq!(daemon.ask("running"), "running");
    let started = std::time::Instant::now();
    daemon.say("exit 3");
    assert_eq!(daemon.wait().code(), Some(3));
    assert!(started.elapsed() < Duration::from_secs(20));
}
