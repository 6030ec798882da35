//! Files of Corosync 1.x, which the reference no longer takes [CONF-9].

use crate::grammar::{Step, What};
use crate::schema::Document;

/// A plugin of 1.x: `service { name: … ver: … }`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its version; 0 unless set.
    pub version: String,
}

impl Service {
    /// The service sections of a text.
    pub(crate) fn all(steps: &[Step]) -> Vec<Self> {
        let mut services = Vec::new();
        for step in steps {
            match &step.what {
                What::Open { path } if path == "service" => {
                    services.push(Self { name: String::new(), version: "0".to_owned() });
                }
                What::Item { path, value, .. } => {
                    let Some(service) = services.last_mut() else { continue };
                    let value = String::from_utf8_lossy(value).into_owned();
                    match path.as_str() {
                        "service.name" => service.name = value,
                        "service.ver" => service.version = value,
                        _ => {}
                    }
                }
                What::Open { .. } | What::Close { .. } => {}
            }
        }
        services
    }
}

/// What a file of 1.x means by what it says and by what it leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Legacy {
    /// It has no transport, but addresses that only udp needs.
    pub implies_udp: bool,
    /// It loads Pacemaker's plugin.
    pub names_pacemaker: bool,
    /// It wants Pacemaker started with Corosync (`ver: 0`).
    pub starts_pacemakerd: bool,
    /// It leaves quorum to Pacemaker's plugin: votequorum takes its place.
    pub votequorum_by_itself: bool,
    /// It says nothing of keys, which meant that they are used.
    pub secauth_is_on: bool,
}

const CRYPTO_KEYS: [&str; 4] =
    ["totem.secauth", "totem.crypto_cipher", "totem.crypto_hash", "totem.crypto_model"];

impl Legacy {
    pub(crate) fn of(document: &Document) -> Self {
        let keys = &document.keys;
        let has = |key: &str| keys.value(key).is_some();
        let mut interfaces = keys.with_prefix("totem.interface.");
        let has_address =
            interfaces.any(|(key, _)| key.ends_with(".bindnetaddr") || key.ends_with(".mcastaddr"));
        let pacemaker = document.services.iter().find(|s| s.name == "pacemaker");
        // The remedy for unknown votes is one line, which must not undo what
        // the file meant without it.
        let leaves_quorum_out =
            !document.has_quorum_section || has("quorum.expected_votes") && !has("quorum.provider");
        let votequorum_by_itself = pacemaker.is_some() && leaves_quorum_out;
        Self {
            implies_udp: !has("totem.transport") && !document.has_nodelist && has_address,
            names_pacemaker: pacemaker.is_some(),
            starts_pacemakerd: pacemaker.is_some_and(|s| s.version == "0"),
            votequorum_by_itself,
            secauth_is_on: votequorum_by_itself && !CRYPTO_KEYS.iter().any(|key| has(key)),
        }
    }
}

#[cfg(test)]
mod tests;
