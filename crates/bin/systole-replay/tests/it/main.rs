//! The command against recordings made by hand.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use host::recorder::format::{Deadline, End, Header, Input, Kind, MAGIC, Time, encode};
use miniature::ring::{self, Ring};
use observe::Node;
use sansio::{Core, Mono, Now, Wall};

struct Recording(PathBuf);

impl Recording {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("replay-it-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a scratch folder");
        Self(path)
    }

    /// Writes segment `number`.
    fn write(&self, number: u32, entries: Vec<Kind>) -> PathBuf {
        let mut bytes = MAGIC.to_vec();
        entries.into_iter().for_each(|entry| encode(entry, &mut bytes));
        let path = self.0.join(format!("segment-{number:08}.flr"));
        fs::write(&path, bytes).expect("a segment");
        path
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn time(ms: u64) -> Time {
    let nanos = ms * 1_000_000;
    Time { mono: nanos, wall: 1_795_251_600_000_000_000 + nanos as i64, utc_offset_s: 0 }
}

/// A ring of one node on its own, as its recorder would begin.
fn header(node: u32) -> (Ring, Header) {
    let address = "127.0.0.1:7001".parse().expect("an address");
    let nodes = BTreeMap::from([(Node(node), address)]);
    let config = ring::Config { node: Node(node), epoch: 1, nodes, stored: None };
    let at = time(0);
    let header = Header {
        daemon: "mini-ring".into(),
        host: "alpha".into(),
        node,
        at: Some(at),
        setup: config.encode(),
        ..Header::default()
    };
    (Ring::new(Now { mono: Mono(at.mono), wall: Wall(at.wall), utc_offset_s: 0 }, config), header)
}

fn paused(number: u64, ms: u64) -> Kind {
    let body = 700_u64.to_le_bytes().to_vec();
    let at = Some(time(ms));
    Kind::Input(Input { number, at, kind: "paused".into(), body, elided: None })
}

fn run(arguments: &[&str], path: &Path) -> (Option<i32>, String, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_systole-replay")).args(arguments).arg(path).output();
    let output = output.expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn print_shows_every_record() {
    let recording = Recording::new();
    let due = Deadline { number: 2, at: Some(time(1500)), due: time(1499).mono };
    let end = End { why: "exit 0".into() };
    let entries =
        vec![Kind::Header(header(1).1), paused(1, 1000), Kind::Deadline(due), Kind::End(end)];
    recording.write(0, entries);
    let (code, out, _) = run(&["print"], &recording.0);
    assert_eq!(code, Some(0));
    assert!(out.contains("mini-ring") && out.contains("from process start"), "{out}");
    assert!(out.contains("Nov 21 09:00:01.000 1.000s #1 paused 700 ms"), "{out}");
    assert!(out.contains("#2 deadline 1.499s (1000 us late)"), "{out}");
    assert!(out.contains("end: exit 0"), "{out}");
}

#[test]
fn damage_is_an_incomplete_recording_with_its_offset() {
    let recording = Recording::new();
    let path =
        recording.write(0, vec![Kind::Header(header(1).1), paused(1, 1000), paused(2, 2000)]);
    let mut bytes = fs::read(&path).expect("the segment");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).expect("damaged");
    let (code, out, err) = run(&["print"], &path);
    assert_eq!(code, Some(2));
    assert!(out.contains("#1 paused") && !out.contains("#2 paused"), "{out}");
    assert!(err.contains("damaged at byte") && err.contains("checksum"), "{err}");
    let (code, _, err) = run(&["print"], Path::new("/no/such/recording"));
    assert_eq!((code, err.contains("No such file")), (Some(2), true));
}

#[test]
fn run_drives_the_core_and_finds_differences() {
    let recording = Recording::new();
    let (ring, header) = header(1);
    let first = ring.poll_timeout().expect("a beat is due");
    let due = Deadline { number: 1, at: Some(time(0)), due: first.0 };
    recording.write(0, vec![Kind::Header(header.clone()), Kind::Deadline(due)]);
    let (code, out, _) = run(&["run", "--core", "mini-ring"], &recording.0);
    // The first outputs of a ring are missing in this recording.
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("-> Observe(RingUp)") && out.contains("recorded were 0"), "{out}");
    let wrong = Deadline { number: 1, at: Some(time(9)), due: time(9).mono };
    recording.write(0, vec![Kind::Header(header), Kind::Deadline(wrong)]);
    assert_eq!(run(&["run", "--core", "mini-ring"], &recording.0).0, Some(1));
    let (code, _, err) = run(&["run", "--core", "mini-king"], &recording.0);
    assert_eq!((code, err.contains("mini-king")), (Some(64), true));
    let (code, _, err) = run(&["run", "--core", "mini-ring", "--from", "9"], &recording.0);
    assert_eq!((code, err.contains("no such segment")), (Some(64), true));
}

#[test]
fn timeline_merges_by_wall_clock_and_keeps_each_recording_in_order() {
    let (alpha, beta) = (Recording::new(), Recording::new());
    // The clock of alpha is set back between its second and third record.
    let entries = vec![paused(1, 1000), paused(2, 3000), paused(3, 2000)];
    alpha.write(0, [vec![Kind::Header(header(1).1)], entries].concat());
    beta.write(0, vec![Kind::Header(header(2).1), paused(1, 2500), paused(2, 3500)]);
    let (code, out, _) = run(&["timeline", alpha.0.to_str().expect("UTF-8")], &beta.0);
    assert_eq!(code, Some(0));
    let order: Vec<&str> = out
        .lines()
        .map(|line| &line[line.find(" n").expect("a node") + 1..])
        .map(|line| &line[..line.find(" paused").expect("a record")])
        .collect();
    assert_eq!(
        order,
        [
            "n1 mini-ring #1",
            "n2 mini-ring #1",
            "n1 mini-ring #2",
            "n1 mini-ring #3",
            "n2 mini-ring #2"
        ]
    );
}
