//! The core contract.
//!
//! Every daemon is a [`Core`]: a deterministic state machine that reads no
//! clock, socket, file, environment or random source. Its driver (`host` in a
//! process, `world` in the simulator, a test, or `replay` at the desk) keeps the
//! same rules:
//!
//! 1. A deadline that has passed is handled before any input.
//! 2. After *each* input, and after each deadline, all outputs are drained.
//! 3. Time only arrives as [`Now`], and never runs backwards in `mono`.
//!
//! Invariants: the outbox is empty when a handler is entered, each handler's
//! worst case fits its bound, and nothing that a core iterates over is
//! unordered. [`edge`] is the vocabulary between a daemon's outermost core and
//! its driver; inner cores speak their own types and are owned, fed and drained
//! by the core around them.

pub mod edge;
mod job;
pub mod mutant;
mod outbox;
mod record;
mod rng;
mod time;
mod timer;

pub use job::{Cancel, Job, JobId, JobSlot, NoJob};
pub use outbox::Outbox;
pub use record::{Elided, Record, RecordError, Recorded, Secrets};
pub use rng::Rng;
pub use time::{Mono, Now, Wall};
pub use timer::{TimerId, TimerTable};

/// A deterministic state machine: one way in, one way out, one deadline.
pub trait Core {
    /// What can happen to it.
    type Input;
    /// What it wants done; plain data that a test compares with `==`.
    type Output;

    /// Takes one input. Outputs wait for [`Core::poll_output`].
    fn handle(&mut self, now: Now, input: Self::Input);

    /// Called when [`Core::poll_timeout`] has been reached. Handles *one* due
    /// deadline; the driver drains and asks again.
    fn handle_timeout(&mut self, now: Now);

    /// The next output, in the order in which it was decided.
    fn poll_output(&mut self) -> Option<Self::Output>;

    /// When [`Core::handle_timeout`] wants to be called, if at all.
    fn poll_timeout(&self) -> Option<Mono>;

    /// The longest gap of the driver's loop that this core can overlook; a
    /// longer one becomes the input `Paused`. None: never told.
    fn pause_limit(&self) -> Option<std::time::Duration> {
        None
    }
}

/// What a campaign asks a core for, to say which states and timers it reached.
pub trait Inspect {
    /// Every state by name.
    fn states() -> &'static [&'static str]
    where
        Self: Sized;

    /// Every timer by name.
    fn timers() -> Vec<&'static str>
    where
        Self: Sized;

    /// The state it is in.
    fn state(&self) -> &'static str;

    /// The timer that fired last, if one has.
    fn last_timer(&self) -> Option<&'static str>;
}

/// Feeds one input and drains, by the driver's rules: due deadlines first.
///
/// For tests and for `replay`; the real drivers interleave their own work
/// between the steps, in the same order.
pub fn step<C: Core>(core: &mut C, now: Now, input: C::Input) -> Vec<C::Output> {
    let mut outputs = run_due(core, now);
    core.handle(now, input);
    outputs.extend(std::iter::from_fn(|| core.poll_output()));
    outputs
}

/// Handles every deadline that has passed at `now`, draining after each.
pub fn run_due<C: Core>(core: &mut C, now: Now) -> Vec<C::Output> {
    let mut outputs = Vec::new();
    while core.poll_timeout().is_some_and(|at| at <= now.mono) {
        core.handle_timeout(now);
        outputs.extend(std::iter::from_fn(|| core.poll_output()));
    }
    outputs
}
