//! Tiers that are no test binaries: the simulator's campaigns and `dist`.

use std::path::Path;
use std::time::Duration;

use super::report::Totals;
use crate::dist;
use crate::run::{Failure, stream};
use crate::sim;
use crate::workspace::Workspace;

/// The longest silence of a campaign, building included.
const SILENCE: Duration = Duration::from_secs(900);

/// How many seeds CI runs of each scenario.
const SEEDS: &str = "300";

/// Seeds, each run twice, and then the mutants, each of which must be found.
pub(super) fn simulation(workspace: &Workspace) -> Result<Totals, Failure> {
    let mut totals = campaign(workspace, &["--seeds", SEEDS]);
    totals += campaign(workspace, &["--mutants"]);
    Ok(totals)
}

/// One campaign of the simulator. Its last line gives its own totals.
fn campaign(workspace: &Workspace, args: &[&str]) -> Totals {
    println!("--- sim {}", args.join(" "));
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let mut last = String::new();
    let end = stream(sim::command(workspace, &args).args(&args), SILENCE, |line| {
        println!("    {line}");
        last = line.to_owned();
    });
    let mut totals = parse_totals(&last).unwrap_or_default();
    let why = match end {
        Ok(end) if end.hung => format!("nothing happened for {} s", SILENCE.as_secs()),
        Ok(end) if !end.status.success() => format!("the simulator ended with {}", end.status),
        Ok(_) if totals.count() == 0 => "the last line gives no totals".to_owned(),
        Ok(_) => return totals,
        Err(Failure(why)) => why,
    };
    println!("    FAILED: {why}");
    totals.failed = totals.failed.max(1);
    totals
}

/// Reads `N passed, N failed, N skipped`.
fn parse_totals(line: &str) -> Option<Totals> {
    let mut parts = line.split(", ");
    let mut next = |word: &str| parts.next()?.strip_suffix(word)?.trim().parse().ok();
    Some(Totals { passed: next("passed")?, failed: next("failed")?, skipped: next("skipped")? })
}

/// The tree holds what the table says, and a second one is the same.
pub(super) fn dist(workspace: &Workspace, tree: &Path) -> Result<Totals, Failure> {
    let again = workspace.target().join("dist-again");
    let mut totals = Totals::of(shown(&dist::check(tree)));
    totals += Totals::of(shown(&dist::lay_out(workspace, &again)));
    totals += Totals::of(shown(&dist::compare(tree, &again)));
    std::fs::remove_dir_all(&again)?;
    Ok(totals)
}

/// Prints why something failed; says whether it did not.
fn shown(result: &Result<(), Failure>) -> bool {
    if let Err(failure) = result {
        println!("    FAILED: {failure}");
    }
    result.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaigns_last_line_gives_its_totals() {
        let line = "300 passed, 2 failed, 0 skipped";
        assert_eq!(parse_totals(line), Some(Totals { passed: 300, failed: 2, skipped: 0 }));
        assert_eq!(parse_totals("300 passed, 2 failed"), None);
        assert_eq!(parse_totals(""), None);
    }
}
