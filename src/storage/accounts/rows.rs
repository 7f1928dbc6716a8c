//! The accounts in SQLite: connections of their own to the file of the store. Writes are rare, and wait for the projector's
//! commits as any other writer of the file does. Each is on disk when it is answered: no journal could bring a ban, a
//! password or a sign-in that was taken back again after a power cut.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use uuid::Uuid;

use super::{Account, AccountError, Profile, Refusals, SecretHash, SignIn, WithPassword, statements};
use crate::ids::{Timestamp, UserId};
use crate::storage::store::StoreError;
use crate::storage::store::sql::{classify, options};

/// Connections at most.
const CONNECTIONS: u32 = 4;
/// How long one may be waited for.
const WAIT: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Clone)]
pub struct AccountRows {
    pool: SqlitePool,
}

type Result<T, E = AccountError> = std::result::Result<T, E>;

impl AccountRows {
    /// Over the store's file at `url`, which has this program's schema already.
    ///
    /// # Errors
    /// The URL names no SQLite file.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        let pool = SqlitePoolOptions::new().min_connections(0).max_connections(CONNECTIONS).acquire_timeout(WAIT);
        Ok(Self { pool: pool.connect_lazy_with(options(url)?.synchronous(SqliteSynchronous::Full)) })
    }

    /// Its connections, for other rows that are written directly.
    pub(in crate::storage) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Closes its connections. Until then the store's file can't be folded into one.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Makes an account. A user who only ever came with tokens gets one this way, too; one with an account does not.
    ///
    /// # Errors
    /// The name or address is taken.
    pub async fn create(&self, account: &Account, password_hash: Option<&str>) -> Result<()> {
        let done = sqlx::query(statements::CREATE)
            .bind(account.id.as_str())
            .bind(&account.username)
            .bind(&account.email)
            .bind(password_hash)
            .bind(&account.first_name)
            .bind(&account.last_name)
            .bind(&account.avatar_url)
            .bind(name_key(&account.first_name, &account.last_name))
            .bind(name_key("", &account.last_name))
            .bind(account.created_at.as_i64())
            .bind(account.created_at.as_i64())
            .execute(&self.pool)
            .await;
        match done {
            Ok(done) if done.rows_affected() == 0 => Err(AccountError::UsernameTaken),
            Ok(_) => Ok(()),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                Err(if error.message().contains("users.email") {
                    AccountError::EmailTaken
                } else {
                    AccountError::UsernameTaken
                })
            }
            Err(error) => Err(classify(error).into()),
        }
    }

    /// The account of a user.
    ///
    /// # Errors
    /// The store; so for each of the following.
    pub async fn by_id(&self, user: &UserId) -> Result<Option<WithPassword>> {
        self.account(statements::BY_ID, user.as_str()).await
    }

    /// The account that signs in with this name, or address if there is an `@` in it; either in lower case.
    pub async fn by_login(&self, login: &str) -> Result<Option<WithPassword>> {
        self.account(if login.contains('@') { statements::BY_EMAIL } else { statements::BY_USERNAME }, login).await
    }

    async fn account(&self, text: &'static str, key: &str) -> Result<Option<WithPassword>> {
        let row = sqlx::query(text).bind(key).fetch_optional(&self.pool).await.map_err(classify)?;
        row.map(|row| account(&row)).transpose()
    }

    /// Accounts whose username, name or last name begins with `start` (in lower case), at most `limit`.
    pub async fn find(&self, start: &str, limit: u32) -> Result<Vec<Account>> {
        let mut found: Vec<Account> = Vec::new();
        for text in [statements::FIND_USERNAME, statements::FIND_NAME, statements::FIND_LAST_NAME] {
            let rows = sqlx::query(text).bind(start).bind(format!("{start}\u{10ffff}")).bind(i64::from(limit));
            for row in rows.fetch_all(&self.pool).await.map_err(classify)? {
                let (account, _) = account(&row)?;
                if found.len() < limit as usize && found.iter().all(|other| other.id != account.id) {
                    found.push(account);
                }
            }
        }
        Ok(found)
    }

    /// Writes what others are told of a user.
    pub async fn set_profile(&self, user: &UserId, profile: &Profile, now: Timestamp) -> Result<()> {
        let done = sqlx::query(statements::PROFILE)
            .bind(&profile.first_name)
            .bind(&profile.last_name)
            .bind(&profile.avatar_url)
            .bind(name_key(&profile.first_name, &profile.last_name))
            .bind(name_key("", &profile.last_name))
            .bind(now.as_i64())
            .bind(user.as_str());
        known(done.execute(&self.pool).await.map_err(classify)?.rows_affected())
    }

    /// Writes another password's hash, if `old` is still the one that is there, and takes all sign-ins back but `keep`: both
    /// or nothing. Gives the ones taken back; none if the hash is another by now.
    pub async fn set_password(
        &self,
        user: &UserId,
        old: Option<&str>,
        new: &str,
        keep: Option<Uuid>,
        now: Timestamp,
    ) -> Result<Option<Vec<Uuid>>> {
        let mut both = self.pool.begin().await.map_err(classify)?;
        let done = sqlx::query(statements::PASSWORD).bind(new).bind(now.as_i64()).bind(user.as_str()).bind(old);
        if done.execute(&mut *both).await.map_err(classify)?.rows_affected() == 0 {
            return Ok(None);
        }
        let ended = revoke_all(user, keep, now).fetch_all(&mut *both).await.map_err(classify)?;
        both.commit().await.map_err(classify)?;
        ended.iter().map(|row| uuid(row, 0)).collect::<Result<_>>().map(Some)
    }

    /// Removes an account. The user stays known by id, as one who comes with tokens only.
    pub async fn remove(&self, user: &UserId, now: Timestamp) -> Result<()> {
        let done = sqlx::query(statements::REMOVE).bind(now.as_i64()).bind(user.as_str());
        known(done.execute(&self.pool).await.map_err(classify)?.rows_affected())
    }

    /// Bans a user, whether there is an account or not, or takes the ban back.
    pub async fn set_ban(&self, user: &UserId, banned: bool, now: Timestamp) -> Result<()> {
        let (user, now) = (user.as_str(), now.as_i64());
        let query = match banned {
            true => sqlx::query(statements::BAN).bind(user).bind(now).bind(now).bind(now),
            false => sqlx::query(statements::UNBAN).bind(user),
        };
        query.execute(&self.pool).await.map_err(classify)?;
        Ok(())
    }

    /// From now on tokens of this user that were made before `from` are refused.
    pub async fn set_tokens_from(&self, user: &UserId, from: Timestamp) -> Result<()> {
        let from = from.as_i64();
        let query = sqlx::query(statements::TOKENS_FROM).bind(user.as_str()).bind(from).bind(from).bind(from);
        query.execute(&self.pool).await.map_err(classify)?;
        Ok(())
    }

    /// Writes a sign-in, if the user's password hash is still `password` and the user is not banned. The ones not used for
    /// longest make room, so that at most `most` are good at a time.
    ///
    /// Gives those that made room; none if it was not written.
    pub async fn add_sign_in(&self, new: &SignIn, password: Option<&str>, most: usize) -> Result<Option<Vec<Uuid>>> {
        let query = sqlx::query(statements::SIGN_IN_ADD)
            .bind(new.id.as_bytes().as_slice())
            .bind(new.refresh.as_slice())
            .bind(new.previous.as_ref().map(<[u8; 32]>::as_slice))
            .bind(new.rotated_at.as_i64())
            .bind(new.created_at.as_i64())
            .bind(new.expires_at.as_i64())
            .bind(new.revoked_at.map(Timestamp::as_i64))
            .bind(new.salt.as_slice())
            .bind(&new.agent)
            .bind(new.user.as_str())
            .bind(password);
        let mut all = self.pool.begin().await.map_err(classify)?;
        if query.execute(&mut *all).await.map_err(classify)?.rows_affected() == 0 {
            return Ok(None);
        }
        let used = sqlx::query(statements::SIGN_INS_USED).bind(new.user.as_str()).bind(new.created_at.as_i64());
        let used = used.fetch_all(&mut *all).await.map_err(classify)?;
        let mut others = used.iter().map(|row| Ok((time(row, 1)?, uuid(row, 0)?))).collect::<Result<Vec<_>>>()?;
        others.retain(|(_, id)| *id != new.id);
        others.sort_unstable();
        let ended: Vec<Uuid> = others.iter().take((others.len() + 1).saturating_sub(most)).map(|(_, id)| *id).collect();
        for id in &ended {
            let query = sqlx::query(statements::REVOKE).bind(new.created_at.as_i64()).bind(id.as_bytes().to_vec());
            query.execute(&mut *all).await.map_err(classify)?;
        }
        all.commit().await.map_err(classify)?;
        Ok(Some(ended))
    }

    /// A sign-in.
    pub async fn sign_in(&self, id: Uuid) -> Result<Option<SignIn>> {
        let query = sqlx::query(statements::SIGN_IN).bind(id.as_bytes().as_slice());
        let row = query.fetch_optional(&self.pool).await.map_err(classify)?;
        row.map(|row| sign_in(&row)).transpose()
    }

    /// The sign-ins of a user that are good at `now`, all of them, the oldest first.
    pub async fn sign_ins(&self, user: &UserId, now: Timestamp) -> Result<Vec<SignIn>> {
        let query = sqlx::query(statements::SIGN_INS).bind(user.as_str()).bind(now.as_i64());
        query.fetch_all(&self.pool).await.map_err(classify)?.iter().map(sign_in).collect()
    }

    /// Lets another secret count, if `shown` is still the one that does. Says whether it was.
    pub async fn rotate(&self, id: Uuid, shown: &SecretHash, next: &SignIn) -> Result<bool> {
        let query = sqlx::query(statements::ROTATE)
            .bind(next.refresh.as_slice())
            .bind(next.previous.as_ref().map(<[u8; 32]>::as_slice))
            .bind(next.rotated_at.as_i64())
            .bind(next.expires_at.as_i64())
            .bind(id.as_bytes().as_slice())
            .bind(shown.as_slice());
        Ok(query.execute(&self.pool).await.map_err(classify)?.rows_affected() == 1)
    }

    /// Takes a sign-in back.
    pub async fn revoke(&self, id: Uuid, now: Timestamp) -> Result<()> {
        let query = sqlx::query(statements::REVOKE).bind(now.as_i64()).bind(id.as_bytes().as_slice());
        query.execute(&self.pool).await.map_err(classify)?;
        Ok(())
    }

    /// Takes all sign-ins of a user back, but `keep`, in one statement: whatever is there at that moment. Gives their ids.
    pub async fn revoke_all(&self, user: &UserId, keep: Option<Uuid>, now: Timestamp) -> Result<Vec<Uuid>> {
        let ended = revoke_all(user, keep, now).fetch_all(&self.pool).await.map_err(classify)?;
        ended.iter().map(|row| uuid(row, 0)).collect()
    }

    /// What refuses tokens; of sign-ins those taken back after `since`.
    pub async fn refusals(&self, since: Timestamp) -> Result<Refusals> {
        let revoked = sqlx::query(statements::REVOKED).bind(since.as_i64());
        let mut refusals = Refusals::default();
        for row in revoked.fetch_all(&self.pool).await.map_err(classify)? {
            refusals.sign_ins.push((uuid(&row, 0)?, time(&row, 1)?));
        }
        for (text, at) in [(statements::BANNED, false), (statements::TOKENS, true)] {
            for row in sqlx::query(text).fetch_all(&self.pool).await.map_err(classify)? {
                let user = user(&row, 0)?;
                match at {
                    true => refusals.tokens_from.push((user, time(&row, 1)?)),
                    false => refusals.banned.push(user),
                }
            }
        }
        Ok(refusals)
    }

    /// Forgets sign-ins that were over, or taken back, before `at`.
    pub async fn sweep(&self, at: Timestamp) -> Result<u64> {
        let mut gone = 0;
        for text in [statements::SWEEP, statements::SWEEP_REVOKED] {
            gone += sqlx::query(text).bind(at.as_i64()).execute(&self.pool).await.map_err(classify)?.rows_affected();
        }
        Ok(gone)
    }

    /// The plan of each statement.
    #[cfg(test)]
    pub(super) async fn plan(&self, text: &str) -> Vec<String> {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
        let rows = sqlx::query(explain).fetch_all(&self.pool).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>("detail")).collect()
    }
}

fn revoke_all(
    user: &UserId,
    keep: Option<Uuid>,
    now: Timestamp,
) -> sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
    let keep = keep.map(|id| id.as_bytes().to_vec());
    sqlx::query(statements::REVOKE_ALL).bind(now.as_i64()).bind(user.as_str()).bind(keep)
}

fn known(changed: u64) -> Result<()> {
    if changed == 0 { Err(AccountError::Unknown) } else { Ok(()) }
}

fn name_key(first: &str, last: &str) -> Option<String> {
    let name = format!("{first} {last}").trim().to_lowercase();
    (!name.is_empty()).then_some(name)
}

fn account(row: &SqliteRow) -> Result<WithPassword> {
    let text = |index: usize| row.try_get::<Option<String>, _>(index).map(Option::unwrap_or_default).map_err(classify);
    let account = Account {
        id: user(row, 0)?,
        username: text(1)?,
        email: row.try_get(2).map_err(classify)?,
        first_name: text(3)?,
        last_name: text(4)?,
        avatar_url: text(5)?,
        created_at: time(row, 6)?,
        banned_at: optional_time(row, 7)?,
    };
    Ok((account, row.try_get(8).map_err(classify)?))
}

fn sign_in(row: &SqliteRow) -> Result<SignIn> {
    let hash = |bytes: Vec<u8>| SecretHash::try_from(bytes).map_err(|_| damaged("a refresh hash has 32 bytes"));
    let previous: Option<Vec<u8>> = row.try_get(3).map_err(classify)?;
    Ok(SignIn {
        id: uuid(row, 0)?,
        user: user(row, 1)?,
        refresh: hash(row.try_get(2).map_err(classify)?)?,
        previous: previous.map(hash).transpose()?,
        rotated_at: time(row, 4)?,
        created_at: time(row, 5)?,
        expires_at: time(row, 6)?,
        revoked_at: optional_time(row, 7)?,
        salt: *uuid(row, 8)?.as_bytes(),
        agent: row.try_get(9).map_err(classify)?,
    })
}

fn damaged(why: &str) -> AccountError {
    StoreError::Damaged(why.to_owned()).into()
}

fn user(row: &SqliteRow, index: usize) -> Result<UserId> {
    let text: String = row.try_get(index).map_err(classify)?;
    UserId::new(&text).map_err(|_| damaged("a user id"))
}

fn uuid(row: &SqliteRow, index: usize) -> Result<Uuid> {
    let bytes: Vec<u8> = row.try_get(index).map_err(classify)?;
    Uuid::from_slice(&bytes).map_err(|_| damaged("an id has 16 bytes"))
}

fn time(row: &SqliteRow, index: usize) -> Result<Timestamp> {
    Ok(optional_time(row, index)?.unwrap_or(Timestamp::ZERO))
}

fn optional_time(row: &SqliteRow, index: usize) -> Result<Option<Timestamp>> {
    let at: Option<i64> = row.try_get(index).map_err(classify)?;
    Ok(at.map(|at| Timestamp(u64::try_from(at).unwrap_or(0))))
}
