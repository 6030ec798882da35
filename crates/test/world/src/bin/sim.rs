//! The simulator's command: `cargo xtask sim ARGS`.

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    ExitCode::SUCCESS
}
