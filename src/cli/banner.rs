//! What a start prints to stdout: at most ten lines that a person can go on from.

use std::net::SocketAddr;

use crate::config::{Config, Origin};

/// What the lines are made of.
pub(super) struct Facts<'a> {
    pub config: &'a Config,
    /// What has said that it is production, if anything has.
    pub mode_from: Option<&'a Origin>,
    /// What keeps journal and rows, and who said so.
    pub engines: String,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    /// A token for somebody to try it with; in development mode only.
    pub token: Option<(&'a str, String)>,
}

pub(super) fn text(facts: &Facts<'_>) -> String {
    let mode = match (facts.config.server.production, facts.mode_from) {
        (true, Some(origin)) => format!("production ({origin})"),
        (true, None) => "production".to_owned(),
        (false, _) => "development mode".to_owned(),
    };
    let mut out = format!("Kervan {}, {mode}\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &str| out.push_str(&format!("  {name:<10} {value}\n"));
    let hint = match facts.config.auth.is_development() {
        true => "  in two tabs: alice and bob are there",
        // They are there only while everybody can be them.
        false if !facts.config.server.production => "  alice and bob are not: the secret is your own",
        false => "",
    };
    line("Open", &format!("http://{}/{hint}", facts.public));
    line("WebSocket", &format!("ws://{}/connection/websocket", facts.public));
    line("Health", &format!("http://{}/readyz?verbose", facts.public));
    line("Inspector", &format!("http://{}/", facts.admin));
    line("Metrics", &format!("http://{}/metrics", facts.admin));
    line("Data", &facts.engines);
    if let Some((user, token)) = &facts.token {
        line("Token", &format!("DEVELOPMENT ONLY, for user {user}, good for a day; `kervan token` makes others"));
        out.push_str(token);
        out.push('\n');
    }
    out.push_str("  Stop       Ctrl-C drains, twice leaves at once\n");
    out
}
