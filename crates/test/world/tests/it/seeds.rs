//! Seeds: determinism, a short campaign, and faults that break the promises on
//! which the miniature builds.

use observe::{Node, PowerCause};
use world::campaign::{self, Extent, plan_of};
use world::miniature::Miniature;
use world::{Config, DiskWeather, Keep, World};

const SECOND: u64 = 1_000_000_000;

#[test]
fn a_seed_is_one_trace() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 1..=20 {
        let plan = plan_of(seed, None);
        let (one, two) = (campaign::run(&plan, Keep::All), campaign::run(&plan, Keep::All));
        let differs = one.lines.iter().zip(&two.lines).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!((one.hash, one.lines.len()), (two.hash, two.lines.len()));
        assert_eq!(one.observations, two.observations);
        hashes.insert(one.hash);
    }
    assert_eq!(hashes.len(), 20, "each seed has a trace of its own");
}

#[test]
fn a_short_campaign_finds_nothing() {
    let summary = campaign::campaign(1001, Extent::Seeds(40), None, |_| {});
    assert_eq!(summary.seeds, 40);
    assert_eq!(summary.failed, []);
    assert!(summary.counters.things.contains_key("fault: cut"));
}

#[test]
fn recordings_replay_to_the_same_outputs() {
    for seed in 1..=5 {
        let plan = campaign::Plan { shadow: true, ..plan_of(seed, None) };
        let run = campaign::run(&plan, Keep::Hash);
        assert_eq!(run.fault, None, "seed {seed}");
        let alone = campaign::run(&campaign::Plan { shadow: false, ..plan }, Keep::Hash);
        assert_eq!(run.hash, alone.hash, "the shadow changes nothing");
    }
}

/// Checkers that find something when n1 loses its power again and again.
fn after_power_losses(seed: u64, lying: bool) -> Vec<&'static str> {
    let stack = Miniature { chatter_ms: None };
    let mut world = World::new(Config::new(seed, 3, "rsc"), Box::new(stack));
    world.set_disk(Node(1), DiskWeather { lying, ..DiskWeather::default() });
    world.nodes().into_iter().for_each(|node| world.start(node));
    for round in 1..=6 {
        world.run_until(round * 3 * SECOND);
        world.power_off(Node(1), PowerCause::Fault);
        // It comes back alone, and must know by itself which rings it was in.
        world.network.partition(vec![[Node(1)].into(), [Node(2), Node(3)].into()]);
        world.power_on(Node(1), PowerCause::Operator);
    }
    world.run_until(22 * SECOND);
    let settings = checkers::Settings::majority(3);
    let found = checkers::check(&settings, world.observations());
    found.into_iter().map(|violation| violation.checker).collect()
}

#[test]
fn a_disk_that_lies_breaks_what_an_honest_one_keeps() {
    assert!((1..=10).all(|seed| after_power_losses(seed, false).is_empty()));
    let broken = (1..=10).flat_map(|seed| after_power_losses(seed, true));
    assert!(broken.collect::<Vec<_>>().contains(&"views"));
}
