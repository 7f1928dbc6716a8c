//! A webhook as [Standard Webhooks](https://www.standardwebhooks.com) describe it: one POST for a notification, with an id
//! that stays the same however often it comes, a time, and a signature over both and the body. It follows no redirect.

use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url};
use serde_json::json;
use sha2::Sha256;

use super::answer::Answered;
use super::{NotificationChannel, Provider, SendError};
use crate::config::SigningKey;
use crate::env::Env;
use crate::http_client::{self, ClientError};
use crate::ids::Timestamp;
use crate::storage::notifications::devices::PushTarget;
use crate::storage::notifications::outbox::OutgoingNotification;

/// Why there is no webhook.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    /// The address.
    #[error("webhook_url: {0}")]
    Url(String),
    /// There is no client.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// The header `webhook-signature` of a body that is sent under an id at a time in seconds.
fn signature(key: &SigningKey, id: &str, seconds: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("a key of any length is one");
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

/// See the module.
pub(crate) struct Webhook {
    url: Url,
    key: SigningKey,
    client: Client,
    env: Env,
}

impl Webhook {
    /// At this address. An attempt may take `timeout`.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub(crate) fn new(url: &str, key: SigningKey, timeout: Duration, env: Env) -> Result<Self, WebhookError> {
        let url = Url::parse(url).map_err(|error| WebhookError::Url(error.to_string()))?;
        let client = http_client::client(|client| client.timeout(timeout))?;
        Ok(Self { url, key, client, env })
    }
}

/// What is posted.
fn body(one: &OutgoingNotification) -> serde_json::Value {
    let OutgoingNotification { user, room, seq, kind, by, row, at, .. } = one;
    let data = json!({ "notification": row, "user": user, "room": room.0, "seq": seq.0, "by": by, "at": at.0 });
    json!({ "type": format!("notification.{kind}"), "timestamp": rfc3339(*at), "data": data })
}

fn rfc3339(at: Timestamp) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(at.0)).to_string()
}

#[async_trait]
impl Provider for Webhook {
    fn channel(&self) -> NotificationChannel {
        NotificationChannel::Webhook
    }

    async fn send(&self, one: &OutgoingNotification, _: &PushTarget) -> Result<(), SendError> {
        let (id, seconds, body) = (one.id.to_string(), self.env.now().0 / 1_000, body(one).to_string());
        let signature = signature(&self.key, &id, seconds, body.as_bytes());
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        let request = request.header("webhook-id", id).header("webhook-timestamp", seconds.to_string());
        match request.header("webhook-signature", signature).body(body).send().await {
            Ok(response) => judged(&Answered::read(response).await),
            Err(error) => Err(SendError::Later { why: http_client::reason(&error), after: None }),
        }
    }
}

/// 2xx takes it. What says that the request itself is wrong never will; everything else may be better later.
fn judged(answered: &Answered) -> Result<(), SendError> {
    let status = answered.status;
    if status.is_success() {
        return Ok(());
    }
    let why = format!("the webhook answered {status}");
    let passes =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::CONFLICT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    // A deployment under way answers these, too.
    let may_come = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND];
    if status.is_client_error() && !passes.contains(&status) && !may_come.contains(&status) {
        return Err(SendError::Never(why));
    }
    Err(answered.later(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// The example of the reference implementations.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let key = config::signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = br#"{"test": 2432232314}"#;
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
