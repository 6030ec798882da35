//! Durable files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::daemon::{Daemon, Scratch, SmallDisk};

#[test]
fn what_is_persisted_is_there() {
    let scratch = Scratch::new();
    let state = scratch.path().to_str().expect("UTF-8");
    let mut daemon = Daemon::start(&[&format!("state={state}")]);
    assert_eq!(daemon.ask("persist 1 sequence 5"), "persisted 1");
    let path = scratch.path().join("sequence");
    assert_eq!(fs::read_to_string(&path).expect("the file"), "xxxxx");
    assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
    assert_eq!(daemon.ask("persist 2 sequence 0"), "persisted 2");
    assert_eq!(daemon.ask("persist 3 ../escape 5"), "unpersisted 3 22");
    // What was asked for just before the end is still written.
    daemon.say("persist 4 last 7");
    daemon.say("exit 0");
    assert!(daemon.wait().success());
    assert_eq!(fs::read_to_string(scratch.path().join("last")).expect("the file"), "xxxxxxx");
}

#[test]
fn a_full_disk_fails_and_keeps_what_was_there() {
    let disk = SmallDisk::new(64);
    let state = disk.path().to_str().expect("UTF-8");
    let daemon = Daemon::start(&[&format!("state={state}")]);
    assert_eq!(daemon.ask("persist 1 sequence 5"), "persisted 1");
    disk.fill();
    assert_eq!(daemon.ask("persist 2 sequence 30000"), "unpersisted 2 28");
    assert_eq!(fs::read_to_string(disk.path().join("sequence")).expect("the old one"), "xxxxx");
    let names = fs::read_dir(disk.path()).expect("readable").count();
    assert_eq!(names, 2, "the file and the ballast, no temporary one");
    disk.empty();
    assert_eq!(daemon.ask("persist 3 sequence 30000"), "persisted 3");
}

#[test]
fn no_folder_no_promise() {
    let daemon = Daemon::start(&[]);
    assert_eq!(daemon.ask("persist 1 sequence 5"), "unpersisted 1 20");
    let scratch = Scratch::new();
    fs::create_dir(scratch.at("state")).expect("it is there at the start");
    let daemon = Daemon::start(&[&format!("state={}", scratch.at("state"))]);
    fs::remove_dir(scratch.at("state")).expect("and then it is not");
    assert_eq!(daemon.ask("persist 1 sequence 5"), "unpersisted 1 2");
    fs::create_dir(scratch.at("state")).expect("it comes back");
    assert_eq!(daemon.ask("persist 2 sequence 5"), "persisted 2");
}
