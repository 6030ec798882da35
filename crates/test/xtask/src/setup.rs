//! `cargo xtask setup`: what tests, lab and demo need and a fresh Debian lacks.
//!
//! Packages come from apt, with nothing started on this machine; cargo-deny from
//! crates.io. What is there already is left alone, and a second run does nothing.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use crate::run::{Failure, capture, find_program, run as run_program};
use crate::workspace::Workspace;

/// The Debian packages, each with what needs it.
const PACKAGES: &[(&str, &str)] = &[
    ("bridge-utils", "lab: looking at its bridges"),
    ("corosync", "lab: the reference's membership engine"),
    ("crmsh", "lab: one of the two shells of administrators"),
    ("debootstrap", "lab: the image of full nodes"),
    ("fence-agents", "lab: fencing library and agents"),
    ("gcc", "interop: C peers for libqb; linking"),
    ("iproute2", "lab: interfaces of nodes"),
    ("iputils-arping", "lab: IPaddr2 announces addresses with it"),
    ("iputils-ping", "lab: probing addresses"),
    ("libc6-dev", "interop: C peers; linking"),
    ("libcfg-dev", "interop: a client of Debian's libraries"),
    ("libcpg-dev", "interop: a client of Debian's libraries"),
    ("libqb-dev", "interop: the C library itself"),
    ("libquorum-dev", "interop: a client of Debian's libraries"),
    ("libvotequorum-dev", "interop: a client of Debian's libraries"),
    ("nftables", "lab: cuts and loss between nodes"),
    ("pacemaker", "lab: the reference's resource manager"),
    ("pacemaker-cli-utils", "lab: the reference's tools"),
    ("pcs", "lab: one of the two shells of administrators"),
    ("pkg-config", "interop: flags for libqb"),
    ("procps", "lab: looking at processes"),
    ("psmisc", "lab: agents call fuser and killall"),
    ("resource-agents", "lab: Dummy, IPaddr2"),
    ("shellcheck", "check: shell scripts"),
    ("socat", "lab: the power switch's socket"),
    ("systemd-container", "lab: full nodes"),
    ("tcpdump", "lab: looking at the wire"),
    ("util-linux", "lab: namespaces"),
];

/// The release of cargo-deny that deny.toml is written for.
const CARGO_DENY: &str = "0.20.2";

/// What still runs on a machine that cannot be set up.
const WITHOUT: &str = "`cargo xtask test --no-setup --only unit` needs none of them";

/// `cargo xtask setup`
///
/// # Errors
/// When something is missing and cannot be installed; the words say what and how.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    if !args.is_empty() {
        return Err(Failure::new("usage: cargo xtask setup"));
    }
    packages()?;
    cargo_deny(workspace)
}

/// The packages that lab, interop and check need.
pub(crate) fn packages() -> Result<(), Failure> {
    if find_program("dpkg-query").is_none() {
        return Err(Failure::new(format!(
            "this is not Debian (there is no dpkg-query): the lab and the interop tests use the \
             packages of Debian 12: {}. Run the tests on Debian 12, or in a container of it; \
             {WITHOUT}",
            names(PACKAGES.iter().map(|(name, _)| *name))
        )));
    }
    let missing = missing_packages()?;
    if missing.is_empty() {
        println!("setup: all Debian packages are there");
        return Ok(());
    }
    for (name, why) in PACKAGES.iter().filter(|(name, _)| missing.contains(name)) {
        println!("setup: {name:<20} {why}");
    }
    let wanted = names(missing.iter().copied());
    if !is_root() {
        return Err(Failure::new(format!(
            "packages are missing and only root can install them: {wanted}. Run \
             `sudo apt-get install --no-install-recommends {wanted}`, or this command as root; {WITHOUT}"
        )));
    }
    install(&missing)
}

/// Whether we run as root.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

fn missing_packages() -> Result<BTreeSet<&'static str>, Failure> {
    let listed =
        capture(Command::new("dpkg-query").args(["-W", "-f=${Package} ${db:Status-Status}\\n"]))?;
    Ok(missing_from(&listed))
}

/// The packages that dpkg's list does not have as installed.
fn missing_from(listed: &str) -> BTreeSet<&'static str> {
    let installed: BTreeSet<&str> =
        listed.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    PACKAGES.iter().map(|(name, _)| *name).filter(|name| !installed.contains(name)).collect()
}

/// Runs the install script, which cleans up also when it is interrupted.
fn install(missing: &BTreeSet<&'static str>) -> Result<(), Failure> {
    let script = include_str!("setup.sh");
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "setup.sh"]).args(missing).stdin(Stdio::null());
    if shell.status()?.success() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "apt-get could not install {}: its own words are above",
        names(missing.iter().copied())
    )))
}

/// cargo-deny, built from crates.io where it is missing.
pub(crate) fn cargo_deny(workspace: &Workspace) -> Result<(), Failure> {
    if has_cargo_deny(workspace) {
        println!("setup: cargo-deny is there");
        return Ok(());
    }
    println!("setup: cargo-deny {CARGO_DENY} is built from crates.io, which takes minutes");
    run_program(workspace.cargo().args([
        "install",
        "--locked",
        "--version",
        CARGO_DENY,
        "cargo-deny",
    ]))
}

/// Whether cargo finds cargo-deny.
pub(crate) fn has_cargo_deny(workspace: &Workspace) -> bool {
    let mut command = workspace.cargo();
    command.args(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// How to get cargo-deny by hand.
pub(crate) fn how_to_get_cargo_deny() -> String {
    format!("cargo install --locked --version {CARGO_DENY} cargo-deny")
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<&str>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dpkg_lists_as_installed_is_not_missing() {
        let all: String = PACKAGES.iter().map(|(name, _)| format!("{name} installed\n")).collect();
        assert_eq!(missing_from(&all), BTreeSet::new());
        let removed =
            all.replace("pcs installed", "pcs config-files").replace("gcc installed\n", "");
        assert_eq!(missing_from(&removed), BTreeSet::from(["gcc", "pcs"]));
    }

    #[test]
    fn the_table_is_sorted_and_says_why() {
        assert!(PACKAGES.is_sorted());
        assert!(PACKAGES.iter().all(|(_, why)| why.contains(": ")));
    }
}
