#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bowline::fuzzing::session(input));
