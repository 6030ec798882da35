//! The C library's client with our server, and our clients with its server.

use std::time::Duration;

use qb_ipc::{
    AsyncClient, BlockingClient, Channel, ClientEvent, Error, Expectation, Transport, allow_all,
};

use crate::support::{
    ASK_CLOSE, ASK_DIE, ASK_EVENTS, ASK_FLOW, ECHO_ERROR, Folder, LONG, Log, ROOT, Service,
    TRANSPORTS, block_on, c_client, c_server, config, config_in, eventually, folders_of, options,
    pattern, run_as, serve, unique,
};

/// Carries a body of one MiB.
const MIB: u32 = (1 << 20) + 64;

fn events_body(count: u32, len: u32) -> Vec<u8> {
    [count.to_ne_bytes(), len.to_ne_bytes()].concat()
}

#[test]
fn c_client_gets_every_size_echoed() {
    for (transport, _) in TRANSPORTS {
        let (name, folder) = (unique("echo"), Folder::new());
        let service = Service::start(config_in(&name, transport, &folder), allow_all());
        let sizes = ["0", "1", "3", "63", "64", "4096", "60000"];
        let args = [&[name.as_str(), "65536", "echo", "5000"], &sizes[..]].concat();
        assert_eq!(c_client(&args).finish(), ["connected 65536", "echoed 5000", "done"]);
        let max = MIB.to_string();
        let args = [&name, &max, "echo", "40", "1048576", "1048575", "0", "524288"];
        let connected = format!("connected {MIB}");
        assert_eq!(c_client(&args).finish(), [&connected, "echoed 40", "done"]);
        service.wait_closed(2);
        assert_eq!(folder.entries(), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn c_client_sends_ahead_until_the_channel_is_full() {
    for (transport, _) in TRANSPORTS {
        let name = unique("pipe");
        let _service = Service::start(config(&name, transport), allow_all());
        for len in ["0", "100", "5000"] {
            let lines = c_client(&[&name, "16384", "pipeline", "3000", len]).finish();
            assert_eq!(lines, ["connected 16384", "echoed 3000", "done"], "{transport:?} {len}");
        }
    }
}

#[test]
fn our_clients_get_every_size_echoed() {
    for (transport, kind) in TRANSPORTS {
        let name = unique("echo");
        let _server = c_server(&[&name, kind]);
        let sizes = [0, 1, 3, 64, 4096, 60_000, 1 << 20];
        let mut client = BlockingClient::connect_with(&name, &options(MIB)).unwrap();
        assert_eq!((client.transport(), client.max_msg_size()), (transport, MIB));
        for i in 0..3000_u32 {
            let (id, body) = (
                (i % 100).cast_signed(),
                pattern(i, sizes[i as usize % if i < 70 { 7 } else { 5 }]),
            );
            let answer = client.request(id, &body, LONG).unwrap();
            assert_eq!((answer.id, answer.error), (id, ECHO_ERROR));
            assert!(answer.body == body);
        }
        block_on(async {
            let mut client = AsyncClient::connect(&name, &options(MIB)).await.unwrap();
            for i in 0..3000_u32 {
                let (id, body) = (
                    (i % 100).cast_signed(),
                    pattern(i, sizes[i as usize % if i < 70 { 7 } else { 5 }]),
                );
                let answer = client.request(id, &body).await.unwrap();
                assert_eq!((answer.id, answer.error), (id, ECHO_ERROR));
                assert!(answer.body == body);
            }
        });
    }
}

#[test]
fn events_reach_the_c_client_when_it_reads_late() {
    for (transport, _) in TRANSPORTS {
        let name = unique("events");
        let service = Service::start(config(&name, transport), allow_all());
        let mut client = c_client(&[&name, "65536", "events", "20000", "4", "100"]);
        client.expect("connected 65536");
        client.expect("events 20000");
        let stats = service.stats().1[0];
        client.finish();
        assert_eq!((stats.events, stats.responses), (20_000, 1));
        assert!(
            stats.queued_total > 0 && stats.send_retries > 0 && stats.overload > 0,
            "{stats:?}"
        );
        service.wait_for(|entry| matches!(entry, Log::Blocked(_)));
        service.wait_for(|entry| matches!(entry, Log::Writable(_)));
    }
}

#[test]
fn doorbells_that_did_not_fit_follow() {
    let name = unique("bells");
    let mut config = config(&name, Transport::Shm);
    // The ring takes all events, the stream takes a few hundred doorbells.
    config.message_min = 1 << 20;
    let service = Service::start(config, allow_all());
    let mut client = c_client(&[&name, "65536", "events", "5000", "4", "200"]);
    client.expect("connected 1048576");
    client.expect("events 5000");
    let stats = service.stats().1[0];
    client.finish();
    assert_eq!((stats.events, stats.queued_total), (5000, 0));
    assert!(stats.send_retries > 0, "the stream took every doorbell at once: {stats:?}");
}

#[test]
fn events_reach_our_clients_when_they_read_late() {
    for (_, kind) in TRANSPORTS {
        let name = unique("events");
        let _server = c_server(&[&name, kind]);
        let mut client = BlockingClient::connect_with(&name, &options(65536)).unwrap();
        client.request(ASK_EVENTS, &events_body(5000, 40), LONG).unwrap();
        for i in 0..5000 {
            let event = client.recv_event(LONG).unwrap();
            assert_eq!((event.channel, event.id, event.error), (Channel::Event, i, 0));
            assert!(event.body == pattern(i.cast_unsigned(), 40));
        }
        assert!(matches!(client.recv_event(Some(Duration::ZERO)), Err(Error::TimedOut)));
        block_on(async {
            let mut client = AsyncClient::connect(&name, &options(65536)).await.unwrap();
            client.send_request(ASK_EVENTS, &events_body(5000, 40)).unwrap();
            let (mut responses, mut next) = (0, 0);
            while next < 5000 || responses < 1 {
                let ClientEvent::Frame(frame) = client.next_event().await else { panic!() };
                if frame.channel == Channel::Response {
                    responses += 1;
                    continue;
                }
                assert_eq!(frame.id, next);
                assert!(frame.body == pattern(next.cast_unsigned(), 40));
                next += 1;
            }
        });
    }
}

#[test]
fn flow_control_holds_the_c_client_by_level() {
    for (transport, _) in TRANSPORTS {
        let name = unique("flow");
        let service = Service::start(config(&name, transport), allow_all());
        let mut client = c_client(&[&name, "16384", "flow"]);
        client.expect("connected 16384");
        for limit in 1..=2 {
            for (level, what) in
                [(0, "sent"), (1, "held"), (2, if limit == 2 { "held" } else { "sent" })]
            {
                client.expect(&format!("limit {limit} level {level}: {what}"));
                // At level 0 it goes on by itself, and must not be released later.
                if level > 0 {
                    service.flow(0);
                }
            }
        }
        client.expect("done");
        client.finish();
    }
}

#[test]
fn flow_control_holds_our_client_by_level() {
    for (_, kind) in TRANSPORTS {
        let name = unique("flow");
        let mut server = c_server(&[&name, kind]);
        let mut client = BlockingClient::connect_with(&name, &options(16384)).unwrap();
        for limit in 1..=2_u8 {
            client.set_flow_control_max(limit);
            for level in 0..=2_u32 {
                client.request(ASK_FLOW, &level.to_ne_bytes(), LONG).unwrap();
                let held = level > 0 && level <= u32::from(limit);
                let sent = client.send_request(1, &[]);
                assert_eq!(matches!(sent, Err(Error::Again)), held, "{limit} {level}: {sent:?}");
                if level > 0 {
                    server.say("");
                }
                if held {
                    eventually("requests to be let go", || client.send_request(1, &[]).is_ok());
                }
                assert_eq!(client.recv_response(LONG).unwrap().id, 1);
            }
        }
    }
}

#[test]
fn socket_messages_end_where_the_kernel_says() {
    let text = std::fs::read_to_string("/proc/sys/net/core/wmem_max").unwrap();
    let wmem_max: usize = text.trim().parse().unwrap();
    let max = (3 * wmem_max).to_string();
    let name = unique("limit");
    let _service = Service::start(config(&name, Transport::Socket), allow_all());
    let lines = c_client(&[&name, &max, "toolong"]).finish();
    assert_eq!(lines[1..], ["toolong -90", "kernel -90", "done"]);
    // The response's header is eight bytes longer than the request's.
    // Beyond some MiB memory is what lacks.
    let largest = (2 * wmem_max - 32).min(3 << 20) - 24;
    let lines = c_client(&[&name, &max, "echo", "3", &largest.to_string()]).finish();
    assert_eq!(lines[1..], ["echoed 3", "done"]);

    let name = unique("limit");
    let _server = c_server(&[&name, "socket"]);
    let mut client = BlockingClient::connect_with(&name, &options(max.parse().unwrap())).unwrap();
    let body = vec![7; 3 * wmem_max];
    let over = client.send_request(1, &body).unwrap_err();
    assert!(matches!(over, Error::TooLong { .. }) && over.errno() == 90, "{over}");
    let kernel = client.send_request(1, &body[..body.len() - 16]).unwrap_err();
    assert_eq!(kernel.errno(), 90, "{kernel}");
    assert!(client.request(1, &body[..largest], LONG).unwrap().body == body[..largest]);
}

#[test]
fn shm_messages_end_at_the_channels_size() {
    let name = unique("limit");
    let _service = Service::start(config(&name, Transport::Shm), allow_all());
    let lines = c_client(&[&name, "20000", "toolong"]).finish();
    assert_eq!(lines, ["connected 20000", "toolong -90", "kernel 20000", "done"]);
}

#[test]
fn the_larger_size_is_agreed_on() {
    let name = unique("size");
    let mut ours = config(&name, Transport::Shm);
    ours.message_min = 40_000;
    let _service = Service::start(ours, allow_all());
    assert_eq!(c_client(&[&name, "1", "connect"]).finish(), ["connected 40000", "done"]);
    assert_eq!(c_client(&[&name, "50000", "connect"]).finish(), ["connected 50000", "done"]);
    let name = unique("size");
    let _server = c_server(&["-m", "40000", &name, "shm"]);
    let client = BlockingClient::connect_with(&name, &options(1)).unwrap();
    assert_eq!(client.max_msg_size(), 40_000);
}

#[test]
fn a_killed_c_client_is_noticed_with_events_pending() {
    for (transport, _) in TRANSPORTS {
        let (name, folder) = (unique("kill"), Folder::new());
        let service = Service::start(config_in(&name, transport, &folder), allow_all());
        let mut client = c_client(&[&name, "16384", "silent", "100000", "100"]);
        client.expect("connected 16384");
        client.expect("silent");
        service.wait_for(|entry| matches!(entry, Log::Blocked(_)));
        assert_eq!(folder.entries().len(), 1);
        client.kill();
        service.wait_closed(1);
        eventually("its folder to go", || folder.entries().is_empty());
    }
}

#[test]
fn a_server_that_dies_is_noticed_by_our_clients() {
    for (_, kind) in TRANSPORTS {
        let name = unique("die");
        let mut server = c_server(&[&name, kind]);
        let mut client = BlockingClient::connect_with(&name, &options(16384)).unwrap();
        client.request(ASK_EVENTS, &events_body(50, 10), LONG).unwrap();
        client.send_request(ASK_DIE, &[]).unwrap();
        let error = client.recv_response(LONG).unwrap_err();
        assert!(error.is_fatal(), "{error}");
        assert!(!client.is_connected());
        assert!(client.send_request(1, &[]).is_err());
        server.kill();
        let pid = server.pid();
        drop(client);
        assert!(folders_of(pid).is_empty(), "the last one cleans up");
        let mut server = c_server(&[&name, kind]);
        block_on(async {
            let mut client = AsyncClient::connect(&name, &options(16384)).await.unwrap();
            client.request(ASK_EVENTS, &events_body(5, 10)).await.unwrap();
            server.kill();
            let mut events = 0;
            while let ClientEvent::Frame(_) = client.next_event().await {
                events += 1;
            }
            assert!(events <= 5);
            assert!(matches!(client.next_event().await, ClientEvent::Closed { .. }));
            assert!(client.send_request(1, &[]).is_err());
        });
        assert!(folders_of(server.pid()).is_empty(), "the last one cleans up");
    }
}

#[test]
fn the_c_client_notices_that_our_server_was_killed() {
    for (transport, _) in TRANSPORTS {
        let (name, folder) = (unique("killed"), Folder::new());
        let config = config_in(&name, transport, &folder);
        let mut server = run_as(ROOT, |out| {
            serve(config, allow_all(), || std::io::Write::write_all(out, b"ready").unwrap());
            String::new()
        });
        assert_eq!(server.read(5), "ready");
        let mut client = c_client(&[&name, "16384", "silent", "100000", "100"]);
        client.expect("connected 16384");
        client.expect("silent");
        assert_eq!(folder.entries().len(), 1);
        server.kill();
        client.kill();
        assert_eq!(folder.entries().len(), 1, "nobody was left to clean up");
        // The next server does.
        let _service = Service::start(config_in(&unique("next"), transport, &folder), allow_all());
        assert!(folder.entries().is_empty());
    }
}

#[test]
fn the_c_client_sees_the_end_of_our_server() {
    for (transport, _) in TRANSPORTS {
        let name = unique("end");
        let config = config(&name, transport);
        let mut server = run_as(ROOT, |out| {
            serve(config, allow_all(), || std::io::Write::write_all(out, b"ready").unwrap());
            String::new()
        });
        assert_eq!(server.read(5), "ready");
        let lines = c_client(&[&name, "16384", "die"]).finish();
        assert_eq!(lines[1], "recv failed, event failed, send failed, connected 0");
    }
}

#[test]
fn a_close_comes_after_what_is_queued() {
    for (transport, _) in TRANSPORTS {
        let name = unique("close");
        let service = Service::start(config(&name, transport), allow_all());
        let lines = c_client(&[&name, "16384", "close"]).finish();
        assert!(lines[1].starts_with("closed -"), "{lines:?}");
        assert_eq!(service.wait_closed(1), "asked to");
        let mut client = BlockingClient::connect_with(&name, &options(16384)).unwrap();
        client.send_request(ASK_EVENTS, &events_body(200, 1000)).unwrap();
        client.send_request(ASK_CLOSE, &[]).unwrap();
        for i in 0..200 {
            assert_eq!(client.recv_event(LONG).unwrap().id, i);
        }
        assert!(client.recv_event(LONG).unwrap_err().is_fatal());
    }
}

#[test]
fn our_clients_insist_on_the_server_they_expect() {
    let name = unique("expect");
    let _server = c_server(&["-u", &crate::support::hacluster().spec(), &name, "shm"]);
    let mut wanted = options(16384);
    let Err(Error::NotAuthentic(why)) = BlockingClient::connect_with(&name, &wanted) else {
        panic!()
    };
    assert!(why.contains("uid"), "{why}");
    assert!(block_on(AsyncClient::connect(&name, &wanted)).is_err());
    let hacluster = crate::support::hacluster();
    wanted.expect = Expectation::RootOr { uid: hacluster.uid, gid: u32::MAX };
    let mut client = BlockingClient::connect_with(&name, &wanted).unwrap();
    assert_eq!((client.server().uid, client.listener().uid), (hacluster.uid, hacluster.uid));
    assert_eq!(client.request(5, b"x", LONG).unwrap().body, b"x");
}

#[test]
fn a_refusal_says_why() {
    let name = unique("deny");
    let _server = c_server(&["-d", "13", &name, "shm"]);
    let error = BlockingClient::connect_with(&name, &options(16384)).err().unwrap();
    assert!(matches!(error, Error::Refused(13)), "{error}");
    let error = BlockingClient::connect_with(&unique("nobody"), &options(16384)).err().unwrap();
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
}
