//! The environment layer: names that people know from elsewhere, `KERVAN_SECTION__KEY` for every key, and `*_FILE`
//! for secrets. Only names that Kervan knows are looked at; a `KERVAN_*` name that it does not know is an error.

use std::ffi::OsString;

use super::file::{CLUSTER, read_channels};
use super::hint::nearest;
use super::layer::{Layer, Origin, Setting};
use super::problem::Problem;
use super::value::Raw;
use super::{Config, Namespace};

/// Names that are accepted as they are. An empty value counts as not set: compose files pass those on.
const KNOWN: [(&str, &str, &str); 7] = [
    ("PORT", "server", "port"),
    ("ALLOWED_ORIGINS", "server", "allowed_origins"),
    ("JWT_SECRET", "auth", "hmac_secret"),
    ("UPLOAD_PATH", "uploads", "path"),
    ("MAX_FILE_SIZE", "uploads", "max_file_size"),
    ("DATABASE_URL", "store", "database_url"),
    ("RUST_LOG", "log", "filter"),
];
/// Settings that `<name>_FILE` may give: the path of a file with the value.
const SECRETS: [(&str, &str); 6] = [
    ("admin", "token"),
    ("api", "key"),
    ("auth", "hmac_secret"),
    ("uploads", "s3_access_key"),
    ("uploads", "s3_secret_key"),
    ("store", "database_url"),
];
/// Names of the cluster's settings: an error for now, so that nobody believes to run one.
const OF_THE_CLUSTER: [&str; 8] = [
    "KAFKA_BROKERS",
    "REDIS_HOST",
    "REDIS_PORT",
    "REDIS_PASSWORD",
    "REDIS_URL",
    "REDIS_PASSWORD_FILE",
    "REDIS_URL_FILE",
    "KAFKA_BROKERS_FILE",
];
/// Names of settings of later versions that do no harm when they are ignored.
const LATER: [&str; 2] = ["PUSH_NOTIFICATION_KEY", "PUSH_NOTIFICATION_KEY_FILE"];

const PREFIX: &str = "KERVAN_";
const FILE_SUFFIX: &str = "_FILE";

/// Reads the layer; also the names that are accepted and not used yet.
pub(super) fn read(variables: &[(OsString, OsString)]) -> (Layer, Vec<String>) {
    let mut layer = Layer::default();
    let mut not_used_yet = Vec::new();
    // Sorted, so that the answer is the same whatever order the system gives; and `KERVAN_…` after the known names:
    // the more specific name wins.
    let mut named: Vec<(String, &OsString)> =
        variables.iter().filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value))).collect();
    named.sort_by_key(|(name, _)| (name.starts_with(PREFIX), name.clone()));
    for (name, value) in &named {
        if value.is_empty() && !name.starts_with(PREFIX) {
            continue;
        }
        if LATER.contains(&name.as_str()) {
            not_used_yet.push(name.clone());
            continue;
        }
        let Some(target) = target_of(name, &value.to_string_lossy()) else { continue };
        let origin = Origin::Environment(name.clone());
        let wrong = |path: String, what: String| Problem { path, origin: origin.clone(), what };
        let text = match (target, value.to_str()) {
            (Target::Refused(what), _) => {
                layer.problems.push(wrong(String::new(), what));
                continue;
            }
            (_, None) => {
                layer.problems.push(wrong(String::new(), "is not UTF-8".to_owned()));
                continue;
            }
            (Target::Channels, Some(text)) => {
                match read_channels(text, &origin) {
                    Ok(tables) => layer.channels = Some((origin, tables)),
                    Err(what) => layer.problems.push(wrong(Namespace::SCHEMA.name.to_owned(), what)),
                }
                continue;
            }
            (Target::Key(section, key), Some(text)) => Ok((section, key, text.to_owned())),
            (Target::FileOf(section, key), Some(path)) => {
                if let Some(plain) = name.strip_suffix(FILE_SUFFIX).filter(|plain| is_set(&named, plain)) {
                    layer.problems.push(wrong(String::new(), format!("{plain} is set as well: which one counts?")));
                    continue;
                }
                match std::fs::read_to_string(path) {
                    Ok(text) => Ok((section, key, text.trim_end_matches(['\n', '\r']).to_owned())),
                    Err(e) => Err(wrong(format!("{section}.{key}"), format!("can't read {path:?}: {e}"))),
                }
            }
        };
        match text {
            Ok((section, key, text)) => layer.settings.push(Setting { section, key, raw: Raw::Text(text), origin }),
            Err(problem) => layer.problems.push(problem),
        }
    }
    (layer, not_used_yet)
}

fn is_set(named: &[(String, &OsString)], plain: &str) -> bool {
    named.iter().any(|(name, value)| name == plain && !value.is_empty())
}

enum Target {
    Key(String, String),
    FileOf(String, String),
    Channels,
    Refused(String),
}

/// What a variable sets; `None` if it is none of Kervan's.
fn target_of(name: &str, value: &str) -> Option<Target> {
    if from_kubernetes(name, value) {
        return None;
    }
    if OF_THE_CLUSTER.contains(&name) {
        return Some(Target::Refused(CLUSTER.to_owned()));
    }
    for (known, section, key) in KNOWN {
        if name == known {
            return Some(Target::Key(section.to_owned(), key.to_owned()));
        }
        if SECRETS.contains(&(section, key)) && name.strip_suffix(FILE_SUFFIX) == Some(known) {
            return Some(Target::FileOf(section.to_owned(), key.to_owned()));
        }
    }
    let rest = name.strip_prefix(PREFIX)?;
    if rest == "CHANNELS" {
        return Some(Target::Channels);
    }
    if rest.starts_with("CLUSTER__") {
        return Some(Target::Refused(CLUSTER.to_owned()));
    }
    for section in Config::bare().sections() {
        let schema = section.schema();
        for key in schema.keys {
            let variable = variable_of(schema.name, key.name);
            if name == variable {
                return Some(Target::Key(schema.name.to_owned(), key.name.to_owned()));
            }
            let secret = SECRETS.contains(&(schema.name, key.name));
            if secret && name.strip_suffix(FILE_SUFFIX) == Some(&variable) {
                return Some(Target::FileOf(schema.name.to_owned(), key.name.to_owned()));
            }
        }
    }
    Some(Target::Refused(unknown(name)))
}

fn unknown(name: &str) -> String {
    if name == "KERVAN_ENV" || name == "KERVAN_PRODUCTION" {
        return "unknown variable, did you mean KERVAN_SERVER__PRODUCTION=true?".to_owned();
    }
    let config = Config::bare();
    let names: Vec<String> = config
        .sections()
        .iter()
        .flat_map(|section| section.schema().keys.iter().map(|key| variable_of(section.schema().name, key.name)))
        .chain(["KERVAN_CHANNELS".to_owned()])
        .collect();
    match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("unknown variable, did you mean {near}?"),
        None => "unknown variable: names are KERVAN_SECTION__KEY, see `kervan config template`".to_owned(),
    }
}

/// The variable that sets a key.
pub(super) fn variable_of(section: &str, key: &str) -> String {
    format!("{PREFIX}{}__{}", section.to_ascii_uppercase(), key.to_ascii_uppercase())
}

/// Every variable that sets a key, in code quotes: the short name first, then the general one, each with its `_FILE`.
pub(super) fn names_of(section: &str, key: &str) -> Vec<String> {
    let secret = SECRETS.contains(&(section, key));
    let short =
        KNOWN.iter().filter(|(_, of, named)| (*of, *named) == (section, key)).map(|(name, ..)| (*name).to_owned());
    let mut names = Vec::new();
    for name in short.chain([variable_of(section, key)]) {
        names.push(format!("`{name}`"));
        if secret {
            names.push(format!("`{name}{FILE_SUFFIX}`"));
        }
    }
    names
}

/// Kubernetes gives every pod variables about the services of its namespace: `KERVAN_SERVICE_HOST`, `REDIS_PORT` with
/// `tcp://…` and so on. They are not meant for us.
fn from_kubernetes(name: &str, value: &str) -> bool {
    let address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    !name.contains("__")
        && (name.ends_with("_SERVICE_HOST")
            || name.contains("_SERVICE_PORT")
            || (name.ends_with("_PORT") && address)
            || name.split_once("_PORT_").is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit())))
}
