//! The command `corosync-cmapctl`.

fn main() -> std::process::ExitCode {
    corosync_tools::run(corosync_tools::commands::cmapctl::main)
}
