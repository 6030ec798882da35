//! Whether a daemon of ours can run on a configuration.

use crate::totem::Transport;
use crate::{Config, Kind, Refused, quorum};

/// Refuses what passes as a configuration but would not start: a quorum section
/// that contradicts itself, and what is not built yet [CONF-11].
pub fn startable(config: &Config) -> Result<(), Refused> {
    let document = &config.document;
    if config.totem.transport == Transport::Knet {
        let said = if config.totem.transport_is_implied {
            "transport knet (which a file without transport means)"
        } else {
            "transport knet"
        };
        let key = ["totem.transport", "totem.version"].into_iter();
        let mut blamed = key.filter(|key| document.keys.line(key).is_some());
        let reason = format!("{said} is not built yet");
        return Err(document.refuse(Kind::NotBuilt, blamed.next().unwrap_or_default(), reason));
    }
    quorum::check_provider(document)?;
    let is_legacy = config.legacy.votequorum_by_itself;
    config.quorum.as_ref().map_or(Ok(()), |quorum| quorum.check(document, is_legacy))
}
