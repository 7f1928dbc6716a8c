//! Key sets from a real HTTP server on loopback: rotation, failures, and tokens that try to drive it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::super::jwks::COOLDOWN_MS;
use super::keys::Pair;
use super::*;
use crate::api::protocol::codes::ErrorCode;
use crate::testing::{until, within};

/// A web server that gives every request the same answer, until it is told another.
struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    answer: Mutex<Option<Vec<u8>>>,
    requests: AtomicUsize,
    served: Notify,
    paths: Mutex<Vec<String>>,
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

impl Server {
    fn new(keys: &[Value]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            answer: Mutex::new(Some(ok(json!({ "keys": keys }).to_string().as_bytes()))),
            requests: AtomicUsize::new(0),
            served: Notify::new(),
            paths: Mutex::default(),
        });
        let served = shared.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(answer) = served.answer.lock().unwrap().clone() else { return };
                serve(stream.unwrap(), &answer, &served);
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    fn set_keys(&self, keys: &[Value]) {
        self.answer(ok(json!({ "keys": keys }).to_string().as_bytes()));
    }

    fn answer(&self, bytes: Vec<u8>) {
        *self.shared.answer.lock().unwrap() = Some(bytes);
    }

    fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Waits for the n-th request to be answered.
    async fn served(&self, n: usize) {
        let wait = async {
            while self.requests() < n {
                self.shared.served.notified().await;
            }
        };
        within("the request is answered", wait).await;
    }

    fn bench(&self) -> Bench {
        let url = format!("http://{}/keys", self.address);
        Bench::new(AuthOptions {
            jwks_url: Some(url),
            jwks_refresh: Duration::from_secs(300),
            ..AuthOptions::default()
        })
    }
}

fn serve(mut stream: TcpStream, answer: &[u8], shared: &Shared) {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
            _ => return,
        }
    }
    let line = String::from_utf8_lossy(&request).lines().next().unwrap().to_owned();
    shared.paths.lock().unwrap().push(line);
    // Counted before it is answered: whoever has the answer looks at the count.
    shared.requests.fetch_add(1, Ordering::SeqCst);
    // The client may hang up in the middle of what is too long for it.
    let _ = stream.write_all(answer);
    shared.served.notify_one();
}

impl Drop for Server {
    fn drop(&mut self) {
        *self.shared.answer.lock().unwrap() = None;
        let _ = TcpStream::connect(self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[tokio::test]
async fn the_kid_picks_the_key() {
    let (one, two) = (Pair::new_ed(), Pair::new_ed());
    let server = Server::new(&[one.jwk("1"), two.jwk("2"), Pair::ec().jwk("ec"), Pair::rsa().jwk("rsa")]);
    let bench = server.bench();
    for (pair, kid) in [(&one, "1"), (&two, "2"), (Pair::ec(), "ec"), (Pair::rsa(), "rsa")] {
        assert!(bench.connection(&pair.sign(Some(kid), &alice())).await.is_ok(), "{kid}");
    }
    assert_eq!(bench.connection(&one.sign(Some("2"), &alice())).await, Err(TokenError::Signature));
    assert_eq!(bench.connection(&one.sign(None, &alice())).await, Err(TokenError::UnknownKey));
    assert_eq!(server.requests(), 1, "one fetch serves all");
}

#[tokio::test]
async fn an_unknown_kid_fetches_the_set_but_not_again_within_ten_seconds() {
    let (old, new) = (Pair::new_ed(), Pair::new_ed());
    let server = Server::new(&[old.jwk("old")]);
    let bench = server.bench();
    assert!(bench.connection(&old.sign(Some("old"), &alice())).await.is_ok());

    // Rotated: the new key comes at the first token that names it, and the old one falls away.
    server.set_keys(&[new.jwk("new")]);
    bench.clock.advance(COOLDOWN_MS);
    assert!(bench.connection(&new.sign(Some("new"), &alice())).await.is_ok());
    assert_eq!(server.requests(), 2);
    bench.clock.advance(COOLDOWN_MS);
    assert_eq!(bench.connection(&old.sign(Some("old"), &alice())).await, Err(TokenError::UnknownKey));
    assert_eq!(server.requests(), 3);

    // A flood of made-up kids makes no request, and their senders may come back.
    for i in 0..100 {
        let token = old.sign(Some(&format!("made-up-{i}")), &alice());
        assert_eq!(bench.connection(&token).await, Err(TokenError::KeysUnavailable));
    }
    assert_eq!(server.requests(), 3);
    assert_eq!(TokenError::KeysUnavailable.on_connect(), TokenOutcome::Error(ErrorCode::INTERNAL));
    // Those whose key is known do not feel it.
    assert!(bench.connection(&new.sign(Some("new"), &alice())).await.is_ok());
}

#[tokio::test]
async fn many_at_once_make_one_request() {
    let pair = Arc::new(Pair::new_ed());
    let server = Server::new(&[pair.jwk("1")]);
    let bench = Arc::new(server.bench());
    // Those who only waited for the fetch know as much as the one who made it.
    let all: Vec<_> = (0..50)
        .map(|i| {
            let kid = if i % 2 == 0 { "1" } else { "2" };
            let (bench, token) = (bench.clone(), pair.sign(Some(kid), &alice()));
            tokio::spawn(async move { bench.connection(&token).await.map(|_| ()) })
        })
        .collect();
    for (i, one) in all.into_iter().enumerate() {
        let expected = if i % 2 == 0 { Ok(()) } else { Err(TokenError::UnknownKey) };
        assert_eq!(one.await.unwrap(), expected);
    }
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn an_old_set_is_fetched_in_the_background_and_withdrawn_keys_fall_away() {
    let pair = Pair::new_ed();
    let server = Server::new(&[pair.jwk("1")]);
    let bench = server.bench();
    let token = pair.sign(Some("1"), &alice());
    assert!(bench.connection(&token).await.is_ok());
    server.set_keys(&[]);
    bench.clock.advance(299_000);
    assert!(bench.connection(&token).await.is_ok());
    assert_eq!(server.requests(), 1, "not old yet");
    bench.clock.advance(1_000);
    // Served from the old set, while the new one is on its way.
    assert!(bench.connection(&token).await.is_ok());
    server.served(2).await;
    until("the old set is gone", async || bench.connection(&token).await.is_err()).await;
}

#[tokio::test]
async fn a_failing_server_keeps_the_old_keys() {
    let pair = Pair::new_ed();
    let server = Server::new(&[pair.jwk("1")]);
    let bench = server.bench();
    let token = pair.sign(Some("1"), &alice());
    assert!(bench.connection(&token).await.is_ok());
    let too_long = [b"{\"keys\":[],\"x\":\"".to_vec(), vec![b'x'; 400_000], b"\"}".to_vec()].concat();
    let failures = [
        b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
        b"HTTP/1.1 302 Found\r\nlocation: /others\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
        ok(b"no json"),
        ok(b"{\"keys\": 5}"),
        ok(&too_long),
        b"garbage\r\n\r\n".to_vec(),
        Vec::new(),
    ];
    for (i, failure) in failures.into_iter().enumerate() {
        server.answer(failure);
        bench.clock.advance(COOLDOWN_MS);
        // Whether this kid exists can't be told now: its owner may come back.
        assert_eq!(bench.connection(&pair.sign(Some("2"), &alice())).await, Err(TokenError::KeysUnavailable), "{i}");
        assert!(server.requests() >= i + 2, "{i}");
        assert!(bench.connection(&token).await.is_ok(), "{i}");
    }
    // And it recovers.
    server.set_keys(&[pair.jwk("1"), pair.jwk("2")]);
    bench.clock.advance(COOLDOWN_MS);
    assert!(bench.connection(&pair.sign(Some("2"), &alice())).await.is_ok());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_passing_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    drop(listener);
    let bench = Bench::new(AuthOptions { jwks_url: Some(url), ..AuthOptions::default() });
    let token = Pair::ed().sign(Some("1"), &alice());
    assert_eq!(bench.connection(&token).await, Err(TokenError::KeysUnavailable));
}

#[tokio::test]
async fn a_kid_is_compared_and_never_a_path() {
    let pair = Pair::new_ed();
    let server = Server::new(&[pair.jwk("1")]);
    let bench = server.bench();
    for kid in ["../../etc/passwd", "/dev/null", "1/../1", "http://127.0.0.1:1/", "1\0", "", " 1", "%31"] {
        let error = bench.connection(&pair.sign(Some(kid), &alice())).await.unwrap_err();
        assert_eq!(error, TokenError::UnknownKey, "{kid:?}");
        bench.clock.advance(COOLDOWN_MS);
    }
    let paths = server.shared.paths.lock().unwrap();
    assert!(paths.iter().all(|line| line == "GET /keys HTTP/1.1"), "{paths:?}");
}

#[tokio::test]
async fn keys_that_are_not_for_this_are_left_out_of_a_set() {
    let pair = Pair::new_ed();
    let with = |key: &str, value: Value| {
        let mut jwk = pair.jwk("1");
        jwk[key] = value;
        jwk
    };
    // What is public is no secret: the first token below would be signed with it.
    let oct = json!({"kty": "oct", "kid": "1", "k": "c2VjcmV0", "alg": "HS256"});
    let small = Pair::new_rsa(1024).jwk("1");
    for bad in [
        oct,
        small,
        with("use", json!("enc")),
        with("alg", json!("RS256")),
        with("crv", json!("Ed448")),
        with("x", json!("AAAA")),
        with("kty", json!(5)),
        json!("no object"),
    ] {
        let server = Server::new(std::slice::from_ref(&bad));
        let bench = server.bench();
        assert_eq!(bench.connection(&pair.sign(Some("1"), &alice())).await, Err(TokenError::UnknownKey), "{bad}");
        // The rest of such a set is used.
        bench.clock.advance(COOLDOWN_MS);
        server.set_keys(&[bad, pair.jwk("1")]);
        assert!(bench.connection(&pair.sign(Some("1"), &alice())).await.is_ok());
    }
    let server = Server::new(&[json!({"kty": "oct", "kid": "1", "k": "c2VjcmV0"})]);
    let key = jsonwebtoken::EncodingKey::from_secret(b"secret");
    let header = Header { kid: Some("1".into()), ..Header::new(Algorithm::HS256) };
    let token = encode(&header, &alice(), &key).unwrap();
    assert_eq!(server.bench().connection(&token).await, Err(TokenError::Algorithm));
}
