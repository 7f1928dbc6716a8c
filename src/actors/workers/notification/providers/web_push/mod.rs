//! Web Push (RFC 8030, 8291, 8292): pushes to browsers through the push service that each of them has chosen. Only the browser can
//! read them. Whoever names a subscription says where requests go, so nothing but addresses of the internet is asked, whatever
//! a name leads to at that moment, without a proxy and without following anybody elsewhere.

mod encryption;
mod subscription;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use p256::SecretKey;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Client, StatusCode, Url};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;

pub(crate) use self::subscription::PushSubscription;
use self::subscription::is_public;
use super::answer::Answered;
use super::{NotificationChannel, Provider, SendError};
use crate::config::VapidKey;
use crate::env::Env;
use crate::http_client::{self, ClientError};
use crate::ids::millis;
use crate::storage::notifications::devices::PushTarget;
use crate::storage::notifications::outbox::OutgoingNotification;

/// Seconds that a push service may take a signature for good: a day is the most.
const SIGNED_SECONDS: u64 = 12 * 3_600;
/// Seconds that a push is kept for a browser that is away: more than most services keep one.
const TTL_MOST: u64 = 28 * 24 * 3_600;

/// Names lead to addresses of the internet, or nowhere.
struct OfTheInternet;

impl Resolve for OfTheInternet {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                let why = "the push service's name leads to no address of the internet";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// See the module.
pub(crate) struct WebPush {
    key: VapidKey,
    subject: String,
    anywhere: bool,
    expiry: Duration,
    client: Client,
    random: SystemRandom,
    env: Env,
}

impl WebPush {
    /// Signs by this key, in the name of `subject`, which is `mailto:` or `https:`. `anywhere`: subscriptions may name any
    /// address, for trying it out. An attempt may take `timeout`; what is older than `expiry` is pushed to nobody any more.
    ///
    /// # Errors
    /// There is no HTTP client.
    pub(crate) fn new(
        key: VapidKey,
        subject: String,
        anywhere: bool,
        (timeout, expiry): (Duration, Duration),
        env: Env,
    ) -> Result<Self, ClientError> {
        let client = http_client::client(|client| {
            let client = client.timeout(timeout).no_proxy();
            if anywhere { client } else { client.dns_resolver(Arc::new(OfTheInternet)) }
        })?;
        Ok(Self { key, subject, anywhere, expiry, client, random: SystemRandom::new(), env })
    }

    /// What names the server to the push service at this address.
    fn authorization(&self, endpoint: &Url) -> String {
        let claims = json!({
            "aud": endpoint.origin().ascii_serialization(), "exp": self.env.now().0 / 1_000 + SIGNED_SECONDS, "sub": self.subject,
        });
        let part = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", part(r#"{"typ":"JWT","alg":"ES256"}"#.to_owned()), part(claims.to_string()));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        format!("vapid t={signed}.{signature}, k={}", self.key.public())
    }

    fn chance<const N: usize>(&self) -> Result<[u8; N], SendError> {
        let mut bytes = [0; N];
        let filled = self.random.fill(&mut bytes);
        filled
            .map(|()| bytes)
            .map_err(|_| SendError::Later { why: "the machine gives no chance".to_owned(), after: None })
    }

    /// The encrypted body: what the user's own list says, and where that is.
    fn body(
        &self,
        one: &OutgoingNotification,
        to: &PushTarget,
        browser: &PushSubscription,
    ) -> Result<Vec<u8>, SendError> {
        let data = json!({
            "type": format!("notification.{}", one.kind), "notification": one.row, "id": one.id, "room": one.room.0,
            "seq": one.seq.0, "by": one.by, "at": one.at.0,
        });
        let text = json!({ "title": to.title, "body": to.message, "data": data }).to_string();
        let own = loop {
            if let Ok(key) = SecretKey::from_slice(&self.chance::<32>()?) {
                break key;
            }
        };
        let body = encryption::encrypted(text.as_bytes(), &browser.key, &browser.auth, &own, &self.chance()?);
        body.ok_or_else(|| SendError::Never("it is too long for a push".to_owned()))
    }
}

#[async_trait]
impl Provider for WebPush {
    fn channel(&self) -> NotificationChannel {
        NotificationChannel::WebPush
    }

    async fn send(&self, one: &OutgoingNotification, to: &PushTarget) -> Result<(), SendError> {
        // Nobody is asked to name one that is not good: it was named under other rules.
        let browser =
            PushSubscription::read(&to.token, self.anywhere).map_err(|why| SendError::Gone(why.to_string()))?;
        let body = self.body(one, to, &browser)?;
        let age_ms = self.env.now().since(one.at);
        let ttl = (millis(self.expiry).saturating_sub(age_ms) / 1_000).min(TTL_MOST);
        let request =
            self.client.post(browser.endpoint.clone()).header(AUTHORIZATION, self.authorization(&browser.endpoint));
        let request = request.header(CONTENT_ENCODING, "aes128gcm").header(CONTENT_TYPE, "application/octet-stream");
        // Of one room the newest one replaces what the service still holds.
        let request =
            request.header("ttl", ttl).header("urgency", "high").header("topic", one.room.0.simple().to_string());
        match request.body(body).send().await {
            Ok(response) => judged(&Answered::read(response).await),
            Err(error) => Err(SendError::Later { why: http_client::reason(&error), after: None }),
        }
    }
}

/// What a push service's answer says: taken, a subscription that is over, a request that is wrong for good, or something that
/// passes. That it does not know the server's key may be a mistake of the configuration: no subscription is given up for that.
fn judged(answered: &Answered) -> Result<(), SendError> {
    let status = answered.status;
    let why = format!("the push service answered {status}");
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(SendError::Gone(why)),
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => Err(SendError::Never(why)),
        _ => Err(answered.later(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_the_subscription_the_request_or_the_moment_is_wrong() {
        let judged = |status| {
            let status = StatusCode::from_u16(status).unwrap();
            judged(&Answered { status, after: Some(Duration::from_secs(7)), body: Vec::new() })
        };
        assert_eq!([200, 201, 202, 204].map(judged), [Ok(()), Ok(()), Ok(()), Ok(())]);
        for status in [404, 410] {
            assert!(matches!(judged(status), Err(SendError::Gone(_))), "{status}");
        }
        for status in [400, 413] {
            assert!(matches!(judged(status), Err(SendError::Never(_))), "{status}");
        }
        for status in [301, 401, 403, 429, 500, 503] {
            let waits =
                matches!(judged(status), Err(SendError::Later { after: Some(after), .. }) if after.as_secs() == 7);
            assert!(waits, "{status}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_leads_nowhere() {
        let found = OfTheInternet.resolve("localhost".parse().unwrap()).await;
        assert!(found.is_err_and(|why| why.to_string().contains("no address of the internet")));
    }
}
