use world::campaign::*;
fn main() {
    let a: Vec<u64> = std::env::args().skip(1).map(|s| s.parse().unwrap()).collect();
    let s = campaign(a[0], Extent::Seeds(a[1]), None, |_| {});
    for (seed, f) in &s.failed {
        println!("--- {seed}: {}", f.to_string().chars().take(600).collect::<String>());
    }
    println!(
        "{} seeds {} failed {:?} {:.0} node-s",
        s.seeds,
        s.failed.len(),
        s.took,
        s.node_seconds
    );
    for (k, v) in &s.counters.things {
        println!("{v:>9} {k}");
    }
    println!("missing {:?}", never_reached(&s.counters));
}
