//! The system of full nodes: made once by debootstrap from this machine's own
//! apt sources, cached outside the repository under a name that changes with
//! its recipe.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tool;

/// What debootstrap puts in, beside the minimal system.
const BASE: &str = "systemd,systemd-sysv,dbus,libpam-systemd,iproute2,iputils-ping,procps,psmisc,ca-certificates,openssh-server,nftables,less";

/// What apt installs then.
const PACKAGES: &[&str] = &[
    "rsyslog-",
    "corosync",
    "pacemaker",
    "pacemaker-cli-utils",
    "resource-agents",
    "fence-agents",
    "crmsh",
    "pcs",
    "corosync-qdevice",
    "csync2",
    "rsync",
    "iptables",
    "socat",
];

/// Services that a container has no use for, or that hold its boot up.
const MASKED: &[&str] = &[
    "systemd-networkd",
    "systemd-networkd.socket",
    "systemd-networkd-wait-online",
    "systemd-firstboot",
    "systemd-resolved",
    "systemd-timesyncd",
    "systemd-udevd",
];

/// Services that a scenario starts itself.
const DISABLED: &[&str] = &["corosync", "pacemaker", "corosync-qdevice", "logd"];

/// Raised whenever the steps below change in what they make.
const REVISION: u32 = 1;

/// The root of the image; it is made if it is not there, which takes minutes.
pub fn ready() -> Result<PathBuf, String> {
    let image = path()?;
    if image.is_dir() {
        return Ok(image);
    }
    let parent = image.parent().unwrap_or(Path::new("/"));
    let failed = |e: std::io::Error| format!("{}: {e}", parent.display());
    fs::create_dir_all(parent).map_err(failed)?;
    // Several tests may want it at once; one makes it.
    let lock = File::open(parent).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if image.is_dir() {
        return Ok(image);
    }
    eprintln!("lab: making the system of full nodes in {} (some minutes, once)", image.display());
    let partial = image.with_extension("partial");
    remove(&partial)?;
    let sources = Sources::find()?;
    let made = build(&partial, &sources);
    if let Err(why) = made {
        remove(&partial)?;
        return Err(format!("cannot make the system of full nodes: {why}"));
    }
    fs::rename(&partial, &image).map_err(failed)?;
    Ok(image)
}

/// Where the image is or will be: below `SYSTOLE_LAB_CACHE`, else /var/cache/systole.
pub(crate) fn path() -> Result<PathBuf, String> {
    let cache = std::env::var_os("SYSTOLE_LAB_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from("/var/cache/systole"));
    if !cache.is_absolute() {
        return Err(format!("SYSTOLE_LAB_CACHE={} is not absolute", cache.display()));
    }
    let recipe = format!("{REVISION} {BASE} {PACKAGES:?} {MASKED:?} {DISABLED:?} {}", codename()?);
    let hash = recipe.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Ok(cache.join(format!("lab-image-{hash:016x}")))
}

fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot remove {}: {e}", path.display()))
        }
        _ => Ok(()),
    }
}

/// The release of this machine, which the nodes will have too.
fn codename() -> Result<String, String> {
    let text = fs::read_to_string("/etc/os-release").map_err(|e| format!("os-release: {e}"))?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.map(|n| n.trim_matches('"').to_string())
        .ok_or_else(|| "no VERSION_CODENAME in os-release".into())
}

/// This machine's own sources of its release.
#[derive(Debug)]
struct Sources {
    codename: String,
    /// The address of the release itself.
    mirror: String,
    /// The files that name it, to be used in the image as they are.
    files: Vec<PathBuf>,
}

impl Sources {
    fn find() -> Result<Self, String> {
        let codename = codename()?;
        let listed = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten();
        let listed = listed.filter_map(Result::ok).map(|entry| entry.path());
        let mut files: Vec<PathBuf> =
            [PathBuf::from("/etc/apt/sources.list")].into_iter().chain(listed).collect();
        files.sort();
        let used = |f: &PathBuf| f.extension().is_some_and(|e| e == "list" || e == "sources");
        let texts = files.into_iter().filter(used);
        let texts = texts.filter_map(|f| fs::read_to_string(&f).ok().map(|text| (f, text)));
        let mut mirror = None;
        let mut chosen = Vec::new();
        for (file, text) in texts {
            if let Some(address) = address(&text, &codename) {
                chosen.push(file);
                mirror.get_or_insert(address);
            }
        }
        let mirror = mirror.ok_or_else(|| format!("/etc/apt names no source of {codename}"))?;
        Ok(Sources { codename, mirror, files: chosen })
    }
}

/// The first address in a sources file, of either format, that serves the
/// release itself (not its updates).
fn address(text: &str, codename: &str) -> Option<String> {
    for line in text.lines().filter(|l| l.trim_start().starts_with("deb ")) {
        let words: Vec<&str> =
            line.split_whitespace().filter(|w| !w.contains('=') && !w.starts_with('[')).collect();
        if words.get(2) == Some(&codename) {
            return words.get(1).map(ToString::to_string);
        }
    }
    text.split("\n\n").find_map(|stanza| {
        let field = |name: &str| {
            stanza.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let serves = field("Suites")?.split_whitespace().any(|suite| suite == codename);
        serves.then(|| field("URIs")?.split_whitespace().next().map(ToString::to_string))?
    })
}

fn build(root: &Path, sources: &Sources) -> Result<(), String> {
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", &format!("--include={BASE}"), &sources.codename]);
    command.arg(root).arg(&sources.mirror);
    tool::finish(command)?;
    let failed = |e: std::io::Error| format!("{}: {e}", root.display());
    let inside = |path: &str| root.join(path);
    let _ = fs::remove_file(inside("etc/apt/sources.list"));
    for file in &sources.files {
        fs::copy(file, root.join(file.strip_prefix("/").unwrap_or(file))).map_err(failed)?;
    }
    let proxies = tool::run("apt-config", &["dump"])?;
    let proxies: String = proxies
        .lines()
        .filter(|l| l.starts_with("Acquire::") && l.contains("roxy"))
        .map(|l| format!("{l}\n"))
        .collect();
    fs::write(inside("etc/apt/apt.conf.d/90lab"), proxies).map_err(failed)?;
    let guard = inside("usr/sbin/policy-rc.d");
    fs::write(&guard, "#!/bin/sh\nexit 101\n").map_err(failed)?;
    fs::set_permissions(&guard, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    install(root)?;
    fs::remove_file(&guard).map_err(failed)?;
    fs::remove_file(inside("etc/apt/apt.conf.d/90lab")).map_err(failed)?;
    configure(root)
}

/// In a mount namespace of its own, so that a killed build leaves no mount.
fn install(root: &Path) -> Result<(), String> {
    let script = "mount -t proc proc /proc && apt-get -q update && \
                  apt-get install -y -q --no-install-recommends \"$@\" && apt-get clean";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "chroot"]).arg(root);
    command.args(["/bin/sh", "-c", script, "sh"]).args(PACKAGES);
    command.env_clear().env("DEBIAN_FRONTEND", "noninteractive").env("LANG", "C.UTF-8");
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    tool::finish(command).map(drop)
}

fn configure(root: &Path) -> Result<(), String> {
    let systemctl = |verb: &str, units: &[&str]| {
        let mut command = Command::new("systemctl");
        command.arg(format!("--root={}", root.display())).arg(verb).args(units);
        tool::finish(command).map(drop)
    };
    for unit in DISABLED {
        // Not every version of the packages has every unit.
        let _ = systemctl("disable", &[unit]);
    }
    systemctl("mask", MASKED)?;
    let chroot = |words: &[&str]| {
        let mut command = Command::new("chroot");
        command.arg(root).args(words);
        tool::finish(command).map(drop)
    };
    // pcs authenticates nodes to each other by this password.
    chroot(&["sh", "-c", "echo hacluster:hacluster | chpasswd"])?;
    chroot(&[
        "install",
        "-d",
        "-m",
        "700",
        "-o",
        "hacluster",
        "-g",
        "haclient",
        "/var/lib/pacemaker/.ssh",
    ])?;
    chroot(&["install", "-d", "-m", "700", "/root/.ssh"])?;
    chroot(&["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", "/root/.ssh/id_rsa"])?;
    let ssh = root.join("root/.ssh");
    let failed = |e: std::io::Error| format!("{}: {e}", ssh.display());
    fs::copy(ssh.join("id_rsa.pub"), ssh.join("authorized_keys")).map_err(failed)?;
    fs::write(
        ssh.join("config"),
        "Host *\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n",
    )
    .map_err(failed)?;
    chown(ssh.join("config"), Some(0), Some(0)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_of_sources_name_their_address() {
        let one_line = "# deb http://x/ bookworm main\ndeb [signed-by=/k arch=amd64] http://a/debian bookworm main\n";
        assert_eq!(address(one_line, "bookworm").as_deref(), Some("http://a/debian"));
        let stanzas = "Types: deb\nURIs: http://s/debian-security\nSuites: bookworm-security\n\n\
                       Types: deb\nURIs: http://b/debian http://c/\nSuites: bookworm bookworm-updates\n";
        assert_eq!(address(stanzas, "bookworm").as_deref(), Some("http://b/debian"));
        assert_eq!(address(stanzas, "trixie"), None);
    }
}
