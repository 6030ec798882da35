//! Quorum, votes and members as text.

use corosync_client::{Flags, LocalTime, NodeInfo, View};

use super::Style;

/// What stands at the top.
pub(super) struct Status<'a> {
    pub(super) time: Option<LocalTime>,
    pub(super) provider: &'a [u8],
    pub(super) local: u32,
    /// Of the ring; known with votequorum only.
    pub(super) representative: Option<u32>,
    pub(super) view: &'a View,
}

/// A line of the list of members.
pub(super) struct Member {
    pub(super) node: u32,
    /// With votequorum only.
    pub(super) info: Option<NodeInfo>,
    pub(super) name: Vec<u8>,
}

impl Member {
    pub(super) fn new(node: u32) -> Self {
        Self { node, info: None, name: Vec::new() }
    }
}

pub(super) fn status(style: &Style, status: &Status<'_>) -> Vec<u8> {
    let View { quorate, ring_seq, members } = status.view;
    let mut text = String::from("Quorum information\n------------------\n");
    text += &format!("Date:             {}\n", status.time.map(date).unwrap_or_default());
    let mut out = text.into_bytes();
    out.extend_from_slice(&[b"Quorum provider:  ", status.provider, b"\n"].concat());
    let local = if style.hexadecimal {
        format!("0x{:08x}", status.local)
    } else {
        status.local.to_string()
    };
    let ring = match status.representative {
        Some(node) => format!("{node:x}.{ring_seq:x}"),
        None => format!("{ring_seq:x}"),
    };
    let rest = format!(
        "Nodes:            {}\nNode ID:          {local}\nRing ID:          {ring}\n\
         Quorate:          {}\n",
        members.len(),
        if *quorate { "Yes" } else { "No" },
    );
    out.extend_from_slice(rest.as_bytes());
    out
}

/// As ctime(3) writes it.
fn date(time: LocalTime) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let LocalTime { weekday, month, day, hour, minute, second, year } = time;
    let weekday = DAYS.get(usize::from(weekday)).unwrap_or(&"???");
    let month = MONTHS.get(usize::from(month)).unwrap_or(&"???");
    format!("{weekday} {month} {day:>2} {hour:02}:{minute:02}:{second:02} {year}")
}

pub(super) fn votes(info: &NodeInfo) -> String {
    const FLAGS: [(Flags, &str); 7] = [
        (Flags::TWO_NODE, "2Node "),
        (Flags::QUORATE, "Quorate "),
        (Flags::WAIT_FOR_ALL, "WaitForAll "),
        (Flags::LAST_MAN_STANDING, "LastManStanding "),
        (Flags::AUTO_TIE_BREAKER, "AutoTieBreaker "),
        (Flags::ALLOW_DOWNSCALE, "AllowDownscale "),
        (Flags::DEVICE_REGISTERED, "Qdevice "),
    ];
    let blocked = if info.flags.has(Flags::QUORATE) { " " } else { "Activity blocked" };
    let set = FLAGS.iter().filter(|(flag, _)| info.flags.has(*flag));
    let flags: String = set.map(|(_, name)| *name).collect();
    let NodeInfo { expected_votes, highest_expected, total_votes, quorum, .. } = info;
    format!(
        "\nVotequorum information\n----------------------\n\
         Expected votes:   {expected_votes}\nHighest expected: {highest_expected}\n\
         Total votes:      {total_votes}\nQuorum:           {quorum} {blocked}\n\
         Flags:            {flags}\n"
    )
}

/// The list of members.
pub(super) struct List<'a> {
    /// In the order to print.
    pub(super) members: &'a [Member],
    /// What the line of the device is taken from.
    pub(super) device: Option<&'a NodeInfo>,
    /// The node that we are on.
    pub(super) local: u32,
    /// Whether votequorum is the provider.
    pub(super) has_votes: bool,
}

pub(super) fn members(style: &Style, list: &List<'_>) -> Vec<u8> {
    let List { members, device, local, has_votes } = *list;
    let is_registered = |info: &NodeInfo| info.flags.has(Flags::DEVICE_REGISTERED);
    let with_device = members.iter().filter_map(|m| m.info.as_ref()).any(is_registered);
    let with_column = with_device || style.always_devices;
    let mut out = b"\nMembership information\n----------------------\n".to_vec();
    let mut header = padded("Nodeid");
    if has_votes {
        header += &padded("Votes");
        header += &if with_column { padded("Qdevice") } else { String::new() };
    }
    out.extend_from_slice(format!("{header}Name\n").as_bytes());
    for member in members {
        let mut line = node_id(style, member.node);
        if let Some(info) = &member.info {
            line += &padded(&info.votes.to_string());
            line += &if with_column { padded(&device_state(info.flags)) } else { String::new() };
        }
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(&member.name);
        out.extend_from_slice(if member.node == local { b" (local)\n" } else { b"\n" });
    }
    let own = members.iter().find(|m| m.node == local).and_then(|m| m.info.as_ref());
    if let Some(device) = device.filter(|_| with_device) {
        let counts = own.is_some_and(|own| own.flags.has(Flags::DEVICE_CAST_VOTE));
        out.extend_from_slice(&device_line(style, device, counts));
    }
    out
}

/// The line of the device itself; its votes are shown apart while they do not count.
fn device_line(style: &Style, device: &NodeInfo, counts: bool) -> Vec<u8> {
    let votes = device.device_votes;
    let shown = if counts { votes } else { 0 };
    let start = format!("{}{}           ", node_id(style, 0), padded(&shown.to_string()));
    let end = if counts { "\n".into() } else { format!(" (votes {votes})\n") };
    [start.as_bytes(), &device.device_name, end.as_bytes()].concat()
}

/// Alive or not, voting or not, master wins or not; or not registered.
fn device_state(flags: Flags) -> String {
    if !flags.has(Flags::DEVICE_REGISTERED) {
        return "NR".into();
    }
    let pick = |flag, yes: &'static str, no: &'static str| if flags.has(flag) { yes } else { no };
    let text = [
        pick(Flags::DEVICE_ALIVE, "A", "NA"),
        pick(Flags::DEVICE_CAST_VOTE, "V", "NV"),
        pick(Flags::DEVICE_MASTER_WINS, "MW", "NMW"),
    ]
    .join(",");
    // The reference's buffer has room for nine characters.
    text.chars().take(9).collect()
}

fn node_id(style: &Style, node: u32) -> String {
    if style.hexadecimal { format!("0x{node:08x} ") } else { padded(&node.to_string()) }
}

fn padded(text: &str) -> String {
    format!("{text:>10} ")
}

#[cfg(test)]
mod tests;
