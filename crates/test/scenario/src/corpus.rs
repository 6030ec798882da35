//! The fuzz corpus of scenario files, with every byte cut, left out and changed.

const CORPUS: &[(&str, &str)] = &[
    ("empty", include_str!("../../../../tests/fuzz/corpus/scenario/empty")),
    ("nested", include_str!("../../../../tests/fuzz/corpus/scenario/nested")),
    ("numbers", include_str!("../../../../tests/fuzz/corpus/scenario/numbers")),
    ("unicode", include_str!("../../../../tests/fuzz/corpus/scenario/unicode")),
    ("whole", include_str!("../../../../tests/fuzz/corpus/scenario/whole")),
];

fn read(text: &str) -> bool {
    match crate::parse(text) {
        Ok(scenario) => scenario.nodes > 0 && !scenario.title.is_empty(),
        Err(why) => {
            assert!(why.line <= text.lines().count() && !why.why.is_empty());
            false
        }
    }
}

#[test]
fn files_are_understood_whole_or_refused() {
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
    assert_eq!(whole, ["whole"]);
}
