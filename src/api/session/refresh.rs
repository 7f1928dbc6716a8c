//! `refresh` and `sub_refresh`: new tokens in place of those that are about to be over.

use tokio::time::Instant;

use super::Session;
use super::connect::VERSION;
use super::push::seconds;
use crate::api::auth::{Grant, TokenError, VerifiedToken};
use crate::api::protocol::codes::ErrorCode;
use crate::api::protocol::{RefreshResult, Reply, ReplyBody, SubRefreshRequest, SubRefreshResult};

impl Session {
    pub(super) fn refresh(&mut self, id: u32, token: String) {
        if token.is_empty() {
            return self.refuse_token(id, TokenError::Missing, TokenError::Missing.on_refresh());
        }
        let verifier = self.server.verifier.clone();
        self.gate(async move { verifier.connection(&token).await }, move |session, verified| {
            let result = verified.and_then(|verified| session.refreshed(id, &verified));
            if let Err(error) = result {
                session.refuse_token(id, error, error.on_refresh());
            }
        });
    }

    fn refreshed(&mut self, id: u32, verified: &VerifiedToken) -> Result<(), TokenError> {
        let Some(connection) = self.connection.clone() else { return Ok(()) };
        let mine = (!connection.user.is_anonymous()).then_some(&connection.user);
        if verified.user.as_ref() != mine {
            return Err(TokenError::OtherUser);
        }
        // With the token of another sign-in it comes back by a new connection: that one can be told apart and taken back.
        if verified.sign_in != connection.sign_in {
            return Err(TokenError::Expired);
        }
        let left = self.expires_in(verified.expires_at);
        self.clocks.expires = left.map(|left| Instant::now() + left + self.server.options.refresh_grace);
        let result = RefreshResult {
            client: connection.client.to_string(),
            version: VERSION.to_owned(),
            expires: left.is_some(),
            ttl: left.map_or(0, seconds),
        };
        self.reply(Reply::new(id, ReplyBody::Refresh(result)));
        Ok(())
    }

    pub(super) fn sub_refresh(&mut self, id: u32, request: SubRefreshRequest) {
        let SubRefreshRequest { channel, token, kind: _ } = request;
        let Some(connection) = &self.connection else { return };
        if !self.may_act(&channel) {
            return self.refuse(id, ErrorCode::PERMISSION_DENIED);
        }
        if token.is_empty() {
            return self.refuse_token(id, TokenError::Missing, TokenError::Missing.on_sub_refresh());
        }
        let verifier = self.server.verifier.clone();
        let user = (!connection.user.is_anonymous()).then(|| connection.user.clone());
        let name = channel.clone();
        let verify = async move { verifier.subscription(&token, &name, user.as_ref()).await };
        self.gate(verify, move |session, grant| {
            let result = grant.and_then(|grant| session.sub_refreshed(id, &channel, &grant));
            if let Err(error) = result {
                session.refuse_token(id, error, error.on_sub_refresh());
            }
        });
    }

    fn sub_refreshed(&mut self, id: u32, channel: &str, grant: &Grant) -> Result<(), TokenError> {
        if !self.may_act(channel) {
            self.refuse(id, ErrorCode::PERMISSION_DENIED);
            return Ok(());
        }
        self.set_sub_expiry(channel, grant.expires_at);
        let left = self.expires_in(grant.expires_at);
        let result = SubRefreshResult { expires: left.is_some(), ttl: left.map_or(0, seconds) };
        self.reply(Reply::new(id, ReplyBody::SubRefresh(result)));
        Ok(())
    }
}
