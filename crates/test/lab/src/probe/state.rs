//! The node's copy of the cluster state: its version, and a digest of what
//! every node must have alike.

use std::thread;
use std::time::Duration;

use observe::Event;

use super::Reporter;
use crate::tool;

/// Between two looks. The answer comes from the local daemon alone.
const EVERY: Duration = Duration::from_millis(400);

/// Attributes that say who changed something last and how, which each node
/// writes for itself; the reference leaves them out of its own digest too.
const LOCAL: &[&str] =
    &["cib-last-written", "update-origin", "update-client", "update-user", "crm-debug-origin"];

pub(super) fn watch(reporter: &Reporter) {
    let mut last = None;
    loop {
        if let Ok(text) = tool::run("cibadmin", &["--query", "--local"])
            && let Some(version) = version(&text)
        {
            let mut state = (version, digest(&text));
            if reporter.planted().as_deref() == Some("false-state") {
                state.1.insert_str(0, "false");
                reporter.planted_is_done();
            }
            if last.as_ref() != Some(&state) {
                reporter.report(Event::State { version: state.0, digest: state.1.clone() });
            }
            last = Some(state);
        } else {
            last = None;
        }
        thread::sleep(EVERY);
    }
}

/// `admin_epoch.epoch.num_updates` of the outermost element.
fn version(cib: &str) -> Option<(u64, u64, u64)> {
    let start = cib.find("<cib ")?;
    let tag = &cib[start..start + cib[start..].find('>')?];
    let number = |name: &str| {
        let at = tag.find(&format!(" {name}=\""))? + name.len() + 3;
        tag[at..].split('"').next()?.parse().ok()
    };
    Some((number("admin_epoch")?, number("epoch")?, number("num_updates")?))
}

/// FNV-1a over the text without what is [`LOCAL`].
fn digest(cib: &str) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in without_local(cib).bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

fn without_local(cib: &str) -> String {
    let mut text = cib.to_string();
    for name in LOCAL {
        let wanted = format!(" {name}=\"");
        while let Some(start) = text.find(&wanted) {
            let value = start + wanted.len();
            let Some(length) = text[value..].find('"') else { break };
            text.replace_range(start..=value + length, "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIB: &str = "<cib crm_feature_set=\"3.16.1\" epoch=\"7\" num_updates=\"12\" admin_epoch=\"0\" \
         cib-last-written=\"Sat\" update-origin=\"n1\" dc-uuid=\"1\">\n<status/></cib>\n";

    #[test]
    fn the_version_is_read_from_the_outermost_element() {
        assert_eq!(version(CIB), Some((0, 7, 12)));
        assert_eq!(version("<cib epoch=\"1\">"), None);
        assert_eq!(version("could not connect"), None);
    }

    #[test]
    fn only_what_is_local_leaves_the_digest_alone() {
        assert_eq!(digest(CIB), digest(&CIB.replace("\"n1\"", "\"n2\"").replace("Sat", "Sun")));
        assert_ne!(digest(CIB), digest(&CIB.replace("dc-uuid=\"1\"", "dc-uuid=\"2\"")));
    }
}
