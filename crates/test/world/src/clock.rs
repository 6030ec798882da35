//! A node's clocks as functions of virtual time.

use sansio::{Mono, Now, Wall};

/// 2026-01-01 UTC, in nanoseconds: where every world's calendar begins.
const EPOCH_NS: i64 = 1_767_225_600_000_000_000;
const MILLION: u128 = 1_000_000;

/// A node's clocks: the monotonic one starts again at each boot and runs a
/// little fast or slow; the calendar is off and may jump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Virtual time of the last boot.
    pub(crate) booted_at: u64,
    /// What the monotonic clock showed then.
    pub(crate) uptime_ns: u64,
    /// Parts per million by which the clocks run fast; more than -1,000,000.
    pub(crate) drift_ppm: i32,
    /// How far the calendar is off.
    pub(crate) wall_offset_ns: i64,
    /// The time zone.
    pub(crate) utc_offset_s: i32,
}

impl Clock {
    /// A clock that is right.
    #[cfg(test)]
    pub(crate) fn exact() -> Self {
        Self { booted_at: 0, uptime_ns: 0, drift_ppm: 0, wall_offset_ns: 0, utc_offset_s: 0 }
    }

    /// Nanoseconds that this clock counts for each million.
    fn rate(&self) -> u128 {
        u128::try_from(1_000_000 + i64::from(self.drift_ppm)).unwrap_or(1).max(1)
    }

    /// What the clocks show at virtual time `at`.
    pub(crate) fn now(&self, at: u64) -> Now {
        let wall_ns = EPOCH_NS.saturating_add_unsigned(at).saturating_add(self.wall_offset_ns);
        Now { mono: self.mono(at), wall: Wall(wall_ns), utc_offset_s: self.utc_offset_s }
    }

    fn mono(&self, at: u64) -> Mono {
        let counted = u128::from(at.saturating_sub(self.booted_at)) * self.rate() / MILLION;
        Mono(self.uptime_ns.saturating_add(u64::try_from(counted).unwrap_or(u64::MAX)))
    }

    /// The first virtual time at which the monotonic clock shows `deadline`.
    pub(crate) fn when(&self, deadline: Mono) -> u64 {
        let counted = u128::from(deadline.0.saturating_sub(self.uptime_ns));
        let passed = (counted * MILLION).div_ceil(self.rate());
        self.booted_at.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_at_its_time_and_not_before() {
        for drift_ppm in [-500, -1, 0, 3, 400] {
            let clock = Clock { booted_at: 7_000, uptime_ns: 123, drift_ppm, ..Clock::exact() };
            for deadline in [124, 999, 5_000_001, 77_000_000_123] {
                let at = clock.when(Mono(deadline));
                assert!(clock.mono(at) >= Mono(deadline));
                assert!(clock.mono(at - 1) < Mono(deadline), "{drift_ppm} {deadline}");
            }
        }
    }

    #[test]
    fn the_calendar_may_be_wrong_without_touching_deadlines() {
        let wrong = Clock { wall_offset_ns: -5_000_000_000, ..Clock::exact() };
        assert_eq!(wrong.now(9).mono, Clock::exact().now(9).mono);
        assert_eq!(Clock::exact().now(9).wall.0 - wrong.now(9).wall.0, 5_000_000_000);
    }

    #[test]
    fn the_end_of_time_is_no_overflow() {
        assert_eq!(Clock::exact().when(Mono(u64::MAX)), u64::MAX);
        let slow = Clock { drift_ppm: -500, booted_at: 10, ..Clock::exact() };
        assert_eq!(slow.when(Mono(u64::MAX)), u64::MAX);
    }
}
