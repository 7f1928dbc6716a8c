//! How things are measured: closed loops with latencies, CPU time and memory of a process.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What one run gave.
pub struct Run {
    /// Operations a second.
    pub per_second: f64,
    /// Half of them took no longer.
    pub p50: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// CPU time of the process that works for each, in microseconds.
    pub cpu_micros: f64,
}

/// The run in the middle.
pub fn median(mut runs: Vec<Run>) -> Run {
    runs.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    runs.swap_remove(runs.len() / 2)
}

/// Each of the workers does it, waits for the answer, and does it again. All start together.
///
/// # Errors
/// What the first failing one says.
pub async fn measure<A, F>(appenders: usize, duration: Duration, appender: impl Fn(usize) -> A) -> Result<Run>
where
    A: Fn() -> F + Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    measure_process(std::process::id(), appenders, duration, appender).await
}

/// The same with the CPU time of the process `pid`, which does the work.
///
/// # Errors
/// What the first failing one says; or there is no such process.
pub async fn measure_process<A, F>(
    pid: u32,
    appenders: usize,
    duration: Duration,
    appender: impl Fn(usize) -> A,
) -> Result<Run>
where
    A: Fn() -> F + Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    let (begun, cpu) = (Instant::now(), cpu_time(pid)?);
    let tasks: Vec<_> = (0..appenders)
        .map(|n| {
            let append = appender(n);
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while begun.elapsed() < duration {
                    let sent = Instant::now();
                    append().await?;
                    latencies.push(sent.elapsed());
                }
                Ok::<_, anyhow::Error>(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    let (elapsed, cpu) = (begun.elapsed(), cpu_time(pid)?.saturating_sub(cpu));
    let (p50, p99) = percentiles(&mut latencies);
    Ok(Run {
        per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
        p50,
        p99,
        cpu_micros: cpu.as_secs_f64() * 1e6 / latencies.len() as f64,
    })
}

/// p50 and p99 of times, at least one.
pub fn percentiles(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    let at = |share: f64| times[(share * (times.len() - 1) as f64) as usize];
    (at(0.5), at(0.99))
}

/// User and system time of a process, in steps of 10 ms.
///
/// # Errors
/// There is no such process.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.map(|ticks| ticks.parse::<u64>().context("/proc/PID/stat")).sum::<Result<u64>>()?;
    Ok(Duration::from_millis(10 * ticks))
}

/// Proportional set size of a process in bytes.
///
/// # Errors
/// There is no such process.
pub fn pss(pid: u32) -> Result<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss in smaps_rollup")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}
