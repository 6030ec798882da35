//! A configuration as the shell has read it, in bytes: what the driver hands in
//! at the start and at each reload, and what a recording keeps.

use std::collections::BTreeMap;
use std::net::IpAddr;

use corosync_conf::{Config, Files, Host, Interface, Refused};
use corosync_conf::{Document, Text, configure, read, startable};
use wire::{Malformed, Reader, Writer};

/// The texts, and what the machine says of the names in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The files.
    pub files: Files,
    /// The machine.
    pub host: Host,
    /// Whether the key that the files name has other bytes than the one in use.
    pub keys_differ: bool,
}

/// No text, name or list is longer; a longer one is a damaged record.
const MAX_FIELD: usize = 4 << 20;
const FORMAT: u8 = 1;

impl Reading {
    /// What the texts mean on this machine.
    ///
    /// # Errors
    /// They are wrong, or ask for what this daemon cannot do.
    pub fn config(&self) -> Result<Config, Refused> {
        let document: Document = read(&self.files, &self.host)?;
        let config = configure(document, &self.host)?;
        startable(&config)?;
        Ok(config)
    }

    /// The bytes that [`Reading::decode`] reads.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(FORMAT).u8(self.keys_differ.into());
        put_text(&mut w, &self.files.main);
        for texts in [&self.files.uidgid, &self.files.service] {
            put_len(&mut w, texts.len());
            texts.iter().for_each(|text| put_text(&mut w, text));
        }
        put_host(&mut w, &self.host);
        w.finish()
    }

    /// Reads what [`Reading::encode`] wrote.
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        if r.u8("a format")? != FORMAT {
            return Err(r.refuse("a reading of this version"));
        }
        let keys_differ = r.u8("whether keys differ")? != 0;
        let main = text(&mut r)?;
        let uidgid = list(&mut r, text)?;
        let service = list(&mut r, text)?;
        let host = host(&mut r)?;
        r.end()?;
        Ok(Self { files: Files { main, uidgid, service }, host, keys_differ })
    }
}

fn put_len(w: &mut Writer, len: usize) {
    w.u32(u32::try_from(len).unwrap_or(u32::MAX));
}

fn put_text(w: &mut Writer, text: &Text) {
    w.text(&text.name).blob(&text.bytes);
}

fn put_host(w: &mut Writer, host: &Host) {
    w.text(&host.nodename);
    put_len(w, host.interfaces.len());
    for interface in &host.interfaces {
        w.text(&interface.address.to_string()).u8(interface.prefix_len);
        w.u8(interface.name.is_some().into()).text(interface.name.as_deref().unwrap_or_default());
    }
    put_len(w, host.addresses.len());
    for (name, addresses) in &host.addresses {
        w.text(name);
        put_len(w, addresses.len());
        for address in addresses {
            w.text(&address.to_string());
        }
    }
    for numbers in [&host.users, &host.groups] {
        put_len(w, numbers.len());
        for (name, number) in numbers {
            w.text(name).u32(*number);
        }
    }
}

fn list<T>(
    r: &mut Reader<'_>,
    mut item: impl FnMut(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = r.u32("a count")?;
    (0..count).map(|_| item(r)).collect()
}

fn name(r: &mut Reader<'_>) -> Result<String, Malformed> {
    Ok(r.text(MAX_FIELD, "a name")?.to_owned())
}

fn text(r: &mut Reader<'_>) -> Result<Text, Malformed> {
    Ok(Text { name: name(r)?, bytes: r.blob(MAX_FIELD, "a text")?.to_vec() })
}

fn address(r: &mut Reader<'_>) -> Result<IpAddr, Malformed> {
    let text = name(r)?;
    text.parse().map_err(|_| r.refuse("an address"))
}

fn host(r: &mut Reader<'_>) -> Result<Host, Malformed> {
    let nodename = name(r)?;
    let interfaces = list(r, |r| {
        let (address, prefix_len) = (address(r)?, r.u8("a prefix")?);
        let is_named = r.u8("whether it has a name")? != 0;
        let name = Some(name(r)?).filter(|_| is_named);
        Ok(Interface { address, prefix_len, name })
    })?;
    let addresses = list(r, |r| Ok((name(r)?, list(r, address)?)))?;
    let numbers = |r: &mut Reader<'_>| -> Result<BTreeMap<String, u32>, Malformed> {
        Ok(list(r, |r| Ok((name(r)?, r.u32("a number")?)))?.into_iter().collect())
    };
    let (users, groups) = (numbers(r)?, numbers(r)?);
    Ok(Host { nodename, interfaces, addresses: addresses.into_iter().collect(), users, groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Reading {
        let interface = |name: Option<&str>| Interface {
            address: "10.0.0.1".parse().unwrap(),
            prefix_len: 24,
            name: name.map(str::to_owned),
        };
        let text = |name: &str| Text { name: name.into(), bytes: b"uidgid {\n}\n".to_vec() };
        let mut files = Files::main("corosync.conf", "totem {\n}\n");
        files.uidgid = vec![text("a"), text("b")];
        files.service = vec![text("c")];
        let host = Host {
            nodename: "alpha".into(),
            interfaces: vec![interface(Some("alpha.example")), interface(None)],
            addresses: [("beta".into(), vec!["::1".parse().unwrap()])].into(),
            users: [("hacluster".into(), 189)].into(),
            groups: [("haclient".into(), 189)].into(),
        };
        Reading { files, host, keys_differ: true }
    }

    #[test]
    fn a_reading_comes_back() {
        assert_eq!(Reading::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn damage_is_refused_without_panic() {
        let bytes = sample().encode();
        for cut in 0..bytes.len() {
            assert!(Reading::decode(&bytes[..cut]).is_err());
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(Reading::decode(&longer).is_err());
    }
}
