//! `kervan token`: makes a token of a user with the configured secret, for trying things out and for scripts. In
//! production the application's own backend makes its users' tokens.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use kervan::api::auth::{TokenRequest, issue_token};
use kervan::config::{Auth, duration};
use kervan::env::SystemClock;
use kervan::ids::UserId;

use super::{Refused, Settings, print, sources};

#[derive(Args)]
pub(super) struct Request {
    /// The user, `sub`.
    #[arg(long, value_name = "ID")]
    user: String,
    /// A channel: makes it a subscription token for that channel instead of a connection token.
    #[arg(long, value_name = "C")]
    channel: Option<String>,
    /// How long it is good for, as 15m, 1h or 7d; 0: for ever.
    #[arg(long, value_name = "D", default_value = "24h", value_parser = duration)]
    ttl: Duration,
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(request: &Request) -> anyhow::Result<ExitCode> {
    let loaded = sources::load(&request.settings)?;
    let token = issue(&loaded.config.auth, &request.user, request.channel.as_deref(), request.ttl)?;
    print(&format!("{token}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes a token that the server with this configuration takes.
///
/// # Errors
/// [`Refused`] for a user id that is none, or if there is no secret to sign with.
pub(super) fn issue(auth: &Auth, user: &str, channel: Option<&str>, ttl: Duration) -> anyhow::Result<String> {
    let secret = auth.hmac_secret.as_ref().ok_or_else(|| {
        Refused("there is no auth.hmac_secret (JWT_SECRET) to sign with: public keys only check tokens".to_owned())
    })?;
    let user = UserId::new(user).map_err(|error| Refused(format!("--user: {error}")))?;
    if user.is_anonymous() {
        return Err(Refused(format!("--user: {user} is the name of an anonymous user, which has no token")).into());
    }
    let request = TokenRequest {
        user: Some(&user),
        channel,
        ttl: (!ttl.is_zero()).then_some(ttl),
        audience: auth.audience.as_deref(),
        issuer: auth.issuer.as_deref(),
        sign_in: None,
    };
    Ok(issue_token(secret, &request, &SystemClock::default())?)
}
