//! Weak secrets: published, or short enough to guess.

use crate::BodyHash;

/// SHA-256 of published secrets. Hashes, so that this file does not publish them again.
const PUBLISHED: &[&str] = &[
    // plugNmeet-server, config_sample.yaml.
    "4a0b93ecc09892a769250da4fae0b5df3256edaf28302c36a902e55d4619eeee",
    // livekit-server --dev.
    "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
    // muxinc/mux-elixir, documentation of its test helper.
    "343fcb40497549085c98ae137c137116a5c2442eb8dc0bf0cac3a3419ce05b9f",
    // 8x8, documentation of JaaS's signatures.
    "cb0c52e75bc0cc9d327ba742a2d89db1c22436b5e04dd8522060702a8487f4eb",
    // GetStream/getstream-go, the secret of its webhook fixtures.
    "31a1e4cc22bcec2fb6a5b652524929594e159394a8c6cb66d15c49a07fb885a5",
    // The development keys in events/keys.json: the header and the signing secret of 100ms, LiveKit, plugNmeet,
    // VideoSDK's public key (DER), Mux, Zoom, JaaS, RealtimeKit's public key (DER), and
    // GetStream.
    "8c4a29f35751c978b658e2bcf0c1efa567aecf47cc2fedf62e23de11d6b7fea1",
    "a02fc2aa11c8e846f740fd52f147ce4c641fa13f681e593f6a846f928ac677b6",
    "48eb4705a0cbcf36f365b44c952f9bdce7af8cea7fe1e58821bf30434cf6fcac",
    "101bbbbdc15d065eef408a61735664e9b8b7ac6bc5cc045771abe80ce9eeebc4",
    "83a73f9533a3e806135a453b7b75eacb01188145b6180c667c5305c57b4c2395",
    "0d220592c34056a8cdcfeab624fc116549f6cb4b83417d3288faaa8665698398",
    "4907d3695b677929a0a810c364a089d0e893799f4fbb712b1ef0af379c6ad7c4",
    "c2b0bf4b6fbfd62e319e7a06bd6e7b4294808ef2c0e88002f1226b4c3cdd1e98",
    "69b41824242370b8b275d38cf0098a2de87360fcb0e31764044384b6cfd6032a",
    "035d24605a28bd5f4bfb842da7ba735dabac345b90785aedab2e9a7b13ee8f23",
];

/// 128 bits, if every bit is random.
const SECRET_BYTES_MIN: usize = 16;

/// Why a shared secret in field `at` protects nothing. Never repeats the secret.
pub(crate) fn of_secret(at: &str, secret: &str) -> Option<String> {
    if let Some(weakness) = of_key(at, secret.as_bytes()) {
        return Some(weakness);
    }
    (secret.len() < SECRET_BYTES_MIN).then(|| {
        format!("field {at}: expected a secret of at least {SECRET_BYTES_MIN} bytes, found a shorter one, which can be guessed")
    })
}

/// Why a key of any length in field `at` protects nothing.
pub(crate) fn of_key(at: &str, key: &[u8]) -> Option<String> {
    let hash = BodyHash::of(key).to_string();
    PUBLISHED.contains(&hash.as_str()).then(|| {
        format!(
            "field {at}: expected a key of your own, found one that is published: anybody can sign with it"
        )
    })
}
