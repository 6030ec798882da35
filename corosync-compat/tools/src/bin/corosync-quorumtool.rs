//! The command `corosync-quorumtool`.

fn main() -> std::process::ExitCode {
    corosync_tools::run(corosync_tools::commands::quorumtool::main)
}
