//! How long it takes until a user hears of a room that somebody else has made: by the relay of a server, and by one that stands alone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;
use crate::api::auth::{TokenRequest, issue_token};
use crate::api::http::{Listener, Options as Http};

/// Rooms that are made, each by the next of several users.
const ROOMS_MADE: usize = 200;

/// A socket of a user, connected.
async fn socket(address: SocketAddr, config: &Config, user: &UserId) -> WebSocketStream<TcpStream> {
    let secret = config.auth.hmac_secret.as_ref().expect("the one of the development mode");
    let request =
        TokenRequest { user: Some(user), channel: None, ttl: None, audience: None, issuer: None, sign_in: None };
    let token = issue_token(secret, &request, &*Env::system().clock).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = client_async(format!("ws://{address}/connection/websocket"), stream).await.unwrap();
    let connect = json!({ "id": 1, "connect": { "token": token } }).to_string();
    socket.send(Message::text(connect)).await.unwrap();
    until_said(&mut socket, "\"connect\"").await;
    socket
}

/// Reads until it says this.
async fn until_said(socket: &mut WebSocketStream<TcpStream>, words: &str) {
    let said = async {
        loop {
            let message = socket.next().await.expect("it is open").unwrap();
            if message.to_text().is_ok_and(|text| text.contains(words)) {
                return;
            }
            if message.to_text().is_ok_and(|text| text.trim() == "{}") {
                socket.send(Message::text("{}")).await.unwrap();
            }
        }
    };
    within("it is said", said).await;
}

/// Times from the request, and from its answer, until the other hears of it.
async fn measure(what: &str, config: &Config) {
    let rig = Rig::of(config.clone()).await;
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let (address, stop) = (listener.address(), Shutdown::new());
    let options = Http::public(&config.limits);
    let serving = tokio::spawn(listener.serve(rig.engine.routes(), options, Arc::new(Metrics::new()), stop.clone()));
    let bob = UserId::new("bob").unwrap();
    let mut socket = socket(address, config, &bob).await;
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    for n in 0..ROOMS_MADE {
        let host = UserId::new(&format!("{}{n}", what.replace(' ', "-"))).unwrap();
        let begin = Instant::now();
        let room = json!({ "kind": "direct", "user": bob.to_string() });
        let made = call(&rig.handlers, &host, "room.create", &room).await.unwrap();
        let answer = Instant::now();
        until_said(&mut socket, made["room"].as_str().unwrap()).await;
        asked.push(begin.elapsed());
        answered.push(answer.elapsed());
        // Pauses: whatever follows from it is over, too; the next one comes to a quiet node.
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    for (from, mut times) in [("request", asked), ("answer", answered)] {
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_millis();
        println!("{what}, from the {from}: p50 {} ms, p90 {} ms, p99 {} ms", at(50), at(90), at(99));
    }
    drop(socket);
    stop.begin();
    serving.await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures, with brokers: `cargo test --lib -- --ignored --nocapture how_long_it_takes_until_a_user_hears`"]
async fn how_long_it_takes_until_a_user_hears_of_a_room() {
    let engines = Engines::start().await;
    let database = engines.postgres.fresh().await;
    let all = engines.config("all", &database);
    measure("inside", &all).await;
    let api = api(engines.config("api", &database));
    let workers = [worker(&api).await, worker_of(&api, WorkerKind::Realtime).await];
    measure("apart", &api).await;
    for worker in workers {
        within("it stops", worker.stop()).await.unwrap();
    }
}
