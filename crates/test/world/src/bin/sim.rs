//! The simulator's command: `cargo xtask sim ARGS`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h" || arg == "help") {
        println!("{}", world::cli::USAGE);
        return ExitCode::SUCCESS;
    }
    match world::cli::Command::parse(&args) {
        Ok(command) => command.run(),
        Err(why) => {
            eprintln!("sim: {why}\n\n{}", world::cli::USAGE);
            ExitCode::from(2)
        }
    }
}
