//! What a seed stands for: a cluster, its work, and faults with their times.

use std::collections::BTreeSet;
use std::fmt;

use observe::{Node, PowerCause};
use sansio::Rng;
use scenario::PowerMode;

use crate::{DiskWeather, Weather, World};

const SECOND: u64 = 1_000_000_000;
const MILLI: u64 = 1_000_000;
/// The longest call of an agent that is well.
const QUICK_AGENT: u64 = 200 * MILLI;

/// A cluster, its work, and what will happen to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The seed, also of the world's own randomness.
    pub seed: u64,
    /// How many nodes.
    pub nodes: u32,
    /// Mean time between messages of the client in milliseconds; None: no client.
    pub chatter_ms: Option<u64>,
    /// Bound of local connections.
    pub local_bound: usize,
    /// Whether recordings are replayed beside the daemons.
    pub shadow: bool,
    /// What happens, in order of time.
    pub faults: Vec<Timed>,
    /// When everything heals.
    pub heal_at: u64,
}

/// A fault and when it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    /// Virtual time in nanoseconds.
    pub at: u64,
    /// What.
    pub fault: Fault,
}

/// Something that happens to a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// All links behave so.
    Weather(Weather),
    /// One direction between two nodes behaves so.
    LocalWeather(Node, Node, Weather),
    /// Only nodes of a side can talk.
    Cut(Vec<BTreeSet<Node>>),
    /// Nothing goes from the first to the second.
    OneWay(Node, Node),
    /// The network is quiet again.
    HealNetwork,
    /// Power lost.
    Kill(Node),
    /// Power back.
    Boot(Node),
    /// All processes stopped.
    Freeze(Node),
    /// They go on.
    Thaw(Node),
    /// SIGKILL.
    KillDaemon(Node, &'static str),
    /// SIGSTOP.
    Pause(Node, &'static str),
    /// SIGCONT.
    Resume(Node, &'static str),
    /// The disk behaves so.
    Disk(Node, DiskWeather),
    /// Starts, stops, looks fail and calls hang: per mille; calls take up to so
    /// many nanoseconds.
    Agents([u32; 4], u64),
    /// Local messages of the node take up to so many nanoseconds.
    SlowLocal(Node, u64),
    /// The power switch answers so for the node.
    Switch(Node, PowerMode),
    /// Jobs are lost, per mille, and take up to so many nanoseconds.
    Jobs(u32, u64),
    /// The calendar jumps by so many nanoseconds.
    Calendar(Node, i64),
    /// SIGHUP.
    Reload(Node),
    /// The software is stopped in good order.
    Stop(Node),
    /// And started.
    Start(Node),
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s {:?}", self.at as f64 / SECOND as f64, self.fault)
    }
}

impl Fault {
    /// Does it.
    pub fn apply(&self, world: &mut World) {
        match self {
            Fault::Weather(weather) => world.network.weather = weather.clone(),
            Fault::LocalWeather(from, to, weather) => {
                world.network.local_weather(*from, *to, sansio::edge::Link(0), weather.clone());
            }
            Fault::Cut(sides) => world.network.partition(sides.clone()),
            Fault::OneWay(from, to) => world.network.cut(*from, *to, None),
            Fault::HealNetwork => world.network.heal(),
            Fault::Kill(node) => world.power_off(*node, PowerCause::Fault),
            Fault::Boot(node) => world.power_on(*node, PowerCause::Operator),
            Fault::Freeze(node) => world.freeze(*node),
            Fault::Thaw(node) => world.thaw(*node),
            Fault::KillDaemon(node, daemon) => known(world.kill_daemon(*node, daemon)),
            Fault::Pause(node, daemon) => known(world.pause_daemon(*node, daemon)),
            Fault::Resume(node, daemon) => known(world.resume_daemon(*node, daemon)),
            Fault::Disk(node, weather) => world.set_disk(*node, weather.clone()),
            Fault::Agents([start, stop, monitor, hang], most_ns) => {
                world.agents.call_ns.1 = *most_ns;
                world.agents.start_fails = *start;
                world.agents.stop_fails = *stop;
                world.agents.monitor_fails = *monitor;
                world.agents.hangs = *hang;
            }
            Fault::SlowLocal(node, most_ns) => world.slow_local(*node, *most_ns),
            Fault::Switch(node, mode) => {
                world.agents.switch.insert(*node, *mode);
            }
            Fault::Jobs(lost, most_ns) => {
                world.processes.job_lost = *lost;
                world.processes.job_ns.1 = *most_ns;
            }
            Fault::Calendar(node, by_ns) => world.jump_calendar(*node, *by_ns),
            Fault::Reload(node) => world.reload(*node),
            Fault::Stop(node) => world.stop(*node),
            Fault::Start(node) => world.start(*node),
        }
    }
}

/// Plans name daemons of the stack that they are made for.
fn known(result: Result<(), String>) {
    if let Err(why) = result {
        unreachable!("{why}");
    }
}

/// The plan of a seed; `nodes` overrides the number of nodes.
pub(super) fn plan(seed: u64, nodes: Option<u32>, daemons: &[&'static str]) -> Plan {
    let mut rng = Rng::new(seed).fork(0x0007_1a7e);
    let counts = [3, 3, 3, 3, 3, 3, 5, 5, 5, 5, 4, 4, 7, 6, 2, 1];
    let drawn = rng.pick(&counts).copied().unwrap_or(3);
    let nodes = nodes.unwrap_or(drawn);
    // All nodes together must not say more than one of them can order.
    let crowd = u64::from(nodes).div_ceil(7).pow(2);
    let chatter_ms = rng.chance(600).then(|| rng.range(20, 800) * crowd);
    let daemons =
        if chatter_ms.is_some() { daemons } else { &daemons[..daemons.len() - 1] }.to_vec();
    let length = rng.range(15, 50) * SECOND;
    let mut maker =
        Maker { nodes: (1..=nodes).map(Node).collect(), daemons, rng, faults: Vec::new(), length };
    maker.make();
    let Maker { mut rng, mut faults, length, .. } = maker;
    faults.sort_by_key(|timed| timed.at);
    let bounds = [8, 16, 64, 256];
    Plan {
        seed,
        nodes,
        chatter_ms,
        local_bound: rng.pick(&bounds).copied().unwrap_or(64),
        shadow: rng.chance(150),
        faults,
        heal_at: length + SECOND,
    }
}

/// Draws faults.
struct Maker {
    nodes: Vec<Node>,
    daemons: Vec<&'static str>,
    rng: Rng,
    faults: Vec<Timed>,
    /// How long the phase with faults lasts.
    length: u64,
}

type Draw = fn(&mut Maker, u64);

/// Every kind of fault. A seed uses some of them, so that rare combinations
/// occur often enough.
const MENU: &[Draw] = &[
    Maker::weather,
    Maker::local_weather,
    Maker::cut,
    Maker::one_way,
    Maker::kill,
    Maker::freeze,
    Maker::kill_daemon,
    Maker::pause,
    Maker::disk,
    Maker::agents,
    Maker::switch,
    Maker::jobs,
    Maker::calendar,
    Maker::leave,
    Maker::slow_local,
    Maker::crash_while_writing,
    Maker::all_apart,
    Maker::blind_keepers,
];

impl Maker {
    fn make(&mut self) {
        let mut menu: Vec<Draw> = MENU.to_vec();
        let keep = self.rng.range(2, 6);
        while menu.len() as u64 > keep {
            let index = usize::try_from(self.rng.below(menu.len() as u64)).unwrap_or(0);
            menu.swap_remove(index);
        }
        // Most clusters form in peace first.
        let first = if self.rng.chance(800) { 3 * SECOND } else { 0 };
        let mut at = first + self.rng.below(SECOND);
        while at < self.length {
            if let Some(draw) = self.rng.pick(&menu).copied() {
                draw(self, at);
            }
            at += self.pause_between();
        }
    }

    /// Sometimes one thing on top of the other, sometimes room to recover.
    fn pause_between(&mut self) -> u64 {
        match self.rng.below(3) {
            0 => self.rng.range(MILLI, 400 * MILLI),
            1 => self.rng.range(300 * MILLI, 3 * SECOND),
            _ => self.rng.range(2 * SECOND, 8 * SECOND),
        }
    }

    fn add(&mut self, at: u64, fault: Fault) {
        self.faults.push(Timed { at, fault });
    }

    fn node(&mut self) -> Node {
        // The lowest node coordinates, and often has the resource.
        if self.rng.chance(250) {
            return Node(1);
        }
        self.rng.pick(&self.nodes).copied().unwrap_or(Node(1))
    }

    fn later(&mut self, at: u64, least_ms: u64, most_ms: u64) -> u64 {
        at + self.rng.range(least_ms, most_ms) * MILLI
    }

    fn draw_weather(&mut self) -> Weather {
        let rng = &mut self.rng;
        let mut share =
            |most| if rng.chance(500) { u32::try_from(rng.below(most)).unwrap_or(0) } else { 0 };
        let (loss, duplicate, reorder, garble) = (share(400), share(300), share(500), share(100));
        let slowest = [300_000, 5 * MILLI, 60 * MILLI, 300 * MILLI];
        let most = self.rng.pick(&slowest).copied().unwrap_or(MILLI);
        Weather { loss, duplicate, reorder, garble, delay_ns: (50_000, most) }
    }

    fn weather(&mut self, at: u64) {
        let weather = self.draw_weather();
        self.add(at, Fault::Weather(weather));
        let end = self.later(at, 500, 10_000);
        self.add(end, Fault::HealNetwork);
    }

    fn local_weather(&mut self, at: u64) {
        let (from, to, weather) = (self.node(), self.node(), self.draw_weather());
        self.add(at, Fault::LocalWeather(from, to, weather));
    }

    fn cut(&mut self, at: u64) {
        let mut sides = vec![BTreeSet::new(); if self.rng.chance(800) { 2 } else { 3 }];
        for node in self.nodes.clone() {
            let side = usize::try_from(self.rng.below(sides.len() as u64)).unwrap_or(0);
            sides[side].insert(node);
        }
        self.add(at, Fault::Cut(sides));
        let end = self.later(at, 100, 12_000);
        self.add(end, Fault::HealNetwork);
    }

    fn one_way(&mut self, at: u64) {
        let (from, to) = (self.node(), self.node());
        self.add(at, Fault::OneWay(from, to));
        let end = self.later(at, 100, 10_000);
        self.add(end, Fault::HealNetwork);
    }

    fn kill(&mut self, at: u64) {
        let node = self.node();
        self.add(at, Fault::Kill(node));
        let end = self.later(at, 50, 12_000);
        self.add(end, Fault::Boot(node));
    }

    fn freeze(&mut self, at: u64) {
        let node = self.node();
        self.add(at, Fault::Freeze(node));
        let end = self.later(at, 50, 8_000);
        self.add(end, Fault::Thaw(node));
    }

    fn daemon(&mut self) -> &'static str {
        self.rng.pick(&self.daemons).copied().unwrap_or(self.daemons[0])
    }

    fn kill_daemon(&mut self, at: u64) {
        let (node, daemon) = (self.node(), self.daemon());
        self.add(at, Fault::KillDaemon(node, daemon));
    }

    fn pause(&mut self, at: u64) {
        let (node, daemon) = (self.node(), self.daemon());
        self.add(at, Fault::Pause(node, daemon));
        let end = self.later(at, 20, 6_000);
        self.add(end, Fault::Resume(node, daemon));
    }

    fn disk(&mut self, at: u64) {
        let node = self.node();
        let mut weather = DiskWeather::default();
        match self.rng.below(3) {
            0 => weather.latency_ns.1 = self.rng.range(10, 1500) * MILLI,
            1 => weather.fail = u32::try_from(self.rng.range(50, 1000)).unwrap_or(1000),
            _ => weather.full = true,
        }
        self.add(at, Fault::Disk(node, weather));
        let end = self.later(at, 300, 8_000);
        self.add(end, Fault::Disk(node, DiskWeather::default()));
    }

    fn agents(&mut self, at: u64) {
        let mut share = || {
            let share = if self.rng.chance(500) { self.rng.below(400) } else { 0 };
            u32::try_from(share).unwrap_or(0)
        };
        let shares = [share(), share(), share(), share() / 2];
        let slowest = [QUICK_AGENT, SECOND, 6 * SECOND];
        let most = self.rng.pick(&slowest).copied().unwrap_or(SECOND);
        self.add(at, Fault::Agents(shares, most));
        let end = self.later(at, 1_000, 12_000);
        self.add(end, Fault::Agents([0; 4], QUICK_AGENT));
    }

    fn switch(&mut self, at: u64) {
        let node = self.node();
        let mode = if self.rng.chance(500) { PowerMode::Fail } else { PowerMode::Hang };
        self.add(at, Fault::Switch(node, mode));
        let end = self.later(at, 1_000, 15_000);
        self.add(end, Fault::Switch(node, PowerMode::Ok));
    }

    fn jobs(&mut self, at: u64) {
        let lost = u32::try_from(self.rng.below(500)).unwrap_or(0);
        let most = self.rng.range(5, 900) * MILLI;
        self.add(at, Fault::Jobs(lost, most));
        let end = self.later(at, 500, 8_000);
        self.add(end, Fault::Jobs(0, 5 * MILLI));
    }

    fn calendar(&mut self, at: u64) {
        let node = self.node();
        let by = i64::try_from(self.rng.below(200 * SECOND)).unwrap_or(0) - 100_000_000_000;
        self.add(at, Fault::Calendar(node, by));
        self.add(at + MILLI, Fault::Reload(node));
    }

    fn leave(&mut self, at: u64) {
        let node = self.node();
        self.add(at, Fault::Stop(node));
        let end = self.later(at, 500, 12_000);
        self.add(end, Fault::Start(node));
    }

    fn slow_local(&mut self, at: u64) {
        let node = self.node();
        let most = self.rng.range(20, 1500) * MILLI;
        self.add(at, Fault::SlowLocal(node, most));
        let end = self.later(at, 1_000, 8_000);
        self.add(end, Fault::SlowLocal(node, 0));
    }

    /// A membership must be formed while a disk is slow, and its node dies
    /// before the disk has answered.
    fn crash_while_writing(&mut self, at: u64) {
        let (node, other) = (self.node(), self.node());
        let slow = DiskWeather { latency_ns: (200 * MILLI, 2 * SECOND), ..DiskWeather::default() };
        self.add(at, Fault::Disk(node, slow));
        self.add(at, Fault::KillDaemon(other, self.daemons[0]));
        let crash = self.later(at, 200, 2_500);
        if self.rng.chance(500) {
            self.add(crash, Fault::KillDaemon(node, self.daemons[0]));
        } else {
            self.add(crash, Fault::Kill(node));
            self.add(crash + 50 * MILLI, Fault::Boot(node));
        }
        self.add(crash + MILLI, Fault::Disk(node, DiskWeather::default()));
    }

    /// No side has a majority, for longer than a node may take to stop its
    /// resources: nobody can fence anybody.
    fn all_apart(&mut self, at: u64) {
        let alone = self.nodes.iter().map(|node| BTreeSet::from([*node])).collect();
        self.add(at, Fault::Cut(alone));
        let end = self.later(at, 16_000, 22_000);
        self.add(end, Fault::HealNetwork);
        self.length = self.length.max(end);
    }

    /// Keepers start again and cannot find out what runs.
    fn blind_keepers(&mut self, at: u64) {
        self.add(at, Fault::Agents([0, 0, 700, 0], QUICK_AGENT));
        for node in self.nodes.clone() {
            let when = self.later(at, 1, 600);
            if self.rng.chance(600) {
                self.add(when, Fault::KillDaemon(node, self.daemons[1]));
            }
        }
        let end = self.later(at, 700, 2_000);
        self.add(end, Fault::Agents([0; 4], QUICK_AGENT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAEMONS: &[&str] = &["ring", "keeper", "chatter"];

    #[test]
    fn a_seed_is_one_plan() {
        assert_eq!(plan(7, None, DAEMONS), plan(7, None, DAEMONS));
        assert_ne!(plan(7, None, DAEMONS).faults, plan(8, None, DAEMONS).faults);
        assert_eq!(plan(7, Some(9), DAEMONS).nodes, 9);
    }

    #[test]
    fn plans_are_in_order_and_use_daemons_that_run() {
        for seed in 0..200 {
            let plan = plan(seed, None, DAEMONS);
            assert!(plan.faults.is_sorted_by_key(|timed| timed.at));
            let chatters = plan.faults.iter().any(|timed| {
                matches!(timed.fault, Fault::KillDaemon(_, "chatter") | Fault::Pause(_, "chatter"))
            });
            assert!(!chatters || plan.chatter_ms.is_some(), "seed {seed}");
        }
    }
}
