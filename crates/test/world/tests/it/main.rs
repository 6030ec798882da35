//! The simulator on the miniature: scenario files, plants, seeds.

mod scenarios;
mod seeds;
