//! The power switch and its fence agent.

use lab::{Kind, Spec};
use observe::{Event, PowerCause};

use crate::support::{assert_passed, light, require, run, trace};

const HEAD: &str = "title t\nnodes 3\nproperty stonith-timeout=10s\n\
                    resource dummy ocf:heartbeat:Dummy\n\
                    start all\nwithin 60s quorate all\nwithin 60s active dummy\n\
                    name victim = holder(dummy)\n";

#[test]
fn nothing_moves_while_the_switch_fails() {
    let outcome = run(&format!(
        "{HEAD}power fail\nkill $victim\nhold 8s inactive dummy on rest($victim)\n\
         power ok\nwithin 60s fenced $victim\nwithin 60s active dummy on rest($victim)\n"
    ));
    assert_passed(&outcome);
    let failed = outcome.trace.iter().any(|s| matches!(s.event, Event::Fenced { ok: false, .. }));
    assert!(failed, "{}", trace(&outcome));
}

#[test]
fn nothing_moves_while_the_switch_hangs() {
    let outcome = run(&format!(
        "{HEAD}power hang\nkill $victim\nhold 8s inactive dummy on rest($victim)\n\
         power ok\nwithin 60s fenced $victim\nwithin 60s active dummy on rest($victim)\n"
    ));
    assert_passed(&outcome);
    let by_fence = |s: &&observe::Observation| {
        matches!(s.event, Event::Power { on: true, cause: PowerCause::Fence, .. })
    };
    assert_eq!(outcome.trace.iter().filter(by_fence).count(), 1, "{}", trace(&outcome));
}

#[test]
fn the_agent_does_what_the_cluster_and_people_ask() {
    require(Kind::Light);
    let (lab, _machine) = light(Spec::new(2));
    let agent = |words: &[&str]| {
        let words: Vec<&str> = ["fence_lab"].iter().chain(words).copied().collect();
        lab.run_in(1, &words)
    };
    assert!(agent(&["-o", "metadata"]).unwrap().contains("<resource-agent name=\"fence_lab\""));
    assert_eq!(agent(&["-o", "list"]).unwrap(), "n1,\nn2,\n");
    agent(&["--action=monitor"]).unwrap();
    agent(&["-o", "status", "-n", "n2"]).unwrap();
    agent(&["-o", "off", "-n", "n2"]).unwrap();
    assert!(lab.run_in(2, &["true"]).unwrap_err().contains("n2 has no power"));
    assert!(agent(&["-o", "status", "-n", "n2"]).unwrap_err().contains("exit status: 2"));
    let by_stdin = "printf 'action=on\\nport=n2\\n' | fence_lab";
    lab.run_in(1, &["sh", "-c", by_stdin]).unwrap();
    lab.run_in(2, &["true"]).unwrap();
    assert!(agent(&["-o", "off", "-n", "n9"]).unwrap_err().contains("exit status: 1"));
    lab.order(&["power", "lie", "2"]).unwrap();
    agent(&["-o", "off", "-n", "n2"]).unwrap();
    lab.run_in(2, &["true"]).expect("the switch lied");
    let installed = lab.run_in(1, &["stonith_admin", "--list-installed"]).unwrap();
    assert!(installed.lines().any(|l| l.trim() == "fence_lab"), "{installed}");
}

#[test]
fn who_lacks_root_is_told_so() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    // Where anybody can reach it, whatever the build directory's mode.
    let copy = std::env::temp_dir().join(format!("lab-copy-{}", std::process::id()));
    std::fs::copy(crate::support::program(), &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = std::process::Command::new(&copy);
    let output = command.args(["up", "1"]).uid(65534).gid(65534).output();
    std::fs::remove_file(&copy).unwrap();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("run it as root"), "{said}");
}
