//! `kervan token check TOKEN`: what a token says, whether a server with this configuration takes it, and if not, why.

use std::io::{self, Read as _};
use std::process::ExitCode;
use std::sync::Arc;

use crate::api::auth::{AuthOptions, Keyring, Revoked, TokenError, Verifier};
use crate::config::Auth;
use crate::env::{Clock, SystemClock};
use crate::ids::UserId;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde_json::Value;

use crate::cli::operator::table::date;
use crate::cli::{Refused, Settings, print, sources};

/// Seconds since the epoch in the year 2286: a larger number is milliseconds.
const FAR: f64 = 1e10;
/// Claims in which other systems put the user.
const OTHER_NAMES: [&str; 7] = ["userId", "user_id", "userid", "id", "uid", "user", "username"];

#[derive(Args)]
pub(super) struct Check {
    /// The token; "-" reads it from stdin, where no list of processes shows it.
    #[arg(value_name = "TOKEN")]
    token: String,
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(check: &Check) -> anyhow::Result<ExitCode> {
    let loaded = sources::load(&check.settings)?;
    let auth = &loaded.config.auth;
    let token = match check.token.as_str() {
        "-" => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).context("stdin")?;
            text.trim().to_owned()
        }
        given => given.to_owned(),
    };
    let said = Said::of(&token);
    let clock = SystemClock::default();
    let mut out = said.text();
    let judged = judge(&token, &said, auth)?;
    for note in said.notes(clock.now().0 / 1000) {
        out.push_str(&format!("note       {note}\n"));
    }
    if auth.is_development() {
        out.push_str("note       checked with the published development secret: no other is configured here\n");
    }
    let code = match judged {
        Ok(()) => {
            let kind = if said.claim("channel").is_some() { "subscription" } else { "connection" };
            out.push_str(&format!(
                "good       a {kind} token that a server with this configuration takes, unless its user is banned or \
                 signed out\n"
            ));
            ExitCode::SUCCESS
        }
        Err(error) => {
            out.push_str(&format!("refused    {error}\nhint       {}\n", error.hint()));
            ExitCode::from(1)
        }
    };
    print(&out)?;
    Ok(code)
}

/// As a server would: with its keys, and with what is given out for a channel judged as such.
fn judge(token: &str, said: &Said, auth: &Auth) -> anyhow::Result<Result<(), TokenError>> {
    let refused = |error: String| Refused(error);
    let ring =
        Keyring::open(auth.keys_file.as_deref(), auth.hmac_secret.clone()).map_err(|e| refused(e.to_string()))?;
    let verifier = Verifier::new(AuthOptions::from(auth), Arc::new(SystemClock::default()));
    let verifier =
        verifier.map_err(|e| refused(format!("[auth]: {e}")))?.with(Arc::new(ring), Arc::new(Revoked::default()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("the async runtime")?;
    Ok(runtime.block_on(async {
        match said.claim("channel").and_then(Value::as_str).filter(|channel| !channel.is_empty()) {
            Some(channel) => {
                let user = said.user().and_then(|user| UserId::new(&user).ok());
                verifier.subscription(token, channel, user.as_ref()).await.map(|_| ())
            }
            None => verifier.connection(token).await.map(|_| ()),
        }
    }))
}

/// What a token says of itself; its signature is not looked at.
struct Said {
    parts: usize,
    header: Option<Value>,
    claims: Option<Value>,
}

impl Said {
    fn of(token: &str) -> Self {
        let parts: Vec<&str> = token.split('.').collect();
        let read = |part: Option<&&str>| {
            let bytes = URL_SAFE_NO_PAD.decode(part?.trim_end_matches('=')).ok()?;
            serde_json::from_slice(&bytes).ok()
        };
        Self { parts: parts.len(), header: read(parts.first()), claims: read(parts.get(1)) }
    }

    fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.as_ref()?.get(name).filter(|value| !value.is_null())
    }

    fn user(&self) -> Option<String> {
        match self.claim("sub")? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Header and claims, a line each, times as dates.
    fn text(&self) -> String {
        let mut out = String::new();
        let header = self.header.as_ref().and_then(Value::as_object);
        let claims = self.claims.as_ref().and_then(Value::as_object);
        for (name, value) in header.into_iter().chain(claims).flatten() {
            let time = matches!(name.as_str(), "exp" | "nbf" | "iat" | "expire_at").then(|| value.as_f64()).flatten();
            let time = time.filter(|seconds| (0.0..FAR).contains(seconds));
            let shown: String = value.to_string().chars().filter(|c| !c.is_control()).take(200).collect();
            let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
            match time {
                Some(seconds) => out.push_str(&format!("{name:<10} {shown} ({})\n", date((seconds * 1000.0) as u64))),
                None => out.push_str(&format!("{name:<10} {shown}\n")),
            }
        }
        out
    }

    /// What is likely not meant so. `now` is in seconds.
    fn notes(&self, now: u64) -> Vec<String> {
        let mut notes = Vec::new();
        if self.parts != 3 {
            notes.push(format!("a JWT has three parts with dots between, this has {}", self.parts));
        }
        if self.claims.is_none() {
            notes.push("its second part is no JSON in base64url".to_owned());
            return notes;
        }
        for name in ["exp", "nbf", "iat", "expire_at"] {
            match self.claim(name) {
                Some(Value::Number(number)) if number.as_f64().is_some_and(|time| time >= FAR) => notes.push(format!(
                    "`{name}` looks like milliseconds: it is taken as seconds. Math.floor(Date.now() / 1000) is now in Node"
                )),
                Some(Value::Number(_)) | None => {}
                Some(_) => notes.push(format!("`{name}` must be a number of seconds")),
            }
        }
        match self.claim("sub") {
            None => {
                let other = OTHER_NAMES.into_iter().find(|name| self.claim(name).is_some());
                let where_it_is = other.map_or(String::new(), |name| format!("; it has `{name}`: give that as `sub`"));
                notes.push(format!("without `sub` its user is anonymous{where_it_is}"));
            }
            Some(Value::String(text)) if text.is_empty() => {
                notes.push("with an empty `sub` its user is anonymous".to_owned())
            }
            Some(Value::String(_) | Value::Number(_)) => {}
            Some(_) => notes.push("`sub` must be a text, or a whole number".to_owned()),
        }
        match self.claim("exp").and_then(Value::as_f64) {
            None if self.claim("exp").is_none() => notes.push("without `exp` it is good for ever".to_owned()),
            Some(exp) if exp <= now as f64 => notes.push(format!("`exp` was {} s ago", now - exp as u64)),
            _ => {}
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn notes(claims: &Value) -> String {
        let token = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims.to_string()));
        Said::of(&token).notes(1_700_000_000).join("\n")
    }

    #[test]
    fn what_other_systems_sign_is_explained() {
        assert!(notes(&json!({ "userId": 7, "exp": 1_800_000_000 })).contains("it has `userId`: give that as `sub`"));
        assert!(notes(&json!({ "sub": "a", "exp": 1_800_000_000_000_u64 })).contains("looks like milliseconds"));
        assert!(notes(&json!({ "sub": "a", "exp": "1h" })).contains("`exp` must be a number"));
        assert!(notes(&json!({ "sub": "a" })).contains("good for ever"));
        assert!(notes(&json!({ "sub": "a", "exp": 1_699_999_990 })).contains("10 s ago"));
        assert_eq!(notes(&json!({ "sub": 42, "exp": 1_800_000_000 })), "");
        assert!(Said::of("Bearer x").notes(0).join("\n").contains("this has 1"));
        assert!(Said::of("a.b.c.d").notes(0).join("\n").contains("this has 4"));
    }

    #[test]
    fn nothing_in_a_token_moves_the_cursor() {
        let token = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(json!({ "a\u{1b}[2J": "\u{1b}[2J" }).to_string()));
        assert!(!Said::of(&token).text().contains('\u{1b}'));
    }
}
