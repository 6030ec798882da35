//! Each side as each kind of user: who gets in, and whose the files are.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use qb_ipc::{BlockingClient, Expectation, Rule, Transport, corosync_rule, pacemaker_rule};

use crate::support::{
    ECHO_ERROR, Forked, LONG, ROOT, STRANGER, Service, TRANSPORTS, User, c_client, c_server,
    config, folders_of, haclient, hacluster, member, options, run_as, serve, unique,
};

/// Owner, group, mode and size of a connection's folder and files, by name
/// without what differs each time.
fn files_of(server: u32, service: &str) -> BTreeMap<String, (u32, u32, u32, u64)> {
    let [folder] = folders_of(server).try_into().unwrap();
    let mut files = BTreeMap::new();
    let facts =
        |m: &std::fs::Metadata| (m.uid(), m.gid(), m.mode(), if m.is_dir() { 0 } else { m.len() });
    files.insert("folder".to_string(), facts(&folder.metadata().unwrap()));
    for entry in std::fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().replace(service, "SERVICE");
        files.insert(name, facts(&entry.metadata().unwrap()));
    }
    files
}

fn our_server(user: User, name: &str, transport: Transport, rule: fn() -> Rule) -> Forked {
    let config = config(name, transport);
    let mut server = run_as(user, |out| {
        serve(config, rule(), || std::io::Write::write_all(out, b"ready").unwrap());
        String::new()
    });
    assert_eq!(server.read(5), "ready");
    server
}

fn pacemaker() -> Rule {
    pacemaker_rule(hacluster().uid, haclient())
}

fn corosync() -> Rule {
    let table = qb_ipc::UidGidTable::default();
    table.set_gid(haclient(), true);
    corosync_rule(table)
}

/// A C client of `user`, held while `look` is called.
fn with_client<T>(user: User, name: &str, look: impl FnOnce() -> T) -> T {
    let mut client = c_client(&["-u", &user.spec(), name, "20000", "hold"]);
    client.expect("connected 20000");
    let found = look();
    client.finish();
    found
}

#[test]
fn files_are_as_the_c_library_makes_them_for_pacemaker() {
    let auth = format!("-1:{}:660", haclient());
    for (transport, kind) in TRANSPORTS {
        for server in [ROOT, hacluster()] {
            for client in [ROOT, hacluster(), member()] {
                let name = unique("files");
                let theirs = c_server(&["-u", &server.spec(), "-a", &auth, &name, kind]);
                let expected = with_client(client, &name, || files_of(theirs.pid(), &name));
                drop(theirs);
                let name = unique("files");
                let ours = our_server(server, &name, transport, pacemaker);
                let found = with_client(client, &name, || files_of(ours.pid(), &name));
                assert_eq!(found, expected, "{transport:?}, server {server:?}, client {client:?}");
                assert_eq!(expected.len(), if transport == Transport::Shm { 7 } else { 2 });
            }
        }
    }
}

#[test]
fn files_are_as_the_c_library_makes_them_for_corosync() {
    for (transport, kind) in TRANSPORTS {
        for client in [ROOT, hacluster()] {
            let name = unique("files");
            let theirs = c_server(&[&name, kind]);
            let expected = with_client(client, &name, || files_of(theirs.pid(), &name));
            let name = unique("files");
            let ours = our_server(ROOT, &name, transport, corosync);
            let found = with_client(client, &name, || files_of(ours.pid(), &name));
            assert_eq!(found, expected, "{transport:?}, client {client:?}");
            let (uid, gid, mode, _) = found["folder"];
            assert_eq!((uid, gid, mode & 0o7777), (client.uid, client.gid, 0o770));
        }
    }
}

#[test]
fn everybody_who_may_is_served_over_both_transports() {
    for (transport, _) in TRANSPORTS {
        for server in [ROOT, hacluster()] {
            let name = unique("serve");
            let _server = our_server(server, &name, transport, pacemaker);
            for client in [ROOT, hacluster(), member()] {
                let args = ["-u", &client.spec(), &name, "20000", "echo", "100", "10", "5000"];
                let lines = c_client(&args).finish();
                assert_eq!(
                    lines,
                    ["connected 20000", "echoed 100", "done"],
                    "{server:?} {client:?}"
                );
            }
        }
    }
}

#[test]
fn strangers_are_refused_before_any_file_is_theirs() {
    for (transport, _) in TRANSPORTS {
        for (server, rule) in
            [(ROOT, pacemaker as fn() -> Rule), (hacluster(), pacemaker), (ROOT, corosync)]
        {
            let name = unique("stranger");
            let server = our_server(server, &name, transport, rule);
            let lines =
                c_client(&["-u", &STRANGER.spec(), &name, "20000", "echo", "1", "1"]).finish();
            assert_eq!(lines, ["connect failed 13"]);
            assert!(folders_of(server.pid()).is_empty());
        }
    }
}

#[test]
fn a_supplementary_group_counts_as_with_each_reference() {
    let name = unique("corosync");
    let _server = our_server(ROOT, &name, Transport::Shm, corosync);
    let lines = c_client(&["-u", &member().spec(), &name, "20000", "connect"]).finish();
    assert_eq!(lines, ["connect failed 13"], "corosync looks at the primary group alone");
    let lines = c_client(&["-u", &hacluster().spec(), &name, "20000", "connect"]).finish();
    assert_eq!(lines, ["connected 20000", "done"]);
}

#[test]
fn the_descriptor_shows_the_server_as_pacemaker_asks_it() {
    for user in [ROOT, hacluster()] {
        let name = unique("cred");
        let server = our_server(user, &name, Transport::Shm, pacemaker);
        let lines = c_client(&[&name, "20000", "peercred"]).finish();
        let who = format!("{} {} {}", server.pid(), user.uid, user.gid);
        assert_eq!(lines[1..3], [format!("descriptor {who}"), format!("auth {who}")]);
        let name = unique("cred");
        let server = our_server(user, &name, Transport::Socket, pacemaker);
        let lines = c_client(&[&name, "20000", "peercred"]).finish();
        // The event socket has no such credentials, with the C library's server neither.
        let who = format!("{} {} {}", server.pid(), user.uid, user.gid);
        assert_eq!(lines[1..3], ["descriptor 0 -1 -1".to_string(), format!("auth {who}")]);
    }
}

#[test]
fn the_rule_sees_who_the_client_is() {
    let name = unique("who");
    let service = Service::start(config(&name, Transport::Shm), qb_ipc::allow_all());
    for user in [ROOT, hacluster(), member(), STRANGER] {
        c_client(&["-u", &user.spec(), &name, "20000", "connect"]).finish();
        service.wait_for(|entry| matches!(entry, crate::support::Log::Accepted(_, uid, gid) if (*uid, *gid) == (user.uid, user.gid)));
    }
}

/// Our blocking client as `user`, in one word.
fn our_client(user: User, name: &str) -> String {
    let mut options = options(20_000);
    options.expect = Expectation::RootOr { uid: hacluster().uid, gid: u32::MAX };
    let client = run_as(user, |_| match BlockingClient::connect_with(name, &options) {
        Err(e) => format!("errno {}", e.errno()),
        Ok(mut client) => {
            let answer = client.request(4, b"hello", LONG).unwrap();
            assert_eq!((answer.error, answer.body.as_slice()), (ECHO_ERROR, b"hello".as_slice()));
            "served".into()
        }
    });
    client.finish()
}

#[test]
fn our_client_is_served_as_anybody_who_may() {
    let auth = format!("-1:{}:660", haclient());
    for (transport, kind) in TRANSPORTS {
        for server in [ROOT, hacluster()] {
            let theirs_name = unique("client");
            let _theirs = c_server(&["-u", &server.spec(), "-a", &auth, &theirs_name, kind]);
            let ours_name = unique("client");
            let _ours = our_server(server, &ours_name, transport, pacemaker);
            for name in [&theirs_name, &ours_name] {
                for user in [ROOT, hacluster(), member()] {
                    assert_eq!(our_client(user, name), "served", "{name} {server:?} {user:?}");
                }
                assert_eq!(our_client(STRANGER, name), "errno 13", "{name} {server:?}");
            }
        }
    }
}
