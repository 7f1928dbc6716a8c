//! The rows of accounts and sign-ins. Writes are rare, and each is on disk when it is answered: no journal could bring a ban,
//! a password or a sign-in that was taken back again after a power cut.
//!
//! What rests on several rows of one user (a password and the sign-ins that it ends, a sign-in and the ones that make room)
//! stands in line behind whatever else changes the same user.

use uuid::Uuid;

use super::{Account, AccountError, Profile, Refusals, SecretHash, SignIn, WithPassword, statements};
use crate::ids::{Timestamp, UserId};
use crate::storage::sql::{Binder, Columns, Connections, Pool};
use crate::storage::store::StoreError;

/// See the module.
#[derive(Clone)]
pub(crate) struct AccountRows {
    connections: Connections,
}

type Result<T, E = AccountError> = std::result::Result<T, E>;

impl AccountRows {
    /// Over open connections.
    #[must_use]
    pub(crate) fn new(connections: Connections) -> Self {
        Self { connections }
    }

    fn rows(&self) -> &Pool {
        self.connections.direct()
    }

    /// Makes an account. A user who only ever came with tokens gets one this way, too; one with an account does not.
    ///
    /// # Errors
    /// The name or address is taken.
    pub(crate) async fn create(&self, account: &Account, password_hash: Option<&str>) -> Result<()> {
        let bind = |b: &mut Binder| {
            b.text(account.id.as_str()).text(&account.username).opt_text(account.email.as_deref());
            b.opt_text(password_hash).text(&account.first_name).text(&account.last_name).text(&account.avatar_url);
            b.opt_text(name_key(&account.first_name, &account.last_name)).opt_text(name_key("", &account.last_name));
            b.int(account.created_at.as_i64()).int(account.created_at.as_i64());
        };
        match self.rows().execute_unique(statements::CREATE, bind).await? {
            Ok(0) => Err(AccountError::UsernameTaken),
            Ok(_) => Ok(()),
            Err(taken) if taken.is("users", "email") => Err(AccountError::EmailTaken),
            Err(_) => Err(AccountError::UsernameTaken),
        }
    }

    /// The account of a user.
    ///
    /// # Errors
    /// The store; so for each of the following.
    pub(crate) async fn by_id(&self, user: &UserId) -> Result<Option<WithPassword>> {
        self.account(statements::BY_ID, user.as_str()).await
    }

    /// The account that signs in with this name, or address if there is an `@` in it; either in lower case.
    pub(crate) async fn by_login(&self, login: &str) -> Result<Option<WithPassword>> {
        self.account(if login.contains('@') { statements::BY_EMAIL } else { statements::BY_USERNAME }, login).await
    }

    async fn account(&self, text: &'static str, key: &str) -> Result<Option<WithPassword>> {
        if !may_be_held(key) {
            return Ok(None);
        }
        Ok(self.rows().one(text, |b| _ = b.text(key), account).await?)
    }

    /// Accounts whose username, name or last name begins with `start` (in lower case), at most `limit`.
    pub(crate) async fn find(&self, start: &str, limit: u32) -> Result<Vec<Account>> {
        let mut found: Vec<Account> = Vec::new();
        if !may_be_held(start) {
            return Ok(found);
        }
        for text in [statements::FIND_USERNAME, statements::FIND_NAME, statements::FIND_LAST_NAME] {
            let bind = |b: &mut Binder| _ = b.text(start).text(format!("{start}\u{10ffff}")).int(limit);
            for (account, _) in self.rows().list(text, bind, account).await? {
                if found.len() < limit as usize && found.iter().all(|other| other.id != account.id) {
                    found.push(account);
                }
            }
        }
        Ok(found)
    }

    /// Writes what others are told of a user.
    pub(crate) async fn set_profile(&self, user: &UserId, profile: &Profile, now: Timestamp) -> Result<()> {
        let bind = |b: &mut Binder| {
            b.text(&profile.first_name).text(&profile.last_name).text(&profile.avatar_url);
            b.opt_text(name_key(&profile.first_name, &profile.last_name)).opt_text(name_key("", &profile.last_name));
            b.int(now.as_i64()).text(user.as_str());
        };
        known(self.rows().execute(statements::PROFILE, bind).await?)
    }

    /// Writes another password's hash, if `old` is still the one that is there, and takes all sign-ins back but `keep`: both
    /// or nothing. Gives the ones taken back; none if the hash is another by now.
    pub(crate) async fn set_password(
        &self,
        user: &UserId,
        old: Option<&str>,
        new: &str,
        keep: Option<Uuid>,
        now: Timestamp,
    ) -> Result<Option<Vec<Uuid>>> {
        let mut both = self.rows().change_in_line(user.as_str()).await?;
        let bind = |b: &mut Binder| _ = b.text(new).int(now.as_i64()).text(user.as_str()).opt_text(old);
        if both.session().execute(statements::PASSWORD, bind).await? == 0 {
            return Ok(None);
        }
        let bind = revoke_all(user, keep, now);
        let ended = both.session().list(statements::REVOKE_ALL, bind, |c| c.uuid()).await?;
        both.commit().await?;
        Ok(Some(ended))
    }

    /// Removes an account. The user stays known by id, as one who comes with tokens only.
    pub(crate) async fn remove(&self, user: &UserId, now: Timestamp) -> Result<()> {
        let bind = |b: &mut Binder| _ = b.int(now.as_i64()).text(user.as_str());
        known(self.rows().execute(statements::REMOVE, bind).await?)
    }

    /// Bans a user, whether there is an account or not, or takes the ban back.
    pub(crate) async fn set_ban(&self, user: &UserId, banned: bool, now: Timestamp) -> Result<()> {
        let (user, now) = (user.as_str(), now.as_i64());
        let mut change = self.rows().change_in_line(user).await?;
        match banned {
            true => change.session().execute(statements::BAN, |b| _ = b.text(user).int(now).int(now).int(now)).await?,
            false => change.session().execute(statements::UNBAN, |b| _ = b.text(user)).await?,
        };
        Ok(change.commit().await?)
    }

    /// From now on tokens of this user that were made before `from` are refused.
    pub(crate) async fn set_tokens_from(&self, user: &UserId, from: Timestamp) -> Result<()> {
        let from = from.as_i64();
        let bind = |b: &mut Binder| _ = b.text(user.as_str()).int(from).int(from).int(from);
        self.rows().execute(statements::TOKENS_FROM, bind).await?;
        Ok(())
    }

    /// Writes a sign-in, if the user's password hash is still `password` and the user is not banned. The ones not used for
    /// longest make room, so that at most `most` are good at a time.
    ///
    /// Gives those that made room; none if it was not written.
    pub(crate) async fn add_sign_in(
        &self,
        new: &SignIn,
        password: Option<&str>,
        most: usize,
    ) -> Result<Option<Vec<Uuid>>> {
        let mut all = self.rows().change_in_line(new.user.as_str()).await?;
        let bind = |b: &mut Binder| {
            b.uuid(new.id).blob(new.refresh).opt_blob(new.previous).int(new.rotated_at.as_i64());
            b.int(new.created_at.as_i64()).int(new.expires_at.as_i64());
            b.opt_int(new.revoked_at.map(Timestamp::as_i64)).blob(new.salt).text(&new.agent);
            b.text(new.user.as_str()).opt_text(password);
        };
        if all.session().execute(statements::SIGN_IN_ADD, bind).await? == 0 {
            return Ok(None);
        }
        let bind = |b: &mut Binder| _ = b.text(new.user.as_str()).int(new.created_at.as_i64());
        let used = |c: &mut Columns<'_>| c.uuid().and_then(|id| Ok((c.time()?, id)));
        let mut others = all.session().list(statements::SIGN_INS_USED, bind, used).await?;
        others.retain(|(_, id)| *id != new.id);
        others.sort_unstable();
        let ended: Vec<Uuid> = others.iter().take((others.len() + 1).saturating_sub(most)).map(|(_, id)| *id).collect();
        for id in &ended {
            let bind = |b: &mut Binder| _ = b.int(new.created_at.as_i64()).uuid(*id);
            all.session().execute(statements::REVOKE, bind).await?;
        }
        all.commit().await?;
        Ok(Some(ended))
    }

    /// A sign-in.
    pub(crate) async fn sign_in(&self, id: Uuid) -> Result<Option<SignIn>> {
        Ok(self.rows().one(statements::SIGN_IN, |b| _ = b.uuid(id), sign_in).await?)
    }

    /// The sign-ins of a user that are good at `now`, all of them, the oldest first.
    pub(crate) async fn sign_ins(&self, user: &UserId, now: Timestamp) -> Result<Vec<SignIn>> {
        let bind = |b: &mut Binder| _ = b.text(user.as_str()).int(now.as_i64());
        Ok(self.rows().list(statements::SIGN_INS, bind, sign_in).await?)
    }

    /// Lets another secret count, if `shown` is still the one that does. Says whether it was.
    pub(crate) async fn rotate(&self, id: Uuid, shown: &SecretHash, next: &SignIn) -> Result<bool> {
        let bind = |b: &mut Binder| {
            b.blob(next.refresh).opt_blob(next.previous).int(next.rotated_at.as_i64()).int(next.expires_at.as_i64());
            b.uuid(id).blob(*shown);
        };
        Ok(self.rows().execute(statements::ROTATE, bind).await? == 1)
    }

    /// Takes a sign-in back.
    pub(crate) async fn revoke(&self, id: Uuid, now: Timestamp) -> Result<()> {
        self.rows().execute(statements::REVOKE, |b| _ = b.int(now.as_i64()).uuid(id)).await?;
        Ok(())
    }

    /// Takes all sign-ins of a user back, but `keep`, in one statement: whatever is there at that moment. Gives their ids.
    pub(crate) async fn revoke_all(&self, user: &UserId, keep: Option<Uuid>, now: Timestamp) -> Result<Vec<Uuid>> {
        Ok(self.rows().list(statements::REVOKE_ALL, revoke_all(user, keep, now), |c| c.uuid()).await?)
    }

    /// What refuses tokens; of sign-ins those taken back after `since`.
    pub(crate) async fn refusals(&self, since: Timestamp) -> Result<Refusals> {
        let (rows, since) = (self.rows(), since.as_i64());
        Ok(Refusals {
            sign_ins: rows.list(statements::REVOKED, |b| _ = b.int(since), |c| Ok((c.uuid()?, c.time()?))).await?,
            banned: rows.list(statements::BANNED, |_| (), |c| c.user()).await?,
            tokens_from: rows.list(statements::TOKENS, |_| (), |c| Ok((c.user()?, c.time()?))).await?,
        })
    }

    /// Forgets sign-ins that were over, or taken back, before `at`.
    pub(crate) async fn sweep(&self, at: Timestamp) -> Result<u64> {
        let mut gone = 0;
        for text in [statements::SWEEP, statements::SWEEP_REVOKED] {
            gone += self.rows().execute(text, |b| _ = b.int(at.as_i64())).await?;
        }
        Ok(gone)
    }
}

fn revoke_all(user: &UserId, keep: Option<Uuid>, now: Timestamp) -> impl FnOnce(&mut Binder) {
    move |b| _ = b.int(now.as_i64()).text(user.as_str()).opt_uuid(keep)
}

/// What is looked for is what anybody types. No row holds a NUL, and the database is not asked for one.
fn may_be_held(text: &str) -> bool {
    !text.contains('\0')
}

fn known(changed: u64) -> Result<()> {
    if changed == 0 { Err(AccountError::Unknown) } else { Ok(()) }
}

fn name_key(first: &str, last: &str) -> Option<String> {
    let name = format!("{first} {last}").trim().to_lowercase();
    (!name.is_empty()).then_some(name)
}

fn account(c: &mut Columns<'_>) -> Result<WithPassword, StoreError> {
    let id = c.user()?;
    let account = Account {
        id,
        username: c.opt_text()?.unwrap_or_default(),
        email: c.opt_text()?,
        first_name: c.opt_text()?.unwrap_or_default(),
        last_name: c.opt_text()?.unwrap_or_default(),
        avatar_url: c.opt_text()?.unwrap_or_default(),
        created_at: c.time()?,
        banned_at: c.opt_time()?,
    };
    Ok((account, c.opt_text()?))
}

fn sign_in(c: &mut Columns<'_>) -> Result<SignIn, StoreError> {
    Ok(SignIn {
        id: c.uuid()?,
        user: c.user()?,
        refresh: c.array()?,
        previous: c.opt_array()?,
        rotated_at: c.time()?,
        created_at: c.time()?,
        expires_at: c.time()?,
        revoked_at: c.opt_time()?,
        salt: c.array()?,
        agent: c.text()?,
    })
}
