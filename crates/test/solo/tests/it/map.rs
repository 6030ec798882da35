//! The service against Debian's `corosync-cmapctl`, beside Debian's daemon.
//!
//! Needs root (namespaces) and Debian's package `corosync`.

use std::path::PathBuf;
use std::process::{Command, Output};

use cmap::service::{self, Service};
use cmap::stats::NoStats;
use cmap::{Store, Value, access};
use qb_ipc::{Event, Server, ServerConfig, allow_all};

/// What a user does with a map; everything printed is compared.
const SCRIPT: &str = r#"
exec 2>&1
c=corosync-cmapctl
printf 'a\001b' >$D/bin
for v in 'i8 -5' 'u8 250' 'i16 -300' 'u16 65000' 'i32 -70000' 'u32 4000000000' \
         'i64 -5000000000' 'u64 18446744073709551615' 'flt 1.5' 'dbl -0.125' 'str text'; do
    set -- $v; $c -s test.$1 $1 $2; echo "set $1: $?"
done
$c -s test.bin bin $D/bin; echo $?
$c -s test.words str 'several words: and more'
$c test.; $c -b test.bin
for k in i8 u8 i16 u16 i32 u32 i64 u64 flt dbl str bin none; do $c -g test.$k; echo $?; done
$c -q -g test.str
$c -s 'bad key' u8 1; echo $?
$c -s system.priority str max; echo $?
$c -s totem.version u32 3; echo $?
$c -d nodelist.node.0.nodeid; echo $?
$c -d test.u8 test.none; echo $?
$c -D test.i; echo $?
$c test.
$c -C all; echo $?
mkfifo $D/in
stdbuf -oL $c -t test.str -T test.t <$D/in >$D/out & tracker=$!
exec 3>$D/in
until grep -q finish $D/out; do sleep 0.02; done
$c -s test.str str other
$c -s test.str str other
$c -s test.t.new u32 1
$c -s test.t.new u64 1
$c -s test.unseen u8 1
$c -d test.t.new
$c -d test.str
until grep -q 'delete> test.str' $D/out; do sleep 0.02; done
echo q >&3
wait $tracker; echo $?
cat $D/out
"#;

const CONF: &str = "totem {\n version: 2\n transport: udpu\n}\n\
    nodelist {\n node {\n  nodeid: 1\n  name: one\n  ring0_addr: 127.0.0.1\n }\n}\n";

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cmap-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    fn script(&self) -> String {
        format!("D={}\n{SCRIPT}", self.0.display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What remains in the temporary folder harms no other test.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn debians_client_sees_no_difference() {
    let theirs = printed(&of_reference());
    let ours = std::thread::spawn(of_ours).join().expect("our service");
    let ours = printed(&ours);
    assert!(theirs.contains("modify> test.str (str) = other"), "the reference says\n{theirs}");
    assert!(theirs.contains("test.u32 (u32) = 4000000000"), "the reference says\n{theirs}");
    for (number, (their, our)) in theirs.lines().zip(ours.lines()).enumerate() {
        assert_eq!(our, their, "line {number} of ours\n{ours}\nof theirs\n{theirs}");
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn of_reference() -> Output {
    let folder = Folder::new("reference");
    let conf = folder.0.join("corosync.conf");
    std::fs::write(&conf, CONF).expect("a file for the test");
    let script = format!(
        "set -e; ip link set lo up; for d in /run /dev/shm /var/lib/corosync; do mount -t tmpfs none $d; done; set +e\n\
         timeout 60 corosync -f -c {} >/dev/null 2>&1 & daemon=$!\n\
         while kill -0 $daemon && ! corosync-cmapctl >/dev/null 2>&1; do sleep 0.05; done\n\
         ( {} )\nkill $daemon; wait $daemon",
        conf.display(),
        folder.script()
    );
    Command::new("unshare")
        .args(["--net", "--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["sh", "-c", &script])
        .output()
        .expect("unshare (package util-linux); and root and the package corosync")
}

/// Runs on a thread of its own, whose network namespace it leaves.
fn of_ours() -> Output {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("root, for a namespace");
    let folder = Folder::new("ours");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let config = ServerConfig::new(service::NAME);
        let mut server = Server::listen(config, allow_all()).expect("a socket");
        let (mut service, mut store) = (Service::new(), store());
        let mut client = tokio::process::Command::new("sh");
        let client = client.args(["-c", &folder.script()]).output();
        tokio::pin!(client);
        loop {
            tokio::select! {
                output = &mut client => return output.expect("sh"),
                event = server.next_event() => {
                    handle(event, &mut server, &mut service, &mut store);
                }
            }
        }
    })
}

fn store() -> Store {
    let mut store = Store::new();
    access::protect(&mut store).expect("an empty store");
    for (key, value) in [
        ("totem.version", Value::U32(2)),
        ("nodelist.node.0.nodeid", Value::U32(1)),
        ("runtime.force_gather", Value::text("no")),
    ] {
        store.set(key, value).expect("a valid key");
    }
    store
}

fn handle(event: Event, server: &mut Server, service: &mut Service, store: &mut Store) {
    match event {
        Event::Accepted { conn, .. } => service.accepted(conn),
        Event::Closed { conn, .. } => service.closed(conn, store),
        Event::Request { conn, frame } => {
            for output in service.request(conn, &frame, store, &NoStats) {
                if let service::Output::Send { conn, frame } = output {
                    server.send_frame(conn, &frame).expect("room for a frame");
                }
            }
        }
        Event::Blocked(_) | Event::Writable(_) => {}
    }
}
