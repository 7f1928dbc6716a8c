//! `kervan token`: makes a token of a user with the configured secret, for trying things out and for scripts. In
//! production the application's own backend makes its users' tokens. `kervan token check` tells what is wrong with one.

mod check;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use crate::api::auth::{TokenRequest, issue_token};
use crate::config::{Auth, Config, duration};
use crate::env::SystemClock;
use crate::http_client;
use crate::ids::UserId;
use clap::{Args, Subcommand};

use super::health::reachable;
use super::{Refused, Settings, print, sources};

/// For a server on this machine to say whether it takes a token.
const PROBE: Duration = Duration::from_secs(2);

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Request {
    #[command(subcommand)]
    what: Option<What>,
    /// The user, `sub`.
    #[arg(long, value_name = "ID", required = true)]
    user: Option<String>,
    /// A channel: makes it a subscription token for that channel instead of a connection token.
    #[arg(long, value_name = "C")]
    channel: Option<String>,
    /// How long it is good for, as 15m, 1h or 7d; 0: for ever.
    #[arg(long, value_name = "D", default_value = "24h", value_parser = duration)]
    ttl: Duration,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Subcommand)]
enum What {
    /// Tell what a token says, and whether a server with this configuration takes it: exit code 1 if not.
    Check(check::Check),
}

pub(super) fn run(request: &Request) -> anyhow::Result<ExitCode> {
    if let Some(What::Check(check)) = &request.what {
        return check::run(check);
    }
    let config = sources::load(&request.settings)?.config;
    let user = request.user.as_deref().unwrap_or_default();
    let token = issue(&config.auth, user, request.channel.as_deref(), request.ttl)?;
    if config.auth.is_development() && is_refused(&config, user) {
        // Not among the output: that is the token, for a program.
        writeln!(
            std::io::stderr(),
            "warning: this token is signed with the published development secret, and the server at {} does not take it: \
             it has a secret of its own. Give this command the server's: JWT_SECRET, or --config FILE",
            reachable(config.server.public_address())
        )?;
    }
    print(&format!("{token}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Whether a server at the configured port says no to a token that is signed with the published secret. That secret is the
/// only one that is ever shown to whatever listens there.
fn is_refused(config: &Config, user: &str) -> bool {
    let Ok(token) = issue(&config.auth, user, None, PROBE) else { return false };
    let Ok(client) = http_client::blocking(|client| client.timeout(PROBE).no_proxy()) else { return false };
    let address = reachable(config.server.public_address());
    let asked = client.get(format!("http://{address}/api/users/me")).bearer_auth(token);
    asked.send().is_ok_and(|answer| answer.status() == 401)
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
    if channel.is_some_and(str::is_empty) {
        return Err(Refused("--channel: expected a channel, found nothing".to_owned()).into());
    }
    if !ttl.is_zero() && ttl < Duration::from_secs(1) {
        return Err(Refused("--ttl: at least 1s, or 0 for ever: tokens count in whole seconds".to_owned()).into());
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
