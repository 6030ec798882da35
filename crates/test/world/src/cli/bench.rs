//! How fast the simulator is.

use std::time::Instant;

use crate::miniature::Miniature;
use crate::{Config, World};

const SECOND: u64 = 1_000_000_000;
/// How long a world runs before the measurement, and how long it is measured.
const WARM_S: u64 = 10;
const MEASURED_S: u64 = 60;

/// Prints simulated node-seconds per second of wall time for 5 and 32 nodes in
/// peace, each with a resource and a client that sends messages, on one thread.
pub(super) fn bench() {
    for nodes in [5, 32] {
        let mut world = peaceful(nodes);
        world.run_until(WARM_S * SECOND);
        let (sent, lines) = (sent(&world), world.trace().count());
        let begun = Instant::now();
        world.run_until((WARM_S + MEASURED_S) * SECOND);
        let took = begun.elapsed().as_secs_f64();
        let node_seconds = MEASURED_S as f64 * f64::from(nodes);
        println!(
            "{nodes:>2} nodes: {:>9.0} simulated node-seconds per second ({} datagrams and {} \
             trace lines in {took:.3} s)",
            node_seconds / took,
            self::sent(&world) - sent,
            world.trace().count() - lines
        );
        check(&world, nodes);
    }
}

/// All checkers over the observations of the run.
fn check(world: &World, nodes: u32) {
    let trace = world.observations();
    let begun = Instant::now();
    let found = checkers::check(&checkers::Settings::majority(nodes), trace);
    assert!(found.is_empty(), "a peaceful run breaks no rule: {found:?}");
    let took = begun.elapsed().as_secs_f64();
    println!("{nodes:>2} nodes: all checkers over {} observations in {took:.3} s", trace.len());
}

fn peaceful(nodes: u32) -> World {
    let mut world =
        World::new(Config::new(1, nodes, "rsc"), Box::new(Miniature { chatter_ms: Some(1000) }));
    for node in world.nodes() {
        world.start(node);
    }
    world
}

fn sent(world: &World) -> u64 {
    world.counters.things.get("datagram: sent").copied().unwrap_or(0)
}
