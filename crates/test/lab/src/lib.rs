//! Clusters of real nodes in namespaces on one machine.
//!
//! ```text
//!  lab run / up / demo          host
//!    | lifeline (pipe)
//!  keeper                       host: cleans up when anything above or below it dies
//!    | lifeline, PDEATHSIG
//!  hub                          pid 1 of an outer pid namespace, own mount namespace,
//!    |                          own network namespace (the switch); power switch, faults
//!    +-- monitor n1 -- pid 1 of n1 -- corosync, pacemakerd, probe ...
//!    +-- monitor n2 -- ...
//! ```
//!
//! Everything that a lab makes hangs on the hub: when it dies, the kernel kills
//! every process of its pid namespace, and with the processes go their network,
//! mount, ipc and uts namespaces, bridges and mounts, none of which has a name
//! on the host. What remains is one directory and, for full nodes, cgroups; the
//! keeper removes them, or the next start of any lab does ([`layout::reap`]).
//!
//! All of it is one program: the command, keeper, hub, a node's init, the probe
//! and the fence agent are modes of the binary `lab`.

pub mod agents;
pub mod cli;
mod client;
mod cluster;
mod config;
pub mod demo;
pub mod elf;
mod fence;
mod hub;
pub mod image;
mod journal;
mod keeper;
pub mod layout;
pub mod mix;
mod node;
mod plants;
mod probe;
pub mod procs;
pub mod requirements;
mod runner;
mod spec;
mod tool;

pub use client::Lab;
pub use mix::{Mix, Stack};
pub use runner::{Outcome, RunOptions, run_file, run_text};
pub use spec::{Kind, Spec};

/// The second octet of every lab's network: the networks are private, so all
/// labs use the same.
pub const NET: u8 = 77;

/// Where a node finds what the lab shares with it: the power switch's socket,
/// the journals, the orders to the probe.
pub const NODE_SHARE: &str = "/run/systole-lab";

/// The lab's own program inside a node.
pub const NODE_PROGRAM: &str = "/usr/lib/systole-lab/lab";
