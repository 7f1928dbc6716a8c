//! Requests to the server that has the data folder open, with the key that it left there.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use kervan::api::admin::guard::HEADER;
use serde_json::Value;

use super::table::{Column, table};
use super::{Asking, Output};
use crate::cli::{Refused, Settings, door, print, sources};

/// For the server to take a connection: it is on this machine.
const CONNECT: Duration = Duration::from_secs(3);

/// The running server.
pub(super) struct Server {
    agent: ureq::Agent,
    address: SocketAddr,
    key: String,
}

impl Server {
    /// The one that has the configured data folder open.
    ///
    /// # Errors
    /// There is none, or it is only just starting.
    pub fn of(settings: &Settings) -> anyhow::Result<Self> {
        let loaded = sources::load(settings)?;
        Self::holding(&loaded.config.data.dir)
    }

    /// The one that has this folder open.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn holding(data: &std::path::Path) -> anyhow::Result<Self> {
        let found = door::find(data).context("the server's address can't be read: does it run as another user?")?;
        let nobody = || anyhow!("no server serves the data folder {}; --data-dir names another", data.display());
        let (address, key) = found.ok_or_else(nobody)?;
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        Ok(Self { agent, address, key })
    }

    /// The JSON at a path.
    ///
    /// # Errors
    /// The server does not answer, or says no: [`Refused`] if what was asked can't be.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        let asked = self.agent.get(self.url(path)).header("authorization", self.bearer()).call();
        read(asked.with_context(|| self.silent())?)
    }

    /// Has something done. Null if the server has nothing to say to it.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.agent.post(self.url(path)).header("authorization", self.bearer()).header(HEADER, "cli");
        read(request.send_json(body).with_context(|| self.silent())?)
    }

    /// One that was killed leaves its address behind.
    fn silent(&self) -> String {
        format!("the server that was at {} does not answer: is it running?", self.address)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/admin/{path}", self.address)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.key)
    }
}

fn read(mut answer: ureq::http::Response<ureq::Body>) -> anyhow::Result<Value> {
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string().context("the server's answer")?;
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let why = json.pointer("/error/message").and_then(Value::as_str).unwrap_or("it does not say why");
    match status {
        200..300 => Ok(json),
        400..500 => Err(Refused(why.to_owned()).into()),
        _ => Err(anyhow!("the server can't: {why}")),
    }
}

/// One part of a path or query, so that nothing in it means anything there.
pub(super) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// An actor's path for an address: its slashes stay.
pub(super) fn encoded_path(path: &str) -> String {
    // A user's id may hold slashes: they are told from those of the path by where they stand.
    let mut parts = path.splitn(3, '/').map(encoded);
    let first = parts.next().unwrap_or_default();
    parts.fold(first, |path, part| path + "/" + &part)
}

/// Writes an answer as it was asked for: a page as a table with these columns, or as it came.
pub(super) fn show(asking: &Asking, page: &Value, columns: &[Column]) -> anyhow::Result<()> {
    if asking.output == Output::Json {
        return json(page);
    }
    let none = Vec::new();
    print(&table(page["items"].as_array().unwrap_or(&none), columns))?;
    if let Some(next) = page["next"].as_str() {
        // Not among the lines: they may be read by a program.
        writeln!(io::stderr(), "there is more: --after '{next}'")?;
    }
    Ok(())
}

/// Writes JSON for people and programs.
pub(super) fn json(value: &Value) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_id_means_anything_in_an_address() {
        assert_eq!(encoded("a b/c?d#é"), "a%20b%2Fc%3Fd%23%C3%A9");
        assert_eq!(encoded_path("partitions/7/user:a/b"), "partitions/7/user%3Aa%2Fb");
        assert_eq!(encoded_path("hub"), "hub");
    }
}
