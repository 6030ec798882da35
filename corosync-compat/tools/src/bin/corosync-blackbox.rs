//! The command `corosync-blackbox`.

fn main() -> std::process::ExitCode {
    corosync_tools::run(corosync_tools::commands::blackbox::main)
}
