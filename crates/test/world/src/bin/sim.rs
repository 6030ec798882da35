//! The simulator's command: `cargo xtask sim ARGS`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match world::cli::Command::parse(&args) {
        Ok(command) => command.run(),
        Err(why) => {
            eprintln!("sim: {why}\n\n{}", world::cli::USAGE);
            ExitCode::from(2)
        }
    }
}
