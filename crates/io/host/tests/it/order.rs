//! The rules of the loop, seen from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::daemon::Daemon;

#[test]
fn a_tick_comes_at_its_time_and_answers_in_order() {
    let daemon = Daemon::start(&["period=20"]);
    for n in 0..200 {
        assert_eq!(daemon.ask(&format!("echo {n}")), format!("echo {n}"));
    }
    daemon.say("send 100");
    for n in 0..100 {
        assert_eq!(daemon.hear(), n.to_string());
    }
}

#[test]
fn a_deadline_that_passed_in_a_long_handler_comes_before_the_next_input() {
    let daemon = Daemon::start(&["period=50"]);
    let (before, ..) = daemon.stats();
    // Both datagrams are read in one batch; the tick stands between them.
    daemon.say("sleep 120");
    let (after, late, _) = daemon.stats();
    assert!(after > before, "{before} {after}");
    assert!(late >= Duration::from_millis(20), "{late:?}");
}

#[test]
fn a_stopped_process_is_told_so_before_anything_else_but_its_deadlines() {
    let daemon = Daemon::start(&["period=100", "pause=300"]);
    assert_eq!(daemon.ask("hello"), "hello");
    daemon.signal(Signal::SIGSTOP);
    for n in 0..5 {
        daemon.say(&format!("queued {n}"));
    }
    std::thread::sleep(Duration::from_millis(700));
    daemon.signal(Signal::SIGCONT);
    let paused = daemon.hear();
    let words: Vec<&str> = paused.split(' ').collect();
    assert_eq!((words[0], words[2]), ("paused", "ticked"), "{paused}");
    assert!(words[1].parse::<u64>().unwrap() >= 600, "{paused}");
    for n in 0..5 {
        assert_eq!(daemon.hear(), format!("queued {n}"));
    }
}

#[test]
fn an_idle_process_without_deadlines_sees_its_pause_too_and_no_false_ones() {
    let daemon = Daemon::start(&["pause=400"]);
    assert_eq!(daemon.ask("hello"), "hello");
    // Idle for longer than the limit is no pause.
    std::thread::sleep(Duration::from_millis(900));
    assert_eq!(daemon.ask("still here"), "still here");
    daemon.signal(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(900));
    daemon.signal(Signal::SIGCONT);
    assert!(daemon.hear().starts_with("paused "));
}

#[test]
fn a_flood_of_datagrams_starves_neither_ticks_nor_children() {
    let daemon = Daemon::start(&["period=20"]);
    daemon.say("spawn 1 20000 10 - /bin/sh -c sleep\u{a0}0.3;echo\u{a0}through");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // Nothing comes back, so that what does is not lost.
                daemon.say("sleep 0");
            }
        });
        assert_eq!(daemon.hear(), "child 1 exited 0 through\n");
        stop.store(true, Ordering::Relaxed);
    });
    // What is still queued comes first; then the answer.
    let (ticks, _, inputs) = daemon.stats();
    assert!(ticks >= 10, "{ticks} ticks");
    assert!(inputs > 1000, "{inputs} inputs");
}
