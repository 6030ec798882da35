use super::*;
use crate::{configure, startable};

const RICH: &str = "# all sections\ntotem {\n version: 2\n transport: udpu\n cluster_name: x\n\
    interface {\n  linknumber: 0\n  mcastport: 5405\n  member {\n   memberaddr: 10.0.0.1\n  }\n }\n}\n\
    nodelist {\n node {\n  nodeid: 1\n  name: a\n  ring0_addr: 10.0.0.1\n }\n}\n\
    quorum {\n provider: corosync_votequorum\n device {\n  model: net\n  net {\n   host: q\n  }\n }\n}\n\
    logging {\n debug: off\n logger_subsys {\n  subsys: QUORUM\n  debug: on\n }\n}\n\
    system {\n sched_rr: yes\n}\nresources {\n watchdog_timeout: 5\n system {\n  memory_used {\n   poll_period: 9\n  }\n }\n}\n\
    nozzle {\n name: noz0\n ipaddr: 10.9.0.1\n}\nuidgid {\n uid: 5\n}\nservice {\n name: other\n}\n";

fn host() -> Host {
    Host { nodename: "a".to_owned(), ..Host::default() }
}

#[test]
fn every_section_is_read_and_nothing_in_it_is_unknown() {
    let document = read(&Files::main("c", RICH), &host()).unwrap();
    assert_eq!(document.unknown, []);
    let keys = &document.keys;
    assert_eq!(keys.text("quorum.device.net.host"), Some("q"));
    assert_eq!(keys.value("resources.system.memory_used.poll_period"), Some(&Value::U64(9)));
    assert_eq!(keys.u32("resources.watchdog_timeout"), Some(5));
    assert_eq!(keys.text("nozzle.name"), Some("noz0"));
    assert_eq!(keys.u8("uidgid.config.uid.5"), Some(1));
    assert_eq!(keys.line("nodelist.node.0.nodeid"), Some(16));
}

#[test]
fn unknown_keys_are_kept_and_warned_of_once() {
    let text = format!("{RICH}totem {{\n colour: red\n}}\nmine {{\n key: v\n}}\n");
    let document = read(&Files::main("c", text), &host()).unwrap();
    assert_eq!(document.keys.text("mine.key"), Some("v"));
    let warning = document.unknown_warning().unwrap();
    let lines = RICH.lines().count();
    let listed = format!("totem.colour (line {}), mine.key (line {})", lines + 2, lines + 5);
    assert_eq!(warning, format!("c: keys that mean nothing to corosync: {listed}"));
}

#[test]
fn mutated_files_never_panic_and_are_always_blamed_on_the_file() {
    let mut rng = sansio::Rng::new(2026);
    let lines: Vec<&[u8]> = RICH.as_bytes().split_inclusive(|b| *b == b'\n').collect();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..6000 {
        let mut mutant: Vec<Vec<u8>> = lines.iter().map(|l| l.to_vec()).collect();
        for _ in 0..=rng.below(3) {
            mutate(&mut mutant, &mut rng);
        }
        let outcome = read(&Files::main("c", mutant.concat()), &host())
            .and_then(|document| configure(document, &host()))
            .and_then(|config| startable(&config));
        match outcome {
            Ok(()) => taken += 1,
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains('c') && !error.reason.is_empty());
            }
        }
    }
    assert!(taken > 100 && refused > 100, "{taken} taken, {refused} refused");
}

fn mutate(lines: &mut Vec<Vec<u8>>, rng: &mut sansio::Rng) {
    let pick = |rng: &mut sansio::Rng, below: usize| {
        usize::try_from(rng.below(below as u64)).expect("small")
    };
    if lines.is_empty() {
        return;
    }
    let at = pick(rng, lines.len());
    match rng.below(6) {
        0 => drop(lines.remove(at)),
        1 => {
            let other = pick(rng, lines.len());
            lines.swap(at, other);
        }
        2 => {
            let copy = lines[at].clone();
            lines.insert(pick(rng, lines.len()), copy);
        }
        3 if !lines[at].is_empty() => {
            let byte = pick(rng, lines[at].len());
            lines[at][byte] = rng.below(256).to_le_bytes()[0];
        }
        4 => lines[at] = b" token: 99999999999999999999\n".to_vec(),
        _ => {
            let keep = pick(rng, lines[at].len() + 1);
            lines[at].truncate(keep);
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut rng = sansio::Rng::new(5);
    let alphabet = b"{}:# \n\t\r\0aA.0-\xff{}:\n";
    for _ in 0..20_000 {
        let len = rng.below(80);
        let text: Vec<u8> = (0..len).filter_map(|_| rng.pick(alphabet).copied()).collect();
        let files = Files::main("c", text);
        let _ = crate::Wanted::of(&files);
        let _ = read(&files, &host()).and_then(|document| configure(document, &host()));
    }
}
