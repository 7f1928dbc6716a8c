//! Tokens over the socket: what each one is told, and what expiry does.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::support::{Rig, SECRET};
use crate::api::auth::{TokenRequest, issue_token};
use crate::config::Secret;
use crate::env::Env;
use crate::ids::UserId;
use crate::testing::within;

fn jwt(algorithm: jsonwebtoken::Algorithm, claims: &Value, secret: &str) -> String {
    let header = jsonwebtoken::Header::new(algorithm);
    jsonwebtoken::encode(&header, claims, &jsonwebtoken::EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// A token with these claims.
pub(crate) fn hs256(claims: &Value) -> String {
    jwt(jsonwebtoken::Algorithm::HS256, claims, SECRET)
}

/// The answer to `connect` with this token: an error code, a close code, or 0 for a connection.
async fn connect(rig: &Rig, token: &str) -> u64 {
    let mut client = rig.open().await;
    let id = client.send(json!({ "connect": { "token": token } })).await;
    match within("an answer", client.reply_or_close(id)).await {
        Ok(reply) => reply["error"]["code"].as_u64().unwrap_or(0),
        Err(code) => code.into(),
    }
}

#[tokio::test]
async fn each_bad_token_is_told_its_code() {
    let rig = Rig::with(Env::system(), |config| config.auth.audience = Some("kervan".to_owned())).await;
    let now = rig.env.now().0 / 1_000;
    let claims = |exp: u64, nbf: u64, aud: &str| json!({ "sub": "ann", "exp": exp, "nbf": nbf, "aud": aud });
    let good = claims(now + 60, now - 60, "kervan");
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let none = format!("{}.{}.", part(&json!({ "alg": "none", "typ": "JWT" })), part(&good));
    // Signed with HS256, and says RS256.
    let mut confused = hs256(&good);
    confused.replace_range(..confused.find('.').unwrap(), &part(&json!({ "alg": "RS256", "typ": "JWT" })));
    let cases = [
        ("good", hs256(&good), 0),
        ("none", String::new(), 101),
        ("alg none", none, 3500),
        ("HS and RS confused", confused, 3500),
        ("expired", hs256(&claims(now - 10, now - 60, "kervan")), 109),
        ("not yet valid", hs256(&claims(now + 90, now + 60, "kervan")), 109),
        ("of a back end whose clock is a little ahead", hs256(&claims(now + 90, now + 2, "kervan")), 0),
        ("wrong key", jwt(jsonwebtoken::Algorithm::HS256, &good, "another secret, which is long enough too"), 3500),
        ("wrong audience", hs256(&claims(now + 60, now - 60, "elsewhere")), 3500),
        ("nonsense", "nonsense".to_owned(), 3500),
        ("too long", "x".repeat(9_000), 3500),
        ("a megabyte", "x".repeat(1_000_000), 1009),
        ("an anonymous sub", hs256(&json!({ "sub": "anon:1", "exp": now + 60, "aud": "kervan" })), 3500),
        ("a subscription token", hs256(&json!({ "sub": "ann", "aud": "kervan", "channel": "x" })), 3500),
    ];
    for (what, token, code) in cases {
        assert_eq!(connect(&rig, &token).await, code, "{what}");
    }
}

#[tokio::test]
async fn anonymous_users_come_in_where_they_may() {
    let rig = Rig::with(Env::system(), |config| config.auth.anonymous = true).await;
    let mut client = rig.open().await;
    let reply = client.ask(json!({ "connect": {} })).await;
    assert!(reply["connect"]["subs"].is_null(), "no personal channel: {reply}");
    let client = reply["connect"]["client"].as_str().unwrap().parse().unwrap();
    assert!(rig.hub.sessions().is_online(&UserId::anonymous(client)), "each connection is a user of its own");
    assert_eq!(connect(&rig, &hs256(&json!({ "exp": 1 }))).await, 109, "a token that is given is checked");
}

#[tokio::test]
async fn a_connection_that_is_not_refreshed_is_over_and_one_that_is_lives() {
    let rig = Rig::with(Env::system(), |_| ()).await;
    let mut ann = rig.open().await;
    let token = rig.token_for(Some("ann"), None, Some(Duration::from_secs(60)));
    let reply = ann.ask(json!({ "connect": { "token": token } })).await;
    let ttl = reply["connect"]["ttl"].as_u64().unwrap();
    assert!(reply["connect"]["expires"] == true && (50..=60).contains(&ttl), "{reply}");
    let longer = rig.token_for(Some("ann"), None, Some(Duration::from_secs(600)));
    let refreshed = ann.ask(json!({ "refresh": { "token": longer } })).await;
    assert!(refreshed["refresh"]["ttl"].as_u64().unwrap() > 500, "{refreshed}");
    assert_eq!(ann.ask(json!({ "refresh": {} })).await["error"]["code"], 107);
    let other = rig.token("bob");
    ann.send(json!({ "refresh": { "token": other } })).await;
    assert_eq!(ann.closed().await, 3500, "nobody becomes somebody else");
    let mut bob = rig.open().await;
    let token = rig.token_for(Some("bob"), None, Some(Duration::from_secs(60)));
    bob.ask(json!({ "connect": { "token": token } })).await;
    let expired = hs256(&json!({ "sub": "bob", "exp": 1 }));
    bob.send(json!({ "refresh": { "token": expired } })).await;
    assert_eq!(bob.closed().await, 3005);
}

#[tokio::test]
async fn a_token_channel_takes_its_own_token() {
    let rig = Rig::start().await;
    let mut ann = rig.client("ann").await;
    let subscribe = |token: &str| json!({ "subscribe": { "channel": "token:x", "token": token } });
    assert_eq!(ann.ask(subscribe("")).await["error"]["code"], 103);
    assert_eq!(ann.ask(subscribe("nonsense")).await["error"]["code"], 103);
    assert_eq!(
        ann.ask(subscribe(&hs256(&json!({ "sub": "ann", "channel": "token:x", "exp": 1 })))).await["error"]["code"],
        109
    );
    let token = rig.token_for(Some("ann"), Some("token:x"), Some(Duration::from_secs(60)));
    let reply = ann.ask(subscribe(&token)).await;
    assert!(reply["subscribe"]["expires"] == true, "{reply}");
    let longer = rig.token_for(Some("ann"), Some("token:x"), Some(Duration::from_secs(600)));
    let refreshed = ann.ask(json!({ "sub_refresh": { "channel": "token:x", "token": longer } })).await;
    assert!(refreshed["sub_refresh"]["ttl"].as_u64().unwrap() > 500, "{refreshed}");
    ann.send(json!({ "subscribe": { "channel": "token:y", "token": token } })).await;
    assert_eq!(ann.closed().await, 3500, "made for another channel");
    let user = UserId::new("bob").unwrap();
    let request = TokenRequest {
        user: Some(&user),
        channel: Some("token:x"),
        ttl: None,
        audience: None,
        issuer: None,
        sign_in: None,
    };
    let of_bob = issue_token(&Secret::new(SECRET), &request, &*rig.env.clock).unwrap();
    let mut ann = rig.client("ann").await;
    ann.send(subscribe(&of_bob)).await;
    assert_eq!(ann.closed().await, 3500, "made for another user");
}

#[tokio::test]
async fn a_token_may_name_channels_to_be_subscribed_to() {
    let rig = Rig::start().await;
    let (mine, other) = (rig.room(&["ann"]).await.channel(), rig.room(&["bob"]).await.channel());
    let token = hs256(&json!({ "sub": "ann", "channels": [mine, other, "lobby", "token:x", "$own", "#ann", "lobby"] }));
    let mut ann = rig.open().await;
    let reply = ann.ask(json!({ "connect": { "token": token } })).await;
    let subs: Vec<_> = reply["connect"]["subs"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(subs, ["#ann", "$own", "lobby", &mine, "token:x"], "what he may have: {reply}");
    for (channel, code) in [("nonsense:x", 102), ("room:nonsense", 102), ("#bob", 103), ("", 107)] {
        let token = hs256(&json!({ "sub": "ann", "channels": ["lobby", channel] }));
        assert_eq!(connect(&rig, &token).await, code, "{channel}: not left out without a word");
        assert_eq!(connect(&rig, &hs256(&json!({ "sub": "ann", "subs": { channel: {} } }))).await, code, "{channel}");
    }
}

#[tokio::test]
async fn a_token_may_say_more_of_the_channels_that_it_names() {
    let rig = Rig::start().await;
    let mut ann = rig.open().await;
    let says = json!({ "b64info": "eyJyb2xlIjoiZ3Vlc3QifQ==", "data": { "for": "ann" } });
    let token = hs256(&json!({ "sub": 42, "subs": { "lobby": says } }));
    let reply = ann.ask(json!({ "connect": { "token": token } })).await;
    assert_eq!(reply["connect"]["subs"]["lobby"]["data"], json!({ "for": "ann" }), "{reply}");
    let present = ann.ask(json!({ "presence": { "channel": "lobby" } })).await;
    let (_, who) = present["presence"]["presence"].as_object().unwrap().iter().next().unwrap();
    assert_eq!((&who["user"], &who["chan_info"]), (&json!("42"), &json!({ "role": "guest" })));
    let token = hs256(&json!({ "sub": "42", "channel": "token:x", "b64data": "WzFd", "b64info": "WzJd" }));
    let reply = ann.ask(json!({ "subscribe": { "channel": "token:x", "token": token } })).await;
    assert_eq!(reply["subscribe"]["data"], json!([1]), "{reply}");
}

#[tokio::test]
async fn private_channels_and_those_of_named_users_take_a_token_of_others() {
    let rig = Rig::start().await;
    let (mut ann, mut bob) = (rig.client("ann").await, rig.client("bob").await);
    for channel in ["$secret", "dialog#ann,carl"] {
        let subscribe = |token: &str| json!({ "subscribe": { "channel": channel, "token": token } });
        assert_eq!(bob.ask(subscribe("")).await["error"]["code"], 103, "{channel}");
        let token = rig.token_for(Some("bob"), Some(channel), None);
        assert!(bob.ask(subscribe(&token)).await["subscribe"].is_object(), "{channel}");
    }
    assert!(ann.ask(json!({ "subscribe": { "channel": "dialog#ann,carl" } })).await["subscribe"].is_object());
}
