//! A segment of the flight recorder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(entries) = host::recorder::format::Entries::of(bytes) else { return };
    let mut damaged = false;
    for entry in entries {
        assert!(!damaged, "damage is the last word");
        damaged = entry.is_err();
        let _ = entry.map(|entry| host::replay::describe(&entry));
    }
});
