//! What a client says first.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = qb_ipc::decode_connection_request(bytes).map(|_| assert_eq!(bytes.len(), qb_ipc::CONNECTION_REQUEST_SIZE));
});
