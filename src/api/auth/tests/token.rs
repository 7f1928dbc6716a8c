//! Tokens that must be refused, and those that must not.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::keys::Pair;
use super::*;
use crate::api::protocol::codes::{Disconnect, ErrorCode};
use crate::env::Clock as _;
use crate::ids::UserId;
use crate::limits;

const INVALID: TokenOutcome = TokenOutcome::Disconnect(Disconnect::INVALID_TOKEN);

/// A token with this header and a signature that somebody made up.
fn forged(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

async fn refused(options: AuthOptions, token: &str, error: TokenError) {
    assert_eq!(Bench::new(options).connection(token).await, Err(error));
}

#[tokio::test]
async fn every_algorithm_is_taken_with_its_own_key() {
    let bench = Bench::new(all_keys());
    let user = Some(UserId::new("alice").unwrap());
    let expires_at = Some(Timestamp((NOW + 3600) * 1000));
    let verified = VerifiedToken { user, expires_at, ..VerifiedToken::default() };
    assert_eq!(bench.connection(&hs256(&alice())).await, Ok(verified.clone()));
    for pair in [Pair::rsa(), Pair::ec(), Pair::ed()] {
        assert_eq!(bench.connection(&pair.sign(None, &alice())).await, Ok(verified.clone()), "{:?}", pair.algorithm);
    }
}

#[tokio::test]
async fn no_token_is_anonymous_only_where_that_is_allowed() {
    refused(secret(), "", TokenError::Missing).await;
    assert_eq!(TokenError::Missing.on_connect(), TokenOutcome::Error(ErrorCode::UNAUTHORIZED));
    let open = Bench::new(AuthOptions { anonymous: true, ..secret() });
    assert_eq!(open.connection("").await, Ok(VerifiedToken::default()));
    // Given and bad: refused although none was needed.
    assert_eq!(open.connection("x").await, Err(TokenError::Malformed));
}

#[tokio::test]
async fn a_token_without_a_sub_is_an_anonymous_user() {
    let bench = Bench::new(secret());
    for claims in [json!({}), json!({"sub": ""}), json!({"sub": null})] {
        assert_eq!(bench.connection(&hs256(&claims)).await, Ok(VerifiedToken::default()), "{claims}");
    }
}

#[tokio::test]
async fn a_sub_that_is_no_possible_user_is_refused() {
    for sub in ["anon:0190", "anon:", "a\nb", &"x".repeat(limits::USER_ID_BYTES + 1)] {
        refused(secret(), &hs256(&json!({"sub": sub})), TokenError::Subject).await;
    }
    for sub in [json!(7.5), json!(true), json!([]), json!({})] {
        refused(secret(), &hs256(&json!({"sub": sub})), TokenError::Malformed).await;
    }
}

#[tokio::test]
async fn a_whole_number_is_a_user_s_id() {
    let bench = Bench::new(secret());
    for (sub, user) in
        [(json!(42), "42"), (json!(0), "0"), (json!(-1), "-1"), (json!(u64::MAX), "18446744073709551615")]
    {
        let verified = bench.connection(&hs256(&json!({"sub": sub}))).await.unwrap();
        assert_eq!(verified.user, Some(UserId::new(user).unwrap()));
    }
}

#[tokio::test]
async fn null_is_no_claim() {
    let bench = Bench::new(secret());
    let claims = [
        "exp",
        "nbf",
        "iat",
        "aud",
        "iss",
        "expire_at",
        "info",
        "b64info",
        "data",
        "b64data",
        "sid",
        "channel",
        "channels",
        "subs",
        "jti",
        "meta",
    ];
    for claim in claims {
        let verified = bench.connection(&hs256(&json!({"sub": "alice", claim: null}))).await;
        assert_eq!(verified.map(|verified| verified.user), Ok(Some(UserId::new("alice").unwrap())), "{claim}");
    }
    refused(secret(), &hs256(&json!(["alice", null, null])), TokenError::Malformed).await;
}

#[tokio::test]
async fn alg_none_is_refused_in_every_spelling() {
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        for signature in ["", "AAAA"] {
            let token = forged(&json!({"alg": alg, "typ": "JWT"}), &alice(), signature);
            refused(all_keys(), &token, TokenError::Algorithm).await;
        }
    }
    assert_eq!(TokenError::Algorithm.on_connect(), INVALID);
    refused(all_keys(), &forged(&json!({"typ": "JWT"}), &alice(), ""), TokenError::Malformed).await;
}

#[tokio::test]
async fn a_public_key_is_never_taken_as_a_secret() {
    for pair in [Pair::rsa(), Pair::ec(), Pair::ed()] {
        // What a forger has: the public key, in any of its forms, used as the secret of HS256.
        for secret in [pair.public_pem.as_bytes(), pair.public_pem.trim_end().as_bytes()] {
            let token = encode(&Header::new(Algorithm::HS256), &alice(), &EncodingKey::from_secret(secret)).unwrap();
            refused(all_keys(), &token, TokenError::Signature).await;
            let without_secret = AuthOptions { hmac_secret: None, ..all_keys() };
            refused(without_secret, &token, TokenError::Algorithm).await;
        }
    }
}

#[tokio::test]
async fn other_algorithms_of_the_same_key_are_refused() {
    let other = |algorithm, key| encode(&Header::new(algorithm), &alice(), key).unwrap();
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    refused(all_keys(), &other(Algorithm::HS512, &secret), TokenError::Algorithm).await;
    for algorithm in [Algorithm::RS512, Algorithm::PS256] {
        refused(all_keys(), &other(algorithm, &Pair::rsa().signing), TokenError::Algorithm).await;
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused() {
    let token = encode(&Header::new(Algorithm::HS256), &alice(), &EncodingKey::from_secret(b"another")).unwrap();
    refused(all_keys(), &token, TokenError::Signature).await;
    refused(all_keys(), &Pair::new_ed().sign(None, &alice()), TokenError::Signature).await;
    refused(secret(), &Pair::ed().sign(None, &alice()), TokenError::Algorithm).await;
    // A key that comes along in the header is nobody's.
    let stranger = Pair::new_ed();
    let header = json!({"alg": "EdDSA", "jwk": stranger.jwk, "jku": "http://127.0.0.1:1/keys"});
    refused(all_keys(), &forged(&header, &alice(), "AAAA"), TokenError::Signature).await;
    assert_eq!(TokenError::Signature.on_connect(), INVALID);
}

#[tokio::test]
async fn a_changed_token_is_refused() {
    let good = hs256(&alice());
    let parts: Vec<_> = good.split('.').collect();
    let mallory = URL_SAFE_NO_PAD.encode(json!({"sub": "mallory"}).to_string());
    let changed = format!("{}.{mallory}.{}", parts[0], parts[2]);
    refused(secret(), &changed, TokenError::Signature).await;
    refused(secret(), &format!("{}.{}.", parts[0], parts[1]), TokenError::Signature).await;
}

#[tokio::test]
async fn an_expired_token_asks_for_a_new_one() {
    let bench = Bench::new(secret());
    let token = hs256(&json!({"sub": "alice", "exp": NOW + 10}));
    assert!(bench.connection(&token).await.is_ok());
    bench.clock.set(Timestamp((NOW + 10) * 1000 - 1));
    assert!(bench.connection(&token).await.is_ok());
    bench.clock.advance(1);
    assert_eq!(bench.connection(&token).await, Err(TokenError::Expired));
    assert_eq!(TokenError::Expired.on_connect(), TokenOutcome::Error(ErrorCode::TOKEN_EXPIRED));
    assert_eq!(TokenError::Expired.on_subscribe(), TokenOutcome::Error(ErrorCode::TOKEN_EXPIRED));
    assert_eq!(TokenError::Expired.on_refresh(), TokenOutcome::Disconnect(Disconnect::EXPIRED));
    assert_eq!(TokenError::Expired.on_sub_refresh(), TokenOutcome::Disconnect(Disconnect::SUB_EXPIRED));
    for exp in [json!(0), json!(-5), json!(1.5)] {
        refused(secret(), &hs256(&json!({"exp": exp})), TokenError::Expired).await;
    }
}

#[tokio::test]
async fn a_token_that_is_not_valid_yet_is_refused() {
    let bench = Bench::new(secret());
    let token = hs256(&json!({"sub": "alice", "nbf": NOW + 10}));
    assert_eq!(bench.connection(&token).await, Err(TokenError::NotYetValid));
    assert_eq!(TokenError::NotYetValid.on_connect(), TokenOutcome::Error(ErrorCode::TOKEN_EXPIRED));
    assert_eq!(TokenError::NotYetValid.on_subscribe(), TokenOutcome::Error(ErrorCode::TOKEN_EXPIRED));
    assert_eq!(TokenError::NotYetValid.on_refresh(), TokenOutcome::Disconnect(Disconnect::EXPIRED));
    bench.clock.advance(10_000);
    assert!(bench.connection(&token).await.is_ok());
}

#[tokio::test]
async fn leeway_bears_clocks_that_are_off() {
    let bench = Bench::new(AuthOptions { leeway: Duration::from_secs(30), ..secret() });
    assert!(bench.connection(&hs256(&json!({"nbf": NOW + 30, "exp": NOW - 29}))).await.is_ok());
    assert_eq!(bench.connection(&hs256(&json!({"nbf": NOW + 31}))).await, Err(TokenError::NotYetValid));
    assert_eq!(bench.connection(&hs256(&json!({"exp": NOW - 30}))).await, Err(TokenError::Expired));
}

#[tokio::test]
async fn dates_that_cannot_be_read_do_not_count_as_absent() {
    for claims in [json!({"exp": "tomorrow"}), json!({"nbf": {}}), json!({"exp": [1]}), json!({"expire_at": "x"})] {
        refused(secret(), &hs256(&claims), TokenError::Malformed).await;
    }
    // Far away is not never, but close to it.
    let verified = Bench::new(secret()).connection(&hs256(&json!({"exp": u64::MAX}))).await.unwrap();
    assert_eq!(verified.expires_at, Some(Timestamp(u64::MAX)));
}

#[tokio::test]
async fn audience_and_issuer_are_required_where_they_are_configured() {
    let options = || AuthOptions { audience: Some("chat".into()), issuer: Some("login".into()), ..secret() };
    let bench = Bench::new(options());
    for aud in [json!("chat"), json!(["shop", "chat"])] {
        assert!(bench.connection(&hs256(&json!({"aud": aud, "iss": "login"}))).await.is_ok());
    }
    for claims in [json!({"iss": "login"}), json!({"aud": "shop", "iss": "login"}), json!({"aud": [], "iss": "login"})]
    {
        refused(options(), &hs256(&claims), TokenError::Audience).await;
    }
    refused(options(), &hs256(&json!({"aud": {"x": 1}, "iss": "login"})), TokenError::Malformed).await;
    for claims in [json!({"aud": "chat"}), json!({"aud": "chat", "iss": "elsewhere"})] {
        refused(options(), &hs256(&claims), TokenError::Issuer).await;
    }
    // For somebody else and expired: not told to come back with a new one.
    refused(options(), &hs256(&json!({"aud": "shop", "exp": 1})), TokenError::Audience).await;
    // Not configured: not looked at.
    assert!(Bench::new(secret()).connection(&hs256(&json!({"aud": "shop", "iss": "x"}))).await.is_ok());
}

#[tokio::test]
async fn a_token_of_a_megabyte_is_not_looked_at() {
    refused(secret(), &"x".repeat(1_000_000), TokenError::TooLong).await;
    let long = hs256(&json!({"sub": "alice", "info": "x".repeat(limits::TOKEN_BYTES)}));
    refused(secret(), &long, TokenError::TooLong).await;
    assert_eq!(TokenError::TooLong.on_connect(), INVALID);
}

#[tokio::test]
async fn garbage_is_refused_without_a_panic() {
    let good = hs256(&alice());
    let mut garbage: Vec<String> =
        ["x", ".", "..", "...", "a.b.c", "é.é.é", "e30.e30.e30", "\0\0\0", " "].map(str::to_owned).into();
    garbage.push(format!("{good}."));
    garbage.push(format!(".{good}"));
    garbage.push(forged(&json!({"alg": ["HS256"]}), &alice(), "AA"));
    garbage.push(forged(&json!([]), &alice(), "AA"));
    for token in garbage {
        let error = Bench::new(all_keys()).connection(&token).await.unwrap_err();
        assert_eq!(error.on_connect(), INVALID, "{token:?}");
    }
    // Every cut and every changed byte of a good token.
    let bench = Bench::new(secret());
    for at in 0..good.len() {
        assert!(bench.connection(&good[..at]).await.is_err(), "cut at {at}");
    }
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'#' { b'%' } else { b'#' };
        assert!(bench.connection(std::str::from_utf8(&bytes).unwrap()).await.is_err(), "changed at {at}");
    }
}

#[tokio::test]
async fn a_critical_header_that_is_not_understood_is_refused() {
    let header = Header { crit: Some(vec!["b64".into()]), ..Header::new(Algorithm::HS256) };
    let token = encode(&header, &alice(), &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();
    refused(secret(), &token, TokenError::Malformed).await;
}

#[tokio::test]
async fn info_is_json_as_it_stands_and_bounded() {
    let bench = Bench::new(secret());
    let verified = bench.connection(&hs256(&json!({"info": {"name": "Alice"}}))).await.unwrap();
    assert_eq!(verified.info.as_deref(), Some(&br#"{"name":"Alice"}"#[..]));
    assert_eq!(bench.connection(&hs256(&json!({"info": null}))).await.unwrap().info, None);
    let coded = bench.connection(&hs256(&json!({"b64info": "eyJuIjoyfQ==", "info": 1}))).await.unwrap();
    assert_eq!(coded.info.as_deref(), Some(&br#"{"n":2}"#[..]));
    for coded in ["%", "/w==", "e30", "W1s="] {
        refused(secret(), &hs256(&json!({"b64info": coded})), TokenError::Malformed).await;
    }
    let deep = (0..limits::JSON_DEPTH + 1).fold(json!(1), |inner, _| json!([inner]));
    refused(secret(), &hs256(&json!({"info": deep})), TokenError::Malformed).await;
}

#[tokio::test]
async fn expire_at_stands_above_exp() {
    let bench = Bench::new(secret());
    let expires = async |claims| bench.connection(&hs256(&claims)).await.unwrap().expires_at;
    assert_eq!(expires(json!({"exp": NOW + 5, "expire_at": NOW + 9})).await, Some(Timestamp((NOW + 9) * 1000)));
    assert_eq!(expires(json!({"exp": NOW + 5, "expire_at": 0})).await, None);
    assert_eq!(expires(json!({})).await, None);
    refused(secret(), &hs256(&json!({"expire_at": NOW - 1})), TokenError::Expired).await;
}

#[tokio::test]
async fn channels_are_handed_on_and_bounded() {
    let bench = Bench::new(secret());
    let verified = bench.connection(&hs256(&json!({"channels": ["news", "a:b"]}))).await.unwrap();
    assert_eq!(verified.subs.keys().collect::<Vec<_>>(), ["a:b", "news"]);
    let info = json!({"info": {"n": 1}, "b64data": "WzJd", "override": {"presence": {"value": true}}});
    let token = hs256(&json!({"channels": ["news", "a"], "subs": {"a": info, "b": null, "c": {}}}));
    let subs = bench.connection(&token).await.unwrap().subs;
    assert_eq!(subs.keys().collect::<Vec<_>>(), ["a", "b", "c", "news"]);
    assert_eq!(subs["a"], TokenSub { info: Some(r#"{"n":1}"#.into()), data: "[2]".into() });
    for bad in [json!({"a": []}), json!({"a": 1}), json!({"a": {"b64info": "%"}}), json!([])] {
        refused(secret(), &hs256(&json!({"subs": bad})), TokenError::Malformed).await;
    }
    let many = vec!["x"; limits::SESSION_SUBSCRIPTIONS + 1];
    refused(secret(), &hs256(&json!({"channels": many})), TokenError::Malformed).await;
}

#[tokio::test]
async fn a_subscription_token_is_for_one_user_and_one_channel() {
    let bench = Bench::new(secret());
    let (alice, bob) = (UserId::new("alice").unwrap(), UserId::new("bob").unwrap());
    let token = hs256(&json!({"sub": "alice", "channel": "news", "exp": NOW + 5, "info": [1]}));
    let check = async |token: &str, channel: &str, user: Option<&UserId>| {
        bench.verifier.subscription(token, channel, user).await
    };
    let sub = TokenSub { info: Some("[1]".into()), ..TokenSub::default() };
    let grant = Grant { expires_at: Some(Timestamp((NOW + 5) * 1000)), sub };
    assert_eq!(check(&token, "news", Some(&alice)).await, Ok(grant));
    assert_eq!(check(&token, "news2", Some(&alice)).await, Err(TokenError::OtherChannel));
    assert_eq!(check(&token, "news", Some(&bob)).await, Err(TokenError::OtherUser));
    assert_eq!(check(&token, "news", None).await, Err(TokenError::OtherUser));
    assert_eq!(check("", "news", None).await, Err(TokenError::Missing));
    assert_eq!(check(&hs256(&json!({"channel": "news"})), "news", None).await.map(|g| g.sub.info), Ok(None));
    for claims in [json!({"sub": "alice"}), json!({"sub": "alice", "channel": ""})] {
        assert_eq!(check(&hs256(&claims), "news", Some(&alice)).await, Err(TokenError::WrongKind));
    }
    // It opens no connection.
    assert_eq!(bench.connection(&token).await, Err(TokenError::WrongKind));
    bench.clock.advance(5_000);
    assert_eq!(check(&token, "news", Some(&alice)).await, Err(TokenError::Expired));
    assert_eq!(TokenError::Signature.on_subscribe(), TokenOutcome::Error(ErrorCode::PERMISSION_DENIED));
    assert_eq!(TokenError::OtherUser.on_subscribe(), INVALID);
}

#[tokio::test]
async fn an_issued_token_is_taken() {
    let options = AuthOptions { audience: Some("chat".into()), issuer: Some("login".into()), ..secret() };
    let bench = Bench::new(options.clone());
    let user = UserId::new("alice").unwrap();
    let request = TokenRequest {
        user: Some(&user),
        channel: None,
        ttl: Some(Duration::from_secs(60)),
        audience: options.audience.as_deref(),
        issuer: options.issuer.as_deref(),
        sign_in: None,
    };
    let secret = Secret::new(SECRET);
    let token = issue_token(&secret, &request, bench.clock.as_ref()).unwrap();
    let verified = bench.connection(&token).await.unwrap();
    assert_eq!(verified.user.as_ref(), Some(&user));
    assert_eq!(verified.expires_at, Some(Timestamp(bench.clock.now().0 + 60_000)));
    let request = TokenRequest { channel: Some("news"), ..request };
    let token = issue_token(&secret, &request, bench.clock.as_ref()).unwrap();
    assert!(bench.verifier.subscription(&token, "news", Some(&user)).await.is_ok());
}

#[test]
fn keys_that_cannot_work_are_refused_at_the_start() {
    let new = |options| Verifier::new(options, Arc::new(ManualClock::default())).map(|_| ());
    let error = |options| new(options).unwrap_err().to_string();
    let small = Pair::new_rsa(1024).public_pem;
    assert!(error(AuthOptions { rsa_public_key: Some(small), ..secret() }).contains("2048 bits"));
    for pem in ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", &Pair::ec().public_pem] {
        let error = error(AuthOptions { rsa_public_key: Some(pem.to_owned()), ..secret() });
        assert!(error.starts_with("auth.rsa_public_key: "), "{error}");
    }
    assert!(new(AuthOptions { ecdsa_public_key: Some(Pair::ed().public_pem.clone()), ..secret() }).is_err());
    assert!(new(AuthOptions { jwks_url: Some("file:///etc/passwd".into()), ..secret() }).is_err());
}

#[test]
fn options_show_no_secret() {
    assert!(!format!("{:?}", secret()).contains(SECRET));
}
