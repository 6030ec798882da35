//! The table of privileges against what the kernel says of a running daemon.

use std::process::Stdio;

use host::privileges::{Capabilities, Role};

use crate::daemon::{Daemon, command};

/// As DESIGN.md has it: who runs as whom.
const HACLUSTER: [Role; 4] = [Role::Based, Role::Schedulerd, Role::Attrd, Role::Controld];

fn id(kind: &str, name: &str) -> String {
    let output = std::process::Command::new("getent").args([kind, name]).output().expect("getent");
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    let id = line.split(':').nth(2).unwrap_or_default().to_string();
    assert!(!id.is_empty(), "{kind} has no {name}: apt-get install pacemaker-common");
    id
}

#[test]
fn each_daemon_runs_with_its_row() {
    assert!(nix::unistd::geteuid().is_root(), "run as root: the daemons change their user");
    let (hacluster, haclient) = (id("passwd", "hacluster"), id("group", "haclient"));
    let all = std::fs::read_to_string("/proc/self/status").expect("our own status");
    let all = crate::daemon::status_field(&all, "CapPrm");
    for role in Role::ALL {
        let daemon = Daemon::start(&[&format!("privileges={}", role.name())]);
        let row = role.privileges();
        let cluster = HACLUSTER.contains(&role);
        let four = |id: &str| [id; 4].join(" ");
        let (uid, gid) = if cluster { (&*hacluster, &*haclient) } else { ("0", "0") };
        let name = role.name();
        assert_eq!(daemon.status("Uid"), four(uid), "{name}");
        assert_eq!(daemon.status("Gid"), four(gid), "{name}");
        if cluster {
            assert_eq!(daemon.status("Groups"), haclient, "{name}");
        }
        let caps = match &row.capabilities {
            Capabilities::All => all.clone(),
            Capabilities::Keep(kept) => {
                let set = kept.iter().fold(0_u64, |set, c| set | 1 << (*c as u32));
                let permitted = u64::from_str_radix(&all, 16).expect("a set");
                format!("{:016x}", set & permitted)
            }
        };
        for field in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(daemon.status(field), caps, "{name} {field}");
        }
        assert_eq!(daemon.status("CapInh"), "0000000000000000", "{name}");
        assert_eq!(daemon.status("CapAmb"), "0000000000000000", "{name}");
        let no_new = if row.no_new_privs { "1" } else { "0" };
        assert_eq!(daemon.status("NoNewPrivs"), no_new, "{name}");
        assert_eq!(daemon.dumpable, row.dumpable, "{name}");
        assert_eq!(daemon.ask("hello"), "hello", "{name} works");
    }
}

#[test]
fn the_rows_are_those_of_the_design() {
    for role in Role::ALL {
        let row = role.privileges();
        if HACLUSTER.contains(&role) {
            assert_eq!(
                (row.user.as_deref(), row.group.as_deref()),
                (Some("hacluster"), Some("haclient"))
            );
            assert_eq!(row.capabilities, Capabilities::Keep(vec![]));
        } else {
            assert_eq!((row.user, row.group), (None, None), "{}", role.name());
        }
        let starts_agents =
            matches!(role, Role::Pacemakerd | Role::Execd | Role::Fenced | Role::Remoted);
        assert_eq!(row.capabilities == Capabilities::All, starts_agents);
        assert_eq!(row.no_new_privs, !starts_agents);
    }
}

#[test]
fn a_missing_user_ends_the_start_with_the_remedy() {
    let mut command = command(&["user=no-such-user"]);
    let output = command.stderr(Stdio::piped()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("no user \"no-such-user\"") && text.contains("useradd"), "{text}");
}
