//! A full node: systemd as pid 1 under systemd-nspawn, over an overlay of the image.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};

use super::{SAYS_UP, say};
use crate::layout::{self, RunDir};
use crate::spec::Spec;
use crate::{NODE_PROGRAM, NODE_SHARE};

/// What lies over the image on every node: the probe as a service.
pub(crate) fn layer(layer: &Path) -> io::Result<()> {
    let units = layer.join("etc/systemd/system");
    let wants = units.join("multi-user.target.wants");
    fs::create_dir_all(&wants)?;
    fs::write(
        units.join("lab-probe.service"),
        format!(
            "[Unit]\nDescription=Probe of the node lab\n[Service]\nExecStart={NODE_PROGRAM} __probe\nRestart=always\n[Install]\nWantedBy=multi-user.target\n"
        ),
    )?;
    symlink("../lab-probe.service", wants.join("lab-probe.service"))
}

/// The monitor: becomes systemd-nspawn.
pub(super) fn run(dir: &RunDir, spec: &Spec, node: u32) -> Result<(), String> {
    let root = mount_root(dir, spec, node)?;
    let machine = format!("{}n{node}", dir.cgroup_prefix());
    for groups in layout::cgroup_roots() {
        let group = groups.join(&machine);
        layout::remove_cgroup(&group);
        // Without a group of its own, nspawn would put all nodes into one.
        let joined =
            fs::create_dir_all(&group).and_then(|()| fs::write(group.join("cgroup.procs"), "0"));
        joined.map_err(|e| format!("{}: {e}", group.display()))?;
    }
    say(SAYS_UP)?;
    let mut nspawn = Command::new("systemd-nspawn");
    nspawn.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1").env("SYSTEMD_NSPAWN_LOCK", "0");
    nspawn.args(["--quiet", "--boot", "--register=no", "--keep-unit", "--capability=all"]);
    nspawn.args(["--console=pipe", "--resolv-conf=off", "--timezone=off", "--link-journal=no"]);
    nspawn.arg("--system-call-filter=@memlock @resources @clock");
    nspawn.arg("--network-namespace-path=/proc/self/ns/net");
    nspawn.arg(format!("--machine={machine}")).arg(format!("--hostname=n{node}"));
    nspawn.arg(format!("--directory={}", root.display()));
    nspawn.arg(format!("--bind={}:{NODE_SHARE}", dir.share().display()));
    // Its console goes where its complaints go.
    let console = io::stderr();
    nspawn.stdin(std::process::Stdio::null()).stdout(console);
    Err(format!("systemd-nspawn: {}", nspawn.exec()))
}

fn mount_root(dir: &RunDir, spec: &Spec, node: u32) -> Result<std::path::PathBuf, String> {
    let home = dir.node(node);
    let (root, work) = (home.join("root"), home.join("work/root"));
    for path in [&root, &work] {
        fs::create_dir_all(path).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let options = format!(
        "lowerdir={}:{}:{},upperdir={},workdir={}",
        home.join("layer").display(),
        dir.layer().display(),
        spec.base().display(),
        home.join("upper").display(),
        work.display()
    );
    mount(Some("overlay"), &root, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .map_err(|e| format!("cannot mount {}: {e}", root.display()))?;
    Ok(root)
}
