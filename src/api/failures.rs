//! Who shows a password, a token or a key that is not good: told in one line of the log that programs such as fail2ban read,
//! counted, and at the operator's own port written into the audit log.
//!
//! The line has the address, what was shown, and why it was refused; never what it said. Lines are bounded for each address, so
//! that nobody fills a disk with them: the metric counts them all.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use crate::actors::gateway::hub::{Limiter, Rate};
use crate::api::audit::{Audit, AuditLine};
use crate::env::Clock;
use crate::limits::{FAILURES_AUDITED_PER_MINUTE, FAILURES_SAID_PER_MINUTE};
use crate::metrics::Metrics;

/// What was shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Credential {
    /// A name and a password.
    SignIn,
    /// A refresh token.
    Refresh,
    /// A connection, subscription or bearer token.
    Token,
    /// The key of a back end.
    ApiKey,
    /// The key or token of the admin port.
    Admin,
}

impl Credential {
    /// Its name in the log and in the metric.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Refresh => "refresh",
            Self::Token => "token",
            Self::ApiKey => "api_key",
            Self::Admin => "admin",
        }
    }
}

/// See the module.
pub(crate) struct Failures {
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    said: Limiter<(Credential, IpAddr)>,
    audited: Limiter<()>,
    audit: OnceLock<Arc<Audit>>,
}

impl Failures {
    /// Nothing has failed yet.
    #[must_use]
    pub(crate) fn new(metrics: Arc<Metrics>, clock: Arc<dyn Clock>) -> Self {
        let rate = |per_minute| Rate { per_minute, burst: per_minute };
        let said = Limiter::new(rate(FAILURES_SAID_PER_MINUTE), Arc::clone(&clock));
        let audited = Limiter::new(rate(FAILURES_AUDITED_PER_MINUTE), Arc::clone(&clock));
        Self { metrics, clock, said, audited, audit: OnceLock::new() }
    }

    /// The same; what is tried at the admin port is written here as well.
    #[must_use]
    pub(crate) fn audited_in(self, audit: Arc<Audit>) -> Self {
        // It is new: there is none yet.
        let _ = self.audit.set(audit);
        self
    }

    /// Something was shown and is not good. `why` is a name or sentence of ours. Says whether there is a line in the log.
    pub(crate) fn note(&self, kind: Credential, from: Option<IpAddr>, why: &str) -> bool {
        let name = kind.name();
        self.metrics.auth_failures.inc(name);
        // Without an address all are one.
        let address = from.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).to_canonical();
        if self.said.admit(&(kind, address)).is_err() {
            return false;
        }
        tracing::info!(%address, kind = name, why, "authentication failed");
        if kind == Credential::Admin
            && let Some(audit) = self.audit.get().cloned()
            && self.audited.admit(&()).is_ok()
        {
            let line = AuditLine {
                at: self.clock.now(),
                who: "nobody".to_owned(),
                from: from.map(|from| from.to_string()),
                what: "admin.refused".to_owned(),
                target: String::new(),
                outcome: why.to_owned(),
            };
            // Nobody waits for it: it is refused either way.
            tokio::task::spawn_blocking(move || {
                if let Err(error) = audit.write(&line) {
                    tracing::error!(%error, "the audit log can't be written");
                }
            });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::ManualClock;
    use crate::testing::found;

    #[test]
    fn every_failure_is_counted_and_of_an_address_so_many_are_said() {
        let (metrics, clock) = (Arc::new(Metrics::new()), Arc::new(ManualClock::default()));
        let failures = Failures::new(Arc::clone(&metrics), clock);
        let from = |last| Some(IpAddr::from([192, 0, 2, last]));
        let said = (0..100).filter(|_| failures.note(Credential::Token, from(1), "of the tests")).count();
        assert_eq!(said, FAILURES_SAID_PER_MINUTE as usize);
        assert!(failures.note(Credential::Token, from(2), "of the tests"), "another address");
        assert!(failures.note(Credential::SignIn, from(1), "of the tests"), "another kind");
        let text = metrics.page();
        assert!(text.contains("kervan_auth_failures_total{reason=\"token\"} 101\n"), "{text}");
    }

    #[tokio::test]
    async fn what_is_tried_at_the_admin_port_stands_in_the_audit_log() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Arc::new(Audit::new(dir.path()));
        let failures = Failures::new(Arc::default(), Arc::new(ManualClock::default())).audited_in(Arc::clone(&audit));
        failures.note(Credential::Token, None, "of the tests");
        failures.note(Credential::Admin, Some(IpAddr::from([192, 0, 2, 1])), "unauthorized");
        let lines = found("the line", async || Some(audit.read(0, 9).unwrap()).filter(|lines| !lines.is_empty())).await;
        let line = &lines[0];
        assert_eq!((lines.len(), &line.what[..], line.from.as_deref()), (1, "admin.refused", Some("192.0.2.1")));
    }
}
