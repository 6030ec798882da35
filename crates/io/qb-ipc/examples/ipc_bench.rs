//! Round trips against libqb's own, side by side in one run.
//!
//! `ipc_bench [--rounds N] [--quick] [--json FILE]` compiles the C programs,
//! runs every pair of server and client in turn, several rounds, and prints the
//! medians with their ratio to the C library talking to itself. The other
//! arguments are for the processes that it starts itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use qb_ipc::{
    AsyncClient, BlockingClient, ConnectOptions, Error, Event, Expectation, Naming, Server,
    ServerConfig, Transport, allow_all,
};

/// Body sizes in bytes, and round trips of each in one measurement.
const SIZES: [(usize, u32); 4] = [(64, 20_000), (4096, 20_000), (65_536, 4000), (1 << 20, 300)];
/// A message of the largest body with any header.
const MAX: u32 = (1 << 20) + 64;

/// Who serves and who asks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Pair {
    LibqbLibqb,
    OursLibqb,
    LibqbBlocking,
    OursBlocking,
    OursAsync,
}

const PAIRS: [Pair; 5] =
    [Pair::LibqbLibqb, Pair::OursLibqb, Pair::LibqbBlocking, Pair::OursBlocking, Pair::OursAsync];

impl Pair {
    fn name(self) -> &'static str {
        match self {
            Self::LibqbLibqb => "libqb server, libqb client",
            Self::OursLibqb => "our server, libqb client",
            Self::LibqbBlocking => "libqb server, our blocking client",
            Self::OursBlocking => "our server, our blocking client",
            Self::OursAsync => "our server, our async client",
        }
    }

    fn our_server(self) -> bool {
        !matches!(self, Self::LibqbLibqb | Self::LibqbBlocking)
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", name, kind] => serve(name, kind),
        [client @ ("blocking" | "async"), name, size, count] => {
            let (size, count) = (size.parse().unwrap(), count.parse().unwrap());
            println!("{}", ask(client, name, size, count));
        }
        _ => orchestrate(&words),
    }
}

fn orchestrate(words: &[&str]) {
    let value = |key: &str| words.iter().position(|w| *w == key).and_then(|i| words.get(i + 1));
    let rounds = value("--rounds").map_or(7, |n| n.parse().expect("--rounds takes a number"));
    let divisor = if words.contains(&"--quick") { 10 } else { 1 };
    let programs = ["bench_server", "bench_client"].map(compile);
    let mut times: BTreeMap<(usize, usize, Pair), Vec<f64>> = BTreeMap::new();
    for _ in 0..rounds {
        for (k, kind) in ["shm", "socket"].iter().enumerate() {
            for (s, (size, count)) in SIZES.iter().enumerate() {
                for pair in PAIRS {
                    let count = (count / divisor).max(10);
                    let ns = measure(&programs, pair, kind, *size, count);
                    times.entry((k, s, pair)).or_default().push(ns / f64::from(count));
                }
            }
        }
    }
    let medians: BTreeMap<_, _> = times.into_iter().map(|(key, t)| (key, median(t))).collect();
    print(&medians, rounds);
    if let Some(file) = value("--json") {
        std::fs::write(file, json(&medians)).expect("the file of --json can be written");
    }
}

fn measure(programs: &[PathBuf; 2], pair: Pair, kind: &str, size: usize, count: u32) -> f64 {
    let this = std::env::current_exe().unwrap();
    let name = format!("qb-ipc-bench-{}", std::process::id());
    let mut server = if pair.our_server() {
        let mut command = Command::new(&this);
        command.args(["serve", &name, kind]);
        command
    } else {
        let mut command = Command::new(&programs[0]);
        command.args([&name, kind]);
        command
    };
    let mut server = server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let (size, count) = (size.to_string(), count.to_string());
    let mut client = match pair {
        Pair::LibqbLibqb | Pair::OursLibqb => {
            let mut command = Command::new(&programs[1]);
            command.args([&name, &MAX.to_string(), &size, &count]);
            command
        }
        Pair::LibqbBlocking | Pair::OursBlocking | Pair::OursAsync => {
            let form = if pair == Pair::OursAsync { "async" } else { "blocking" };
            let mut command = Command::new(&this);
            command.args([form, &name, &size, &count]);
            command
        }
    };
    let output = client.output().unwrap();
    drop(server.stdin.take());
    server.wait().unwrap();
    assert!(output.status.success(), "{}: {output:?}", pair.name());
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// Our server: echoes until its stdin ends.
fn serve(name: &str, kind: &str) {
    let mut config = ServerConfig::new(name);
    config.naming = Naming::Abstract;
    config.transport = if kind == "shm" { Transport::Shm } else { Transport::Socket };
    let (end, mut ended) = tokio::sync::oneshot::channel::<()>();
    runtime().block_on(async {
        let mut server = Server::listen(config, allow_all()).unwrap();
        println!("ready");
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_line(&mut String::new());
            drop(end);
        });
        loop {
            tokio::select! {
                biased;
                event = server.next_event() => if let Event::Request { conn, frame } = event {
                    server.respond(conn, frame.id, 0, &frame.body).unwrap();
                },
                _ = &mut ended => return,
            }
        }
    });
}

/// Our client: nanoseconds that `count` round trips took.
fn ask(form: &str, name: &str, size: usize, count: u32) -> u128 {
    let mut options = ConnectOptions::new(MAX);
    options.naming = Naming::Abstract;
    options.expect = Expectation::Anyone;
    let body = vec![0; size];
    let warm = count / 10 + 1;
    if form == "blocking" {
        let mut client = BlockingClient::connect_with(name, &options).unwrap();
        let mut answer = Vec::new();
        let mut round = || {
            // The library's server answers before it frees the request's place.
            while let Err(e) = client.send_request(1, &body) {
                assert!(matches!(e, Error::Again), "{e}");
            }
            client.recv_response_into(&mut answer, None).unwrap();
            assert_eq!(answer.len(), size);
        };
        (0..warm).for_each(|_| round());
        let start = Instant::now();
        (0..count).for_each(|_| round());
        return start.elapsed().as_nanos();
    }
    runtime().block_on(async {
        let mut client = AsyncClient::connect(name, &options).await.unwrap();
        let mut start = Instant::now();
        for i in 0..warm + count {
            if i == warm {
                start = Instant::now();
            }
            assert_eq!(client.request(1, &body).await.unwrap().body.len(), size);
        }
        start.elapsed().as_nanos()
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn compile(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(format!("{name}.c"));
    let program = std::env::current_exe().unwrap().with_file_name(format!("qb-ipc-{name}"));
    let mut cc = Command::new("cc");
    let status = cc.args(["-O2", "-o"]).arg(&program).arg(source).arg("-lqb").status();
    let compiled = status.is_ok_and(|status| status.success());
    assert!(compiled, "the C programs need: apt install gcc libqb-dev");
    program
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn print(medians: &BTreeMap<(usize, usize, Pair), f64>, rounds: usize) {
    println!("round trips, echoed body; medians of {rounds} rounds; ratio to libqb with itself");
    for (k, kind) in ["SHM", "SOCKET"].iter().enumerate() {
        for (s, (size, _)) in SIZES.iter().enumerate() {
            println!("\n{kind}, {size} bytes");
            let base = medians[&(k, s, Pair::LibqbLibqb)];
            for pair in PAIRS {
                let ns = medians[&(k, s, pair)];
                let (per_second, mb) = rates(ns, *size);
                let name = pair.name();
                println!("  {name:36} {per_second:10.0}/s {mb:9.1} MB/s {:7.2}", base / ns);
            }
        }
    }
}

/// Round trips per second, and megabytes per second in each direction.
fn rates(ns: f64, size: usize) -> (f64, f64) {
    (1e9 / ns, size as f64 * 1e3 / ns)
}

fn json(medians: &BTreeMap<(usize, usize, Pair), f64>) -> String {
    let mut text = String::from("[\n");
    for (i, ((k, s, pair), ns)) in medians.iter().enumerate() {
        let base = medians[&(*k, *s, Pair::LibqbLibqb)];
        let size = SIZES[*s].0;
        let (per_second, mb) = rates(*ns, size);
        let transport = ["shm", "socket"][*k];
        let comma = if i + 1 < medians.len() { "," } else { "" };
        let _ = writeln!(
            text,
            "  {{\"transport\": \"{transport}\", \"bytes\": {size}, \"pair\": \"{}\", \
             \"round_trips_per_s\": {per_second:.0}, \"mb_per_s\": {mb:.1}, \
             \"ratio\": {:.3}}}{comma}",
            pair.name(),
            base / ns,
        );
    }
    text.push_str("]\n");
    text
}
