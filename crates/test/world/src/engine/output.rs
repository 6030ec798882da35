//! What daemons want done: datagrams, local connections, the disk.

use std::net::SocketAddr;

use observe::Node;
use sansio::edge::{Conn, Credentials, Frame, Input, Level, Link, Output};

use super::node::Item;
use super::{What, World};
use crate::disk::Crash;
use crate::local::{End, Pid, Queued};
use crate::network::{Fate, address, resolve};

/// Accepted connections are numbered from here.
const ACCEPTED: u64 = 1 << 32;

impl World {
    pub(super) fn perform(&mut self, pid: Pid, output: Output<&'static str>) {
        match output {
            Output::Send { link, to, bytes } => self.send(pid, link, to, &bytes),
            Output::Connect { conn, service } => {
                let delay = self.local_delay(pid.node);
                self.after(delay, What::Connect { pid, conn, service });
            }
            Output::Frame { conn, frame } => self.queue_frame(pid, conn, frame),
            Output::FlowControl { conn, level } => self.flow_control(pid, conn, level),
            Output::Close { conn, why } => self.close(pid, conn, why),
            Output::Spawn(spawn) => self.spawn(pid, &spawn),
            Output::Kill(child) => self.kill_child(pid, child),
            Output::Persist { id, name, bytes } => {
                let (now, slot) = (self.now, pid.slot);
                let node = self.nodes.get_mut(&pid.node).expect("it runs there");
                let end = node.disk.begin(&mut self.rng.disk, now, slot, (id, name, bytes));
                self.after(end - now, What::DiskDone { pid });
            }
            Output::Job { id, job } => self.start_job(pid, id, job),
            Output::CancelJob(id) => self.cancel_job(pid, id),
            Output::Log { level, text, .. } => self.log(pid, level, &text),
            Output::ReadConfig => {
                // Nothing in the simulator changes a configuration.
                let input = Input::ConfigRead(Err("there are no files here".into()));
                let delay = self.local_delay(pid.node);
                self.after(delay, What::Tell { pid, input });
            }
            // Every client here is root, and no log has a file.
            Output::Allow { .. } | Output::ReopenLogs => {}
            Output::Observe(event) => self.observe(pid.node, event),
            Output::Ready => {
                if let Some(slot) = self.slot(pid) {
                    slot.ready = true;
                }
            }
            Output::Exit { .. } => unreachable!("whoever drains ends the daemon"),
        }
    }

    fn log(&mut self, pid: Pid, level: Level, text: &str) {
        let place = self.place(pid);
        self.line(place, format_args!("{level:?}: {text}"));
    }

    fn send(&mut self, pid: Pid, link: Link, to: SocketAddr, bytes: &[u8]) {
        self.trace.bytes(bytes);
        self.counters.count("datagram: sent");
        let Some((target, _)) = resolve(to).filter(|(node, _)| self.nodes.contains_key(node))
        else {
            return self.counters.count("datagram: to nobody");
        };
        let route = (pid.node, target, link);
        let fate = self.network.route(&mut self.rng.network, self.now, route, bytes.len());
        let arrivals = match fate {
            Fate::Lost(why) => {
                self.counters.count(match why {
                    "loss" => "fault: datagram lost",
                    "cut" => "fault: cut",
                    _ => "fault: one-way cut",
                });
                let len = bytes.len();
                let place = self.place(pid);
                return self.line(place, format_args!("to {target}: {len} bytes lost ({why})"));
            }
            Fate::Arrives(arrivals) => arrivals,
        };
        if arrivals.len() > 1 {
            self.counters.count("fault: datagram doubled");
        }
        let from = address(pid.node, link);
        for arrival in arrivals {
            if arrival.reordered {
                self.counters.count("fault: datagram out of order");
            }
            let mut bytes = bytes.to_vec();
            if let Some(len) = arrival.cut_to {
                self.counters.count("fault: datagram garbled");
                bytes.truncate(len);
            }
            let delay = arrival.at - self.now;
            self.after(delay, What::Datagram { to: target, link, from, bytes });
        }
    }

    pub(super) fn datagram(&mut self, to: Node, link: Link, from: SocketAddr, bytes: Vec<u8>) {
        let owner = self.stack.daemons().iter().position(|daemon| daemon.datagrams);
        let Some(pid) = owner.and_then(|slot| self.pid(to, slot)) else {
            return self.counters.count("datagram: nobody listens");
        };
        let place = self.place(pid);
        let len = bytes.len();
        if let Some((sender, _)) = resolve(from) {
            self.line(place, format_args!("gets {len} bytes from {sender}"));
        }
        self.give(pid, Item::Input(Input::Datagram { link, from, bytes }));
    }

    fn local_delay(&mut self, node: Node) -> u64 {
        let (least, most) = self.processes.local_ns;
        let most = most + self.node(node).local_slow_ns;
        self.rng.local.range(least, most)
    }

    pub(super) fn connect(&mut self, pid: Pid, conn: Conn, service: String) {
        if self.slot(pid).is_none() {
            return;
        }
        let serves = |spec: &crate::DaemonSpec| spec.services.contains(&service.as_str());
        let server = self.stack.daemons().iter().position(serves);
        let server = server.and_then(|slot| self.pid(pid.node, slot));
        let ready = |world: &mut Self, pid| world.slot(pid).is_some_and(|slot| slot.ready);
        let Some(server) = server.filter(|server| *server == pid || ready(self, *server)) else {
            self.counters.count("fault: connection refused");
            return self.tell(pid, Input::Closed { conn, why: "connection refused".into() });
        };
        let number = {
            let Some(slot) = self.slot(server) else { return };
            slot.accepted += 1;
            Conn(ACCEPTED + slot.accepted)
        };
        let credentials = |pid: Pid| Credentials {
            pid: 100 + u32::try_from(pid.life).unwrap_or(u32::MAX - 100),
            ..Credentials::default()
        };
        self.locals.open(End { pid, conn }, End { pid: server, conn: number });
        let accepted = Input::Accepted { conn: number, service, peer: credentials(pid) };
        self.tell(server, accepted);
        self.after(
            0,
            What::Tell { pid, input: Input::Connected { conn, peer: credentials(server) } },
        );
    }

    fn queue_frame(&mut self, pid: Pid, conn: Conn, frame: Frame) {
        let Some((local, end)) = self.locals.find(pid, conn) else { return };
        self.trace.bytes(&frame.body);
        match self.locals.push(local, end, frame) {
            Queued::Fine => {}
            Queued::NowBlocked => {
                self.counters.count("ipc: blocked");
                self.after(0, What::Tell { pid, input: Input::Blocked(conn) });
            }
            Queued::Overflow => {
                self.counters.count("ipc: dropped, its queue was full");
                return self.drop_connection(local, "its queue was full");
            }
        }
        self.schedule_transfer(local, end);
    }

    fn schedule_transfer(&mut self, local: u64, end: usize) {
        let Some(entry) = self.locals.entry(local) else { return };
        let node = entry.ends[end].pid.node;
        let held = end == 0 && entry.held;
        let flow = &mut entry.flows[end];
        let something = !flow.queue.is_empty() && !held || flow.ending.is_some();
        if something && !flow.scheduled {
            flow.scheduled = true;
            let delay = self.local_delay(node);
            self.after(delay, What::Transfer { local, end });
        }
    }

    pub(super) fn transfer(&mut self, local: u64, end: usize) {
        let Some(entry) = self.locals.entry(local) else { return };
        entry.flows[end].scheduled = false;
        let (sender, receiver) = (entry.ends[end], entry.ends[1 - end]);
        let held = end == 0 && entry.held && entry.flows[end].ending.is_none();
        let paused = self.slot(receiver.pid).is_some_and(|slot| slot.paused_at.is_some());
        if held || paused {
            return; // scheduled again when it is let go on
        }
        let Some((frame, writable)) = self.locals.pop(local, end) else {
            return self.end_of_flow(local, end);
        };
        if writable {
            self.counters.count("ipc: writable again");
            let input = Input::Writable(sender.conn);
            self.after(0, What::Tell { pid: sender.pid, input });
        }
        self.schedule_transfer(local, end);
        let place = self.place(receiver.pid);
        let (channel, id, len) = (frame.channel, frame.id, frame.body.len());
        self.line(place, format_args!("gets {channel:?} {id} of {len} bytes"));
        self.give(receiver.pid, Item::Input(Input::Frame { conn: receiver.conn, frame }));
    }

    /// All that the sender queued has been read: the receiver learns that it ended.
    fn end_of_flow(&mut self, local: u64, end: usize) {
        let Some(entry) = self.locals.entry(local) else { return };
        let Some(why) = entry.flows[end].ending.clone() else { return };
        let receiver = entry.ends[1 - end];
        self.locals.remove(local);
        self.tell(receiver.pid, Input::Closed { conn: receiver.conn, why });
    }

    fn flow_control(&mut self, pid: Pid, conn: Conn, level: u8) {
        let Some((local, 1)) = self.locals.find(pid, conn) else { return };
        if let Some(entry) = self.locals.entry(local) {
            entry.held = level > 0;
        }
        self.counters.count(if level > 0 { "ipc: held back" } else { "ipc: served again" });
        self.schedule_transfer(local, 0);
    }

    fn close(&mut self, pid: Pid, conn: Conn, why: String) {
        if let Some((local, end)) = self.locals.find(pid, conn) {
            self.finish_flow(local, end, why);
        }
    }

    /// `end` sends and reads nothing more.
    fn finish_flow(&mut self, local: u64, end: usize, why: String) {
        let Some(entry) = self.locals.entry(local) else { return };
        entry.flows[1 - end].queue.clear();
        if entry.flows[1 - end].ending.is_some() {
            self.locals.remove(local); // both are gone
            return;
        }
        entry.flows[end].ending = Some(why);
        self.schedule_transfer(local, end);
    }

    /// Both sides learn at once that a connection is gone.
    fn drop_connection(&mut self, local: u64, why: &str) {
        let Some(entry) = self.locals.remove(local) else { return };
        for end in entry.ends {
            let input = Input::Closed { conn: end.conn, why: why.to_string() };
            self.after(0, What::Tell { pid: end.pid, input });
        }
    }

    /// A daemon is gone: what it queued is still read, then the other side learns it.
    pub(super) fn end_connections(&mut self, pid: Pid) {
        for (local, end) in self.locals.of(pid) {
            self.finish_flow(local, end, "the other side is gone".into());
        }
    }

    /// Everything on the node is gone at once.
    pub(super) fn forget_connections(&mut self, pid: Pid) {
        for (local, _) in self.locals.of(pid) {
            self.locals.remove(local);
        }
    }

    pub(super) fn resume_connections(&mut self, pid: Pid) {
        for (local, end) in self.locals.of(pid) {
            self.schedule_transfer(local, 1 - end);
        }
    }

    pub(super) fn disk_done(&mut self, pid: Pid) {
        if self.slot(pid).is_none() {
            return;
        }
        let node = self.nodes.get_mut(&pid.node).expect("it runs there");
        let Some((id, errno)) = node.disk.finish(&mut self.rng.disk, pid.slot) else { return };
        let input =
            if errno == 0 { Input::Persisted(id) } else { Input::PersistFailed { id, errno } };
        self.counters.count(match errno {
            0 => "disk: written",
            28 => "fault: disk full",
            _ => "fault: disk write failed",
        });
        self.tell(pid, input);
    }

    pub(super) fn count_crash(&mut self, crash: Crash) {
        self.counters.add("fault: unsynced write lost", crash.lost);
        self.counters.add("disk: unanswered write kept", crash.kept);
        self.counters.add("fault: answered write lost", crash.betrayed);
    }
}
