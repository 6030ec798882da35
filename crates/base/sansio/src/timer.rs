//! Timers are a table, not handles: arming overwrites, disarming clears, and a
//! stale firing cannot happen.

use crate::Mono;

/// The named timers of one core: an enum whose variants are listed in `ALL`.
pub trait TimerId: Copy + Eq + 'static {
    /// Every timer; the order breaks ties between equal deadlines.
    const ALL: &'static [Self];

    /// The name in traces and coverage reports.
    fn name(self) -> &'static str;
}

/// One optional deadline for each timer of `T`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerTable<T: TimerId> {
    deadlines: Vec<Option<Mono>>,
    marker: std::marker::PhantomData<T>,
}

impl<T: TimerId> Default for TimerTable<T> {
    fn default() -> Self {
        Self { deadlines: vec![None; T::ALL.len()], marker: std::marker::PhantomData }
    }
}

impl<T: TimerId> TimerTable<T> {
    /// All timers disarmed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Arms `timer`, forgetting a deadline that it had.
    pub fn arm(&mut self, timer: T, at: Mono) {
        self.deadlines[index(timer)] = Some(at);
    }

    /// Arms `timer` unless it is armed already.
    pub fn arm_if_idle(&mut self, timer: T, at: Mono) {
        self.deadlines[index(timer)].get_or_insert(at);
    }

    /// Disarms `timer`; no effect when it is not armed.
    pub fn disarm(&mut self, timer: T) {
        self.deadlines[index(timer)] = None;
    }

    /// Disarms all.
    pub fn clear(&mut self) {
        self.deadlines.fill(None);
    }

    /// When `timer` is due, if it is armed.
    pub fn deadline(&self, timer: T) -> Option<Mono> {
        self.deadlines[index(timer)]
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Mono> {
        self.deadlines.iter().flatten().min().copied()
    }

    /// Takes the earliest timer that is due at `now`, disarming it.
    pub fn pop_due(&mut self, now: Mono) -> Option<T> {
        let due = |at: &Option<Mono>| at.filter(|at| *at <= now);
        let slots = self.deadlines.iter().enumerate();
        let (_, slot) = slots.filter_map(|(slot, at)| Some((due(at)?, slot))).min()?;
        self.deadlines[slot] = None;
        Some(T::ALL[slot])
    }
}

fn index<T: TimerId>(timer: T) -> usize {
    let slot = T::ALL.iter().position(|t| *t == timer);
    slot.expect("TimerId::ALL lists every variant")
}

/// Declares an enum of timers with their names:
/// `timers! { /// doc enum Timer { Token => "token", Join => "join" } }`
#[macro_export]
macro_rules! timers {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident => $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        $vis enum $name { $($(#[$vmeta])* $variant),+ }
        impl $crate::TimerId for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];
            fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    timers! { enum Timer { Token => "token", Join => "join" } }

    #[test]
    fn arming_overwrites_and_popping_takes_the_earliest() {
        let mut table = TimerTable::new();
        table.arm(Timer::Token, Mono(10));
        table.arm(Timer::Join, Mono(5));
        table.arm(Timer::Token, Mono(3));
        table.arm_if_idle(Timer::Join, Mono(1));
        assert_eq!(table.next(), Some(Mono(3)));
        assert_eq!(table.pop_due(Mono(2)), None);
        assert_eq!(table.pop_due(Mono(9)), Some(Timer::Token));
        assert_eq!(table.pop_due(Mono(9)), Some(Timer::Join));
        assert_eq!(table.next(), None);
        assert_eq!(Timer::Join.name(), "join");
    }

    #[test]
    fn equal_deadlines_fire_in_the_order_of_the_list() {
        let mut table = TimerTable::new();
        table.arm(Timer::Join, Mono(5));
        table.arm(Timer::Token, Mono(5));
        assert_eq!(table.pop_due(Mono(5)), Some(Timer::Token));
        table.disarm(Timer::Join);
        assert_eq!(table.pop_due(Mono(5)), None);
    }
}
