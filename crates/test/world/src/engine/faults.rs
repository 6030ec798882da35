//! What a runner does to a cluster: power, freezing, killing, clocks.

use observe::{Event, Node, PowerCause};
use sansio::edge::Input;

use super::{What, World};
use crate::disk::DiskWeather;

impl World {
    /// Starts the node's cluster software, now if it has power and at each boot.
    pub fn start(&mut self, node: Node) {
        let state = self.node(node);
        state.enabled = true;
        state.stopping = false;
        if state.power {
            self.start_daemons(node);
        }
    }

    fn start_daemons(&mut self, node: Node) {
        let boot = self.node(node).boot;
        for slot in 0..self.stack.daemons().len() {
            let gap = self.rng.processes.range(1_000_000, 80_000_000);
            let delay = gap + slot as u64 * 100_000_000;
            self.after(delay, What::StartDaemon { node, slot, boot });
        }
    }

    /// Stops the node's cluster software in good order, the last daemon first.
    pub fn stop(&mut self, node: Node) {
        let state = self.node(node);
        let running = state.power && !state.stopping;
        state.enabled = false;
        if running {
            state.stopping = true;
            self.counters.count("fault: node leaves in good order");
            self.stop_next(node);
        }
    }

    /// Whether the node's cluster software runs, or is meant to.
    pub fn is_enabled(&self, node: Node) -> bool {
        self.nodes.get(&node).is_some_and(|state| state.enabled)
    }

    /// Whether the node has power.
    pub fn has_power(&self, node: Node) -> bool {
        self.nodes.get(&node).is_some_and(|state| state.power)
    }

    /// Whether the node is frozen.
    pub fn is_frozen(&self, node: Node) -> bool {
        self.nodes.get(&node).is_some_and(|state| state.frozen)
    }

    /// Takes the node's power away: all that is not on its disk is gone.
    pub fn power_off(&mut self, node: Node, cause: PowerCause) {
        if !self.node(node).power {
            return;
        }
        self.counters.count(match cause {
            PowerCause::Fence => "power: lost by fencing",
            PowerCause::Fault | PowerCause::Operator => "fault: node killed",
        });
        self.observe(Node(0), Event::Power { target: node, on: false, cause });
        for slot in 0..self.stack.daemons().len() {
            if let Some(pid) = self.pid(node, slot) {
                self.forget_connections(pid);
            }
        }
        self.able_again(node);
        let state = self.nodes.get_mut(&node).expect("it was there a moment ago");
        let crash = state.disk.power_lost(&mut self.rng.disk);
        state.power = false;
        state.frozen = false;
        state.stopping = false;
        state.boot += 1;
        state.slots.iter_mut().for_each(|slot| *slot = super::node::Slot::default());
        state.agents.clear();
        state.calls.clear();
        state.active.clear();
        state.stalled.clear();
        state.plants.held = None;
        state.last = super::node::Last::default();
        self.count_crash(crash);
    }

    /// Gives the node power; what was started before starts again.
    pub fn power_on(&mut self, node: Node, cause: PowerCause) {
        let uptime = self.rng.processes.range(500_000_000, 3_000_000_000);
        let now = self.now;
        let state = self.node(node);
        if state.power {
            return;
        }
        state.power = true;
        state.clock.booted_at = now;
        state.clock.uptime_ns = uptime;
        let enabled = state.enabled;
        self.observe(Node(0), Event::Power { target: node, on: true, cause });
        if enabled {
            self.start_daemons(node);
        }
    }

    /// Stops all processes of the node without killing them.
    pub fn freeze(&mut self, node: Node) {
        let state = self.node(node);
        if !state.power || state.frozen {
            return;
        }
        state.frozen = true;
        self.counters.count("fault: node frozen");
        self.not_able(node);
        for slot in 0..self.stack.daemons().len() {
            if let Some(pid) = self.pid(node, slot) {
                self.pause(pid);
            }
        }
    }

    /// Lets a frozen node go on.
    pub fn thaw(&mut self, node: Node) {
        let state = self.node(node);
        if !state.frozen {
            return;
        }
        state.frozen = false;
        let stalled = std::mem::take(&mut state.stalled);
        for what in stalled {
            self.after(0, what);
        }
        self.able(node);
        for slot in 0..self.stack.daemons().len() {
            if let Some(pid) = self.pid(node, slot) {
                self.resume(pid);
            }
        }
    }

    fn slot_named(&self, daemon: &str) -> Result<usize, String> {
        let daemons = self.stack.daemons();
        let found = daemons.iter().position(|spec| spec.name == daemon);
        found.ok_or_else(|| {
            let names: Vec<&str> = daemons.iter().map(|spec| spec.name).collect();
            format!("no daemon is called \"{daemon}\"; there are {}", names.join(", "))
        })
    }

    /// SIGKILL to one daemon; it is started again soon.
    pub fn kill_daemon(&mut self, node: Node, daemon: &str) -> Result<(), String> {
        let slot = self.slot_named(daemon)?;
        if let Some(pid) = self.pid(node, slot) {
            let place = self.place(pid);
            self.line(place, format_args!("is killed"));
            self.counters.count("fault: daemon killed");
            self.ended(pid);
        }
        Ok(())
    }

    /// SIGSTOP to one daemon.
    pub fn pause_daemon(&mut self, node: Node, daemon: &str) -> Result<(), String> {
        let slot = self.slot_named(daemon)?;
        if let Some(pid) = self.pid(node, slot) {
            self.counters.count("fault: daemon paused");
            self.pause(pid);
        }
        Ok(())
    }

    /// SIGCONT to one daemon, unless the whole node is frozen.
    pub fn resume_daemon(&mut self, node: Node, daemon: &str) -> Result<(), String> {
        let slot = self.slot_named(daemon)?;
        if let Some(pid) = self.pid(node, slot).filter(|_| !self.is_frozen(node)) {
            self.resume(pid);
        }
        Ok(())
    }

    /// SIGHUP to all daemons of a node.
    pub fn reload(&mut self, node: Node) {
        for slot in 0..self.stack.daemons().len() {
            if let Some(pid) = self.pid(node, slot) {
                self.counters.count("fault: reload");
                self.tell(pid, Input::Reload);
            }
        }
    }

    /// The node's calendar jumps.
    pub fn jump_calendar(&mut self, node: Node, by_ns: i64) {
        self.counters.count("fault: calendar jumps");
        let clock = &mut self.node(node).clock;
        clock.wall_offset_ns = clock.wall_offset_ns.saturating_add(by_ns);
    }

    /// How the node's disk behaves from now on.
    pub fn set_disk(&mut self, node: Node, weather: DiskWeather) {
        self.node(node).disk.weather = weather;
    }

    /// Local messages on the node take up to so many nanoseconds more.
    pub fn slow_local(&mut self, node: Node, most_ns: u64) {
        if most_ns > 0 {
            self.counters.count("fault: slow local messages");
        }
        self.node(node).local_slow_ns = most_ns;
    }

    /// Ends every fault that is not a state of a node: network, disks, agents,
    /// processes and the power switch are as they should be.
    pub fn heal(&mut self) {
        self.network.heal();
        self.locals.set_bound(super::LOCAL_BOUND);
        self.agents = super::AgentWeather::default();
        self.processes = super::ProcessWeather::default();
        for state in self.nodes.values_mut() {
            let lying = state.disk.weather.lying;
            state.local_slow_ns = 0;
            state.disk.weather = DiskWeather { lying, ..DiskWeather::default() };
        }
    }

    pub(super) fn not_able(&mut self, node: Node) {
        let now = self.now;
        let (count, since) = &mut self.node(node).unable;
        if *count == 0 {
            *since = now;
        }
        *count += 1;
    }

    pub(super) fn able(&mut self, node: Node) {
        let (count, since) = &mut self.node(node).unable;
        if *count == 0 {
            return; // the first start
        }
        *count -= 1;
        let from = *since;
        if *count == 0 {
            self.unable.push(checkers::Interval { node, from, to: self.now });
        }
    }

    fn able_again(&mut self, node: Node) {
        while self.node(node).unable.0 > 0 {
            self.able(node);
        }
    }

    /// Stretches in which nodes could not act, up to now.
    pub fn unable(&self) -> Vec<checkers::Interval> {
        let open = self.nodes.iter().filter(|(_, state)| state.unable.0 > 0);
        let open = open.map(|(node, state)| checkers::Interval {
            node: *node,
            from: state.unable.1,
            to: self.now,
        });
        self.unable.iter().copied().chain(open).collect()
    }
}
