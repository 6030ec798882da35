//! A line of observations: what is read is written and read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|line: &str| {
    let Ok(seen) = line.parse::<observe::Observation>() else { return };
    assert_eq!(seen.to_string().parse(), Ok(seen));
});
