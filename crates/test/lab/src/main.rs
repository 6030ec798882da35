//! The command `lab`; and, by the name it is called with, the fence agent.

use std::process::ExitCode;

fn main() -> ExitCode {
    lab::cli::main()
}
