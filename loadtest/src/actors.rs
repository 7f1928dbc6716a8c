//! What it costs to look at the actors: memory of what each publishes, CPU of a poll each second over all of them, and the page of
//! a node with many children. Engine, admin listener and poller are all in this process: an upper bound.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::{StreamExt as _, stream};
use kervan::actors::wire::{Entity, Query};
use kervan::api::admin::log::LogRing;
use kervan::api::admin::{Admin, Deps, routes};
use kervan::api::http::{Listener, Options};
use kervan::config::{self, Sources};
use kervan::env::Env;
use kervan::health::Health;
use kervan::ids::{Partition, RoomId};
use kervan::metrics::Metrics;
use kervan::server::{self, Engine};
use kervan::shutdown::Shutdown;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::measure::{cpu_time, pss};

/// How long CPU time is taken for.
const SPAN: Duration = Duration::from_secs(20);

pub(crate) fn main(args: &[String]) -> Result<()> {
    let actors = args.first().map_or(Ok(100_000), |n| n.parse()).context("ACTORS")?;
    let children = args.get(1).map_or(Ok(10_000), |n| n.parse()).context("CHILDREN")?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(actors, children))
}

async fn run(actors: usize, children: usize) -> Result<()> {
    let dir = std::env::temp_dir().join(format!("kervan-actors-{}", std::process::id()));
    let variables = [
        ("KERVAN_DATA__DIR", dir.display().to_string()),
        ("KERVAN_LIMITS__RESIDENT_ROOMS", "10000000".to_owned()),
        ("KERVAN_LIMITS__IDLE", "24h".to_owned()),
    ];
    let environment = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let loaded = config::load(&Sources { environment, ..Sources::default() })?;
    let (env, metrics, health) = (Env::system(), Arc::new(Metrics::new()), Health::new(Shutdown::new()));
    let config = Arc::new(loaded.config.clone());
    let admin = Arc::new(Admin::new(Deps {
        loaded,
        key: "none".to_owned(),
        env: env.clone(),
        health: health.clone(),
        metrics: Arc::clone(&metrics),
        log: Arc::new(LogRing::new(Arc::clone(&env.clock))),
    }));
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let address = listener.address();
    let routes = routes(Arc::clone(&admin));
    tokio::spawn(listener.serve(routes, Options::admin(&config.limits), Arc::clone(&metrics), Shutdown::new()));
    let deps = server::Deps { config, env, health, metrics, shutdown: Shutdown::new() };
    let engine = Engine::start(deps).await?;
    admin.open(engine.live());

    let of_one = Partition::FIRST;
    let before = pss(std::process::id())?;
    let rooms = std::iter::repeat_with(|| RoomId(Uuid::new_v4()));
    let crowded = rooms.filter(|room| room.partition() == of_one).take(children);
    let spread = rooms.filter(|room| room.partition() != of_one).take(actors.saturating_sub(children));
    let asked = crowded.chain(spread).map(|room| engine.node().router().query(Entity::Room(room), Query::Position));
    stream::iter(asked).buffer_unordered(64).for_each(|_| async {}).await;
    let each = (pss(std::process::id())? - before) / actors as u64;
    println!("{actors} resident actors: {each} bytes each in all");

    let idle = cpu_over(async || Ok(0)).await?;
    for path in
        ["/admin/overview", "/admin/actors?sort=rate&kind=room&limit=100", "/admin/actors?text=c0ffee&limit=100"]
    {
        let polled = cpu_over(async || ask(address, path).await).await?;
        let share = (polled.as_secs_f64() - idle.as_secs_f64()) / SPAN.as_secs_f64() * 100.0;
        println!("a poll each second of {path}: {share:.2} % of a core (idle {:.2} %)", idle.as_secs_f64() * 5.0);
    }
    for limit in [100, 1_000] {
        let path = format!("/admin/actors?parent=partitions/{of_one}&sort=rate&limit={limit}");
        let mut took = Vec::new();
        let mut bytes = 0;
        for _ in 0..20 {
            let begun = Instant::now();
            bytes = ask(address, &path).await?;
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        println!("{limit} of {children} children: {:?} (median of 20), {bytes} bytes", took[took.len() / 2]);
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

/// CPU time of this process while it acts once a second.
async fn cpu_over(act: impl AsyncFn() -> Result<usize>) -> Result<Duration> {
    let before = cpu_time(std::process::id())?;
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.tick().await;
    for _ in 0..SPAN.as_secs() {
        ticks.tick().await;
        act().await?;
    }
    Ok(cpu_time(std::process::id())?.saturating_sub(before))
}

/// A request; the bytes of the answer.
async fn ask(address: SocketAddr, path: &str) -> Result<usize> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if !answer.starts_with(b"HTTP/1.1 200 ") {
        bail!("{path}: {}", String::from_utf8_lossy(&answer));
    }
    Ok(answer.len())
}
