//! The command line.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use host::log::{SinkConfig, Target};
use lexopt::{Arg, Error, Parser, ValueExt};
use sansio::edge::Level;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Usage: miniatured ring --node N --peers N=ADDRESS:PORT,... --state-dir DIR --service NAME
       miniatured keeper --node N --nodes N,N,... --service NAME --rsc NAME
                         --agent PATH --fence-agent PATH

The two daemons of the cluster in miniature: a membership service, and one that
keeps a resource running on one node.

Both take:
  --log KIND=VALUE       stderr=LEVEL, file=PATH, syslog=SOCKET or journal=SOCKET;
                         may be given several times, instead of stderr=notice
  --log-level LEVEL      of the logs other than stderr that follow (info)
  --observe FILE         append observations for the checkers to FILE
  --record DIR           keep a flight recording in DIR
  --segment-bytes BYTES  size of a segment of the recording
  --segments COUNT       segments that are kept
  --pid-file FILE        write the process id and hold a lock
";

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Ring(RingArguments),
    Keeper(KeeperArguments),
}

/// What both daemons are told.
#[derive(Debug, Default)]
pub(crate) struct Common {
    pub(crate) node: u32,
    pub(crate) service: String,
    pub(crate) logs: Vec<SinkConfig>,
    pub(crate) observations: Option<PathBuf>,
    pub(crate) record: Option<PathBuf>,
    pub(crate) segment_bytes: Option<usize>,
    pub(crate) segments: Option<usize>,
    pub(crate) pid_file: Option<PathBuf>,
}

/// What the membership daemon is told.
#[derive(Debug)]
pub(crate) struct RingArguments {
    pub(crate) common: Common,
    pub(crate) peers: BTreeMap<u32, SocketAddr>,
    pub(crate) state_folder: PathBuf,
}

/// What the resource daemon is told.
#[derive(Debug)]
pub(crate) struct KeeperArguments {
    pub(crate) common: Common,
    pub(crate) nodes: BTreeSet<u32>,
    pub(crate) rsc: String,
    pub(crate) agent: String,
    pub(crate) fence_agent: String,
}

/// Everything that may be given, before it is known what is missing.
#[derive(Default)]
struct Given {
    common: Common,
    node: Option<u32>,
    service: Option<String>,
    peers: BTreeMap<u32, SocketAddr>,
    nodes: BTreeSet<u32>,
    state_folder: Option<PathBuf>,
    rsc: Option<String>,
    agent: Option<String>,
    fence_agent: Option<String>,
    log_level: Option<Level>,
}

/// Reads the command line, the program's name first.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Error> {
    let mut parser = Parser::from_iter(arguments);
    let daemon = match parser.next()? {
        Some(Arg::Value(daemon)) => daemon.string()?,
        Some(Arg::Long("help") | Arg::Short('h')) => return Ok(Command::Help),
        Some(other) => return Err(other.unexpected()),
        None => return Err("say which daemon: ring or keeper".into()),
    };
    let mut given = Given::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            Arg::Long(name) => {
                let name = name.to_string();
                given.take(&name, parser.value()?)?;
            }
            other => return Err(other.unexpected()),
        }
    }
    match daemon.as_str() {
        "ring" => given.ring().map(Command::Ring),
        "keeper" => given.keeper().map(Command::Keeper),
        other => Err(format!("there is no daemon \"{other}\": ring or keeper").into()),
    }
}

impl Given {
    fn take(&mut self, name: &str, value: OsString) -> Result<(), Error> {
        let common = &mut self.common;
        match name {
            "node" => self.node = Some(value.parse()?),
            "peers" => self.peers = value.parse_with(peers)?,
            "nodes" => self.nodes = value.parse_with(nodes)?,
            "state-dir" => self.state_folder = Some(value.into()),
            "service" => self.service = Some(value.string()?),
            "rsc" => self.rsc = Some(value.string()?),
            "agent" => self.agent = Some(value.string()?),
            "fence-agent" => self.fence_agent = Some(value.string()?),
            "log-level" => self.log_level = Some(value.parse_with(level)?),
            "log" => {
                let level = self.log_level.unwrap_or(Level::Info);
                common.logs.push(value.parse_with(|text| sink(text, level))?);
            }
            "observe" => common.observations = Some(value.into()),
            "record" => common.record = Some(value.into()),
            "segment-bytes" => common.segment_bytes = Some(value.parse()?),
            "segments" => common.segments = Some(value.parse()?),
            "pid-file" => common.pid_file = Some(value.into()),
            other => return Err(format!("there is no option --{other}").into()),
        }
        Ok(())
    }

    fn common(&mut self) -> Result<Common, Error> {
        let mut common = std::mem::take(&mut self.common);
        common.node = needed(self.node, "--node")?;
        common.service = needed(self.service.take(), "--service")?;
        Ok(common)
    }

    fn ring(mut self) -> Result<RingArguments, Error> {
        let peers = Some(std::mem::take(&mut self.peers)).filter(|peers| !peers.is_empty());
        Ok(RingArguments {
            common: self.common()?,
            peers: needed(peers, "--peers")?,
            state_folder: needed(self.state_folder, "--state-dir")?,
        })
    }

    fn keeper(mut self) -> Result<KeeperArguments, Error> {
        let nodes = Some(std::mem::take(&mut self.nodes)).filter(|nodes| !nodes.is_empty());
        Ok(KeeperArguments {
            common: self.common()?,
            nodes: needed(nodes, "--nodes")?,
            rsc: needed(self.rsc, "--rsc")?,
            agent: needed(self.agent, "--agent")?,
            fence_agent: needed(self.fence_agent, "--fence-agent")?,
        })
    }
}

fn needed<T>(value: Option<T>, option: &str) -> Result<T, Error> {
    value.ok_or_else(|| format!("{option} is missing").into())
}

fn peers(text: &str) -> Result<BTreeMap<u32, SocketAddr>, String> {
    let peer = |part: &str| {
        let (node, address) = part.split_once('=')?;
        Some((node.parse().ok()?, address.parse().ok()?))
    };
    let wrong = |part: &str| format!("\"{part}\" is not NODE=ADDRESS:PORT");
    text.split(',').map(|part| peer(part).ok_or_else(|| wrong(part))).collect()
}

/// Numbers, or the list given to `--peers`, whose addresses a keeper ignores.
fn nodes(text: &str) -> Result<BTreeSet<u32>, String> {
    let number = |part: &str| part.split('=').next()?.parse().ok();
    let wrong = |part: &str| format!("\"{part}\" is not a node's number");
    text.split(',').map(|part| number(part).ok_or_else(|| wrong(part))).collect()
}

fn sink(text: &str, default: Level) -> Result<SinkConfig, String> {
    let (kind, value) = text.split_once('=').unwrap_or((text, ""));
    let path = || match value {
        "" => Err(format!("--log {kind}= wants a path")),
        value => Ok(PathBuf::from(value)),
    };
    let (target, level) = match kind {
        "stderr" => (Target::Stderr, if value.is_empty() { default } else { level(value)? }),
        "file" => (Target::File { path: path()?, mode: 0o640 }, default),
        "syslog" => (Target::Syslog { socket: path()?, facility: 3 }, default),
        "journal" => (Target::Journal { socket: path()? }, default),
        other => return Err(format!("there is no log \"{other}\"")),
    };
    Ok(SinkConfig { name: kind.to_string(), target, level: Some(level) })
}

fn level(text: &str) -> Result<Level, String> {
    Ok(match text {
        "error" => Level::Error,
        "warning" => Level::Warning,
        "notice" => Level::Notice,
        "info" => Level::Info,
        "debug" => Level::Debug,
        "trace" => Level::Trace,
        other => return Err(format!("there is no log level \"{other}\"")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        let words = std::iter::once("miniatured").chain(line.split(' ')).map(OsString::from);
        parse(words).map_err(|error| error.to_string())
    }

    #[test]
    fn a_ring() {
        let line = "ring --node 2 --peers 1=127.0.0.1:7001,2=[::1]:7002 --state-dir /d --service s \
                    --log-level debug --log file=/l --log stderr=error --segment-bytes 4096";
        let Ok(Command::Ring(ring)) = parsed(line) else { panic!("no ring") };
        assert_eq!((ring.common.node, ring.peers.len()), (2, 2));
        assert_eq!(ring.common.logs[0].level, Some(Level::Debug));
        assert_eq!(ring.common.logs[1].level, Some(Level::Error));
        assert_eq!(ring.common.segment_bytes, Some(4096));
    }

    #[test]
    fn a_keeper() {
        let line = "keeper --node 1 --nodes 1,2 --service s --rsc vip --agent /a --fence-agent /f";
        let Ok(Command::Keeper(keeper)) = parsed(line) else { panic!("no keeper") };
        assert_eq!(keeper.nodes, [1, 2].into());
    }

    #[test]
    fn mistakes_are_named() {
        let why = |line| parsed(line).unwrap_err();
        assert_eq!(why("ring --node 1"), "--service is missing");
        assert_eq!(why("ring --node 1 --service s"), "--peers is missing");
        assert!(why("ring --peers 1:2").contains("NODE=ADDRESS:PORT"));
        assert!(why("ring --nod 1").contains("--nod"));
        assert!(why("king").contains("king"));
        assert!(why("ring --log file=").contains("wants a path"));
        assert!(why("ring --node x").contains('x'));
    }
}
