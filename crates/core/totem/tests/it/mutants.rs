//! Each planted mistake is found: `cargo test -p totem --features mutants`.
//! Those of TOTEM-7 and TOTEM-8 are found beside the code.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{forming, order};

/// Whether `check` fails for one of `seeds` while `mutant` is on.
fn is_found(
    mutant: &'static str,
    seeds: u64,
    mut check: impl FnMut(u64) -> Result<(), String>,
) -> bool {
    sansio::mutant::set(Some(mutant));
    let mut fails = |seed| {
        let outcome = catch_unwind(AssertUnwindSafe(|| check(seed)));
        outcome.map_or(true, |result| result.is_err())
    };
    let found = (0..seeds).any(&mut fails);
    sansio::mutant::set(None);
    found
}

#[test]
fn planted_mistakes_are_found() {
    for mutant in totem::MUTANTS.iter().copied() {
        let found = match &mutant[..7] {
            "TOTEM-3" => is_found(mutant, 1, |_| forming::ring_ids_are_durable_first()),
            "TOTEM-5" => is_found(mutant, 1, |_| order::safe_waits_for_the_slowest()),
            "TOTEM-4" | "TOTEM-6" => is_found(mutant, 150, order::campaign),
            _ => continue,
        };
        assert!(found, "{mutant} survives");
    }
}
