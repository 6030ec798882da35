//! Processes: how a daemon is run, started, paused, killed and stopped.

use observe::Node;
use sansio::edge::Input;
use sansio::{JobId, Now};

use super::node::{Item, Slot};
use super::{What, World};
use crate::Machine;
use crate::local::Pid;
use crate::stack::Boot;

/// Datagrams that a socket keeps for a process that does not read.
const SOCKET_BUFFER: usize = 200;
/// A daemon that has been told to stop is killed after this.
const STOP_NS: u64 = 60_000_000_000;
/// No core arms a deadline that has passed so many times in a row.
const MAX_DEADLINES: u32 = 10_000;

/// How processes are scheduled and jobs run. Shares are per mille.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessWeather {
    /// How late a process wakes, at most.
    pub wake_late_ns: u64,
    /// Least and most time of a job.
    pub job_ns: (u64, u64),
    /// Share of jobs that are lost.
    pub job_lost: u32,
    /// Least and most time until a daemon that died is started again.
    pub respawn_ns: (u64, u64),
    /// Least and most time for a local message.
    pub local_ns: (u64, u64),
}

impl Default for ProcessWeather {
    fn default() -> Self {
        Self {
            wake_late_ns: 100_000,
            job_ns: (10_000, 5_000_000),
            job_lost: 0,
            respawn_ns: (100_000_000, 400_000_000),
            local_ns: (5_000, 60_000),
        }
    }
}

impl World {
    /// The slot of a daemon that still lives.
    pub(super) fn slot(&mut self, pid: Pid) -> Option<&mut Slot> {
        let node = self.nodes.get_mut(&pid.node)?;
        node.slots.get_mut(pid.slot).filter(|slot| slot.life == Some(pid.life))
    }

    /// The daemon that lives in a slot.
    pub(super) fn pid(&self, node: Node, slot: usize) -> Option<Pid> {
        let life = self.nodes.get(&node)?.slots.get(slot)?.life?;
        Some(Pid { node, slot, life })
    }

    pub(super) fn place(&self, pid: Pid) -> Place {
        Place { node: pid.node, daemon: self.stack.daemons()[pid.slot].name }
    }

    /// Gives a daemon something, now or when it is no longer paused.
    pub(super) fn give(&mut self, pid: Pid, item: Item) {
        let Some(slot) = self.slot(pid) else { return };
        if slot.paused_at.is_none() {
            return self.run(pid, item);
        }
        let is_datagram = matches!(item, Item::Input(Input::Datagram { .. }));
        if is_datagram && slot.inbox.len() >= SOCKET_BUFFER {
            self.counters.count("fault: socket buffer full");
            return;
        }
        slot.inbox.push_back(item);
    }

    pub(super) fn tell(&mut self, pid: Pid, input: Input<sansio::NoJob>) {
        if self.slot(pid).is_some() {
            let place = self.place(pid);
            self.line(place, format_args!("{input:?}"));
            self.give(pid, Item::Input(input));
        }
    }

    pub(super) fn wake(&mut self, pid: Pid) {
        let now = self.now;
        let Some(slot) = self.slot(pid) else { return };
        if slot.wake.is_some_and(|(_, at)| at <= now) {
            slot.wake = None;
        }
        if slot.paused_at.is_none() {
            self.run_with(pid, |_, _| {});
        }
    }

    /// Handles an item by the driver's rules.
    fn run(&mut self, pid: Pid, item: Item) {
        self.run_with(pid, |machine, now| match item {
            Item::Input(input) => machine.handle(now, input),
            Item::Job(id, lost) => machine.end_job(now, id, lost),
        });
    }

    /// Deadlines that have passed, then `step`, outputs drained after each.
    fn run_with(&mut self, pid: Pid, step: impl FnOnce(&mut dyn Machine, Now)) {
        let at = self.now;
        let now = self.node(pid.node).clock.now(at);
        let Some(mut machine) = self.slot(pid).and_then(|slot| slot.machine.take()) else { return };
        let lives = self.run_due(pid, machine.as_mut(), now) && {
            step(machine.as_mut(), now);
            self.drain(pid, machine.as_mut())
        };
        if lives {
            self.counters.state(self.stack.daemons()[pid.slot].name, machine.state());
            self.schedule_wake(pid, machine.as_ref());
            if let Some(slot) = self.slot(pid) {
                slot.machine = Some(machine);
            }
        }
    }

    fn run_due(&mut self, pid: Pid, machine: &mut dyn Machine, now: Now) -> bool {
        let mut handled = 0;
        while machine.poll_timeout().is_some_and(|at| at <= now.mono) {
            handled += 1;
            assert!(handled < MAX_DEADLINES, "{pid:?} arms deadlines that have passed");
            machine.handle_timeout(now);
            if let Some(timer) = machine.last_timer() {
                self.counters.timer(self.stack.daemons()[pid.slot].name, timer);
                self.trace.bytes(timer.as_bytes());
            }
            if !self.drain(pid, machine) {
                return false;
            }
        }
        true
    }

    /// Performs all outputs; false when the daemon has ended.
    fn drain(&mut self, pid: Pid, machine: &mut dyn Machine) -> bool {
        while let Some(output) = machine.poll_output() {
            if let sansio::edge::Output::Exit { code } = output {
                let place = self.place(pid);
                self.line(place, format_args!("exits with status {code}"));
                self.ended(pid);
                return false;
            }
            self.perform(pid, output);
        }
        true
    }

    fn schedule_wake(&mut self, pid: Pid, machine: &dyn Machine) {
        let Some(deadline) = machine.poll_timeout() else { return };
        let late = self.processes.wake_late_ns;
        let late = self.rng.processes.range(0, late);
        let now = self.now;
        let at = self.node(pid.node).clock.when(deadline).max(now).saturating_add(late);
        let Some(slot) = self.slot(pid) else { return };
        if slot.wake.is_none_or(|(earlier, _)| deadline < earlier) {
            slot.wake = Some((deadline, at));
            self.queue.push(at, self.current, What::Wake(pid));
        }
    }

    pub(super) fn start_daemon(&mut self, node: Node, index: usize, boot: u64) {
        let at = self.now;
        let state = self.node(node);
        let wanted = state.power && state.enabled && state.boot == boot;
        if !wanted || state.slots[index].life.is_some() {
            return;
        }
        if state.frozen {
            return state.stalled.push(What::StartDaemon { node, slot: index, boot });
        }
        state.lives += 1;
        let life = state.lives;
        let now = state.clock.now(at);
        let disk = &self.nodes[&node].disk;
        let read = |name: &str| disk.read(index, name).map(<[u8]>::to_vec);
        let layout = &self.layout;
        let boot = Boot { node, now, epoch: life, layout, read: &read, shadow: self.shadow };
        let machine = self.stack.boot(index, &boot);
        let pid = Pid { node, slot: index, life };
        let slot = &mut self.node(node).slots[index];
        *slot = Slot { life: Some(life), machine: Some(machine), ..Slot::default() };
        let place = self.place(pid);
        self.line(place, format_args!("starts (life {life})"));
        self.able(node);
        // What the core wants done from the beginning.
        if let Some(mut machine) = self.slot(pid).and_then(|slot| slot.machine.take())
            && self.drain(pid, machine.as_mut())
        {
            self.counters.state(place.daemon, machine.state());
            self.schedule_wake(pid, machine.as_ref());
            if let Some(slot) = self.slot(pid) {
                slot.machine = Some(machine);
            }
        }
    }

    /// A daemon's process has ended, in whatever way.
    pub(super) fn ended(&mut self, pid: Pid) {
        let Some(slot) = self.slot(pid) else { return };
        *slot = Slot::default();
        self.end_connections(pid);
        let crash = {
            let rng = &mut self.rng.disk;
            let node = self.nodes.get_mut(&pid.node).expect("it lived there");
            node.disk.killed(rng, pid.slot)
        };
        self.count_crash(crash);
        let state = self.node(pid.node);
        let (boot, stopping, enabled) = (state.boot, state.stopping, state.enabled);
        if stopping {
            return self.stop_next(pid.node);
        }
        self.not_able(pid.node);
        if enabled {
            let (least, most) = self.processes.respawn_ns;
            let delay = self.rng.processes.range(least, most);
            self.after(delay, What::StartDaemon { node: pid.node, slot: pid.slot, boot });
        }
    }

    /// Tells the last daemon that still runs to stop.
    pub(super) fn stop_next(&mut self, node: Node) {
        let slots = self.stack.daemons().len();
        let last = (0..slots).rev().find_map(|slot| self.pid(node, slot));
        match last {
            Some(pid) => {
                self.after(0, What::Tell { pid, input: Input::Stop });
                self.after(STOP_NS, What::StopTimeout { pid });
            }
            None => self.node(node).stopping = false,
        }
    }

    pub(super) fn stop_timeout(&mut self, pid: Pid) {
        if self.slot(pid).is_some() && self.node(pid.node).stopping {
            let place = self.place(pid);
            self.line(place, format_args!("is killed: it did not stop in time"));
            self.ended(pid);
        }
    }

    pub(super) fn pause(&mut self, pid: Pid) {
        let now = self.now;
        if let Some(slot) = self.slot(pid).filter(|slot| slot.paused_at.is_none()) {
            slot.paused_at = Some(now);
            self.not_able(pid.node);
        }
    }

    /// Lets a paused daemon go on. The gap of its loop is told like any input:
    /// after deadlines that have passed, before what queued up.
    pub(super) fn resume(&mut self, pid: Pid) {
        let now = self.now;
        let Some(slot) = self.slot(pid) else { return };
        let Some(since) = slot.paused_at.take() else { return };
        let inbox = std::mem::take(&mut slot.inbox);
        let limit = slot.machine.as_ref().and_then(|machine| machine.pause_limit());
        self.able(pid.node);
        let gap = std::time::Duration::from_nanos(now - since);
        if limit.is_some_and(|limit| gap > limit) {
            let ms = u64::try_from(gap.as_millis()).unwrap_or(u64::MAX);
            self.counters.count("input: paused");
            self.tell(pid, Input::Paused { ms });
        }
        for item in inbox {
            self.give(pid, item);
        }
        if let Some(slot) = self.slot(pid) {
            slot.wake = None;
            self.after(0, What::Wake(pid));
            self.resume_connections(pid);
        }
    }

    pub(super) fn start_job(&mut self, pid: Pid, id: JobId, kind: &'static str) {
        let Some(slot) = self.slot(pid) else { return };
        let waiting = slot.jobs.entry(kind).or_default();
        waiting.push_back(id);
        if waiting.len() == 1 {
            self.run_job(pid, id);
        } else {
            // A newer one waits: the result of the one that runs may be dropped.
            let running = waiting[0];
            slot.cancelled.insert(running);
            self.counters.count("job: overtaken by a newer one");
        }
    }

    fn run_job(&mut self, pid: Pid, id: JobId) {
        let (least, most) = self.processes.job_ns;
        let time = self.rng.processes.range(least, most);
        self.after(time, What::JobEnd { pid, id });
    }

    pub(super) fn cancel_job(&mut self, pid: Pid, id: JobId) {
        if let Some(slot) = self.slot(pid) {
            slot.cancelled.insert(id);
        }
    }

    pub(super) fn job_end(&mut self, pid: Pid, id: JobId) {
        let (lost, noticed) = {
            let rng = &mut self.rng.processes;
            (rng.chance(self.processes.job_lost), rng.chance(500))
        };
        let Some(slot) = self.slot(pid) else { return };
        let cancelled = slot.cancelled.remove(&id);
        let mut next = None;
        for waiting in slot.jobs.values_mut() {
            if waiting.front() == Some(&id) {
                waiting.pop_front();
                next = waiting.front().copied();
            }
        }
        let why = if cancelled && noticed {
            Some("cancelled")
        } else if lost {
            self.counters.count("fault: job lost");
            Some("lost")
        } else {
            self.counters.count("job: done");
            None
        };
        let place = self.place(pid);
        self.line(place, format_args!("job {} ends ({})", id.0, why.unwrap_or("done")));
        if let Some(next) = next {
            self.run_job(pid, next);
        }
        self.give(pid, Item::Job(id, why));
    }
}

/// Where something happens, for the trace.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) node: Node,
    pub(super) daemon: &'static str,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.node, self.daemon)
    }
}
