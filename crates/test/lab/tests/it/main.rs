//! Real labs on this machine. They need root and the reference's packages, and
//! say so where these are missing; each waits until it has the machine for
//! itself (two clusters on few processors disturb each other's clocks).

mod cleanup;
mod faults;
mod full;
mod mix;
mod ours;
mod power;
mod scenarios;
mod support;
