use world::Keep;
use world::campaign::*;
fn main() {
    let a: Vec<u64> = std::env::args().skip(1).map(|s| s.parse().unwrap()).collect();
    let mut count = std::collections::BTreeMap::<String, Vec<u64>>::new();
    for seed in a[0]..a[0] + a[1] {
        if let Some(f) = run(&plan_of(seed, None), Keep::Hash).fault {
            let name = match &f {
                Failure::Violation(v) => {
                    let mut n: Vec<_> = v.iter().map(|v| v.checker).collect();
                    n.sort();
                    n.dedup();
                    n.join("+")
                }
                Failure::Panic(p) => format!("panic {}", p.chars().take(100).collect::<String>()),
                _ => f.name().to_string(),
            };
            count.entry(name).or_default().push(seed);
        }
    }
    for (k, v) in count {
        println!("{k}: {} {:?}", v.len(), &v[..v.len().min(8)]);
    }
}
