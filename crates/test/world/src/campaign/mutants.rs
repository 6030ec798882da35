//! Planted mistakes, each of which a campaign must find.

use super::{plan_of, run};
use crate::Keep;
use crate::miniature::MUTANTS;

/// What became of one mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunt {
    /// The mutant.
    pub mutant: &'static str,
    /// The seed that found it and what it found; None: it survived.
    pub found: Option<(u64, String)>,
    /// Seeds tried.
    pub tried: u64,
}

/// Switches every mutant on, one after the other, and looks for a seed from
/// `first` on, at most `limit` of them, that fails.
pub fn hunt(first: u64, limit: u64, mut progress: impl FnMut(&Hunt)) -> Vec<Hunt> {
    let mut hunts = Vec::new();
    for mutant in MUTANTS.iter().copied() {
        let hunt = hunt_one(mutant, first, limit);
        progress(&hunt);
        hunts.push(hunt);
    }
    hunts
}

fn hunt_one(mutant: &'static str, first: u64, limit: u64) -> Hunt {
    sansio::mutant::set(Some(mutant));
    let mut hunt = Hunt { mutant, found: None, tried: 0 };
    for seed in first..first.saturating_add(limit) {
        hunt.tried += 1;
        if let Some(fault) = run(&plan_of(seed, None), Keep::Hash).fault {
            hunt.found = Some((seed, fault.name().to_string()));
            break;
        }
    }
    sansio::mutant::set(None);
    hunt
}
