//! One module per command; `main` takes the program's name and its arguments.

pub mod blackbox;
pub mod cfgtool;
pub mod cmapctl;
pub mod cpgtool;
pub mod keygen;
pub mod quorumtool;

/// The last part of a program's name.
fn base_name(program: &[u8]) -> &[u8] {
    program.rsplit(|b| *b == b'/').next().unwrap_or_default()
}

/// The addresses of a node, one per link; unused links leave only their blank.
fn addresses(
    cfg: &mut corosync_client::Cfg,
    node: u32,
) -> Result<String, corosync_client::CsError> {
    let mut text = String::new();
    for (link, address) in cfg.addresses(node)?.into_iter().enumerate() {
        let Some(address) = address else { continue };
        if link != 0 {
            text.push(' ');
        }
        text.push_str(&address.to_string());
    }
    Ok(text)
}

/// Takes the key of a configured node apart: its position, and what follows.
fn node_key(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = key.strip_prefix(b"nodelist.node.")?;
    let end = rest.iter().position(|b| !b.is_ascii_digit())?;
    let (position, rest) = rest.split_at(end);
    Some((position, rest.strip_prefix(b".")?)).filter(|_| !position.is_empty())
}
