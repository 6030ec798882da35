//! The power switch: answers the nodes' fence agents. One request, `ACTION
//! NODE`, and one answer, lines of data and `rc=CODE`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use observe::{Event, Node, PowerCause};
use scenario::PowerMode;

use super::Hub;
use crate::fence;

/// Opens the switch's socket, which every node sees.
pub(super) fn listen(hub: &Arc<Hub>) -> Result<(), String> {
    let path = hub.dir.share().join(fence::SOCKET);
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    let listener = UnixListener::bind(&path).map_err(failed)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).map_err(failed)?;
    let hub = Arc::clone(hub);
    thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            let hub = Arc::clone(&hub);
            thread::spawn(move || answer(&hub, stream));
        }
    });
    Ok(())
}

fn answer(hub: &Arc<Hub>, stream: UnixStream) {
    let mut line = String::new();
    let mut reader = BufReader::new(stream);
    if reader.read_line(&mut line).is_err() {
        return;
    }
    let mut words = line.split_whitespace();
    let (action, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let Some(said) = decide(hub, action, target) else { return };
    let _ = reader.get_mut().write_all(said.as_bytes());
}

/// The answer; none: the switch does not answer this one.
fn decide(hub: &Arc<Hub>, action: &str, target: &str) -> Option<String> {
    let code = |code: i32| Some(format!("rc={code}\n"));
    match action {
        "list" => {
            let lines: String = hub.nodes().map(|n| format!("n{n},\n")).collect();
            return Some(lines + "rc=0\n");
        }
        "monitor" => return code(0),
        _ => {}
    }
    let number = target.strip_prefix('n').and_then(|t| t.parse().ok());
    let Some(node) = number.filter(|n| hub.nodes().contains(n)) else { return code(1) };
    match action {
        "status" => {
            let slot = hub.slot(node).ok()?;
            code(if slot.life.is_some() && !slot.told_off { 0 } else { 2 })
        }
        "off" | "reboot" => fence_node(hub, node, action),
        "on" => code(i32::from(hub.boot(node, PowerCause::Fence).is_err())),
        _ => code(1),
    }
}

fn fence_node(hub: &Arc<Hub>, node: u32, action: &str) -> Option<String> {
    let mode = hub.slot(node).ok()?.power;
    let ok = match mode {
        PowerMode::Ok => hub.kill(node, PowerCause::Fence).is_ok(),
        PowerMode::Fail => false,
        PowerMode::Lie => {
            hub.slot(node).ok()?.told_off = action == "off";
            true
        }
        PowerMode::Hang => {
            // Whoever asks waits until it loses patience, or the mode changes.
            while hub.slot(node).ok()?.power == PowerMode::Hang {
                thread::sleep(Duration::from_millis(100));
            }
            return None;
        }
    };
    hub.note(0, Event::Fenced { target: Node(node), ok });
    if action == "reboot" && mode == PowerMode::Ok {
        let hub = Arc::clone(hub);
        thread::spawn(move || {
            if let Err(why) = hub.boot(node, PowerCause::Fence) {
                eprintln!("lab: {why}");
            }
        });
    }
    Some(format!("rc={}\n", i32::from(!ok)))
}
