//! The command `corosync-cfgtool`.

fn main() -> std::process::ExitCode {
    corosync_tools::run(corosync_tools::commands::cfgtool::main)
}
