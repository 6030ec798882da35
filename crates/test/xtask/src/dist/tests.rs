use super::elf::tests::planted;
use super::*;

const SAMPLE: &[Entry] = &[
    Entry { path: "/usr", mode: 0o755, owner: (0, 0), source: Source::Folder },
    Entry {
        path: "/usr/daemon",
        mode: 0o755,
        owner: (0, 0),
        source: Source::Program { package: "daemon", binary: "daemond" },
    },
    Entry { path: "/usr/unit", mode: 0o640, owner: (0, 0), source: Source::File("systemd/unit") },
];

/// A folder of a test's own, with programs and sources, that goes with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("xtask-dist-{name}-{}", std::process::id()));
        fs::create_dir_all(root.join("systemd")).unwrap();
        fs::write(root.join("daemond"), planted(&[0xab; 20])).unwrap();
        fs::write(root.join("systemd/unit"), "[Unit]\n").unwrap();
        Self(root)
    }

    fn tree(&self) -> PathBuf {
        self.0.join("tree")
    }

    fn fill(&self) -> Result<(), Failure> {
        fill(SAMPLE, &self.tree(), &self.0, &self.0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_laid_out_is_what_the_table_says() {
    let place = Place::new("whole");
    place.fill().unwrap();
    assert_eq!(differences(SAMPLE, &place.tree()), [""; 0]);
    let lines: Vec<String> = contents(&place.tree()).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[1].starts_with("0755 ") && lines[1].ends_with(&"ab".repeat(20)), "{}", lines[1]);
    assert!(lines[2].starts_with("0640 ") && lines[2].ends_with("/usr/unit"), "{}", lines[2]);
}

#[test]
fn laying_out_again_replaces_and_is_the_same() {
    let place = Place::new("again");
    place.fill().unwrap();
    let before = contents(&place.tree()).unwrap();
    fs::write(place.tree().join("usr/stray"), "left over").unwrap();
    place.fill().unwrap();
    assert_eq!(contents(&place.tree()).unwrap(), before);
}

/// A change to a tree, and what the check must say of it.
type Spoiled = (&'static str, fn(&Path), &'static str);

#[test]
fn every_difference_is_named() {
    let spoiled: &[Spoiled] = &[
        (
            "missing",
            |tree| fs::remove_file(tree.join("usr/unit")).unwrap(),
            "/usr/unit: No such file",
        ),
        ("stray", |tree| fs::write(tree.join("usr/x"), "").unwrap(), "/usr/x: is not in the table"),
        (
            "mode",
            |tree| {
                fs::set_permissions(tree.join("usr/unit"), Permissions::from_mode(0o644)).unwrap();
            },
            "/usr/unit: mode 644, not 640",
        ),
        (
            "no-id",
            |tree| fs::write(tree.join("usr/daemon"), &planted(&[])[..64]).unwrap(),
            "/usr/daemon: no GNU build id",
        ),
        (
            "mutant",
            |tree| {
                let program = [planted(&[1]), b"no /remove here MIN-2/weaken".to_vec()].concat();
                fs::write(tree.join("usr/daemon"), program).unwrap();
            },
            "/usr/daemon: was built with the mutant MIN-2/weaken",
        ),
        (
            "link",
            |tree| {
                fs::remove_file(tree.join("usr/daemon")).unwrap();
                std::os::unix::fs::symlink("unit", tree.join("usr/daemon")).unwrap();
            },
            "/usr/daemon: is neither a file of its own",
        ),
        (
            "shared",
            |tree| fs::hard_link(tree.join("usr/unit"), tree.with_file_name("other")).unwrap(),
            "/usr/unit: shares its file",
        ),
    ];
    for (name, spoil, expected) in spoiled {
        let place = Place::new(name);
        place.fill().unwrap();
        spoil(&place.tree());
        let found = differences(SAMPLE, &place.tree());
        assert!(found.iter().any(|line| line.starts_with(expected)), "{name}: {found:?}");
    }
}

#[test]
fn a_program_that_was_not_built_is_named() {
    let place = Place::new("unbuilt");
    fs::remove_file(place.0.join("daemond")).unwrap();
    let why = place.fill().unwrap_err();
    assert!(why.0.contains("daemond"), "{why}");
    assert!(!place.tree().exists(), "half a tree is left");
}

#[test]
fn a_folder_with_other_things_is_refused() {
    let place = Place::new("foreign");
    fs::create_dir_all(place.tree()).unwrap();
    fs::write(place.tree().join("letters"), "mine").unwrap();
    let why = place.fill().unwrap_err();
    assert!(why.0.contains("letters"), "{why}");
    assert!(place.tree().join("letters").exists());
}

#[test]
fn the_table_names_folders_first_and_every_path_once() {
    let mut seen = BTreeSet::from([""]);
    for entry in TABLE {
        let (folder, name) = entry.path.rsplit_once('/').unwrap();
        assert!(seen.contains(folder) && !name.is_empty(), "{}: folder first", entry.path);
        assert!(seen.insert(entry.path), "{} stands twice", entry.path);
    }
    assert!(packages(TABLE).contains("systole-replay"));
}
