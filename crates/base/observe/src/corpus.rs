//! The fuzz corpus of observations, with every byte cut, left out and changed.

use crate::Observation;

const CORPUS: &[(&str, &str)] = &[
    ("deliver", include_str!("../../../../tests/fuzz/corpus/observation/deliver")),
    ("empty-text", include_str!("../../../../tests/fuzz/corpus/observation/empty-text")),
    ("half-a-letter", include_str!("../../../../tests/fuzz/corpus/observation/half-a-letter")),
    ("mark", include_str!("../../../../tests/fuzz/corpus/observation/mark")),
    ("power", include_str!("../../../../tests/fuzz/corpus/observation/power")),
    ("quorum", include_str!("../../../../tests/fuzz/corpus/observation/quorum")),
    ("ring-up", include_str!("../../../../tests/fuzz/corpus/observation/ring-up")),
    ("start", include_str!("../../../../tests/fuzz/corpus/observation/start")),
    ("state", include_str!("../../../../tests/fuzz/corpus/observation/state")),
    ("too-late", include_str!("../../../../tests/fuzz/corpus/observation/too-late")),
    ("view", include_str!("../../../../tests/fuzz/corpus/observation/view")),
];

/// What can be read is written and read again; `true` if it can.
fn read(line: &str) -> bool {
    let Ok(seen) = line.parse::<Observation>() else { return false };
    assert_eq!(seen.to_string().parse(), Ok(seen));
    true
}

#[test]
fn lines_are_read_whole_or_not_at_all() {
    let mut whole = Vec::new();
    for (name, text) in CORPUS {
        let bytes = text.as_bytes();
        for at in 0..bytes.len() {
            let mut cut = bytes[..at].to_vec();
            read(&String::from_utf8_lossy(&cut));
            cut.extend_from_slice(&bytes[at + 1..]);
            read(&String::from_utf8_lossy(&cut));
            for bit in 0..8 {
                let mut flipped = bytes.to_vec();
                flipped[at] ^= 1 << bit;
                read(&String::from_utf8_lossy(&flipped));
            }
        }
        whole.extend(read(text).then_some(*name));
    }
    whole.sort_unstable();
    let good = ["deliver", "empty-text", "mark", "power", "quorum", "ring-up", "start", "state"];
    assert_eq!(whole, [&good[..], &["view"]].concat());
}
