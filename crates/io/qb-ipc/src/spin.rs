//! Watching memory for a moment before sleeping.
//!
//! Waking a process costs several microseconds, an answer often takes fewer. A
//! side that expects one looks for it a short time; where that was in vain
//! several times in a row it stops trying for a while, so that slow peers and
//! machines without a second processor cost nothing.

use std::time::{Duration, Instant};

/// Never longer, whatever is asked for and however long messages are.
const LONGEST: Duration = Duration::from_micros(100);
/// Failures in a row after which spinning pauses.
const PATIENCE: u32 = 2;
/// How many waits the first pause lasts; each further one in a row lasts twice as
/// many, as a busy machine stays busy.
const PAUSE: u32 = 32;
const PAUSE_LAST: u32 = 2048;
/// Looks at memory between looks at the clock.
const LOOKS: u32 = 32;

/// The spinning time that suits this machine.
pub(crate) fn default_time() -> Duration {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if processors > 1 { Duration::from_micros(25) } else { Duration::ZERO }
}

/// When to spin, learnt from how it went.
#[derive(Debug)]
pub(crate) struct Spin {
    time: Duration,
    failures: u32,
    pause: u32,
    next_pause: u32,
}

impl Spin {
    pub(crate) fn new(time: Duration) -> Self {
        Self { time: time.min(LONGEST), failures: 0, pause: 0, next_pause: PAUSE }
    }

    /// Looks until `ready`, or until it is time to sleep. The peer has to copy
    /// `bytes` first, at a microsecond for each KiB.
    pub(crate) fn until(&mut self, bytes: usize, mut ready: impl FnMut() -> bool) -> bool {
        if ready() {
            return true;
        }
        if self.time.is_zero() || self.pausing() {
            return false;
        }
        let copying = Duration::from_nanos(bytes as u64);
        let time = (self.time + copying).min(LONGEST);
        let start = Instant::now();
        loop {
            for _ in 0..LOOKS {
                std::hint::spin_loop();
                if ready() {
                    self.failures = 0;
                    self.next_pause = PAUSE.max(self.next_pause / 2);
                    return true;
                }
            }
            if start.elapsed() >= time {
                break;
            }
        }
        self.failures += 1;
        if self.failures >= PATIENCE {
            self.failures = 0;
            self.pause = self.next_pause;
            self.next_pause = (self.next_pause * 2).min(PAUSE_LAST);
        }
        false
    }

    fn pausing(&mut self) -> bool {
        let pausing = self.pause > 0;
        self.pause = self.pause.saturating_sub(1);
        pausing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_make_it_pause() {
        let mut spin = Spin::new(Duration::from_nanos(1));
        let mut looks = 0;
        for _ in 0..PATIENCE + PAUSE {
            assert!(!spin.until(0, || {
                looks += 1;
                false
            }));
        }
        assert!(looks <= PATIENCE * (2 * LOOKS + 1) + PAUSE, "{looks}");
        assert!(spin.until(0, || true));
    }

    #[test]
    fn success_is_seen_at_once() {
        let mut looks = 0;
        let third = || {
            looks += 1;
            looks == 3
        };
        assert!(Spin::new(LONGEST).until(0, third));
    }
}
