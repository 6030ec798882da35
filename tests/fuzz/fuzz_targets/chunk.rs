//! A walk over a ring of shared memory: four bytes say where it begins.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((at, ring)) = bytes.split_first_chunk::<4>() else { return };
    let words = ring.len() as u64 / 4;
    let mut at = u32::from_ne_bytes(*at);
    for _ in 0..64 {
        let Ok(chunk) = qb_ipc::decode_chunk(ring, at, 4096) else { return };
        assert!(u64::from(chunk.payload) < words && u64::from(chunk.next) < words);
        assert!(chunk.len <= 4096 && u64::from(chunk.len) + 12 <= words * 4);
        at = chunk.next;
    }
});
