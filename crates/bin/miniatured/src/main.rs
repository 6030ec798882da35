//! The processes of the cluster in miniature.

fn main() {}
