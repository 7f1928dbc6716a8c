//! Accounts: making one, signing in, staying signed in, and taking all of that back.
//!
//! A sign-in is a family of refresh tokens, of which one counts. Each use exchanges it for the next. Who shows one that was
//! exchanged before has lost the answer, and for [`GRACE_MS`] gets the same one; later, or with an older one, somebody has
//! stolen it: then the whole sign-in is taken back. Its access tokens name it (`sid`), so that they are refused and its
//! sockets closed at once. Who shows a secret that never was one ([`secret`]) ends nothing: the sign-in's id is no secret.
//!
//! A password is hashed with argon2id, at most one hash for each core at a time ([`passwords`]). An unknown name costs as
//! much time as a wrong password, and gets the same answer. How often one may guess is bounded for each account ([`guesses`]).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::actors::gateway::hub::Hub;
use crate::api::auth::{Keyring, Revoked, TokenRequest};
use crate::api::protocol::codes::Disconnect;
use crate::config::{self, Secret};
use crate::env::Env;
use crate::ids::{Timestamp, UserId, millis};
use crate::limits;
use crate::storage::accounts::{Account, AccountError, AccountRows, Profile, SignIn};

mod by_operator;
mod check;
mod guesses;
pub mod passwords;
mod secret;

pub use check::Names;
pub(crate) use check::NotAName;
use guesses::Guesses;
use passwords::{HashError, Passwords};

/// How long a refresh token that was exchanged may be shown once more, in milliseconds: its client has lost the answer.
const GRACE_MS: u64 = 30_000;
/// How long rows of sign-ins that are over are kept, beyond what refuses their tokens, in milliseconds: a clock that was
/// wrong for a while takes nothing with it.
const KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The network of its address ([`crate::api::http::network`]).
    pub(crate) network: IpAddr,
    /// What it calls itself.
    pub(crate) agent: &'a str,
}

/// What accounts are held to.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long an access token is good.
    pub access_ttl: Duration,
    /// How long a sign-in lasts that is not used.
    pub refresh_ttl: Duration,
    /// How long a sign-in lasts however often it is used; zero for no end.
    pub sign_in_ttl: Duration,
    /// Guesses at an account's password in a minute, from networks that its owner never came from; 0 for no bound.
    pub guesses_per_minute: u32,
    /// Whether people may make accounts by themselves.
    pub registration: bool,
    /// `aud` and `iss` of the tokens.
    pub audience: Option<String>,
    /// Likewise.
    pub issuer: Option<String>,
}

impl From<&config::Config> for Options {
    fn from(config: &config::Config) -> Self {
        let auth = &config.auth;
        Self {
            sign_in_ttl: auth.sign_in_ttl,
            guesses_per_minute: config.limits.guesses_per_minute,
            access_ttl: auth.access_ttl,
            refresh_ttl: auth.refresh_ttl,
            registration: config.registration(),
            audience: auth.audience.clone(),
            issuer: auth.issuer.clone(),
        }
    }
}

/// See the module.
pub(crate) struct Accounts {
    rows: AccountRows,
    passwords: Passwords,
    guesses: Guesses,
    keyring: Arc<Keyring>,
    revoked: Arc<Revoked>,
    hub: Arc<Hub>,
    env: Env,
    options: Options,
}

/// What somebody who has signed in is given. Has no `Debug`: these are secrets.
pub(crate) struct Tokens {
    /// Whose.
    pub account: Account,
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
    /// For how long the access token is good.
    pub expires_in: Duration,
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is no key to sign tokens with: a back end makes them.
    #[error("this server signs no tokens: it has only public keys")]
    NoKey,
    /// Accounts are made by the operator.
    #[error("registration is closed")]
    Closed,
    /// A name, address or password that can't be one.
    #[error(transparent)]
    Name(#[from] NotAName),
    /// The name or the password is wrong; nobody is told which.
    #[error("wrong name or password")]
    Wrong,
    /// A refresh token that is none, is over, or was taken back.
    #[error("this sign-in is over")]
    Over,
    /// The user is banned.
    #[error("this account is banned")]
    Banned,
    /// Too many passwords are being hashed.
    #[error("too many sign-ins at this moment")]
    Busy,
    /// Too many have guessed at this account's password.
    #[error("too many attempts to sign in to this account")]
    TooMany {
        /// When there may be another one.
        retry_after_ms: u64,
    },
    /// The rows.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Something of ours is wrong; the log says what.
    #[error("internal error")]
    Internal,
}

impl From<HashError> for Refusal {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Busy,
            HashError::Failed(why) => {
                tracing::error!(why, "hashing a password failed");
                Self::Internal
            }
        }
    }
}

impl Accounts {
    /// Over these rows. Reads what was taken back before.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) async fn open(
        rows: AccountRows,
        keyring: Arc<Keyring>,
        revoked: Arc<Revoked>,
        hub: Arc<Hub>,
        env: Env,
        options: Options,
    ) -> Result<Self, AccountError> {
        let guesses = Guesses::new(options.guesses_per_minute, Arc::clone(&env.clock));
        let accounts = Self { rows, passwords: Passwords::new(), guesses, keyring, revoked, hub, env, options };
        let refusals = accounts.rows.refusals(accounts.long_ago()).await?;
        accounts.revoked.load(refusals, accounts.env.steady());
        Ok(accounts)
    }

    /// For how long, in milliseconds, an access token may be good after its sign-in was taken back.
    fn access_ms(&self) -> u64 {
        millis(self.options.access_ttl).saturating_add(60_000)
    }

    /// Rows of sign-ins that were over before are of no use.
    fn long_ago(&self) -> Timestamp {
        Timestamp(self.env.now().0.saturating_sub(self.access_ms()).saturating_sub(KEPT_MS))
    }

    /// Whether people may make accounts by themselves, and get tokens.
    #[must_use]
    pub(crate) fn registration(&self) -> bool {
        self.options.registration && self.keyring.signs()
    }

    /// Now and then: reads the keys again if they changed, forgets what is over.
    pub(crate) async fn upkeep(&self) {
        match self.keyring.refresh() {
            Ok(true) => tracing::info!("the signing keys were read again"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the signing keys stay as they were"),
        }
        self.revoked.forget(Timestamp(self.env.steady().0.saturating_sub(self.access_ms())));
        if let Err(error) = self.rows.sweep(self.long_ago()).await {
            tracing::warn!(%error, "old sign-ins were not removed");
        }
    }

    /// Makes an account and signs in.
    ///
    /// # Errors
    /// See [`Refusal`]; so for each of the following.
    pub(crate) async fn register(
        &self,
        names: Names,
        password: &Secret,
        client: Client<'_>,
    ) -> Result<Tokens, Refusal> {
        if !self.options.registration {
            return Err(Refusal::Closed);
        }
        if !self.keyring.signs() {
            return Err(Refusal::NoKey);
        }
        let (account, hash) = self.make(names, password, client.network).await?;
        self.begin(account, Some(&hash), client).await
    }

    /// Signs in by username or address.
    pub(crate) async fn log_in(&self, login: &str, password: &Secret, client: Client<'_>) -> Result<Tokens, Refusal> {
        if !self.keyring.signs() {
            return Err(Refusal::NoKey);
        }
        let login = login.trim().to_lowercase();
        let found = self.rows.by_login(&login).await?;
        let (account, hash) = found.map_or((None, None), |(account, hash)| (Some(account), hash));
        self.guess(account.as_ref().map_or(&login, |account| account.id.as_str()), client.network)?;
        let good = self.passwords.verify(client.network, password.clone(), hash.clone()).await?;
        match account {
            Some(account) if good && account.banned_at.is_some() => Err(Refusal::Banned),
            Some(account) if good => self.begin(account, hash.as_deref(), client).await,
            _ => Err(Refusal::Wrong),
        }
    }

    /// Signs in a user of the development mode without a password.
    pub(crate) async fn log_in_as(&self, user: &UserId, client: Client<'_>) -> Result<Tokens, Refusal> {
        match self.rows.by_id(user).await? {
            Some((account, hash)) => self.begin(account, hash.as_deref(), client).await,
            None => Err(Refusal::Wrong),
        }
    }

    fn guess(&self, whose: &str, network: IpAddr) -> Result<(), Refusal> {
        self.guesses.admit(whose, network).map_err(|retry_after_ms| Refusal::TooMany { retry_after_ms })
    }

    /// `hash` is what the password was compared with: if it is another one by now, the sign-in is none.
    async fn begin(&self, account: Account, hash: Option<&str>, client: Client<'_>) -> Result<Tokens, Refusal> {
        // Random, not counted up: other ids, which anybody sees, tell nothing of it.
        let (id, salt, now) = (Uuid::new_v4(), *Uuid::new_v4().as_bytes(), self.env.now());
        let secret = secret::first(&salt);
        let sign_in = SignIn {
            id,
            user: account.id.clone(),
            refresh: secret::hash(&secret),
            previous: None,
            rotated_at: now,
            created_at: now,
            expires_at: self.refresh_until(now, now),
            revoked_at: None,
            salt,
            agent: client.agent.chars().filter(|c| !c.is_control()).take(200).collect(),
        };
        let ended = self.rows.add_sign_in(&sign_in, hash, limits::SIGN_INS).await?.ok_or(Refusal::Wrong)?;
        self.ended(&account.id, &ended);
        self.guesses.came(account.id.as_str(), client.network);
        self.tokens(account, id, &secret)
    }

    /// When a sign-in of `since` is over that is used now.
    fn refresh_until(&self, since: Timestamp, now: Timestamp) -> Timestamp {
        let after = |time: Timestamp, ttl: Duration| time.0.saturating_add(millis(ttl));
        let unused = after(now, self.options.refresh_ttl);
        let most = self.options.sign_in_ttl;
        Timestamp(if most.is_zero() { unused } else { unused.min(after(since, most)) })
    }

    fn tokens(&self, account: Account, sign_in: Uuid, secret: &str) -> Result<Tokens, Refusal> {
        let request = TokenRequest {
            user: Some(&account.id),
            channel: None,
            ttl: Some(self.options.access_ttl),
            audience: self.options.audience.as_deref(),
            issuer: self.options.issuer.as_deref(),
            sign_in: Some(sign_in),
        };
        let access = match self.keyring.sign(&request, &*self.env.clock) {
            Some(Ok(access)) => access,
            Some(Err(error)) => {
                tracing::error!(%error, "a token was not signed");
                return Err(Refusal::Internal);
            }
            None => return Err(Refusal::NoKey),
        };
        let refresh = format!("{}.{secret}", sign_in.simple());
        Ok(Tokens { account, access, refresh, expires_in: self.options.access_ttl })
    }

    /// Exchanges a refresh token. `admit` is asked for its owner before anything is written: whether one more is let
    /// through, or after how many milliseconds.
    pub(crate) async fn refresh(
        &self,
        token: &str,
        network: IpAddr,
        admit: impl Fn(&UserId) -> Result<(), u64> + Send,
    ) -> Result<Tokens, Refusal> {
        let (id, shown) = token.split_once('.').ok_or(Refusal::Over)?;
        let (id, shown_hash) = (Uuid::try_parse(id).map_err(|_| Refusal::Over)?, secret::hash(shown));
        let now = self.env.now();
        let known = self.rows.sign_in(id).await?.ok_or(Refusal::Over)?;
        if known.revoked_at.is_some() || known.expires_at <= now {
            return Err(Refusal::Over);
        }
        // The answer may have been lost, or two tabs share the token: both get the same next one.
        let again = known.previous == Some(shown_hash) && now.since(known.rotated_at) < GRACE_MS;
        if known.refresh != shown_hash && !again {
            if !secret::is_ours(&known.salt, shown) {
                return Err(Refusal::Over);
            }
            tracing::warn!(sign_in = %id, "a refresh token that was exchanged before was shown: the sign-in is taken back");
            self.end(&known.user, id).await?;
            return Err(Refusal::Over);
        }
        let (account, _) = self.rows.by_id(&known.user).await?.ok_or(Refusal::Over)?;
        if account.banned_at.is_some() {
            return Err(Refusal::Banned);
        }
        self.guesses.came(account.id.as_str(), network);
        if !again {
            admit(&account.id).map_err(|retry_after_ms| Refusal::TooMany { retry_after_ms })?;
        }
        let secret = secret::next(&known.salt, shown);
        if !again {
            let next = SignIn {
                refresh: secret::hash(&secret),
                previous: Some(shown_hash),
                rotated_at: now,
                expires_at: self.refresh_until(known.created_at, now),
                ..known
            };
            // Of two at once one writes; both would have written the same.
            self.rows.rotate(id, &shown_hash, &next).await?;
        }
        self.tokens(account, id, &secret)
    }

    /// Takes one sign-in of a user back, and closes its sockets.
    pub(crate) async fn end(&self, user: &UserId, sign_in: Uuid) -> Result<(), Refusal> {
        let now = self.env.now();
        let known = self.rows.sign_in(sign_in).await?;
        if known.is_none_or(|known| known.user != *user) {
            return Err(AccountError::Unknown.into());
        }
        self.rows.revoke(sign_in, now).await?;
        self.ended(user, &[sign_in]);
        Ok(())
    }

    /// Takes all sign-ins of a user back, but `keep`. Gives how many.
    pub(crate) async fn end_all(&self, user: &UserId, keep: Option<Uuid>) -> Result<usize, Refusal> {
        let ended = self.rows.revoke_all(user, keep, self.env.now()).await?;
        self.ended(user, &ended);
        Ok(ended.len())
    }

    /// The rows of these sign-ins say that they are over: refuses their tokens and closes their sockets.
    fn ended(&self, user: &UserId, ended: &[Uuid]) {
        if ended.is_empty() {
            return;
        }
        self.revoked.sign_ins(ended, self.env.steady());
        let code = Disconnect::INVALID_TOKEN.code;
        let is_ended = |sign_in: Option<Uuid>| sign_in.is_some_and(|id| ended.contains(&id));
        self.hub.sessions().disconnect_where(user, code, |connection| is_ended(connection.sign_in));
    }

    /// The sign-ins of a user that are good.
    pub(crate) async fn sign_ins(&self, user: &UserId) -> Result<Vec<SignIn>, Refusal> {
        Ok(self.rows.sign_ins(user, self.env.now()).await?)
    }

    /// Gives a user another password, and takes all other sign-ins back.
    pub(crate) async fn change_password(
        &self,
        user: &UserId,
        sign_in: Option<Uuid>,
        current: &Secret,
        new: &Secret,
        network: IpAddr,
    ) -> Result<(), Refusal> {
        let (_, old) = self.rows.by_id(user).await?.ok_or(AccountError::Unknown)?;
        check::password(new)?;
        self.guess(user.as_str(), network)?;
        if !self.passwords.verify(network, current.clone(), old.clone()).await? {
            return Err(Refusal::Wrong);
        }
        let hash = self.passwords.hash(network, new.clone()).await?;
        let changed = self.rows.set_password(user, old.as_deref(), &hash, sign_in, self.env.now()).await?;
        self.ended(user, &changed.ok_or(Refusal::Wrong)?);
        Ok(())
    }

    /// The account of a user, if there is one.
    pub(crate) async fn account(&self, user: &UserId) -> Result<Option<Account>, Refusal> {
        Ok(self.rows.by_id(user).await?.map(|(account, _)| account))
    }

    /// Accounts whose name begins with `start`, at most `limit`.
    pub(crate) async fn find(&self, start: &str, limit: u32) -> Result<Vec<Account>, Refusal> {
        Ok(self.rows.find(&start.trim().to_lowercase(), limit).await?)
    }

    /// Writes what others are told of a user.
    pub(crate) async fn set_profile(&self, user: &UserId, profile: Profile) -> Result<Account, Refusal> {
        check::profile(&profile)?;
        self.rows.set_profile(user, &profile, self.env.now()).await?;
        Ok(self.account(user).await?.ok_or(AccountError::Unknown)?)
    }

    /// Bans a user: all tokens are refused, a back end's too, and all sockets closed; or takes the ban back.
    pub(crate) async fn ban(&self, user: &UserId, banned: bool) -> Result<usize, Refusal> {
        self.rows.set_ban(user, banned, self.env.now()).await?;
        self.revoked.ban(user, banned);
        Ok(if banned { self.hub.sessions().disconnect(user, Disconnect::FORCE_NO_RECONNECT.code) } else { 0 })
    }

    /// Whether a user is banned.
    #[must_use]
    pub(crate) fn is_banned(&self, user: &UserId) -> bool {
        self.revoked.is_banned(user)
    }

    /// All tokens of a user that were made until now are refused, a back end's too, and all sockets closed.
    pub(crate) async fn revoke_tokens(&self, user: &UserId) -> Result<usize, Refusal> {
        // Tokens tell their time in whole seconds.
        let from = Timestamp(self.env.now().0 / 1000 * 1000 + 1000);
        self.rows.set_tokens_from(user, from).await?;
        self.revoked.tokens_from(user, from);
        self.end_all(user, None).await?;
        Ok(self.hub.sessions().disconnect(user, Disconnect::INVALID_TOKEN.code))
    }

    /// Makes an account without a password, if there is none: for the users of the development mode.
    pub(crate) async fn provide(&self, user: &UserId, first_name: &str) -> Result<bool, Refusal> {
        if self.rows.by_id(user).await?.is_some() {
            return Ok(false);
        }
        let account = Account {
            id: user.clone(),
            username: user.as_str().to_owned(),
            email: None,
            first_name: first_name.to_owned(),
            last_name: String::new(),
            avatar_url: String::new(),
            created_at: self.env.now(),
            banned_at: None,
        };
        self.rows.create(&account, None).await?;
        Ok(true)
    }
}
