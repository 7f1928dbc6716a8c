//! What the operating system says about this process, read from `/proc` when it is asked for. Elsewhere than on Linux
//! there is nothing to read, and nothing is said.
//!
//! The lines are written here and not by the recorder: a counter of `metrics` takes whole numbers, and a rate of CPU time
//! by whole seconds is of no use.

use std::fmt::{Display, Write as _};

/// Adds memory, open files and CPU time to a page, under the names that Prometheus uses for every process.
pub(super) fn write(page: &mut String) {
    metric(page, "process_resident_memory_bytes", "gauge", "Resident memory in bytes", resident_bytes());
    metric(page, "process_open_fds", "gauge", "Open file descriptors", open_files());
    metric(page, "process_cpu_seconds_total", "counter", "User and system CPU time in seconds", cpu_seconds());
}

fn metric(page: &mut String, name: &str, kind: &str, help: &str, value: Option<impl Display>) {
    if let Some(value) = value {
        // A `String` takes everything.
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
}

fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

fn open_files() -> Option<u64> {
    // One less: the folder that is being read.
    let files = std::fs::read_dir("/proc/self/fd").ok()?.count();
    u64::try_from(files.saturating_sub(1)).ok()
}

fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name, which stands in brackets and may hold anything: utime and stime are fields 14 and 15 of all.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    #[allow(clippy::cast_precision_loss)]
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    Some((f64::from(user) + f64::from(system)) / ticks)
}
