//! Sealing and opening the datagrams of udp and udpu.
//!
//! ```text
//!  0  magic "sysD"   4  version 1   5  hash   6  cipher   7  zero
//!  8  u32 sender    12  u64 start  20  u64 counter
//! 28  [16 bytes vector, where there is a cipher]  payload
//! end: MAC over everything before it
//! ```
//! Integers are little-endian. The first two bytes differ from totem's magic, so
//! a clear datagram is told from a sealed one and refused.

use std::fmt;

use datagram_guard::Stamp;
use ha_types::Node;
use ring::hkdf;
use ring::rand::{SecureRandom, SystemRandom};
use wire::{Reader, Writer};
use zeroize::Zeroizing;

use crate::authkey::Authkey;
use crate::suite::{BLOCK, Cipher, Hash, Keyed, Mac};

const MAGIC: u32 = u32::from_le_bytes(*b"sysD");
const VERSION: u8 = 1;
const HEADER: usize = 28;

/// Why a datagram is refused. Nothing of it was believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// It is not sealed at all: its sender has no key configured.
    Clear,
    /// Its MAC does not verify: another key, another suite, or tampered with.
    InvalidDigest,
    /// Its MAC verifies and it still cannot be read: a fault of its sender.
    Malformed,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clear => "not authenticated: its sender has no crypto_hash or secauth",
            Self::InvalidDigest => "invalid digest: the authkey or the crypto settings differ",
            Self::Malformed => "authenticated, but malformed",
        })
    }
}

impl std::error::Error for OpenError {}

/// Seals and opens datagrams under one key and suite.
pub struct Envelope {
    hash: Hash,
    cipher: Cipher,
    mac: Mac,
    keyed: Keyed,
    random: SystemRandom,
}

impl Envelope {
    /// Derives the keys of this construction from the authkey [CRYPT-2].
    pub fn new(authkey: &Authkey, hash: Hash, cipher: Cipher) -> Self {
        let mac_key = derive(authkey, hash, cipher, "mac", 64);
        let cipher_key = derive(authkey, hash, cipher, "encrypt", cipher.key_len());
        Self {
            hash,
            cipher,
            mac: Mac::new(hash, &mac_key),
            keyed: Keyed::new(cipher, &cipher_key).expect("derived with its length"),
            random: SystemRandom::new(),
        }
    }

    /// How much longer a payload of `len` bytes becomes.
    pub fn overhead(&self, len: usize) -> usize {
        HEADER + self.cipher.overhead(len) + self.hash.mac_len()
    }

    /// Seals `clear` [CRYPT-1]; None when the operating system has no random
    /// numbers, without which nothing may be sent.
    pub fn seal(&self, stamp: Stamp, clear: &[u8]) -> Option<Vec<u8>> {
        let mut w = Writer::new();
        w.u32(MAGIC).u8(VERSION).u8(self.hash as u8).u8(self.cipher as u8).u8(0);
        w.u32(stamp.sender.0).u64(stamp.start).u64(stamp.counter);
        if self.cipher == Cipher::None {
            w.raw(clear);
        } else {
            let mut iv = [0; BLOCK];
            self.random.fill(&mut iv).ok()?;
            w.raw(&iv).raw(&self.keyed.encrypt(iv, clear));
        }
        let mut sealed = w.finish();
        let mac = self.mac.sign(&sealed);
        sealed.extend_from_slice(&mac);
        Some(sealed)
    }

    /// Verifies, then decrypts [CRYPT-1] [CRYPT-3].
    pub fn open(&self, datagram: &[u8]) -> Result<(Stamp, Vec<u8>), OpenError> {
        if datagram.get(..4) != Some(MAGIC.to_le_bytes().as_slice()) {
            return Err(OpenError::Clear);
        }
        let mac_at = datagram.len().checked_sub(self.hash.mac_len());
        let mac_at = mac_at.filter(|at| *at >= HEADER).ok_or(OpenError::InvalidDigest)?;
        let (signed, mac) = datagram.split_at(mac_at);
        if !self.mac.verify(signed, mac) {
            return Err(OpenError::InvalidDigest);
        }
        self.read(signed).ok_or(OpenError::Malformed)
    }

    fn read(&self, signed: &[u8]) -> Option<(Stamp, Vec<u8>)> {
        let mut r = Reader::new(signed);
        let suite = [VERSION, self.hash as u8, self.cipher as u8, 0];
        r.u32("a magic number").ok()?;
        if r.take(4, "a suite").ok()? != suite {
            return None;
        }
        let stamp = Stamp {
            sender: Node(r.u32("a sender").ok()?),
            start: r.u64("a start").ok()?,
            counter: r.u64("a counter").ok()?,
        };
        if self.cipher == Cipher::None {
            return Some((stamp, r.take(r.remaining(), "a payload").ok()?.to_vec()));
        }
        let mut iv = [0; BLOCK];
        iv.copy_from_slice(r.take(BLOCK, "a vector").ok()?);
        let sealed = r.take(r.remaining(), "a payload").ok()?;
        Some((stamp, self.keyed.decrypt(iv, sealed)?))
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-SHA256; the suite is part of the label, so that two suites under one
/// authkey share no key.
fn derive(
    authkey: &Authkey,
    hash: Hash,
    cipher: Cipher,
    purpose: &str,
    len: usize,
) -> Zeroizing<Vec<u8>> {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"systole datagram 1");
    let extracted = salt.extract(authkey.bytes());
    let suite = format!("{}/{}", hash.name(), cipher.name());
    let label = [purpose.as_bytes(), b" ", suite.as_bytes()];
    let mut key = Zeroizing::new(vec![0; len]);
    let expanded = extracted.expand(&label, Length(len)).expect("far below the limit of HKDF");
    expanded.fill(&mut key).expect("the length is the one asked for");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { sender: Node(7), start: 9, counter: 3 };

    fn key(seed: u8) -> Authkey {
        let bytes: Vec<u8> = (0..=255).map(|n: u8| n.wrapping_mul(31) ^ seed).collect();
        Authkey::from_bytes(&bytes).unwrap()
    }

    fn suites() -> Vec<(Hash, Cipher)> {
        let hashes = [Hash::Md5, Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512];
        let ciphers = [Cipher::None, Cipher::Aes128, Cipher::Aes192, Cipher::Aes256];
        hashes.into_iter().flat_map(|h| ciphers.map(|c| (h, c))).collect()
    }

    #[test]
    fn what_is_sealed_opens_in_every_suite() {
        for (hash, cipher) in suites() {
            let envelope = Envelope::new(&key(1), hash, cipher);
            for len in [0, 1, 15, 16, 17, 1400] {
                let clear = vec![0xa5; len];
                let sealed = envelope.seal(STAMP, &clear).unwrap();
                assert_eq!(sealed.len(), len + envelope.overhead(len));
                assert_eq!(envelope.open(&sealed), Ok((STAMP, clear)));
            }
        }
    }

    #[test]
    fn any_changed_or_missing_byte_is_an_invalid_digest() {
        for (hash, cipher) in suites() {
            let envelope = Envelope::new(&key(1), hash, cipher);
            let sealed = envelope.seal(STAMP, b"token").unwrap();
            for at in 4..sealed.len() {
                let mut bad = sealed.clone();
                bad[at] ^= 0x40;
                assert_eq!(envelope.open(&bad), Err(OpenError::InvalidDigest));
                assert_eq!(envelope.open(&sealed[..at]), Err(OpenError::InvalidDigest));
            }
        }
    }

    #[test]
    fn another_key_or_suite_does_not_open() {
        let sealed =
            Envelope::new(&key(1), Hash::Sha256, Cipher::Aes256).seal(STAMP, b"x").unwrap();
        for (hash, cipher) in suites() {
            let expect_open = (hash, cipher) == (Hash::Sha256, Cipher::Aes256);
            assert_eq!(Envelope::new(&key(1), hash, cipher).open(&sealed).is_ok(), expect_open);
            assert!(Envelope::new(&key(2), hash, cipher).open(&sealed).is_err());
        }
    }

    #[test]
    fn clear_datagrams_are_told_apart() {
        let envelope = Envelope::new(&key(1), Hash::Sha1, Cipher::None);
        assert_eq!(envelope.open(&[0x70, 0xc0, 3, 0, 0, 0]), Err(OpenError::Clear));
        assert_eq!(envelope.open(&[]), Err(OpenError::Clear));
    }

    #[test]
    fn two_seals_of_one_text_differ() {
        let envelope = Envelope::new(&key(1), Hash::Sha256, Cipher::Aes128);
        assert_ne!(envelope.seal(STAMP, b"same"), envelope.seal(STAMP, b"same"));
    }
}
