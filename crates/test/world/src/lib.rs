//! Simulated nodes, network, disks and time, all from one seed.
