//! Reads flight recordings: prints them, and drives the same core again.

fn main() {}
