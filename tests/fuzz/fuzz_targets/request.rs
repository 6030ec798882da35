//! A request as it arrives on either transport.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = qb_ipc::decode_request(bytes, 4096).map(|(_, body)| assert!(body.len() + 16 <= bytes.len().min(4096)));
});
