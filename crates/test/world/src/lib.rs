//! Simulated nodes, network, disks and time, all from one seed.
//!
//! [`World`] runs the daemons of a [`Stack`] by the same rules as the process
//! driver: each is fed inputs, its deadlines are handled before any input, all
//! outputs are drained after each. Everything between them is simulated: local
//! connections with flow control, datagrams, disks, jobs, agents, the power
//! switch, and the clocks of each node. Nothing is read from outside: one seed
//! gives one trace.
//!
//! ```text
//!   plan (seed) ──▶ World ──▶ observations ──▶ checkers
//!   scenario ─────▶   │
//!                     ├─ node: clock, disk, agents, what really runs
//!                     │    └─ daemons (Machine) ── local connections
//!                     ├─ network: loss, delay, order, cuts
//!                     └─ power switch
//! ```
//!
//! [`Sim`] is the world as a [`scenario::Cluster`]; [`campaign`] runs many seeds
//! with random faults.

pub mod campaign;
mod chatter;
pub mod cli;
mod clock;
mod disk;
mod engine;
mod local;
mod machine;
pub mod miniature;
mod network;
mod queue;
mod sim;
mod stack;
mod trace;

pub use disk::{Disk, DiskWeather};
pub use engine::{AgentWeather, Config, Counters, ProcessWeather, World};
pub use machine::{Driven, Machine};
pub use network::{Network, Weather};
pub use sim::{Outcome, Sim, run_scenario};
pub use stack::{AgentCall, Boot, Coverage, DaemonSpec, Layout, Stack, Verb};
pub use trace::{Keep, Trace};
