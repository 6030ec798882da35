//! The command `lab` and the modes in which it runs itself.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::client::{self, Lab};
use crate::layout::{self, RunDir};
use crate::mix::{self, Mix};
use crate::runner::{self, Outcome, RunOptions};
use crate::spec::{Kind, Spec};
use crate::{demo, fence, hub, image, keeper, node, probe, requirements};

const USAGE: &str = "\
lab: clusters of real nodes in namespaces on this machine

  lab up N [OPTIONS]          make N nodes, start the cluster software, leave them running
  lab exec NODE [CMD...]      run a command inside a node (none: a shell)
  lab status                  all labs: nodes, programs, cluster
  lab down                    end a lab
  lab run FILE... [OPTIONS]   run scenario files, with all checkers
  lab demo                    a service moves because its node is killed and fenced
  lab clean                   remove what killed labs left
  lab image                   make the system of full nodes (done on demand, too)
  lab setup [full]            install the packages that are missing

options
  --name NAME                 the lab's name (up, exec, status, down; else \"lab\")
  --kind light|full           namespaces only, or systemd as pid 1
  --transport udpu|udp|knet   of totem (up)
  --mix MIX                   whose programs: reference, ours, n2=ours, n2:pacemaker-attrd=ours,
                              all:corosync=ours; several with commas, the last that applies wins
  --dist DIR                  our programs, as cargo xtask dist DIR lays them out
  --keep                      leave the nodes running after the scenario (run)
  --verbose                   print every observation (run)
";

/// Runs the command; by the name `fence_lab` it is the fence agent.
pub fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().collect();
    let called = words.first().map(|w| Path::new(w).file_name().unwrap_or_default().to_owned());
    words.remove(0);
    if called.is_some_and(|name| name == "fence_lab") {
        return ExitCode::from(fence::main(&words));
    }
    let (command, args) = words.split_first().map_or(("", &[][..]), |(c, a)| (c.as_str(), a));
    match mode(command, args).unwrap_or_else(|| public(command, args)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("lab: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The modes by which a lab's processes are made.
fn mode(command: &str, args: &[String]) -> Option<Result<bool, String>> {
    let dir = || RunDir::at(args.first().map_or("", String::as_str));
    let number = || args.get(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    let done = match command {
        "__keeper" => keeper::main(&dir()),
        "__hub" => hub::main(&dir()),
        "__node" => node::monitor(&dir(), number()),
        "__init" => node::init(&dir(), number()),
        "__probe" => probe::main(),
        "__stack" => node::stack_command(args.first().map_or("", String::as_str)),
        _ => return None,
    };
    // A monitor's only listener is the hub, which reads the reason from its stdout.
    if let (Err(why), "__node" | "__init") = (&done, command) {
        println!("{why}");
    }
    Some(done.map(|()| true))
}

/// The options after a command.
struct Options {
    name: Option<String>,
    kind: Kind,
    transport: Option<String>,
    mix: Mix,
    dist: Option<PathBuf>,
    keep: bool,
    verbose: bool,
    words: Vec<String>,
}

fn options(args: &[String]) -> Result<Options, String> {
    let mut options = Options {
        name: None,
        kind: Kind::Light,
        transport: None,
        mix: Mix::default(),
        dist: None,
        keep: false,
        verbose: false,
        words: Vec::new(),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().cloned().ok_or_else(|| format!("{arg} wants a value"));
        match arg.as_str() {
            "--name" => options.name = Some(value()?),
            "--kind" => options.kind = value()?.parse()?,
            "--transport" => options.transport = Some(value()?),
            "--mix" => options.mix = Mix::parse(&value()?)?,
            "--dist" => options.dist = Some(absolute(&value()?)?),
            "--keep" => options.keep = true,
            "--verbose" => options.verbose = true,
            unknown if unknown.starts_with("--") => {
                return Err(format!("unknown option {unknown}\n\n{USAGE}"));
            }
            word => options.words.push(word.to_string()),
        }
    }
    Ok(options)
}

fn absolute(path: &str) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|e| format!("{path}: {e}"))
}

fn public(command: &str, args: &[String]) -> Result<bool, String> {
    match command {
        "exec" => exec(args),
        "up" => up(&options(args)?),
        "status" => status(&options(args)?),
        "down" => Lab::open(&name(&options(args)?))?.down().map(|()| true),
        "run" => run(&options(args)?),
        "demo" => demo::run(&client::own_program()?),
        "clean" => {
            let reaped = layout::reap()?;
            println!(
                "removed: {}",
                if reaped.is_empty() { "nothing".into() } else { reaped.join(" ") }
            );
            Ok(true)
        }
        "image" => {
            requirements::check(Kind::Full)?;
            println!("{}", image::ready()?.display());
            Ok(true)
        }
        "setup" => {
            let full = args.first().is_some_and(|a| a == "full");
            requirements::setup(if full { Kind::Full } else { Kind::Light }).map(|()| true)
        }
        "" | "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(true)
        }
        _ => Err(format!("unknown command {command}\n\n{USAGE}")),
    }
}

fn name(options: &Options) -> String {
    options.name.clone().unwrap_or_else(|| "lab".into())
}

fn up(options: &Options) -> Result<bool, String> {
    requirements::check(options.kind)?;
    let count = options.words.first().and_then(|n| n.parse().ok());
    let count = count.filter(|n| (1..=64).contains(n)).ok_or("lab up N: 1 to 64 nodes")?;
    let mut spec = Spec::new(count);
    spec.kind = options.kind;
    mix::check(&options.mix, count, options.dist.as_deref())?;
    (spec.mix, spec.dist) = (options.mix.clone(), options.dist.clone());
    match options.transport.as_deref() {
        None => {}
        Some(known @ ("udpu" | "udp" | "knet")) => spec.transport = known.to_string(),
        Some(other) => return Err(format!("\"{other}\": a transport is udpu, udp or knet")),
    }
    if spec.kind == Kind::Full {
        spec.image = Some(image::ready()?);
    }
    let name = name(options);
    let lab = Lab::start(&client::own_program()?, Some(&name), spec)?;
    lab.start_stack(&(1..=count).collect::<Vec<_>>())?;
    print!("{}", lab.audit().map_err(|(why, table)| format!("{why}\n{table}"))?);
    println!("lab {name} is up: lab exec n1 crm_mon -1; lab status; lab down");
    lab.detach().map(|()| true)
}

fn exec(args: &[String]) -> Result<bool, String> {
    let (name, rest) = match args {
        [option, name, rest @ ..] if option == "--name" => (name.as_str(), rest),
        _ => ("lab", args),
    };
    let (node, command) = rest.split_first().ok_or("lab exec [--name NAME] NODE [CMD...]")?;
    let number = node.strip_prefix('n').unwrap_or(node).parse();
    let number = number.map_err(|_| format!("\"{node}\" is no node (n1)"))?;
    let shell = ["bash".to_string()];
    let command = if command.is_empty() { &shell[..] } else { command };
    let status = Lab::open(name)?.command_in(number, command)?.status();
    match status.map_err(|e| e.to_string())?.code() {
        Some(0) => Ok(true),
        Some(code) => std::process::exit(code),
        None => Ok(false),
    }
}

fn status(options: &Options) -> Result<bool, String> {
    let labs = layout::labs()?;
    if labs.is_empty() {
        println!("no lab runs");
    }
    for dir in labs {
        if options.name.as_ref().is_some_and(|name| *name != dir.name()) {
            continue;
        }
        if !dir.is_alive() {
            println!("lab {}: dead; lab clean removes it", dir.name());
            continue;
        }
        let lab = Lab::open(&dir.name())?;
        let spec = lab.spec();
        println!(
            "lab {}: {} {} nodes, {}, mix \"{}\"",
            dir.name(),
            spec.nodes,
            spec.kind,
            spec.transport,
            spec.mix
        );
        match lab.audit() {
            Ok(table) => print!("{table}"),
            Err((why, table)) => println!("{table}{why}"),
        }
        for node in 1..=spec.nodes {
            if let Ok(text) = lab.run_in(node, &["crm_mon", "-1"]) {
                println!("{text}");
                break;
            }
        }
    }
    Ok(true)
}

fn run(options: &Options) -> Result<bool, String> {
    if options.words.is_empty() {
        return Err(format!("lab run FILE...\n\n{USAGE}"));
    }
    let mut run = RunOptions::new(client::own_program()?);
    run.kind = options.kind;
    run.mix = options.mix.clone();
    run.dist.clone_from(&options.dist);
    run.verbose = options.verbose;
    run.keep = options.keep.then(|| name(options));
    let mut all_passed = true;
    for file in &options.words {
        let started = std::time::Instant::now();
        match runner::run_file(Path::new(file), &run) {
            Ok(outcome) => {
                print_outcome(file, &outcome, started.elapsed().as_secs_f32());
                all_passed &= outcome.passed();
            }
            Err(why) => {
                eprintln!("lab: {why}");
                println!("FAILED {file}: it could not be run");
                all_passed = false;
            }
        }
    }
    Ok(all_passed)
}

fn print_outcome(file: &str, outcome: &Outcome, seconds: f32) {
    print!("{}", outcome.table);
    for off in &outcome.off {
        println!("  checker off: {off}");
    }
    for caught in &outcome.caught {
        println!("  caught, as planted: {caught}");
    }
    for violation in &outcome.violations {
        println!("  {violation}");
    }
    if let Some(failure) = &outcome.failure {
        println!("  {failure}");
    }
    let word = if outcome.passed() { "passed" } else { "FAILED" };
    println!("{word} {file}: {} ({seconds:.1} s)", outcome.title);
}
