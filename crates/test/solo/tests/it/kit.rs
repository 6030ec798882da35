//! Builds the C client, and runs commands beside our node or beside the
//! reference's daemon, each in namespaces of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// The compiled `talk.c`, made once for this process.
pub(crate) fn talk() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let program = folder.join(format!("talk-{}", std::process::id()));
        let source = Path::new(HERE).join("tests/c/talk.c");
        let built = Command::new("gcc")
            .args(["-O1", "-o"])
            .args([&program, &source])
            .args(["-lcpg", "-lquorum", "-lvotequorum", "-lcfg"])
            .output()
            .expect("gcc is needed: apt install gcc");
        let needed = "needs libcpg-dev libquorum-dev libvotequorum-dev libcfg-dev";
        assert!(built.status.success(), "{needed}: {}", String::from_utf8_lossy(&built.stderr));
        program
    })
}

/// What a command printed, with its exit code in the last line.
pub(crate) fn transcript(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    // A tool writes its errors on a stream of its own, so their order means nothing.
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("Date:")).collect();
    if !output.stderr.is_empty() {
        lines.sort_unstable();
    }
    format!("{}\nexit {:?}\n", lines.join("\n"), output.status.code())
}

/// Runs a command beside Debian's daemon, which is alone in new namespaces.
pub(crate) fn on_reference(command: &[&str]) -> String {
    let script = Path::new(HERE).join("tests/c/reference.sh");
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash"])
        .arg(script)
        .args(command)
        .output()
        .expect("unshare is needed: apt install util-linux");
    assert_ne!(
        output.status.code(),
        Some(99),
        "the reference does not start (root? apt install corosync): {}",
        String::from_utf8_lossy(&output.stderr)
    );
    transcript(&output)
}

/// Runs a command beside our node.
pub(crate) fn on_ours(solo: &solo::Solo, command: &[&str]) -> String {
    let mut run = solo.command(command[0]);
    transcript(
        &run.args(&command[1..]).output().expect("nsenter is needed: apt install util-linux"),
    )
}

/// One node with one vote.
pub(crate) fn one_vote() -> votequorum::Config {
    let nodes = votequorum::NodeList { own_votes: 1, nodes: 1, votes: 1 };
    votequorum::Config { nodes: Some(nodes), ..votequorum::Config::default() }
}

/// Compares two transcripts and names the first line that differs.
pub(crate) fn assert_same(ours: &str, theirs: &str) {
    for (line, (our, their)) in ours.lines().zip(theirs.lines()).enumerate() {
        assert_eq!(our, their, "line {} of ours:\n{ours}", line + 1);
    }
    assert_eq!(ours.lines().count(), theirs.lines().count(), "{ours}\n--- and theirs:\n{theirs}");
}
