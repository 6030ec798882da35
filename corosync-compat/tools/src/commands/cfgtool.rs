//! `corosync-cfgtool`: links and nodes, reload, logs, shutdown.

use std::cell::RefCell;
use std::time::Duration;

use corosync_client::{Cfg, Cmap, CsError, MAX_LINKS, NodeStatus, Shutdown};

use crate::getopt::{Found, Options, Spec, Takes};
use crate::numbers::whole;
use crate::output::{Exit, flush, print, say};

/// The letter of `--force`, which has none that a user could type.
const FORCE: char = '\u{1}';

const SPEC: Spec = Spec {
    letters: "i:snbrRLk:a:hH",
    long: &[
        ("if", Takes::Argument, 'i'),
        ("status", Takes::Nothing, 's'),
        ("nodes", Takes::Nothing, 'n'),
        ("brief", Takes::Nothing, 'b'),
        ("reload", Takes::Nothing, 'R'),
        ("reopen", Takes::Nothing, 'L'),
        ("kill", Takes::Argument, 'k'),
        ("address", Takes::Argument, 'a'),
        ("shutdown", Takes::Nothing, 'H'),
        ("force", Takes::Nothing, FORCE),
    ],
};

const HELP: &str = "\
Usage: corosync-cfgtool [-b] -s | -n | -R | -L | -k NODEID | -a NODEID | -H [--force] | -h

Shows how this node is connected, and steers the running daemon.

  -s, --status          links of this node; with -b (--brief) one digit per node
  -n, --nodes           nodes that are connected, with their links
  -i, --if=LINK         accepted with -s and without effect
  -R, --reload          every node of the cluster reads its corosync.conf again
  -L, --reopen          the daemon opens its log files again
  -k, --kill=NODEID     the node leaves the cluster and its daemon ends
  -a, --address=NODEID  addresses of a node
  -H, --shutdown        the daemon ends, unless a client objects
      --force           with -H: whatever the clients say
  -h                    this text
";

/// A shutdown that is refused because the cluster is forming is asked for again
/// so often, a second apart.
const SHUTDOWN_TRIES: u32 = 30;

#[derive(Clone, Copy)]
enum Action {
    Help,
    Links,
    Nodes,
    Reload,
    Reopen,
    Kill(u32),
    Addresses(u32),
    Shutdown,
}

struct Wish {
    action: Action,
    brief: bool,
    force: bool,
}

/// Runs the command.
pub fn main(arguments: Vec<Vec<u8>>) -> Exit {
    match parse(arguments).and_then(|wish| run(&wish)) {
        Ok(()) => Exit::Success,
        Err(exit) => exit,
    }
}

fn parse(arguments: Vec<Vec<u8>>) -> Result<Wish, Exit> {
    let mut wish = Wish { action: Action::Help, brief: false, force: false };
    let mut options = Options::new(&SPEC, arguments);
    while let Some(found) = options.next() {
        let Found::Option(letter, value) = found else { return Err(Exit::Failure) };
        match letter {
            's' => wish.action = Action::Links,
            'n' => wish.action = Action::Nodes,
            'R' => wish.action = Action::Reload,
            'L' => wish.action = Action::Reopen,
            'H' => wish.action = Action::Shutdown,
            'k' => wish.action = Action::Kill(parse_node(&value)?),
            'a' => wish.action = Action::Addresses(parse_node(&value)?),
            'b' => wish.brief = true,
            FORCE => wish.force = true,
            // `-h` is what happens without an action, `-i` and `-r` do nothing.
            _ => {}
        }
    }
    Ok(wish)
}

fn parse_node(text: &[u8]) -> Result<u32, Exit> {
    let node = whole(text, 1, u32::MAX.into()).and_then(|node| u32::try_from(node).ok());
    node.ok_or_else(|| fail("The nodeid was not valid, try a positive number\n"))
}

fn run(wish: &Wish) -> Result<(), Exit> {
    match wish.action {
        Action::Help => print(HELP),
        Action::Links => print_links(&Nodes::gather()?, wish.brief),
        Action::Nodes => print_nodes(&Nodes::gather()?),
        Action::Reload => reload()?,
        Action::Reopen => reopen()?,
        Action::Kill(node) => kill(node)?,
        Action::Addresses(node) => print_addresses(node)?,
        Action::Shutdown => shutdown(wish.force)?,
    }
    Ok(())
}

fn fail(text: impl AsRef<[u8]>) -> Exit {
    say(text);
    Exit::Failure
}

fn open_cfg() -> Result<Cfg, Exit> {
    Cfg::open().map_err(|e| {
        fail(format!("Could not initialize corosync configuration API error {}\n", e.code()))
    })
}

/// As [`open_cfg`], where the reference prints the error's name.
fn open_cfg_named() -> Result<Cfg, Exit> {
    Cfg::open()
        .map_err(|e| fail(format!("Could not initialize corosync configuration API error {e}\n")))
}

/// The configured nodes, and how to ask for their state.
struct Nodes {
    cfg: RefCell<Cfg>,
    local: u32,
    /// By id.
    nodes: Vec<u32>,
    is_knet: bool,
    /// What is printed behind a link's number.
    link_transports: [Vec<u8>; MAX_LINKS],
}

impl Nodes {
    fn gather() -> Result<Self, Exit> {
        let mut cfg = open_cfg()?;
        let mut cmap = Cmap::open().map_err(|e| {
            fail(format!("Could not initialize corosync cmap API error {}\n", e.code()))
        })?;
        let transport = cmap.get_text(b"totem.transport").unwrap_or_else(|_| b"knet".to_vec());
        let is_knet = transport != b"udp" && transport != b"udpu";
        let local = cfg.local_node().map_err(|e| {
            fail(format!("Could not get the local node id, the error is: {}\n", e.code()))
        })?;
        let nodes = configured_nodes(&mut cmap)?;
        let link_transports = link_transports(&mut cmap, is_knet);
        print(format!("Local node ID {local}, transport "));
        print(transport);
        print("\n");
        Ok(Self { cfg: RefCell::new(cfg), local, nodes, is_knet, link_transports })
    }
}

fn configured_nodes(cmap: &mut Cmap) -> Result<Vec<u32>, Exit> {
    let entries = cmap
        .keys(b"nodelist.node.")
        .map_err(|e| fail(format!("Could not get nodelist from cmap. error {}\n", e.code())))?;
    let is_id = |key: &[u8]| super::node_key(key).is_some_and(|(_, rest)| rest == b"nodeid");
    let ids = entries.iter().filter(|entry| is_id(&entry.key));
    let mut nodes: Vec<u32> = ids.filter_map(|entry| cmap.get_u32(&entry.key).ok()).collect();
    if nodes.is_empty() {
        return Err(fail("No nodes found in nodelist\n"));
    }
    nodes.sort_unstable();
    Ok(nodes)
}

fn link_transports(cmap: &mut Cmap, is_knet: bool) -> [Vec<u8>; MAX_LINKS] {
    let usual: &[u8] = if is_knet { b"udp" } else { b"" };
    std::array::from_fn(|link| {
        let key = format!("totem.interface.{link}.knet_transport");
        cmap.get_text(key.as_bytes()).unwrap_or_else(|_| usual.to_vec())
    })
}

fn print_links(found: &Nodes, brief: bool) {
    let (statuses, failures) = statuses(found);
    for (node, error) in failures {
        say(format!(
            "Could not get the node status for nodeid {node}, the error is: {}\n",
            error.code()
        ));
    }
    let local_at = found.nodes.iter().position(|node| *node == found.local).unwrap_or(0);
    // The local node has no link to itself: what is in use shows another node.
    let other_at = found.nodes.iter().rposition(|node| *node != found.local).unwrap_or(0);
    for (number, link) in statuses[other_at].links.iter().enumerate() {
        if !link.enabled {
            continue;
        }
        print(format!("LINK ID {number} "));
        print(&found.link_transports[number]);
        print("\n\taddr\t= ");
        print(&link.source);
        print("\n\tstatus");
        if brief {
            print("\t= ");
            for (at, status) in statuses.iter().enumerate() {
                print([if at == local_at { b'n' } else { digit(status, number) }]);
            }
            print("\n");
        } else {
            print(":\n");
            for (at, status) in statuses.iter().enumerate() {
                print(format!("\t\tnodeid: {:>10}:\t", status.node));
                let connected = status.links.get(number).is_some_and(|link| link.connected);
                print(match (at == local_at, connected) {
                    (true, _) => "localhost\n",
                    (false, true) => "connected\n",
                    (false, false) => "disconnected\n",
                });
            }
        }
    }
}

/// Enabled counts one, connected two.
fn digit(status: &NodeStatus, link: usize) -> u8 {
    let link = status.links.get(link).cloned().unwrap_or_default();
    b'0' + u8::from(link.enabled) + 2 * u8::from(link.connected)
}

/// The state of each node as far as it can be had, and why not.
fn statuses(found: &Nodes) -> (Vec<NodeStatus>, Vec<(u32, CsError)>) {
    let mut failures = Vec::new();
    let mut cfg = found.cfg.borrow_mut();
    let mut status = |node: &u32| {
        cfg.node_status(*node).unwrap_or_else(|error| {
            failures.push((*node, error));
            NodeStatus::default()
        })
    };
    (found.nodes.iter().map(&mut status).collect(), failures)
}

fn print_nodes(found: &Nodes) {
    for node in &found.nodes {
        let Ok(status) = found.cfg.borrow_mut().node_status(*node) else { continue };
        if status.reachable && status.node != found.local {
            print_node(found, &status);
        }
    }
}

fn print_node(found: &Nodes, status: &NodeStatus) {
    print(format!("nodeid: {} reachable", status.node));
    print(if status.remote { " remote" } else { "" });
    print(if status.external { " external" } else { "" });
    print("\n");
    for (number, link) in status.links.iter().enumerate().filter(|(_, link)| link.enabled) {
        print(format!("   LINK: {number} "));
        print(&found.link_transports[number]);
        print(" (");
        print(&link.source);
        print(if found.is_knet { "->" } else { "" });
        print(&link.destination);
        print(") enabled");
        print(if link.connected { " connected" } else { "" });
        print(if link.dynconnected { " dynconnected" } else { "" });
        print(format!(" mtu: {}\n", link.mtu));
    }
    print("\n");
}

fn reload() -> Result<(), Exit> {
    print("Reloading corosync.conf...\n");
    let mut cfg = open_cfg_named()?;
    cfg.reload().map_err(|e| {
        say(format!("Could not reload configuration. Error {e}\n"));
        Exit::Service(e)
    })?;
    print("Done\n");
    Ok(())
}

fn reopen() -> Result<(), Exit> {
    let mut cfg = open_cfg_named()?;
    cfg.reopen_logs().map_err(|e| {
        say(format!("Could not reopen corosync logging files. Error {e}\n"));
        Exit::Service(e)
    })
}

fn kill(node: u32) -> Result<(), Exit> {
    print(format!("Killing node {node}\n"));
    let mut cfg = open_cfg()?;
    cfg.kill_node(node, "Killed by corosync-cfgtool")
        .map_err(|e| fail(format!("Could not kill node (error = {e})\n")))
}

fn print_addresses(node: u32) -> Result<(), Exit> {
    let mut cfg = open_cfg()?;
    // The reference prints the number with a sign.
    let shown = node.cast_signed();
    let addresses = super::addresses(&mut cfg, node)
        .map_err(|_| fail(format!("Could not get node address for nodeid {shown}\n")))?;
    print(addresses);
    print("\n");
    Ok(())
}

/// A refused shutdown is said and, as ever, no failure.
fn shutdown(force: bool) -> Result<(), Exit> {
    let mut cfg = open_cfg()?;
    print("Shutting down corosync\n");
    let how = if force { Shutdown::Regardless } else { Shutdown::Request };
    let mut result = cfg.try_shutdown(how);
    for _ in 1..SHUTDOWN_TRIES {
        if result != Err(CsError::TRY_AGAIN) {
            break;
        }
        // Who waits shall see for what.
        let _ = flush();
        std::thread::sleep(Duration::from_secs(1));
        result = cfg.try_shutdown(how);
    }
    if let Err(e) = result {
        say(format!("Could not shutdown (error = {})\n", e.code()));
    }
    Ok(())
}
