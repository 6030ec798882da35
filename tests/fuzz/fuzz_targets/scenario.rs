//! A scenario file.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = scenario::parse(text);
});
