//! Clients that break every rule: each costs itself the connection, and a
//! well-behaved one beside it is served all the while.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use qb_ipc::{BlockingClient, ConnectOptions, Naming, Server, ServerConfig, Transport, allow_all};
use sansio::Rng;

use crate::support::logs;
use crate::support::raw::{Raw, request, stream};
use crate::support::{
    Folder, LONG, Log, ROOT, STRANGER, Service, block_on, c_client, config, config_in, eventually,
    options, pattern, run_as, unique,
};

/// A client that is served all the while; it says at the end how often.
struct Good {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

impl Good {
    fn start(name: &str, options: ConnectOptions) -> Self {
        let (stop, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicU32>::default());
        let mut client = BlockingClient::connect_with(name, &options).unwrap();
        let (stop_too, served_too) = (Arc::clone(&stop), Arc::clone(&served));
        let thread = std::thread::spawn(move || {
            while !stop_too.load(Ordering::Relaxed) {
                let count = served_too.load(Ordering::Relaxed);
                let body = pattern(count, count as usize % 3000);
                let answer = client.request(1, &body, LONG).unwrap();
                assert!(answer.body == body);
                served_too.store(count + 1, Ordering::Relaxed);
            }
        });
        Self { stop, served, thread: Some(thread) }
    }

    /// Waits until it has been served again.
    fn check(&self) {
        let before = self.served.load(Ordering::Relaxed);
        eventually("the good client to be served", || {
            self.served.load(Ordering::Relaxed) > before + 1
                || self.thread.as_ref().unwrap().is_finished()
        });
        assert!(!self.thread.as_ref().unwrap().is_finished(), "the good client was disturbed");
    }
}

impl Drop for Good {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the good client was disturbed");
    }
}

/// How our client finds a service whose files are in `folder`.
fn options_in(folder: &Folder) -> ConnectOptions {
    ConnectOptions { shared_folder: folder.0.clone(), ..options(16384) }
}

/// Reads until the server hangs up.
fn until_closed(mut stream: &std::os::unix::net::UnixStream) {
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut rest);
}

#[test]
fn handshakes_that_are_wrong_or_never_end() {
    let name = unique("shake");
    let mut config = config(&name, Transport::Shm);
    config.limits.handshake_time = Duration::from_millis(200);
    let service = Service::start(config, allow_all());
    let good = Good::start(&name, options(16384));
    for bad in [
        request(0, 24, 1),
        request(-2, 24, 1),
        request(-3, 24, 1),
        request(i32::MIN, 24, 1),
        request(-1, 0, 1),
        request(-1, -24, 1),
        request(-1, i32::MAX, 1),
    ] {
        let mut stream = stream(&name);
        stream.write_all(&bad).unwrap();
        until_closed(&stream);
    }
    for len in [0, 1, 23] {
        let mut stream = stream(&name);
        stream.write_all(&request(-1, 24, 1)[..len]).unwrap();
        until_closed(&stream);
    }
    let mut half = stream(&name);
    half.write_all(&[0xff]).unwrap();
    drop(half);
    good.check();
    eventually("handshakes to fail", || service.stats().0.failed_handshakes == 11);
    assert_eq!(service.accepted(), 1);
}

#[test]
fn a_slow_handshake_still_succeeds() {
    let name = unique("slow");
    let _service = Service::start(config(&name, Transport::Shm), allow_all());
    let mut stream = stream(&name);
    for byte in request(-1, 24, 1) {
        stream.write_all(&[byte]).unwrap();
        std::thread::yield_now();
    }
    let mut answer = vec![0; qb_ipc::CONNECTION_RESPONSE_SIZE];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(qb_ipc::decode_connection_response(&answer).unwrap().error, 0);
}

#[test]
fn unfinished_handshakes_make_room_for_others() {
    let name = unique("many");
    let mut config = config(&name, Transport::Shm);
    config.limits.handshakes = 8;
    let service = Service::start(config, allow_all());
    let held: Vec<_> = (0..50).map(|_| stream(&name)).collect();
    Good::start(&name, options(16384)).check();
    assert!(service.stats().0.over_limit >= 42);
    drop(held);
}

#[test]
fn too_much_is_refused_by_number() {
    let name = unique("huge");
    let mut config = config(&name, Transport::Shm);
    config.limits.connections_per_user = 2;
    config.limits.connections = 3;
    config.limits.reserved_for_root = 1;
    config.limits.shared_bytes_per_user = 2 << 20;
    let service = Service::start(config, allow_all());
    for max in [u32::MAX, u32::MAX - 13, (64 << 20) + 1] {
        assert_eq!(Raw::connect(&name, max).told.error, -(nix::errno::Errno::EMSGSIZE as i32));
    }
    let connect = |user: crate::support::User, max: &str| {
        let mut client = c_client(&["-u", &user.spec(), &name, max, "hold"]);
        let line = client.line();
        (client, line)
    };
    let (_, line) = connect(STRANGER, "1048576");
    assert_eq!(line, "connect failed 12", "three rings of 1 MiB are more than 2 MiB");
    let held: Vec<_> = (0..2).map(|_| connect(STRANGER, "1")).collect();
    assert!(held.iter().all(|(_, line)| line == "connected 12328"), "{:?}", held[0].1);
    assert_eq!(connect(STRANGER, "1").1, "connect failed 24", "two of a user");
    let other = connect(crate::support::member(), "1");
    assert_eq!(other.1, "connected 12328");
    assert_eq!(connect(crate::support::hacluster(), "1").1, "connect failed 24", "three in all");
    let root = connect(ROOT, "1");
    assert_eq!(root.1, "connected 12328", "user 0 has a reserve");
    assert_eq!(connect(ROOT, "1").1, "connect failed 24", "of one");
    assert_eq!(service.stats().0.over_limit, 3 + 1 + 3);
}

#[test]
fn requests_with_impossible_sizes_and_ids() {
    let name = unique("sizes");
    let service = Service::start(config(&name, Transport::Shm), allow_all());
    let good = Good::start(&name, options(16384));
    type Lie = Box<dyn Fn(&mut Raw)>;
    let message = |id, size, len| -> Lie { Box::new(move |raw| raw.message(id, size, len)) };
    let chunk = |state, len| -> Lie { Box::new(move |raw| raw.chunk(state, len, &[0; 64])) };
    let mut lies: Vec<Lie> = Vec::new();
    for size in [i32::MIN, -1, 0, 1, 15, 33, 12329, i32::MAX] {
        lies.push(message(1, size, 32));
    }
    for id in [-1, -2, -4, i32::MIN] {
        lies.push(message(id, 32, 32));
    }
    for len in [0, 1, 15, 12329, 16384, 0x7fff_ffff, u32::MAX - 11, u32::MAX] {
        lies.push(message(1, 16, len));
    }
    for state in [0, 0xA110_CED0, 0xD0D0_D0D0, u32::MAX] {
        lies.push(chunk(state, 32));
    }
    let count = lies.len();
    for lie in lies {
        let mut raw = Raw::connect(&name, 12328);
        lie(&mut raw);
        until_closed(&raw.stream);
    }
    service.wait_closed(count);
    for why in service.closed() {
        assert!(why.starts_with("the client broke the protocol: "), "{why}");
    }
    Raw::connect(&name, 12328).message(-3, 16, 16);
    assert_eq!(service.wait_closed(count + 1), "the client said goodbye");
    good.check();
}

#[test]
fn datagrams_with_impossible_sizes_and_strangers() {
    let name = unique("dgram");
    let service = Service::start(config(&name, Transport::Socket), allow_all());
    let good = Good::start(&name, options(16384));
    let datagram = |id: i32, size: i32, len: usize| {
        let mut bytes = vec![0; len];
        bytes.resize(len.max(12), 0);
        bytes[..4].copy_from_slice(&id.to_ne_bytes());
        bytes[8..12].copy_from_slice(&size.to_ne_bytes());
        bytes.truncate(len);
        bytes
    };
    let mut lies = vec![datagram(-1, 16, 16), datagram(i32::MIN, 16, 16), vec![0; 20_000]];
    for size in [i32::MIN, -1, 0, 15, 33, i32::MAX] {
        lies.push(datagram(1, size, 32));
    }
    for len in [1, 8, 15] {
        lies.push(datagram(1, 16, len));
    }
    let count = lies.len();
    for lie in &lies {
        let raw = Raw::connect(&name, 12328);
        let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
        socket
            .connect_addr(&crate::support::raw::address(&format!("{}-request", raw.told.response)))
            .unwrap();
        socket.send(lie).unwrap();
        until_closed(&raw.stream);
    }
    service.wait_closed(count);
    // A stranger who knows the name of somebody's socket is not heard.
    let raw = Raw::connect(&name, 12328);
    let target = format!("{}-request", raw.told.response);
    let sent = run_as(STRANGER, |_| {
        let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
        socket.connect_addr(&crate::support::raw::address(&target)).unwrap();
        format!("{:?}", socket.send(&datagram(crate::support::ASK_CLOSE, 16, 16)).is_ok())
    });
    assert_eq!(sent.finish(), "true");
    good.check();
    assert_eq!(service.closed().len(), count, "a stranger ended somebody's connection");
}

#[test]
fn a_client_that_never_reads_is_dropped_with_one_line() {
    logs::capture();
    for transport in [Transport::Shm, Transport::Socket] {
        let name = unique("deaf");
        let mut config = config(&name, transport);
        config.limits.queue_bytes = 1 << 20;
        config.limits.queue_messages = 300;
        let service = Service::start(config, allow_all());
        let mut deaf = c_client(&["-u", &STRANGER.spec(), &name, "16384", "hold"]);
        deaf.expect("connected 16384");
        for i in 0..20_000 {
            service.event(i, vec![0; 1000]);
            if i % 100 == 0 && !service.closed().is_empty() {
                break;
            }
        }
        assert_eq!(service.wait_closed(1), "the client does not read what it is sent");
        // What is still on its way to all clients is not for the next one.
        service.stats();
        service.wait_for(|entry| matches!(entry, Log::Blocked(_)));
        let lines = logs::about(&name);
        assert_eq!(lines.len(), 1, "{lines:#?}");
        let line = &lines[0];
        for part in [
            format!("pid={}", deaf.pid()),
            format!("uid={}", STRANGER.uid),
            format!("dropping client {} of {name}", deaf.pid()),
        ] {
            assert!(line.contains(&part), "{part} is not in {line}");
        }
        Good::start(&name, options(16384)).check();
    }
}

#[test]
fn files_truncated_at_any_moment() {
    let name = unique("cut");
    let service = Service::start(config(&name, Transport::Shm), allow_all());
    let good = Good::start(&name, options(16384));
    let mut ended = 0;
    for ring in ["request", "response", "event"] {
        for part in ["header", "data"] {
            for len in [0, 100, 4096, 8192] {
                let mut raw = Raw::connect(&name, 12328);
                raw.file(ring, part).set_len(len).unwrap();
                // Whatever the server touches next: a request, its answer, an event.
                if part == "data" || ring != "request" {
                    raw.file("request", "header").write_all_at(&1_u32.to_ne_bytes(), 8208).unwrap();
                }
                let _ = raw.stream.write_all(&[1; 3]);
                service.event(1, vec![1; 9000]);
                drop(raw);
                ended += 1;
                service.wait_closed(ended);
            }
        }
    }
    good.check();
}

#[test]
fn files_unlinked_renamed_or_replaced() {
    let (name, folder) = (unique("gone"), Folder::new());
    let victim = folder.0.join("victim");
    let service = Service::start(config_in(&name, Transport::Shm, &folder), allow_all());
    fs::write(&victim, "untouched").unwrap();
    let mut ended = 0;
    for what in 0..5 {
        let raw = Raw::connect(&name, 12328);
        let path = raw.path("request", "data");
        let home = std::path::Path::new(&path).parent().unwrap().to_path_buf();
        match what {
            0 => fs::remove_file(&path).unwrap(),
            1 => {
                fs::remove_file(&path).unwrap();
                std::os::unix::fs::symlink(&victim, &path).unwrap();
            }
            2 => fs::rename(&home, folder.0.join("moved")).unwrap(),
            3 => {
                fs::rename(&home, folder.0.join("moved2")).unwrap();
                std::os::unix::fs::symlink(&folder.0, &home).unwrap();
            }
            _ => fs::create_dir(home.join("mine")).unwrap(),
        }
        service.event(1, vec![1; 100]);
        drop(raw);
        ended += 1;
        service.wait_closed(ended);
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    Good::start(&name, options_in(&folder)).check();
}

/// Writes random words to random places of its own files while it talks.
fn scribble(rng: &mut Rng, raw: &mut Raw) {
    let rings = ["request", "response", "event"];
    for _ in 0..1 + rng.below(20) {
        let ring = rings[rng.below(3) as usize];
        let part = if rng.below(2) == 0 { "header" } else { "data" };
        let Ok(file) = fs::OpenOptions::new().write(true).open(raw.path(ring, part)) else {
            return;
        };
        // Cursors, word size, reference count, semaphore, flow control; or anywhere.
        let fields = [0, 4, 8, 8204, 8208, 8212, 8216, 8240];
        let at = if part == "header" && rng.below(4) > 0 {
            fields[rng.below(8) as usize]
        } else {
            rng.below(16384) & !3
        };
        let interesting =
            [0, 1, 2, 16, 4095, 4096, 0x7fff_ffff, u32::MAX, 0xA1A1_A1A1, 0xA110_CED0];
        let word = match rng.below(3) {
            0 => u32::try_from(rng.below(1 << 32)).unwrap(),
            _ => interesting[rng.below(10) as usize],
        };
        match rng.below(40) {
            0 => drop(file.set_len(rng.below(20_000))),
            1 => drop(fs::remove_file(raw.path(ring, part))),
            _ => drop(file.write_all_at(&word.to_ne_bytes(), at)),
        }
        if rng.below(2) == 0 {
            let _ = raw.stream.write_all(&[1]);
        }
    }
}

#[test]
fn scribbling_over_everything_disturbs_nobody_else() {
    let name = unique("scribble");
    let service = Service::start(config(&name, Transport::Shm), allow_all());
    let good = Good::start(&name, options(16384));
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let mut raw = Raw::connect(&name, 12328);
        raw.stream.set_nonblocking(true).unwrap();
        for round in 0..5 {
            if rng.below(2) == 0 {
                raw.message(1, 32, 32);
            }
            scribble(&mut rng, &mut raw);
            if round % 2 == 0 {
                service.event(round, vec![3; 500]);
            }
        }
        if seed % 50 == 0 {
            good.check();
        }
    }
    service.wait_closed(400);
    good.check();
}

#[test]
fn a_scribbled_control_file_hurts_only_its_owner() {
    let name = unique("control");
    let service = Service::start(config(&name, Transport::Socket), allow_all());
    let good = Good::start(&name, options(16384));
    for seed in 0..100 {
        let mut rng = Rng::new(seed);
        let raw = Raw::connect(&name, 12328);
        let control = fs::OpenOptions::new().write(true).open(&raw.told.request).unwrap();
        for _ in 0..5 {
            let word = u32::try_from(rng.below(1 << 32)).unwrap();
            control.write_all_at(&word.to_ne_bytes(), rng.below(6) * 4).unwrap();
            service.event(1, vec![3; 50]);
        }
        control.set_len(rng.below(2) * 24).unwrap();
        service.event(1, vec![3; 50]);
    }
    service.wait_closed(100);
    good.check();
}

#[test]
fn a_thousand_clients_come_and_go() {
    for transport in [Transport::Shm, Transport::Socket] {
        let (name, folder) = (unique("crowd"), Folder::new());
        let service = Service::start(config_in(&name, transport, &folder), allow_all());
        let good = Good::start(&name, options_in(&folder));
        for _ in 0..1000 {
            assert_eq!(Raw::connect(&name, 12328).told.error, 0);
        }
        service.wait_closed(1000);
        good.check();
        drop(good);
        eventually("all folders to go", || folder.entries().is_empty());
        assert_eq!(service.stats().0.closed_connections, 1001);
    }
}

#[test]
fn a_flood_of_doorbells_starves_nobody() {
    let name = unique("flood");
    let service = Service::start(config(&name, Transport::Shm), allow_all());
    let good = Good::start(&name, options(16384));
    let mut raw = Raw::connect(&name, 12328);
    let stop = Arc::<AtomicBool>::default();
    let stopped = Arc::clone(&stop);
    let flood = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) && raw.stream.write_all(&[1; 4096]).is_ok() {}
    });
    for _ in 0..20 {
        good.check();
        service.stats();
    }
    stop.store(true, Ordering::Relaxed);
    flood.join().unwrap();
}

#[test]
fn foreign_things_in_the_socket_files_place() {
    let folder = Folder::new();
    let config = |name: &str| ServerConfig {
        naming: Naming::Filesystem(folder.0.clone()),
        ..config_in(name, Transport::Shm, &folder)
    };
    let listen =
        |name: &str| block_on(async { Server::listen(config(name), allow_all()).map(drop) });
    fs::write(folder.0.join("file"), "foreign").unwrap();
    std::os::unix::fs::symlink("file", folder.0.join("link")).unwrap();
    fs::create_dir(folder.0.join("folder")).unwrap();
    for name in ["file", "link", "folder"] {
        let error = listen(name).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists, "{name}: {error}");
        assert!(error.to_string().contains("not a socket"), "{error}");
    }
    assert_eq!(fs::read_to_string(folder.0.join("file")).unwrap(), "foreign");
    let service = Service::start(config("taken"), allow_all());
    let error = listen("taken").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "{error}");
    drop(service);
    assert!(!folder.0.join("taken").exists());
    drop(std::os::unix::net::UnixListener::bind(folder.0.join("stale")).unwrap());
    listen("stale").unwrap();
    let name = unique("abstract");
    let _service = Service::start(crate::support::config(&name, Transport::Shm), allow_all());
    let taken = crate::support::config(&name, Transport::Shm);
    let error = block_on(async { Server::listen(taken, allow_all()).map(drop) }).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "{error}");
}
