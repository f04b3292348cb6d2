#![no_main]

use livehooks_core::livekit::LiveKit;

libfuzzer_sys::fuzz_target!(|input: &[u8]| livehooks_fuzz::delivery::<LiveKit>(input));
