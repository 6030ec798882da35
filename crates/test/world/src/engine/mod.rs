//! The world: nodes, what is between them, and the events to come.
//!
//! One queue of events drives everything. An event is handled by the driver's
//! rules of [`sansio`]: deadlines that have passed first, then the input, all
//! outputs drained after each; outputs become later events. Randomness comes from
//! streams forked off one seed, one for each concern, so that another datagram
//! does not change the disks.

mod agents;
mod faults;
mod node;
mod observe;
mod output;
mod process;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ::observe::{Node, Observation, PowerCause};
use sansio::edge::{Conn, Input, Link};
use sansio::{JobId, NoJob, Rng};

use crate::local::{Locals, Pid};
use crate::network::{Network, address};
use crate::queue::{Queue, Scheduled};
use crate::stack::{Layout, Stack};
use crate::trace::{Keep, Trace};

pub use agents::AgentWeather;
pub use observe::Counters;
pub use process::ProcessWeather;

use node::NodeState;

/// Messages that wait in each direction of a healthy local connection.
const LOCAL_BOUND: usize = 256;

/// What a world is made from.
pub struct Config {
    /// Where all randomness comes from.
    pub seed: u64,
    /// How many nodes, numbered from 1.
    pub nodes: u32,
    /// The resource that the cluster keeps running.
    pub rsc: String,
    /// What it is made of, as observations name it.
    pub members: Vec<String>,
    /// How much of the trace is kept as text.
    pub keep: Keep,
    /// Whether every daemon's recording is replayed beside it.
    pub shadow: bool,
    /// How many messages wait in each direction of a local connection.
    pub local_bound: usize,
}

impl Config {
    /// `nodes` nodes with one resource `rsc`, nothing kept but the hash.
    pub fn new(seed: u64, nodes: u32, rsc: &str) -> Self {
        Self {
            seed,
            nodes,
            rsc: rsc.to_string(),
            members: vec![rsc.to_string()],
            keep: Keep::Hash,
            shadow: false,
            local_bound: LOCAL_BOUND,
        }
    }
}

/// A simulated cluster.
pub struct World {
    pub(crate) now: u64,
    /// The event being handled: the cause of what it schedules.
    current: u64,
    /// The event that caused it.
    cause: u64,
    queue: Queue<What>,
    stack: Box<dyn Stack>,
    layout: Layout,
    nodes: BTreeMap<Node, NodeState>,
    locals: Locals,
    shadow: bool,
    rng: Streams,
    trace: Trace,
    observations: Vec<Observation>,
    /// The network.
    pub network: Network,
    /// How agents and the power switch behave.
    pub agents: AgentWeather,
    /// How processes are scheduled and jobs run.
    pub processes: ProcessWeather,
    /// What has happened how often.
    pub counters: Counters,
    /// Stretches in which a node could not act.
    unable: Vec<checkers::Interval>,
}

/// One stream of randomness for each concern.
struct Streams {
    network: Rng,
    disk: Rng,
    local: Rng,
    agents: Rng,
    processes: Rng,
}

/// What can happen.
#[derive(Debug)]
enum What {
    /// A daemon's deadline may have come.
    Wake(Pid),
    /// A datagram arrives.
    Datagram { to: Node, link: Link, from: SocketAddr, bytes: Vec<u8> },
    /// A daemon's connection reaches its service, or nothing.
    Connect { pid: Pid, conn: Conn, service: String },
    /// The next message from this end of a local connection arrives.
    Transfer { local: u64, end: usize },
    /// A daemon learns something.
    Tell { pid: Pid, input: Input<NoJob> },
    /// A daemon's oldest write ends.
    DiskDone { pid: Pid },
    /// A job ends.
    JobEnd { pid: Pid, id: JobId },
    /// An agent ends its work.
    AgentDone { node: Node, key: u64 },
    /// An agent's time is over.
    AgentTimeout { node: Node, key: u64 },
    /// The power switch gets a request.
    Switch { target: Node, reboot: bool },
    /// A node gets its power back, unless it got it in another way.
    PowerOn { node: Node, boot: u64, cause: PowerCause },
    /// A daemon starts, if its node wants that still.
    StartDaemon { node: Node, slot: usize, boot: u64 },
    /// A daemon that was told to stop has had time enough.
    StopTimeout { pid: Pid },
}

impl World {
    /// A cluster whose nodes have power and run nothing yet.
    pub fn new(config: Config, stack: Box<dyn Stack>) -> Self {
        let mut seed = Rng::new(config.seed);
        let mut clocks = seed.fork(1);
        let slots = stack.daemons().len();
        let numbers = (1..=config.nodes).map(Node);
        let addresses = numbers.clone().map(|node| (node, vec![address(node, Link(0))])).collect();
        let nodes = numbers.map(|node| (node, NodeState::new(&mut clocks, slots))).collect();
        let rng = Streams {
            network: seed.fork(2),
            disk: seed.fork(3),
            local: seed.fork(4),
            agents: seed.fork(5),
            processes: seed.fork(6),
        };
        Self {
            now: 0,
            current: 0,
            cause: 0,
            queue: Queue::new(),
            stack,
            layout: Layout { addresses, rsc: config.rsc, members: config.members },
            nodes,
            locals: Locals::new(config.local_bound),
            shadow: config.shadow,
            rng,
            trace: Trace::new(config.keep),
            observations: Vec::new(),
            network: Network::default(),
            agents: AgentWeather::default(),
            processes: ProcessWeather::default(),
            counters: Counters::default(),
            unable: Vec::new(),
        }
    }

    /// Nanoseconds of virtual time.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Every node.
    pub fn nodes(&self) -> Vec<Node> {
        self.nodes.keys().copied().collect()
    }

    /// The stack that the nodes run.
    pub fn stack(&self) -> &dyn Stack {
        self.stack.as_ref()
    }

    /// What has been observed, in order of time.
    pub fn observations(&self) -> &[Observation] {
        &self.observations
    }

    /// The trace.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Lets time pass until `at`.
    pub fn run_until(&mut self, at: u64) {
        while self.queue.next_at().is_some_and(|next| next <= at) {
            self.step();
        }
        self.now = self.now.max(at);
    }

    /// Lets time pass until something is observed, at most until `at`.
    pub fn run_until_observed(&mut self, at: u64) {
        let before = self.observations.len();
        while self.observations.len() == before {
            if self.queue.next_at().is_none_or(|next| next > at) {
                self.now = self.now.max(at);
                return;
            }
            self.step();
        }
    }

    fn step(&mut self) {
        let Some(Scheduled { at, id, cause, what }) = self.queue.pop() else { return };
        self.now = at;
        (self.current, self.cause) = (id, cause);
        self.dispatch(what);
        (self.current, self.cause) = (0, 0);
    }

    fn dispatch(&mut self, what: What) {
        match what {
            What::Wake(pid) => self.wake(pid),
            What::Datagram { to, link, from, bytes } => {
                self.datagram(to, link, from, bytes);
            }
            What::Connect { pid, conn, service } => self.connect(pid, conn, service),
            What::Transfer { local, end } => self.transfer(local, end),
            What::Tell { pid, input } => self.tell(pid, input),
            What::DiskDone { pid } => self.disk_done(pid),
            What::JobEnd { pid, id } => self.job_end(pid, id),
            What::AgentDone { node, key } => self.agent_done(node, key),
            What::AgentTimeout { node, key } => self.agent_timeout(node, key),
            What::Switch { target, reboot } => self.switch(target, reboot),
            What::PowerOn { node, boot, cause } => self.power_back(node, boot, cause),
            What::StartDaemon { node, slot, boot } => self.start_daemon(node, slot, boot),
            What::StopTimeout { pid } => self.stop_timeout(pid),
        }
    }

    /// Schedules `what` after `delay` nanoseconds.
    fn after(&mut self, delay: u64, what: What) {
        self.queue.push(self.now + delay, self.current, what);
    }

    fn node(&mut self, node: Node) -> &mut NodeState {
        self.nodes.get_mut(&node).expect("nodes are numbered from 1 to the count asked for")
    }

    /// A line of the trace: time, place, what happened, and its cause.
    fn line(&mut self, place: impl std::fmt::Display, text: std::fmt::Arguments<'_>) {
        let (at, id, cause) = (self.now, self.current, self.cause);
        let (seconds, nanos) = (at / 1_000_000_000, at % 1_000_000_000);
        self.trace.line(format_args!("{seconds:>5}.{nanos:09} #{id} {place} {text} <-#{cause}"));
    }
}

#[cfg(test)]
mod tests;
