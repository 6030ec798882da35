//! The three clocks of [`Now`], read once per input.

use nix::time::{ClockId, clock_gettime};
use sansio::{Mono, Now, Wall};

use crate::sys;

const NANOS: i64 = 1_000_000_000;
/// Time zones change their offset only at multiples of a quarter of an hour.
const QUARTER_S: i64 = 900;

/// Reads [`Now`]; looks the time zone up only when the wall clock enters
/// another quarter of an hour.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    zone: Option<(i64, i32)>,
}

impl Clock {
    /// The time.
    pub(crate) fn now(&mut self) -> Now {
        let wall = wall();
        Now { mono: mono(), wall, utc_offset_s: self.utc_offset_s(wall) }
    }

    /// Seconds east of UTC at `wall`.
    pub(crate) fn utc_offset_s(&mut self, wall: Wall) -> i32 {
        let wall_s = wall.0.div_euclid(NANOS);
        let quarter = wall_s.div_euclid(QUARTER_S);
        match self.zone {
            Some((known, offset)) if known == quarter => offset,
            _ => {
                let offset = sys::utc_offset_s(wall_s);
                self.zone = Some((quarter, offset));
                offset
            }
        }
    }

    /// Looks the time zone up again: the administrator may have changed it.
    pub(crate) fn reload(&mut self) {
        sys::reload_time_zone();
        self.zone = None;
    }
}

/// CLOCK_BOOTTIME: counts while the machine sleeps.
pub(crate) fn mono() -> Mono {
    Mono(u64::try_from(read(ClockId::CLOCK_BOOTTIME)).unwrap_or(0))
}

/// CLOCK_REALTIME.
pub(crate) fn wall() -> Wall {
    Wall(read(ClockId::CLOCK_REALTIME))
}

/// Microseconds of CLOCK_MONOTONIC, for the service manager.
pub(crate) fn monotonic_us() -> i64 {
    read(ClockId::CLOCK_MONOTONIC) / 1000
}

fn read(clock: ClockId) -> i64 {
    let time = clock_gettime(clock).expect("Linux has this clock since 2.6.39");
    time.tv_sec() * NANOS + time.tv_nsec()
}

/// A moment of the wall clock in the fields of a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    /// `Jan` to `Dec`.
    pub(crate) month: &'static str,
    /// From 1.
    pub(crate) day: i64,
    /// From 0.
    pub(crate) hour: i64,
    /// From 0.
    pub(crate) minute: i64,
    /// From 0.
    pub(crate) second: i64,
    /// From 0.
    pub(crate) millisecond: i64,
}

impl Civil {
    /// `wall` as a clock shows it that is `utc_offset_s` seconds east of UTC.
    pub(crate) fn at(wall: Wall, utc_offset_s: i32) -> Self {
        let second = wall.0.div_euclid(NANOS) + i64::from(utc_offset_s);
        let (days, of_day) = (second.div_euclid(86_400), second.rem_euclid(86_400));
        let (month, day) = month_and_day(days);
        Self {
            month: MONTHS[month],
            day,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            millisecond: wall.0.rem_euclid(NANOS) / 1_000_000,
        }
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Month (from 0) and day of the day that is `days` after 1970-01-01, in the
/// Gregorian calendar; counted from a year that begins in March, so that the
/// leap day is its last.
fn month_and_day(days: i64) -> (usize, i64) {
    let of_era = (days + 719_468).rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    (usize::try_from((from_march + 2) % 12).unwrap_or(0), day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_days() {
        let date = |days| month_and_day(days);
        assert_eq!(date(0), (0, 1));
        assert_eq!(date(58), (1, 28));
        assert_eq!(date(59), (2, 1));
        assert_eq!(date(11_016), (1, 29), "2000-02-29");
        assert_eq!(date(20_778), (10, 21), "2026-11-21");
        assert_eq!(date(-1), (11, 31));
    }

    #[test]
    fn the_zone_shifts_the_clock_face_only() {
        let wall = Wall(1_795_251_600_123_000_000);
        let utc = Civil::at(wall, 0);
        assert_eq!((utc.month, utc.day, utc.hour, utc.millisecond), ("Nov", 21, 9, 123));
        let west = Civil::at(wall, -36_000);
        assert_eq!((west.day, west.hour, west.minute), (20, 23, 0));
    }

    #[test]
    fn time_does_not_run_backwards() {
        let first = mono();
        assert!(mono() >= first);
        assert!(Clock::default().now().mono >= first);
    }
}
