//! Every SQL text of the accounts, so that one test can look at the plan of each.

macro_rules! account_columns {
    () => {
        "id, username, email, first_name, last_name, avatar_url, created_at, banned_at, password_hash"
    };
}
macro_rules! sign_in_columns {
    () => {
        "id, user_id, refresh_hash, previous_hash, rotated_at, created_at, expires_at, revoked_at, salt, agent"
    };
}

/// A user who came with a token before may make the account that goes with the id only if it has none.
pub(super) const CREATE: &str = "INSERT INTO users (id, username, email, password_hash, first_name, last_name, avatar_url, \
    name_key, last_key, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
    ON CONFLICT (id) DO UPDATE SET username = excluded.username, email = excluded.email, \
    password_hash = excluded.password_hash, first_name = excluded.first_name, last_name = excluded.last_name, \
    avatar_url = excluded.avatar_url, name_key = excluded.name_key, last_key = excluded.last_key \
    WHERE users.username IS NULL";
pub(super) const BY_ID: &str =
    concat!("SELECT ", account_columns!(), " FROM users WHERE id = ? AND username IS NOT NULL");
pub(super) const BY_USERNAME: &str = concat!("SELECT ", account_columns!(), " FROM users WHERE username = ?");
pub(super) const BY_EMAIL: &str = concat!("SELECT ", account_columns!(), " FROM users WHERE email = ?");
pub(super) const FIND_USERNAME: &str = concat!(
    "SELECT ",
    account_columns!(),
    " FROM users WHERE username >= ? AND username < ? ORDER BY username LIMIT ?"
);
pub(super) const FIND_NAME: &str = concat!(
    "SELECT ",
    account_columns!(),
    " FROM users WHERE name_key >= ? AND name_key < ? ORDER BY name_key LIMIT ?"
);
pub(super) const FIND_LAST_NAME: &str = concat!(
    "SELECT ",
    account_columns!(),
    " FROM users WHERE last_key >= ? AND last_key < ? ORDER BY last_key LIMIT ?"
);
pub(super) const PROFILE: &str = "UPDATE users SET first_name = ?, last_name = ?, avatar_url = ?, name_key = ?, \
    last_key = ?, updated_at = ? WHERE id = ? AND username IS NOT NULL";
/// Only if the hash is still the one that the current password was compared with: of two at once, one counts.
pub(super) const PASSWORD: &str = "UPDATE users SET password_hash = ?, updated_at = ? WHERE id = ? AND username IS NOT NULL AND password_hash IS NOT DISTINCT FROM ?";
pub(super) const REMOVE: &str = "UPDATE users SET username = NULL, email = NULL, password_hash = NULL, first_name = NULL, \
    last_name = NULL, avatar_url = NULL, name_key = NULL, updated_at = ? WHERE id = ? AND username IS NOT NULL";
/// Also of a user without an account: tokens of a back end are refused, too.
pub(super) const BAN: &str = "INSERT INTO users (id, banned_at, created_at, updated_at) VALUES (?, ?, ?, ?) \
    ON CONFLICT (id) DO UPDATE SET banned_at = excluded.banned_at";
pub(super) const UNBAN: &str = "UPDATE users SET banned_at = NULL WHERE id = ?";
pub(super) const TOKENS_FROM: &str = "INSERT INTO users (id, tokens_from, created_at, updated_at) VALUES (?, ?, ?, ?) \
    ON CONFLICT (id) DO UPDATE SET tokens_from = excluded.tokens_from";

/// Only while the password is still the one that was shown, and nobody has banned the user meanwhile.
pub(super) const SIGN_IN_ADD: &str = concat!(
    "INSERT INTO sign_ins (",
    sign_in_columns!(),
    ") SELECT ?, id, ?, ?, ?, ?, ?, ?, ?, ? FROM users WHERE id = ? AND password_hash IS NOT DISTINCT FROM ? AND banned_at IS NULL"
);
pub(super) const SIGN_IN: &str = concat!("SELECT ", sign_in_columns!(), " FROM sign_ins WHERE id = ?");
pub(super) const SIGN_INS: &str = concat!(
    "SELECT ",
    sign_in_columns!(),
    " FROM sign_ins WHERE user_id = ? AND revoked_at IS NULL AND expires_at > ? ORDER BY created_at"
);
pub(super) const SIGN_INS_USED: &str =
    "SELECT id, rotated_at FROM sign_ins WHERE user_id = ? AND revoked_at IS NULL AND expires_at > ?";
/// Only if the secret is still the one that was looked at: of two who show it at once, one wins.
pub(super) const ROTATE: &str = "UPDATE sign_ins SET refresh_hash = ?, previous_hash = ?, rotated_at = ?, expires_at = ? \
    WHERE id = ? AND refresh_hash = ? AND revoked_at IS NULL";
pub(super) const REVOKE: &str = "UPDATE sign_ins SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL";
/// Also of those whose time is over: an access token may outlive its sign-in.
pub(super) const REVOKE_ALL: &str = "UPDATE sign_ins SET revoked_at = ? WHERE user_id = ? AND revoked_at IS NULL AND id IS DISTINCT FROM ? RETURNING id";
pub(super) const REVOKED: &str = "SELECT id, revoked_at FROM sign_ins WHERE revoked_at > ?";
pub(super) const SWEEP: &str = "DELETE FROM sign_ins WHERE expires_at < ?";
pub(super) const SWEEP_REVOKED: &str = "DELETE FROM sign_ins WHERE revoked_at < ?";
pub(super) const BANNED: &str = "SELECT id, banned_at FROM users WHERE banned_at IS NOT NULL";
pub(super) const TOKENS: &str = "SELECT id, tokens_from FROM users WHERE tokens_from IS NOT NULL";

/// All of them, for the test of plans.
#[cfg(test)]
pub(in crate::storage) const ALL: [&str; 25] = [
    CREATE,
    BY_ID,
    BY_USERNAME,
    BY_EMAIL,
    FIND_USERNAME,
    FIND_NAME,
    FIND_LAST_NAME,
    PROFILE,
    PASSWORD,
    REMOVE,
    BAN,
    UNBAN,
    TOKENS_FROM,
    SIGN_IN_ADD,
    SIGN_IN,
    SIGN_INS,
    SIGN_INS_USED,
    ROTATE,
    REVOKE,
    REVOKE_ALL,
    REVOKED,
    SWEEP,
    SWEEP_REVOKED,
    BANNED,
    TOKENS,
];
