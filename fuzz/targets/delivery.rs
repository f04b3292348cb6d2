#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| livehooks_fuzz::delivery(input));
