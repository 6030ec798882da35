//! The totem section: transport and protection.

use crate::host::IpVersion;
use crate::legacy::Legacy;
use crate::schema::Document;
use crate::secrets::KeySource;
use crate::timing::Timing;
use crate::{Kind, Refused};

/// How datagrams travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Multicast or broadcast.
    Udp,
    /// One datagram to each member.
    Udpu,
    /// Kronosnet.
    Knet,
}

/// An encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// Clear text.
    None,
    /// AES with 128 bit keys.
    Aes128,
    /// AES with 192 bit keys.
    Aes192,
    /// AES with 256 bit keys.
    Aes256,
}

/// An authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// None.
    None,
    /// HMAC-MD5.
    Md5,
    /// HMAC-SHA-1.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-384.
    Sha384,
    /// HMAC-SHA-512.
    Sha512,
}

/// How datagrams are protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// The library that the reference would use; `nss` unless set.
    pub model: String,
    /// The encryption.
    pub cipher: Cipher,
    /// The authentication.
    pub hash: Hash,
    /// Where the key is; None when no key is needed.
    pub key: Option<KeySource>,
}

/// How knet uses several links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkMode {
    /// One link at a time.
    #[default]
    Passive,
    /// All links at once.
    Active,
    /// The links in turn.
    RoundRobin,
}

/// The totem section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totem {
    /// How datagrams travel.
    pub transport: Transport,
    /// Whether the file said so, or a file of 1.x implied it.
    pub transport_is_implied: bool,
    /// The cluster's name.
    pub cluster_name: Option<String>,
    /// The version of the file that the administrator counts up.
    pub config_version: u64,
    /// Which addresses names are resolved to.
    pub ip_version: IpVersion,
    /// How datagrams are protected.
    pub protection: Protection,
    /// Timers and limits.
    pub timing: Timing,
    /// How knet uses several links.
    pub link_mode: LinkMode,
    /// Largest datagram, in bytes.
    pub net_mtu: u32,
    /// Whether node ids from addresses have their highest bit cleared.
    pub clear_node_high_bit: bool,
    /// The node id of a file without a nodelist.
    pub nodeid: Option<u32>,
}

/// Largest datagram without knet unless set, in bytes.
pub const UDP_MTU: u32 = 1500;
/// Largest packet of knet, in bytes.
pub const KNET_MTU: u32 = 65536;
const LINK_MODE_MAX: usize = 64;

/// What the file says or implies about the transport.
pub(crate) fn transport(
    document: &Document,
    legacy: &Legacy,
) -> Result<(Transport, bool), Refused> {
    match document.keys.text("totem.transport") {
        Some("udpu") => Ok((Transport::Udpu, false)),
        Some("udp") => Ok((Transport::Udp, false)),
        Some("knet") => Ok((Transport::Knet, false)),
        None if document.keys.value("totem.transport").is_none() => {
            Ok((if legacy.implies_udp { Transport::Udp } else { Transport::Knet }, true))
        }
        _ => {
            let reason = "Invalid transport type. Should be udpu, udp or knet";
            Err(document.refuse(Kind::Plain, "totem.transport", reason))
        }
    }
}

/// The addresses that names are resolved to.
pub(crate) fn ip_version(document: &Document, transport: Transport) -> IpVersion {
    match document.keys.text("totem.ip_version") {
        Some("ipv4") => IpVersion::V4,
        Some("ipv6") => IpVersion::V6,
        Some("ipv6-4") => IpVersion::V6V4,
        Some("ipv4-6") => IpVersion::V4V6,
        _ if transport == Transport::Udp => IpVersion::V4,
        _ => IpVersion::V6V4,
    }
}

/// The protection. A file of 1.x that says nothing means on [CONF-10].
pub(crate) fn protection(document: &Document, legacy: &Legacy) -> Result<Protection, Refused> {
    let keys = &document.keys;
    let is_on = match keys.text("totem.secauth") {
        Some(text) => text == "on",
        None => legacy.secauth_is_on,
    };
    let (mut cipher, mut hash) =
        if is_on { (Cipher::Aes256, Hash::Sha256) } else { (Cipher::None, Hash::None) };
    match keys.text("totem.crypto_cipher") {
        Some("none") => cipher = Cipher::None,
        Some("aes128") => cipher = Cipher::Aes128,
        Some("aes192") => cipher = Cipher::Aes192,
        Some("aes256") => cipher = Cipher::Aes256,
        _ => {}
    }
    match keys.text("totem.crypto_hash") {
        Some("none") => hash = Hash::None,
        Some("md5") => hash = Hash::Md5,
        Some("sha1") => hash = Hash::Sha1,
        Some("sha256") => hash = Hash::Sha256,
        Some("sha384") => hash = Hash::Sha384,
        Some("sha512") => hash = Hash::Sha512,
        _ => {}
    }
    if cipher != Cipher::None && hash == Hash::None {
        let reason = "crypto_cipher requires crypto_hash with value other than none";
        let blamed = ["totem.crypto_hash", "totem.crypto_cipher"];
        let blamed = blamed.into_iter().find(|key| keys.line(key).is_some()).unwrap_or_default();
        return Err(document.refuse(Kind::Plain, blamed, reason));
    }
    let is_needed = hash != Hash::None;
    let key = is_needed.then(|| KeySource::of(document)).transpose()?;
    let model = keys.text("totem.crypto_model").unwrap_or("nss").to_owned();
    Ok(Protection { model, cipher, hash, key })
}

/// How knet uses its links; said even where nothing uses it.
pub(crate) fn link_mode(document: &Document) -> Result<LinkMode, Refused> {
    match document.keys.text("totem.link_mode") {
        None | Some("passive") => Ok(LinkMode::Passive),
        Some("active") => Ok(LinkMode::Active),
        Some("rr") => Ok(LinkMode::RoundRobin),
        Some(mode) if mode.len() >= LINK_MODE_MAX => {
            let reason = "totem.link_mode is too long";
            Err(document.refuse(Kind::Plain, "totem.link_mode", reason))
        }
        Some(mode) => {
            let reason = format!(
                "The Knet link mode \"{mode}\" specified is invalid.  It must be active, passive or rr."
            );
            Err(document.refuse(Kind::Totem, "totem.link_mode", reason))
        }
    }
}

/// The file's format.
pub(crate) fn check_version(document: &Document) -> Result<(), Refused> {
    if document.keys.u32("totem.version") == Some(2) {
        return Ok(());
    }
    let reason = "This totem parser can only parse version 2 configurations.";
    Err(document.refuse(Kind::Totem, "totem.version", reason))
}

/// Largest datagram, in bytes.
pub(crate) fn net_mtu(document: &Document, transport: Transport) -> u32 {
    match document.keys.u32("totem.netmtu") {
        Some(mtu) if mtu != 0 => mtu,
        _ if transport == Transport::Knet => KNET_MTU,
        _ => UDP_MTU,
    }
}
