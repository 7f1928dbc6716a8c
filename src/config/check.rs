//! What a single value can't tell: settings that contradict each other, or that this version can't keep.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::layer::Origin;
use super::problem::Problem;
use super::value::{ByteSize, Secret};
use super::{Config, Database, Namespace, Role};
use crate::limits;

const KIB: usize = 1024;

/// Adds what is wrong with a complete configuration.
pub(super) fn check(config: &Config, origins: &BTreeMap<String, Origin>, problems: &mut Vec<Problem>) {
    let mut wrong = |path: &str, what: &str| problems.push(Problem::at(path, origins, what));
    production(config, &mut wrong);
    server(config, &mut wrong);
    bounds(config, &mut wrong);
    channels(&config.channels, &mut wrong);
    if config.admin.token.as_ref().is_some_and(Secret::is_short) {
        wrong("admin.token", "expected at least 32 bytes: it opens everything");
    }
    if config.api.key.as_ref().is_some_and(Secret::is_short) {
        wrong("api.key", "expected at least 32 bytes: who has it writes as anybody");
    }
    uploads(config, &mut wrong);
    store(config, &mut wrong);
    journal(config, &mut wrong);
    notifications(config, &mut wrong);
    if let Some(url) = &config.auth.jwks_url
        && !url.starts_with("https://")
        && !url.starts_with("http://")
    {
        wrong("auth.jwks_url", "expected an address that starts with https:// or http://");
    }
}

fn journal(config: &Config, wrong: &mut impl FnMut(&str, &str)) {
    let is_apart = config.journal.kafka_brokers.is_some() && matches!(config.database(), Database::Postgres(_));
    if config.server.role == Role::Api && !is_apart {
        wrong(
            "server.role",
            "api leaves the rows to `kervan worker persistence`: that takes the journal in Kafka (KAFKA_BROKERS) and the \
             rows in PostgreSQL (DATABASE_URL)",
        );
    }
    let Some(brokers) = &config.journal.kafka_brokers else { return };
    let is_broker = |broker: &str| {
        broker.trim().rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    if !brokers.split(',').all(is_broker) {
        wrong("journal.kafka_brokers", "expected host:port, and more of them behind commas");
    }
    if config.journal.kafka_topic == config.journal.kafka_control_topic {
        wrong("journal.kafka_control_topic", "must be another topic than journal.kafka_topic");
    }
}

/// What is allowed but should be known.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.auth.is_development() {
        warnings.push(
            "development mode: tokens are signed with a published secret, anyone can make one; set server.production \
             = true and a secret of your own before others can reach this"
                .to_owned(),
        );
    } else if config.auth.hmac_secret.as_ref().is_some_and(Secret::is_short) {
        warnings.push("auth.hmac_secret has fewer than 32 bytes: it can be guessed".to_owned());
    }
    let auth = &config.auth;
    if auth.jwks_url.is_some() && auth.audience.is_none() && auth.issuer.is_none() {
        warnings.push(
            "auth.jwks_url without auth.audience or auth.issuer: every token of that provider is good here, also one \
             that it made for somebody else's application"
                .to_owned(),
        );
    }
    if !config.data.journal_retention.is_zero()
        && config.journal.kafka_brokers.is_none()
        && matches!(config.database(), Database::Postgres(_))
    {
        let why = "data.journal_retention has no effect: rows are in PostgreSQL, and its dumps are not seen here";
        warnings.push(why.to_owned());
    }
    if config.server.production && config.registration() {
        warnings.push("auth.registration is open: anybody who reaches this can make an account".to_owned());
    }
    if config.server.production
        && config.server.trusted_proxies.is_empty()
        && config.server.public_address().ip().is_loopback()
    {
        warnings.push(
            "production on a loopback address without server.trusted_proxies: behind a proxy all clients count as one, \
             and the limits of one lock out all"
                .to_owned(),
        );
    }
    warnings
}

fn production(config: &Config, wrong: &mut dyn FnMut(&str, &str)) {
    if !config.server.production {
        let here = config.server.public_address().ip().is_loopback();
        if config.auth.is_development() && !here && !config.server.development_anywhere {
            wrong(
                "server.host",
                "development mode is for this machine only: set server.production = true and a secret of your own, or \
                 server.development_anywhere = true if everybody who reaches it may be anybody",
            );
        }
        return;
    }
    if !config.auth.has_key() {
        wrong(
            "server.production",
            "production needs a way to check tokens: set auth.hmac_secret (JWT_SECRET), a public key or auth.jwks_url",
        );
    }
    // RFC 7518, 3.2: a key for HS256 has at least the size of the hash.
    if config.auth.hmac_secret.as_ref().is_some_and(Secret::is_short) {
        wrong(
            "auth.hmac_secret",
            "expected at least 32 bytes: who guesses it is whom he likes; `openssl rand -hex 32` makes one",
        );
    }
    if config.auth.is_development() {
        wrong("auth.hmac_secret", "this is the published development secret: make one of your own");
    }
}

fn uploads(config: &Config, wrong: &mut dyn FnMut(&str, &str)) {
    let uploads = &config.uploads;
    if uploads.max_file_size.0 == 0 {
        wrong("uploads.max_file_size", "expected more than 0");
    }
    if uploads.s3_access_key.is_some() != uploads.s3_secret_key.is_some() {
        wrong("uploads.s3_secret_key", "goes with uploads.s3_access_key: set both or none");
    }
    if uploads.s3_endpoint.as_deref().is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
        wrong("uploads.s3_endpoint", "expected an address that starts with https:// or http://");
    }
}

fn store(config: &Config, wrong: &mut dyn FnMut(&str, &str)) {
    let store = &config.store;
    match (&store.replica_url, config.database()) {
        (None, _) | (Some(Database::Postgres(_)), Database::Postgres(_)) => {}
        (Some(Database::Sqlite(_)), _) => wrong("store.replica_url", "expected postgres://…"),
        (Some(_), Database::Sqlite(_)) => {
            wrong("store.replica_url", "goes with a PostgreSQL in store.database_url (DATABASE_URL)");
        }
    }
    for (path, most) in [
        ("store.client_connections", store.client_connections),
        ("store.engine_connections", store.engine_connections),
        ("store.direct_connections", store.direct_connections),
        ("store.writer_connections", store.writer_connections),
    ] {
        if most == 0 || most > limits::SQL_CONNECTIONS {
            wrong(path, &format!("expected 1 to {}", limits::SQL_CONNECTIONS));
        }
    }
}

fn notifications(config: &Config, wrong: &mut dyn FnMut(&str, &str)) {
    let set = &config.notifications;
    if let Some(url) = &set.webhook_url {
        if !url.starts_with("https://") && !url.starts_with("http://") {
            wrong("notifications.webhook_url", "expected an address that starts with https:// or http://");
        }
        if set.webhook_secret.is_none() {
            wrong(
                "notifications.webhook_secret",
                "goes with notifications.webhook_url: who gets it must be able to tell that it is yours",
            );
        }
    }
    if !set.fcm_url.starts_with("https://") && !set.fcm_url.starts_with("http://") {
        wrong("notifications.fcm_url", "expected an address that starts with https:// or http://");
    }
    let is_subject = |subject: &String| subject.starts_with("mailto:") || subject.starts_with("https://");
    if set.vapid_key.is_some() && set.vapid_subject.is_none() {
        wrong(
            "notifications.vapid_subject",
            "goes with notifications.vapid_key: push services want to know whom to turn to",
        );
    }
    if !set.vapid_subject.iter().all(is_subject) {
        wrong("notifications.vapid_subject", "expected mailto: and an e-mail address, or an https:// address");
    }
    if set.web_push_anywhere && config.server.production {
        wrong(
            "notifications.web_push_anywhere",
            "not in production: whoever subscribes could send requests into your network",
        );
    }
    if set.attempts == 0 {
        wrong("notifications.attempts", "must be at least 1");
    }
    if set.timeout < Duration::from_secs(1) || set.timeout > Duration::from_secs(60) {
        wrong("notifications.timeout", "expected 1s to 60s");
    }
    if set.expiry <= set.after {
        wrong("notifications.expiry", "must be longer than notifications.after: else nobody is ever notified");
    }
}

fn server(config: &Config, wrong: &mut dyn FnMut(&str, &str)) {
    let server = &config.server;
    if server.port == u16::MAX && server.admin_port.is_none() {
        wrong("server.port", "leaves no port above it for the admin listener: set server.admin_port");
    }
    let (public, admin) = (server.public_address(), server.admin_address());
    let overlap = public.ip() == admin.ip() || public.ip().is_unspecified() || admin.ip().is_unspecified();
    if public.port() == admin.port() && public.port() != 0 && overlap {
        wrong("server.admin_port", "the same as server.port");
    }
    if server.ping_interval > Duration::ZERO && server.pong_timeout >= server.ping_interval {
        wrong("server.pong_timeout", "must be shorter than server.ping_interval");
    }
    if server.ping_interval > Duration::ZERO && server.pong_timeout.is_zero() {
        wrong("server.pong_timeout", "must be longer than 0");
    }
}

fn bounds(config: &Config, wrong: &mut dyn FnMut(&str, &str)) {
    let set = &config.limits;
    let mut between = |path: &str, size: ByteSize, low: usize, high: usize| {
        if size.0 < low || size.0 > high {
            wrong(path, &format!("expected {low} to {high} bytes, found {}", size.0));
        }
    };
    between("limits.frame", set.frame, KIB, 16 * KIB * KIB);
    between("limits.body", set.body, 1, limits::BODY_BYTES);
    between("limits.outbox", set.outbox, 64 * KIB, 1024 * KIB * KIB);
    // hyper takes no smaller read buffer than 8 KiB.
    between("limits.header", set.header, 8 * KIB, 1024 * KIB);
    // A segment holds at least one append; its offsets are 32 bits wide in the index.
    between("data.segment_size", config.data.segment_size, 4 * limits::APPEND_BYTES, 2 * 1024 * KIB * KIB);
    if set.messages_per_minute > 0 && set.burst == 0 {
        wrong("limits.burst", "must be at least 1 if messages_per_minute is set");
    }
    for (path, per_minute, burst) in [
        ("limits.changes_burst", set.changes_per_minute, set.changes_burst),
        ("limits.questions_burst", set.questions_per_minute, set.questions_burst),
    ] {
        if per_minute > 0 && burst == 0 {
            wrong(path, "must be at least 1 if there is a bound for a minute");
        }
    }
    let weights = [
        ("limits.change_users", set.change_users as usize),
        ("limits.change_bytes", set.change_bytes.0),
        ("limits.question_rows", set.question_rows as usize),
        ("limits.search_questions", set.search_questions as usize),
    ];
    for (path, _) in weights.into_iter().filter(|(_, weight)| *weight == 0) {
        wrong(path, "must be at least 1");
    }
    for (path, ttl) in [("auth.access_ttl", config.auth.access_ttl), ("auth.refresh_ttl", config.auth.refresh_ttl)] {
        // Tokens count in whole seconds.
        if ttl < Duration::from_secs(1) {
            wrong(path, "must be at least 1s: what is made would be over at once");
        }
    }
    if config.uploads.quota.0 == 0 {
        wrong("uploads.quota", "expected more than 0");
    }
    if set.handshake_timeout.is_zero() {
        wrong("limits.handshake_timeout", "must be longer than 0");
    }
    if set.answer_timeout < Duration::from_secs(1) {
        wrong("limits.answer_timeout", "must be at least 1s: a slow line is no dead one");
    }
    if set.keep_alive < Duration::from_secs(1) {
        wrong("limits.keep_alive", "must be at least 1s");
    }
    if set.slow_grace < Duration::from_millis(100) {
        wrong("limits.slow_grace", "must be at least 100ms: a short burst makes nobody slow");
    }
    if set.idle < Duration::from_secs(1) {
        wrong("limits.idle", "must be at least 1s");
    }
    for (path, number) in [("limits.resident_rooms", set.resident_rooms), ("limits.resident_users", set.resident_users)]
    {
        if number < 16 {
            wrong(path, "must be at least 16");
        }
    }
    if set.room_memory.0 < 16 * KIB * KIB {
        wrong("limits.room_memory", "must be at least 16MiB");
    }
    if config.server.shutdown_grace.is_zero() {
        wrong("server.shutdown_grace", "must be longer than 0");
    }
}

fn channels(channels: &[Namespace], wrong: &mut dyn FnMut(&str, &str)) {
    let mut seen = BTreeSet::new();
    for (index, namespace) in channels.iter().enumerate() {
        let path = format!("{}[{index}].namespace", Namespace::SCHEMA.name);
        let name = namespace.namespace.as_str();
        if !seen.insert(name) {
            wrong(&path, &format!("{name:?} is there twice"));
        }
        if name == limits::ROOM_CHANNEL_PREFIX.trim_end_matches(':') {
            wrong(&path, "\"room\" is for rooms, which are never open channels");
        }
        if namespace.history_ttl > Duration::from_millis(limits::DEDUPE_WINDOW_MS) {
            let path = format!("{}[{index}].history_ttl", Namespace::SCHEMA.name);
            wrong(&path, "at most 24h, as long as a channel knows when its publications came; or \"0\" for ever");
        }
        if name.contains([':', '#', '$', '/']) || name.len() > 64 {
            wrong(&path, "expected at most 64 bytes without : # $ /");
        }
    }
}
