//! The driver as a process: every test starts the test daemon of its own.

mod children;
mod daemon;
mod jobs;
mod order;
mod persist;
mod privileges;
mod process;
mod realtime;
mod recording;
mod sinks;
#[path = "../../testd/core.rs"]
#[allow(dead_code, reason = "the daemon uses the rest")]
mod tester;
