//! What `kervan doctor` says of each Redis node.

use crate::actors::hints::{RedisNode, look};
use crate::config::Loaded;

use super::doctor::{Line, Verdict, line};

/// A line for each node, whether a server runs or not; one if none answers.
pub(super) fn lines(loaded: &Loaded) -> Vec<Line> {
    let Some(url) = &loaded.config.redis.url else { return Vec::new() };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![line("redis", Verdict::Fail, error.to_string())],
    };
    match runtime.block_on(look(url)) {
        Ok(nodes) => nodes.iter().map(of).collect(),
        Err(error) => vec![line("redis", Verdict::Fail, format!("{error}; {}", loaded.about_redis()))],
    }
}

fn of(node: &RedisNode) -> Line {
    let address = &node.address;
    match &node.state {
        Ok(state) => {
            let says =
                format!("{address}, {}, Redis {}, answers in {:.1?}", state.role, state.version, state.round_trip);
            line("redis", Verdict::Ok, says)
        }
        // The others go on, and a replica takes its place.
        Err(why) => line("redis", Verdict::Warn, format!("{address}: {why}")),
    }
}
