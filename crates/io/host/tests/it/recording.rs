//! The flight recorder of a process, and replay of what it kept.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use host::recorder::format::Kind;
use host::replay::{Report, read, replay, segments};
use nix::sys::signal::Signal;
use wire::Reader;

use crate::daemon::{Daemon, Scratch, SmallDisk, until};
use crate::tester::{Setup, Tester};

/// Plays the segments of `folder` from the one at `first`.
pub(crate) fn play(folder: &Path, first: usize) -> Report {
    let files = segments(folder).expect("a recording");
    let make = |now, setup: &[u8]| {
        let setup = Setup::decode(&mut Reader::new(setup)).map_err(|why| why.to_string())?;
        Ok(Tester::new(now, setup))
    };
    replay(&files[first..], make, |_| {})
}

fn stop(mut daemon: Daemon) {
    daemon.say("exit 0");
    assert!(daemon.wait().success());
}

/// Everything that a tester can be told, some of it slow.
fn exercise(daemon: &Daemon) {
    for n in 0..50 {
        assert_eq!(daemon.ask(&format!("echo {n}")), format!("echo {n}"));
    }
    assert_eq!(daemon.ask("spawn 1 9999 9 - /bin/echo hi"), "child 1 exited 0 hi\n");
    assert_eq!(daemon.ask("count 1 3"), "job 1 done 3");
    assert_eq!(daemon.ask("panic-job 2"), "job 2 failed panicked: as asked");
    assert_eq!(daemon.ask("persist 1 name 3"), "unpersisted 1 20");
    daemon.signal(Signal::SIGHUP);
    assert_eq!(daemon.hear(), "reload");
}

#[test]
fn a_run_replays_to_the_same_outputs() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("rec");
    let daemon = Daemon::start(&[&format!("record={}", scratch.at("rec")), "period=10"]);
    exercise(&daemon);
    stop(daemon);
    let report = play(&folder, 0);
    assert!(report.is_same() && report.missing.is_empty(), "{report:?}");
    assert!(report.inputs > 55 && report.deadlines > 0, "{report:?}");
    assert!(report.verified > 55, "{report:?}");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&segments(&folder).expect("a recording")[0]), 0o600);
}

#[test]
fn another_core_is_found_out() {
    let scratch = Scratch::new();
    let daemon = Daemon::start(&[&format!("record={}", scratch.at("rec"))]);
    exercise(&daemon);
    stop(daemon);
    let files = segments(&scratch.path().join("rec")).expect("a recording");
    let other = Setup { period_ms: 7, ..Setup::default() };
    let report = replay(&files, |now, _| Ok(Tester::new(now, other.clone())), |_| {});
    assert!(report.is_same(), "a timer that never fires changes no output: {report:?}");
    let ticking =
        Daemon::start(&[&format!("record={}", scratch.at("tick")), "period=5", "lines=1"]);
    until("ticks", || (ticking.stats().0 > 3).then_some(()));
    stop(ticking);
    let files = segments(&scratch.path().join("tick")).expect("a recording");
    let report = replay(&files, |now, _| Ok(Tester::new(now, other.clone())), |_| {});
    assert_eq!(report.differences.len(), 1, "{report:?}");
    let more = Setup { period_ms: 5, lines: 2, ..Setup::default() };
    let report = replay(&files, |now, _| Ok(Tester::new(now, more.clone())), |_| {});
    assert!(report.differences[0].contains("2 outputs, recorded were 1"), "{report:?}");
}

#[test]
fn segments_are_bounded_and_each_with_a_snapshot_is_a_start() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("rec");
    let record = format!("record={}", scratch.at("rec"));
    let daemon = Daemon::start(&[&record, "segment=4096", "segments=4", "padding=100"]);
    for _ in 0..10 {
        exercise(&daemon);
    }
    stop(daemon);
    let files = segments(&folder).expect("a recording");
    assert_eq!(files.len(), 4, "{files:?}");
    for file in &files {
        assert!(fs::metadata(file).expect("a segment").len() < 2 * 4096);
        assert!(read(file).expect("a segment").header.has_snapshot);
    }
    for first in 0..4 {
        let report = play(&folder, first);
        assert!(report.is_same() && report.missing.is_empty(), "from {first}: {report:?}");
        assert_eq!(report.snapshots_verified, 3 - first as u64, "from {first}");
        assert!(report.inputs > 0);
    }
}

#[test]
fn without_snapshots_a_middle_says_what_it_lacks() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("rec");
    let never = format!("padding={}", u32::MAX);
    let record = format!("record={}", scratch.at("rec"));
    let daemon = Daemon::start(&[&record, "segment=4096", "segments=100", &never]);
    for _ in 0..4 {
        exercise(&daemon);
    }
    stop(daemon);
    let whole = play(&folder, 0);
    assert!(whole.is_same() && whole.missing.is_empty() && whole.inputs > 200, "{whole:?}");
    let part = play(&folder, 1);
    assert_eq!(part.inputs, 0);
    assert!(part.missing[0].contains("begins in the middle of a life"), "{part:?}");
}

#[test]
fn a_killed_daemon_leaves_a_good_recording_and_the_next_life_goes_on_behind_it() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("rec");
    let record = format!("record={}", scratch.at("rec"));
    for life in 1..=3 {
        let mut daemon = Daemon::start(&[&record, "period=10"]);
        exercise(&daemon);
        daemon.signal(Signal::SIGKILL);
        daemon.wait();
        assert_eq!(segments(&folder).expect("a recording").len(), life);
    }
    let report = play(&folder, 0);
    assert!(report.is_same() && report.missing.is_empty(), "{report:?}");
    assert!(report.inputs > 100, "{report:?}");
}

#[test]
fn secrets_become_numbers_and_bulk_its_length() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("rec");
    let daemon = Daemon::start(&[&format!("record={}", scratch.at("rec"))]);
    assert_eq!(daemon.ask("secret open sesame"), "secret open sesame");
    let bulk = "z".repeat(20_000);
    assert_eq!(daemon.ask(&bulk), bulk);
    stop(daemon);
    let file = &segments(&folder).expect("a recording")[0];
    let bytes = fs::read(file).expect("a segment");
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(!holds(b"sesame") && holds(b"secret number 1") && !holds(b"zzzz"));
    let segment = read(file).expect("a segment");
    let elided = segment.entries.iter().find_map(|entry| match entry {
        Kind::Input(input) => input.elided,
        _ => None,
    });
    assert!(elided.expect("one is left out").len > 20_000);
    let report = play(&folder, 0);
    assert_eq!(report.differences.len(), 1, "the echo of a secret is another: {report:?}");
}

#[test]
fn what_was_left_out_is_said() {
    let scratch = Scratch::new();
    let daemon = Daemon::start(&[&format!("record={}", scratch.at("rec"))]);
    let bulk = "z".repeat(20_000);
    assert_eq!(daemon.ask(&bulk), bulk);
    stop(daemon);
    let report = play(&scratch.path().join("rec"), 0);
    assert!(report.is_same());
    assert!(report.missing[0].contains("its payload was not recorded"), "{report:?}");
}

#[test]
fn damage_is_reported_with_its_place_and_what_stands_before_is_used() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("rec");
    let daemon = Daemon::start(&[&format!("record={}", scratch.at("rec"))]);
    exercise(&daemon);
    stop(daemon);
    let file = segments(&folder).expect("a recording").remove(0);
    let good = fs::read(&file).expect("a segment");
    let mut rng = sansio::Rng::new(7);
    for _ in 0..200 {
        let mut bytes = good.clone();
        let at = usize::try_from(rng.below(bytes.len() as u64)).expect("an index");
        if rng.chance(500) {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << rng.below(8);
        }
        fs::write(&file, &bytes).expect("damaged");
        let report = play(&folder, 0);
        assert!(report.is_same(), "damage is no difference: {report:?}");
        // A cut between two entries is nothing that could be seen.
        if let Some(why) = report.missing.first() {
            assert!(why.contains("damaged at byte"), "{why}");
        }
    }
}

#[test]
fn a_full_disk_costs_records_but_no_deadline_and_ends_with_a_snapshot() {
    let disk = SmallDisk::new(256);
    let folder = disk.path().join("rec");
    let record = format!("record={}", disk.at("rec"));
    let daemon = Daemon::start(&[&record, "period=500", "segment=8192", "segments=3"]);
    exercise(&daemon);
    disk.fill();
    let (before, ..) = daemon.stats();
    until("ticks on a full disk", || {
        for _ in 0..200 {
            daemon.ask("echo");
        }
        (daemon.stats().0 >= before + 4).then_some(())
    });
    assert!(daemon.stats().1 < std::time::Duration::from_millis(500), "a late tick");
    disk.empty();
    let recovered = until("a segment that confesses its losses", || {
        daemon.ask("echo");
        segments(&folder).ok()?.into_iter().find(|file| {
            read(file).is_ok_and(|segment| segment.header.after_loss && segment.header.has_snapshot)
        })
    });
    stop(daemon);
    let segment = read(&recovered).expect("a segment");
    let dropped = segment.entries.iter().find_map(|entry| match entry {
        Kind::Dropped(dropped) => Some(dropped.count),
        _ => None,
    });
    assert!(dropped.expect("a count") > 0);
    let position = segments(&folder).expect("a recording").iter().position(|f| *f == recovered);
    let report = play(&folder, position.expect("it is listed"));
    assert!(report.is_same() && report.inputs > 0, "{report:?}");
}
