//! What a lab needs of the machine, and how to get it.

use std::path::Path;

use crate::spec::Kind;
use crate::tool;

/// A program or file that must be there, and the Debian package that has it.
const LIGHT: &[(&str, &str)] = &[
    ("/usr/sbin/corosync", "corosync"),
    ("/usr/sbin/pacemakerd", "pacemaker"),
    ("/usr/sbin/cibadmin", "pacemaker-cli-utils"),
    ("/usr/lib/ocf/resource.d/heartbeat/IPaddr2", "resource-agents"),
    ("/usr/sbin/nft", "nftables"),
    ("/usr/sbin/ip", "iproute2"),
    ("/usr/bin/nsenter", "util-linux"),
    ("/usr/bin/ping", "iputils-ping"),
];

const FULL: &[(&str, &str)] =
    &[("/usr/sbin/debootstrap", "debootstrap"), ("/usr/bin/systemd-nspawn", "systemd-container")];

/// The packages that the given kind of node lacks.
pub fn missing(kind: Kind) -> Vec<&'static str> {
    let wanted = LIGHT.iter().chain(if kind == Kind::Full { FULL } else { &[] });
    wanted.filter(|(path, _)| !Path::new(path).exists()).map(|(_, package)| *package).collect()
}

/// Says everything that is missing at once, with the commands that get it.
pub fn check(kind: Kind) -> Result<(), String> {
    let mut wants = Vec::new();
    if !nix::unistd::geteuid().is_root() {
        wants.push("The lab makes namespaces, mounts and bridges: run it as root.".to_string());
    }
    let packages = missing(kind);
    if !packages.is_empty() {
        wants.push(format!(
            "Missing packages: {list}. Get them by \"lab setup\" (nothing is started on this machine), or by\n  apt-get install --no-install-recommends {list}",
            list = packages.join(" ")
        ));
    }
    if wants.is_empty() { Ok(()) } else { Err(wants.join("\n")) }
}

/// Installs what is missing by apt, with a guard so that no daemon starts on
/// the host.
pub fn setup(kind: Kind) -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("lab setup installs packages: run it as root".into());
    }
    let packages = missing(kind);
    if packages.is_empty() {
        println!("Nothing is missing for {kind} nodes.");
        return Ok(());
    }
    println!("Installing {} (nothing is started on this machine)", packages.join(" "));
    let guard = StartGuard::set()?;
    let apt = |words: &[&str]| {
        let mut command = std::process::Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command.args(["-q", "-o", "DPkg::Lock::Timeout=300"]).args(words);
        tool::finish(command).map(drop)
    };
    // A fresh machine has no lists yet; a stale one may still do without.
    if let Err(why) = apt(&["update"]) {
        eprintln!("lab: {why}");
    }
    let mut words = vec!["install", "-y", "--no-install-recommends"];
    words.extend(&packages);
    apt(&words)?;
    drop(guard);
    let left = missing(kind);
    if left.is_empty() { Ok(()) } else { Err(format!("still missing: {}", left.join(" "))) }
}

/// A policy-rc.d that forbids the start of services, as long as it lives.
struct StartGuard {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl StartGuard {
    fn set() -> Result<Self, String> {
        use std::os::unix::fs::PermissionsExt;
        if Path::new(POLICY).exists() {
            return Ok(StartGuard { ours: false });
        }
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::write(POLICY, "#!/bin/sh\nexit 101\n")
            .and_then(|()| std::fs::set_permissions(POLICY, mode))
            .map_err(|e| format!("{POLICY}: {e}"))?;
        Ok(StartGuard { ours: true })
    }
}

impl Drop for StartGuard {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_file(POLICY);
        }
    }
}
