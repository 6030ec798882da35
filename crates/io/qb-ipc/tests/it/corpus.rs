//! The fuzz corpus and seeded mutations of it, through every decoder, with what
//! each promises about what it lets pass.

use std::path::Path;

use qb_ipc::{
    CONNECTION_REQUEST_SIZE, CONNECTION_RESPONSE_SIZE, CONTROL_SIZE, decode_chunk,
    decode_connection_request, decode_connection_response, decode_control, decode_request,
    decode_response,
};
use sansio::Rng;

const MAX: usize = 4096;
const MUTATIONS: usize = 2000;

/// Decodes; `true` if the bytes were let pass.
type Decoder = fn(&[u8]) -> bool;

const DECODERS: [(&str, Decoder); 6] = [
    ("connection_request", |bytes| {
        let decoded = decode_connection_request(bytes);
        assert!(decoded.is_err() || bytes.len() == CONNECTION_REQUEST_SIZE);
        decoded.is_ok()
    }),
    ("connection_response", |bytes| {
        let decoded = decode_connection_response(bytes);
        if let Ok(response) = &decoded {
            assert_eq!(bytes.len(), CONNECTION_RESPONSE_SIZE);
            assert!(response.error != 0 || (0..=1).contains(&response.kind));
            for name in [&response.request, &response.response, &response.event] {
                assert!(name.len() < 4096 && !name.contains('\0'));
            }
        }
        decoded.is_ok()
    }),
    ("request", |bytes| {
        let decoded = decode_request(bytes, MAX);
        if let Ok((_, body)) = &decoded {
            assert!(body.len() + 16 <= bytes.len().min(MAX));
        }
        decoded.is_ok()
    }),
    ("response", |bytes| {
        let decoded = decode_response(bytes, MAX);
        if let Ok((header, body)) = &decoded {
            assert!(body.len() + 24 <= bytes.len().min(MAX));
            assert_eq!(usize::try_from(header.size), Ok(body.len() + 24));
        }
        decoded.is_ok()
    }),
    ("control", |bytes| {
        let decoded = decode_control(bytes);
        assert_eq!(decoded.is_ok(), bytes.len() == CONTROL_SIZE);
        decoded.is_ok()
    }),
    ("chunk", |bytes| {
        let Some((at, ring)) = bytes.split_first_chunk::<4>() else { return false };
        let words = ring.len() as u64 / 4;
        let first = decode_chunk(ring, u32::from_ne_bytes(*at), MAX as u32);
        let mut next = first;
        for _ in 0..64 {
            let Ok(chunk) = next else { break };
            assert!(u64::from(chunk.payload) < words && u64::from(chunk.next) < words);
            assert!(u64::from(chunk.len) + 12 <= words * 4 && chunk.len as usize <= MAX);
            next = decode_chunk(ring, chunk.next, MAX as u32);
        }
        first.is_ok()
    }),
];

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=rng.below(4) {
        let len = bytes.len() as u64;
        let at = rng.below(len.max(1)) as usize;
        match rng.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.push(rng.below(256) as u8),
            2 if len >= 4 => {
                let words = [0, 1, 15, 16, 24, u32::MAX, i32::MAX as u32, 0xA1A1_A1A1];
                let word = words[rng.below(8) as usize].to_ne_bytes();
                let at = (at & !3).min(bytes.len() - 4);
                bytes[at..at + 4].copy_from_slice(&word);
            }
            _ if len > 0 => bytes[at] ^= 1 << rng.below(8),
            _ => {}
        }
    }
}

#[test]
fn decoders_keep_their_promises_on_corpus_and_mutations() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fuzz/corpus");
    for (name, decode) in DECODERS {
        let folder = corpus.join(name);
        let mut files: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        let (mut passed, mut refused) = (0, 0);
        for (seed, file) in files.iter().enumerate() {
            let original = std::fs::read(file).unwrap();
            let mut rng = Rng::new(seed as u64);
            for round in 0..MUTATIONS {
                let mut bytes = original.clone();
                if round > 0 {
                    mutate(&mut rng, &mut bytes);
                }
                *if decode(&bytes) { &mut passed } else { &mut refused } += 1;
            }
        }
        assert!(passed > 100 && refused > 100, "{name}: {passed} passed, {refused} refused");
    }
}

/// Whatever decoder has a corpus has a fuzz target, and the other way round.
#[test]
fn every_decoder_has_a_target_and_a_corpus() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fuzz");
    for (name, _) in DECODERS {
        assert!(fuzz.join(format!("fuzz_targets/{name}.rs")).is_file(), "{name}");
        let entries = std::fs::read_dir(fuzz.join("corpus").join(name)).unwrap();
        assert!(entries.count() >= 3, "{name}");
    }
}
