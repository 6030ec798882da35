//! The real thing on the same ring: Debian's corosync 3.1.7 over udpu, each in
//! a network namespace of its own, and our cores behind plain UDP sockets.
//!
//! Each test runs this program again under `unshare`, so that nothing of it is
//! left: namespaces and mounts end with the last process in them.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test's shell does I/O")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ha_types::ring::{Configuration, ConfigurationKind};
use ha_types::{Node, RingId};
use sansio::edge::Level;
use sansio::{Core, Inspect, Mono, Now};
use totem::{Class, Config, Delivery, Group, Input, Output, SubmitError, Timing, To, Totem};

const INSIDE: &str = "SYSTOLE_TOTEM_WIRE_TEST";
const DIR: &str = "/run/wire";
const TOKEN_MS: u32 = 1000;

/// Runs `inside` in namespaces of its own, by running this test again there.
fn isolated(name: &str, inside: impl FnOnce()) {
    if std::env::var(INSIDE).is_ok() {
        return inside();
    }
    for tool in ["corosync", "corosync-quorumtool", "ip", "unshare", "nsenter"] {
        let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output();
        assert!(
            found.is_ok_and(|found| found.status.success()),
            "{tool} is missing: apt-get install corosync iproute2 util-linux"
        );
    }
    let id = Command::new("id").arg("-u").output().expect("id");
    assert_eq!(id.stdout, b"0\n", "this test makes namespaces: run it as root");
    let exe = std::env::current_exe().expect("the test's program");
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"])
        .arg("--mount-proc")
        .arg(exe)
        .args([&format!("wire::{name}"), "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().expect("sh");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{text}{errors}");
    text
}

/// A ring of real nodes and ours.
struct Mixed {
    reals: BTreeMap<u32, Option<Child>>,
    ours: BTreeMap<u32, Ours>,
    began: Instant,
}

/// One of our cores with its socket and the least of the services.
struct Ours {
    totem: Totem,
    socket: UdpSocket,
    sync: Option<Sync>,
    members: BTreeSet<Node>,
    messages: Vec<(Node, Bytes)>,
    logs: Vec<String>,
}

/// The synchronization: all tell their services, then there is a barrier after
/// each of the union of them.
struct Sync {
    ring: RingId,
    members: BTreeSet<Node>,
    told: BTreeSet<Node>,
    services: BTreeSet<u32>,
    passed: BTreeSet<Node>,
    done: usize,
}

const BARRIER: u32 = 0;
const SERVICE_BUILD: u32 = 1;

fn sync_message(kind: u32, ring: RingId, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    bytes[..4].copy_from_slice(&kind.to_le_bytes());
    bytes[8..12].copy_from_slice(&u32::try_from(len).unwrap().to_le_bytes());
    bytes[16..20].copy_from_slice(&ring.rep.0.to_le_bytes());
    bytes[20..28].copy_from_slice(&ring.seq.to_le_bytes());
    bytes.into()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

impl Mixed {
    fn new(reals: &[u32], ours: &[u32]) -> Self {
        let mut setup = String::from(
            "mount -t tmpfs tmpfs /run; mkdir -p /run/netns /run/wire\n\
             ip link set lo up; ip link add br0 type bridge; ip link set br0 up\n",
        );
        for id in ours {
            writeln!(setup, "ip addr add 10.77.0.{id}/24 dev br0").unwrap();
        }
        for id in reals {
            writeln!(
                setup,
                "ip netns add r{id}; ip link add v{id} type veth peer name eth0 netns r{id}\n\
                 ip link set v{id} master br0 up; ip -n r{id} link set lo up\n\
                 ip -n r{id} addr add 10.77.0.{id}/24 dev eth0; ip -n r{id} link set eth0 up"
            )
            .unwrap();
        }
        sh(&setup);
        let all: BTreeSet<u32> = reals.iter().chain(ours).copied().collect();
        std::fs::write(format!("{DIR}/corosync.conf"), configuration(&all)).unwrap();
        let began = Instant::now();
        let mut mixed = Self { reals: BTreeMap::new(), ours: BTreeMap::new(), began };
        for id in reals {
            mixed.reals.insert(*id, None);
        }
        for id in ours {
            let ours = mixed.boot_ours(*id, &all);
            mixed.ours.insert(*id, ours);
        }
        mixed
    }

    fn boot_ours(&self, id: u32, all: &BTreeSet<u32>) -> Ours {
        let socket = UdpSocket::bind(format!("10.77.0.{id}:5405")).unwrap();
        socket.set_nonblocking(true).unwrap();
        let config = Config {
            timing: Timing { consensus_ms: 1200, ..Timing::of_token(TOKEN_MS) },
            nodes: Some(all.iter().map(|id| Node(*id)).collect()),
            ..Config::new(Node(id))
        };
        let mut totem = Totem::new(self.now(), config);
        totem.handle(self.now(), Input::Interface { up: true });
        let (members, messages, logs) = (BTreeSet::new(), Vec::new(), Vec::new());
        Ours { totem, socket, sync: None, members, messages, logs }
    }

    fn now(&self) -> Now {
        let nanos = u64::try_from(self.began.elapsed().as_nanos()).unwrap();
        Now { mono: Mono(1 + nanos), ..Now::default() }
    }

    /// Starts a real node; its log is in a file.
    fn boot_real(&mut self, id: u32) {
        let script = format!(
            "for d in /run/wire-{id} /var/lib/corosync /var/log/corosync /dev/shm; do \
             mkdir -p $d; mount -t tmpfs tmpfs $d; done\n\
             mkdir -p /run/corosync; cp {DIR}/corosync.conf /run/wire-{id}/\n\
             mount --bind /run/wire-{id} /run/corosync\n\
             touch {DIR}/pid-{id}; touch /run/corosync.pid; mount --bind {DIR}/pid-{id} /run/corosync.pid\n\
             exec corosync -f -c {DIR}/corosync.conf >>{DIR}/log-{id} 2>&1"
        );
        let child = Command::new("ip")
            .args(["netns", "exec", &format!("r{id}"), "unshare", "-m", "sh", "-ec", &script])
            .stdin(Stdio::null())
            .spawn()
            .expect("ip");
        self.reals.insert(id, Some(child));
    }

    fn kill_real(&mut self, id: u32) {
        let mut child = self.reals.get_mut(&id).and_then(Option::take).expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn log(id: u32) -> String {
        std::fs::read_to_string(format!("{DIR}/log-{id}")).unwrap_or_default()
    }

    /// Runs a tool of the reference beside its daemon.
    fn tool(&self, id: u32, command: &str) -> String {
        let pid = self.reals[&id].as_ref().expect("it runs").id();
        let script = format!("nsenter -t {pid} -n -m {command} 2>&1 || true");
        sh(&script)
    }

    /// One turn of the loop that a daemon's driver has.
    fn turn(&mut self) {
        let mut idle = true;
        let mut buffer = [0; 65_536];
        let ids: Vec<u32> = self.ours.keys().copied().collect();
        for id in ids {
            self.run_timers(id);
            for _ in 0..64 {
                let ours = self.ours.get_mut(&id).unwrap();
                let Ok((len, _)) = ours.socket.recv_from(&mut buffer) else { break };
                idle = false;
                let now = self.now();
                let ours = self.ours.get_mut(&id).unwrap();
                let bytes = Bytes::copy_from_slice(&buffer[..len]);
                ours.totem.handle(now, Input::Datagram(bytes));
                self.drain(id);
                self.run_timers(id);
            }
        }
        if idle {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn run_timers(&mut self, id: u32) {
        self.drain(id);
        loop {
            let now = self.now();
            let ours = self.ours.get_mut(&id).unwrap();
            if ours.totem.poll_timeout().is_none_or(|at| at > now.mono) {
                return;
            }
            ours.totem.handle_timeout(now);
            self.drain(id);
        }
    }

    fn drain(&mut self, id: u32) {
        let all: Vec<u32> = self.reals.keys().chain(self.ours.keys()).copied().collect();
        let now = self.now();
        let ours = self.ours.get_mut(&id).unwrap();
        while let Some(output) = ours.totem.poll_output() {
            match output {
                Output::Send { to, bytes } => {
                    let meant = |to: To, other: u32| match to {
                        To::All | To::Ring => other != id,
                        To::Node(node) => node.0 == other,
                    };
                    for other in all.iter().filter(|other| meant(to, **other)) {
                        let _ = ours.socket.send_to(&bytes, format!("10.77.0.{other}:5405"));
                    }
                }
                Output::Persist { id, .. } => ours.totem.handle(now, Input::Persisted(id)),
                Output::Deliver(delivery) => ours.take(now, &delivery),
                Output::Configuration(configuration) => ours.configure(now, &configuration),
                Output::Log { level, text } if level < Level::Debug => ours.logs.push(text),
                Output::Log { .. } | Output::Level(_) | Output::Exit(_) => {}
            }
        }
    }

    /// Runs until `reached`, or fails with all that is known.
    fn until(&mut self, seconds: u64, what: &str, mut reached: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(seconds);
        while !reached(self) {
            if Instant::now() > end {
                panic!("{what}: not within {seconds} s\n{}", self.describe());
            }
            self.turn();
        }
    }

    fn describe(&self) -> String {
        let mut text = String::new();
        for (id, ours) in &self.ours {
            let state = ours.totem.state();
            writeln!(text, "ours {id}: {state} {:?}\n{:#?}", ours.members, ours.logs).unwrap();
        }
        for id in self.reals.keys() {
            let log = Self::log(*id);
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(60)..];
            writeln!(text, "real {id}:\n{}", tail.join("\n")).unwrap();
        }
        text
    }

    fn stand(&self, members: &[u32]) -> bool {
        let set: BTreeSet<Node> = members.iter().map(|id| Node(*id)).collect();
        self.ours.values().all(|ours| {
            ours.totem.members() == Some(&set) && ours.sync.is_none() && ours.members == set
        })
    }

    /// All our nodes stand in this ring, and each real one says so too.
    fn form(&mut self, members: &[u32]) {
        self.until(40, &format!("a ring of {members:?}"), |mixed| mixed.stand(members));
        let ids: Vec<String> = members.iter().map(u32::to_string).collect();
        let line = format!("Members[{}]: {}", members.len(), ids.join(" "));
        let ready = "Completed service synchronization";
        self.until(20, &format!("the real nodes say {line}"), |mixed| {
            let running = mixed.reals.iter().filter(|(_, child)| child.is_some());
            running.into_iter().all(|(id, _)| {
                let log = Self::log(*id);
                let at = log.rfind("A new membership").unwrap_or(0);
                log[at..].contains(&line) && log[at..].contains(ready)
            })
        });
    }

    /// A message that no service of the reference knows, and hence ignores.
    fn submit(&mut self, id: u32, safe: bool, number: u32, len: usize) -> Result<(), SubmitError> {
        let mut bytes = vec![0x5a; 20 + len];
        bytes[..4].copy_from_slice(&(30_u32 << 16).to_le_bytes());
        bytes[8..12].copy_from_slice(&u32::try_from(20 + len).unwrap().to_le_bytes());
        bytes[16..20].copy_from_slice(&number.to_le_bytes());
        let now = self.now();
        let place = (Group::Services, Class::Ordinary, safe);
        let result = self.ours.get_mut(&id).unwrap().totem.submit(now, place, bytes.into());
        self.drain(id);
        result
    }
}

impl Drop for Mixed {
    fn drop(&mut self) {
        for child in self.reals.values_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Ours {
    fn configure(&mut self, now: Now, configuration: &Configuration) {
        if configuration.kind == ConfigurationKind::Transitional {
            return;
        }
        self.members = configuration.members.clone();
        self.sync = Some(Sync {
            ring: configuration.ring,
            members: configuration.members.clone(),
            told: BTreeSet::new(),
            services: BTreeSet::new(),
            passed: BTreeSet::new(),
            done: 0,
        });
        self.send_sync(now, sync_message(SERVICE_BUILD, configuration.ring, 552));
    }

    fn send_sync(&mut self, now: Now, bytes: Bytes) {
        self.totem.submit(now, (Group::Sync, Class::Sync, false), bytes).unwrap();
    }

    fn take(&mut self, now: Now, delivery: &Delivery) {
        let bytes = &delivery.bytes;
        if delivery.group == Group::Services {
            if word(bytes, 0) == 30 << 16 {
                self.messages.push((delivery.from, bytes.clone()));
            }
            return;
        }
        let Some(sync) = &mut self.sync else { return };
        let ring = (word(bytes, 16), word(bytes, 20));
        if ring != (sync.ring.rep.0, u32::try_from(sync.ring.seq).unwrap()) {
            return;
        }
        let mut barrier = false;
        if word(bytes, 0) == SERVICE_BUILD {
            let count = word(bytes, 32) as usize;
            sync.services.extend((0..count).map(|i| word(bytes, 40 + 4 * i)));
            sync.told.insert(delivery.from);
            barrier = sync.told == sync.members;
        } else if word(bytes, 0) == BARRIER {
            sync.passed.insert(delivery.from);
            if sync.passed == sync.members {
                sync.passed.clear();
                sync.done += 1;
                barrier = true;
            }
        }
        if !barrier {
            return;
        }
        if sync.done < sync.services.len() {
            let message = sync_message(BARRIER, sync.ring, 32);
            return self.send_sync(now, message);
        }
        self.sync = None;
        self.totem.handle(now, Input::SyncDone);
    }
}

fn configuration(all: &BTreeSet<u32>) -> String {
    let mut text = format!(
        "totem {{\n version: 2\n cluster_name: wire\n transport: udpu\n token: {TOKEN_MS}\n \
         token_coefficient: 0\n}}\n\
         quorum {{\n provider: corosync_votequorum\n}}\n\
         logging {{\n to_stderr: yes\n to_syslog: no\n debug: on\n}}\nnodelist {{\n"
    );
    for id in all {
        writeln!(text, " node {{\n  ring0_addr: 10.77.0.{id}\n  nodeid: {id}\n }}").unwrap();
    }
    text + "}\n"
}

#[test]
fn one_real_node_and_one_of_ours() {
    isolated("one_real_node_and_one_of_ours", || {
        let mut mixed = Mixed::new(&[1], &[2]);
        mixed.boot_real(1);
        mixed.form(&[1, 2]);
        let quorum = mixed.tool(1, "corosync-quorumtool -s");
        assert!(quorum.contains("Nodes:            2"), "{quorum}");
        // Left in good order, the real node goes on at once and without blame.
        let now = mixed.now();
        mixed.ours.get_mut(&2).unwrap().totem.handle(now, Input::Leave);
        mixed.drain(2);
        mixed.until(5, "the real node goes on", |_| Mixed::log(1).contains("Members left: 2"));
        assert!(!Mixed::log(1).contains("Failed to receive the leave message"));
    });
}

#[test]
fn ours_represents_and_the_real_node_is_killed_and_returns() {
    isolated("ours_represents_and_the_real_node_is_killed_and_returns", || {
        let mut mixed = Mixed::new(&[2], &[1]);
        mixed.form(&[1]);
        mixed.boot_real(2);
        mixed.form(&[1, 2]);
        mixed.kill_real(2);
        mixed.form(&[1]);
        mixed.boot_real(2);
        mixed.form(&[1, 2]);
    });
}

#[test]
fn two_real_nodes_and_one_of_ours() {
    isolated("two_real_nodes_and_one_of_ours", || {
        let mut mixed = Mixed::new(&[1, 3], &[2]);
        mixed.boot_real(1);
        mixed.boot_real(3);
        mixed.form(&[1, 2, 3]);
        mixed.kill_real(1);
        mixed.form(&[2, 3]);
        mixed.boot_real(1);
        mixed.form(&[1, 2, 3]);
    });
}

/// Messages of all sizes through a ring with a real node in it, which is killed
/// in the middle and comes back.
#[test]
fn messages_of_two_of_ours_through_a_real_node() {
    isolated("messages_of_two_of_ours_through_a_real_node", || {
        let mut mixed = Mixed::new(&[2], &[1, 3]);
        mixed.boot_real(2);
        mixed.form(&[1, 2, 3]);
        let sizes = [1, 64, 700, 1_365, 1_366, 5_000, 60_000, 900_000];
        let mut number = 0;
        for round in 0..200 {
            for id in [1, 3] {
                for size in sizes.iter().filter(|size| **size < 50_000 || round % 40 == 0) {
                    number += 1;
                    while mixed.submit(id, number % 5 == 0, number, *size).is_err() {
                        mixed.turn();
                    }
                }
            }
            mixed.turn();
            match round {
                80 => mixed.kill_real(2),
                120 => mixed.form(&[1, 3]),
                121 => mixed.boot_real(2),
                160 => mixed.form(&[1, 2, 3]),
                _ => {}
            }
        }
        let sent = number as usize;
        mixed.until(60, "all is delivered", |mixed| {
            mixed.ours.values().all(|ours| ours.messages.len() == sent)
        });
        assert_eq!(mixed.ours[&1].messages, mixed.ours[&3].messages);
        assert!(mixed.stand(&[1, 2, 3]), "{}", mixed.describe());
        let log = Mixed::log(2);
        for complaint in ["too short", "Ignoring", "FAILED TO RECEIVE", "expected length"] {
            assert!(!log.contains(complaint), "{complaint}: {log}");
        }
    });
}
