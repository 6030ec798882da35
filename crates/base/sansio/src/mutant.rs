//! Planted mistakes, by which a campaign proves that its oracles see.
//!
//! A safety requirement of `docs/spec` names the function that enforces it; the
//! function asks [`active`] for the two mutants of the requirement, one that
//! removes the rule and one that weakens it:
//!
//! ```
//! # let (votes, expected) = (1, 3);
//! let majority = expected / 2 + 1;
//! let quorate = votes >= majority || sansio::mutant::active("MIN-2/remove");
//! # assert!(!quorate);
//! ```
//!
//! Without the feature `mutants` (every daemon) `active` is the constant false.

/// Whether the mutant `name` is switched on for this thread.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn active(_name: &str) -> bool {
    false
}

#[cfg(feature = "mutants")]
mod switch {
    use std::cell::Cell;

    thread_local! {
        static ACTIVE: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Whether the mutant `name` is switched on for this thread.
    pub fn active(name: &str) -> bool {
        ACTIVE.with(|cell| cell.get() == Some(name))
    }

    /// Switches one mutant on, or all off.
    pub fn set(name: Option<&'static str>) {
        ACTIVE.with(|cell| cell.set(name));
    }
}

#[cfg(feature = "mutants")]
pub use switch::{active, set};
