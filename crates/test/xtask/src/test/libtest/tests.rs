use super::*;

fn read(text: &str) -> Transcript {
    let mut transcript = Transcript::default();
    for line in text.lines() {
        transcript.take(line);
    }
    transcript
}

/// Runs a shell script as a test binary would be run.
fn script(text: &str, expected: usize) -> Totals {
    let (status, transcript) = watch(Command::new("sh").args(["-c", text]), false).unwrap();
    transcript.totals(status, expected)
}

#[test]
fn totals_come_from_the_result_line() {
    let transcript = read(
        "running 3 tests\ntest a ... ok\ntest b::c ... ignored, needs a moon\ntest d ... FAILED\n\n\
         test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
    );
    assert_eq!(transcript.counted, Some(Totals { passed: 1, failed: 1, skipped: 1 }));
    assert_eq!(transcript.ignored, ["b::c"]);
}

#[test]
fn results_of_several_binaries_add_up() {
    let transcript = read(
        "test result: ok. 2 passed; 0 failed; 0 ignored\ntest result: ok. 40 passed; 0 failed; 3 ignored",
    );
    assert_eq!(transcript.counted, Some(Totals { passed: 42, failed: 0, skipped: 3 }));
}

#[test]
fn what_a_reader_sees_is_what_failed() {
    let mut transcript = Transcript::default();
    assert!(!transcript.take("test a ... ok"));
    assert!(transcript.take("test b ... FAILED"));
    assert!(transcript.take("thread 'b' panicked at src/lib.rs:1:1:"));
}

#[test]
fn tests_that_did_not_end_have_failed() {
    assert_eq!(
        script("echo 'test a ... ok'; kill -9 $$", 3),
        Totals { passed: 0, failed: 3, skipped: 0 }
    );
}

#[test]
fn a_bad_exit_behind_passing_tests_has_failed() {
    let text = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'; exit 3";
    assert_eq!(script(text, 2), Totals { passed: 2, failed: 1, skipped: 0 });
}

#[test]
fn skipped_tests_fail_in_ci_unless_they_are_listed() {
    let allowed = AllowedSkips::parse("# heading\nlab full::boots: no cgroup2 in containers\n");
    assert!(allowed.allows("lab", "full::boots"));
    assert!(!allowed.allows("lab", "light::boots"));
    assert!(!allowed.allows("host", "full::boots"));
}
