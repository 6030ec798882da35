//! The command `corosync-cpgtool`.

fn main() -> std::process::ExitCode {
    corosync_tools::run(corosync_tools::commands::cpgtool::main)
}
