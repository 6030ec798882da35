//! Orders from outside: one line of words separated by tabs; the answer is
//! `ok` or `error` and a text, and ends with the connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;

use observe::PowerCause;
use scenario::PowerMode;

use super::Hub;
use crate::layout::RunDir;

/// Opens the socket for orders and serves it in threads.
pub(super) fn listen(hub: &Arc<Hub>) -> Result<(), String> {
    let path = hub.dir.hub_socket();
    let listener = UnixListener::bind(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let hub = Arc::clone(hub);
    thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            let hub = Arc::clone(&hub);
            thread::spawn(move || answer(&hub, stream));
        }
    });
    Ok(())
}

/// The hub's main thread has nothing to do but to be the lab's pid 1.
pub(super) fn serve(_hub: &Arc<Hub>) -> ! {
    loop {
        thread::park();
    }
}

/// Sends one order to a lab's hub.
pub(crate) fn send(dir: &RunDir, words: &[&str]) -> Result<String, String> {
    let path = dir.hub_socket();
    let failed = |e: std::io::Error| format!("lab {}: {}: {e}", dir.name(), path.display());
    let mut stream = UnixStream::connect(&path).map_err(failed)?;
    stream.write_all(format!("{}\n", words.join("\t")).as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    match answer.split_once('\n') {
        Some(("ok", text)) => Ok(text.to_string()),
        Some(("error", text)) => Err(text.trim_end().to_string()),
        _ => Err(format!("lab {}: the hub ended", dir.name())),
    }
}

fn answer(hub: &Arc<Hub>, stream: UnixStream) {
    let mut line = String::new();
    let mut reader = BufReader::new(stream);
    if reader.read_line(&mut line).is_err() {
        return;
    }
    let words: Vec<&str> = line.trim_end_matches('\n').split('\t').collect();
    let said = match obey(hub, &words) {
        Ok(text) => format!("ok\n{text}"),
        Err(why) => format!("error\n{why}"),
    };
    let _ = reader.get_mut().write_all(said.as_bytes());
    if words == ["down"] {
        // Pid 1 of the lab: with it everything ends.
        std::process::exit(0);
    }
}

fn obey(hub: &Arc<Hub>, words: &[&str]) -> Result<String, String> {
    let done = |result: Result<(), String>| result.map(|()| String::new());
    match words {
        ["down"] => Ok(String::new()),
        ["start", nodes] => done(hub.start_stack(&list(nodes)?)),
        ["stop", nodes] => done(hub.stop_stack(&list(nodes)?)),
        // At once, as when a rack loses its power.
        ["kill", nodes] => {
            done(hub.on_each(&list(nodes)?, |hub, n| hub.kill(n, PowerCause::Fault).map(drop)))
        }
        ["boot", nodes] => {
            done(hub.on_each(&list(nodes)?, |hub, n| hub.boot(n, PowerCause::Operator)))
        }
        ["freeze", nodes] => each(nodes, |n| hub.freeze(n)),
        ["thaw", nodes] => each(nodes, |n| hub.thaw(n)),
        ["kill-daemon", nodes, daemon] => each(nodes, |n| hub.kill_daemon(n, daemon)),
        ["cut", sides @ ..] => {
            let sides = sides.iter().map(|side| list(side)).collect::<Result<Vec<_>, _>>()?;
            done(hub.net().cut(&sides))
        }
        ["one-way", from, to] => done(hub.net().one_way(&list(from)?, &list(to)?)),
        ["heal"] => done(hub.net().heal()),
        ["loss", per_mille] => done(hub.net().lose(number(per_mille)?)),
        ["slow", ms] => done(hub.net().slow(Some(number(ms)?.into()))),
        ["power", mode, nodes] => {
            let mode = power_mode(mode)?;
            each(nodes, |n| hub.slot(n).map(|mut slot| slot.power = mode))
        }
        ["run", node, command @ ..] => hub.run_in(number(node)?, command),
        ["leader", node] => hub.leader(number(node)?).map(|pid| pid.to_string()),
        ["audit"] => {
            let audit = hub.audit()?;
            Ok(format!("{}\n{}", audit.complaints.join("; "), audit.table))
        }
        _ => Err(format!("no such order: {}", words.join(" "))),
    }
}

fn each(nodes: &str, mut work: impl FnMut(u32) -> Result<(), String>) -> Result<String, String> {
    for node in list(nodes)? {
        work(node)?;
    }
    Ok(String::new())
}

fn list(text: &str) -> Result<Vec<u32>, String> {
    text.split(',').filter(|word| !word.is_empty()).map(number).collect()
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("\"{text}\" is no number"))
}

fn power_mode(word: &str) -> Result<PowerMode, String> {
    match word {
        "ok" => Ok(PowerMode::Ok),
        "fail" => Ok(PowerMode::Fail),
        "hang" => Ok(PowerMode::Hang),
        "lie" => Ok(PowerMode::Lie),
        _ => Err(format!("\"{word}\" is no mode of the power switch")),
    }
}
