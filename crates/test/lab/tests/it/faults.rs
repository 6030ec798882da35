//! Faults do what they say.

use std::time::Duration;

use lab::{Kind, Lab, Spec};

use crate::support::{assert_passed, light, require, run, wait_for};

/// Milliseconds of the shortest of three round trips between two nodes.
fn round_trip_ms(lab: &Lab) -> f64 {
    let said = lab.run_in(1, &["ping", "-n", "-c", "3", "-i", "0.2", "10.77.0.2"]).unwrap();
    let times = said.lines().filter_map(|l| l.split("time=").nth(1)?.split(' ').next());
    times.filter_map(|t| t.parse().ok()).fold(f64::INFINITY, f64::min)
}

fn reaches(lab: &Lab, from: u32, to: u32) -> bool {
    let address = format!("10.77.0.{to}");
    lab.run_in(from, &["ping", "-n", "-c", "1", "-W", "1", &address]).is_ok()
}

#[test]
fn a_slow_network_delays_each_direction_once() {
    let (lab, _machine) = light(Spec::new(2));
    assert!(round_trip_ms(&lab) < 20.0);
    lab.order(&["slow", "40"]).unwrap();
    let slow = round_trip_ms(&lab);
    assert!((80.0..160.0).contains(&slow), "{slow} ms for two delays of 40 ms");
    // What was cut stays cut behind the delay lines, and a rebooted node is slow, too.
    lab.order(&["cut", "1", "2"]).unwrap();
    assert!(!reaches(&lab, 1, 2));
    lab.order(&["cut"]).unwrap();
    lab.order(&["kill", "2"]).unwrap();
    lab.order(&["boot", "2"]).unwrap();
    assert!(round_trip_ms(&lab) >= 80.0);
    lab.order(&["heal"]).unwrap();
    assert!(round_trip_ms(&lab) < 20.0);
}

#[test]
fn a_cluster_comes_through_a_slow_and_lossy_time() {
    // Who is lost meanwhile is fenced and comes back; nobody may break a rule.
    let outcome = run("title t\nnodes 3\nresource dummy ocf:heartbeat:Dummy\nstart all\n\
                       within 60s view all\nwithin 60s active dummy\nslow 5ms\nloss 1%\npass 4s\n\
                       heal\nwithin 60s view all\nwithin 60s quorate all\nwithin 60s active dummy\n\
                       within 60s agree all\n");
    assert_passed(&outcome);
}

#[test]
fn one_direction_can_be_cut() {
    let (lab, _machine) = light(Spec::new(3));
    lab.order(&["one-way", "1", "2"]).unwrap();
    assert!(!reaches(&lab, 1, 2));
    assert!(reaches(&lab, 1, 3) && reaches(&lab, 2, 3));
    lab.order(&["heal"]).unwrap();
    assert!(reaches(&lab, 1, 2));
    lab.order(&["loss", "1000"]).unwrap();
    assert!(!reaches(&lab, 1, 2) && !reaches(&lab, 1, 3));
}

#[test]
fn a_frozen_node_is_fenced_like_a_dead_one() {
    let outcome = run("title t\nnodes 3\nresource dummy ocf:heartbeat:Dummy\nstart all\n\
                       within 60s active dummy\nname victim = holder(dummy)\nfreeze $victim\n\
                       within 60s fenced $victim\nwithin 60s active dummy on rest($victim)\n\
                       within 60s view all\n");
    assert_passed(&outcome);
}

#[test]
fn a_node_that_thaws_in_time_goes_on() {
    let outcome =
        run("title t\nnodes 3\nstart all\nwithin 60s quorate all\nwithin 60s agree all\n\
                       freeze n3\npass 300ms\nthaw n3\nhold 4s view all\nnow up all\n");
    assert_passed(&outcome);
}

#[test]
fn a_killed_daemon_comes_back_and_the_service_stays() {
    let outcome = run("title t\nnodes 3\nresource dummy ocf:heartbeat:Dummy\nstart all\n\
                       within 60s active dummy\nname place = holder(dummy)\n\
                       kill-daemon $place pacemaker-attrd\nwithin 60s agree all\n\
                       hold 3s active dummy on $place\n");
    assert_passed(&outcome);
}

#[test]
fn nodes_stop_and_start_in_good_order() {
    let outcome = run("title t\nnodes 3\nresource dummy ocf:heartbeat:Dummy\nstart all\n\
                       within 60s active dummy\nname place = holder(dummy)\nstop $place\n\
                       within 60s active dummy on rest($place)\nwithin 60s quorate rest($place)\n\
                       start $place\nwithin 60s view all\nwithin 60s agree all\n");
    assert_passed(&outcome);
}

#[test]
fn every_transport_forms_a_cluster() {
    for transport in ["udp", "knet"] {
        let outcome = run(&format!(
            "title t\nnodes 3\ntransport {transport}\nstart all\nwithin 60s view all\n\
             within 60s quorate all\n"
        ));
        assert_passed(&outcome);
    }
}

#[test]
fn a_node_that_reboots_itself_comes_back() {
    require(Kind::Full); // for systemctl
    let (lab, _machine) = light(Spec::new(1));
    lab.run_in(1, &["touch", "/run/before"]).unwrap();
    // The kernel takes the node's processes, not the host's.
    let _ = lab.run_in(1, &["systemctl", "reboot", "-ff"]);
    let back = || lab.run_in(1, &["test", "!", "-e", "/run/before"]).is_ok();
    wait_for("the node's return", Duration::from_secs(20), back);
}

#[test]
fn a_node_cannot_harm_its_host() {
    let (lab, _machine) = light(Spec::new(1));
    let write = |path: &str| lab.run_in(1, &["sh", "-c", &format!("echo b > {path}")]);
    // Into the void, where the kernel has it: the host still stands to see it.
    if std::path::Path::new("/proc/sysrq-trigger").exists() {
        write("/proc/sysrq-trigger").unwrap();
    }
    assert!(write("/proc/sys/kernel/hostname").is_err());
    assert!(write("/srv/by-a-node").is_err());
    write("/etc/by-a-node").unwrap();
    write("/var/by-a-node").unwrap();
    assert!(!std::path::Path::new("/etc/by-a-node").exists());
    assert!(!std::path::Path::new("/var/by-a-node").exists());
    lab.run_in(1, &["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]).unwrap();
}
