//! Debian's tools and ours, side by side, on the same running daemon: Debian's
//! corosync 3.1.7, alone and as three nodes. Needs root and the package corosync.

mod alone;
mod clients;
mod node;
mod offline;
mod ring;
mod same;
