//! Debian's corosync in namespaces of its own.
//!
//! A test is a shell: it writes files and starts processes.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use corosync_conf::{Config, Files, Host, Interface, Refused, Text, configure, read};

/// The name that the host has in the namespaces.
pub(crate) const NODENAME: &str = "alpha.example";

/// A folder with a corosync.conf, removed when it goes.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new(conf: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("corosync-conf-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(path.join("uidgid.d")).expect("a folder for the test");
        let folder = Self { path };
        folder.write("corosync.conf", conf);
        folder
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path.join(name), text).expect("a file for the test");
    }

    pub(crate) fn conf(&self) -> String {
        self.path.join("corosync.conf").display().to_string()
    }

    /// The same texts for our reader.
    pub(crate) fn files(&self) -> Files {
        let text = |path: PathBuf| Text {
            bytes: std::fs::read(&path).expect("the test's file"),
            name: path.display().to_string(),
        };
        let folder = std::fs::read_dir(self.path.join("uidgid.d")).expect("uidgid.d");
        let uidgid = folder.map(|entry| text(entry.expect("an entry").path())).collect();
        Files { main: text(self.path.join("corosync.conf")), uidgid, service: Vec::new() }
    }

    pub(crate) fn ours(&self) -> Result<Config, Refused> {
        let host = host();
        configure(read(&self.files(), &host)?, &host)
    }

    /// Tests the file with the reference: what it printed, and its exit code.
    pub(crate) fn tested_by_reference(&self) -> (String, i32) {
        let out = in_namespaces(&format!("corosync -t -c {} 2>&1", self.conf()));
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        (text, out.status.code().expect("an exit code"))
    }

    /// The keys of the reference's daemon on this file, as `corosync-cmapctl`
    /// prints them: `type = value` by key.
    pub(crate) fn keys_of_reference(&self) -> BTreeMap<String, String> {
        let script = format!(
            "timeout 30 corosync -f -c {} >{}/log 2>&1 & daemon=$!\n\
             while kill -0 $daemon 2>/dev/null; do corosync-cmapctl 2>/dev/null && break; sleep 0.05; done\n\
             kill $daemon 2>/dev/null; wait $daemon",
            self.conf(),
            self.path.display()
        );
        let out = in_namespaces(&script);
        let text = String::from_utf8_lossy(&out.stdout);
        let keys: BTreeMap<String, String> = text
            .lines()
            .filter_map(|line| line.split_once(" ("))
            .map(|(key, rest)| (key.to_owned(), format!("({rest}")))
            .collect();
        let log = std::fs::read_to_string(self.path.join("log")).unwrap_or_default();
        assert!(keys.len() > 50, "corosync did not serve its map:\n{log}");
        keys
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What remains in the temporary folder harms no other test.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// What the host is in [`in_namespaces`].
pub(crate) fn host() -> Host {
    let interface = |address: &str, prefix_len, name: Option<&str>| Interface {
        address: address.parse::<IpAddr>().expect("an address"),
        prefix_len,
        name: name.map(str::to_owned),
    };
    Host {
        nodename: NODENAME.to_owned(),
        interfaces: vec![
            interface("127.0.0.1", 8, Some("localhost")),
            interface("10.7.0.1", 24, None),
            interface("10.8.0.1", 24, None),
            interface("::1", 128, Some("localhost")),
            interface("fd07::1", 64, None),
        ],
        users: [("root".to_owned(), 0), ("daemon".to_owned(), 1)].into(),
        groups: [("root".to_owned(), 0), ("bin".to_owned(), 2)].into(),
        ..Host::default()
    }
}

fn in_namespaces(script: &str) -> Output {
    let setup = format!(
        "set -e; hostname {NODENAME}; ip link set lo up\n\
         ip address add 10.7.0.1/24 dev lo; ip address add 10.8.0.1/24 dev lo\n\
         ip address add fd07::1/64 dev lo nodad\n\
         ip route add 224.0.0.0/4 dev lo\n\
         for d in /run /dev/shm /var/lib/corosync; do mount -t tmpfs none $d; done\n\
         printf '127.0.0.1 localhost\\n::1 localhost\\n' >/run/hosts; mount --bind /run/hosts /etc/hosts\n\
         echo 'hosts: files' >/run/nsswitch; cat /etc/nsswitch.conf | grep -v ^hosts >>/run/nsswitch\n\
         mount --bind /run/nsswitch /etc/nsswitch.conf; set +e\n{script}"
    );
    let out = Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--ipc",
            "--uts",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .args(["sh", "-c", &setup])
        .output()
        .expect("unshare (package util-linux)");
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(
        out.status.code() != Some(127) && !stderr.contains("not permitted"),
        "this test needs root and Debian's package corosync (apt-get install corosync): {stderr}"
    );
    out
}
