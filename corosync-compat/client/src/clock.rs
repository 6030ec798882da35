//! The calendar of the local time zone.
#![allow(unsafe_code, reason = "std knows no time zones")]

use std::mem::MaybeUninit;

/// A moment as a clock on the wall shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// 0 is Sunday.
    pub weekday: u8,
    /// 0 is January.
    pub month: u8,
    /// From 1.
    pub day: u8,
    /// From 0.
    pub hour: u8,
    /// From 0.
    pub minute: u8,
    /// From 0; 60 in a leap second.
    pub second: u8,
    /// As one says it.
    pub year: i32,
}

/// The moment `seconds` after 1970 began, where we are; `None` for years that no
/// calendar has.
pub fn local_time(seconds: i64) -> Option<LocalTime> {
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call, which writes only `parts`.
    let result = unsafe { libc::localtime_r(&raw const seconds, parts.as_mut_ptr()) };
    if result.is_null() {
        return None;
    }
    // SAFETY: the call succeeded and filled it; before, it was zeroed.
    let parts = unsafe { parts.assume_init() };
    let small = |number: libc::c_int| u8::try_from(number).ok();
    Some(LocalTime {
        weekday: small(parts.tm_wday)?,
        month: small(parts.tm_mon)?,
        day: small(parts.tm_mday)?,
        hour: small(parts.tm_hour)?,
        minute: small(parts.tm_min)?,
        second: small(parts.tm_sec)?,
        year: parts.tm_year.checked_add(1900)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_within_a_day_of_universal_time() {
        let time = local_time(86_400 * 180 + 43_200).unwrap();
        assert_eq!((time.year, time.month), (1970, 5));
        assert!((29..=30).contains(&time.day), "{time:?}");
        assert_eq!(local_time(i64::MAX), None);
    }
}
