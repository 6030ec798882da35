//! Tiers that are no test binaries: the simulator's campaigns and `dist`.

use std::path::{Path, PathBuf};
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

/// The folder of scenario files.
const SCENARIOS: &str = "tests/scenarios";

/// The stack that the simulator runs, as scenario files name it.
const SIMULATED: &str = "miniature";

/// Seeds, each run twice; the scenario files, plants among them; and the
/// mutants, each of which must be found.
pub(super) fn simulation(workspace: &Workspace) -> Result<Totals, Failure> {
    let mut totals = campaign(workspace, &words(&["--seeds", SEEDS]), seeds_total);
    let files = simulated(&workspace.root.join(SCENARIOS))?;
    let mut args = Vec::new();
    for file in &files {
        let file = file.strip_prefix(&workspace.root).unwrap_or(file);
        args.extend(["--scenario".to_owned(), file.display().to_string()]);
    }
    let mut scenarios = campaign(workspace, &args, scenarios_total);
    // A file that the simulator refuses has no line of its own.
    scenarios.failed = files.len().saturating_sub(scenarios.passed);
    totals += scenarios;
    totals += campaign(workspace, &words(&["--mutants"]), mutants_total);
    Ok(totals)
}

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

/// One campaign of the simulator; `total` reads its lines.
fn campaign(workspace: &Workspace, args: &[String], total: fn(&str) -> Option<Totals>) -> Totals {
    println!("--- sim {}", args.join(" "));
    let mut totals = Totals::default();
    let end = stream(sim::command(workspace, args).args(args), SILENCE, |line| {
        println!("    {line}");
        totals += total(line).unwrap_or_default();
    });
    let why = match end {
        Ok(end) if end.hung => format!("nothing happened for {} s", SILENCE.as_secs()),
        Ok(end) if !end.status.success() => format!("the simulator ended with {}", end.status),
        Ok(_) if totals.count() == 0 => "the simulator names no totals".to_owned(),
        Ok(_) => return totals,
        Err(Failure(why)) => why,
    };
    println!("    FAILED: {why}");
    totals.failed = totals.failed.max(1);
    totals
}

/// `300 seeds, each twice, ... in 9.1 s: 1 failed, 2 never reached`: what no
/// seed reached has failed too.
fn seeds_total(line: &str) -> Option<Totals> {
    let seeds: usize = number_before(line, " seeds, each twice")?;
    let failed: usize = number_before(line, " failed")?;
    let missing: usize = number_before(line, " never reached")?;
    Some(Totals { passed: seeds.checked_sub(failed)?, failed: failed + missing, skipped: 0 })
}

/// `passed FILE: title` or `FAILED FILE: title`.
fn scenarios_total(line: &str) -> Option<Totals> {
    let (word, rest) = line.split_once(' ')?;
    let is_one = rest.contains(".scn: ") && matches!(word, "passed" | "FAILED");
    is_one.then(|| Totals::of(word == "passed"))
}

/// `20 mutants, 1 survived`
fn mutants_total(line: &str) -> Option<Totals> {
    let mutants: usize = number_before(line, " mutants, ")?;
    let survived = number_before(line, " survived")?;
    Some(Totals { passed: mutants.checked_sub(survived)?, failed: survived, skipped: 0 })
}

/// The number that stands before these words.
fn number_before(line: &str, words: &str) -> Option<usize> {
    let before = line.split_once(words)?.0;
    before.rsplit(' ').next()?.parse().ok()
}

/// The scenario files that the simulator can run: those that name no stacks, or
/// its own among them.
fn simulated(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(simulated(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "scn")
            && is_simulated(&std::fs::read_to_string(&path)?)
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn is_simulated(scenario: &str) -> bool {
    let mut heads = scenario.lines().map(str::split_whitespace);
    let stacks = heads.find_map(|mut words| (words.next() == Some("stacks")).then_some(words));
    stacks.is_none_or(|mut words| words.any(|word| word == SIMULATED))
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
    fn the_simulators_lines_give_its_totals() {
        let of = |passed, failed| Some(Totals { passed, failed, skipped: 0 });
        let seeds = "300 seeds, each twice, 4211 simulated node-seconds in 9.1 s: 2 failed, 1 never reached";
        assert_eq!(seeds_total(seeds), of(298, 3));
        assert_eq!(seeds_total("     12  state member of ring"), None);
        assert_eq!(mutants_total("18 mutants, 1 survived"), of(17, 1));
        assert_eq!(mutants_total("MIN-2/remove     seed 3      quorum"), None);
        assert_eq!(scenarios_total("passed tests/scenarios/01-quorum.scn: three nodes"), of(1, 0));
        assert_eq!(scenarios_total("FAILED tests/scenarios/01-quorum.scn: three nodes"), of(0, 1));
        assert_eq!(scenarios_total("passed nothing"), None);
    }

    #[test]
    fn scenarios_for_other_stacks_are_left_to_the_lab() {
        assert!(is_simulated("title a\nnodes 3\nstart all\n"));
        assert!(is_simulated("title a\nstacks   reference miniature\n"));
        assert!(!is_simulated("title a\nstacks reference ours\n"));
    }

    #[test]
    fn a_campaign_that_cannot_run_has_failed() {
        let workspace = Workspace { root: "/nonexistent".into() };
        assert_eq!(campaign(&workspace, &words(&["--seeds"]), seeds_total), Totals::of(false));
    }
}
