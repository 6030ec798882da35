//! The control file of a SOCKET connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = qb_ipc::decode_control(bytes).map(|_| assert_eq!(bytes.len(), qb_ipc::CONTROL_SIZE));
});
