//! The project's own commands: test, check, tidy, sim, lab, bench, demo, dist.

fn main() {}
