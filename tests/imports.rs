//! The import rule of the design, checked over the source: which module may know which, and which few files may touch
//! a big dependency. A new file that needs one is added here, with its reason visible to whoever reviews it.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

#[allow(dead_code, reason = "two test programs share it, and each takes what it needs")]
#[path = "tidy/tree.rs"]
mod tree;

use tree::{Source, code_of, sources};

/// The layers, lowest first. A module may import its own layer and those below.
const LAYERS: [&[&str]; 6] = [
    &[
        "ids",
        "epoch",
        "limits",
        "env",
        "config",
        "ttl",
        "metrics",
        "shutdown",
        "health",
        "http_client",
        "safe_debug",
        "testing",
    ],
    &["storage"],
    &["actors"],
    &["api"],
    &["server"],
    &["cli", "main", "lib"],
];

/// Inside `actors`: what a room of it may import of the others (tests may more). Rooms that are not named here may import
/// any.
const INSIDE_ACTORS: [(&str, &[&str]); 9] = [
    ("wire", &[]),
    ("bounds", &["wire"]),
    ("decisions", &["wire"]),
    ("verbs", &["wire", "bounds", "moment"]),
    ("room", &["wire", "bounds", "decisions", "kinds", "moment", "verbs"]),
    ("user", &["wire", "bounds", "decisions", "kinds", "moment", "verbs"]),
    ("digest", &["wire", "room", "user"]),
    ("fold", &["wire", "decisions", "digest", "kinds", "moment", "room", "user"]),
    ("gateway", &["wire"]),
];
/// What the lowest room may import of the rest of the crate.
const BELOW_WIRE: [&str; 4] = ["actors", "ids", "limits", "env"];

/// The folders of `api`, lowest first. A folder may import itself and those below.
const API: [&str; 17] = [
    "protocol",
    "visible",
    "schema",
    "audit",
    "failures",
    "auth",
    "http",
    "accounts",
    "uploads",
    "operations",
    "session",
    "development",
    "websocket",
    "streams",
    "rest",
    "admin",
    "mod",
];

/// Journals and stores that have rivals, and the places that may name one: its own folder, what is made for it alone, and
/// the composition root.
const CONCRETE: [(&str, &[&str]); 5] = [
    ("KafkaJournal", &["src/storage/journal/", "src/server/storage.rs"]),
    ("EmbeddedJournal", &["src/storage/journal/", "src/storage/backup/", "src/server/storage.rs"]),
    ("MemoryJournal", &["src/storage/journal/"]),
    ("SqlStore", &["src/storage/store/", "src/storage/backup/", "src/server/storage.rs"]),
    ("MemoryStore", &["src/storage/store/"]),
];

/// Crates that only the files or folders named may import.
const ONLY: [(&str, &[&str]); 35] = [
    (
        "p256",
        &["src/actors/workers/notification/providers/web_push/", "src/api/auth/tests/", "src/config/vapid_key.rs"],
    ),
    // With `rustls::crypto::ring`, which gives it to TLS.
    ("ring", &["src/actors/workers/notification/providers/web_push/", "src/config/vapid_key.rs", "src/http_client.rs"]),
    ("rdkafka", &["src/storage/journal/kafka/"]),
    ("kervan_kafka_calls", &["src/storage/journal/kafka/"]),
    ("kafka_protocol", &["src/storage/journal/kafka/appender/"]),
    ("lz4_flex", &["src/storage/journal/kafka/appender/questions.rs"]),
    ("redis", &["src/actors/hints/redis_client.rs"]),
    ("object_store", &["src/storage/uploads/objects.rs"]),
    ("image", &["src/api/uploads/", "src/api/rest/tests/"]),
    ("infer", &["src/api/uploads/"]),
    (
        "ractor",
        &[
            "src/actors/node/",
            "src/actors/router.rs",
            "src/actors/router/tests.rs",
            "src/actors/partition/actor.rs",
            "src/actors/partition/entity_actor.rs",
            "src/actors/partition/budget.rs",
            "src/actors/partition/follow.rs",
        ],
    ),
    ("sqlx", &["src/storage/sql/", "src/storage/store/sql/plans"]),
    ("hyper", &["src/api/http/listener.rs", "src/api/http/patience.rs", "src/api/websocket/"]),
    ("hyper_util", &["src/api/http/listener.rs", "src/api/websocket/"]),
    (
        "axum",
        &[
            "src/api/admin/",
            "src/api/http/",
            "src/api/websocket/",
            "src/api/streams/",
            "src/api/rest/",
            "src/server.rs",
        ],
    ),
    ("tower_http", &["src/api/rest/"]),
    (
        "utoipa",
        // A verb's file describes what a client says of the verb: one struct for rpc, REST and both documents.
        &[
            "src/actors/room/commands/",
            "src/actors/user/commands/",
            "src/api/rest/",
            "src/api/schema.rs",
            "src/api/operations/",
        ],
    ),
    ("utoipa_axum", &["src/api/rest/"]),
    ("rust_embed", &["src/api/http/pages.rs", "src/api/http/packed.rs"]),
    ("tower", &["src/api/http/"]),
    (
        "tokio_tungstenite",
        &["src/api/rest/tests/", "src/api/websocket/tests/", "src/server/tests/apart/invitations.rs"],
    ),
    (
        "jsonwebtoken",
        &[
            "src/actors/workers/notification/providers/fcm.rs",
            "src/api/auth/",
            "src/api/rest/tests/",
            "src/api/websocket/tests/",
        ],
    ),
    (
        "reqwest",
        &[
            "src/http_client.rs",
            "src/actors/workers/notification/providers/",
            "src/api/auth/jwks.rs",
            "src/api/rest/tests/",
            "src/cli/operator/admin_client.rs",
            "src/storage/uploads/objects.rs",
        ],
    ),
    ("metrics_exporter_prometheus", &["src/metrics/"]),
    ("rustls", &["src/http_client.rs"]),
    ("rustls_native_certs", &["src/http_client.rs"]),
    ("dashmap", &["src/actors/gateway/hub/", "src/api/operations/read_your_writes.rs", "src/api/streams/registry.rs"]),
    ("tokio_util", &["src/api/websocket/driver.rs", "src/shutdown.rs"]),
    ("subtle", &["src/config/value.rs"]),
    ("clap", &["src/cli/"]),
    ("clap_complete", &["src/cli/operator/completions.rs"]),
    ("anyhow", &["src/cli/"]),
    ("opentelemetry", &["src/cli/telemetry.rs"]),
    ("opentelemetry_otlp", &["src/cli/telemetry.rs"]),
    ("opentelemetry_sdk", &["src/cli/telemetry.rs"]),
];

/// What the pure folds must not name (I1): nothing that waits, nothing that tells time or makes chance, no storage but
/// the shape of a record.
const PURE: [&str; 3] = ["src/actors/decisions.rs", "src/actors/room/", "src/actors/user/"];
const IMPURE: [&str; 10] = [
    "tokio::",
    "ractor::",
    "crate::env",
    "crate::metrics",
    "crate::config",
    "crate::storage::store",
    "std::time",
    "Uuid::now_v7",
    "Uuid::new_v4",
    "async ",
];
/// The process file of a fold, if there is one, is no fold; nor are tests.
const NOT_FOLDS: [&str; 2] = ["actor.rs", "tests"];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The top-level modules that `code` names by `crate::`.
fn own_modules(code: &str) -> Vec<String> {
    named_behind("crate::", code)
}

/// The rooms of `actors` that a file of `actors` names by `crate::actors::` or by as many `super::` as lead there.
fn rooms(source: &Source) -> Vec<String> {
    let path = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
    let mut found = named_behind("crate::actors::", &source.code);
    let supers = "super::".repeat(path.matches('/').count() - 1);
    found.extend(named_behind(&format!(" {supers}"), &source.code).into_iter().filter(|word| word != "super"));
    found
}

/// The words that stand in `code` behind `prefix`, also those of a group in braces.
fn named_behind(prefix: &str, code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut item = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 || (depth == 1 && c == ',') {
                    found.push(leading_word(item.trim()));
                    item.clear();
                } else {
                    item.push(c);
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            found.push(leading_word(rest));
        }
    }
    found.retain(|word| !word.is_empty());
    found
}

/// Whether a file holds nothing but tests, or runs in them only.
fn is_test(source: &Source) -> bool {
    ["/tests/", "/tests.rs", "_tests.rs", "/contract", "src/actors/sim/"].iter().any(|part| source.path.contains(part))
}

fn leading_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Whether `code` names the crate `name`, as `name::…` or `use name`.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let apart = before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '.');
        let after = &code[at + name.len()..];
        apart && (after.starts_with("::") || (code[..at].ends_with("use ") && after.starts_with([';', ' '])))
    })
}

fn upward_imports(source: &Source) -> Vec<String> {
    let module = source.module();
    let Some(own) = layer(module) else { return vec![format!("{}: module {module} is in no layer", source.path)] };
    // Tests of the API start the whole server.
    let wrong = |word: &String| layer(word).is_some_and(|other| other > own) && !(is_test(source) && word == "server");
    let modules = own_modules(&source.code);
    modules.iter().filter(|w| wrong(w)).map(|w| format!("{} must not import {w}", source.path)).collect()
}

#[test]
fn imports_go_one_way() {
    let problems: Vec<String> = sources("src").iter().flat_map(upward_imports).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn sideways_imports(source: &Source) -> Vec<String> {
    let Some(inside) = source.path.strip_prefix("src/actors/") else { return Vec::new() };
    let own = inside.split(['/', '.']).next().unwrap_or(inside);
    let Some((_, may)) = INSIDE_ACTORS.iter().find(|(room, _)| *room == own) else { return Vec::new() };
    if inside.contains("tests") {
        return Vec::new();
    }
    let wrong = |word: &String| word != own && !may.contains(&word.as_str());
    let low =
        own_modules(&source.code).into_iter().filter(|word| own == "wire" && !BELOW_WIRE.contains(&word.as_str()));
    let rooms = rooms(source).into_iter().filter(wrong).chain(low);
    rooms.map(|word| format!("{} must not import {word}", source.path)).collect()
}

#[test]
fn inside_actors_imports_go_one_way() {
    let problems: Vec<String> = sources("src").iter().flat_map(sideways_imports).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Imports of a folder of `api` that stands above the importing one.
fn upward_in_api(source: &Source) -> Vec<String> {
    let Some(inside) = source.path.strip_prefix("src/api/").filter(|_| !is_test(source)) else { return Vec::new() };
    let own = inside.split(['/', '.']).next().unwrap_or(inside);
    let place = |folder: &str| API.iter().position(|known| *known == folder);
    let Some(at) = place(own) else { return vec![format!("{}: {own} has no place in API", source.path)] };
    // Inside a file, its tests come last.
    let code = source.code.split("\nmod tests {").next().unwrap_or_default();
    let words = code.match_indices("crate::api::").map(|(start, prefix)| leading_word(&code[start + prefix.len()..]));
    let above = words.filter(|word| place(word).is_some_and(|other| other > at));
    above.map(|word| format!("{} must not import {word}", source.path)).collect()
}

#[test]
fn inside_the_api_imports_go_one_way() {
    let problems: Vec<String> = sources("src").iter().flat_map(upward_in_api).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn only_the_composition_root_names_a_journal_or_a_store() {
    let mut problems = Vec::new();
    for source in sources("src").iter().filter(|source| !is_test(source)) {
        let code = source.code.split("\nmod tests {").next().unwrap_or_default();
        for (name, places) in CONCRETE {
            if code.contains(name) && !places.iter().any(|place| source.path.starts_with(place)) {
                problems.push(format!("{} must not name {name}: only {} may", source.path, places.join(", ")));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_big_dependency_is_known_to_a_few_files_only() {
    let mut problems = Vec::new();
    for source in sources("src") {
        for (name, places) in ONLY {
            if names_crate(&source.code, name) && !places.iter().any(|place| source.path.starts_with(place)) {
                problems.push(format!("{} must not import {name}: only {} may", source.path, places.join(", ")));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_folds_are_pure() {
    let mut problems = Vec::new();
    for source in sources("src") {
        let fold = PURE.iter().any(|place| source.path.starts_with(place));
        if !fold || NOT_FOLDS.iter().any(|name| source.path.contains(name)) {
            continue;
        }
        problems.extend(
            IMPURE.iter().filter(|word| source.code.contains(*word)).map(|word| format!("{}: {word}", source.path)),
        );
    }
    assert!(problems.is_empty(), "a fold names what it must not (I1):\n{}", problems.join("\n"));
}

#[test]
fn an_import_upwards_would_be_found() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), code: code_of(text), text: text.to_owned() };
    let found = |path: &str, text: &str| upward_imports(&source(path, text)).len();
    assert_eq!(found("src/storage/journal/mod.rs", "use crate::actors::room;"), 1);
    assert_eq!(found("src/storage/journal/mod.rs", "use crate::{ids::{Slot, Seq}, api::http};"), 1);
    assert_eq!(found("src/limits.rs", "pub use crate::storage;"), 1);
    assert_eq!(found("src/actors/mod.rs", "use crate::storage;\n// see crate::api\nuse crate::ids;"), 0);
    assert_eq!(found("src/api/rest/mod.rs", "use crate::server::Server;"), 1);
    assert_eq!(found("src/api/rest/tests/support.rs", "use crate::server::Server;"), 0, "a test starts all of it");
    assert_eq!(found("src/new.rs", ""), 1, "a new top-level module has to be given a layer");
    let aside = |path: &str, text: &str| sideways_imports(&source(path, text)).len();
    assert_eq!(aside("src/actors/wire/event/room.rs", "use crate::actors::{fold, wire::Entity};"), 1);
    assert_eq!(aside("src/actors/wire/event/room.rs", "use super::super::super::fold; use super::fields;"), 1);
    assert_eq!(aside("src/actors/wire/mod.rs", "use crate::storage::journal;"), 1);
    assert_eq!(aside("src/actors/fold.rs", "use super::gateway::hub; use super::{room, wire::Entity};"), 1);
    assert_eq!(aside("src/actors/gateway/hub/mod.rs", "use crate::actors::partition;"), 1);
    let in_api = |path: &str, text: &str| upward_in_api(&source(path, text)).len();
    assert_eq!(in_api("src/api/http/backup.rs", "use crate::api::admin::audit::Audit;"), 1);
    assert_eq!(
        in_api("src/api/admin/backup.rs", "use crate::api::http::HttpError;\nmod tests {\nuse crate::api::x;"),
        0
    );
    assert!(names_crate("let x = ractor::Actor;", "ractor") && names_crate("use ractor;", "ractor"));
    assert!(!names_crate("crate::ractor::x; tractor::x", "ractor"));
}
