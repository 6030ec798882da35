//! How much a message costs the core: rings of two and three in memory, without
//! a network, one processor for all nodes.
//!
//! `cargo run --release -p totem --example totem_bench`
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark reads the clock"
)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ha_types::Node;
use ha_types::ring::ConfigurationKind;
use sansio::{Core, Mono, Now};
use totem::{Class, Config, Group, Input, Output, To, Totem};

struct Ring {
    nodes: Vec<Totem>,
    wire: VecDeque<(usize, Bytes)>,
    now: Mono,
    delivered: u64,
    datagrams: u64,
}

impl Ring {
    fn form(count: u32) -> Self {
        let (wire, nodes) = (VecDeque::new(), Vec::new());
        let mut ring = Self { nodes, wire, now: Mono(1), delivered: 0, datagrams: 0 };
        for id in 1..=count {
            ring.nodes.push(Totem::new(ring.now(), Config::new(Node(id))));
        }
        for index in 0..ring.nodes.len() {
            let now = ring.now();
            ring.nodes[index].handle(now, Input::Interface { up: true });
            ring.drain(index);
        }
        while !ring
            .nodes
            .iter()
            .all(|node| node.members().is_some_and(|m| m.len() == ring.nodes.len()))
        {
            ring.turn();
        }
        ring
    }

    fn now(&self) -> Now {
        Now { mono: self.now, ..Now::default() }
    }

    fn turn(&mut self) {
        if let Some((index, bytes)) = self.wire.pop_front() {
            let now = self.now();
            self.nodes[index].handle(now, Input::Datagram(bytes));
            self.drain(index);
        } else {
            self.now = self.now + Duration::from_millis(1);
        }
        let now = self.now();
        for index in 0..self.nodes.len() {
            while self.nodes[index].poll_timeout().is_some_and(|at| at <= now.mono) {
                self.nodes[index].handle_timeout(now);
                self.drain(index);
            }
        }
    }

    fn drain(&mut self, index: usize) {
        while let Some(output) = self.nodes[index].poll_output() {
            match output {
                Output::Send { to: To::Node(node), bytes } => {
                    self.wire.push_back((node.0 as usize - 1, bytes));
                }
                Output::Send { bytes, .. } => {
                    let others = (0..self.nodes.len()).filter(|other| *other != index);
                    self.wire.extend(others.map(|other| (other, bytes.clone())));
                    self.datagrams += 1;
                }
                Output::Persist { id, .. } => {
                    let now = self.now();
                    self.nodes[index].handle(now, Input::Persisted(id));
                }
                Output::Configuration(c) if c.kind == ConfigurationKind::Regular => {
                    let now = self.now();
                    self.nodes[index].handle(now, Input::SyncDone);
                }
                Output::Deliver(_) => self.delivered += 1,
                _ => {}
            }
        }
    }

    /// Sends from all nodes for a while; messages per second, each delivered by
    /// every node.
    fn measure(&mut self, len: usize, time: Duration) -> f64 {
        let message = Bytes::from(vec![0x5a; len]);
        let begin = Instant::now();
        self.delivered = 0;
        while begin.elapsed() < time {
            for index in 0..self.nodes.len() {
                let now = self.now();
                let place = (Group::Services, Class::Ordinary, false);
                while self.nodes[index].submit(now, place, message.clone()).is_ok() {}
                self.drain(index);
            }
            for _ in 0..200 {
                self.turn();
            }
        }
        self.delivered as f64 / self.nodes.len() as f64 / begin.elapsed().as_secs_f64()
    }
}

fn main() {
    println!("nodes  bytes   messages/s    MB/s");
    for count in [2, 3] {
        for len in [64, 1 << 10, 16 << 10, 256 << 10] {
            let rate = Ring::form(count).measure(len, Duration::from_millis(700));
            println!("{count:5} {len:6} {rate:12.0} {:7.1}", rate * len as f64 / 1e6);
        }
    }
}
