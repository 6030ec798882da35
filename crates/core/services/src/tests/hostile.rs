//! Bytes of peers and clients that mean harm.

use ha_types::Node;
use ring_service::{Group, Layout, Service};
use sansio::Rng;
use sansio::edge::{Channel, Conn, Frame};

use super::equal;
use crate::Input;
use crate::model::Model;

fn messages() -> Vec<Vec<u8>> {
    let name = cpg::Name::new(b"group").expect("short");
    let me = Node(2);
    let cpg_messages = [
        cpg::Message::Join { group: name.clone(), pid: 1 },
        cpg::Message::Leave { group: name.clone(), pid: 1, reason: 2 },
        cpg::Message::JoinList(vec![(1, name.clone()), (2, name.clone())]),
        cpg::Message::DownList { old_members: 2, left: vec![Node(1), Node(3)] },
        cpg::Message::Mcast { group: name.clone(), pid: 1, bytes: vec![1; 20], part: None },
        cpg::Message::Mcast {
            group: name,
            pid: 1,
            bytes: vec![1; 20],
            part: Some(cpg::Part { whole_len: 40, kind: 1 }),
        },
    ];
    let votes = [
        votequorum::Message::NodeInfo { node: me, votes: 1, expected_votes: 2, flags: 0 },
        votequorum::Message::Reconfigure {
            node: me,
            value: 1,
            param: votequorum::Param::NodeVotes,
        },
        votequorum::Message::Device { register: true, name: "dev".into() },
        votequorum::Message::RenameDevice { old: "dev".into(), new: "dov".into() },
    ];
    let cfg = [
        ring_cfg::Message::KillNode { node: Node(9), reason: "none".into() },
        ring_cfg::Message::Reload { asker: Conn(1) },
        ring_cfg::Message::Crypto { phase: 1 },
    ];
    let cpg_messages = cpg_messages.iter().map(|message| message.encode(me, Conn(1)));
    let votes = votes.iter().map(votequorum::Message::encode);
    cpg_messages.chain(votes).chain(cfg.iter().map(|message| message.encode(me))).collect()
}

fn formed() -> Model {
    let mut model = Model::new(2, equal(2));
    model.become_rings(&[&[1, 2]]);
    model
}

fn deliver(model: &mut Model, group: Group, bytes: Vec<u8>) {
    model.input(1, Input::Deliver { group, from: Node(2), bytes });
}

#[test]
fn truncated_messages_are_dropped_and_counted() {
    let mut model = formed();
    let mut expected = 0;
    for message in messages() {
        for len in 0..message.len() {
            deliver(&mut model, Group::Services, message[..len].to_vec());
            expected += 1;
            assert_eq!(model.services(1).dropped(), expected, "{len} of {message:?}");
        }
    }
}

/// A message cut short that says so truthfully, as a peer could send it.
#[test]
fn short_messages_with_a_true_size_change_nothing() {
    let mut model = formed();
    for message in messages() {
        for len in 16..message.len() {
            let mut bytes = message[..len].to_vec();
            bytes[8..12].copy_from_slice(&u32::try_from(len).expect("small").to_le_bytes());
            deliver(&mut model, Group::Services, bytes);
        }
    }
    assert!(model.services(1).dropped() > 1000);
    model.settle();
    model.become_rings(&[&[1, 2]]);
    assert_eq!(model.quorate(), [1, 2]);
}

#[test]
fn wrapping_counts_and_noise_do_no_harm() {
    let mut rng = Rng::new(1);
    let mut model = formed();
    let values = [0, 1, 127, 129, 385, 0x7fff_ffff, 0x8000_0000, u32::MAX - 7, u32::MAX];
    for message in messages() {
        for at in (0..message.len() - 3).step_by(4) {
            for value in values {
                let mut bytes = message.clone();
                bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
                deliver(&mut model, Group::Services, bytes.clone());
                deliver(&mut model, Group::Sync, bytes);
            }
        }
        for _ in 0..200 {
            let mut bytes = message.clone();
            for _ in 0..=rng.below(6) {
                let at = usize::try_from(rng.below(bytes.len() as u64)).expect("small");
                bytes[at] = u8::try_from(rng.below(256)).expect("a byte");
            }
            deliver(&mut model, Group::Services, bytes.clone());
            deliver(&mut model, Group::Sync, bytes);
        }
    }
    assert!(model.services(1).dropped() > 1000);
}

/// Nobody speaks for another node.
#[test]
fn a_node_cannot_bring_votes_for_others() {
    let mut model = formed();
    let info = votequorum::Message::NodeInfo {
        node: Node(77),
        votes: 5,
        expected_votes: 9,
        flags: votequorum::flags::QUORATE,
    };
    deliver(&mut model, Group::Services, info.encode());
    assert_eq!(model.services(1).dropped(), 1);
    assert_eq!(model.services(1).votes().expect("votes").nodes().len(), 2);
}

#[test]
fn requests_of_any_shape_are_survived() {
    let mut model = formed();
    let mut rng = Rng::new(2);
    let services = [Service::CFG, Service::CPG, Service::QUORUM, Service::VOTEQUORUM];
    for (conn, service) in (0..).zip(services) {
        model.connect(1, conn, service);
        for id in -3..20 {
            for len in (0..600).step_by(7) {
                for fill in [0, 1, 0x7f, 0xff] {
                    model.request(1, conn, id, vec![fill; len]);
                }
                let noise = (0..len).map(|_| u8::try_from(rng.below(256)).expect("a byte"));
                model.request(1, conn, id, noise.collect());
            }
        }
        model.settle();
    }
}

/// Every request but a message is answered, and once.
#[test]
fn requests_that_make_no_sense_are_answered() {
    let mut model = formed();
    let services = [Service::CFG, Service::CPG, Service::QUORUM, Service::VOTEQUORUM];
    for (conn, service) in (0..).zip(services) {
        model.connect(1, conn, service);
        for id in 0..14 {
            let without_answer = service == Service::CPG && id == 2
                || service == Service::CFG && [7, 8].contains(&id);
            let member = model.members.get_mut(&Node(1)).expect("node 1");
            member.told.clear();
            model.request(1, conn, id, Vec::new());
            let told = model.members[&Node(1)].told.get(&Conn(conn)).cloned().unwrap_or_default();
            let answers = told.iter().filter(|frame| frame.channel == Channel::Response);
            let expected = usize::from(!without_answer);
            assert_eq!(answers.count(), expected, "{service:?} {id}: {told:?}");
        }
    }
    let frame = Frame { channel: Channel::Event, id: 0, error: 0, body: Vec::new() };
    model.input(1, Input::Frame { conn: Conn(1), frame });
    let zero_copy = Layout::response(160).finish();
    for id in 9..=11 {
        model.request(1, 1, id, zero_copy.clone());
        let told = &model.members[&Node(1)].told[&Conn(1)];
        assert_eq!(told.last().expect("an answer").error, 19, "zero copy is not supported");
    }
}
