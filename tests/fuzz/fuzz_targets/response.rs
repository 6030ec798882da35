//! A response or event as it arrives on either transport.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = qb_ipc::decode_response(bytes, 4096).map(|(_, body)| assert!(body.len() + 24 <= bytes.len().min(4096)));
});
