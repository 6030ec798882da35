//! Full nodes: systemd as pid 1. The names begin with `full_`, so that a runner
//! can sort them; the first of them makes the image, which takes minutes.

use lab::{Kind, Lab, RunOptions, Spec};

use crate::support::{assert_passed, program, require, scenario};

#[test]
fn full_node_boots_and_its_units_run_the_cluster() {
    require(Kind::Full);
    let _machine = lab::layout::MachineLock::acquire().unwrap();
    let mut spec = Spec::new(1);
    spec.kind = Kind::Full;
    spec.image = Some(lab::image::ready().unwrap());
    let lab = Lab::start(program(), None, spec).unwrap();
    let say = |words: &[&str]| lab.run_in(1, words).unwrap().trim().to_string();
    assert_eq!(say(&["systemctl", "is-system-running"]), "running");
    assert_eq!(say(&["cat", "/proc/1/comm"]), "systemd");
    assert_eq!(say(&["systemctl", "is-active", "dbus", "pcsd"]), "active\nactive");
    lab.start_stack(&[1]).unwrap();
    assert_eq!(say(&["systemctl", "is-active", "corosync", "pacemaker"]), "active\nactive");
    lab.audit().unwrap();
}

#[test]
fn full_nodes_fence_and_fail_over() {
    require(Kind::Full);
    let mut options = RunOptions::new(program());
    options.kind = Kind::Full;
    let outcome = lab::run_file(&scenario("03-node-killed.scn"), &options).unwrap();
    assert_passed(&outcome);
}
