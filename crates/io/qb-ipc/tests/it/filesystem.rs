//! Names in the file system, as `/etc/libqb/force-filesystem-sockets` makes them.
//!
//! The C library looks at that fixed path, so its programs run in a mount
//! namespace with an /etc and a /tmp of their own; nothing outside sees it.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use qb_ipc::{BlockingClient, ConnectOptions, Naming, ServerConfig, allow_all};

use crate::support::{
    ECHO_ERROR, Folder, LONG, Program, Service, TRANSPORTS, compiled, config, need_root, options,
    unique,
};

/// A C program for which `folder` is /tmp, and names are files.
fn apart(program: &str, folder: &Folder, args: &[&str]) -> Program {
    need_root();
    let script = "mount --make-rprivate / && mount --bind \"$1\" /tmp && mount -t tmpfs none /etc \
                  && mkdir /etc/libqb && : > /etc/libqb/force-filesystem-sockets && shift \
                  && exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-ec", script, "sh"])
        .arg(&folder.0)
        .arg(compiled(program))
        .args(args);
    Program::spawn(&mut command)
}

fn naming(folder: &Folder) -> Naming {
    Naming::Filesystem(PathBuf::from(&folder.0))
}

#[test]
fn the_c_client_finds_our_socket_file() {
    for (transport, _) in TRANSPORTS {
        let (name, folder) = (unique("path"), Folder::new());
        let config = ServerConfig { naming: naming(&folder), ..config(&name, transport) };
        let service = Service::start(config, allow_all());
        let file = folder.0.join(&name).metadata().unwrap();
        assert_eq!((file.uid(), file.gid(), file.mode()), (0, 0, 0o140_777));
        let args = [name.as_str(), "20000", "echo", "200", "0", "5000"];
        let lines = apart("client", &folder, &args).finish();
        assert_eq!(lines, ["connected 20000", "echoed 200", "done"]);
        let lines = apart("client", &folder, &[&name, "20000", "events", "300", "50"]).finish();
        assert_eq!(lines[1], "events 300");
        drop(service);
        assert!(!folder.0.join(&name).exists(), "the socket file went with the service");
    }
}

#[test]
fn our_client_finds_the_c_servers_socket_file() {
    for (_, kind) in TRANSPORTS {
        let (name, folder) = (unique("path"), Folder::new());
        let mut server = apart("server", &folder, &[&name, kind]);
        server.expect("ready");
        assert!(BlockingClient::connect_with(&name, &options(20_000)).is_err(), "not abstract");
        let by_path = ConnectOptions { naming: naming(&folder), ..options(20_000) };
        let mut client = BlockingClient::connect_with(&name, &by_path).unwrap();
        for len in [0, 1, 5000] {
            let answer = client.request(9, &vec![5; len], LONG).unwrap();
            assert_eq!((answer.error, answer.body.len()), (ECHO_ERROR, len));
        }
    }
}
