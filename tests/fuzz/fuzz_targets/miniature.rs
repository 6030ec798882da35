//! Datagrams from the other nodes, to a ring that has just come up: each with a
//! byte for its sender and two for its length.
#![no_main]

use miniature::ring::{Config, Ring};
use observe::Node;
use sansio::edge::{Input, Link, Output};
use sansio::{Mono, Now, Wall, run_due, step};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let at = |ms: u64| Now { mono: Mono((1000 + ms) * 1_000_000), wall: Wall(0), utc_offset_s: 0 };
    let address = |n: u32| std::net::SocketAddr::from(([10, 0, 0, n as u8], 5405));
    let nodes = (1..=3).map(|n| (Node(n), address(n))).collect();
    let mut ring = Ring::new(at(0), Config { node: Node(1), epoch: 1, nodes, stored: None });
    let (mut rest, mut ms) = (bytes, 0);
    while let Some(([from, low, high], more)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(more.len());
        let (datagram, more) = more.split_at(len);
        let input = Input::Datagram { link: Link(0), from: address(2 + u32::from(*from) % 2), bytes: datagram.into() };
        let mut outputs = step(&mut ring, at(ms), input);
        ms += 50;
        outputs.extend(run_due(&mut ring, at(ms)));
        while let Some(output) = outputs.pop() {
            if let Output::Persist { id, .. } = output {
                outputs.extend(step(&mut ring, at(ms), Input::Persisted(id)));
            }
        }
        rest = more;
    }
});
