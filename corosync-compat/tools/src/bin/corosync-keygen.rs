//! The command `corosync-keygen`.

fn main() -> std::process::ExitCode {
    corosync_tools::run(corosync_tools::commands::keygen::main)
}
