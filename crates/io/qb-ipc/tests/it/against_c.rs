//! The C library's client with our server, and our clients with its server.

use std::time::Duration;

use qb_ipc::{
    AsyncClient, BlockingClient, ConnectOptions, Expectation, Naming, ServerConfig, Transport,
    allow_all,
};

use crate::support::{ECHO_ERROR, Service, c_client, c_server, pattern, unique};

const LONG: Option<Duration> = Some(Duration::from_secs(10));

#[test]
fn c_client_echoes() {
    for transport in [Transport::Shm, Transport::Socket] {
        let name = unique("echo");
        let mut config = ServerConfig::new(&name);
        config.transport = transport;
        config.naming = Naming::Abstract;
        let _service = Service::start(config, allow_all());
        let lines =
            c_client(&[&name, "65536", "echo", "5000", "0", "1", "63", "64", "4096", "60000"])
                .finish();
        assert_eq!(lines, ["connected 65536", "echoed 5000", "done"]);
    }
}

#[test]
fn our_clients_echo() {
    for kind in ["shm", "socket"] {
        let name = unique("echo");
        let _server = c_server(&[&name, kind]);
        let mut options = ConnectOptions::new(65536);
        options.naming = Naming::Abstract;
        options.expect = Expectation::Root;
        let mut client = BlockingClient::connect_with(&name, &options).unwrap();
        for i in 0..5000 {
            let body = pattern(i, [0, 1, 64, 4096, 60000][i as usize % 5]);
            let answer = client.request((i % 100) as i32, &body, LONG).unwrap();
            assert_eq!((answer.id, answer.error), ((i % 100) as i32, ECHO_ERROR));
            assert!(answer.body == body);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut client = AsyncClient::connect(&name, &options).await.unwrap();
            for i in 0..5000 {
                let body = pattern(i, [0, 1, 64, 4096, 60000][i as usize % 5]);
                let answer = client.request((i % 100) as i32, &body).await.unwrap();
                assert_eq!((answer.id, answer.error), ((i % 100) as i32, ECHO_ERROR));
                assert!(answer.body == body);
            }
        });
    }
}
