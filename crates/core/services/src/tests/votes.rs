//! The options of votequorum over cuts and heals.

use std::time::Duration;

use ring_service::Layout;
use votequorum::Config;

use super::equal;
use crate::Input;
use crate::model::Model;

#[cfg(feature = "mutants")]
pub(crate) const SCENARIOS: &[fn()] = &[
    a_majority_acts_and_a_half_does_not,
    wait_for_all_waits_after_a_start_only,
    two_node_goes_on_with_one_and_starts_with_two,
    two_node_means_two_nodes,
    a_tie_is_broken_for_one_side_only,
    a_tie_breaker_yields_to_a_possible_majority,
    the_last_man_stands_after_the_window,
    expected_votes_survive_a_restart,
    what_is_not_on_disk_does_not_count,
    a_frozen_node_does_not_act,
];

fn formed(nodes: u32, config: Config) -> Model {
    let mut model = Model::new(nodes, config);
    let all: Vec<u32> = (1..=nodes).collect();
    model.become_rings(&[&all]);
    model
}

#[test]
fn a_majority_acts_and_a_half_does_not() {
    let mut model = Model::new(3, equal(3));
    assert_eq!(model.quorate(), [], "nobody acts before there is a ring");
    model.become_rings(&[&[1], &[2], &[3]]);
    assert_eq!(model.quorate(), []);
    model.become_rings(&[&[1, 2], &[3]]);
    assert_eq!(model.quorate(), [1, 2]);
    model.become_rings(&[&[1, 2, 3]]);
    assert_eq!(model.quorate(), [1, 2, 3]);
    model.become_rings(&[&[1], &[2, 3]]);
    assert_eq!(model.quorate(), [2, 3]);
    let mut model = formed(4, equal(4));
    model.become_rings(&[&[1, 2], &[3, 4]]);
    assert_eq!(model.quorate(), [], "two halves");
}

#[test]
fn wait_for_all_waits_after_a_start_only() {
    let mut model = Model::new(3, Config { wait_for_all: Some(true), ..equal(3) });
    model.become_rings(&[&[1, 2], &[3]]);
    assert_eq!(model.quorate(), [], "never all together");
    model.become_rings(&[&[1, 2, 3]]);
    assert_eq!(model.quorate(), [1, 2, 3]);
    model.become_rings(&[&[1, 2], &[3]]);
    assert_eq!(model.quorate(), [1, 2]);
    model.boot(3);
    model.become_rings(&[&[1, 2, 3]]);
    assert_eq!(model.quorate(), [1, 2, 3], "a node that starts joins those that act");
    model.boot(3);
    model.become_rings(&[&[1, 2], &[3]]);
    assert_eq!(model.quorate(), [1, 2]);
}

#[test]
fn an_administrator_ends_the_waiting() {
    let mut model = Model::new(3, Config { wait_for_all: Some(true), ..equal(3) });
    model.become_rings(&[&[1, 2]]);
    assert_eq!(model.quorate(), []);
    let now = sansio::Now::default();
    let member = model.members.get_mut(&ha_types::Node(1)).expect("node 1");
    member.services.cancel_wait_for_all(now);
    model.input(1, Input::RingFull(false));
    model.settle();
    assert_eq!(model.quorate(), [1, 2]);
}

#[test]
fn two_node_goes_on_with_one_and_starts_with_two() {
    let mut model = Model::new(2, Config { two_node: true, ..equal(2) });
    model.become_rings(&[&[1], &[2]]);
    assert_eq!(model.quorate(), [], "wait_for_all is implied");
    model.become_rings(&[&[1, 2]]);
    model.become_rings(&[&[1]]);
    assert!(model.services(1).is_quorate());
    model.boot(2);
    model.become_rings(&[&[1], &[2]]);
    assert_eq!(model.quorate(), [1], "the one that was fenced waits for the other");
}

#[test]
fn two_node_means_two_nodes() {
    let mut model = Model::new(3, Config { two_node: true, ..equal(2) });
    model.become_rings(&[&[1, 2, 3]]);
    assert_eq!(model.services(1).votes().expect("votes").quorum(), 2);
    let mut model = formed(2, equal(2));
    model.become_rings(&[&[1], &[2]]);
    assert_eq!(model.quorate(), [], "without the option one of two is not enough");
}

#[test]
fn a_tie_is_broken_for_one_side_only() {
    let config = Config { auto_tie_breaker: true, ..equal(4) };
    let mut model = formed(4, config.clone());
    model.become_rings(&[&[1, 4], &[2, 3]]);
    assert_eq!(model.quorate(), [1, 4]);
    let node = |text: &str| Some(text.to_string());
    let mut model = formed(4, Config { auto_tie_breaker_node: node("highest"), ..config.clone() });
    model.become_rings(&[&[1, 2], &[3, 4]]);
    assert_eq!(model.quorate(), [3, 4]);
    let mut model = formed(4, Config { auto_tie_breaker_node: node("3 2"), ..config });
    model.become_rings(&[&[1, 2], &[3, 4]]);
    assert_eq!(model.quorate(), [3, 4]);
    model.become_rings(&[&[1, 2, 3, 4]]);
    model.become_rings(&[&[2, 4], &[1, 3]]);
    assert_eq!(model.quorate(), [1, 3]);
}

/// An odd cluster with wait_for_all: of five, two hold half of the votes when
/// rounded down, and three could act without them.
#[test]
fn a_tie_breaker_yields_to_a_possible_majority() {
    let config = Config { auto_tie_breaker: true, wait_for_all: Some(true), ..equal(5) };
    let mut model = formed(5, config);
    model.become_rings(&[&[1, 2], &[3, 4, 5]]);
    assert_eq!(model.quorate(), [3, 4, 5]);
}

#[test]
fn the_last_man_stands_after_the_window() {
    let config = Config { last_man_standing: true, wait_for_all: Some(true), ..equal(5) };
    let window = Duration::from_millis(10_001);
    let mut model = formed(5, config.clone());
    model.become_rings(&[&[1, 2, 3], &[4, 5]]);
    assert_eq!(model.quorate(), [1, 2, 3]);
    model.become_rings(&[&[1, 2], &[3], &[4, 5]]);
    model.pass(window);
    assert_eq!(model.quorate(), [], "the window was not over at the second cut");

    let mut model = formed(5, config);
    for (rest, acting) in [(&[1, 2, 3, 4][..], 4), (&[1, 2, 3][..], 3), (&[1, 2][..], 2)] {
        model.become_rings(&[rest]);
        model.pass(window);
        let acting_here = rest.iter().filter(|node| model.services(**node).is_quorate());
        assert_eq!(acting_here.count(), acting);
    }
    model.become_rings(&[&[3], &[1, 2]]);
    assert!(!model.services(3).is_quorate());
}

#[test]
fn leaving_in_good_order_shrinks_the_cluster_with_allow_downscale() {
    let config = Config { allow_downscale: true, expected_votes: Some(2), ..equal(4) };
    let mut model = formed(4, config);
    let quorum = |model: &Model| model.services(1).votes().expect("votes").quorum();
    assert_eq!(quorum(&model), 3);
    for node in [4, 3] {
        let member = model.members.get_mut(&ha_types::Node(node)).expect("a node");
        member.services.leave(sansio::Now::default());
        model.input(node, Input::RingFull(false));
        model.settle();
        let rest: Vec<u32> = (1..node).collect();
        model.become_rings(&[&rest]);
    }
    assert_eq!(quorum(&model), 2);
    model.become_rings(&[&[1], &[2]]);
    assert!([1, 2].iter().all(|node| !model.services(*node).is_quorate()));
}

#[test]
fn expected_votes_survive_a_restart() {
    let config =
        Config { expected_votes_tracking: true, expected_votes: Some(1), nodes: None, ..equal(1) };
    let mut model = Model::new(3, config);
    model.become_rings(&[&[1, 2, 3]]);
    assert_eq!(model.members[&ha_types::Node(1)].files.last(), Some(&vec![3, 0, 0, 0]));
    model.boot(1);
    model.become_rings(&[&[1], &[2, 3]]);
    assert_eq!(model.quorate(), [2, 3]);
}

#[test]
fn what_is_not_on_disk_does_not_count() {
    let config = Config { expected_votes_tracking: true, ..equal(3) };
    let mut model = Model::new(0, config);
    model.slow_disks = true;
    (1..=3).for_each(|node| model.boot(node));
    model.become_rings(&[&[1, 2, 3]]);
    assert_eq!(model.quorate(), []);
    model.write();
    model.settle();
    assert_eq!(model.quorate(), [1, 2, 3]);
}

#[test]
fn a_frozen_node_does_not_act() {
    let mut model = formed(3, equal(3));
    let window = Duration::from_secs(60);
    model.input(3, Input::Paused);
    assert_eq!(model.quorate(), [1, 2]);
    model.pass(window);
    // A message that was under way must not bring it back.
    let info = votequorum::Message::NodeInfo {
        node: ha_types::Node(1),
        votes: 1,
        expected_votes: 3,
        flags: votequorum::flags::QUORATE | votequorum::flags::FIRST,
    };
    let (group, from) = (ring_service::Group::Services, ha_types::Node(1));
    model.input(3, Input::Deliver { group, from, bytes: info.encode() });
    assert_eq!(model.quorate(), [1, 2]);
    model.become_rings(&[&[1, 2, 3]]);
    assert_eq!(model.quorate(), [1, 2, 3]);
}

#[test]
fn expected_votes_can_be_set_but_not_so_that_quorum_is_lost() {
    let mut model = formed(3, equal(3));
    model.connect(1, 7, ring_service::Service::VOTEQUORUM);
    let answer = |model: &mut Model, expected: u32| {
        model.request(1, 7, 1, [&expected.to_le_bytes()[..], &[0; 4]].concat());
        let told = model.members.get_mut(&ha_types::Node(1)).expect("node 1").told.clone();
        model.settle();
        told[&sansio::edge::Conn(7)].last().expect("an answer").error
    };
    assert_eq!(answer(&mut model, 2), 7);
    assert_eq!(answer(&mut model, 6), 7);
    assert_eq!(answer(&mut model, 5), 1);
    for node in 1..=3 {
        assert_eq!(model.services(node).votes().expect("votes").quorum(), 3, "node {node}");
    }
    model.become_rings(&[&[1, 2], &[3]]);
    assert_eq!(model.quorate(), [], "two of five");
}

#[test]
fn a_device_gives_its_vote_and_takes_it_back_when_silent() {
    let device = votequorum::Device { votes: Some(1), ..votequorum::Device::default() };
    let mut model = formed(2, Config { device: Some(device), expected_votes: Some(3), ..equal(2) });
    model.connect(1, 7, ring_service::Service::VOTEQUORUM);
    let named = |size: usize| Layout::response(size + 8).text(24, 255, "dev");
    model.request(1, 7, 5, named(272).finish());
    model.settle();
    let poll = |seq: u64| named(296).u32(280, 1).u32(288, 1).u64(296, seq).finish();
    model.request(1, 7, 8, poll(4));
    model.settle();
    assert_eq!(model.quorate(), [1, 2]);
    model.rings(&[&[1], &[2]]);
    model.settle();
    assert!(model.services(1).is_synchronizing(), "the ring waits for the device");
    model.request(1, 7, 8, poll(8));
    model.settle();
    assert_eq!(model.quorate(), [1]);
    model.pass(Duration::from_millis(10_001));
    assert_eq!(model.quorate(), [], "the device is silent");
}

#[test]
fn what_contradicts_itself_does_not_start() {
    let device = Some(votequorum::Device::default());
    let odd = Config { auto_tie_breaker: true, last_man_standing: true, ..equal(3) };
    for (config, part) in [
        (Config::default(), "nodelist or quorum.expected_votes"),
        (Config { two_node: true, device, ..equal(2) }, "two_node and quorum device"),
        (Config { last_man_standing: true, device, ..equal(2) }, "last_man_standing"),
        (Config { expected_votes: Some(3), device, ..equal(2) }, "quorum.device.votes"),
        (odd, "odd sized"),
    ] {
        let votes = Some(config);
        let config = crate::Config { votes, ..crate::Config::default() };
        let why = crate::Services::new(ha_types::Node(1), config).expect_err(part);
        assert!(why.contains(part), "{why}");
    }
}

/// The table of docs/spec/quorum.md: with these options two partitions act at
/// the same time, as they do on the reference; where wait_for_all stands in the
/// way, it does.
mod two_partitions {
    use super::*;

    const WINDOW: Duration = Duration::from_millis(10_001);

    fn waiting(config: Config) -> Config {
        Config { wait_for_all: Some(true), ..config }
    }

    #[test]
    fn two_node_after_both_have_met() {
        let mut model = formed(2, Config { two_node: true, ..equal(2) });
        model.become_rings(&[&[1], &[2]]);
        assert_eq!(model.quorate(), [1, 2]);
    }

    fn shrunk_to_two_then_three_others_start(config: Config) -> Model {
        let mut model = formed(5, config);
        for rest in [&[1, 2, 3][..], &[1, 2][..]] {
            model.become_rings(&[rest]);
            model.pass(WINDOW);
        }
        (3..=5).for_each(|node| model.boot(node));
        model.become_rings(&[&[1, 2], &[3, 4, 5]]);
        model
    }

    #[test]
    fn last_man_standing_without_wait_for_all() {
        let config = Config { last_man_standing: true, ..equal(5) };
        let model = shrunk_to_two_then_three_others_start(config.clone());
        assert_eq!(model.quorate(), [1, 2, 3, 4, 5]);
        let model = shrunk_to_two_then_three_others_start(waiting(config));
        assert_eq!(model.quorate(), [1, 2]);
    }

    fn left_by_three_who_start_again(config: Config) -> Model {
        let mut model = formed(5, config);
        for node in [5, 4, 3] {
            let member = model.members.get_mut(&ha_types::Node(node)).expect("a node");
            member.services.leave(sansio::Now::default());
            model.input(node, Input::RingFull(false));
            model.settle();
            model.become_rings(&[&(1..node).collect::<Vec<u32>>()]);
        }
        (3..=5).for_each(|node| model.boot(node));
        model.become_rings(&[&[1, 2], &[3, 4, 5]]);
        model
    }

    /// With the votes of all in `expected_votes` nothing shrinks below them.
    #[test]
    fn allow_downscale_below_half() {
        let config = Config { allow_downscale: true, ..equal(5) };
        let model = left_by_three_who_start_again(config.clone());
        assert_eq!(model.quorate(), [3, 4, 5], "the floor is what was configured at the start");
        let nodes = votequorum::NodeList { own_votes: 1, nodes: 2, votes: 2 };
        let grown = Config { nodes: Some(nodes), ..config };
        let model = left_by_three_who_start_again(grown.clone());
        assert_eq!(model.quorate(), [1, 2, 3, 4, 5], "two nodes were configured, three came later");
        let model = left_by_three_who_start_again(waiting(grown));
        assert_eq!(model.quorate(), [1, 2]);
    }

    fn expected_set_to_three(config: Config) -> Model {
        let mut model = formed(5, config);
        model.become_rings(&[&[1, 2, 3], &[4, 5]]);
        model.connect(1, 7, ring_service::Service::VOTEQUORUM);
        model.request(1, 7, 1, [&3u32.to_le_bytes()[..], &[0; 4]].concat());
        model.settle();
        model.become_rings(&[&[1, 2], &[3, 4, 5]]);
        model
    }

    #[test]
    fn an_administrator_sets_expected_votes_below_what_there_is() {
        let model = expected_set_to_three(equal(5));
        assert_eq!(model.quorate(), [1, 2, 3, 4, 5]);
        let model = expected_set_to_three(waiting(equal(5)));
        assert_eq!(model.quorate(), [1, 2, 3, 4, 5], "who acted vouches for those who wait");
    }
}
