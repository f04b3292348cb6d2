#![no_main]

use livehooks_core::plugnmeet::PlugNmeet;

libfuzzer_sys::fuzz_target!(|input: &[u8]| livehooks_fuzz::delivery::<PlugNmeet>(input));
