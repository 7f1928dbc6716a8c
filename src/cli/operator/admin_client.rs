//! Requests to the server that has the data folder open, with the key that it left there; or to one that `--url` names, with
//! its `[admin] token`.

use std::io::{self, Write as _};
use std::time::Duration;

use crate::api::admin::guard::HEADER;
use crate::http_client;
use anyhow::{Context as _, anyhow};
use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use super::csv::csv;
use super::table::{Column, names, table};
use super::{Asking, Output};
use crate::cli::{Refused, admin_file, print, sources};

/// For the server to take a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Beside `--url` and `--token`.
const URL: &str = "KERVAN_URL";
const TOKEN: &str = "KERVAN_TOKEN";

/// The server said no.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(in crate::cli) struct Said {
    /// The API's code.
    pub code: String,
    /// In words.
    pub message: String,
}

/// The running server.
pub(super) struct Server {
    client: Client,
    /// With scheme, without the last slash.
    base: String,
    key: String,
}

impl Server {
    /// The one that is named, or that has the configured data folder open.
    ///
    /// # Errors
    /// There is none, it is only just starting, or its address would show the token to others.
    pub(crate) fn of(asking: &Asking) -> anyhow::Result<Self> {
        let remote = &asking.remote;
        let given = |flag: &Option<String>, name: &str| {
            flag.clone().or_else(|| std::env::var(name).ok()).filter(|value| !value.is_empty())
        };
        let Some(url) = given(&remote.url, URL) else {
            let loaded = sources::load_to_find(&asking.here.settings)?;
            return Self::holding(&loaded.config.data.dir);
        };
        let base = base_of(&url, remote.insecure_http)?;
        let token = given(&remote.token, TOKEN)
            .ok_or_else(|| Refused(format!("{base} takes its [admin] token: --token, or better {TOKEN}")))?;
        Self::at(base, token)
    }

    /// The one that has this folder open.
    ///
    /// # Errors
    /// There is none, or it is only just starting.
    pub(crate) fn holding(data: &std::path::Path) -> anyhow::Result<Self> {
        let found =
            admin_file::find(data).context("the server's address can't be read: does it run as another user?")?;
        let nobody = || {
            anyhow!(
                "no server serves the data folder {}; --data-dir names another, --url a server elsewhere",
                data.display()
            )
        };
        let (address, key) = found.ok_or_else(nobody)?;
        Self::at(format!("http://{address}"), key)
    }

    fn at(base: String, key: String) -> anyhow::Result<Self> {
        // The token is for this server only: no proxy, and no redirect as everywhere.
        let client = http_client::blocking(|client| client.connect_timeout(CONNECT).no_proxy())?;
        Ok(Self { client, base, key })
    }

    /// The JSON at a path.
    ///
    /// # Errors
    /// The server does not answer, or says no: [`Said`] if what was asked can't be.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(self.client.get(self.url(path)))
    }

    /// Has something done. Null if the server has nothing to say to it.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask(self.client.post(self.url(path)).header(HEADER, myself()).json(body))
    }

    /// Has something removed.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(self.client.delete(self.url(path)).header(HEADER, myself()))
    }

    fn ask(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let answer = request.bearer_auth(&self.key).send();
        // One that was killed leaves its address behind.
        read(answer.with_context(|| format!("the server at {} does not answer: is it running?", self.base))?)
    }

    fn url(&self, path: &str) -> String {
        format!("{}/admin/{path}", self.base)
    }
}

/// Who gives the command, for the audit log: `user@machine`, as far as this machine knows.
fn myself() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let user = user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let whole = format!("{user}@{}", machine.trim());
    whole.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

/// The address of a server, if a token may be sent there: by TLS, to this machine, or because somebody said so.
fn base_of(url: &str, insecure: bool) -> Result<String, Refused> {
    let base = url.trim_end_matches('/');
    let Some((scheme, rest)) = base.split_once("://") else {
        return Err(Refused(format!("--url {url}: expected https://HOST or http://127.0.0.1:PORT")));
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match scheme {
        _ if host.is_empty() || authority.contains('@') => Err(Refused(format!("--url {url}: that is no host"))),
        "https" => Ok(base.to_owned()),
        "http" if here || insecure => Ok(base.to_owned()),
        "http" => Err(Refused(format!(
            "--url {url}: without TLS the token can be read on the way. Use https://, or a tunnel (ssh -L 3001:127.0.0.1:3001 \
             HOST and http://127.0.0.1:3001); --insecure-http sends it all the same"
        ))),
        _ => Err(Refused(format!("--url {url}: expected https:// or http://"))),
    }
}

fn read(answer: Response) -> anyhow::Result<Value> {
    let status = answer.status().as_u16();
    let text = answer.text().context("the server's answer")?;
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let word = |at: &str, other: &str| json.pointer(at).and_then(Value::as_str).unwrap_or(other).to_owned();
    let why = word("/error/message", "it does not say why");
    match status {
        200..300 => Ok(json),
        300..400 => Err(anyhow!("the server sends on to elsewhere: is that the admin port?")),
        400..500 => Err(Said { code: word("/error/code", "refused"), message: why }.into()),
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

/// What a command has to show: its lines, and what a person is told beside them.
pub(super) struct Shown {
    /// For stdout.
    pub lines: String,
    /// Not among the lines: they may be read by a program.
    pub hint: Option<String>,
}

impl Shown {
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        print(&self.lines)?;
        if let Some(hint) = &self.hint {
            writeln!(io::stderr(), "{hint}")?;
        }
        Ok(())
    }
}

/// A page as it was asked for: as a table with these columns, as CSV with them, its first column, or as it came.
pub(super) fn page(asking: &Asking, page: &Value, columns: &[Column]) -> anyhow::Result<Shown> {
    let none = Vec::new();
    let items = page["items"].as_array().unwrap_or(&none);
    let lines = match asking.output() {
        Output::Csv => csv(items, columns),
        Output::Json => return Ok(Shown { lines: pretty(page)?, hint: None }),
        Output::Names => names(items, columns),
        Output::Table => table(items, columns, asking.colours()),
    };
    let hint = page["next"].as_str().map(|next| format!("there is more: --after '{next}'"));
    Ok(Shown { lines, hint })
}

/// Writes JSON for people and programs.
pub(super) fn json(value: &Value) -> anyhow::Result<()> {
    print(&pretty(value)?)
}

fn pretty(value: &Value) -> anyhow::Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Writes what was done: in a sentence, or as the API's JSON.
pub(super) fn done(asking: &Asking, answer: &Value, sentence: &str) -> anyhow::Result<()> {
    match asking.output() {
        Output::Json if answer.is_null() => json(&json!({ "done": true })),
        Output::Json => json(answer),
        Output::Csv | Output::Names | Output::Table => print(&format!("{sentence}\n")),
    }
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

    #[test]
    fn a_token_goes_by_tls_or_to_this_machine_unless_somebody_says_otherwise() {
        for url in ["https://ops.example.com/", "http://127.0.0.1:3001", "http://[::1]:3001", "http://localhost:3001/"]
        {
            assert_eq!(base_of(url, false).unwrap(), url.trim_end_matches('/'));
        }
        for url in
            ["http://ops.example.com", "http://127.0.0.1.evil.test", "http://10.0.0.1:3001", "http://localhost.evil:1"]
        {
            assert!(base_of(url, false).unwrap_err().0.contains("without TLS"), "{url}");
            assert!(base_of(url, true).is_ok());
        }
        for url in ["ops.example.com", "ftp://x", "https://", "http://127.0.0.1@evil.test", "https:///x"] {
            assert!(base_of(url, true).is_err(), "{url}");
        }
    }
}
