use sansio::Wall;
use sansio::edge::Credentials;

use super::*;

const SELF: Node = Node(1);

fn set(nodes: &[u32]) -> BTreeSet<Node> {
    nodes.iter().copied().map(Node).collect()
}

fn view(seq: u64, quorate: bool, members: &[u32]) -> ViewEvent {
    ViewEvent { ring: RingId { seq, rep: Node(members[0]) }, quorate, members: set(members) }
}

fn board(members: &[u32]) -> Board {
    Board::new(view(5, true, members), set(&[1, 2, 3]))
}

fn hello(status: Status, down: &[u32]) -> Message {
    Message::Hello { status, down: set(down) }
}

fn decide(board: &Board) -> Decision {
    use sansio::{Cancel, Job};
    Plan(board.clone()).run(&Cancel::new(&|| false))
}

#[test]
fn nothing_is_decided_before_all_have_spoken() {
    let mut b = board(&[1, 2, 3]);
    b.apply(Node(1), &hello(Status::Stopped, &[]));
    b.apply(Node(2), &hello(Status::Unknown, &[]));
    assert!(matches!(decide(&b), Decision::Wait(_)));
    b.apply(Node(3), &hello(Status::Stopped, &[]));
    assert!(matches!(decide(&b), Decision::Wait(_)), "n2 is still probing");
    b.apply(Node(2), &Message::Report(Status::Stopped));
    assert_eq!(decide(&b), Decision::Place(Node(1)));
}

#[test]
fn lost_nodes_are_fenced_unless_all_know_better() {
    let mut b = board(&[1, 2]);
    b.apply(Node(1), &hello(Status::Stopped, &[3]));
    b.apply(Node(2), &hello(Status::Stopped, &[]));
    assert_eq!(decide(&b), Decision::Fence(set(&[3])), "n2 may have seen n3 come back");
    b.apply(Node(1), &Message::Fenced(Node(3)));
    assert_eq!(decide(&b), Decision::Place(Node(1)));
    let mut b = board(&[1, 2]);
    b.apply(Node(1), &hello(Status::Stopped, &[3]));
    b.apply(Node(2), &hello(Status::Stopped, &[3]));
    assert_eq!(decide(&b), Decision::Place(Node(1)));
}

#[test]
fn a_running_resource_stays_and_a_second_one_is_cleared() {
    let mut b = board(&[1, 2, 3]);
    for node in 1..=3 {
        b.apply(Node(node), &hello(Status::Stopped, &[]));
    }
    b.apply(Node(2), &Message::Report(Status::Running));
    assert!(matches!(decide(&b), Decision::Wait(_)));
    assert!(!b.apply(Node(1), &Message::Place(Node(1))), "void: n2 holds it");
    b.apply(Node(3), &Message::Report(Status::Running));
    assert_eq!(decide(&b), Decision::Clear(Node(3)));
    b.apply(Node(3), &Message::Report(Status::Failed));
    assert_eq!(decide(&b), Decision::Fence(set(&[3])));
}

#[test]
fn who_leaves_gets_nothing_and_needs_no_fencing() {
    let mut b = board(&[1, 2]);
    b.apply(Node(1), &hello(Status::Stopped, &[3]));
    b.apply(Node(2), &hello(Status::Stopped, &[3]));
    b.apply(Node(1), &Message::Leaving);
    assert_eq!(decide(&b), Decision::Place(Node(2)));
    assert!(b.known_down().contains(&Node(1)));
}

#[test]
fn the_same_messages_give_the_same_digest() {
    let (mut a, mut b) = (board(&[1, 2, 3]), board(&[1, 2, 3]));
    a.apply(Node(1), &hello(Status::Stopped, &[]));
    b.apply(Node(1), &hello(Status::Stopped, &[]));
    assert_eq!(a.digest(), b.digest());
    b.apply(Node(1), &Message::Report(Status::Running));
    assert_ne!(a.digest(), b.digest());
}

/// A keeper on n1 whose ring and agents the test plays.
struct Stage {
    keeper: Keeper,
    now: Mono,
}

impl Stage {
    fn new() -> (Self, Vec<Output<Plan>>) {
        let now = Mono(1_000_000_000);
        let config = Config {
            node: SELF,
            all: set(&[1, 2, 3]),
            service: "mini-ring".into(),
            rsc: "web".into(),
            agent: "/agent".into(),
            fence_agent: "/fence".into(),
        };
        let mut keeper = Keeper::new(at(now), config);
        let outputs = std::iter::from_fn(|| keeper.poll_output()).collect();
        (Self { keeper, now }, outputs)
    }

    fn input(&mut self, input: Input<Decision>) -> Vec<Output<Plan>> {
        sansio::step(&mut self.keeper, at(self.now), input)
    }

    fn event(&mut self, id: i32, body: Vec<u8>) -> Vec<Output<Plan>> {
        let frame = Frame { channel: Channel::Event, id, error: 0, body };
        self.input(Input::Frame { conn: Conn(1), frame })
    }

    fn exited(&mut self, child: Child, code: i32) -> Vec<Output<Plan>> {
        self.input(Input::Child { child, event: ChildEvent::Exited { code, stdout: vec![] } })
    }

    fn deliver(&mut self, seq: u64, sender: u32, message: &Message) -> Vec<Output<Plan>> {
        let ring = RingId { seq, rep: Node(1) };
        let event = DeliverEvent { ring, sender: Node(sender), bytes: message.encode() };
        self.event(DELIVER, event.encode())
    }

    fn pass(&mut self, ms: u64) -> Vec<Output<Plan>> {
        self.now = self.now + Duration::from_millis(ms);
        sansio::run_due(&mut self.keeper, at(self.now))
    }

    /// Connected, probed as stopped, in a quorate ring with n2.
    fn in_ring() -> Self {
        let (mut stage, outputs) = Self::new();
        let probe = spawned(&outputs).expect("a keeper probes first");
        assert_eq!(probe.args, ["monitor", "web"]);
        stage.input(Input::Connected { conn: Conn(1), peer: Credentials::default() });
        stage.exited(probe.child, 7);
        stage.event(VIEW, view(5, true, &[1, 2]).encode());
        stage
    }
}

fn at(mono: Mono) -> Now {
    Now { mono, wall: Wall(0), utc_offset_s: 0 }
}

fn spawned(outputs: &[Output<Plan>]) -> Option<Spawn> {
    outputs.iter().find_map(|output| match output {
        Output::Spawn(spawn) => Some(spawn.clone()),
        _ => None,
    })
}

fn told(outputs: &[Output<Plan>]) -> Vec<Message> {
    let mcast = |output: &Output<Plan>| match output {
        Output::Frame { frame, .. } if frame.id == MCAST => {
            let (_, bytes) = crate::ipc::decode_mcast(&frame.body).unwrap();
            Some(Message::decode(&bytes).unwrap())
        }
        _ => None,
    };
    outputs.iter().filter_map(mcast).collect()
}

#[test]
fn a_placed_resource_is_started_and_reported() {
    let mut stage = Stage::in_ring();
    let start = spawned(&stage.deliver(5, 1, &Message::Place(SELF))).expect("a start");
    assert_eq!(start.args, ["start", "web"]);
    assert_eq!(told(&stage.exited(start.child, 0)), [Message::Report(Status::Running)]);
}

#[test]
fn without_quorum_the_resource_is_stopped_after_the_grace() {
    let mut stage = Stage::in_ring();
    let start = spawned(&stage.deliver(5, 1, &Message::Place(SELF))).unwrap();
    stage.exited(start.child, 0);
    assert_eq!(spawned(&stage.event(GATHERING, vec![])), None, "a join gathers too");
    stage.event(VIEW, view(6, false, &[1]).encode());
    assert_eq!(spawned(&stage.pass(1400)), None);
    let stop = spawned(&stage.pass(200)).expect("a stop");
    assert_eq!(stop.args, ["stop", "web"]);
}

#[test]
fn a_fencing_counts_only_in_the_ring_that_asked_for_it() {
    let mut stage = Stage::in_ring();
    stage.deliver(5, 1, &hello(Status::Stopped, &[]));
    let outputs = stage.deliver(5, 2, &hello(Status::Stopped, &[]));
    let job = |outputs: &[Output<Plan>]| {
        outputs.iter().rev().find_map(|output| match output {
            Output::Job { id, job } => Some((*id, job.clone())),
            _ => None,
        })
    };
    let (id, _) = job(&outputs).or_else(|| Some((JobId(1), Plan(board(&[1, 2]))))).unwrap();
    // The first answer is stale: a message has come since. The second counts.
    let outputs = stage.input(Input::JobDone { id, outcome: Decision::Wait("no quorum") });
    let (id, plan) = job(&outputs).expect("asked again");
    let outcome = decide(&plan.0);
    assert_eq!(outcome, Decision::Fence(set(&[3])));
    let fence = spawned(&stage.input(Input::JobDone { id, outcome })).expect("a fencing");
    assert_eq!(fence.stdin, b"action=reboot\nport=n3\n");
    stage.event(VIEW, view(7, true, &[1, 2]).encode());
    assert!(told(&stage.exited(fence.child, 0)).is_empty(), "asked for by an older ring");
}

#[test]
fn a_keeper_leaves_when_its_resource_is_stopped() {
    let mut stage = Stage::in_ring();
    assert_eq!(told(&stage.input(Input::Stop)), [Message::Leaving]);
    let outputs = stage.deliver(5, 1, &Message::Leaving);
    assert!(outputs.contains(&Output::Exit { code: 0 }));
}

#[test]
fn a_lost_ring_is_looked_for_again() {
    let mut stage = Stage::in_ring();
    stage.input(Input::Closed { conn: Conn(1), why: "gone".into() });
    let outputs = stage.pass(200);
    let again = Output::Connect { conn: Conn(2), service: "mini-ring".into() };
    assert!(outputs.contains(&again));
}
