//! The simulator's command line: parse, run, print. Standard output is data,
//! standard error is talk; exit status 0: all well, 1: something was found, 2:
//! misuse.

mod bench;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::campaign::{self, Extent, Plan, Summary};
use crate::{Keep, run_scenario};

/// What the command understands.
pub const USAGE: &str = "\
usage: cargo xtask sim [--seeds N | --for TIME] [--from SEED] [--nodes N]
       cargo xtask sim --seed SEED [--nodes N] [--trace] [--shrink] [--mutant NAME]
       cargo xtask sim --scenario FILE [--seed SEED] [--trace]
       cargo xtask sim --mutants [--seeds N] [--from SEED]
       cargo xtask sim --bench

  --seeds N        run so many seeds (300), each twice
  --for TIME       run seeds for so long (90s, 10m, 1h)
  --from SEED      begin with this seed (1)
  --nodes N        clusters of N nodes instead of as many as the seed says
  --seed SEED      run one seed
  --trace          print its trace, one line an event
  --shrink         drop faults from it while it still fails
  --scenario FILE  run a scenario file on the miniature; may be given again
  --mutant NAME    with this known mistake planted
  --mutants        plant each known mistake; every one must be found
  --bench          simulated node-seconds per second for 5 and 32 nodes";

/// Seeds that a campaign runs when nothing else is asked.
const SEEDS: u64 = 300;
/// A campaign of so many seeds must have reached everything.
const ENOUGH_TO_REACH_ALL: u64 = 200;

/// Where the trace of a failure goes, from the folder in which the command runs.
const TRACES: &str = "target/sim";
/// Runs that are spent on making a plan smaller.
const SHRINKING: u32 = 400;

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    seeds: Option<u64>,
    time: Option<Duration>,
    from: Option<u64>,
    nodes: Option<u32>,
    seed: Option<u64>,
    trace: bool,
    shrink: bool,
    scenarios: Vec<PathBuf>,
    mutant: Option<String>,
    mutants: bool,
    bench: bool,
}

impl Command {
    /// Reads the arguments after the command's name.
    pub fn parse(args: &[String]) -> Result<Self, String> {
        let mut command = Command::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
            match arg.as_str() {
                "--seeds" => command.seeds = Some(number(value()?)?),
                "--for" => command.time = Some(time(value()?)?),
                "--from" => command.from = Some(number(value()?)?),
                "--nodes" => command.nodes = Some(nodes(value()?)?),
                "--seed" => command.seed = Some(number(value()?)?),
                "--trace" => command.trace = true,
                "--shrink" => command.shrink = true,
                "--scenario" => command.scenarios.push(value()?.into()),
                "--mutant" => command.mutant = Some(value()?.clone()),
                "--mutants" => command.mutants = true,
                "--bench" => command.bench = true,
                _ => return Err(format!("\"{arg}\" is not understood")),
            }
        }
        command.check()?;
        Ok(command)
    }

    fn check(&self) -> Result<(), String> {
        let modes = [
            self.seed.is_some() && self.scenarios.is_empty(),
            !self.scenarios.is_empty(),
            self.mutants,
            self.bench,
        ];
        if modes.iter().filter(|mode| **mode).count() > 1 {
            return Err("one of --seed, --scenario, --mutants, --bench".into());
        }
        if self.seeds.is_some() && self.time.is_some() {
            return Err("--seeds or --for, not both".into());
        }
        if (self.trace || self.shrink) && self.seed.is_none() && self.scenarios.is_empty() {
            return Err("--trace and --shrink are for one --seed".into());
        }
        if self.mutant.is_some() && self.seed.is_none() {
            return Err("--mutant is for one --seed; --mutants tries all".into());
        }
        Ok(())
    }

    /// Does it.
    pub fn run(&self) -> ExitCode {
        let good = if self.bench {
            bench::bench();
            true
        } else if self.mutants {
            self.run_mutants()
        } else if !self.scenarios.is_empty() {
            let passed = self.scenarios.iter().filter(|file| self.run_scenario(file)).count();
            passed == self.scenarios.len()
        } else if let Some(seed) = self.seed {
            self.run_seed(seed)
        } else {
            self.run_campaign()
        };
        if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn run_campaign(&self) -> bool {
        quiet_panics();
        let extent = match self.time {
            Some(time) => Extent::For(time),
            None => Extent::Seeds(self.seeds.unwrap_or(SEEDS)),
        };
        let progress = |summary: &Summary| {
            let (seeds, failed) = (summary.seeds, summary.failed.len());
            eprintln!("sim: {seeds} seeds in {:.0} s, {failed} failed", summary.took.as_secs_f64());
        };
        let summary = campaign::campaign(self.from.unwrap_or(1), extent, self.nodes, progress);
        print_counters(&summary);
        for (seed, fault) in &summary.failed {
            println!("\nseed {seed} failed\n{fault}\nrepeat it: {}", self.repeat(*seed));
        }
        if let Some((seed, fault)) = summary.failed.first() {
            self.tell_more(*seed, fault);
        }
        let missing = if summary.seeds >= ENOUGH_TO_REACH_ALL && self.nodes.is_none() {
            campaign::never_reached(&summary.counters)
        } else {
            Vec::new()
        };
        for name in &missing {
            println!("never reached: {name}");
        }
        println!(
            "{} seeds, each twice, {:.0} simulated node-seconds in {:.1} s: {} failed, {} never reached",
            summary.seeds,
            summary.node_seconds,
            summary.took.as_secs_f64(),
            summary.failed.len(),
            missing.len()
        );
        summary.failed.is_empty() && missing.is_empty()
    }

    /// The first failure's trace as a file, its end, and what is left of its plan
    /// when faults that don't matter are dropped.
    fn tell_more(&self, seed: u64, fault: &campaign::Failure) {
        let plan = campaign::plan_of(seed, self.nodes);
        let lines = campaign::run(&plan, Keep::All).lines;
        let file = PathBuf::from(TRACES).join(format!("seed-{seed}.trace"));
        let written = std::fs::create_dir_all(TRACES)
            .and_then(|()| std::fs::write(&file, lines.join("\n") + "\n"));
        match written {
            Ok(()) => println!("\ntrace of seed {seed}: {}; its end:", file.display()),
            Err(why) => println!("\n{}: {why}; the end of the trace:", file.display()),
        }
        lines.iter().skip(lines.len().saturating_sub(30)).for_each(|line| println!("{line}"));
        print!("smaller ");
        print_plan(&campaign::shrink(&plan, fault.name(), SHRINKING));
    }

    fn repeat(&self, seed: u64) -> String {
        let nodes = self.nodes.map_or(String::new(), |nodes| format!(" --nodes {nodes}"));
        let mutant = self.mutant.as_ref().map_or(String::new(), |name| format!(" --mutant {name}"));
        format!("cargo xtask sim --seed {seed}{nodes}{mutant} --trace")
    }

    fn run_seed(&self, seed: u64) -> bool {
        quiet_panics();
        if let Some(name) = &self.mutant
            && !campaign::plant_mutant(name)
        {
            eprintln!("sim: no mutant {name}, or mutants are not compiled in (--features mutants)");
            return false;
        }
        let mut plan = campaign::plan_of(seed, self.nodes);
        if self.shrink {
            plan = shrunk(&plan);
        }
        let keep = if self.trace { Keep::All } else { Keep::Tail(40) };
        let run = campaign::run(&plan, keep);
        let again = campaign::run(&plan, Keep::Hash);
        if self.trace || run.fault.is_some() {
            run.lines.iter().for_each(|line| println!("{line}"));
        }
        print_plan(&plan);
        println!("trace {:016x} ({:016x} the second time)", run.hash, again.hash);
        if let Some(fault) = &run.fault {
            println!("seed {seed} failed\n{fault}\nrepeat it: {}", self.repeat(seed));
        }
        run.fault.is_none() && run.hash == again.hash
    }

    fn run_scenario(&self, file: &Path) -> bool {
        match self.scenario_outcome(file) {
            Ok(passed) => passed,
            Err(why) => {
                println!("{}: {why}", file.display());
                false
            }
        }
    }

    fn scenario_outcome(&self, file: &Path) -> Result<bool, String> {
        let text = std::fs::read_to_string(file).map_err(|why| why.to_string())?;
        let scenario = scenario::parse(&text).map_err(|why| why.to_string())?;
        let keep = if self.trace { Keep::All } else { Keep::Tail(40) };
        let outcome = run_scenario(&scenario, self.seed.unwrap_or(1), keep)?;
        if self.trace || !outcome.passed() {
            outcome.lines.iter().for_each(|line| println!("{line}"));
        }
        outcome.failure.iter().for_each(|failure| println!("{}: {failure}", file.display()));
        outcome.violations.iter().for_each(|found| println!("{found}"));
        outcome.missed.iter().for_each(|name| println!("{name} should have found something"));
        let word = if outcome.passed() { "passed" } else { "FAILED" };
        println!("{word} {}: {}", file.display(), scenario.title);
        Ok(outcome.passed())
    }

    #[cfg(feature = "mutants")]
    fn run_mutants(&self) -> bool {
        quiet_panics();
        let limit = self.seeds.unwrap_or(SEEDS);
        let hunts = campaign::hunt(self.from.unwrap_or(1), limit, |hunt| {
            let (mutant, tried) = (hunt.mutant, hunt.tried);
            match &hunt.found {
                Some((seed, checker)) => println!("{mutant:<16} seed {seed:<6} {checker}"),
                None => println!("{mutant:<16} SURVIVED {tried} seeds"),
            }
        });
        let survived = hunts.iter().filter(|hunt| hunt.found.is_none()).count();
        println!("{} mutants, {survived} survived", hunts.len());
        survived == 0
    }

    #[cfg(not(feature = "mutants"))]
    fn run_mutants(&self) -> bool {
        eprintln!("sim: mutants are not compiled in; build with --features mutants");
        false
    }
}

/// A panic is a finding, told with its seed; its own message would only disturb.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

fn shrunk(plan: &Plan) -> Plan {
    let Some(fault) = campaign::run(plan, Keep::Hash).fault else { return plan.clone() };
    campaign::shrink(plan, fault.name(), SHRINKING)
}

fn print_plan(plan: &Plan) {
    println!(
        "plan of seed {}: {} nodes, client every {:?} ms, local queues of {}, healed at {} s",
        plan.seed,
        plan.nodes,
        plan.chatter_ms,
        plan.local_bound,
        plan.heal_at / 1_000_000_000
    );
    plan.faults.iter().for_each(|timed| println!("    {timed}"));
}

fn print_counters(summary: &Summary) {
    for (name, count) in &summary.counters.things {
        println!("{count:>10}  {name}");
    }
    for ((daemon, state), count) in &summary.counters.states {
        println!("{count:>10}  state {state} of {daemon}");
    }
    for ((daemon, timer), count) in &summary.counters.timers {
        println!("{count:>10}  timer {timer} of {daemon}");
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("\"{text}\" is no number"))
}

fn nodes(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| (1..=64).contains(count));
    count.ok_or_else(|| format!("\"{text}\" is no number of nodes (1 to 64)"))
}

fn time(text: &str) -> Result<Duration, String> {
    let wanted = || format!("\"{text}\" is no time (90s, 10m, 1h)");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wanted)?;
    let (count, unit) = text.split_at(split);
    let count: u64 = count.parse().map_err(|_| wanted())?;
    let seconds = match unit {
        "s" => count,
        "m" => count * 60,
        "h" => count * 3600,
        _ => return Err(wanted()),
    };
    Ok(Duration::from_secs(seconds))
}
