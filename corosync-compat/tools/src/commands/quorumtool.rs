//! `corosync-quorumtool`: quorum, votes and members.

mod names;
mod render;

use std::time::SystemTime;

use corosync_client::{
    Cfg, Cmap, CsError, Flags, Lookup, NodeInfo, Quorum, QuorumKind, View, Votequorum,
};

use crate::getopt::{Found, Options, Spec};
use crate::numbers::whole;
use crate::output::{Exit, flush, print, say};
use render::{List, Member, Status};

const SPEC: Spec = Spec { letters: "VHaslpmfe:v:hin:o:", long: &[] };

const HELP: &str = "\
  -s            quorum and members; this is what happens without a command
  -m            the same again at each change
  -l            members only
  -e VOTES      sets the votes that the cluster expects (*)
  -v VOTES      sets the votes of this node or of that given with -n (*)
  -n NODEID     the node that -v means
  -f            removes a quorum device by force: dangerous (*)
  -a            all names or addresses of a node
  -i            addresses instead of names
  -H            node ids in hexadecimal
  -o a|i|n      members as the ring has them, by id, or by name
  -p            a column of quorum devices in any case
  -V            the version
  -h            this text

(*) only where votequorum is the provider
";

/// The version of the reference that the output follows.
const VERSION: &str = "3.1.7";

/// The only provider that there is.
const VOTEQUORUM: &[u8] = b"corosync_votequorum";

#[derive(Clone, Copy)]
enum Command {
    Status,
    Monitor,
    Members,
    SetVotes(u32),
    SetExpected(u32),
    UnregisterDevice,
}

/// In which order members are listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Ring,
    Id,
    Name,
}

/// How things are shown.
struct Style {
    hexadecimal: bool,
    lookup: Lookup,
    all_addresses: bool,
    always_devices: bool,
    order: Order,
}

struct Wish {
    command: Command,
    node: Option<u32>,
    style: Style,
}

/// Runs the command.
pub fn main(arguments: Vec<Vec<u8>>) -> Exit {
    let done = parse(arguments).and_then(|wish| {
        let mut services = Services::open()?;
        run(&wish, &mut services)
    });
    done.err().unwrap_or(Exit::Success)
}

fn fail(text: impl AsRef<[u8]>) -> Exit {
    say(text);
    Exit::Failure
}

fn parse(arguments: Vec<Vec<u8>>) -> Result<Wish, Exit> {
    let style = Style {
        hexadecimal: false,
        lookup: Lookup::Name,
        all_addresses: false,
        always_devices: false,
        order: Order::Ring,
    };
    let mut wish = Wish { command: Command::Status, node: None, style };
    let mut options = Options::new(&SPEC, arguments);
    while let Some(found) = options.next() {
        let Found::Option(letter, value) = found else {
            print_help(options.program());
            return Err(Exit::Failure);
        };
        match letter {
            's' => wish.command = Command::Status,
            'm' => wish.command = Command::Monitor,
            'l' => wish.command = Command::Members,
            'f' => wish.command = Command::UnregisterDevice,
            'e' => {
                let complaint = "New expected votes value was not valid, try a positive number\n";
                wish.command = Command::SetExpected(number(&value, 1, i32::MAX.into(), complaint)?);
            }
            'v' => {
                let complaint = "New votes value was not valid, try a positive number or zero\n";
                wish.command = Command::SetVotes(number(&value, 0, i32::MAX.into(), complaint)?);
            }
            'n' => {
                let complaint = "The nodeid was not valid, try a positive number\n";
                wish.node = Some(number(&value, 1, u32::MAX.into(), complaint)?);
            }
            'a' => wish.style.all_addresses = true,
            'i' => wish.style.lookup = Lookup::Number,
            'H' => wish.style.hexadecimal = true,
            'p' => wish.style.always_devices = true,
            'o' => wish.style.order = parse_order(&value)?,
            'V' => {
                print(format!("corosync-quorumtool version: {VERSION}\n"));
                return Err(Exit::Success);
            }
            _ => {
                print_help(options.program());
                return Err(Exit::Success);
            }
        }
    }
    Ok(wish)
}

fn print_help(program: &[u8]) {
    print([b"Usage: ", program, b" [COMMAND] [OPTION...]\n\n"].concat());
    print(HELP);
}

fn number(text: &[u8], least: i64, most: i64, complaint: &str) -> Result<u32, Exit> {
    let found = whole(text, least, most).and_then(|number| u32::try_from(number).ok());
    found.ok_or_else(|| fail(complaint))
}

fn parse_order(text: &[u8]) -> Result<Order, Exit> {
    match text {
        b"a" => Ok(Order::Ring),
        b"i" => Ok(Order::Id),
        b"n" => Ok(Order::Name),
        _ => Err(fail(
            "Invalid ordering option. valid orders are a(address), i(node ID) or n(name)\n",
        )),
    }
}

/// The connections that every command wants.
struct Services {
    cmap: Cmap,
    quorum: Quorum,
    cfg: Cfg,
    /// Where it is the provider.
    votequorum: Option<Votequorum>,
    /// Known with votequorum only.
    local: u32,
}

impl Services {
    fn open() -> Result<Self, Exit> {
        let cmap = Cmap::open().map_err(|_| fail("Cannot initialize CMAP service\n"))?;
        let quorum = Quorum::open().map_err(|_| fail("Cannot initialize QUORUM service\n"))?;
        let cfg = Cfg::open().map_err(|_| fail("Cannot initialise CFG service\n"))?;
        let mut services = Self { cmap, quorum, cfg, votequorum: None, local: 0 };
        if services.provider().as_deref() == Some(VOTEQUORUM) {
            let votequorum =
                Votequorum::open().map_err(|_| fail("Cannot initialise VOTEQUORUM service\n"))?;
            services.votequorum = Some(votequorum);
            services.local = services
                .cmap
                .get_u32(b"runtime.votequorum.this_node_id")
                .map_err(|_| fail("Unable to retrieve this_node_id\n"))?;
        }
        Ok(services)
    }

    /// The provider, if one is configured.
    fn provider(&mut self) -> Option<Vec<u8>> {
        match self.quorum.kind() {
            QuorumKind::Free => None,
            QuorumKind::Set => self.cmap.get_text(b"quorum.provider").ok(),
        }
    }

    fn votequorum(&mut self, complaint: &str) -> Result<&mut Votequorum, Exit> {
        self.votequorum.as_mut().ok_or_else(|| fail(complaint))
    }
}

fn run(wish: &Wish, services: &mut Services) -> Result<(), Exit> {
    match wish.command {
        Command::Status => show_status(&wish.style, services),
        Command::Monitor => monitor(&wish.style, services),
        Command::Members => show_members(&wish.style, services),
        Command::SetVotes(votes) => set_votes(wish.node, votes, services),
        Command::SetExpected(votes) => services
            .votequorum("You cannot change expected votes, corosync is not using votequorum\n")?
            .set_expected(votes)
            .map_err(|e| fail(format!("Unable to set expected votes: {e}\n"))),
        Command::UnregisterDevice => unregister_device(services),
    }
}

fn set_votes(node: Option<u32>, votes: u32, services: &mut Services) -> Result<(), Exit> {
    let node = node.unwrap_or(services.local);
    services
        .votequorum("You cannot change node votes, corosync is not using votequorum\n")?
        .set_votes(node, votes)
        .map_err(|e| fail(format!("Unable to set votes {votes} for nodeid: {node}: {e}\n")))
}

fn unregister_device(services: &mut Services) -> Result<(), Exit> {
    let local = services.local;
    let votequorum = services
        .votequorum("You cannot unregister quorum device, corosync is not using votequorum\n")?;
    let info = votequorum
        .info(local)
        .map_err(|e| fail(format!("Unable to get quorum device info: {e}\n")))?;
    if !info.flags.has(Flags::DEVICE_REGISTERED) {
        return Ok(());
    }
    votequorum
        .unregister_device(&info.device_name)
        .map_err(|e| fail(format!("Unable to unregister quorum device: {e}\n")))
}

/// What each step of tracking is called when it fails.
fn cannot(what: &'static str) -> impl Fn(CsError) -> Exit {
    move |e| fail(format!("Unable to {what}: {e}\n"))
}

const START: &str = "start quorum status tracking";
const START_VOTES: &str = "start votequorum status tracking";
const DISPATCH: &str = "dispatch quorum status";
const DISPATCH_VOTES: &str = "dispatch votequorum status";

/// Waits for what was asked for by tracking.
fn wait<T>(next: Result<Option<T>, CsError>, what: &'static str) -> Result<T, Exit> {
    let answer = next.map_err(cannot(what))?;
    // Without a time limit nothing but an answer or an error ends the wait.
    answer.ok_or_else(|| cannot(what)(CsError::TRY_AGAIN))
}

fn show_status(style: &Style, services: &mut Services) -> Result<(), Exit> {
    let is_quorate = services.quorum.is_quorate().map_err(cannot("get cluster quorate status"))?;
    services.quorum.track_current().map_err(cannot(START))?;
    let view = wait(services.quorum.next_view(None), DISPATCH)?;
    if services.quorum.track_stop().is_err() {
        // In the reference's words, with the result of the step before.
        say("Unable to stop quorum status tracking: success\n");
    }
    let mut representative = 0;
    if let Some(votequorum) = &mut services.votequorum {
        votequorum.track_current().map_err(cannot(START_VOTES))?;
        representative = wait(votequorum.next_ring(None), DISPATCH_VOTES)?.representative;
    } else if services.provider().is_none() {
        // The reference asks votequorum also where there is no provider at all, on
        // a handle that it never opened: scripts know this status by its failure.
        return Err(cannot(START_VOTES)(CsError::BAD_HANDLE));
    }
    let view = View { quorate: is_quorate, ..view };
    show(style, services, &view, representative)?;
    if is_quorate { Ok(()) } else { Err(Exit::NotQuorate) }
}

fn monitor(style: &Style, services: &mut Services) -> Result<(), Exit> {
    if services.quorum.kind() == QuorumKind::Free {
        print("\nQuorum is not configured - cannot monitor\n");
        return show_status(style, services);
    }
    services.quorum.track_changes().map_err(cannot(START))?;
    if let Some(votequorum) = &mut services.votequorum {
        votequorum.track_changes().map_err(cannot(START_VOTES))?;
    }
    let mut representative = 0;
    loop {
        let view = wait(services.quorum.next_view(None), DISPATCH)?;
        if let Some(votequorum) = &mut services.votequorum {
            representative = wait(votequorum.next_ring(None), DISPATCH_VOTES)?.representative;
        }
        let shown = show(style, services, &view, representative);
        print("\n");
        shown.inspect_err(|_| say("Unable to display quorum data\n"))?;
        if flush().is_err() {
            return Ok(());
        }
    }
}

/// Prints quorum, votes and members.
fn show(
    style: &Style,
    services: &mut Services,
    view: &View,
    representative: u32,
) -> Result<(), Exit> {
    let provider = services.provider().unwrap_or_else(|| b"Not configured".to_vec());
    let representative = services.votequorum.is_some().then_some(representative);
    let local = services.local;
    let seconds =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let status = Status {
        time: corosync_client::local_time(seconds.cast_signed()),
        provider: &provider,
        local,
        representative,
        view,
    };
    print(render::status(style, &status));
    let Some(votequorum) = &mut services.votequorum else { return Ok(()) };
    let info = votequorum.info(local);
    match &info {
        Ok(info) => print(render::votes(info)),
        Err(CsError::NOT_EXIST) => print(render::votes(&NodeInfo::default())),
        Err(e) => say(format!("Unable to get node info: {e}\n")),
    }
    print_members(style, services, view);
    match info {
        Ok(_) => Ok(()),
        Err(_) => Err(Exit::Failure),
    }
}

fn show_members(style: &Style, services: &mut Services) -> Result<(), Exit> {
    services.quorum.track_current().map_err(cannot(START))?;
    let view = wait(services.quorum.next_view(None), DISPATCH)?;
    print_members(style, services, &view);
    Ok(())
}

fn print_members(style: &Style, services: &mut Services, view: &View) {
    let mut members: Vec<Member> = view.members.iter().map(|node| Member::new(*node)).collect();
    if let Some(votequorum) = &mut services.votequorum {
        for member in &mut members {
            match votequorum.info(member.node) {
                Ok(info) => member.info = Some(info),
                Err(_) => {
                    print(format!("Unable to get node {} info\n", member.node));
                    member.info = Some(NodeInfo::default());
                }
            }
        }
    }
    for member in &mut members {
        member.name = names::name(style, &mut services.cmap, &mut services.cfg, member.node);
    }
    // What the device's line says is taken from the first of the ring's order.
    let device = members.first().and_then(|first| first.info.clone());
    match style.order {
        Order::Ring => {}
        // The reference compares node ids as numbers with a sign.
        Order::Id => members.sort_by_key(|member| member.node.cast_signed()),
        Order::Name => members.sort_by(|a, b| a.name.cmp(&b.name)),
    }
    let list = List {
        members: &members,
        device: device.as_ref(),
        local: services.local,
        has_votes: services.votequorum.is_some(),
    };
    print(render::members(style, &list));
}
