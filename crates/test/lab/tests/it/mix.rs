//! Which program runs where: a copy of a daemon with another build id plays the
//! part of ours.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::{Lab, Mix, Spec, elf};

use crate::support::{assert_passed, light, options, scenario, wait_for};

const ATTRD: &str = "usr/lib/pacemaker/pacemaker-attrd";

/// A tree as `cargo xtask dist` makes it, with one daemon; removed at the end.
struct Dist {
    path: PathBuf,
    build_id: String,
}

impl Dist {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lab-dist-{name}-{}", std::process::id()));
        let mut bytes = fs::read(Path::new("/").join(ATTRD)).unwrap();
        let range = elf::build_id_range(&bytes).expect("Debian's daemons have build ids");
        bytes[range].fill(0xd1);
        let file = path.join(ATTRD);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        Dist { path, build_id: elf::build_id(&bytes).unwrap() }
    }
}

impl Drop for Dist {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn line<'a>(table: &'a str, node: &str, daemon: &str) -> &'a str {
    let found = table.lines().find(|l| {
        let mut words = l.split_whitespace();
        words.next() == Some(node) && words.next() == Some(daemon)
    });
    found.unwrap_or_else(|| panic!("no {daemon} of {node} in\n{table}"))
}

fn started(nodes: u32) -> (Lab, lab::layout::MachineLock) {
    let (lab, machine) = light(Spec::new(nodes));
    lab.start_stack(&(1..=nodes).collect::<Vec<_>>()).unwrap();
    (lab, machine)
}

#[test]
fn one_daemon_of_one_node_is_ours_through_a_failover() {
    let dist = Dist::new("mix");
    let mut options = options();
    options.mix = Mix::parse("n2:pacemaker-attrd=ours").unwrap();
    options.dist = Some(dist.path.clone());
    let outcome = lab::run_file(&scenario("03-node-killed.scn"), &options).unwrap();
    assert_passed(&outcome);
    let ours = line(&outcome.table, "n2", "pacemaker-attrd");
    assert!(ours.contains(" ours ") && ours.contains(&dist.build_id[..12]), "{ours}");
    assert!(ours.ends_with(&format!("/{ATTRD}")), "{ours}");
    assert_eq!(outcome.table.matches(" reference ").count(), 23, "{}", outcome.table);
}

#[test]
fn a_wrong_program_in_place_fails_the_audit() {
    let dist = Dist::new("wrong");
    let (lab, _machine) = started(2);
    lab.audit().unwrap();
    lab.order(&["kill", "1"]).unwrap();
    let place = lab.dir().path().join("n1/layer").join(ATTRD);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::copy(dist.path.join(ATTRD), place).unwrap();
    lab.order(&["boot", "1"]).unwrap();
    lab.start_stack(&[1]).unwrap();
    let (why, table) = lab.audit().unwrap_err();
    assert!(why.contains("n1: pacemaker-attrd is unknown"), "{why}");
    assert!(why.contains(&dist.build_id) && why.contains("asks for reference"), "{why}");
    assert!(line(&table, "n2", "pacemaker-attrd").contains(" reference "), "{table}");
}

#[test]
fn the_reference_where_ours_was_asked_for_fails_the_audit() {
    let dist = Dist::new("absent");
    let mut spec = Spec::new(1);
    spec.mix = Mix::parse("n1:pacemaker-attrd=ours").unwrap();
    spec.dist = Some(dist.path.clone());
    let (lab, _machine) = light(spec);
    lab.order(&["kill", "1"]).unwrap();
    fs::remove_file(lab.dir().path().join("n1/layer").join(ATTRD)).unwrap();
    lab.order(&["boot", "1"]).unwrap();
    lab.start_stack(&[1]).unwrap();
    let (why, _) = lab.audit().unwrap_err();
    assert!(why.contains("n1: pacemaker-attrd is reference"), "{why}");
    assert!(why.contains("the mix asks for ours"), "{why}");
}

/// What the audit complains of once a signal that is under way has arrived.
fn complaint(lab: &Lab) -> String {
    let mut why = None;
    wait_for("a complaint", Duration::from_secs(20), || {
        why = lab.audit().err().map(|(complaint, _)| complaint);
        why.is_some()
    });
    why.unwrap_or_default()
}

#[test]
fn only_a_planned_respawn_is_accepted() {
    let (lab, _machine) = started(2);
    lab.order(&["kill-daemon", "1", "pacemaker-attrd"]).unwrap();
    lab.audit().expect("this respawn was planned");
    lab.audit().expect("and it is the baseline from now on");
    lab.run_in(1, &["sh", "-c", "kill -9 $(pidof pacemaker-attrd)"]).unwrap();
    let why = complaint(&lab);
    assert!(why.contains("pacemaker-attrd is process"), "{why}");
    assert!(why.contains("it was respawned, and no fault was planned"), "{why}");
}

#[test]
fn a_daemon_that_stays_away_fails_the_audit() {
    // Alone: nobody else could fence it for its missing daemon.
    let (lab, _machine) = started(1);
    let stop = "kill -STOP $(pidof pacemakerd); kill -9 $(pidof pacemaker-attrd)";
    lab.run_in(1, &["sh", "-c", stop]).unwrap();
    let why = complaint(&lab);
    assert!(why.contains("n1: pacemaker-attrd does not run"), "{why}");
}
