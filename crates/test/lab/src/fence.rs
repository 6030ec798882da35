//! The fence agent `fence_lab`: asks the lab's power switch over a unix socket.
//!
//! Options come as `name=value` lines on stdin, as the cluster calls an agent,
//! or as arguments, as people do.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::NODE_SHARE;

/// The switch's socket below [`NODE_SHARE`].
pub(crate) const SOCKET: &str = "power.sock";

const METADATA: &str = r#"<?xml version="1.0" ?>
<resource-agent name="fence_lab" shortdesc="Power switch of the node lab">
<longdesc>Takes the power of a lab's nodes and gives it back: a node that is switched off loses all its processes at once.</longdesc>
<vendor-url></vendor-url>
<parameters>
<parameter name="action" unique="0" required="1"><getopt mixed="-o, --action=[action]"/><content type="string" default="reboot"/><shortdesc lang="en">What to do</shortdesc></parameter>
<parameter name="plug" unique="0" required="1" obsoletes="port"><getopt mixed="-n, --plug=[node]"/><content type="string"/><shortdesc lang="en">Node to be switched</shortdesc></parameter>
<parameter name="port" unique="0" required="1" deprecated="1"><getopt mixed="-n, --plug=[node]"/><content type="string"/><shortdesc lang="en">Node to be switched</shortdesc></parameter>
</parameters>
<actions>
<action name="on" automatic="0"/>
<action name="off"/>
<action name="reboot"/>
<action name="status"/>
<action name="list"/>
<action name="monitor"/>
<action name="metadata"/>
<action name="validate-all"/>
</actions>
</resource-agent>
"#;

/// What the agent was asked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    action: String,
    plug: String,
    nodename: String,
}

impl Request {
    fn set(&mut self, name: &str, value: &str) {
        match name {
            "action" | "option" => self.action = value.to_string(),
            "plug" | "port" => self.plug = value.to_string(),
            "nodename" => self.nodename = value.to_string(),
            // The cluster hands over what concerns itself, too.
            _ => {}
        }
    }

    fn read_args(&mut self, args: &[String]) {
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-o" => self.set("action", args.next().map_or("", String::as_str)),
                "-n" => self.set("plug", args.next().map_or("", String::as_str)),
                long => {
                    if let Some((name, value)) = long.trim_start_matches("--").split_once('=') {
                        self.set(name, value);
                    }
                }
            }
        }
    }

    fn read_lines(&mut self, input: impl BufRead) {
        for line in input.lines().map_while(Result::ok) {
            if let Some((name, value)) = line.trim().split_once('=') {
                self.set(name.trim(), value.trim());
            }
        }
    }

    fn target(&self) -> &str {
        if self.plug.is_empty() { &self.nodename } else { &self.plug }
    }
}

/// Runs the agent; returns its exit code.
pub(crate) fn main(args: &[String]) -> u8 {
    let mut request = Request { action: "reboot".into(), ..Request::default() };
    request.read_args(args);
    if args.is_empty() && !io::stdin().is_terminal() {
        request.read_lines(io::stdin().lock());
    }
    match request.action.as_str() {
        "metadata" => {
            let _ = io::stdout().write_all(METADATA.as_bytes());
            0
        }
        "validate-all" => 0,
        _ => ask(&request).unwrap_or_else(|why| {
            eprintln!("fence_lab: {why}");
            1
        }),
    }
}

fn ask(request: &Request) -> Result<u8, String> {
    let path = Path::new(NODE_SHARE).join(SOCKET);
    let failed = |e: io::Error| format!("{}: {e}", path.display());
    let mut stream = UnixStream::connect(&path).map_err(failed)?;
    let line = format!("{} {}\n", request.action, request.target());
    stream.write_all(line.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let (data, code) = answer.rsplit_once("rc=").ok_or("the switch did not answer")?;
    print!("{data}");
    code.trim().parse().map_err(|_| format!("the switch answered \"{}\"", answer.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_options_are_understood() {
        let mut by_lines = Request::default();
        by_lines.read_lines("action=off\nport=n2\npcmk_host_list=n1 n2\nnodename=n9\n".as_bytes());
        assert_eq!((by_lines.action.as_str(), by_lines.target()), ("off", "n2"));
        let mut by_args = Request::default();
        by_args.read_args(&["-o".into(), "status".into(), "--plug=n3".into()]);
        assert_eq!((by_args.action.as_str(), by_args.target()), ("status", "n3"));
        let mut bare = Request::default();
        bare.read_lines("nodename=n1\n".as_bytes());
        assert_eq!(bare.target(), "n1");
    }

    #[test]
    fn the_metadata_names_every_action_once() {
        for action in
            ["on", "off", "reboot", "status", "list", "monitor", "metadata", "validate-all"]
        {
            let tag = format!("<action name=\"{action}\"");
            assert_eq!(METADATA.matches(&tag).count(), 1, "{action}");
        }
    }
}
