//! What an operator does to accounts: making one, giving it another password, removing it. Registration may be closed, and
//! no old password is asked for.

use std::net::{IpAddr, Ipv4Addr};

use super::check::{self, Names};
use super::{Accounts, Refusal};
use crate::config::Secret;
use crate::ids::UserId;
use crate::storage::accounts::{Account, AccountError, Profile};

/// Whose turn at hashing an operator's passwords take.
const OPERATOR: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Accounts {
    /// Makes an account, with a user id that is new, for somebody at this network. Also its password's hash.
    ///
    /// # Errors
    /// A name, address or password that can't be one, or is taken; too many passwords being hashed; the store.
    pub(super) async fn make(
        &self,
        names: Names,
        password: &Secret,
        network: IpAddr,
    ) -> Result<(Account, String), Refusal> {
        let Names { username, email, profile } = names.checked()?;
        check::password(password)?;
        let hash = self.passwords.hash(network, password.clone()).await?;
        let id = UserId::new(&self.env.ids.next().to_string()).map_err(|_| Refusal::Internal)?;
        let Profile { first_name, last_name, avatar_url } = profile;
        let created_at = self.env.now();
        let account = Account { id, username, email, first_name, last_name, avatar_url, created_at, banned_at: None };
        self.rows.create(&account, Some(&hash)).await?;
        Ok((account, hash))
    }

    /// Makes an account.
    ///
    /// # Errors
    /// A name, address or password that can't be one, or is taken; too many passwords being hashed; the store.
    pub(crate) async fn create(&self, names: Names, password: &Secret) -> Result<Account, Refusal> {
        self.make(names, password, OPERATOR).await.map(|(account, _)| account)
    }

    /// Gives an account another password, and takes its sign-ins back: how many there were.
    ///
    /// # Errors
    /// There is no such account; as [`Self::create`].
    pub(crate) async fn set_password(&self, user: &UserId, new: &Secret) -> Result<usize, Refusal> {
        check::password(new)?;
        let (_, old) = self.rows.by_id(user).await?.ok_or(AccountError::Unknown)?;
        let hash = self.passwords.hash(OPERATOR, new.clone()).await?;
        let changed = self.rows.set_password(user, old.as_deref(), &hash, None, self.env.now()).await?;
        // Changed by somebody else meanwhile: the operator is to look again.
        let ended = changed.ok_or(Refusal::Busy)?;
        self.ended(user, &ended);
        Ok(ended.len())
    }

    /// Removes an account: its name, address, password and profile are gone, the name is free, all tokens that were made
    /// until now are refused, and all connections closed: how many there were. What the user wrote stays where it is,
    /// under the user's id.
    ///
    /// # Errors
    /// There is no such account; the store.
    pub(crate) async fn remove(&self, user: &UserId) -> Result<usize, Refusal> {
        self.rows.remove(user, self.env.now()).await?;
        self.revoke_tokens(user).await
    }
}
