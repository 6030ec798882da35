fn main() {
    let text = std::fs::read_to_string(std::env::args().nth(1).unwrap()).unwrap();
    let seed = std::env::args().nth(2).map_or(1, |s| s.parse().unwrap());
    let scenario = scenario::parse(&text).unwrap();
    let outcome = world::run_scenario(&scenario, seed, world::Keep::All).unwrap();
    for line in &outcome.lines {
        println!("{line}");
    }
    for v in &outcome.violations {
        println!("{v}");
    }
    if let Some(f) = &outcome.failure {
        println!("FAILED {f}");
    }
    println!("passed {} hash {:x}", outcome.passed(), outcome.hash);
}
