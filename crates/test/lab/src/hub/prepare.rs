//! What lies on the nodes' disks before they boot for the first time.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use crate::layout::RunDir;
use crate::mix::{self, DAEMONS};
use crate::spec::{Kind, Spec};
use crate::{NODE_PROGRAM, agents, config, tool};

/// Directories of cluster state, with owner (of the cluster or root), and mode.
/// Nothing that the host has there may be seen in a node.
pub(crate) const STATE: &[(&str, bool, u32)] = &[
    ("etc/corosync", false, 0o755),
    ("etc/corosync/uidgid.d", false, 0o755),
    ("etc/pacemaker", false, 0o750),
    ("var/lib/corosync", false, 0o755),
    ("var/lib/pacemaker", true, 0o750),
    ("var/lib/pacemaker/cib", true, 0o750),
    ("var/lib/pacemaker/pengine", true, 0o750),
    ("var/lib/pacemaker/blackbox", true, 0o750),
    ("var/lib/pacemaker/cores", true, 0o750),
    ("var/lib/pcsd", false, 0o700),
    ("var/log/corosync", false, 0o755),
    ("var/log/pacemaker", true, 0o770),
];

/// Those of [`STATE`] that are mount points in a light node.
pub(crate) fn state_roots() -> impl Iterator<Item = &'static str> {
    let below = |dir: &str| STATE.iter().any(|(up, ..)| dir.starts_with(&format!("{up}/")));
    STATE.iter().map(|(dir, ..)| *dir).filter(move |dir| !below(dir))
}

/// User and group of the cluster's daemons in the nodes' system.
#[derive(Clone, Copy, Debug)]
struct Owner {
    uid: u32,
    gid: u32,
}

/// Makes all files of all nodes.
pub(crate) fn all(dir: &RunDir, spec: &Spec) -> Result<(), String> {
    let owner = Owner::find(spec.base())?;
    let failed = |e: io::Error| format!("cannot prepare {}: {e}", dir.path().display());
    fs::create_dir_all(dir.journals()).map_err(failed)?;
    fs::create_dir_all(dir.share().join("autostart")).map_err(failed)?;
    common_layer(dir, spec).map_err(failed)?;
    let mut key = vec![0; 256];
    File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut key)).map_err(failed)?;
    for node in 1..=spec.nodes {
        identity(dir, spec, node).map_err(failed)?;
        state(dir, spec, node, owner, &key).map_err(failed)?;
        programs(dir, spec, node)?;
        for agent in &spec.agents {
            agents::install(agent, spec.base(), &dir.node(node).join("layer"))?;
        }
    }
    Ok(())
}

impl Owner {
    fn find(base: &Path) -> Result<Self, String> {
        let passwd = base.join("etc/passwd");
        let text = fs::read_to_string(&passwd).map_err(|e| format!("{}: {e}", passwd.display()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("hacluster:"));
        let ids = line.and_then(|line| {
            let mut fields = line.split(':').skip(1);
            Some(Owner { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
        });
        ids.ok_or_else(|| format!("{}: no user hacluster (package pacemaker)", passwd.display()))
    }
}

/// The lab's program, also under the name of the fence agent and the probe.
fn common_layer(dir: &RunDir, spec: &Spec) -> io::Result<()> {
    let inside = |path: &str| dir.layer().join(path.trim_start_matches('/'));
    let program = inside(NODE_PROGRAM);
    fs::create_dir_all(program.parent().unwrap_or(&program))?;
    fs::copy(std::env::current_exe()?, &program)?;
    let agent = inside("/usr/sbin/fence_lab");
    fs::create_dir_all(agent.parent().unwrap_or(&agent))?;
    symlink(NODE_PROGRAM, agent)?;
    if spec.kind == Kind::Full {
        crate::node::full_layer(&dir.layer())?;
    }
    Ok(())
}

/// Name, addresses, machine id.
fn identity(dir: &RunDir, spec: &Spec, node: u32) -> io::Result<()> {
    let home = dir.node(node);
    for part in ["layer/usr", "upper/etc", "upper/var", "upper/root", "disk", "work"] {
        fs::create_dir_all(home.join(part))?;
    }
    let etc = home.join("upper/etc");
    fs::write(etc.join("hostname"), format!("n{node}\n"))?;
    fs::write(etc.join("hosts"), config::hosts(spec.nodes))?;
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    fs::write(etc.join("machine-id"), id.replace('-', ""))
}

fn state(dir: &RunDir, spec: &Spec, node: u32, owner: Owner, key: &[u8]) -> io::Result<()> {
    let disk = disk(dir, spec.kind, node);
    for (path, clustered, mode) in STATE {
        let path = disk.join(path);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
        if *clustered {
            chown(&path, Some(owner.uid), Some(owner.gid))?;
        }
    }
    chown(disk.join("etc/pacemaker"), None, Some(owner.gid))?;
    fs::write(disk.join("etc/corosync/corosync.conf"), config::corosync_conf(spec))?;
    let put = |path: &str, content: &[u8], mode: u32, uid: Option<u32>, gid: Option<u32>| {
        let path = disk.join(path);
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        chown(&path, uid, gid)
    };
    put("etc/corosync/authkey", key, 0o400, None, None)?;
    put("etc/pacemaker/authkey", key, 0o640, None, Some(owner.gid))?;
    let cib = fs::read(dir.cib())?;
    put("var/lib/pacemaker/cib/cib.xml", &cib, 0o600, Some(owner.uid), Some(owner.gid))
}

/// Where a node's state is: apart on a light node, in the overlay of a full one.
pub(crate) fn disk(dir: &RunDir, kind: Kind, node: u32) -> std::path::PathBuf {
    dir.node(node).join(match kind {
        Kind::Light => "disk",
        Kind::Full => "upper",
    })
}

/// Our programs on this node: the whole tree, or single daemons as real files
/// at the reference's exact paths.
fn programs(dir: &RunDir, spec: &Spec, node: u32) -> Result<(), String> {
    let Some(dist) = &spec.dist else { return Ok(()) };
    let ours = spec.mix.ours(node);
    let home = dir.node(node);
    if ours.len() == DAEMONS.len() {
        copy_tree(&dist.join("usr"), &home.join("layer/usr"))?;
        return copy_tree(&dist.join("etc"), &home.join("upper/etc"));
    }
    for daemon in ours {
        let from = mix::source(daemon, mix::Stack::Ours, Path::new("/"), Some(dist));
        let to = home.join("layer").join(daemon.path.trim_start_matches('/'));
        let copied = from.ok_or_else(|| io::Error::other("no tree")).and_then(|from| {
            fs::create_dir_all(to.parent().unwrap_or(&to))?;
            fs::copy(from, &to)
        });
        copied.map_err(|e| format!("cannot install {} on n{node}: {e}", daemon.name))?;
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), String> {
    if !from.is_dir() {
        return Ok(());
    }
    let (from, to) = (from.join("."), to.as_os_str().to_owned());
    tool::run("cp", &["-a".as_ref(), from.as_os_str(), &to]).map(drop)
}
