//! What a server answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = qb_ipc::decode_connection_response(bytes).map(|r| assert!(r.error != 0 || (0..=1).contains(&r.kind)));
});
