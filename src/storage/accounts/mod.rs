//! Accounts and sign-ins: rows that are written directly, because a name must be unique everywhere. The journal knows users
//! by id only, and nothing here is derived from it.
//!
//! Nothing here knows a password or a token: only their hashes come this far.

use uuid::Uuid;

use crate::ids::{Timestamp, UserId};
use crate::storage::store::StoreError;

mod rows;
mod statements;
#[cfg(test)]
mod tests;

pub(crate) use rows::AccountRows;
/// Every statement, for the test of indexes.
#[cfg(test)]
pub(super) use statements::ALL as SQL;
#[cfg(test)]
pub(super) use tests::CHECKS;

/// An account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Account {
    /// The user.
    pub id: UserId,
    /// The unique name to sign in with, in lower case.
    pub username: String,
    /// A unique address, in lower case.
    pub email: Option<String>,
    /// First name; may be empty.
    pub first_name: String,
    /// Last name; may be empty.
    pub last_name: String,
    /// Where a picture is; may be empty.
    pub avatar_url: String,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Since when the user is banned.
    pub banned_at: Option<Timestamp>,
}

/// What others are told of a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Profile {
    /// First name; may be empty.
    pub first_name: String,
    /// Last name; may be empty.
    pub last_name: String,
    /// Where a picture is; may be empty.
    pub avatar_url: String,
}

/// An account with the hash of its password; none for one that can't sign in with a password.
pub(crate) type WithPassword = (Account, Option<String>);

/// SHA-256 of a refresh token's secret.
pub(crate) type SecretHash = [u8; 32];

/// A time that somebody signed in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SignIn {
    /// Its id: the `sid` of its access tokens.
    pub id: Uuid,
    /// Who.
    pub user: UserId,
    /// The secret that counts.
    pub refresh: SecretHash,
    /// The one before.
    pub previous: Option<SecretHash>,
    /// Since when `refresh` counts.
    pub rotated_at: Timestamp,
    /// When.
    pub created_at: Timestamp,
    /// When it is over unless it is refreshed before.
    pub expires_at: Timestamp,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
    /// Makes each secret from the one before, together with it.
    pub salt: [u8; 16],
    /// What signed in, in its own words.
    pub agent: String,
}

/// What refuses tokens that are otherwise good.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Refusals {
    /// Sign-ins that were taken back.
    pub sign_ins: Vec<(Uuid, Timestamp)>,
    /// Users whose tokens from before this time are refused.
    pub tokens_from: Vec<(UserId, Timestamp)>,
    /// Users who are banned.
    pub banned: Vec<UserId>,
}

/// Why an account was not written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum AccountError {
    /// Somebody else has this name.
    #[error("this username is taken")]
    UsernameTaken,
    /// Somebody else has this address.
    #[error("this e-mail address is taken")]
    EmailTaken,
    /// There is no such account.
    #[error("there is no such account")]
    Unknown,
    /// The store says no.
    #[error(transparent)]
    Store(#[from] StoreError),
}
