use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use sansio::edge::{Channel, Child, ChildEvent, Frame, Output, PersistId, Spawn};
use sansio::{Mono, Now};

use super::*;
use crate::stack::{AgentCall, Boot, Coverage, DaemonSpec, Verb};
use crate::{DiskWeather, Machine};

const MS: u64 = 1_000_000;

type Log = Rc<RefCell<Vec<String>>>;
/// What a daemon answers to an input, by its name and its life's number.
type Script = fn(&mut Doll, &Input<NoJob>);

/// A daemon that writes down what it is given and does what its script says.
struct Doll {
    name: String,
    log: Log,
    script: Script,
    stored: Option<Vec<u8>>,
    deadline: Option<Mono>,
    out: VecDeque<Output<&'static str>>,
    now: Mono,
}

impl Doll {
    fn note(&self, what: &str) {
        assert!(self.out.is_empty(), "outputs were not drained before: {what}");
        self.log.borrow_mut().push(format!("{} {what}", self.name));
    }

    fn say(&mut self, output: Output<&'static str>) {
        self.out.push_back(output);
    }

    fn frame(&mut self, conn: Conn, channel: Channel, id: i32) {
        self.say(Output::Frame { conn, frame: Frame { channel, id, error: 0, body: vec![1] } });
    }

    fn persist(&mut self, id: u64, bytes: &[u8]) {
        let (name, bytes) = ("f".to_string(), bytes.to_vec());
        self.say(Output::Persist { id: PersistId(id), name, bytes });
    }

    fn call(&mut self, child: u64, verb: &str, timeout_ms: u64) {
        self.say(Output::Spawn(Spawn {
            child: Child(child),
            program: "agent".into(),
            args: vec![verb.into()],
            env: Vec::new(),
            stdin: Vec::new(),
            timeout_ms,
            stdout_max: 0,
        }));
    }
}

impl Machine for Doll {
    fn handle(&mut self, now: Now, input: Input<NoJob>) {
        self.now = now.mono;
        self.note(&match &input {
            Input::Datagram { bytes, .. } => format!("datagram {}", bytes[0]),
            Input::Accepted { .. } => "accepted".into(),
            Input::Connected { conn, .. } => format!("connected {}", conn.0),
            Input::Frame { frame, .. } => format!("{:?} {}", frame.channel, frame.id),
            Input::Closed { why, .. } => format!("closed: {why}"),
            Input::Child { child, event } => format!("child {}: {event:?}", child.0),
            Input::Paused { ms } => format!("paused {ms}"),
            Input::Blocked(_) => "blocked".into(),
            Input::Writable(_) => "writable".into(),
            other => format!("{other:?}"),
        });
        (self.script)(self, &input);
    }

    fn end_job(&mut self, _: Now, id: JobId, lost: Option<&str>) {
        self.note(&format!("job {} {lost:?}", id.0));
    }

    fn handle_timeout(&mut self, now: Now) {
        self.note("timeout");
        assert!(self.deadline.take().is_some_and(|at| at <= now.mono));
        let level = sansio::edge::Level::Info;
        self.say(Output::Log { part: "core", level, text: "timeout".into() });
    }

    fn poll_output(&mut self) -> Option<Output<&'static str>> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.deadline
    }

    fn pause_limit(&self) -> Option<Duration> {
        Some(Duration::from_millis(100))
    }

    fn state(&self) -> &'static str {
        "doll"
    }

    fn last_timer(&self) -> Option<&'static str> {
        None
    }
}

/// A server with the sockets, and a client.
struct Dolls {
    log: Log,
    server: Script,
    client: Script,
}

impl Stack for Dolls {
    fn name(&self) -> &'static str {
        "dolls"
    }

    fn daemons(&self) -> &[DaemonSpec] {
        &[
            DaemonSpec { name: "server", services: &["doll"], datagrams: true },
            DaemonSpec { name: "client", services: &[], datagrams: false },
        ]
    }

    fn boot(&self, slot: usize, boot: &Boot<'_>) -> Box<dyn Machine> {
        let (name, script) = [("server", self.server), ("client", self.client)][slot];
        let mut doll = Doll {
            name: name.to_string(),
            log: self.log.clone(),
            script,
            stored: (boot.read)("f"),
            deadline: None,
            out: VecDeque::new(),
            now: boot.now.mono,
        };
        doll.note(&format!("boots with {:?}", doll.stored.as_deref().map(String::from_utf8_lossy)));
        // Scripts see the boot as a reload, of which these tests send none.
        (doll.script)(&mut doll, &Input::Reload);
        doll.say(Output::Ready);
        Box::new(doll)
    }

    fn coverage(&self, _: usize) -> Coverage {
        Coverage { states: vec!["doll"], timers: Vec::new() }
    }

    fn agent(&self, spawn: &Spawn) -> Option<AgentCall> {
        let verb = match spawn.args.first()?.as_str() {
            "start" => Verb::Start,
            "stop" => Verb::Stop,
            "monitor" => Verb::Monitor,
            _ => return None,
        };
        Some(AgentCall::Resource { rsc: "rsc".into(), verb })
    }
}

const IDLE: Script = |_, _| {};

/// One node with both dolls, started.
fn world(server: Script, client: Script) -> (World, Log) {
    let log = Log::default();
    let stack = Dolls { log: log.clone(), server, client };
    let mut config = Config::new(1, 2, "rsc");
    config.local_bound = 8;
    let mut world = World::new(config, Box::new(stack));
    world.processes.wake_late_ns = 0;
    world.start(Node(1));
    (world, log)
}

/// The log from its last line that ends with `from`.
fn since(log: &Log, from: &str) -> Vec<String> {
    let log = log.borrow();
    let start = log.iter().rposition(|line| line.ends_with(from)).expect("it happened");
    log[start..].to_vec()
}

fn count(log: &Log, line: &str) -> usize {
    log.borrow().iter().filter(|seen| *seen == line).count()
}

fn datagram(world: &mut World, after: u64, number: u8) {
    let from = address(Node(2), Link(0));
    let (to, link, bytes) = (Node(1), Link(0), vec![number]);
    world.after(after, What::Datagram { to, link, from, bytes });
}

#[test]
fn a_deadline_that_has_passed_comes_before_any_input() {
    let arm: Script = |doll, input| {
        if let Input::Datagram { bytes, .. } = input
            && bytes == &[1]
        {
            doll.deadline = Some(doll.now + Duration::from_millis(10));
        }
    };
    let (mut world, log) = world(arm, IDLE);
    world.run_until(1000 * MS);
    // The process is woken late; a datagram comes before that.
    world.processes.wake_late_ns = 50_000 * MS;
    datagram(&mut world, 0, 1);
    datagram(&mut world, 12 * MS, 2);
    world.run_until(1020 * MS);
    let seen = since(&log, "datagram 1");
    assert_eq!(seen, ["server datagram 1", "server timeout", "server datagram 2"]);
}

const CONNECT: Script = |doll, input| {
    if let Input::Reload = input {
        doll.say(Output::Connect { conn: Conn(1), service: "doll".into() });
    }
};

#[test]
fn a_connection_carries_messages_and_its_end() {
    let serve: Script = |doll, input| {
        if let Input::Frame { conn, frame } = input {
            doll.frame(*conn, Channel::Response, frame.id);
            doll.frame(*conn, Channel::Event, 7);
            doll.say(Output::Close { conn: *conn, why: "enough".into() });
        }
    };
    let ask: Script = |doll, input| {
        CONNECT(doll, input);
        if let Input::Connected { conn, .. } = input {
            doll.frame(*conn, Channel::Request, 3);
        }
    };
    let (mut world, log) = world(serve, ask);
    world.run_until(1000 * MS);
    assert_eq!(
        since(&log, "accepted"),
        [
            "server accepted",
            "client connected 1",
            "server Request 3",
            "client Response 3",
            "client Event 7",
            "client closed: enough"
        ]
    );
}

#[test]
fn nobody_serves_before_he_is_ready_or_after_he_is_killed() {
    let (mut world, log) = world(IDLE, CONNECT);
    world.run_until(1000 * MS);
    assert_eq!(count(&log, "client connected 1"), 1);
    world.processes.respawn_ns = (5000 * MS, 5000 * MS);
    world.kill_daemon(Node(1), "server").unwrap();
    world.run_until(1100 * MS);
    assert_eq!(since(&log, "connected 1")[1..], ["client closed: the other side is gone"]);
    world.processes.respawn_ns = (10 * MS, 10 * MS);
    world.kill_daemon(Node(1), "client").unwrap();
    world.run_until(1200 * MS);
    assert_eq!(since(&log, "boots with None")[1..], ["client closed: connection refused"]);
    assert!(world.kill_daemon(Node(1), "nobody").is_err());
}

#[test]
fn who_does_not_read_blocks_the_sender_and_then_costs_the_connection() {
    let flood: Script = |doll, input| {
        if let Input::Datagram { bytes, .. } = input {
            for id in 0..i32::from(bytes[0]) {
                doll.frame(Conn((1 << 32) + 1), Channel::Event, id);
            }
        }
    };
    let (mut world, log) = world(flood, CONNECT);
    world.run_until(1000 * MS);
    world.pause_daemon(Node(1), "client").unwrap();
    datagram(&mut world, 0, 7);
    world.run_until(1010 * MS);
    assert_eq!(since(&log, "datagram 7")[1..], ["server blocked"]);
    world.resume_daemon(Node(1), "client").unwrap();
    world.run_until(1020 * MS);
    let seen = since(&log, "blocked");
    assert_eq!(seen.iter().filter(|line| line.starts_with("client Event")).count(), 7);
    assert!(seen.contains(&"server writable".to_string()));
    world.pause_daemon(Node(1), "client").unwrap();
    datagram(&mut world, 0, 9);
    world.run_until(1030 * MS);
    assert_eq!(
        since(&log, "datagram 9")[1..],
        ["server blocked", "server closed: its queue was full"]
    );
}

#[test]
fn flow_control_holds_requests_back() {
    let hold: Script = |doll, input| match input {
        Input::Accepted { conn, .. } => doll.say(Output::FlowControl { conn: *conn, level: 1 }),
        Input::Datagram { .. } => {
            doll.say(Output::FlowControl { conn: Conn((1 << 32) + 1), level: 0 });
        }
        _ => {}
    };
    let ask: Script = |doll, input| {
        CONNECT(doll, input);
        if let Input::Connected { conn, .. } = input {
            doll.frame(*conn, Channel::Request, 3);
            doll.frame(*conn, Channel::Request, 4);
        }
    };
    let (mut world, log) = world(hold, ask);
    world.run_until(1000 * MS);
    assert_eq!(since(&log, "connected 1"), ["client connected 1"]);
    datagram(&mut world, 0, 1);
    world.run_until(1010 * MS);
    assert_eq!(since(&log, "datagram 1")[1..], ["server Request 3", "server Request 4"]);
}

#[test]
fn a_paused_daemon_learns_how_long_and_then_gets_what_queued_up() {
    let arm: Script = |doll, input| {
        if let Input::Datagram { bytes, .. } = input
            && bytes == &[1]
        {
            doll.deadline = Some(doll.now + Duration::from_millis(10));
        }
    };
    let (mut world, log) = world(arm, IDLE);
    world.run_until(1000 * MS);
    datagram(&mut world, 0, 1);
    datagram(&mut world, 20 * MS, 2);
    datagram(&mut world, 30 * MS, 3);
    world.run_until(1001 * MS);
    world.pause_daemon(Node(1), "server").unwrap();
    world.run_until(1501 * MS);
    assert_eq!(since(&log, "datagram 1"), ["server datagram 1"]);
    world.resume_daemon(Node(1), "server").unwrap();
    world.run_until(1502 * MS);
    let told = ["server timeout", "server paused 500", "server datagram 2", "server datagram 3"];
    assert_eq!(since(&log, "datagram 1")[1..], told);
    world.pause_daemon(Node(1), "server").unwrap();
    world.run_until(1602 * MS);
    world.resume_daemon(Node(1), "server").unwrap();
    assert_eq!(since(&log, "datagram 3"), ["server datagram 3"], "not beyond its limit");
}

#[test]
fn a_socket_keeps_only_so_much_for_a_paused_daemon() {
    let (mut world, log) = world(IDLE, IDLE);
    world.run_until(1000 * MS);
    world.pause_daemon(Node(1), "server").unwrap();
    for number in 0..250 {
        datagram(&mut world, u64::from(number), number);
    }
    world.run_until(1010 * MS);
    world.resume_daemon(Node(1), "server").unwrap();
    assert_eq!(since(&log, "datagram 0").len(), 200);
}

const WRITE: Script = |doll, input| {
    if let Input::Datagram { bytes, .. } = input {
        doll.persist(u64::from(bytes[0]), &[b'0' + bytes[0]]);
    }
};

#[test]
fn what_was_answered_is_there_after_the_power_comes_back() {
    let (mut world, log) = world(WRITE, IDLE);
    world.run_until(1000 * MS);
    datagram(&mut world, 0, 1);
    world.run_until(1100 * MS);
    assert_eq!(since(&log, "datagram 1")[1..], ["server Persisted(PersistId(1))"]);
    world.power_off(Node(1), PowerCause::Fault);
    world.power_on(Node(1), PowerCause::Operator);
    world.run_until(2000 * MS);
    assert_eq!(count(&log, "server boots with Some(\"1\")"), 1);
}

#[test]
fn a_killed_daemon_gets_no_answer_and_finds_the_old_or_the_new() {
    let mut found = std::collections::BTreeSet::new();
    for delay in 0..40 {
        let (mut world, log) = world(WRITE, IDLE);
        world.run_until((900 + delay) * MS);
        datagram(&mut world, 0, 1);
        world.run_until(1100 * MS);
        let slow = DiskWeather { latency_ns: (50 * MS, 60 * MS), ..DiskWeather::default() };
        world.set_disk(Node(1), slow);
        world.rng.disk = Rng::new(delay);
        datagram(&mut world, 0, 2);
        world.run_until(1120 * MS);
        world.kill_daemon(Node(1), "server").unwrap();
        world.run_until(3000 * MS);
        let after = since(&log, "datagram 2");
        assert!(after[1].starts_with("server boots with"), "{after:?}");
        found.insert(after[1].clone());
    }
    let both = ["server boots with Some(\"1\")", "server boots with Some(\"2\")"];
    assert!(found.iter().map(String::as_str).eq(both), "{found:?}");
}

#[test]
fn writes_fail_on_a_full_disk() {
    let (mut world, log) = world(WRITE, IDLE);
    world.run_until(1000 * MS);
    world.set_disk(Node(1), DiskWeather { full: true, ..DiskWeather::default() });
    datagram(&mut world, 0, 1);
    world.run_until(1100 * MS);
    let told = ["server PersistFailed { id: PersistId(1), errno: 28 }"];
    assert_eq!(since(&log, "datagram 1")[1..], told);
}

#[test]
fn jobs_of_a_kind_run_one_after_the_other_and_kinds_overtake() {
    let work: Script = |doll, input| {
        if let Input::Datagram { .. } = input {
            doll.say(Output::Job { id: JobId(1), job: "slow" });
            doll.say(Output::Job { id: JobId(2), job: "slow" });
            doll.say(Output::Job { id: JobId(3), job: "other" });
        }
    };
    let mut overtaken = false;
    for wait in 0..20 {
        let (mut world, log) = world(work, IDLE);
        world.run_until((1000 + wait) * MS);
        world.rng.processes = Rng::new(wait);
        datagram(&mut world, 0, 1);
        world.run_until(1200 * MS);
        let ends: Vec<String> =
            since(&log, "datagram 1")[1..].iter().map(|line| line[11..12].to_string()).collect();
        let place = |id: &str| ends.iter().position(|end| end == id).expect("each is answered");
        assert_eq!(ends.len(), 3);
        assert!(place("1") < place("2"));
        overtaken |= place("3") < place("1");
    }
    assert!(overtaken, "another kind is sometimes faster");
}

#[test]
fn a_look_waits_for_the_start_that_an_earlier_life_left_behind() {
    let agent: Script = |doll, input| match input {
        Input::Datagram { .. } => doll.call(1, "start", 10_000),
        Input::Reload => doll.call(2, "monitor", 10_000),
        _ => {}
    };
    let (mut world, log) = world(agent, IDLE);
    world.run_until(1000 * MS);
    assert_eq!(count(&log, "server child 2: Exited { code: 7, stdout: [] }"), 1);
    world.agents.call_ns = (800 * MS, 800 * MS);
    datagram(&mut world, 0, 1);
    world.run_until(1100 * MS);
    world.processes.respawn_ns = (100 * MS, 100 * MS);
    world.kill_daemon(Node(1), "server").unwrap();
    world.run_until(5000 * MS);
    let seen = since(&log, "boots with None");
    assert_eq!(seen[1..], ["server child 2: Exited { code: 0, stdout: [] }"]);
}

#[test]
fn an_agent_that_hangs_is_killed_at_its_time_and_an_unknown_program_is_not_found() {
    let agent: Script = |doll, input| match input {
        Input::Datagram { bytes, .. } if bytes[0] == 1 => doll.call(1, "stop", 300),
        Input::Datagram { .. } => doll.call(2, "dance", 300),
        _ => {}
    };
    let (mut world, log) = world(agent, IDLE);
    world.run_until(1000 * MS);
    world.agents.hangs = 1000;
    datagram(&mut world, 0, 1);
    world.run_until(1299 * MS);
    assert_eq!(since(&log, "datagram 1").len(), 1);
    world.run_until(1301 * MS);
    let timed_out = format!("server child 1: {:?}", ChildEvent::TimedOut);
    assert_eq!(since(&log, "datagram 1")[1..], [timed_out]);
    datagram(&mut world, 0, 2);
    world.run_until(1310 * MS);
    let missing = format!("server child 2: {:?}", ChildEvent::SpawnFailed { errno: 2 });
    assert_eq!(since(&log, "datagram 2")[1..], [missing]);
}

#[test]
fn daemons_stop_in_the_opposite_order_and_come_back_when_they_die() {
    let exit: Script = |doll, input| {
        if let Input::Stop = input {
            doll.say(Output::Exit { code: 0 });
            doll.say(Output::Observe(::observe::Event::Left));
        }
    };
    let (mut world, log) = world(exit, exit);
    world.run_until(1000 * MS);
    world.kill_daemon(Node(1), "client").unwrap();
    world.run_until(2000 * MS);
    assert_eq!(count(&log, "client boots with None"), 2);
    world.stop(Node(1));
    world.run_until(9000 * MS);
    assert_eq!(since(&log, "client Stop"), ["client Stop", "server Stop"]);
    assert!(world.observations().is_empty(), "nothing is drained after an exit");
    world.start(Node(1));
    world.run_until(10_000 * MS);
    assert_eq!(count(&log, "server boots with None"), 2);
}

#[test]
fn nothing_reaches_a_daemon_of_an_earlier_life() {
    let (mut world, log) = world(IDLE, CONNECT);
    world.run_until(1000 * MS);
    let old = world.pid(Node(1), 0).unwrap();
    world.power_off(Node(1), PowerCause::Fault);
    world.power_on(Node(1), PowerCause::Operator);
    world.run_until(2000 * MS);
    let before = log.borrow().len();
    world.tell(old, Input::Reload);
    world.after(0, What::Wake(old));
    world.run_until(2100 * MS);
    assert_eq!(log.borrow().len(), before);
    assert_eq!(world.unable(), [], "a node without power is not one that could have acted");
}

#[test]
fn a_frozen_node_does_nothing_and_counts_as_unable() {
    let agent: Script = |doll, input| {
        if let Input::Datagram { .. } = input {
            doll.call(1, "start", 5000);
        }
    };
    let (mut world, log) = world(agent, IDLE);
    world.run_until(1000 * MS);
    datagram(&mut world, 0, 1);
    world.run_until(1001 * MS);
    world.freeze(Node(1));
    world.run_until(3001 * MS);
    assert_eq!(since(&log, "datagram 1").len(), 1);
    world.thaw(Node(1));
    world.run_until(3100 * MS);
    let seen = since(&log, "paused 2000");
    assert!(seen.iter().any(|line| line.starts_with("server child 1")), "{seen:?}");
    let whole = checkers::Interval { node: Node(1), from: 1001 * MS, to: 3001 * MS };
    assert_eq!(world.unable(), [whole]);
}
