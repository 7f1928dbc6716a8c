//! `kervan-loadtest acks [SECONDS]`: acknowledged messages a second of a whole engine in this process (command in, outcome
//! out, rows written beside it), next to the bare group-commit appender in the same run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use kervan::actors::room::commands::{Create, RoomCommand, Send};
use kervan::actors::room::{Command, payload};
use kervan::actors::wire::{Answer, Content, HistoryBound, MaySend, RoomKind};
use kervan::config::Config;
use kervan::env::Env;
use kervan::health::Health;
use kervan::ids::{ClientId, RoomId, UserId};
use kervan::metrics::Metrics;
use kervan::server::{Deps, Engine};
use kervan::shutdown::Shutdown;

use crate::bare::{self, Layout};
use crate::group::GroupAppender;
use crate::measure::{Run, measure, median};

const SENDERS: [usize; 3] = [1, 64, 1_000];
const ROOMS: usize = 100;
const ROUNDS: usize = 5;
/// Bytes of a message's body; its record is about as long as the bare one's.
pub(crate) const BODY: usize = 160;

/// Runs the subcommand.
///
/// # Errors
/// Bad arguments, I/O, or a message that is not accepted.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let seconds: f64 = args.first().map_or(Ok(2.0), |s| s.parse()).context("SECONDS is a number")?;
    let duration = Duration::from_secs_f64(seconds);
    let dir = std::env::temp_dir().join(format!("kervan-loadtest-acks-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(run(&dir, duration));
    std::fs::remove_dir_all(&dir)?;
    done
}

/// A whole engine with its data under `dir`.
///
/// # Errors
/// It does not start.
pub(crate) async fn engine(dir: &Path) -> Result<Engine> {
    let mut config = Config::default();
    config.data.dir = dir.join("data");
    let shutdown = Shutdown::new();
    let deps = Deps {
        config: Arc::new(config),
        env: Env::system(),
        health: Health::new(shutdown.clone()),
        metrics: Arc::new(Metrics::new()),
        shutdown,
    };
    Ok(Engine::start(deps).await?)
}

async fn run(dir: &Path, duration: Duration) -> Result<()> {
    let (env, engine) = (Env::system(), Arc::new(engine(dir).await?));
    let bare = Arc::new(bare::create(&dir.join("bare.dat"), Layout::Growing)?);
    let rooms = rooms(&engine, &env).await?;
    println!("{ROOMS} rooms, bodies of {BODY} bytes, {ROUNDS} rounds of {duration:?}, medians");
    println!("senders  what      acks/s      p50      p99  CPU-us/ack  of the bare one");
    for senders in SENDERS {
        let (mut bares, mut engines) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bares.push(appends(&bare, senders, duration).await?);
            engines.push(messages(&engine, &env, &rooms, senders, duration).await?);
        }
        let (bare, engine) = (median(bares), median(engines));
        for (name, run) in [("bare", &bare), ("engine", &engine)] {
            let Run { per_second, p50, p99, cpu_micros } = run;
            let percent = 100.0 * per_second / bare.per_second;
            println!(
                "{senders:>7}  {name:<7} {per_second:>8.0} {p50:>8.0?} {p99:>8.0?} {cpu_micros:>11.1} {percent:>15.0} %"
            );
        }
    }
    let engine = Arc::into_inner(engine).context("the engine is still in use")?;
    engine.drain().await?;
    Ok(())
}

/// User `n`.
pub(crate) fn user(n: usize) -> Result<UserId> {
    Ok(UserId::new(&format!("user{n}"))?)
}

/// A group of ten, user `n` its creator, and its id.
pub(crate) fn group(n: usize) -> Result<(RoomId, Create)> {
    let creator = user(n)?;
    let room = RoomId::group(&creator, &ClientId::new("bench")?);
    let members: Result<Vec<_>> = (0..10).map(|k| user(n + k * ROOMS)).collect();
    let create = Create {
        kind: RoomKind::Group,
        creator,
        members: members?,
        title: String::new(),
        channel: String::new(),
        ttl_ms: 0,
        public: false,
        may_send: MaySend::Members,
        max_members: 100,
        history: HistoryBound::default(),
    };
    Ok((room, create))
}

/// A message of a user under a fresh id.
pub(crate) fn message(env: &Env, sender: UserId, body: String) -> Result<Send> {
    let client_id = Some(ClientId::new(&env.ids.next().to_string())?);
    let content = Content { body, message_type: "text".to_owned(), ..Content::default() };
    Ok(Send { sender, client_id, device: None, prev: None, content, open: None })
}

async fn rooms(engine: &Engine, env: &Env) -> Result<Vec<RoomId>> {
    let mut rooms = Vec::new();
    for n in 0..ROOMS {
        let (room, create) = group(n)?;
        match engine
            .node()
            .router()
            .command(room.partition(), record(env, room, RoomCommand::Create(create)))
            .get()
            .await
        {
            Answer::Accepted { .. } => rooms.push(room),
            other => bail!("a room was not made: {other:?}"),
        }
    }
    Ok(rooms)
}

/// A room command as a record of now.
pub(crate) fn record(env: &Env, room: RoomId, body: RoomCommand) -> Bytes {
    payload::encode(Command { room, id: env.ids.next(), issued_at: env.now(), ttl_ms: 60_000, body })
}

async fn messages(
    engine: &Arc<Engine>,
    env: &Env,
    rooms: &[RoomId],
    senders: usize,
    duration: Duration,
) -> Result<Run> {
    measure(senders, duration, |n| {
        let (engine, env, room) = (Arc::clone(engine), env.clone(), rooms[n % ROOMS]);
        move || {
            let (engine, env) = (Arc::clone(&engine), env.clone());
            async move {
                let send = message(&env, user(n)?, "x".repeat(BODY))?;
                let record = record(&env, room, RoomCommand::Send(send));
                match engine.node().router().command(room.partition(), record).get().await {
                    Answer::Accepted { .. } => Ok(()),
                    other => bail!("not accepted: {other:?}"),
                }
            }
        }
    })
    .await
}

/// So many appenders at the bare one, with records about as long as a message's.
///
/// # Errors
/// The disk failed.
pub(crate) async fn appends(bare: &Arc<GroupAppender>, appenders: usize, duration: Duration) -> Result<Run> {
    let record = Bytes::from(vec![7u8; 300]);
    measure(appenders, duration, |_| {
        let (bare, record) = (Arc::clone(bare), record.clone());
        move || {
            let (bare, record) = (Arc::clone(&bare), record.clone());
            async move { bare.append(record).await.then_some(()).context("the bare appender failed") }
        }
    })
    .await
}
