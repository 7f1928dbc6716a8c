//! `kervan-loadtest sendacks [PROGRAM] [SENDERS]`: acknowledged messages through real sockets. The server is a child, so
//! that its CPU time is its own; each sender has a socket, sends a message, waits for its acknowledgement, and sends the
//! next. Beside it, in the same run and on the same disk, the bare group-commit appender; with `KAFKA_BROKERS`, which the server
//! gets, too, a bare producer on the same brokers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use kervan::env::Env;
use tokio::sync::Mutex;

use crate::acks::{BODY, appends};
use crate::bare::{self, Layout};
use crate::bare_kafka::BareProducers;
use crate::group::GroupAppender;
use crate::measure::{Run, measure_process, median};
use crate::server::{Server, token};
use crate::socket::Socket;
use crate::sockets::{number, program};

const SENDERS: [usize; 3] = [1, 64, 1_000];
const ROUNDS: usize = 5;
const DURATION: Duration = Duration::from_secs(2);
/// Few enough that a commit has messages of several rooms, and members enough for all senders.
const ROOMS: usize = 10;
/// With Kafka, where each partition has its own batches.
const ROOMS_ON_KAFKA: usize = 500;

/// Runs the subcommand.
///
/// # Errors
/// Bad arguments, or a server that does not do its part.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let senders = match number(args, 1, 0)? {
        0 => SENDERS.to_vec(),
        one => vec![one],
    };
    let dir = std::env::temp_dir().join(format!("kervan-loadtest-sendacks-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(run(program(args), &dir, &senders));
    std::fs::remove_dir_all(&dir)?;
    done
}

/// What the server is compared with.
enum Bare {
    Disk(Arc<GroupAppender>),
    Kafka(Arc<BareProducers>),
}

impl Bare {
    async fn appends(&self, senders: usize, rooms: usize) -> Result<Run> {
        match self {
            Self::Disk(bare) => appends(bare, senders, DURATION).await,
            Self::Kafka(bare) => bare.appends(senders, rooms, DURATION).await,
        }
    }
}

async fn run(program: &str, dir: &Path, all: &[usize]) -> Result<()> {
    let brokers = std::env::var("KAFKA_BROKERS").ok().filter(|brokers| !brokers.is_empty());
    let most = if brokers.is_some() { ROOMS_ON_KAFKA } else { ROOMS };
    println!(
        "{most} rooms at most with one listener each, bodies of {BODY} bytes, {ROUNDS} rounds of {DURATION:?}, medians; CPU is \
         that of the server, or of the appender's process"
    );
    println!("senders  what      acks/s      p50      p99  CPU-us/ack  of the bare one  deliveries/ack");
    for (number, senders) in all.iter().copied().enumerate() {
        // One for each, so that none has the others' rooms and files behind it.
        let server = Server::start(program)?;
        let bare = match &brokers {
            Some(brokers) => Bare::Kafka(Arc::new(BareProducers::start(brokers).await?)),
            None => Bare::Disk(Arc::new(bare::create(&dir.join(format!("bare{number}.dat")), Layout::Growing)?)),
        };
        let rooms = if brokers.is_some() { most.min(senders) } else { most };
        let stage = Stage::set(&server, senders, rooms).await?;
        let (mut bares, mut servers) = (Vec::new(), Vec::new());
        let before = counts(&server)?;
        for _ in 0..ROUNDS {
            bares.push(bare.appends(senders, rooms).await?);
            servers.push(stage.acks(server.pid()).await?);
        }
        let after = counts(&server)?;
        let deliveries = (after.1 - before.1) as f64 / (after.0 - before.0) as f64;
        let (bare, server) = (median(bares), median(servers));
        for (name, run, deliveries) in [("bare", &bare, 0.0), ("sockets", &server, deliveries)] {
            let Run { per_second, p50, p99, cpu_micros } = run;
            let percent = 100.0 * per_second / bare.per_second;
            println!(
                "{senders:>7}  {name:<7} {per_second:>8.0} {p50:>8.0?} {p99:>8.0?} {cpu_micros:>11.1} \
                 {percent:>15.0} % {deliveries:>14.2}"
            );
        }
    }
    Ok(())
}

/// Messages accepted and publications delivered so far.
fn counts(server: &Server) -> Result<(u64, u64)> {
    Ok((server.metric("kervan_messages_accepted_total")?, server.metric("kervan_deliveries_total")?))
}

/// A sender's socket, and its room's uuid.
type Sender = Arc<Mutex<(Socket, String)>>;

/// The rooms, and everybody who sends.
struct Stage {
    env: Env,
    senders: Vec<Sender>,
}

impl Stage {
    async fn set(server: &Server, senders: usize, count: usize) -> Result<Self> {
        let mut rooms = Vec::new();
        for room in 0..count {
            let mut listener = Socket::connect(&server.address, &token(&format!("listener{room}"))?).await?;
            let members: Vec<String> = (room..senders).step_by(count).map(|n| format!("\"sender{n}\"")).collect();
            let create = format!(r#"{{"kind":"group","members":[{}]}}"#, members.join(","));
            let made = listener.rpc(2, "room.create", &create).await?;
            let uuid =
                made.split("\"room\":\"").nth(1).and_then(|rest| rest.get(..36)).context("no room in the answer")?;
            listener.send(&format!(r#"{{"id":3,"subscribe":{{"channel":"room:{uuid}"}}}}"#)).await?;
            listener.until("\"id\":3,").await?;
            tokio::spawn(listen(listener));
            rooms.push(uuid.to_owned());
        }
        let mut sockets = Vec::new();
        for n in 0..senders {
            let socket = Socket::connect(&server.address, &token(&format!("sender{n}"))?).await?;
            sockets.push(Arc::new(Mutex::new((socket, rooms[n % count].clone()))));
        }
        Ok(Self { env: Env::system(), senders: sockets })
    }

    async fn acks(&self, server: u32) -> Result<Run> {
        measure_process(server, self.senders.len(), DURATION, |n| {
            let (env, sender) = (self.env.clone(), Arc::clone(&self.senders[n]));
            move || {
                let (env, sender) = (env.clone(), Arc::clone(&sender));
                async move {
                    let (socket, room) = &mut *sender.lock().await;
                    let (client_id, body) = (env.ids.next(), "x".repeat(BODY));
                    let data = format!(r#"{{"room":"{room}","client_id":"{client_id}","body":"{body}"}}"#);
                    socket.rpc(4, "message.send", &data).await.map(drop)
                }
            }
        })
        .await
    }
}

/// Takes what comes, until the server is gone.
async fn listen(mut socket: Socket) {
    while let Ok(is_ping) = socket.frame(|bytes| bytes == b"{}").await {
        if is_ping && socket.send("{}").await.is_err() {
            return;
        }
    }
}
