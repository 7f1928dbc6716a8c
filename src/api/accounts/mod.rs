//! Accounts: making one, signing in, staying signed in, and taking all of that back.
//!
//! A sign-in is a family of refresh tokens, of which one counts. Each use exchanges it for the next. Who shows one that was
//! exchanged before has lost the answer, and for [`GRACE_MS`] gets the same one; later, or with an older one, somebody has
//! stolen it: then the whole sign-in is taken back. Its access tokens name it (`sid`), so that they are refused and its sockets closed at once.
//!
//! A password is hashed with argon2id, at most one hash for each core at a time ([`passwords`]). An unknown name costs as
//! much time as a wrong password, and gets the same answer.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::actors::gateway::hub::Hub;
use crate::api::auth::{Keyring, Revoked, TokenRequest};
use crate::api::protocol::codes::Disconnect;
use crate::config::{self, Secret};
use crate::env::Env;
use crate::ids::{Timestamp, UserId};
use crate::storage::accounts::{Account, AccountError, Profile, SecretHash, SignIn, SqliteAccounts};

mod check;
pub mod passwords;

pub use check::{Names, NotAName};
use passwords::{HashError, Passwords};

/// How long a refresh token that was exchanged may be shown once more, in milliseconds: its client has lost the answer.
const GRACE_MS: u64 = 30_000;

/// What accounts are held to.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long an access token is good.
    pub access_ttl: Duration,
    /// How long a sign-in lasts that is not used.
    pub refresh_ttl: Duration,
    /// Whether people may make accounts by themselves.
    pub registration: bool,
    /// `aud` and `iss` of the tokens.
    pub audience: Option<String>,
    /// Likewise.
    pub issuer: Option<String>,
}

impl From<&config::Auth> for Options {
    fn from(auth: &config::Auth) -> Self {
        Self {
            access_ttl: auth.access_ttl,
            refresh_ttl: auth.refresh_ttl,
            registration: auth.registration,
            audience: auth.audience.clone(),
            issuer: auth.issuer.clone(),
        }
    }
}

/// See the module.
pub struct Accounts {
    rows: SqliteAccounts,
    passwords: Passwords,
    keyring: Arc<Keyring>,
    revoked: Arc<Revoked>,
    hub: Arc<Hub>,
    env: Env,
    options: Options,
}

/// What somebody who has signed in is given. Has no `Debug`: these are secrets.
pub struct Tokens {
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
pub enum Refusal {
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
    pub async fn open(
        rows: SqliteAccounts,
        keyring: Arc<Keyring>,
        revoked: Arc<Revoked>,
        hub: Arc<Hub>,
        env: Env,
        options: Options,
    ) -> Result<Self, AccountError> {
        let accounts = Self { rows, passwords: Passwords::new(), keyring, revoked, hub, env, options };
        let refusals = accounts.rows.refusals(accounts.access_horizon()).await?;
        accounts.revoked.load(refusals);
        Ok(accounts)
    }

    /// Access tokens of sign-ins that were taken back before have expired by now.
    fn access_horizon(&self) -> Timestamp {
        let ttl = u64::try_from(self.options.access_ttl.as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.env.now().0.saturating_sub(ttl.saturating_add(60_000)))
    }

    /// Before the store is closed; later questions are refused.
    pub async fn close(&self) {
        self.rows.close().await;
    }

    /// Whether people may make accounts by themselves, and get tokens.
    #[must_use]
    pub fn registration(&self) -> bool {
        self.options.registration && self.keyring.signs()
    }

    /// Now and then: reads the keys again if they changed, forgets what is over.
    pub async fn upkeep(&self) {
        match self.keyring.refresh() {
            Ok(true) => tracing::info!("the signing keys were read again"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the signing keys stay as they were"),
        }
        self.revoked.forget(self.access_horizon());
        let week_ago = Timestamp(self.env.now().0.saturating_sub(7 * 24 * 60 * 60 * 1000));
        if let Err(error) = self.rows.sweep(week_ago).await {
            tracing::warn!(%error, "old sign-ins were not removed");
        }
    }

    /// Makes an account and signs in.
    ///
    /// # Errors
    /// See [`Refusal`]; so for each of the following.
    pub async fn register(&self, names: Names, password: &Secret, agent: &str) -> Result<Tokens, Refusal> {
        if !self.options.registration {
            return Err(Refusal::Closed);
        }
        if !self.keyring.signs() {
            return Err(Refusal::NoKey);
        }
        let Names { username, email, profile } = names.checked()?;
        check::password(password)?;
        let hash = self.passwords.hash(password.clone()).await?;
        let id = UserId::new(&self.env.ids.next().to_string()).map_err(|_| Refusal::Internal)?;
        let Profile { first_name, last_name, avatar_url } = profile;
        let created_at = self.env.now();
        let account = Account { id, username, email, first_name, last_name, avatar_url, created_at, banned_at: None };
        self.rows.create(&account, Some(&hash)).await?;
        self.begin(account, agent).await
    }

    /// Signs in by username or address.
    pub async fn log_in(&self, login: &str, password: &Secret, agent: &str) -> Result<Tokens, Refusal> {
        if !self.keyring.signs() {
            return Err(Refusal::NoKey);
        }
        let found = self.rows.by_login(&login.trim().to_lowercase()).await?;
        let (account, hash) = found.map_or((None, None), |(account, hash)| (Some(account), hash));
        let good = self.passwords.verify(password.clone(), hash).await?;
        match account {
            Some(account) if good && account.banned_at.is_some() => Err(Refusal::Banned),
            Some(account) if good => self.begin(account, agent).await,
            _ => Err(Refusal::Wrong),
        }
    }

    /// Signs in a user of the development mode without a password.
    pub async fn log_in_as(&self, user: &UserId, agent: &str) -> Result<Tokens, Refusal> {
        match self.rows.by_id(user).await? {
            Some((account, _)) => self.begin(account, agent).await,
            None => Err(Refusal::Wrong),
        }
    }

    async fn begin(&self, account: Account, agent: &str) -> Result<Tokens, Refusal> {
        let (id, secret, now) = (self.env.ids.next(), secret(), self.env.now());
        let sign_in = SignIn {
            id,
            user: account.id.clone(),
            refresh: hash(&secret),
            previous: None,
            rotated_at: now,
            created_at: now,
            expires_at: self.refresh_until(now),
            revoked_at: None,
            salt: *Uuid::new_v4().as_bytes(),
            agent: agent.chars().filter(|c| !c.is_control()).take(200).collect(),
        };
        self.rows.add_sign_in(&sign_in).await?;
        self.tokens(account, id, &secret)
    }

    fn refresh_until(&self, now: Timestamp) -> Timestamp {
        Timestamp(now.0.saturating_add(u64::try_from(self.options.refresh_ttl.as_millis()).unwrap_or(u64::MAX)))
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

    /// Exchanges a refresh token.
    pub async fn refresh(&self, token: &str) -> Result<Tokens, Refusal> {
        let (id, shown) = token.split_once('.').ok_or(Refusal::Over)?;
        let (id, shown_hash) = (Uuid::try_parse(id).map_err(|_| Refusal::Over)?, hash(shown));
        let now = self.env.now();
        let known = self.rows.sign_in(id).await?.ok_or(Refusal::Over)?;
        if known.revoked_at.is_some() || known.expires_at <= now {
            return Err(Refusal::Over);
        }
        // The answer may have been lost, or two tabs share the token: both get the same next one.
        let again = known.previous == Some(shown_hash) && now.since(known.rotated_at) < GRACE_MS;
        if known.refresh != shown_hash && !again {
            tracing::warn!(sign_in = %id, "a refresh token that was exchanged before was shown: the sign-in is taken back");
            self.end(&known.user, id).await?;
            return Err(Refusal::Over);
        }
        let (account, _) = self.rows.by_id(&known.user).await?.ok_or(Refusal::Over)?;
        if account.banned_at.is_some() {
            return Err(Refusal::Banned);
        }
        let secret = next_secret(&known.salt, shown);
        if !again {
            let next = SignIn {
                refresh: hash(&secret),
                previous: Some(shown_hash),
                rotated_at: now,
                expires_at: self.refresh_until(now),
                ..known
            };
            // Of two at once one writes; both would have written the same.
            self.rows.rotate(id, &shown_hash, &next).await?;
        }
        self.tokens(account, id, &secret)
    }

    /// Takes one sign-in of a user back, and closes its sockets.
    pub async fn end(&self, user: &UserId, sign_in: Uuid) -> Result<(), Refusal> {
        let now = self.env.now();
        let known = self.rows.sign_in(sign_in).await?;
        if known.is_none_or(|known| known.user != *user) {
            return Err(AccountError::Unknown.into());
        }
        self.rows.revoke(sign_in, now).await?;
        self.revoked.sign_in(sign_in, now);
        let code = Disconnect::INVALID_TOKEN.code;
        self.hub.sessions().disconnect_where(user, code, |connection| connection.sign_in == Some(sign_in));
        Ok(())
    }

    /// Takes all sign-ins of a user back, but `keep`.
    pub async fn end_all(&self, user: &UserId, keep: Option<Uuid>) -> Result<usize, Refusal> {
        let all = self.rows.sign_ins(user, self.env.now()).await?;
        let mut ended = 0;
        for sign_in in all.iter().filter(|sign_in| Some(sign_in.id) != keep) {
            self.end(user, sign_in.id).await?;
            ended += 1;
        }
        Ok(ended)
    }

    /// The sign-ins of a user that are good.
    pub async fn sign_ins(&self, user: &UserId) -> Result<Vec<SignIn>, Refusal> {
        Ok(self.rows.sign_ins(user, self.env.now()).await?)
    }

    /// Gives a user another password, and takes all other sign-ins back.
    pub async fn change_password(
        &self,
        user: &UserId,
        sign_in: Option<Uuid>,
        current: &Secret,
        new: &Secret,
    ) -> Result<(), Refusal> {
        let (_, old) = self.rows.by_id(user).await?.ok_or(AccountError::Unknown)?;
        check::password(new)?;
        if !self.passwords.verify(current.clone(), old).await? {
            return Err(Refusal::Wrong);
        }
        let hash = self.passwords.hash(new.clone()).await?;
        self.rows.set_password(user, &hash, self.env.now()).await?;
        self.end_all(user, sign_in).await?;
        Ok(())
    }

    /// The account of a user, if there is one.
    pub async fn account(&self, user: &UserId) -> Result<Option<Account>, Refusal> {
        Ok(self.rows.by_id(user).await?.map(|(account, _)| account))
    }

    /// Accounts whose name begins with `start`, at most `limit`.
    pub async fn find(&self, start: &str, limit: u32) -> Result<Vec<Account>, Refusal> {
        Ok(self.rows.find(&start.trim().to_lowercase(), limit).await?)
    }

    /// Writes what others are told of a user.
    pub async fn set_profile(&self, user: &UserId, profile: Profile) -> Result<Account, Refusal> {
        check::profile(&profile)?;
        self.rows.set_profile(user, &profile, self.env.now()).await?;
        Ok(self.account(user).await?.ok_or(AccountError::Unknown)?)
    }

    /// Bans a user: all tokens are refused, a back end's too, and all sockets closed; or takes the ban back.
    pub async fn ban(&self, user: &UserId, banned: bool) -> Result<usize, Refusal> {
        self.rows.set_ban(user, banned, self.env.now()).await?;
        self.revoked.ban(user, banned);
        Ok(if banned { self.hub.sessions().disconnect(user, Disconnect::FORCE_NO_RECONNECT.code) } else { 0 })
    }

    /// Whether a user is banned.
    #[must_use]
    pub fn is_banned(&self, user: &UserId) -> bool {
        self.revoked.is_banned(user)
    }

    /// All tokens of a user that were made until now are refused, a back end's too, and all sockets closed.
    pub async fn revoke_tokens(&self, user: &UserId) -> Result<usize, Refusal> {
        // Tokens tell their time in whole seconds.
        let from = Timestamp(self.env.now().0 / 1000 * 1000 + 1000);
        self.rows.set_tokens_from(user, from).await?;
        self.revoked.tokens_from(user, from);
        self.end_all(user, None).await?;
        Ok(self.hub.sessions().disconnect(user, Disconnect::INVALID_TOKEN.code))
    }

    /// Makes an account without a password, if there is none: for the users of the development mode.
    pub async fn provide(&self, user: &UserId, first_name: &str) -> Result<bool, Refusal> {
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

/// 244 bits of the operating system's chance.
fn secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// What a secret is exchanged for: the same each time it is shown, and not to be guessed from it.
fn next_secret(salt: &[u8; 16], shown: &str) -> String {
    let digest = Sha256::new().chain_update(b"kervan refresh").chain_update(salt).chain_update(shown).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(secret: &str) -> SecretHash {
    Sha256::digest(secret.as_bytes()).into()
}
