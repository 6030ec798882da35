//! The processes of the cluster in miniature: `miniatured ring` and
//! `miniatured keeper`. Arguments become a configuration, the driver does the rest.

mod arguments;

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;

use arguments::{Command, Common, KeeperArguments, RingArguments};
use host::{Config, Made, Service};
use miniature::keeper::{self, Keeper};
use miniature::ring::{self, Ring};
use observe::Node;

fn main() -> ExitCode {
    match arguments::parse(std::env::args_os()) {
        Ok(Command::Help) => {
            print!("{}", arguments::HELP);
            ExitCode::SUCCESS
        }
        Ok(Command::Ring(arguments)) => ring(arguments),
        Ok(Command::Keeper(arguments)) => keeper(arguments),
        Err(why) => usage(&why.to_string()),
    }
}

/// `EX_USAGE` of sysexits.h.
const EXIT_USAGE: u8 = 64;

fn usage(why: &str) -> ExitCode {
    eprintln!("miniatured: {why} (see miniatured --help)");
    ExitCode::from(EXIT_USAGE)
}

fn ring(arguments: RingArguments) -> ExitCode {
    let RingArguments { common, peers, state_folder } = arguments;
    let Some(address) = peers.get(&common.node) else {
        return usage(&format!("node {} is not one of the peers", common.node));
    };
    let socket = match UdpSocket::bind(address) {
        Ok(socket) => socket,
        Err(error) => {
            eprintln!("miniatured: cannot bind {address}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut config = process("mini-ring", &common);
    config.links = vec![socket];
    config.state_folder = Some(state_folder.clone());
    config.services.push(Service {
        config: qb_ipc::ServerConfig::new(common.service.clone()),
        rule: qb_ipc::corosync_rule(qb_ipc::UidGidTable::default()),
        waits_for_ready: false,
    });
    let nodes: BTreeMap<Node, SocketAddr> =
        peers.iter().map(|(node, address)| (Node(*node), *address)).collect();
    host::run(config, move |now, _| {
        let stored = stored(&state_folder.join(ring::FILE))?;
        // Later lives have later start times: a clock that was set back costs a
        // life its messages, not the cluster its safety.
        let epoch = u64::try_from(now.wall.0).unwrap_or(0);
        let config = ring::Config { node: Node(common.node), epoch, nodes, stored };
        Ok(Made { setup: config.encode(), core: Ring::new(now, config) })
    })
}

/// The content of a state file; a missing one is a node's first start.
fn stored(path: &std::path::Path) -> Result<Option<Vec<u8>>, String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

fn keeper(arguments: KeeperArguments) -> ExitCode {
    let KeeperArguments { common, nodes, rsc, agent, fence_agent } = arguments;
    let config = process("mini-keeper", &common);
    host::run(config, move |now, _| {
        let config = keeper::Config {
            node: Node(common.node),
            all: nodes.into_iter().map(Node).collect(),
            service: common.service,
            rsc,
            agent,
            fence_agent,
        };
        Ok(Made { setup: config.encode(), core: Keeper::new(now, config) })
    })
}

fn process(daemon: &str, common: &Common) -> Config {
    let mut config = Config::new(daemon);
    config.node = common.node;
    if !common.logs.is_empty() {
        config.logs.clone_from(&common.logs);
    }
    config.observations.clone_from(&common.observations);
    config.pid_file.clone_from(&common.pid_file);
    config.recorder = common.record.clone().map(|folder| {
        let mut recorder = host::recorder::Config::in_folder(folder);
        recorder.segment_bytes = common.segment_bytes.unwrap_or(recorder.segment_bytes);
        recorder.segments = common.segments.unwrap_or(recorder.segments);
        recorder
    });
    config
}
