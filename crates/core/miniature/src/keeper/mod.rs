//! The resource daemon of the miniature.
//!
//! One keeper on each node; together they keep one resource active on exactly
//! one node of a quorate ring. The lowest member coordinates: once every member
//! has said how its resource stands, it has lost nodes fenced, and only then
//! places the resource. Whoever loses quorum stops its own.
//!
//! Requirements (docs/spec/miniature.md): MIN-5 to MIN-8.

mod agent;
mod board;
mod message;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::time::Duration;

use observe::{Event, Node, RingId};
use sansio::edge::{self, Channel, Child, ChildEvent, Conn, Frame, Input, Level, Output, Spawn};
use sansio::{Core, Inspect, JobId, JobSlot, Mono, Now, Outbox, TimerId, TimerTable};

pub use agent::Agent;
pub use board::{Board, Decision, Plan};

use crate::ipc::{
    DELIVER, DeliverEvent, FROM_START, GATHERING, MCAST, TRACK, VIEW, ViewEvent, encode_mcast,
};
use agent::Task;
use message::Message;
pub use message::Status;

/// How long a keeper goes on without a quorate ring before it stops its resource.
pub const GRACE: Duration = Duration::from_millis(1500);
/// How long an agent may take, the fence agent included.
pub const AGENT_TIMEOUT: Duration = Duration::from_secs(5);
const RECONNECT: Duration = Duration::from_millis(200);
const RETRY: Duration = Duration::from_millis(500);
const FAREWELL: Duration = Duration::from_secs(2);

/// Messages that wait for the ring's service to take them.
const UNSENT: usize = 64;
/// Worst case of one handler.
const OUTBOX: usize = 256;

sansio::timers! {
    /// The keeper's timers.
    pub enum Timer {
        /// Connect to the ring again.
        Reconnect => "keeper-reconnect",
        /// Without quorum for long enough.
        Grace => "keeper-grace",
        /// Decide, fence or send again.
        Retry => "keeper-retry",
        /// Nobody has confirmed that we leave.
        Farewell => "keeper-farewell",
    }
}

/// What a keeper is told at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node.
    pub node: Node,
    /// Every node of the cluster.
    pub all: BTreeSet<Node>,
    /// The ring's local service.
    pub service: String,
    /// The resource's name.
    pub rsc: String,
    /// Program called with `start`, `stop` or `monitor` and the resource's name;
    /// `monitor` exits 0 when active, 7 when not, as OCF agents do.
    pub agent: String,
    /// Fence agent: reads `action=reboot` and `port=n2` on standard input.
    pub fence_agent: String,
}

/// The resource daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeper {
    config: Config,
    /// The current or next connection to the ring.
    conn: Conn,
    connected: bool,
    blocked: bool,
    unsent: VecDeque<(RingId, Vec<u8>)>,
    board: Option<Board>,
    /// Nodes known to be down when the last ring ended.
    carried_down: BTreeSet<Node>,
    agent: Agent,
    children: u64,
    planning: JobSlot,
    /// Under way: which node is being fenced, for which ring.
    fencing: Option<(Child, Node, RingId)>,
    stopping: bool,
    timers: TimerTable<Timer>,
    last_timer: Option<Timer>,
    out: Outbox<Output<Plan>>,
}

impl Keeper {
    /// A keeper that has just come up, and first of all looks whether the
    /// resource is active here [MIN-8].
    pub fn new(now: Now, config: Config) -> Self {
        let mut keeper = Self {
            config,
            conn: Conn(1),
            connected: false,
            blocked: false,
            unsent: VecDeque::new(),
            board: None,
            carried_down: BTreeSet::new(),
            agent: Agent::default(),
            children: 0,
            planning: JobSlot::default(),
            fencing: None,
            stopping: false,
            timers: TimerTable::new(),
            last_timer: None,
            out: Outbox::with_bound(OUTBOX),
        };
        keeper.out.push(Output::Ready);
        keeper.timers.arm(Timer::Grace, now.mono + GRACE);
        keeper.connect();
        keeper.probe();
        keeper
    }

    fn log(&mut self, level: Level, text: String) {
        self.out.push(Output::Log { part: "keeper", level, text });
    }

    fn connect(&mut self) {
        let service = self.config.service.clone();
        self.out.push(Output::Connect { conn: self.conn, service });
    }

    fn request(&mut self, id: i32, body: Vec<u8>) {
        let frame = Frame { channel: Channel::Request, id, error: 0, body };
        self.out.push(Output::Frame { conn: self.conn, frame });
    }

    fn next_child(&mut self) -> Child {
        self.children += 1;
        Child(self.children)
    }

    /// Sends a message that was decided for the current ring.
    fn tell(&mut self, message: &Message) {
        let Some(board) = &self.board else { return };
        if self.unsent.len() >= UNSENT {
            self.unsent.pop_front();
        }
        self.unsent.push_back((board.ring, message.encode()));
        self.send_unsent();
    }

    fn send_unsent(&mut self) {
        while self.connected && !self.blocked {
            let Some((ring, bytes)) = self.unsent.pop_front() else { return };
            self.request(MCAST, encode_mcast(ring, &bytes));
        }
    }

    fn frame(&mut self, now: Mono, frame: &Frame) {
        let result = match (frame.channel, frame.id) {
            (Channel::Event, VIEW) => ViewEvent::decode(&frame.body).map(|v| self.view(now, v)),
            (Channel::Event, DELIVER) => {
                DeliverEvent::decode(&frame.body).map(|d| self.delivered(now, &d))
            }
            (Channel::Event, GATHERING) => {
                self.ring_ended(now);
                Ok(())
            }
            (Channel::Response, MCAST) if frame.error != 0 => {
                self.refused(now, frame.error);
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(why) = result {
            self.log(Level::Error, format!("message of the ring's service: {why}"));
        }
    }

    /// A message was not taken: what it said is said again, if still true.
    fn refused(&mut self, now: Mono, error: i32) {
        self.log(Level::Info, format!("The ring refused a message (error {error})"));
        self.timers.arm_if_idle(Timer::Retry, now + RETRY);
    }

    fn ring_ended(&mut self, now: Mono) {
        if let Some(board) = self.board.take() {
            self.carried_down = &board.known_down() - &BTreeSet::from([self.config.node]);
            self.timers.arm_if_idle(Timer::Grace, now + GRACE);
        }
        self.unsent.clear();
    }

    fn view(&mut self, now: Mono, view: ViewEvent) {
        self.ring_ended(now);
        let quorate = view.quorate;
        // Who is back is not down, whatever was known of an earlier life.
        let down = &self.carried_down - &view.members;
        self.carried_down.clone_from(&down);
        self.board = Some(Board::new(view, self.config.all.clone()));
        if quorate {
            self.timers.disarm(Timer::Grace);
        } else {
            self.timers.arm_if_idle(Timer::Grace, now + GRACE);
        }
        self.timers.disarm(Timer::Retry);
        let status = self.agent.status();
        self.tell(&Message::Hello { status, down });
        if self.stopping {
            self.leave_if_stopped(now);
        }
    }

    fn delivered(&mut self, now: Mono, event: &DeliverEvent) {
        let Some(board) = self.board.as_mut().filter(|board| board.ring == event.ring) else {
            return;
        };
        let message = match Message::decode(&event.bytes) {
            Ok(message) => message,
            Err(why) => {
                let text = format!("message of {}: {why}", event.sender);
                return self.log(Level::Error, text);
            }
        };
        let stands = board.apply(event.sender, &message);
        let state = Event::State {
            version: (board.ring.seq, u64::from(board.ring.rep.0), board.count),
            digest: board.digest(),
        };
        self.out.push(Output::Observe(state));
        if stands {
            self.act_on(now, event.sender, &message);
        }
        self.plan(now);
    }

    /// What a message asks of this node.
    fn act_on(&mut self, now: Mono, sender: Node, message: &Message) {
        let me = self.config.node;
        match message {
            Message::Place(node) if *node == me => self.start(now),
            Message::Clear(node) if *node == me => self.stop_resource("it is active elsewhere"),
            Message::Leaving if sender == me => self.exit(),
            Message::Hello { .. }
            | Message::Place(_)
            | Message::Clear(_)
            | Message::Report(_)
            | Message::Fenced(_)
            | Message::Leaving => {}
        }
    }

    fn is_coordinator(&self) -> bool {
        self.board.as_ref().and_then(Board::coordinator) == Some(self.config.node)
    }

    /// Asks for a decision, unless one is being made or is being carried out.
    fn plan(&mut self, now: Mono) {
        if !self.is_coordinator() || self.fencing.is_some() {
            return;
        }
        let Some(board) = self.board.clone() else { return };
        match self.planning.start(board.count) {
            Some(id) => self.out.push(Output::Job { id, job: Plan(board) }),
            None => self.timers.arm_if_idle(Timer::Retry, now + RETRY),
        }
    }

    fn planned(&mut self, now: Mono, id: JobId, decision: Decision) {
        let count = self.board.as_ref().map_or(0, |board| board.count);
        if !self.planning.finish(id, count) || !self.is_coordinator() {
            return self.plan(now);
        }
        match decision {
            Decision::Wait(why) => {
                self.log(Level::Debug, format!("Nothing to do: {why}"));
            }
            Decision::Fence(nodes) => {
                if let Some(node) = nodes.first() {
                    self.fence(*node);
                }
            }
            Decision::Place(node) => {
                self.log(Level::Notice, format!("Starting {} on {node}", self.config.rsc));
                self.tell(&Message::Place(node));
            }
            Decision::Clear(node) => self.tell(&Message::Clear(node)),
        }
    }

    fn fence(&mut self, node: Node) {
        let Some(board) = &self.board else { return };
        let (ring, child) = (board.ring, self.next_child());
        self.log(
            Level::Warning,
            format!("Fencing {node}: it is lost, or could not stop {}", self.config.rsc),
        );
        self.fencing = Some((child, node, ring));
        self.out.push(Output::Spawn(Spawn {
            child,
            program: self.config.fence_agent.clone(),
            args: Vec::new(),
            env: Vec::new(),
            stdin: format!("action=reboot\nport={node}\n").into_bytes(),
            timeout_ms: 5000,
            stdout_max: 0,
        }));
    }

    /// The fence agent has ended. Its success counts only in the ring for which
    /// it was asked: in another one the node may have been back in between.
    fn fenced(&mut self, now: Mono, event: &ChildEvent) {
        let Some((_, node, ring)) = self.fencing.take() else { return };
        let ok = matches!(event, ChildEvent::Exited { code: 0, .. })
            || sansio::mutant::active("MIN-5/weaken");
        let current = self.board.as_ref().is_some_and(|board| board.ring == ring);
        if !ok {
            let text = format!(
                "Fencing of {node} failed ({event:?}): nothing starts until it succeeds; \
                 check the power switch"
            );
            self.log(Level::Error, text);
        }
        if ok && current {
            self.tell(&Message::Fenced(node));
        }
        self.timers.arm_if_idle(Timer::Retry, now + RETRY);
    }

    /// [MIN-6] Without a quorate ring for long enough: others may be about to
    /// fence this node and start the resource.
    fn grace_over(&mut self, now: Mono) {
        if sansio::mutant::active("MIN-6/remove") {
            return;
        }
        if sansio::mutant::active("MIN-6/weaken") && self.board.is_some() {
            return; // only a node without any ring stops
        }
        self.stop_resource("there is no quorum");
        self.timers.arm(Timer::Grace, now + GRACE);
    }

    fn retry(&mut self, now: Mono) {
        if let Some(board) = &self.board {
            let known = board.status.get(&self.config.node).copied();
            let status = self.agent.status();
            if known.is_none() {
                let down = self.carried_down.clone();
                self.tell(&Message::Hello { status, down });
            } else if known != Some(status) && self.agent.is_idle() {
                self.tell(&Message::Report(status));
            }
        }
        if self.stopping {
            self.leave_if_stopped(now);
        }
        self.plan(now);
    }

    fn closed(&mut self, now: Mono, why: &str) {
        self.log(Level::Warning, format!("No connection to the ring ({why}): trying again"));
        self.connected = false;
        self.blocked = false;
        self.ring_ended(now);
        // What was known of other nodes was known to a ring that is gone.
        self.carried_down.clear();
        self.conn = Conn(self.conn.0 + 1);
        self.timers.arm(Timer::Reconnect, now + RECONNECT);
    }

    fn stop(&mut self, now: Mono) {
        self.stopping = true;
        self.stop_resource("the node leaves the cluster");
        self.leave_if_stopped(now);
    }

    fn leave_if_stopped(&mut self, now: Mono) {
        if self.agent.status() != Status::Stopped || !self.agent.is_idle() {
            return;
        }
        if self.board.is_none() {
            return self.exit();
        }
        self.tell(&Message::Leaving);
        self.timers.arm_if_idle(Timer::Farewell, now + FAREWELL);
    }

    fn exit(&mut self) {
        self.out.push(Output::Exit { code: 0 });
    }

    fn child(&mut self, now: Mono, child: Child, event: &ChildEvent) {
        if self.fencing.as_ref().is_some_and(|(c, ..)| *c == child) {
            self.fenced(now, event);
        } else {
            self.agent_done(now, child, event);
        }
    }
}

impl Core for Keeper {
    type Input = Input<Decision>;
    type Output = Output<Plan>;

    fn handle(&mut self, now: Now, input: Self::Input) {
        let mono = now.mono;
        match input {
            Input::Connected { conn, .. } if conn == self.conn => {
                self.connected = true;
                self.request(TRACK, FROM_START.to_vec());
            }
            Input::Frame { conn, frame } if conn == self.conn => self.frame(mono, &frame),
            Input::Closed { conn, why } if conn == self.conn => self.closed(mono, &why),
            Input::Blocked(conn) if conn == self.conn => self.blocked = true,
            Input::Writable(conn) if conn == self.conn => {
                self.blocked = false;
                self.send_unsent();
            }
            Input::Child { child, event } => self.child(mono, child, &event),
            Input::JobDone { id, outcome } => self.planned(mono, id, outcome),
            Input::JobFailed { id, why } => {
                self.log(Level::Warning, format!("A decision was not made ({why}): asking again"));
                self.planning.finish(id, 0);
                self.timers.arm_if_idle(Timer::Retry, mono + RETRY);
            }
            Input::Stop => self.stop(mono),
            Input::Connected { .. }
            | Input::Frame { .. }
            | Input::Closed { .. }
            | Input::Blocked(_)
            | Input::Writable(_)
            | Input::Datagram { .. }
            | Input::Accepted { .. }
            | Input::Persisted(_)
            | Input::PersistFailed { .. }
            | Input::Paused { .. }
            | Input::ConfigRead(_)
            | Input::Reload => {}
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        let Some(timer) = self.timers.pop_due(now.mono) else { return };
        self.last_timer = Some(timer);
        match timer {
            Timer::Reconnect => self.connect(),
            Timer::Grace => self.grace_over(now.mono),
            Timer::Retry => self.retry(now.mono),
            Timer::Farewell => self.exit(),
        }
    }

    fn poll_output(&mut self) -> Option<Self::Output> {
        self.out.pop()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }
}

impl edge::Daemon for Keeper {
    type Jobs = Plan;
}

impl Inspect for Keeper {
    fn states() -> &'static [&'static str] {
        &["probing", "stopped", "starting", "running", "stopping", "failed"]
    }

    fn timers() -> Vec<&'static str> {
        Timer::ALL.iter().map(|timer| timer.name()).collect()
    }

    fn state(&self) -> &'static str {
        match (self.agent.task(), self.agent.status()) {
            (Some(Task::Monitor), _) | (None, Status::Unknown) => "probing",
            (Some(Task::Start), _) => "starting",
            (Some(Task::Stop), _) => "stopping",
            (None, Status::Running) => "running",
            (None, Status::Failed) => "failed",
            (None, Status::Stopped | Status::Changing) => "stopped",
        }
    }

    fn last_timer(&self) -> Option<&'static str> {
        self.last_timer.map(TimerId::name)
    }
}
