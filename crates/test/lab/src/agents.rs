//! Wrappers around OCF agents that journal what the cluster asks of them.
//!
//! A wrapper stands at the agent's own path and calls the original, which keeps
//! its file name; a call that neither starts nor stops anything is handed on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::NODE_SHARE;

/// Below the share: nodes whose stops do nothing and say that they did.
pub(crate) const DEAF: &str = "deaf";

/// Where the originals are in a node.
const ORIGINALS: &str = "/usr/lib/systole-lab/agents";

/// The path of an agent `ocf:provider:type` in a node.
pub fn path(agent: &str) -> Result<PathBuf, String> {
    let (provider, kind) = split(agent)?;
    Ok(Path::new("/usr/lib/ocf/resource.d").join(provider).join(kind))
}

/// Puts the wrapper and the original into `layer`; the original comes from the
/// layer itself, where our own programs lie, or from the system below `base`.
pub(crate) fn install(agent: &str, base: &Path, layer: &Path) -> Result<(), String> {
    let (provider, kind) = split(agent)?;
    let path = path(agent)?;
    let inside = |root: &Path, path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    let original = Path::new(ORIGINALS).join(provider).join(kind);
    let places = [inside(layer, &path), inside(base, &path)];
    let from = places.iter().find(|place| place.is_file());
    let from = from
        .ok_or_else(|| format!("there is no agent {agent}: {} does not exist", path.display()))?;
    let copy = inside(layer, &original);
    let wrapper = inside(layer, &path);
    let failed = |e: std::io::Error| format!("cannot wrap {agent}: {e}");
    for file in [&copy, &wrapper] {
        fs::create_dir_all(file.parent().unwrap_or(layer)).map_err(failed)?;
    }
    fs::copy(from, &copy).map_err(failed)?;
    fs::write(&wrapper, script(&original)).map_err(failed)?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).map_err(failed)
}

fn split(agent: &str) -> Result<(&str, &str), String> {
    let parts: Vec<&str> = agent.split(':').collect();
    let plain = |part: &str| !part.is_empty() && !part.contains('/') && part != "..";
    match parts[..] {
        ["ocf", provider, kind] if plain(provider) && plain(kind) => Ok((provider, kind)),
        _ => Err(format!("\"{agent}\" is not ocf:PROVIDER:TYPE")),
    }
}

/// A promotion is journalled as the start of `ID@promoted`: that role, unlike
/// the instance that plays it, is active once.
fn script(original: &Path) -> String {
    format!(
        r#"#!/bin/sh
# Journals starts and stops for the lab, then does what {original} does.
case "$1" in
start) event=start role= ;;
stop) event=stop role= ;;
promote) event=start role=@promoted ;;
demote) event=stop role=@promoted ;;
*) exec {original} "$@" ;;
esac
read -r node < /etc/hostname
if [ $event = stop ] && [ -e {NODE_SHARE}/{DEAF}/$node ]; then exit 0; fi
note() {{
    echo "$(date +%s%N) $node $event $1 ${{OCF_RESOURCE_INSTANCE:-unnamed}}$role" >> {NODE_SHARE}/obs/$node.agents
}}
note begin
{original} "$@"
rc=$?
if [ $rc -eq 0 ]; then note ok; else note failed; fi
exit $rc
"#,
        original = original.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_agent_is_wrapped_before_the_systems() {
        let dir = std::env::temp_dir().join(format!("lab-agents-{}", std::process::id()));
        let inside = |root: &str, path: &str| dir.join(root).join(path);
        let place = "usr/lib/ocf/resource.d/heartbeat/Dummy";
        for root in ["base", "layer"] {
            let file = inside(root, place);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, root).unwrap();
        }
        let layer = dir.join("layer");
        install("ocf:heartbeat:Dummy", &dir.join("base"), &layer).unwrap();
        let original = inside("layer", "usr/lib/systole-lab/agents/heartbeat/Dummy");
        assert_eq!(fs::read_to_string(original).unwrap(), "layer");
        assert!(fs::read_to_string(inside("layer", place)).unwrap().contains("note begin"));
        let why = install("ocf:heartbeat:Nothing", &dir.join("base"), &layer).unwrap_err();
        assert!(why.contains("there is no agent ocf:heartbeat:Nothing"), "{why}");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn only_plain_ocf_names_have_a_path() {
        let dummy = path("ocf:heartbeat:Dummy").unwrap();
        assert_eq!(dummy, Path::new("/usr/lib/ocf/resource.d/heartbeat/Dummy"));
        for wrong in ["systemd:sshd", "ocf:heartbeat", "ocf:..:x", "ocf:a/b:c", "ocf::x"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }
}
