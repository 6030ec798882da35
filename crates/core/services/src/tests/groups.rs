//! Process groups over cuts, heals, restarts and aborted synchronizations.

use cpg::{Name, Process};
use ha_types::Node;
use ring_service::{Layout, Service};
use sansio::Rng;
use sansio::edge::Conn;

use super::equal;
use crate::Input;
use crate::model::Model;

#[cfg(feature = "mutants")]
pub(crate) const SCENARIOS: &[fn()] = &[
    a_cut_takes_processes_away_and_a_heal_brings_them_back,
    a_node_that_restarts_quickly_is_lost_all_the_same,
    a_process_that_ends_unheard_is_dropped,
    only_members_send,
];

const CONFCHG: i32 = 4;
const DELIVER: i32 = 5;

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).expect("a short name")
}

fn join(model: &mut Model, node: u32, conn: u64, pid: u32, group: &str) {
    model.connect(node, conn, Service::CPG);
    ask_join(model, node, conn, pid, group);
}

fn ask_join(model: &mut Model, node: u32, conn: u64, pid: u32, group: &str) {
    // A request's offsets lie eight below a response's.
    let body = Layout::response(176).count(24, group.len()).raw(32, group.as_bytes());
    model.request(node, conn, 0, body.u32(160, pid).finish());
}

fn mcast(model: &mut Model, node: u32, conn: u64, text: &[u8]) {
    let body = Layout::response(48).count(40, text.len()).then(text).finish();
    model.request(node, conn, 2, body);
}

fn number(body: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(body[at - 24..at - 20].try_into().expect("four bytes"))
}

/// Members, who left and who joined: (node, pid, reason) each.
type Change = [Vec<(u32, u32, u32)>; 3];

fn change(body: &[u8]) -> Change {
    let mut at = 184;
    let mut list = |count: u32| {
        let read = |_| {
            at += 24;
            (number(body, at - 24), number(body, at - 16), number(body, at - 8))
        };
        (0..count).map(read).collect::<Vec<_>>()
    };
    let members = list(number(body, 160));
    let left = list(number(body, 176));
    [members, left, list(number(body, 168))]
}

fn changes(model: &mut Model, node: u32, conn: u64) -> Vec<Change> {
    let events = model.events(node, conn).into_iter();
    events.filter(|frame| frame.id == CONFCHG).map(|frame| change(&frame.body)).collect()
}

fn three_joined() -> Model {
    let mut model = Model::new(3, equal(3));
    model.become_rings(&[&[1, 2, 3]]);
    for node in 1..=3 {
        join(&mut model, node, 7, node * 10, "g");
        model.settle();
    }
    model
}

#[test]
fn joins_are_told_in_one_order() {
    let mut model = three_joined();
    let all = [(1, 10, 0), (2, 20, 0), (3, 30, 0)];
    let first: Vec<Change> = changes(&mut model, 1, 7);
    let expected: Vec<Change> = (0..3usize)
        .map(|i| {
            let (node, pid, _) = all[i];
            [all[..=i].to_vec(), vec![], vec![(node, pid, 1)]]
        })
        .collect();
    assert_eq!(first, expected);
    assert_eq!(changes(&mut model, 3, 7), expected[2..]);
}

#[test]
fn a_cut_takes_processes_away_and_a_heal_brings_them_back() {
    let mut model = three_joined();
    (1..=3).for_each(|node| drop(model.events(node, 7)));
    model.become_rings(&[&[1, 2], &[3]]);
    let lost: Change = [vec![(1, 10, 0), (2, 20, 0)], vec![(3, 30, 3)], vec![]];
    assert_eq!(changes(&mut model, 1, 7), std::slice::from_ref(&lost));
    assert_eq!(changes(&mut model, 2, 7), [lost]);
    let alone: Change = [vec![(3, 30, 0)], vec![(1, 10, 3), (2, 20, 3)], vec![]];
    assert_eq!(changes(&mut model, 3, 7), [alone]);
    model.become_rings(&[&[1, 2, 3]]);
    let back: Change = [vec![(1, 10, 0), (2, 20, 0), (3, 30, 0)], vec![], vec![(3, 30, 4)]];
    assert_eq!(changes(&mut model, 1, 7), [back]);
}

#[test]
fn a_node_that_restarts_quickly_is_lost_all_the_same() {
    let mut model = three_joined();
    drop(model.events(1, 7));
    model.boot(3);
    model.become_rings(&[&[1, 2, 3]]);
    let members = vec![(1, 10, 0), (2, 20, 0)];
    assert_eq!(changes(&mut model, 1, 7), [[members, vec![(3, 30, 3)], vec![]]]);
}

#[test]
fn the_end_of_a_process_is_told() {
    let mut model = three_joined();
    drop(model.events(1, 7));
    model.input(2, Input::Closed(Conn(7)));
    model.settle();
    let members = vec![(1, 10, 0), (3, 30, 0)];
    assert_eq!(changes(&mut model, 1, 7), [[members, vec![(2, 20, 5)], vec![]]]);
}

/// The leave was said while the ring changed, so others never heard it; what a
/// node lists is the truth, group by group.
#[test]
fn a_process_that_ends_unheard_is_dropped() {
    let mut model = three_joined();
    join(&mut model, 3, 8, 30, "other");
    model.settle();
    let stale = model.services(1).cpg().processes().to_vec();
    // Node 1 alone believes in a process that node 3 does not have.
    let ghost = cpg::Message::Join { group: name("ghost"), pid: 30 };
    let (group, from) = (ring_service::Group::Services, Node(3));
    model.input(1, Input::Deliver { group, from, bytes: ghost.encode(from, Conn(0)) });
    assert_eq!(model.services(1).cpg().processes().len(), stale.len() + 1);
    model.become_rings(&[&[1, 2, 3]]);
    assert_eq!(model.services(1).cpg().processes(), stale);
}

/// The node listed the process, then it ended, then the ring was through.
#[test]
fn a_process_that_ends_after_it_was_listed_does_not_come_back() {
    for delivered in 0..40 {
        let mut model = three_joined();
        model.become_rings(&[&[1, 2], &[3]]);
        model.rings(&[&[1, 2, 3]]);
        for _ in 0..delivered {
            model.step();
        }
        model.input(3, Input::Closed(Conn(7)));
        model.settle();
        assert_same_lists(&model, &[1, 2, 3], 2);
    }
}

#[test]
fn only_members_send() {
    let mut model = three_joined();
    model.connect(2, 9, Service::CPG);
    mcast(&mut model, 2, 9, b"stranger");
    // A leave that is still under way, then a message.
    let body = Layout::response(168).count(24, 1).raw(32, b"g").u32(160, 30).finish();
    model.request(3, 7, 1, body);
    mcast(&mut model, 3, 7, b"gone");
    model.settle();
    // A node without a process in the group sends nevertheless.
    model.input(3, Input::Closed(Conn(7)));
    join(&mut model, 3, 8, 31, "elsewhere");
    model.settle();
    let forged =
        cpg::Message::Mcast { group: name("g"), pid: 30, bytes: b"forged".to_vec(), part: None };
    let (group, from) = (ring_service::Group::Services, Node(3));
    model.input(1, Input::Deliver { group, from, bytes: forged.encode(from, Conn(0)) });
    // Before the first join, nothing can be told to anybody.
    let messages = model.events(1, 7).into_iter().filter(|frame| frame.id == DELIVER);
    assert_eq!(messages.count(), 0);
    mcast(&mut model, 2, 7, b"hello");
    model.settle();
    let told = model.events(1, 7);
    assert_eq!(told.len(), 1);
    assert!(told[0].body.ends_with(b"hello"));

    let mut lone = cpg::Cpg::new(Node(1));
    lone.accepted(Conn(1));
    let frame = |id, body| sansio::edge::Frame {
        channel: sansio::edge::Channel::Request,
        id,
        error: 0,
        body,
    };
    let joining = Layout::response(176).count(24, 1).raw(32, b"g").u32(160, 5).finish();
    lone.request(Conn(1), &frame(0, joining));
    let sent = |lone: &mut cpg::Cpg| {
        std::iter::from_fn(|| lone.poll_output())
            .filter(|output| matches!(output, ring_service::Output::Mcast { .. }))
            .count()
    };
    assert_eq!(sent(&mut lone), 1);
    let own = cpg::Message::Join { group: name("g"), pid: 5 };
    lone.deliver(Node(1), &own.encode(Node(1), Conn(1)));
    let leaving = Layout::response(168).count(24, 1).raw(32, b"g").u32(160, 5).finish();
    lone.request(Conn(1), &frame(1, leaving));
    assert_eq!(sent(&mut lone), 1);
    let message = Layout::response(48).count(40, 1).then(b"x").finish();
    lone.request(Conn(1), &frame(2, message.clone()));
    assert_eq!(sent(&mut lone), 0, "it is leaving");
}

#[test]
fn a_client_that_left_may_join_again() {
    let mut model = three_joined();
    drop(model.events(1, 7));
    let body = Layout::response(168).count(24, 1).raw(32, b"g").u32(160, 10).finish();
    model.request(1, 7, 1, body);
    model.settle();
    let others = vec![(2, 20, 0), (3, 30, 0)];
    assert_eq!(changes(&mut model, 1, 7), [[others, vec![(1, 10, 2)], vec![]]]);
    mcast(&mut model, 2, 7, b"not for it");
    model.settle();
    assert_eq!(model.events(1, 7), []);
    ask_join(&mut model, 1, 7, 10, "h");
    model.settle();
    assert_eq!(changes(&mut model, 1, 7), [[vec![(1, 10, 0)], vec![], vec![(1, 10, 1)]]]);
}

/// A ring that changes after any number of messages of its synchronization.
#[test]
fn an_aborted_synchronization_leaves_no_trace() {
    for delivered in 0..60 {
        let mut model = three_joined();
        model.become_rings(&[&[1, 2], &[3]]);
        model.rings(&[&[1, 2, 3]]);
        for _ in 0..delivered {
            model.step();
        }
        model.become_rings(&[&[1, 3], &[2]]);
        assert_same_lists(&model, &[1, 3], 2);
        assert_same_lists(&model, &[2], 1);
        model.become_rings(&[&[1, 2, 3]]);
        assert_same_lists(&model, &[1, 2, 3], 3);
    }
}

fn assert_same_lists(model: &Model, nodes: &[u32], count: usize) {
    for node in nodes {
        assert!(!model.services(*node).is_synchronizing(), "node {node}");
        let processes = model.services(*node).cpg().processes();
        assert_eq!(processes, model.services(nodes[0]).cpg().processes(), "node {node}");
        assert_eq!(processes.len(), count, "node {node}");
    }
}

/// Random joins, ends, messages, restarts, cuts and heals: members of a ring
/// agree, and after a heal the lists hold what is there.
#[test]
fn random_histories_end_in_the_truth() {
    for seed in 0..200 {
        history(seed);
    }
}

fn history(seed: u64) {
    const NODES: u32 = 5;
    let mut rng = Rng::new(seed);
    let mut model = Model::new(NODES, equal(NODES));
    let mut here: Vec<(u32, u64)> = Vec::new();
    let all: Vec<u32> = (1..=NODES).collect();
    model.become_rings(&[&all]);
    for conn in 0..60u64 {
        let node = 1 + u32::try_from(rng.below(u64::from(NODES))).expect("small");
        match rng.below(6) {
            0 | 1 => {
                let pid = 100 + u32::try_from(conn).expect("small");
                // While a ring synchronizes joins are refused.
                if !model.services(node).is_synchronizing() {
                    join(&mut model, node, conn, pid, ["a", "b"][usize::from(rng.below(2) == 1)]);
                    here.push((node, conn));
                }
            }
            2 => {
                if let Some((node, conn)) = here.pop() {
                    model.input(node, Input::Closed(Conn(conn)));
                }
            }
            3 => {
                model.boot(node);
                here.retain(|(n, _)| *n != node);
                let split = random_split(&mut rng, NODES);
                model.rings(&split.iter().map(Vec::as_slice).collect::<Vec<_>>());
            }
            4 => {
                let split = random_split(&mut rng, NODES);
                model.rings(&split.iter().map(Vec::as_slice).collect::<Vec<_>>());
            }
            _ => {
                for _ in 0..rng.below(40) {
                    model.step();
                }
            }
        }
    }
    model.become_rings(&[&all]);
    let mut truth: Vec<(u32, u32)> = here
        .iter()
        .map(|(node, conn)| (*node, 100 + u32::try_from(*conn).expect("small")))
        .collect();
    truth.sort_unstable();
    let listed = model.services(1).cpg().processes();
    let listed: Vec<_> = listed.iter().map(|Process { node, pid, .. }| (node.0, *pid)).collect();
    assert_eq!(listed, truth, "seed {seed}");
    assert_same_lists(&model, &all, truth.len());
    assert_eq!(model.quorate(), all, "seed {seed}");
}

fn random_split(rng: &mut Rng, nodes: u32) -> Vec<Vec<u32>> {
    let mut parts: Vec<Vec<u32>> = vec![Vec::new(); 3];
    for node in 1..=nodes {
        parts[usize::try_from(rng.below(3)).expect("small")].push(node);
    }
    parts.retain(|part| !part.is_empty());
    parts
}
