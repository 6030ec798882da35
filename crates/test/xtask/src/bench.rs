//! `cargo xtask bench`: measurements side by side in one run, with the facts of
//! the machine that they were made on. Ratios are printed, never asserted.

use std::process::Command;

use crate::run::{Failure, run as run_program};
use crate::sim;
use crate::workspace::Workspace;

/// Packages whose speed ours is compared with.
const REFERENCES: &[&str] = &["libqb100", "libqb-dev", "corosync", "pacemaker"];

/// `cargo xtask bench [ipc|sim|all] [--markdown]`
///
/// # Errors
/// When a benchmark cannot be built or fails.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    let markdown: Vec<String> = args.iter().filter(|arg| *arg == "--markdown").cloned().collect();
    let names: Vec<&str> =
        args.iter().filter(|arg| *arg != "--markdown").map(String::as_str).collect();
    let (ipc, sim) = match names.as_slice() {
        [] | ["all"] => (true, true),
        ["ipc"] => (true, false),
        ["sim"] => (false, true),
        _ => return Err(Failure::new("usage: cargo xtask bench [ipc|sim|all] [--markdown]")),
    };
    println!("{}", machine());
    if ipc {
        println!("\n## IPC against libqb (`cargo xtask bench ipc`)\n");
        run_program(&mut ipc_bench(workspace, &markdown))?;
    }
    if sim {
        println!("\n## Simulator (`cargo xtask bench sim`)\n");
        let fence = if markdown.is_empty() { "" } else { "```" };
        println!("{fence}");
        sim::run(workspace, &["--bench".to_owned()])?;
        println!("{fence}");
    }
    Ok(())
}

fn ipc_bench(workspace: &Workspace, args: &[String]) -> Command {
    let mut command = workspace.cargo();
    command.args(["run", "--locked", "--release", "--package", "qb-ipc"]);
    command.args(["--example", "ipc_bench", "--"]).args(args);
    command
}

/// One paragraph: processor, cores, kernel, and the packages compared with.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut facts = vec![
        format!("Processor: {}, {cores} cores", model.trim_matches([':', '\t', ' '])),
        format!("kernel {}", read("/proc/sys/kernel/osrelease").trim()),
    ];
    for package in REFERENCES {
        let mut query = Command::new("dpkg-query");
        query.args(["-W", "-f=${Version}", package]).stderr(std::process::Stdio::null());
        match query.output() {
            Ok(output) if output.status.success() => {
                facts.push(format!("{package} {}", String::from_utf8_lossy(&output.stdout)));
            }
            _ => facts.push(format!("{package} is not installed")),
        }
    }
    format!("{}.", facts.join("; "))
}
