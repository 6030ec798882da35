//! The fuzz corpus of recordings and seeded mutations of it, through the reader.

use std::path::Path;

use host::recorder::format::Entries;
use host::replay::{describe, replay};
use sansio::Rng;

use crate::tester::Tester;

const MUTATIONS: usize = 2000;

/// Reads as far as it goes; `true` if there was no damage.
fn read(bytes: &[u8]) -> bool {
    let Ok(entries) = Entries::of(bytes) else { return false };
    let mut damaged = false;
    for entry in entries {
        assert!(!damaged, "damage is the last word");
        match entry {
            Ok(entry) => assert!(!describe(&entry).is_empty()),
            Err(damage) => {
                damaged = true;
                assert!(damage.at <= bytes.len());
            }
        }
    }
    !damaged
}

#[test]
fn recordings_are_read_without_trust() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fuzz");
    assert!(fuzz.join("fuzz_targets/recording.rs").is_file());
    let entries = std::fs::read_dir(fuzz.join("corpus/recording")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut whole = Vec::new();
    for (seed, file) in files.iter().enumerate() {
        let original = std::fs::read(file).unwrap();
        if read(&original) {
            whole.push(file.file_name().unwrap().to_str().unwrap());
        }
        let mut rng = Rng::new(seed as u64);
        for _ in 0..MUTATIONS {
            let mut bytes = original.clone();
            for _ in 0..=rng.below(4) {
                let at = usize::try_from(rng.below(bytes.len().max(1) as u64)).unwrap();
                match rng.below(4) {
                    0 => bytes.truncate(at),
                    1 => bytes.push(u8::try_from(rng.below(256)).unwrap()),
                    _ if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
                    _ => {}
                }
            }
            read(&bytes);
        }
    }
    assert_eq!(whole, ["last-segment", "whole"]);
}

#[test]
fn recordings_are_replayed_without_trust() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fuzz/corpus/recording");
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let make = |_, _: &[u8]| Err::<Tester, _>("as wanted".to_string());
        let report = replay(std::slice::from_ref(&file), make, |_| {});
        assert!(report.is_same() && !report.missing.is_empty(), "{}: {report:?}", file.display());
    }
}
