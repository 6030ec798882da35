//! Our clients with a server that names what they must not touch, and what our
//! asynchronous client does under pressure.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use qb_ipc::{
    AsyncClient, BlockingClient, ClientEvent, ConnectOptions, Error, Transport, allow_all,
};

use crate::support::raw::address;
use crate::support::{
    ASK_FLOW, Folder, LONG, STRANGER, Service, block_on, config, eventually, options, unique,
};

/// What is done to a file, by its path.
type Spoil = fn(&str);

const MAX: u32 = 12328;
const DATA: u64 = 16384;

/// A connection response with any fields.
fn response(error: i32, kind: i32, max: u32, names: [&str; 3]) -> Vec<u8> {
    let mut bytes = vec![0; 12328];
    let mut put = |at: usize, value: [u8; 4]| bytes[at..at + 4].copy_from_slice(&value);
    put(0, (-1_i32).to_ne_bytes());
    put(8, 12328_i32.to_ne_bytes());
    put(16, error.to_ne_bytes());
    put(24, kind.to_ne_bytes());
    put(28, max.to_ne_bytes());
    for (i, name) in names.iter().enumerate() {
        let at = 40 + i * 4096;
        bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
    }
    bytes
}

/// What our client says to a server that answers so.
fn answered(bytes: Vec<u8>, folder: &Folder) -> Error {
    let name = unique("fake");
    let listener = UnixListener::bind_addr(&address(&name)).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 24]).unwrap();
        stream.write_all(&bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read(&mut [0]);
    });
    let wanted = ConnectOptions { shared_folder: folder.0.clone(), ..options(MAX) };
    let error = BlockingClient::connect_with(&name, &wanted).err();
    server.join().unwrap();
    error.expect("the answer should not be taken")
}

/// Files of three rings as an honest server makes them, in `folder/qb`.
fn honest(folder: &Folder) -> [String; 3] {
    let home = folder.0.join("home");
    fs::create_dir(&home).unwrap();
    ["request", "response", "event"].map(|ring| {
        let stem = home.join(ring);
        let stem = stem.to_str().unwrap();
        let mut header = vec![0; 8252];
        header[8..12].copy_from_slice(&(DATA as u32 / 4).to_ne_bytes());
        let data = format!("{stem}-data");
        header[4108..4108 + data.len()].copy_from_slice(data.as_bytes());
        fs::write(format!("{stem}-header"), header).unwrap();
        fs::write(data, vec![0; DATA as usize]).unwrap();
        stem.to_string()
    })
}

#[test]
fn answers_that_make_no_sense() {
    let folder = Folder::new();
    let names = ["a", "b", "c"];
    assert!(matches!(answered(response(-13, 9, 0, names), &folder), Error::Refused(13)));
    assert!(matches!(answered(response(i32::MIN, 1, 0, names), &folder), Error::Refused(_)));
    for kind in [-1, 2, 3, 4, i32::MAX] {
        let error = answered(response(0, kind, MAX, names), &folder);
        assert!(matches!(error, Error::Malformed(_)), "{kind}: {error}");
    }
    for max in [0, 1, 12327] {
        let error = answered(response(0, 1, max, names), &folder);
        assert!(matches!(error, Error::Malformed(_)), "{max}: {error}");
    }
    for cut in [0, 24, 12327] {
        let error = answered(response(0, 1, MAX, names)[..cut].to_vec(), &folder);
        // The server then hangs up.
        assert!(matches!(error, Error::Disconnected(_)), "{cut}: {error}");
    }
}

#[test]
fn names_that_lead_astray() {
    let folder = Folder::new();
    let good = honest(&folder);
    let in_folder = |name: &str| format!("{}/{name}", folder.0.display());
    let (deep, up) = (in_folder("home/a/b"), in_folder("../request"));
    for astray in ["/etc/passwd", "/etc/qb", "", "request/../x", &deep, &up, &in_folder("home/..")]
    {
        let error = answered(response(0, 1, MAX, [astray, &good[1], &good[2]]), &folder);
        assert!(matches!(error, Error::Io(_) | Error::Disconnected(_)), "{astray}: {error}");
        let error = answered(response(0, 0, MAX, [astray, "/dev/shm/x", ""]), &folder);
        assert!(matches!(error, Error::Io(_) | Error::Disconnected(_)), "{astray}: {error}");
    }
}

#[test]
fn files_that_are_not_what_they_should_be() {
    let spoil: [(&str, Spoil); 8] = [
        ("a link", |path| {
            fs::rename(path, format!("{path}.real")).unwrap();
            std::os::unix::fs::symlink(format!("{path}.real"), path).unwrap();
        }),
        ("a second name", |path| fs::hard_link(path, format!("{path}.too")).unwrap()),
        ("too short", |path| {
            fs::OpenOptions::new().write(true).open(path).unwrap().set_len(100).unwrap();
        }),
        ("a folder", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("a pipe", |path| {
            fs::remove_file(path).unwrap();
            nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        }),
        ("gone", |path| fs::remove_file(path).unwrap()),
        ("a stranger's", |path| {
            std::os::unix::fs::chown(path, Some(STRANGER.uid), Some(STRANGER.gid)).unwrap();
        }),
        ("a device", |path| {
            fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/dev/zero", path).unwrap();
        }),
    ];
    for (what, spoil) in spoil {
        for file in ["request-header", "event-data"] {
            let folder = Folder::new();
            let [a, b, c] = honest(&folder);
            spoil(folder.0.join("home").join(file).to_str().unwrap());
            let error = answered(response(0, 1, MAX, [&a, &b, &c]), &folder);
            assert!(matches!(error, Error::Io(_) | Error::Disconnected(_)), "{what}: {error}");
        }
    }
}

#[test]
fn rings_that_lie_about_their_size() {
    let folder = Folder::new();
    let [a, b, c] = honest(&folder);
    let header = format!("{b}-header");
    for words in [0, 1, 4095, 4097, u32::MAX] {
        let mut bytes = fs::read(&header).unwrap();
        bytes[8..12].copy_from_slice(&words.to_ne_bytes());
        fs::write(&header, bytes).unwrap();
        let error = answered(response(0, 1, MAX, [&a, &b, &c]), &folder);
        assert!(matches!(error, Error::Malformed(_)), "{words}: {error}");
    }
    fs::set_permissions(&header, PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn a_server_that_never_answers() {
    let name = unique("mute");
    let listener = UnixListener::bind_addr(&address(&name)).unwrap();
    let wanted = ConnectOptions { timeout: Duration::from_millis(50), ..options(MAX) };
    assert!(matches!(BlockingClient::connect_with(&name, &wanted), Err(Error::TimedOut)));
    assert!(matches!(block_on(AsyncClient::connect(&name, &wanted)), Err(Error::TimedOut)));
    drop(listener);
}

#[test]
fn requests_wait_while_the_server_holds_them_back() {
    for transport in [Transport::Shm, Transport::Socket] {
        let name = unique("wait");
        let service = Service::start(config(&name, transport), allow_all());
        block_on(async {
            let wanted = ConnectOptions { queue_messages: 100, ..options(MAX) };
            let mut client = AsyncClient::connect(&name, &wanted).await.unwrap();
            client.request(ASK_FLOW, &1_u32.to_ne_bytes()).await.unwrap();
            for i in 0..100 {
                client.send_request(i, &[0; 100]).unwrap();
            }
            assert!(matches!(client.send_request(0, &[]), Err(Error::Again)));
            assert_eq!(client.next_event().await, ClientEvent::Blocked);
            service.flow(0);
            let (mut next, mut writable) = (0, 0);
            while next < 100 || writable == 0 {
                match client.next_event().await {
                    ClientEvent::Frame(frame) => {
                        assert_eq!(frame.id, next);
                        next += 1;
                    }
                    ClientEvent::Writable => writable += 1,
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(writable, 1);
        });
    }
}

#[test]
fn counters_say_what_happened() {
    for transport in [Transport::Shm, Transport::Socket] {
        let name = unique("stats");
        let service = Service::start(config(&name, transport), allow_all());
        let mut client = BlockingClient::connect_with(&name, &options(MAX)).unwrap();
        for _ in 0..3 {
            client.request(1, &[0; 10], LONG).unwrap();
        }
        service.event(1, vec![0; 5]);
        service.event(2, vec![0; 5]);
        service.flow(1);
        service.flow(2);
        service.flow(2);
        let stats = service.stats().1[0];
        assert_eq!((stats.requests, stats.responses, stats.events), (3, 3, 2));
        assert_eq!((stats.bytes_received, stats.bytes_sent), (3 * 26, 3 * 34 + 2 * 29));
        assert_eq!((stats.flow_control_state, stats.flow_control_count), (2, 2));
        assert_eq!((stats.client_pid, stats.event_queue_length), (std::process::id(), 2));
        assert!(matches!(client.send_request(1, &[]), Ok(())), "2 lets ordinary clients send");
        service.flow(0);
        client.recv_response(LONG).unwrap();
        client.recv_event(LONG).unwrap();
        client.recv_event(LONG).unwrap();
        assert_eq!(service.stats().1[0].event_queue_length, 0);
        drop(client);
        eventually("the end", || service.stats().0.closed_connections == 1);
        assert_eq!(service.stats().0.active_connections, 0);
    }
}
