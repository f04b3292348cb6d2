#![no_main]

use livehooks_core::hms::Hms;

libfuzzer_sys::fuzz_target!(|input: &[u8]| livehooks_fuzz::delivery::<Hms>(input));
