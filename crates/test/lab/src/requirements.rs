//! What a lab needs of the machine, and how to get it.

use std::path::Path;

use crate::spec::Kind;

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
            "Missing packages: {list}. Get them by \"cargo xtask setup\" (nothing is started on this machine), or by\n  apt-get install --no-install-recommends {list}",
            list = packages.join(" ")
        ));
    }
    if wants.is_empty() { Ok(()) } else { Err(wants.join("\n")) }
}
