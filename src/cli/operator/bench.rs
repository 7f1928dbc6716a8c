//! `kervan bench quick`: what this machine can do, in some ten seconds: a whole engine in this process, in a folder of its own
//! beside the data folder, which is removed.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::actors::gateway::hub::{Connection, StreamKey, Wire, Wishes};
use crate::actors::gateway::outbox::Outbox;
use crate::actors::wire::Entity;
use crate::api::operations::admission::Rates;
use crate::api::operations::{Caller, Handlers, Options};
use crate::config::Config;
use crate::env::Env;
use crate::health::Health;
use crate::ids::{RoomId, UserId};
use crate::metrics::Metrics;
use crate::server::{Deps, Engine};
use crate::shutdown::Shutdown;
use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin_client::json as write_json;
use super::doctor::measure_syncs;
use super::{Here, Output, Run, csv};
use crate::cli::terminal::Progress;
use crate::cli::{print, sources};

/// Users who send at the same time, each in a room of their own.
const SENDERS: usize = 64;
/// How long they do.
const SPAN: Duration = Duration::from_secs(4);
/// Members of the room for the fan-out.
const LISTENERS: usize = 500;
/// How often that is measured: what else runs on the machine shows in one of them.
const ROUNDS: usize = 3;
/// Messages to them.
const MESSAGES: usize = 100;
/// Bytes that one of them may hold: it does not read.
const OUTBOX: usize = 1024 * 1024;

/// What is done, one after the other.
const STEPS: [&str; 4] = ["syncs", "the start of an engine", "durable acknowledgements", "fan-out"];

/// Measure this machine.
#[derive(Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Syncs, durable acknowledgements and fan-out: some ten seconds.
    Quick {
        #[command(flatten)]
        here: Here,
    },
}

impl Run for Bench {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let What::Quick { here } = &self.what;
        let loaded = sources::load(&here.settings)?;
        let parent = loaded.config.data.dir.parent().filter(|dir| dir.is_dir()).unwrap_or(Path::new("."));
        let dir = parent.join(format!(".kervan-bench-{}", std::process::id()));
        std::fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the async runtime")?;
        let step = Arc::new(AtomicUsize::new(0));
        let now = Arc::clone(&step);
        let progress = Progress::begin(move || format!("bench: {}", STEPS[now.load(Ordering::Relaxed)]));
        let measured = runtime.block_on(measure(&dir, |next| step.store(next, Ordering::Relaxed)));
        drop(progress);
        std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
        let figures = measured?;
        let busy = figures.is_busy();
        let Figures { sync, acks, p50, p99, deliveries, slowest, fastest } = figures;
        let json = json!({
            "fsync_us": micros(sync),
            "durable_acks_per_second": acks.round(),
            "ack_p50_us": micros(p50),
            "ack_p99_us": micros(p99),
            "deliveries_per_second": deliveries.round(),
            "deliveries_per_second_slowest": slowest.round(),
            "deliveries_per_second_fastest": fastest.round(),
            "busy": busy,
        });
        match here.output {
            Output::Csv => print(&csv::one(&json))?,
            Output::Json => write_json(&json)?,
            Output::Table | Output::Names => print(&format!(
                "fsync                 {sync:.1?}\ndurable acks          {acks:.0}/s with {SENDERS} senders, p50 {p50:.1?}, p99 \
                 {p99:.1?}\nfan-out               {deliveries:.0} deliveries/s into the outboxes of {LISTENERS} \
                 listeners, the median of {ROUNDS} ({slowest:.0} to {fastest:.0})\n"
            ))?,
        }
        if busy {
            writeln!(
                std::io::stderr(),
                "warning: the rounds differ by more than half: something else keeps this machine busy"
            )?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn output(&self) -> Output {
        let What::Quick { here } = &self.what;
        here.output
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

struct Figures {
    sync: Duration,
    acks: f64,
    p50: Duration,
    p99: Duration,
    /// The median of the rounds.
    deliveries: f64,
    slowest: f64,
    fastest: f64,
}

impl Figures {
    /// Rounds that differ so much say more of what else runs here than of the machine.
    fn is_busy(&self) -> bool {
        self.fastest > self.slowest * 2.0
    }
}

/// `at` is told which of the [`STEPS`] comes.
async fn measure(dir: &Path, at: impl Fn(usize)) -> anyhow::Result<Figures> {
    let sync = measure_syncs(dir)?;
    at(1);
    let mut config = Config::default();
    config.data.dir = dir.to_owned();
    let (env, metrics, shutdown) = (Env::system(), Arc::new(Metrics::new()), Shutdown::new());
    let health = Health::new(shutdown.clone());
    let deps = Deps { config: Arc::new(config), env: env.clone(), health, metrics: Arc::clone(&metrics), shutdown };
    let engine = Engine::start(deps).await?;
    let options = Options { rates: Rates::unbounded(), ..Options::default() };
    let handlers = Arc::new(Handlers::new(Arc::clone(engine.node()), options, Arc::new(|_| true)));
    at(2);
    let (acks, p50, p99) = acknowledgements(&handlers).await?;
    at(3);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(fan_out(&engine, &handlers, &env, &metrics).await?);
    }
    rounds.sort_by(f64::total_cmp);
    let (slowest, deliveries, fastest) = (rounds[0], rounds[ROUNDS / 2], rounds[ROUNDS - 1]);
    drop(handlers);
    engine.drain().await?;
    Ok(Figures { sync, acks, p50, p99, deliveries, slowest, fastest })
}

async fn call(handlers: &Handlers, user: &UserId, method: &str, data: &Value) -> anyhow::Result<Value> {
    let caller = Caller::new(user.clone());
    let reply = handlers.call(&caller, method, data.to_string().as_bytes()).await;
    Ok(serde_json::from_slice(&reply.map_err(|error| anyhow!("{method}: {error:?}"))?)?)
}

async fn room(handlers: &Handlers, user: &UserId) -> anyhow::Result<RoomId> {
    let made = call(handlers, user, "room.create", &json!({ "kind": "group", "title": "bench" })).await?;
    let id = made["room"].as_str().and_then(|room| room.parse().ok()).context("a room was made without an id")?;
    Ok(RoomId(id))
}

/// Messages with 100 bytes, each sender waiting for the answer before the next: how many a second, and how long one took.
async fn acknowledgements(handlers: &Arc<Handlers>) -> anyhow::Result<(f64, Duration, Duration)> {
    let mut senders = Vec::new();
    for n in 0..SENDERS {
        let user = UserId::new(&format!("bench{n}"))?;
        let room = room(handlers, &user).await?;
        senders.push((user, json!({ "room": room.to_string(), "body": "x".repeat(100) })));
    }
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for (user, message) in senders {
        let handlers = Arc::clone(handlers);
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < SPAN {
                let sent = Instant::now();
                call(&handlers, &user, "message.send", &message).await?;
                times.push(sent.elapsed());
            }
            anyhow::Ok(times)
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let per_second = times.len() as f64 / begun.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100];
    Ok((per_second, at(50), at(99)))
}

/// One room, many listeners, no sockets: how fast events come into outboxes.
async fn fan_out(engine: &Engine, handlers: &Handlers, env: &Env, metrics: &Metrics) -> anyhow::Result<f64> {
    let user = UserId::new("bench")?;
    let room = room(handlers, &user).await?;
    let stream = StreamKey { stream: Entity::Room(room), open: false };
    let mut listeners = Vec::new();
    for _ in 0..LISTENERS {
        let connection = Arc::new(Connection {
            client: env.ids.next(),
            user: user.clone(),
            wire: Wire::Json,
            info: None,
            outbox: Outbox::new(OUTBOX),
            since: env.now(),
            sign_in: None,
            commands: AtomicU32::new(0),
        });
        let place = engine.hub().subscribe(stream.clone(), &room.channel(), &connection, 1, Wishes::default());
        listeners.push((connection, place));
    }
    // A message of before shows that all listen.
    let listening = async {
        while listeners.iter().any(|(connection, _)| connection.outbox.waits().0 == 0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), listening).await.context("the listeners do not come to listen")?;
    let message = json!({ "room": room.to_string(), "body": "x".repeat(100) });
    let (before, begun) = (metrics.deliveries.get(), Instant::now());
    for _ in 0..MESSAGES {
        call(handlers, &user, "message.send", &message).await?;
    }
    let expected = before + (LISTENERS * MESSAGES) as u64;
    let delivered = async {
        while metrics.deliveries.get() < expected {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), delivered)
        .await
        .context("the events do not come to the listeners")?;
    Ok((LISTENERS * MESSAGES) as f64 / begun.elapsed().as_secs_f64())
}
