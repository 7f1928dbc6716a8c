//! `GET /admin/warnings`: what deserves a look, found by looking: nothing is kept between two looks but when connections
//! could not be accepted.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::tree::{ActorId, Scope, VisitedActor, walk};
use super::{Admin, AdminState, Live};
use crate::actors::clocks::ClockTrouble;
use crate::actors::inspect::State as ActorState;
use crate::api::http::HttpError;
use crate::ids::{Timestamp, millis};

/// Messages in a mailbox that is no burst any more: a partition takes 4 MiB of commands at most, some thousands.
const GROWN: u32 = 1_000;
/// Seconds without a message handled, with some waiting.
const STUCK_S: u32 = 5;
/// Seconds that the store may be behind.
const LAG_S: i64 = 10;
/// A sync of the journal's file takes fractions of this on any disk that is well.
const SLOW_SYNC: Duration = Duration::from_millis(50);
/// Milliseconds that an error of accept is remembered.
const ACCEPT_MS: u64 = 60_000;
/// The age that backups of a production node may come to if no retention says it.
const BACKUP_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Warnings of one kind at most: a node that is stuck has thousands.
const OF_A_KIND: usize = 20;

/// Something that deserves a look.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Warning {
    code: &'static str,
    severity: &'static str,
    /// The path of an actor.
    about: String,
    message: String,
    /// The number that it is about.
    value: u64,
}

/// All of them.
#[derive(Serialize)]
pub(super) struct WarningList {
    items: Vec<Warning>,
}

/// `GET /admin/warnings`.
pub(super) async fn list(State(admin): AdminState) -> Result<Json<WarningList>, HttpError> {
    let live = admin.live()?;
    live.node.directory().sample();
    let mut items = halted(live);
    items.extend(mailboxes(&admin, live));
    items.extend(lag(admin.metrics.watermark_age_seconds.get()));
    items.extend(clock(live.node.context().clocks.trouble()));
    items.extend(slow_disk(admin.metrics.fsync_recent.mean()));
    items.extend(admin.accept_errors());
    let backup = live.retention.last_backup().map(|at| admin.env.now().since(at));
    let config = &admin.loaded.config;
    items.extend(backups(backup, config.data.journal_retention, config.server.production));
    Ok(Json(WarningList { items }))
}

fn of_node(code: &'static str, severity: &'static str, message: String, value: u64) -> Warning {
    Warning { code, severity, about: ActorId::Node.to_string(), message, value }
}

fn halted(live: &Live) -> Vec<Warning> {
    let halted = |partition| {
        let reason = live.node.halted().reason(partition)?;
        let about = ActorId::Partition(partition).to_string();
        let value = u64::from(partition.get());
        Some(Warning { code: "halted_partition", severity: "critical", about, message: reason, value })
    };
    live.node.router().owned().iter().filter_map(halted).take(OF_A_KIND).collect()
}

fn mailboxes(admin: &Admin, live: &Live) -> Vec<Warning> {
    let (mut grown, mut stuck) = (Vec::new(), Vec::new());
    walk(live, &admin.env, Scope { parent: &ActorId::Partitions, depth: 2 }, &mut |seen| {
        let Some(warning) = mailbox(&seen) else { return };
        let list = if warning.code == "stuck_actor" { &mut stuck } else { &mut grown };
        if list.len() < OF_A_KIND {
            list.push(warning);
        }
    });
    stuck.append(&mut grown);
    stuck
}

fn mailbox(VisitedActor { id, figures, .. }: &VisitedActor) -> Option<Warning> {
    let waits = figures.depth;
    let (code, severity, message) = if figures.state == ActorState::Halted {
        // That it takes nothing is said already.
        return None;
    } else if waits > 0 && figures.quiet_s >= STUCK_S {
        let message = format!("{waits} messages wait, and for {} s none was handled", figures.quiet_s);
        ("stuck_actor", "critical", message)
    } else if waits >= GROWN {
        ("growing_mailbox", "warning", format!("{waits} messages wait in its mailbox"))
    } else {
        return None;
    };
    Some(Warning { code, severity, about: id.to_string(), message, value: waits.into() })
}

fn lag(age_s: i64) -> Option<Warning> {
    let age = u64::try_from(age_s).ok().filter(|_| age_s >= LAG_S)?;
    let message = format!("the store lacks records for {age} s");
    Some(Warning { about: "workers/projector".to_owned(), ..of_node("lag", "warning", message, age) })
}

fn slow_disk(sync: Duration) -> Option<Warning> {
    let ms = millis(sync);
    let message = format!("a sync of the journal's file takes {ms} ms: each acknowledgement waits for one");
    (sync >= SLOW_SYNC).then(|| of_node("slow_disk", "warning", message, ms))
}

fn clock(trouble: Option<ClockTrouble>) -> Option<Warning> {
    let trouble = trouble?;
    let by_ms = match trouble {
        ClockTrouble::Jumped { by_ms } => by_ms.unsigned_abs(),
        ClockTrouble::Behind { by_ms } => by_ms,
    };
    Some(of_node("clock", "warning", trouble.to_string(), by_ms / 1_000))
}

fn backups(age_ms: Option<u64>, retention: Duration, production: bool) -> Option<Warning> {
    let most = match (retention.is_zero(), production) {
        (false, _) => retention / 2,
        (true, true) => BACKUP_AGE,
        (true, false) => return None,
    };
    match age_ms {
        Some(age) if Duration::from_millis(age) <= most => None,
        Some(age) => {
            let hours = age / 3_600_000;
            Some(of_node("backup_age", "warning", format!("the last backup is {hours} hours old"), hours))
        }
        None => Some(of_node("backup_age", "warning", "there is no backup yet".to_owned(), 0)),
    }
}

impl Admin {
    /// Whether connections could not be accepted in the last minute, as far as somebody looked.
    fn accept_errors(&self) -> Option<Warning> {
        let now = self.env.steady();
        let errors = self.metrics.accept_errors.get();
        let mut known = self.accepts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if errors > known.errors {
            *known = Accepts { errors, seen: Some(now) };
        }
        let message =
            format!("connections could not be accepted, {errors} times so far: too few open files, most likely");
        known.recent(now).then(|| of_node("accept_errors", "critical", message, errors))
    }
}

/// Errors of accept, as the last look found them.
#[derive(Default)]
pub(super) struct Accepts {
    errors: u64,
    seen: Option<Timestamp>,
}

impl Accepts {
    fn recent(&self, now: Timestamp) -> bool {
        self.seen.is_some_and(|seen| now.since(seen) < ACCEPT_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::inspect::Figures;
    use crate::ids::Partition;

    fn code(depth: u32, quiet_s: u32, state: ActorState) -> Option<&'static str> {
        let figures = Figures { state, depth, handled: 9, rate_milli: 0, quiet_s, age_s: 99, restarts: 0 };
        let seen =
            VisitedActor { id: ActorId::Partition(Partition::FIRST), figures, children: 0, below: (0, 0), home: None };
        mailbox(&seen).map(|warning| warning.code)
    }

    #[test]
    fn a_mailbox_that_waits_in_vain_is_stuck_and_a_long_one_grows() {
        assert_eq!(code(0, 3_600, ActorState::Running), None, "idle is no fault");
        assert_eq!(code(1, 4, ActorState::Running), None);
        assert_eq!(code(1, 5, ActorState::Running), Some("stuck_actor"));
        assert_eq!(code(999, 0, ActorState::Running), None);
        assert_eq!(code(1_000, 0, ActorState::Running), Some("growing_mailbox"));
        assert_eq!(code(1_000, 60, ActorState::Halted), None);
    }

    #[test]
    fn lag_and_a_slow_disk_have_their_bounds() {
        assert_eq!(lag(9), None);
        assert_eq!(lag(10).map(|warning| (warning.code, warning.value)), Some(("lag", 10)));
        assert_eq!(slow_disk(Duration::from_millis(49)), None);
        assert_eq!(slow_disk(Duration::from_millis(50)).map(|warning| warning.value), Some(50));
    }

    #[test]
    fn backups_are_missed_where_something_rests_on_them() {
        let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(24 * 3600));
        let age = |time: Duration| Some(u64::try_from(time.as_millis()).unwrap());
        assert_eq!(backups(None, Duration::ZERO, false), None);
        assert!(backups(None, Duration::ZERO, true).is_some());
        assert_eq!(backups(age(6 * day), Duration::ZERO, true), None);
        assert!(backups(age(8 * day), Duration::ZERO, true).is_some());
        assert!(backups(None, day, false).is_some());
        assert_eq!(backups(age(12 * hour), day, false), None);
        assert_eq!(backups(age(13 * hour), day, false).map(|warning| warning.value), Some(13));
    }
}
