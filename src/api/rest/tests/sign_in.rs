//! Accounts over HTTP, and what becomes of sockets when they are taken back.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::support::{Answer, Rig};
use crate::testing::{found, within};

const PASSWORD: &str = "correct horse battery";

impl Rig {
    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, &[], body).await
    }

    /// Makes an account and gives its tokens.
    async fn registered(&self, name: &str) -> Value {
        let made = self.post("/api/auth/register", json!({"username": name, "password": PASSWORD})).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.body
    }

    async fn as_bearer(&self, tokens: &Value, method: &str, path: &str, body: Value) -> Answer {
        let header = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        self.send(method, path, &[("authorization", &header)], body).await
    }

    async fn refreshed(&self, tokens: &Value) -> Answer {
        self.post("/api/auth/refresh", json!({"refresh_token": tokens["refresh_token"]})).await
    }

    /// A socket that has connected with the access token; its first answer.
    async fn socket(&self, tokens: &Value) -> (WebSocketStream<TcpStream>, Message) {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let url = format!("ws://{}/connection/websocket", self.address);
        let (mut socket, _) = client_async(url, stream).await.unwrap();
        let connect = json!({"id": 1, "connect": {"token": tokens["access_token"]}});
        socket.send(Message::text(connect.to_string())).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap();
        (socket, answer)
    }
}

fn close_code(message: &Message) -> Option<u16> {
    match message {
        Message::Close(Some(frame)) => Some(frame.code.into()),
        _ => None,
    }
}

/// Waits for the close frame; a socket that lives is the failure of the test.
async fn closed(mut socket: WebSocketStream<TcpStream>) -> u16 {
    let closing = async {
        loop {
            if let Some(code) = close_code(&socket.next().await.unwrap().unwrap()) {
                return code;
            }
        }
    };
    within("it is closed", closing).await
}

#[tokio::test]
async fn who_registers_is_signed_in_and_comes_back_with_name_or_address() {
    let rig = Rig::start().await;
    let new = json!({"username": "Ada", "password": PASSWORD, "email": "ada@example.com", "first_name": "Ada"});
    let made = rig.post("/api/auth/register", new).await;
    assert_eq!((made.status, &made.body["user"]["username"]), (201, &json!("ada")), "{made:?}");
    assert_eq!(made.body["expires_in"], 900);
    for who in [json!({"username": "ADA"}), json!({"email": "Ada@example.com"})] {
        let mut login = who.clone();
        login["password"] = json!(PASSWORD);
        let tokens = rig.post("/api/auth/login", login.clone()).await;
        assert_eq!((tokens.status, &tokens.body["user"]["id"]), (200, &made.body["user"]["id"]), "{who}");
        login["password"] = json!("wrong horse battery");
        assert_eq!(rig.post("/api/auth/login", login).await.refusal(), (401, "wrong_credentials"));
    }
    let unknown = json!({"username": "nobody", "password": PASSWORD});
    assert_eq!(rig.post("/api/auth/login", unknown).await.refusal(), (401, "wrong_credentials"));
    let me = rig.as_bearer(&made.body, "GET", "/api/users/me", Value::Null).await;
    assert_eq!((&me.body["email"], &me.body["first_name"]), (&json!("ada@example.com"), &json!("Ada")));
    let taken = rig.post("/api/auth/register", json!({"username": "ada", "password": PASSWORD})).await;
    assert_eq!(taken.refusal(), (409, "username_taken"));
    let taken = json!({"username": "eve", "password": PASSWORD, "email": "ADA@example.com"});
    assert_eq!(rig.post("/api/auth/register", taken).await.refusal(), (409, "email_taken"));
    for (username, password) in [("x", PASSWORD), ("a\r\nb", PASSWORD), ("carol", "short")] {
        let bad = rig.post("/api/auth/register", json!({"username": username, "password": password})).await;
        assert_eq!(bad.refusal(), (400, "bad_request"), "{username:?}");
    }
}

#[tokio::test]
async fn a_refresh_token_counts_once_and_a_stolen_one_ends_the_sign_in() {
    let rig = Rig::start().await;
    let first = rig.registered("ada").await;
    let second = rig.refreshed(&first).await;
    assert_eq!(second.status, 200, "{second:?}");
    let lost = rig.refreshed(&first).await;
    assert_eq!(lost.body["refresh_token"], second.body["refresh_token"], "an answer that was lost is given again");
    let third = rig.refreshed(&second.body).await;
    assert_eq!(third.status, 200, "{third:?}");
    let (socket, _) = rig.socket(&third.body).await;
    assert_eq!(rig.refreshed(&first).await.refusal(), (401, "signed_out"), "it was exchanged twice before");
    assert_eq!(closed(socket).await, 3500);
    assert_eq!(rig.refreshed(&third.body).await.refusal(), (401, "signed_out"));
    let me = rig.as_bearer(&third.body, "GET", "/api/users/me", Value::Null).await;
    assert_eq!(me.refusal(), (401, "unauthorized"));
    for token in ["", "x", "x.y", "00000000000000000000000000000007.abc"] {
        let refused = rig.post("/api/auth/refresh", json!({"refresh_token": token})).await;
        assert_eq!(refused.refusal(), (401, "signed_out"), "{token}");
    }
}

#[tokio::test]
async fn a_secret_that_somebody_made_up_ends_no_sign_in() {
    let rig = Rig::start().await;
    let mine = rig.registered("ada").await;
    let (id, secret) = mine["refresh_token"].as_str().unwrap().split_once('.').unwrap();
    let mut close = secret.to_owned();
    close.replace_range(..1, if secret.starts_with('0') { "1" } else { "0" });
    for made_up in ["", "00", &close, &secret[1..], &"0".repeat(secret.len())] {
        let refused = rig.post("/api/auth/refresh", json!({"refresh_token": format!("{id}.{made_up}")})).await;
        assert_eq!(refused.refusal(), (401, "signed_out"), "{made_up}");
    }
    assert_eq!(rig.refreshed(&mine).await.status, 200, "who made them up knows the id only");
    let user = uuid::Uuid::parse_str(mine["user"]["id"].as_str().unwrap()).unwrap();
    assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 4, "nothing of it follows from {user}");
}

#[tokio::test]
async fn a_sign_in_ends_at_its_age_however_often_it_is_used() {
    let rig = Rig::with(|config| config.auth.sign_in_ttl = Duration::from_secs(3_600)).await;
    let tokens = rig.registered("ada").await;
    let listed = rig.as_bearer(&tokens, "GET", "/api/auth/sessions", Value::Null).await.body;
    let next = rig.refreshed(&tokens).await.body;
    let later = rig.as_bearer(&next, "GET", "/api/auth/sessions", Value::Null).await.body;
    let end = |listed: &Value| listed["sessions"][0]["expires_at"].as_u64().unwrap();
    let begun = listed["sessions"][0]["created_at"].as_u64().unwrap();
    assert_eq!((end(&listed), end(&later)), (begun + 3_600_000, begun + 3_600_000), "use does not move it");
}

#[tokio::test]
async fn signing_out_closes_the_sockets_of_that_sign_in_and_holds_after_a_restart() {
    let rig = Rig::start().await;
    let here = rig.registered("ada").await;
    let there = rig.post("/api/auth/login", json!({"username": "ada", "password": PASSWORD})).await.body;
    let ((socket, _), (mut other, _)) = (rig.socket(&here).await, rig.socket(&there).await);
    let listed = rig.as_bearer(&here, "GET", "/api/auth/sessions", Value::Null).await;
    let current: Vec<_> =
        listed.body["sessions"].as_array().unwrap().iter().map(|one| one["current"] == true).collect();
    assert_eq!(current, [true, false], "{listed:?}");
    assert_eq!(rig.as_bearer(&here, "POST", "/api/auth/logout", json!({})).await.status, 204);
    assert_eq!(closed(socket).await, 3500);
    other.send(Message::text(r#"{"id":2,"ping":{}}"#)).await.unwrap();
    assert!(matches!(other.next().await.unwrap().unwrap(), Message::Text(_)), "the other one lives");

    let rig = rig.restart(|_| ()).await;
    let refused = rig.as_bearer(&here, "GET", "/api/users/me", Value::Null).await;
    assert_eq!(refused.refusal(), (401, "unauthorized"));
    let (_, answer) = rig.socket(&here).await;
    assert_eq!(close_code(&answer), Some(3500), "{answer:?}");
    assert_eq!(rig.refreshed(&here).await.refusal(), (401, "signed_out"));
    assert_eq!(rig.as_bearer(&there, "GET", "/api/users/me", Value::Null).await.status, 200);
}

#[tokio::test]
async fn who_signs_out_is_pushed_nothing_any_more() {
    let rig = Rig::start().await;
    let tokens = rig.registered("ada").await;
    let user = crate::ids::UserId::new(tokens["user"]["id"].as_str().unwrap()).unwrap();
    let known = async |expected: &[&str]| {
        found("the devices are these", async || {
            let rows = rig.engine.as_ref().unwrap().node().store().user(&user).await.unwrap();
            let known: Vec<String> = rows.devices.into_iter().map(|row| row.device.to_string()).collect();
            (known == expected).then_some(())
        })
        .await
    };
    for device in ["phone", "tablet", "watch"] {
        let path = format!("/api/users/me/devices/{device}");
        let told = rig.as_bearer(&tokens, "PUT", &path, json!({"push_token": "t"})).await;
        assert_eq!(told.status, 200, "{told:?}");
    }
    known(&["phone", "tablet", "watch"]).await;
    assert_eq!(rig.as_bearer(&tokens, "POST", "/api/auth/logout", json!({"device": "tablet"})).await.status, 204);
    known(&["phone", "watch"]).await;
    let again = rig.post("/api/auth/login", json!({"username": "ada", "password": PASSWORD})).await.body;
    assert_eq!(rig.as_bearer(&again, "POST", "/api/auth/logout", json!({"all": true})).await.status, 204);
    known(&[]).await;
}

#[tokio::test]
async fn another_password_ends_all_other_sign_ins() {
    let rig = Rig::start().await;
    let here = rig.registered("ada").await;
    let there = rig.post("/api/auth/login", json!({"username": "ada", "password": PASSWORD})).await.body;
    let (socket, _) = rig.socket(&there).await;
    let wrong = json!({"current_password": "wrong horse battery", "new_password": "another horse"});
    assert_eq!(rig.as_bearer(&here, "POST", "/api/auth/password", wrong).await.refusal(), (401, "wrong_credentials"));
    let right = json!({"current_password": PASSWORD, "new_password": "another horse"});
    assert_eq!(rig.as_bearer(&here, "POST", "/api/auth/password", right).await.status, 204);
    assert_eq!(closed(socket).await, 3500);
    assert_eq!(rig.as_bearer(&here, "GET", "/api/users/me", Value::Null).await.status, 200);
    let old = rig.post("/api/auth/login", json!({"username": "ada", "password": PASSWORD})).await;
    assert_eq!(old.refusal(), (401, "wrong_credentials"));
    let new = rig.post("/api/auth/login", json!({"username": "ada", "password": "another horse"})).await;
    assert_eq!(new.status, 200);
}

#[tokio::test]
async fn a_banned_user_has_no_token_that_counts() {
    let rig = Rig::start().await;
    let tokens = rig.registered("ada").await;
    let (socket, _) = rig.socket(&tokens).await;
    let user = crate::ids::UserId::new(tokens["user"]["id"].as_str().unwrap()).unwrap();
    let engine = rig.engine.as_ref().unwrap();
    assert_eq!(engine.accounts().ban(&user, true).await.unwrap(), 1);
    assert_eq!(closed(socket).await, 3503);
    let of_back_end = rig.call(user.as_str(), "GET", "/api/chats", Value::Null).await;
    assert_eq!(of_back_end.refusal(), (401, "unauthorized"));
    let login = rig.post("/api/auth/login", json!({"username": "ada", "password": PASSWORD})).await;
    assert_eq!(login.refusal(), (403, "banned"));
    let rig = rig.restart(|_| ()).await;
    assert_eq!(rig.call(user.as_str(), "GET", "/api/chats", Value::Null).await.status, 401);
    rig.engine.as_ref().unwrap().accounts().ban(&user, false).await.unwrap();
    assert_eq!(rig.call(user.as_str(), "GET", "/api/chats", Value::Null).await.status, 200);
}

#[tokio::test]
async fn who_is_signed_out_by_the_operator_has_no_token_that_counts_and_signs_in_again() {
    let rig = Rig::start().await;
    let tokens = rig.registered("ada").await;
    let (socket, _) = rig.socket(&tokens).await;
    let user = crate::ids::UserId::new(tokens["user"]["id"].as_str().unwrap()).unwrap();
    let of_back_end = format!("Bearer {}", rig.token(user.as_str()));
    rig.engine.as_ref().unwrap().accounts().revoke_tokens(&user).await.unwrap();
    assert_eq!(closed(socket).await, 3500);
    let asked =
        async |token: &str| rig.send("GET", "/api/chats", &[("authorization", token)], Value::Null).await.status;
    assert_eq!(asked(&of_back_end).await, 401, "a back end's of before is refused, too");
    assert_eq!(rig.refreshed(&tokens).await.refusal(), (401, "signed_out"));
    let login = json!({"username": "ada", "password": PASSWORD});
    assert_eq!(rig.post("/api/auth/login", login).await.status, 200, "it is no ban");
}

#[tokio::test]
async fn what_is_shown_and_not_good_is_counted_by_what_it_is() {
    let rig = Rig::with(|config| config.limits.sign_ins_per_minute = 3).await;
    let login = json!({"username": "nobody", "password": PASSWORD});
    assert_eq!(rig.post("/api/auth/login", login).await.status, 401);
    assert_eq!(rig.post("/api/auth/refresh", json!({"refresh_token": "x.y"})).await.status, 401);
    let send =
        async |name: &str, value: &str, path: &str| rig.send("POST", path, &[(name, value)], json!({})).await.status;
    assert_eq!(send("authorization", "Bearer x.y.z", "/api/chats").await, 401);
    assert_eq!(send("authorization", "", "/api/chats").await, 401, "nothing is shown");
    assert_eq!(send("x-api-key", "a key that is not it", "/api/info").await, 401);
    let (_, answer) = rig.socket(&json!({"access_token": "x.y.z"})).await;
    assert_eq!(close_code(&answer), Some(3500), "{answer:?}");
    let metrics = rig.metrics.page();
    for (kind, count) in [("sign_in", 1), ("refresh", 1), ("token", 2), ("api_key", 1)] {
        let line = format!("kervan_auth_failures_total{{reason=\"{kind}\"}} {count}\n");
        assert!(metrics.contains(&line), "{kind}: {metrics}");
    }
}

#[tokio::test]
async fn what_a_token_grants_ends_with_expire_at_over_rest_as_well() {
    let rig = Rig::start().await;
    let key = jsonwebtoken::EncodingKey::from_secret(super::support::SECRET.as_bytes());
    let asked = async |expire_at: u64| {
        let claims = json!({"sub": "ann", "expire_at": expire_at});
        let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
        rig.send("GET", "/api/chats", &[("authorization", &format!("Bearer {token}"))], Value::Null).await
    };
    assert_eq!(asked(1_000).await.refusal(), (401, "token_expired"));
    assert_eq!(asked(0).await.status, 200, "never");
    assert_eq!(asked(99_999_999_999).await.status, 200);
}

#[tokio::test]
async fn keys_are_rotated_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.toml");
    let key =
        |kid: &str| format!("[[keys]]\nkid = \"{kid}\"\nsecret = \"the secret of {kid}, which is long enough\"\n");
    std::fs::write(&file, key("one")).unwrap();
    let path = file.clone();
    let rig = Rig::with(move |config| config.auth.keys_file = Some(path)).await;
    let first = rig.registered("ada").await;
    std::fs::write(&file, key("one") + &key("two")).unwrap();
    rig.engine.as_ref().unwrap().accounts().upkeep().await;
    let second = rig.refreshed(&first).await.body;
    let kid = |tokens: &Value| {
        jsonwebtoken::decode_header(tokens["access_token"].as_str().unwrap().as_bytes()).unwrap().kid.unwrap()
    };
    assert_eq!((kid(&first), kid(&second)), ("one".to_owned(), "two".to_owned()));
    let good = async |tokens: &Value| rig.as_bearer(tokens, "GET", "/api/users/me", Value::Null).await.status;
    assert_eq!((good(&first).await, good(&second).await), (200, 200));
    std::fs::write(&file, key("two")).unwrap();
    rig.engine.as_ref().unwrap().accounts().upkeep().await;
    assert_eq!((good(&first).await, good(&second).await), (401, 200));
    std::fs::write(&file, "not a key").unwrap();
    rig.engine.as_ref().unwrap().accounts().upkeep().await;
    assert_eq!(good(&second).await, 200, "a bad file changes nothing");
}

#[tokio::test]
async fn attempts_from_one_address_are_bounded_and_only_trusted_proxies_name_another() {
    let rig = Rig::with(|config| config.limits.sign_ins_per_minute = 2).await;
    let login = json!({"username": "nobody", "password": PASSWORD});
    for status in [401, 401, 429] {
        let headers = [("x-forwarded-for", "198.51.100.7")];
        assert_eq!(rig.send("POST", "/api/auth/login", &headers, login.clone()).await.status, status);
    }
    let rig = Rig::with(|config| {
        config.limits.sign_ins_per_minute = 1;
        config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    for (address, status) in [
        ("198.51.100.7", 401),
        ("198.51.100.8", 401),
        ("198.51.100.7", 429),
        ("2001:db8::1", 401),
        ("2001:db8::ffff:2", 429),
        ("2001:db8:0:1::1", 401),
    ] {
        let answer = rig.send("POST", "/api/auth/login", &[("x-forwarded-for", address)], login.clone()).await;
        assert_eq!(answer.status, status, "{address}");
    }
}

#[tokio::test]
async fn guesses_at_one_account_are_bounded_and_its_owner_gets_in_from_where_he_was() {
    let rig = Rig::with(|config| {
        config.limits.guesses_per_minute = 2;
        config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let try_from = async |address: &str, name: &str, password: &str| {
        let login = json!({"username": name, "password": password});
        rig.send("POST", "/api/auth/login", &[("x-forwarded-for", address)], login).await.status
    };
    let new = json!({"username": "ada", "password": PASSWORD, "email": "ada@example.com"});
    let home = [("x-forwarded-for", "192.0.2.1")];
    assert_eq!(rig.send("POST", "/api/auth/register", &home, new).await.status, 201);
    for name in ["ada", "nobody"] {
        let first = try_from("198.51.100.1", name, "wrong horse").await;
        let second = try_from("198.51.100.2", name, "wrong horse").await;
        assert_eq!((first, second, try_from("198.51.100.3", name, "wrong horse").await), (401, 401, 429), "{name}");
    }
    assert_eq!(try_from("198.51.100.4", "ada@example.com", PASSWORD).await, 429, "the address is the same account");
    assert_eq!(try_from("192.0.2.1", "ada", PASSWORD).await, 200);
}

#[tokio::test]
async fn registration_can_be_closed_and_needs_a_key() {
    let rig = Rig::with(|config| config.auth.registration = Some(false)).await;
    let new = json!({"username": "ada", "password": PASSWORD});
    assert_eq!(rig.post("/api/auth/register", new).await.refusal(), (403, "registration_closed"));
    let config = rig.send("GET", "/api/config", &[], Value::Null).await;
    assert_eq!((&config.body["registration"], &config.body["development"]), (&json!(false), &json!(false)));
    let none = rig.post("/api/auth/development", json!({"user": "alice"})).await;
    assert_eq!(none.refusal(), (404, "not_found"), "nobody gets in without a password");
}

#[tokio::test]
async fn development_has_alice_and_bob_and_something_to_read() {
    let rig = Rig::with(|config| {
        config.auth.hmac_secret = Some(crate::config::Secret::new(crate::config::DEVELOPMENT_SECRET))
    })
    .await;
    for _ in 0..2 {
        rig.engine.as_ref().unwrap().provide_development().await.unwrap();
    }
    let tokens = rig.post("/api/auth/development", json!({"user": "bob"})).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let chats = rig.as_bearer(&tokens.body, "GET", "/api/chats", Value::Null).await;
    assert_eq!(
        (chats.body["rooms"].as_array().unwrap().len(), &chats.body["rooms"][0]["title"]),
        (1, &json!("Welcome"))
    );
    let id = chats.body["rooms"][0]["room"].as_str().unwrap();
    let page = rig.as_bearer(&tokens.body, "GET", &format!("/api/chats/{id}/messages"), Value::Null).await;
    assert_eq!(page.body["messages"].as_array().unwrap().len(), 5, "said once");
    assert_eq!(rig.post("/api/auth/development", json!({"user": "eve"})).await.status, 404);
}

#[tokio::test]
async fn profiles_are_changed_and_found() {
    let rig = Rig::start().await;
    let (ada, bob) = (rig.registered("ada").await, rig.registered("bob").await);
    let change = json!({"first_name": "Ada", "last_name": "Lovelace", "notification_preferences": {"mute": true}});
    let changed = rig.as_bearer(&ada, "PATCH", "/api/users/me", change).await;
    assert_eq!(
        (changed.status, &changed.body["notification_preferences"]),
        (200, &json!({"mute": true})),
        "{changed:?}"
    );
    let again = rig.as_bearer(&ada, "PATCH", "/api/users/me", json!({"first_name": "Augusta"})).await;
    assert_eq!(
        (&again.body["last_name"], &again.body["notification_preferences"]["mute"]),
        (&json!("Lovelace"), &json!(true))
    );
    for q in ["ad", "AUGUSTA%20love"] {
        let found = rig.as_bearer(&bob, "GET", &format!("/api/users?q={q}"), Value::Null).await;
        assert_eq!(found.body["users"][0]["id"], ada["user"]["id"], "{q} {found:?}");
        assert!(found.body["users"][0]["email"].is_null(), "an address is nobody else's business");
    }
    let id = ada["user"]["id"].as_str().unwrap();
    assert_eq!(
        rig.as_bearer(&bob, "GET", &format!("/api/users/{id}"), Value::Null).await.body["first_name"],
        "Augusta"
    );
    assert_eq!(rig.as_bearer(&bob, "GET", "/api/users/nobody", Value::Null).await.refusal(), (404, "not_found"));
    let script = rig.as_bearer(&ada, "PATCH", "/api/users/me", json!({"avatar_url": "javascript:alert(1)"})).await;
    assert_eq!(script.refusal(), (400, "bad_request"));
}
