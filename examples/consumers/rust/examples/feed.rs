//! As tests/consumers/feed.py, for Rust.

use livehooks_consumer::{Error, attendance::attendance, collect, facts::Facts};
use serde::Deserialize;
use serde_json::{Value, from_value, to_value};

#[derive(Deserialize)]
struct Call {
    function: String,
    event: Value,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let facts = Facts::from_env().await?;
    for line in std::io::stdin().lines() {
        let Call { function, event } = serde_json::from_str(&line?)?;
        let answer = match function.as_str() {
            "collect" => to_value(collect::batch(&facts, from_value(event)?).await)?,
            "report" => {
                let [provider, room] =
                    ["provider", "room"].map(|name| event[name].as_str().unwrap_or_default());
                to_value(attendance(&facts.of_room(provider, room).await?))?
            }
            _ => to_value(attendance(&from_value::<Vec<_>>(event)?))?,
        };
        println!("{answer}");
    }
    Ok(())
}
