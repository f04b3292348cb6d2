#![no_main]

use livehooks_core::videosdk::VideoSdk;

libfuzzer_sys::fuzz_target!(|input: &[u8]| livehooks_fuzz::delivery::<VideoSdk>(input));
