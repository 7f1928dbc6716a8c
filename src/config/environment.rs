//! The environment layer, with what a `.env` file adds to it: names that people know from elsewhere,
//! `KERVAN_SECTION__KEY` for every key, and `*_FILE` for secrets. Only names that Kervan knows are looked at; a `KERVAN_*`
//! name that it does not know is an error.

use std::ffi::OsString;

use super::familiar::{self, Meaning, is_familiar};
use super::file::{CLUSTER, read_channels};
use super::hint::nearest;
use super::layer::{Layer, Origin, Setting, Sources};
use super::problem::Problem;
use super::value::Raw;
use super::{Config, Namespace, dotenv};

/// Names that are accepted as they are. An empty value counts as not set: compose files pass those on.
const KNOWN: [(&str, &str, &str); 11] = [
    ("PORT", "server", "port"),
    ("ALLOWED_ORIGINS", "server", "allowed_origins"),
    ("JWT_SECRET", "auth", "hmac_secret"),
    ("UPLOAD_PATH", "uploads", "path"),
    ("MAX_FILE_SIZE", "uploads", "max_file_size"),
    ("DATABASE_URL", "store", "database_url"),
    ("DATABASE_REPLICA_URL", "store", "replica_url"),
    ("KAFKA_BROKERS", "journal", "kafka_brokers"),
    ("REDIS_URL", "redis", "url"),
    ("PUSH_NOTIFICATION_KEY", "notifications", "fcm_account"),
    ("RUST_LOG", "log", "filter"),
];
/// Settings that `<name>_FILE` may give: the path of a file with the value.
const SECRETS: [(&str, &str); 11] = [
    ("admin", "token"),
    ("api", "key"),
    ("auth", "hmac_secret"),
    ("uploads", "s3_access_key"),
    ("uploads", "s3_secret_key"),
    ("notifications", "fcm_account"),
    ("notifications", "vapid_key"),
    ("notifications", "webhook_secret"),
    ("store", "database_url"),
    ("store", "replica_url"),
    ("redis", "url"),
];

/// What the operator's commands take from the environment; no settings.
const OF_COMMANDS: [&str; 2] = ["KERVAN_URL", "KERVAN_TOKEN"];

const PREFIX: &str = "KERVAN_";
const FILE_SUFFIX: &str = "_FILE";

/// A variable, and which of the two has it.
pub(super) struct Variable {
    pub name: String,
    pub value: OsString,
    pub origin: Origin,
}

/// What the variables say beside settings.
#[derive(Default)]
pub(super) struct Notes {
    /// Set, and without effect.
    pub warnings: Vec<String>,
    /// Variables of Kervan's that a `.env` file has set.
    pub from_dotenv: Vec<String>,
}

/// The variables in the order in which they count, the last the most: those of `.env` before those of the environment, then
/// what other systems have before short names before `KERVAN_…`. `.env` gives only what the environment does not have: an
/// empty one there takes it back.
fn variables(sources: &Sources) -> Vec<Variable> {
    let of_process = |(name, value): &(OsString, OsString)| {
        let name = name.to_str()?.to_owned();
        Some(Variable { origin: Origin::Environment(name.clone()), name, value: value.clone() })
    };
    let mut all: Vec<Variable> = sources.environment.iter().filter_map(of_process).collect();
    if let Some((path, text)) = &sources.dotenv {
        let mut entries = dotenv::read(text);
        entries.retain(|entry| all.iter().all(|variable| variable.name != entry.name));
        all.extend(entries.into_iter().map(|entry| Variable {
            origin: Origin::DotEnv(path.clone(), entry.line, entry.name.clone()),
            name: entry.name,
            value: entry.value.into(),
        }));
    }
    all.retain(|variable| !from_kubernetes(&variable.name, &variable.value.to_string_lossy()));
    all.sort_by_key(|variable| {
        let here = matches!(variable.origin, Origin::Environment(_));
        let general = (!is_familiar(&variable.name), variable.name.starts_with(PREFIX));
        (here, general, variable.name.clone())
    });
    all
}

/// Reads the layer, and what is to be said about it.
pub(super) fn read(sources: &Sources) -> (Layer, Notes) {
    let (mut layer, mut notes) = (Layer::default(), Notes::default());
    let all = variables(sources);
    // Below all others: each of those that could say it as a whole is known not to.
    for parts in [&familiar::DATABASE, &familiar::REDIS] {
        match familiar::address(&all, parts) {
            Some(Ok(setting)) => layer.settings.push(setting),
            Some(Err(problem)) => layer.problems.push(problem),
            None => {}
        }
    }
    for variable in &all {
        let Variable { name, value, origin } = variable;
        // Of its own names an empty one is a value, but where every value is refused: there it is the way out.
        if value.is_empty() && (!name.starts_with(PREFIX) || is_of_cluster(name)) {
            continue;
        }
        let Some(target) = target_of(name) else { continue };
        if matches!(origin, Origin::DotEnv(..)) {
            notes.from_dotenv.push(name.clone());
        }
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
            (Target::Familiar, Some(text)) => {
                match familiar::meaning(variable, text) {
                    Meaning::Setting(setting) => layer.settings.push(setting),
                    Meaning::Note(note) => notes.warnings.push(note),
                    Meaning::Nothing => {}
                }
                continue;
            }
            (Target::Channels, Some(text)) => {
                match read_channels(text, origin) {
                    Ok(tables) => layer.channels = Some((origin.clone(), tables)),
                    Err(what) => layer.problems.push(wrong(Namespace::SCHEMA.name.to_owned(), what)),
                }
                continue;
            }
            (Target::Key(section, key), Some(text)) => Ok((section, key, text.to_owned())),
            (Target::FileOf(section, key), Some(path)) => {
                if let Some(plain) = name.strip_suffix(FILE_SUFFIX).filter(|plain| is_set_beside(&all, variable, plain))
                {
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
            Ok((section, key, text)) => {
                layer.settings.push(Setting { section, key, raw: Raw::Text(text), origin: origin.clone() });
            }
            Err(problem) => layer.problems.push(problem),
        }
    }
    (layer, notes)
}

/// Whether a variable is set where another one is. Between environment and `.env` there is no question which one counts.
fn is_set_beside(all: &[Variable], other: &Variable, name: &str) -> bool {
    let same = |variable: &Variable| {
        matches!(variable.origin, Origin::Environment(_)) == matches!(other.origin, Origin::Environment(_))
    };
    all.iter().any(|variable| variable.name == name && !variable.value.is_empty() && same(variable))
}

enum Target {
    Key(String, String),
    FileOf(String, String),
    Familiar,
    Channels,
    Refused(String),
}

fn is_of_cluster(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with("CLUSTER__"))
}

/// What a variable sets; `None` if it is none of Kervan's.
fn target_of(name: &str) -> Option<Target> {
    if OF_COMMANDS.contains(&name) {
        return None;
    }
    if is_familiar(name) {
        return Some(Target::Familiar);
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
    if is_of_cluster(name) {
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
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    let near = variables_for(rest);
    if !near.is_empty() {
        return format!("unknown variable, did you mean {}?", near.join(" or "));
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

/// The variables that a name without its section may mean: `PORT`, `JWT_SECRET`, `LOG`.
fn variables_for(rest: &str) -> Vec<String> {
    if let Some((_, section, key)) = KNOWN.iter().find(|(known, ..)| *known == rest) {
        return vec![variable_of(section, key)];
    }
    let config = Config::bare();
    let keys = config.sections().into_iter().map(|section| section.schema());
    let all = keys.flat_map(|schema| schema.keys.iter().map(|key| (schema.name, key.name)));
    let joined = |(section, key): (&str, &str)| format!("{section}_{key}").eq_ignore_ascii_case(rest);
    let means = |(section, key): (&str, &str)| key.eq_ignore_ascii_case(rest) || joined((section, key));
    all.filter(|pair| means(*pair)).map(|(section, key)| variable_of(section, key)).collect()
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
