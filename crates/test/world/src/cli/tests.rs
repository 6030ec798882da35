use super::*;

fn parse(text: &str) -> Result<Command, String> {
    let args: Vec<String> = text.split_whitespace().map(String::from).collect();
    Command::parse(&args)
}

#[test]
fn what_is_asked_is_understood() {
    assert_eq!(parse(""), Ok(Command::default()));
    let hour = Command { time: Some(Duration::from_secs(3600)), ..Command::default() };
    assert_eq!(parse("--for 1h"), Ok(hour));
    let seed = Command { seed: Some(7), trace: true, nodes: Some(5), ..Command::default() };
    assert_eq!(parse("--seed 7 --nodes 5 --trace"), Ok(seed));
    let file = Command { scenarios: vec!["a.scn".into()], seed: Some(2), ..Command::default() };
    assert_eq!(parse("--scenario a.scn --seed 2"), Ok(file));
}

#[test]
fn misuse_is_named() {
    let why = |text| parse(text).unwrap_err();
    assert_eq!(why("--sedes 3"), "\"--sedes\" is not understood");
    assert_eq!(why("--seeds"), "--seeds wants a value");
    assert_eq!(why("--seeds x"), "\"x\" is no number");
    assert_eq!(why("--for 3"), "\"3\" is no time (90s, 10m, 1h)");
    assert_eq!(why("--nodes 65"), "\"65\" is no number of nodes (1 to 64)");
    assert_eq!(why("--mutants --bench"), "one of --seed, --scenario, --mutants, --bench");
    assert_eq!(why("--seeds 3 --for 1m"), "--seeds or --for, not both");
    assert_eq!(why("--trace"), "--trace and --shrink are for one --seed");
}
