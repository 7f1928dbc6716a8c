//! Firebase Cloud Messaging, HTTP v1: pushes to phones, and to browsers whose token is Firebase's. The service account signs a
//! grant, which is exchanged for an access token; that is kept until a minute before it ends.

use std::time::Duration;

use async_trait::async_trait;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::answer::Answered;
use super::{NotificationChannel, Provider, SendError};
use crate::config::ServiceAccount;
use crate::env::Env;
use crate::http_client::{self, ClientError};
use crate::ids::{Timestamp, millis};
use crate::storage::notifications::devices::PushTarget;
use crate::storage::notifications::outbox::OutgoingNotification;

/// What the token is good for.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// Seconds that a grant is good: the most that is taken.
const GRANT_SECONDS: u64 = 3_600;
/// A token is not used in its last minute, in milliseconds.
const TOKEN_MARGIN_MS: u64 = 60_000;
/// Seconds that a push is kept for a device that is away: the most that is taken.
const TTL_MOST: u64 = 28 * 24 * 3_600;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FcmError {
    /// The address.
    #[error("{0} is no address")]
    Url(&'static str),
    /// The key.
    #[error("fcm_account: its private_key is no RSA key in PEM")]
    Key,
    /// There is no client.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// What the account signs.
#[derive(Serialize)]
struct Grant<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

/// What a grant is exchanged for.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

/// A token, and until when it is used, by a clock that never jumps.
struct AccessToken {
    token: String,
    until: Timestamp,
}

/// See the module.
pub(crate) struct Fcm {
    account: ServiceAccount,
    key: EncodingKey,
    grants: Url,
    pushes: Url,
    client: Client,
    env: Env,
    timeout: Duration,
    expiry: Duration,
    /// Whoever needs one while there is none asks for it; all others wait for that one.
    token: Mutex<Option<AccessToken>>,
}

impl Fcm {
    /// For the project of this account, at this address. An attempt may take `timeout`, the token for it included; what is
    /// older than `expiry` is pushed to nobody any more.
    ///
    /// # Errors
    /// [`FcmError`].
    pub(crate) fn new(
        account: ServiceAccount,
        url: &str,
        timeout: Duration,
        expiry: Duration,
        env: Env,
    ) -> Result<Self, FcmError> {
        let key = EncodingKey::from_rsa_pem(account.private_key().as_bytes()).map_err(|_| FcmError::Key)?;
        let grants = Url::parse(&account.token_uri).map_err(|_| FcmError::Url("the account's token_uri"))?;
        let mut pushes = Url::parse(url).map_err(|_| FcmError::Url("fcm_url"))?;
        let send = ["v1", "projects", &account.project, "messages:send"];
        pushes.path_segments_mut().map_err(|()| FcmError::Url("fcm_url"))?.pop_if_empty().extend(send);
        let client = http_client::client(|client| client.timeout(timeout))?;
        Ok(Self { account, key, grants, pushes, client, env, timeout, expiry, token: Mutex::new(None) })
    }

    /// An access token that is good for a minute more.
    async fn token(&self) -> Result<String, SendError> {
        let mut kept = self.token.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| self.env.steady() < token.until) {
            return Ok(token.token.clone());
        }
        let Granted { access_token, expires_in } = self.ask_for_token().await?;
        let good_ms = expires_in.saturating_mul(1_000).saturating_sub(TOKEN_MARGIN_MS);
        let until = Timestamp(self.env.steady().0.saturating_add(good_ms));
        *kept = Some(AccessToken { token: access_token.clone(), until });
        Ok(access_token)
    }

    async fn ask_for_token(&self) -> Result<Granted, SendError> {
        let iat = self.env.now().0 / 1_000;
        let (iss, aud) = (&self.account.email, &self.account.token_uri);
        let grant = Grant { iss, scope: SCOPE, aud, iat, exp: iat + GRANT_SECONDS };
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.account.key_id.clone()).filter(|id| !id.is_empty());
        let signed = jsonwebtoken::encode(&header, &grant, &self.key);
        let signed = signed.map_err(|_| SendError::Never("the service account's key does not sign".to_owned()))?;
        // No part of it needs an escape.
        let form = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={signed}");
        let request = self.client.post(self.grants.clone());
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let answered = ask(request).await?;
        if !answered.status.is_success() {
            let said: Value = serde_json::from_slice(&answered.body).unwrap_or_default();
            let error = said["error"].as_str().filter(|error| error.len() < 64).unwrap_or_default();
            return Err(answered.later(format!("no access token for FCM: {} {error}", answered.status)));
        }
        let granted = serde_json::from_slice(&answered.body);
        granted.map_err(|_| answered.later("no access token for FCM: the answer has none".to_owned()))
    }

    async fn push(&self, one: &OutgoingNotification, to: &PushTarget) -> Result<(), SendError> {
        let token = self.token().await?;
        let request = self.client.post(self.pushes.clone()).header(AUTHORIZATION, format!("Bearer {token}"));
        let body = self.message(one, to).to_string();
        let answered = ask(request.header(CONTENT_TYPE, "application/json").body(body)).await?;
        if answered.status == StatusCode::UNAUTHORIZED {
            // Taken back before its time: the next one asks for another.
            self.token.lock().await.take_if(|kept| kept.token == token);
        }
        judged(&answered)
    }

    /// What is sent: for people what the user's own list says, for programs where that is. Of one room the newest one shows.
    fn message(&self, one: &OutgoingNotification, to: &PushTarget) -> Value {
        let age_ms = self.env.now().since(one.at);
        let ttl = (millis(self.expiry).saturating_sub(age_ms) / 1_000).min(TTL_MOST);
        let room = one.room.0.to_string();
        let mut data = json!({
            "type": format!("notification.{}", one.kind), "notification": one.row, "id": one.id, "room": room,
            "seq": one.seq.0.to_string(), "at": one.at.0.to_string(),
        });
        if let Some(by) = &one.by {
            data["by"] = json!(by);
        }
        let ends = self.env.now().0 / 1_000 + ttl;
        json!({ "message": {
            "token": to.token,
            "notification": { "title": to.title, "body": to.message },
            "data": data,
            "android": {
                "collapse_key": room, "ttl": format!("{ttl}s"), "priority": "HIGH", "notification": { "tag": room },
            },
            "apns": { "headers": { "apns-collapse-id": room, "apns-expiration": ends.to_string() } },
            "webpush": { "headers": {
                "TTL": ttl.to_string(), "Urgency": "high", "Topic": one.room.0.simple().to_string(),
            } },
        } })
    }
}

#[async_trait]
impl Provider for Fcm {
    fn channel(&self) -> NotificationChannel {
        NotificationChannel::Fcm
    }

    async fn send(&self, one: &OutgoingNotification, to: &PushTarget) -> Result<(), SendError> {
        let late = || SendError::Later { why: "FCM took too long".to_owned(), after: None };
        tokio::time::timeout(self.timeout, self.push(one, to)).await.unwrap_or_else(|_| Err(late()))
    }
}

async fn ask(request: RequestBuilder) -> Result<Answered, SendError> {
    match request.send().await {
        Ok(response) => Ok(Answered::read(response).await),
        Err(error) => Err(SendError::Later { why: http_client::reason(&error), after: None }),
    }
}

/// What an answer says: taken, a token that leads nowhere, a request that is wrong for good, or something that passes.
fn judged(answered: &Answered) -> Result<(), SendError> {
    let status = answered.status;
    if status.is_success() {
        return Ok(());
    }
    let said: Value = serde_json::from_slice(&answered.body).unwrap_or_default();
    let details = said["error"]["details"].as_array().map_or(&[][..], Vec::as_slice);
    let code = details.iter().find_map(|detail| detail["errorCode"].as_str()).unwrap_or_default();
    let names_token = |violation: &Value| violation["field"] == "message.token";
    let blames_token =
        details.iter().filter_map(|detail| detail["fieldViolations"].as_array()).flatten().any(names_token)
            || said["error"]["message"].as_str().is_some_and(|text| text.contains("registration token"));
    let known = ["UNREGISTERED", "SENDER_ID_MISMATCH", "INVALID_ARGUMENT", "QUOTA_EXCEEDED", "UNAVAILABLE", "INTERNAL"];
    let named = known.into_iter().find(|known| *known == code).map_or(String::new(), |code| format!(", {code}"));
    let why = format!("FCM answered {status}{named}");
    match status {
        StatusCode::NOT_FOUND if code == "UNREGISTERED" => Err(SendError::Gone(why)),
        StatusCode::FORBIDDEN if code == "SENDER_ID_MISMATCH" => Err(SendError::Gone(why)),
        StatusCode::BAD_REQUEST if blames_token => Err(SendError::Gone(why)),
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => Err(SendError::Never(why)),
        _ => Err(answered.later(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: Value) -> Answered {
        let status = StatusCode::from_u16(status).unwrap();
        Answered { status, after: Some(Duration::from_secs(7)), body: body.to_string().into_bytes() }
    }

    fn error(code: &str) -> Value {
        json!({ "error": { "details": [{ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code }] } })
    }

    #[test]
    fn an_answer_says_whether_the_token_the_request_or_the_moment_is_wrong() {
        let judged = |status, body| judged(&answered(status, body));
        assert_eq!(judged(200, json!({ "name": "projects/tea/messages/1" })), Ok(()));
        let bad_token = json!({ "error": { "details": [
            { "errorCode": "INVALID_ARGUMENT" }, { "fieldViolations": [{ "field": "message.token" }] },
        ] } });
        for (status, body) in [
            (404, error("UNREGISTERED")),
            (403, error("SENDER_ID_MISMATCH")),
            (400, bad_token),
            (400, json!({ "error": { "message": "The registration token is not a valid FCM registration token" } })),
        ] {
            assert!(matches!(judged(status, body.clone()), Err(SendError::Gone(_))), "{status} {body}");
        }
        assert!(matches!(judged(400, error("INVALID_ARGUMENT")), Err(SendError::Never(_))));
        for (status, body) in [
            (404, json!({ "error": { "message": "no such project" } })),
            (403, error("PERMISSION_DENIED")),
            (401, error("THIRD_PARTY_AUTH_ERROR")),
            (429, error("QUOTA_EXCEEDED")),
            (503, json!("not what was expected")),
        ] {
            let said = judged(status, body.clone());
            let waits = matches!(&said, Err(SendError::Later { after: Some(after), .. }) if after.as_secs() == 7);
            assert!(waits, "{status} {body}: {said:?}");
        }
    }
}
