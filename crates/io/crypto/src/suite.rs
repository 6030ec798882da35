//! The algorithms that corosync.conf can name.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use ring::hmac as ring_hmac;
use zeroize::Zeroizing;

/// `crypto_hash`: the MAC is HMAC with this hash, not truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// `md5`: 16 bytes; for old files, not for new ones.
    Md5,
    /// `sha1`: 20 bytes.
    Sha1,
    /// `sha256`: 32 bytes.
    Sha256,
    /// `sha384`: 48 bytes.
    Sha384,
    /// `sha512`: 64 bytes.
    Sha512,
}

/// `crypto_cipher`: AES in CBC mode with PKCS#7 padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// `none`: authenticated only.
    None,
    /// `aes128`.
    Aes128,
    /// `aes192`.
    Aes192,
    /// `aes256`.
    Aes256,
}

/// Length of an initialization vector and of a cipher block, in bytes.
pub const BLOCK: usize = 16;

impl Hash {
    /// The hash of a name in corosync.conf; None also for `none`, which is no
    /// authentication at all.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "md5" => Some(Self::Md5),
            "sha1" => Some(Self::Sha1),
            "sha256" => Some(Self::Sha256),
            "sha384" => Some(Self::Sha384),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    /// Its name in corosync.conf.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of its MAC in bytes.
    pub fn mac_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl Cipher {
    /// The cipher of a name in corosync.conf.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "aes128" => Some(Self::Aes128),
            "aes192" => Some(Self::Aes192),
            "aes256" => Some(Self::Aes256),
            _ => None,
        }
    }

    /// Its name in corosync.conf.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Aes128 => "aes128",
            Self::Aes192 => "aes192",
            Self::Aes256 => "aes256",
        }
    }

    /// Length of its key in bytes.
    pub fn key_len(self) -> usize {
        match self {
            Self::None => 0,
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    /// How much longer `len` bytes become: the vector and the padding.
    pub fn overhead(self, len: usize) -> usize {
        if self == Self::None { 0 } else { BLOCK + BLOCK - len % BLOCK }
    }
}

/// A keyed HMAC whose key schedule is computed once.
pub struct Mac {
    hash: Hash,
    key: MacKey,
}

enum MacKey {
    Ring(ring_hmac::Key),
    Md5(hmac::Hmac<md5::Md5>),
}

impl Mac {
    /// Prepares the MAC with `key`, of any length.
    pub fn new(hash: Hash, key: &[u8]) -> Self {
        let algorithm = match hash {
            Hash::Md5 => {
                use hmac::KeyInit;
                let keyed = hmac::Hmac::new_from_slice(key).expect("HMAC takes any key length");
                return Self { hash, key: MacKey::Md5(keyed) };
            }
            Hash::Sha1 => ring_hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => ring_hmac::HMAC_SHA256,
            Hash::Sha384 => ring_hmac::HMAC_SHA384,
            Hash::Sha512 => ring_hmac::HMAC_SHA512,
        };
        Self { hash, key: MacKey::Ring(ring_hmac::Key::new(algorithm, key)) }
    }

    /// The MAC of `bytes`, [`Hash::mac_len`] bytes long.
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        match &self.key {
            MacKey::Ring(key) => ring_hmac::sign(key, bytes).as_ref().to_vec(),
            MacKey::Md5(keyed) => {
                use hmac::Mac as _;
                keyed.clone().chain_update(bytes).finalize().into_bytes().to_vec()
            }
        }
    }

    /// Whether `mac` is the whole MAC of `bytes`, in constant time; a shorter or
    /// empty one never is.
    pub fn verify(&self, bytes: &[u8], mac: &[u8]) -> bool {
        if mac.len() != self.hash.mac_len() {
            return false;
        }
        match &self.key {
            MacKey::Ring(key) => ring_hmac::verify(key, bytes, mac).is_ok(),
            MacKey::Md5(keyed) => {
                use hmac::Mac as _;
                keyed.clone().chain_update(bytes).verify_slice(mac).is_ok()
            }
        }
    }
}

/// A cipher with its key; the key is wiped on drop.
pub struct Keyed {
    cipher: Cipher,
    key: Zeroizing<Vec<u8>>,
}

impl Keyed {
    /// Takes the first [`Cipher::key_len`] bytes of `key`; None when it is shorter.
    pub fn new(cipher: Cipher, key: &[u8]) -> Option<Self> {
        let key = key.get(..cipher.key_len())?;
        Some(Self { cipher, key: Zeroizing::new(key.to_vec()) })
    }

    /// The ciphertext of `clear` under the vector `iv`.
    pub fn encrypt(&self, iv: [u8; BLOCK], clear: &[u8]) -> Vec<u8> {
        macro_rules! with {
            ($aes:ty) => {
                cbc::Encryptor::<$aes>::new_from_slices(&self.key, &iv)
                    .expect("lengths were checked")
                    .encrypt_padded_vec::<Pkcs7>(clear)
            };
        }
        match self.cipher {
            Cipher::None => clear.to_vec(),
            Cipher::Aes128 => with!(aes::Aes128),
            Cipher::Aes192 => with!(aes::Aes192),
            Cipher::Aes256 => with!(aes::Aes256),
        }
    }

    /// The clear bytes; None when the padding is wrong, which behind a verified
    /// MAC only a key holder can bring about.
    pub fn decrypt(&self, iv: [u8; BLOCK], sealed: &[u8]) -> Option<Vec<u8>> {
        macro_rules! with {
            ($aes:ty) => {
                cbc::Decryptor::<$aes>::new_from_slices(&self.key, &iv)
                    .expect("lengths were checked")
                    .decrypt_padded_vec::<Pkcs7>(sealed)
                    .ok()
            };
        }
        match self.cipher {
            Cipher::None => Some(sealed.to_vec()),
            Cipher::Aes128 => with!(aes::Aes128),
            Cipher::Aes192 => with!(aes::Aes192),
            Cipher::Aes256 => with!(aes::Aes256),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
    }

    /// RFC 2202 and RFC 4231, test case 2: key "Jefe".
    #[test]
    fn macs_are_those_of_the_rfcs() {
        let text = b"what do ya want for nothing?";
        let cases = [
            (Hash::Md5, "750c783e6ab0b503eaa86e310a5db738"),
            (Hash::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (Hash::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        ];
        for (hash, expected) in cases {
            let mac = Mac::new(hash, b"Jefe");
            assert_eq!(mac.sign(text), hex(expected), "{}", hash.name());
            assert!(mac.verify(text, &hex(expected)));
        }
    }

    #[test]
    fn a_short_or_empty_mac_never_verifies() {
        for name in ["md5", "sha1", "sha256", "sha384", "sha512"] {
            let hash = Hash::from_name(name).unwrap();
            let mac = Mac::new(hash, b"key");
            let whole = mac.sign(b"text");
            assert_eq!(whole.len(), hash.mac_len());
            for len in 0..whole.len() {
                assert!(!mac.verify(b"text", &whole[..len]));
            }
            let mut wrong = whole.clone();
            wrong[0] ^= 1;
            assert!(mac.verify(b"text", &whole) && !mac.verify(b"text", &wrong));
        }
    }

    /// NIST SP 800-38A, F.2.1, F.2.3 and F.2.5: the first block.
    #[test]
    fn ciphers_are_those_of_nist() {
        let iv: [u8; 16] = hex("000102030405060708090a0b0c0d0e0f").try_into().unwrap();
        let clear = hex("6bc1bee22e409f96e93d7e117393172a");
        let cases = [
            (
                Cipher::Aes128,
                "2b7e151628aed2a6abf7158809cf4f3c",
                "7649abac8119b246cee98e9b12e9197d",
            ),
            (
                Cipher::Aes192,
                "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
                "4f021db243bc633d7178183a9fa071e8",
            ),
            (
                Cipher::Aes256,
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                "f58c4c04d6e5f1ba779eabfb5f7bfbd6",
            ),
        ];
        for (cipher, key, expected) in cases {
            let keyed = Keyed::new(cipher, &hex(key)).unwrap();
            let sealed = keyed.encrypt(iv, &clear);
            assert_eq!(sealed[..16], hex(expected), "{}", cipher.name());
            assert_eq!(keyed.decrypt(iv, &sealed).unwrap(), clear);
            assert_eq!(keyed.decrypt(iv, &sealed[..17]), None);
        }
    }

    #[test]
    fn a_short_key_is_refused() {
        assert!(Keyed::new(Cipher::Aes256, &[1; 31]).is_none());
        assert!(Keyed::new(Cipher::Aes256, &[1; 32]).is_some());
    }
}
