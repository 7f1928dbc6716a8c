//! `kervan-loadtest idle [PROGRAM] [CONNECTIONS]`: memory of the server for each idle authenticated connection.
//! `kervan-loadtest fanout [PROGRAM] [ROOMS] [LISTENERS] [SECONDS]`: its CPU time for a million deliveries, saturated.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::measure::{cpu_time, pss};
use crate::server::{Server, token};
use crate::socket::Socket;

const PROGRAM: &str = "target/release/kervan";
/// Publishes of one publisher that wait for their replies.
const WINDOW: usize = 32;
/// Between two looks at the memory of an idle server.
const SETTLE: Duration = Duration::from_secs(10);
/// Connections that publish, at most.
const PUBLISHERS: usize = 16;

/// Argument `at`, a number.
///
/// # Errors
/// It is none.
pub(crate) fn number(args: &[String], at: usize, otherwise: usize) -> Result<usize> {
    args.get(at).map_or(Ok(otherwise), |text| text.parse()).with_context(|| format!("argument {} is a number", at + 1))
}

/// The first argument: the program that is measured.
pub(crate) fn program(args: &[String]) -> &str {
    args.first().map_or(PROGRAM, String::as_str)
}

/// Runs `idle`.
///
/// # Errors
/// Bad arguments, or a server that does not do its part.
pub(crate) fn idle(args: &[String]) -> Result<()> {
    let connections = number(args, 1, 10_000)?;
    let server = Server::start(program(args))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // What the first connections bring into memory is the program's, not theirs.
        let warm = open(&server.address, 0, 200).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let before = pss(server.pid())?;
        let all = open(&server.address, 200, connections).await?;
        let after = settled(server.pid()).await?;
        let each = (after.saturating_sub(before)) as f64 / all.len() as f64 / 1024.0;
        println!("{} idle authenticated connections: {each:.2} KiB PSS each ({} MiB in all)", all.len(), after >> 20);
        drop((warm, all));
        Ok(())
    })
}

/// What the process has once it gives nothing back any more: rooms and users leave memory when nobody needs them, and
/// the allocator returns pages some seconds later.
async fn settled(pid: u32) -> Result<u64> {
    let mut least = pss(pid)?;
    for _ in 0..6 {
        tokio::time::sleep(SETTLE).await;
        least = least.min(pss(pid)?);
    }
    Ok(least)
}

async fn open(address: &str, from: usize, count: usize) -> Result<Vec<Socket>> {
    let mut sockets = Vec::with_capacity(count);
    for n in from..from + count {
        sockets.push(Socket::connect(address, &token(&format!("idle{n}"))?).await?);
    }
    Ok(sockets)
}

/// Runs `fanout`.
///
/// # Errors
/// Bad arguments, or a server that does not do its part.
pub(crate) fn fanout(args: &[String]) -> Result<()> {
    let (rooms, listeners) = (number(args, 1, 1)?, number(args, 2, 1_000)?);
    let duration = Duration::from_secs(number(args, 3, 10)? as u64);
    let server = Server::start(program(args))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let delivered = Arc::new(AtomicU64::new(0));
        for room in 0..rooms {
            for n in 0..listeners {
                let mut socket = Socket::connect(&server.address, &token(&format!("listener{room}-{n}"))?).await?;
                socket.send(&format!(r#"{{"id":2,"subscribe":{{"channel":"bench{room}"}}}}"#)).await?;
                socket.until("\"subscribe\"").await?;
                tokio::spawn(listen(socket, Arc::clone(&delivered)));
            }
        }
        let mut publishers = Vec::new();
        for room in 0..rooms.min(PUBLISHERS) {
            let mut socket = Socket::connect(&server.address, &token(&format!("publisher{room}"))?).await?;
            let own: Vec<usize> = (room..rooms).step_by(PUBLISHERS).collect();
            for room in &own {
                socket.send(&format!(r#"{{"id":2,"subscribe":{{"channel":"bench{room}"}}}}"#)).await?;
                socket.until("\"subscribe\"").await?;
            }
            publishers.push((socket, own));
        }
        let (begun, cpu) = (Instant::now(), cpu_time(server.pid())?);
        let end = begun + duration;
        let tasks: Vec<_> =
            publishers.into_iter().map(|(socket, own)| tokio::spawn(publish(socket, own, end))).collect();
        let mut published = 0;
        for task in tasks {
            published += task.await??;
        }
        // What is under way still arrives.
        let mut last = 0;
        while delivered.load(Ordering::Relaxed) != last {
            last = delivered.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let cpu = cpu_time(server.pid())?.saturating_sub(cpu).as_secs_f64();
        let (elapsed, million) = (begun.elapsed().as_secs_f64(), last as f64 / 1e6);
        println!(
            "{rooms} x {listeners}: {published} messages, {last} deliveries in {elapsed:.1} s: {:.0}/s, \
             {:.2} CPU-s per million deliveries",
            last as f64 / elapsed,
            cpu / million
        );
        Ok(())
    })
}

async fn listen(mut socket: Socket, delivered: Arc<AtomicU64>) {
    const NEEDLE: &[u8] = b"\"pub\"";
    loop {
        let count = socket.frame(|bytes| {
            let pushes = bytes.windows(NEEDLE.len()).filter(|window| *window == NEEDLE).count();
            (pushes, bytes == b"{}")
        });
        match count.await {
            Ok((_, true)) => {
                if socket.send("{}").await.is_err() {
                    return;
                }
            }
            Ok((pushes, false)) => {
                delivered.fetch_add(pushes as u64, Ordering::Relaxed);
            }
            Err(error) => {
                eprintln!("a listener is gone: {error:#}");
                return;
            }
        }
    }
}

/// Publishes to its rooms in turn, a window at a time, until the end.
async fn publish(mut socket: Socket, rooms: Vec<usize>, end: Instant) -> Result<u64> {
    let body = "x".repeat(100);
    let (mut id, mut published) = (10u64, 0u64);
    let mut turn = rooms.iter().cycle();
    while Instant::now() < end {
        for _ in 0..WINDOW {
            id += 1;
            let room = turn.next().context("a publisher has a room")?;
            let data = format!(r#"{{"id":{id},"publish":{{"channel":"bench{room}","data":{{"text":"{body}"}}}}}}"#);
            socket.send(&data).await?;
        }
        published += WINDOW as u64;
        socket.until(&format!("{{\"id\":{id},")).await?;
    }
    Ok(published)
}
