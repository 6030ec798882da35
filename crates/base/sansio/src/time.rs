//! Time as cores see it: handed in, never read.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Nanoseconds of CLOCK_BOOTTIME (or of virtual time): only grows, counts while
/// the machine sleeps, says nothing about the calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

/// Nanoseconds since 1970-01-01 UTC: may jump either way, is only shown or
/// compared with times that people wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

/// The time of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines and intervals.
    pub mono: Mono,
    /// For people.
    pub wall: Wall,
    /// Seconds east of UTC of the local time zone at `wall`.
    pub utc_offset_s: i32,
}

impl Mono {
    /// Time since `earlier`, zero if that is later.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;

    /// Saturates at the end of time instead of wrapping into the past.
    fn add(self, span: Duration) -> Mono {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Mono(self.0.saturating_add(nanos))
    }
}

impl Sub<Mono> for Mono {
    type Output = Duration;

    fn sub(self, earlier: Mono) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Mono {
    /// Seconds with milliseconds: `12.034s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0 / 1_000_000_000, self.0 / 1_000_000 % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_saturate() {
        assert_eq!(Mono(5) + Duration::MAX, Mono(u64::MAX));
        assert_eq!(Mono(5) - Mono(9), Duration::ZERO);
        assert_eq!((Mono(12_034_000_000)).to_string(), "12.034s");
    }
}
