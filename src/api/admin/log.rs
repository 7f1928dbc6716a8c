//! The last log lines of the process, for operators: a layer beside the one that writes them, over a bounded ring.
//!
//! It keeps what is logged, so what must not be logged is not here either.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::AdminState;
use super::extract::{bad, page_size};
use crate::api::http::{HttpError, Query};
use crate::env::Clock;
use crate::ids::Timestamp;

/// Lines that are kept: some minutes of a busy node.
const LINES: usize = 2_000;
/// Bytes of a text in a line; the rest is cut.
const TEXT: usize = 1_000;

/// A log line.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LogLine {
    /// Counts the lines of the process, from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// `error`, `warn`, `info`, `debug`, `trace`.
    pub level: &'static str,
    /// The module.
    pub target: String,
    /// What it says.
    pub message: String,
    /// What else it names.
    pub fields: Map<String, Value>,
}

/// See the module.
pub struct LogRing {
    clock: Arc<dyn Clock>,
    lines: Mutex<VecDeque<LogLine>>,
}

impl LogRing {
    /// Without lines.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, lines: Mutex::default() }
    }

    fn push(&self, line: impl FnOnce(u64) -> LogLine) {
        let mut lines = self.lock();
        let seq = lines.back().map_or(1, |line| line.seq + 1);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line(seq));
    }

    /// Lines after `after` of at least this level whose message or target has `text`, the oldest first; without `after` the
    /// last ones. At most `limit`; and what `after` is to be next.
    #[must_use]
    pub(crate) fn read(&self, after: Option<u64>, level: Level, text: &str, limit: usize) -> (Vec<LogLine>, u64) {
        let lines = self.lock();
        let fits = |line: &&LogLine| {
            line.seq > after.unwrap_or(0)
                && rank(line.level) <= rank(name(level))
                && (line.message.contains(text) || line.target.contains(text))
        };
        let last = lines.back().map_or(0, |line| line.seq);
        if after.is_some() {
            let found: Vec<LogLine> = lines.iter().filter(fits).take(limit).cloned().collect();
            let next = if found.len() == limit { found.last().map_or(last, |line| line.seq) } else { last };
            return (found, next);
        }
        let mut found: Vec<LogLine> = lines.iter().rev().filter(fits).take(limit).cloned().collect();
        found.reverse();
        (found, last)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<LogLine>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn rank(name: &str) -> usize {
    ["error", "warn", "info", "debug", "trace"].iter().position(|other| *other == name).unwrap_or(0)
}

/// The layer. Which lines reach it is the filter's matter.
pub struct RingLayer(pub Arc<LogRing>);

impl<S: Subscriber> Layer<S> for RingLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let meta = event.metadata();
        let at = self.0.clock.now();
        let (level, target) = (name(*meta.level()), meta.target().to_owned());
        self.0.push(|seq| LogLine { seq, at, level, target, message: said.message, fields: said.fields });
    }
}

#[derive(Default)]
struct Said {
    message: String,
    fields: Map<String, Value>,
}

impl Said {
    fn put(&mut self, field: &Field, value: Value) {
        self.fields.insert(field.name().to_owned(), value);
    }

    fn text(&mut self, field: &Field, text: fmt::Arguments<'_>) {
        let mut bounded = Bounded(String::new());
        // It ends with an error where the bound is reached: what fits stands.
        let _ = bounded.write_fmt(text);
        match field.name() {
            "message" => self.message = bounded.0,
            _ => self.put(field, bounded.0.into()),
        }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

/// A text that takes no more than [`TEXT`] bytes.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = TEXT - self.0.len();
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogFilter {
    level: Option<String>,
    text: Option<String>,
    after: Option<u64>,
    limit: Option<usize>,
}

/// Lines, and what `after` is to be in the next poll.
#[derive(Serialize)]
pub(super) struct Tail {
    items: Vec<LogLine>,
    next: u64,
}

/// `GET /admin/log`.
pub(super) async fn tail(State(admin): AdminState, Query(wanted): Query<LogFilter>) -> Result<Json<Tail>, HttpError> {
    let limit = page_size(wanted.limit)?;
    let level = wanted.level.as_deref().unwrap_or("trace");
    let level: Level = level.parse().map_err(|_| bad("level: expected one of error, warn, info, debug, trace"))?;
    let (items, next) = admin.log.read(wanted.after, level, wanted.text.as_deref().unwrap_or(""), limit);
    Ok(Json(Tail { items, next }))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::env::ManualClock;

    fn logged(log: impl FnOnce()) -> Arc<LogRing> {
        let ring = Arc::new(LogRing::new(Arc::new(ManualClock::new(Timestamp(7)))));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(RingLayer(Arc::clone(&ring))), log);
        ring
    }

    fn messages(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.message.as_str()).collect()
    }

    #[test]
    fn lines_are_filtered_and_read_on_from_where_one_was() {
        let ring = logged(|| {
            tracing::info!(count = 3, who = "ann", "one");
            tracing::debug!("two");
            tracing::error!(error = %"broken", "three");
        });
        let (all, next) = ring.read(None, Level::TRACE, "", 10);
        assert_eq!((messages(&all), next), (vec!["one", "two", "three"], 3));
        assert_eq!((all[0].at, all[0].level), (Timestamp(7), "info"));
        assert_eq!(Value::Object(all[0].fields.clone()), serde_json::json!({ "count": 3, "who": "ann" }));
        assert_eq!(all[2].fields["error"], "broken");
        assert_eq!(messages(&ring.read(None, Level::INFO, "", 10).0), ["one", "three"]);
        assert_eq!(messages(&ring.read(None, Level::TRACE, "", 1).0), ["three"]);
        assert_eq!(messages(&ring.read(None, Level::TRACE, "w", 9).0), ["two"]);
        let (some, next) = ring.read(Some(1), Level::TRACE, "", 1);
        assert_eq!((messages(&some), next), (vec!["two"], 2));
        assert_eq!(ring.read(Some(3), Level::TRACE, "", 1).1, 3);
    }

    #[test]
    fn lines_and_texts_are_bounded() {
        let ring = logged(|| {
            (0..LINES + 10).for_each(|n| tracing::info!("{n}"));
            tracing::info!("{}", "é".repeat(TEXT));
        });
        let (lines, next) = ring.read(None, Level::TRACE, "", usize::MAX);
        assert_eq!((lines.len(), next), (LINES, LINES as u64 + 11));
        assert_eq!(lines.last().map(|line| line.message.len()), Some(TEXT));
    }
}
