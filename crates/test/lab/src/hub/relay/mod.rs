//! Delay lines: a kernel without netem delays nothing by itself, so a slow
//! link's frames are carried by the hub.
//!
//! ```text
//! node eth0 -- n1e0 ==reader==> queue, so many ms ==writer==> n1s0 -- n1s1 in the bridge
//!                   <========== at once ===================
//! ```
//!
//! The bridge and its rules stay in the path; only what leaves a node waits, so
//! a frame between two nodes is delayed once.

mod packet;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::net::{port, slow_port};
use crate::tool;
use packet::PacketSocket;

/// All delay lines.
#[derive(Default)]
pub(crate) struct Relays {
    delay: Option<Duration>,
    running: BTreeMap<u32, Arc<AtomicBool>>,
}

impl Relays {
    /// How long frames wait; none: the switch is not slow.
    pub(crate) fn delay(&self) -> Option<Duration> {
        self.delay
    }

    /// For delay lines inserted from now on.
    pub(crate) fn set_delay(&mut self, delay_ms: Option<u64>) {
        self.delay = delay_ms.map(Duration::from_millis);
    }

    /// Takes a node's port from the bridge and puts a delay line between.
    pub(crate) fn insert(&mut self, node: u32) -> Result<(), String> {
        let Some(delay) = self.delay else { return Ok(()) };
        let (near, inner, outer) = (port(node), format!("n{node}s0"), slow_port(node));
        let ip = |words: &[&str]| tool::run("ip", words).map(drop);
        ip(&["link", "set", &near, "nomaster"])?;
        ip(&["link", "add", &inner, "type", "veth", "peer", "name", &outer])?;
        ip(&["link", "set", &inner, "up"])?;
        ip(&["link", "set", &outer, "master", "br0", "up"])?;
        // A port that is in no bridge drops what is not addressed to it.
        for end in [&near, &inner] {
            ip(&["link", "set", end, "promisc", "on"])?;
        }
        let open = |name: &str| PacketSocket::open(name).map_err(|e| format!("{name}: {e}"));
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, queue) = mpsc::channel();
        let (from_node, to_bridge) = (open(&near)?, open(&inner)?);
        let (from_bridge, to_node) = (open(&inner)?, open(&near)?);
        let flag = Arc::clone(&stop);
        thread::spawn(move || read_into(&from_node, &sender, &flag));
        thread::spawn(move || write_late(&queue, delay, &to_bridge));
        let flag = Arc::clone(&stop);
        thread::spawn(move || carry(&from_bridge, &to_node, &flag));
        self.running.insert(node, stop);
        Ok(())
    }

    /// Takes a node's delay line out; its frames under way are lost.
    pub(crate) fn remove(&mut self, node: u32) {
        if let Some(stop) = self.running.remove(&node) {
            stop.store(true, Ordering::Relaxed);
            let _ = tool::run("ip", &["link", "del", &slow_port(node)]);
        }
    }
}

fn read_into(from: &PacketSocket, queue: &Sender<(Instant, Vec<u8>)>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match from.receive() {
            Ok(Some(frame)) => {
                if queue.send((Instant::now(), frame)).is_err() {
                    return;
                }
            }
            Ok(None) => {}
            Err(_) => return,
        }
    }
}

fn write_late(queue: &Receiver<(Instant, Vec<u8>)>, delay: Duration, to: &PacketSocket) {
    while let Ok((arrived, frame)) = queue.recv() {
        thread::sleep((arrived + delay).saturating_duration_since(Instant::now()));
        // A frame that cannot be sent is lost, as on a cable.
        let _ = to.send(&frame);
    }
}

fn carry(from: &PacketSocket, to: &PacketSocket, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match from.receive() {
            Ok(Some(frame)) => drop(to.send(&frame)),
            Ok(None) => {}
            Err(_) => return,
        }
    }
}
