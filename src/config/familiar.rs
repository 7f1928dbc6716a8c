//! Variables that other systems have and that are more than the text of a setting: `NODE_ENV`, `LOG_LEVEL`, `DB_*`, `REDIS_*`. What
//! is set counts, or a line says that it does not.

use super::environment::Variable;
use super::layer::{Origin, Setting};
use super::problem::Problem;
use super::value::Raw;

/// An engine's address in parts.
pub(super) struct Parts {
    /// The setting that they make.
    section: &'static str,
    key: &'static str,
    /// The variables. What stands in the file of `password_file` is a password.
    names: &'static [&'static str],
    password: &'static str,
    password_file: &'static str,
    /// A deployment that sets one of these has said it.
    whole: &'static [&'static str],
    /// The address; or what is missing.
    made: fn(&Found<'_>) -> Result<String, &'static str>,
    /// To do without it.
    without: &'static str,
}

/// What the parts say.
struct Found<'a> {
    parts: &'a [&'a Variable],
    /// `:` and the password, encoded; or nothing.
    password: String,
}

/// A PostgreSQL.
pub(super) const DATABASE: Parts = Parts {
    section: "store",
    key: "database_url",
    names: &["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD", "DB_PASSWORD_FILE"],
    password: "DB_PASSWORD",
    password_file: "DB_PASSWORD_FILE",
    whole: &["DATABASE_URL", "DATABASE_URL_FILE", "KERVAN_STORE__DATABASE_URL", "KERVAN_STORE__DATABASE_URL_FILE"],
    made: database,
    without: "to keep rows in the data folder",
};

/// A Redis.
pub(super) const REDIS: Parts = Parts {
    section: "redis",
    key: "url",
    names: &["REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "REDIS_PASSWORD_FILE"],
    password: "REDIS_PASSWORD",
    password_file: "REDIS_PASSWORD_FILE",
    whole: &["REDIS_URL", "REDIS_URL_FILE", "KERVAN_REDIS__URL", "KERVAN_REDIS__URL_FILE"],
    made: redis,
    without: "to do without",
};

/// What a variable comes to.
pub(super) enum Meaning {
    Setting(Setting),
    /// It does not count, and this says why.
    Note(String),
    /// It is a part of something, or says what is so anyway.
    Nothing,
}

/// Whether [`meaning`] or [`address`] knows it.
pub(super) fn is_familiar(name: &str) -> bool {
    matches!(name, "NODE_ENV" | "LOG_LEVEL") || DATABASE.names.contains(&name) || REDIS.names.contains(&name)
}

/// The meaning of a variable that [`is_familiar`], as far as it has one alone.
pub(super) fn meaning(variable: &Variable, value: &str) -> Meaning {
    let set = |section: &str, key: &str, text: &str| {
        let (section, key, raw) = (section.to_owned(), key.to_owned(), Raw::Text(text.to_owned()));
        Meaning::Setting(Setting { section, key, raw, origin: variable.origin.clone() })
    };
    match variable.name.as_str() {
        "NODE_ENV" => match value {
            "production" => set("server", "production", "true"),
            "development" | "test" => Meaning::Nothing,
            other => Meaning::Note(format!(
                "{}={other} is no mode of Kervan's, only \"production\" is; KERVAN_SERVER__PRODUCTION=true says it, too",
                variable.origin
            )),
        },
        "LOG_LEVEL" => match level(value) {
            Some(level) => set("log", "filter", level),
            None => {
                Meaning::Note(format!("{}={value} is no level: RUST_LOG says which lines are written", variable.origin))
            }
        },
        _ => Meaning::Nothing,
    }
}

/// The levels of the loggers that Node.js programs use.
fn level(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "silent" | "off" => "off",
        "fatal" | "error" => "error",
        "warn" | "warning" => "warn",
        "info" | "log" | "notice" => "info",
        "http" | "verbose" | "debug" => "debug",
        "silly" | "trace" => "trace",
        _ => return None,
    })
}

/// The address that parts make together, as a setting. `None` without any, or if a whole address is set.
pub(super) fn address(variables: &[Variable], of: &Parts) -> Option<Result<Setting, Problem>> {
    let is =
        |names: &[&str], variable: &Variable| names.contains(&variable.name.as_str()) && !variable.value.is_empty();
    let parts: Vec<&Variable> = variables.iter().filter(|variable| is(of.names, variable)).collect();
    let names = parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join(", ");
    let origin = match parts.first()?.origin.clone() {
        Origin::DotEnv(path, line, _) => Origin::DotEnv(path, line, names),
        _ => Origin::Environment(names),
    };
    if variables.iter().any(|variable| is(of.whole, variable)) {
        return None;
    }
    let wrong =
        |what: String| Err(Problem { path: format!("{}.{}", of.section, of.key), origin: origin.clone(), what });
    let mut found = Found { parts: &parts, password: String::new() };
    let password = match found.part(of.password_file) {
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => Some(text.trim_end_matches(['\n', '\r']).to_owned()),
            Err(error) => return Some(wrong(format!("can't read {path:?}: {error}"))),
        },
        None => found.part(of.password).map(str::to_owned),
    };
    found.password = password.map_or(String::new(), |password| format!(":{}", encoded(&password)));
    let setting = match (of.made)(&found) {
        Ok(text) => {
            let (section, key, raw) = (of.section.to_owned(), of.key.to_owned(), Raw::Text(text));
            Ok(Setting { section, key, raw, origin })
        }
        Err(what) => wrong(format!("{what}; {}: {}", of.without, origin.without().unwrap_or_default())),
    };
    Some(setting)
}

impl Found<'_> {
    fn part(&self, name: &str) -> Option<&str> {
        self.parts.iter().find(|part| part.name == name).and_then(|part| part.value.to_str())
    }
}

fn database(found: &Found<'_>) -> Result<String, &'static str> {
    let (Some(name), Some(user)) = (found.part("DB_NAME"), found.part("DB_USER")) else {
        return Err("a database's address takes DB_NAME and DB_USER as well");
    };
    let host = match found.part("DB_HOST").unwrap_or("localhost") {
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
        host if host.starts_with('/') => encoded(host),
        host => host.to_owned(),
    };
    let (port, user, name) = (found.part("DB_PORT").unwrap_or("5432"), encoded(user), encoded(name));
    Ok(format!("postgresql://{user}{}@{host}:{port}/{name}", found.password))
}

/// `REDIS_HOST` may name several nodes of a cluster behind commas, each with a port of its own.
fn redis(found: &Found<'_>) -> Result<String, &'static str> {
    let port = found.part("REDIS_PORT").unwrap_or("6379");
    let password = if found.password.is_empty() { String::new() } else { format!("{}@", found.password) };
    let address = |host: &str| match host.trim() {
        host if host.matches(':').count() > 1 && !host.starts_with('[') => format!("redis://{password}[{host}]:{port}"),
        host if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => {
            format!("redis://{password}{host}")
        }
        host => format!("redis://{password}{host}:{port}"),
    };
    let hosts = found.part("REDIS_HOST").unwrap_or("localhost");
    Ok(hosts.split(',').map(address).collect::<Vec<_>>().join(","))
}

/// A part of an address, so that nothing in it means anything there.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use crate::config::{Database, Loaded, Problems, Secret, Sources, load, redis_url};

    fn sources(dotenv: &str, environment: &[(&str, &str)]) -> Sources {
        Sources {
            dotenv: (!dotenv.is_empty()).then(|| (PathBuf::from(".env"), dotenv.to_owned())),
            environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            ..Sources::default()
        }
    }

    fn loaded(dotenv: &str, environment: &[(&str, &str)]) -> Loaded {
        load(&sources(dotenv, environment)).unwrap()
    }

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_dotenv_file_counts_less_than_the_environment_and_its_lines_are_named() {
        let file = format!("# mine\nPORT=4000\nJWT_SECRET='{SECRET}'\nAPP_NAME=My App\n");
        let from_file = loaded(&file, &[]);
        assert_eq!(from_file.config.server.port, 4000);
        assert_eq!(from_file.config.auth.hmac_secret, Some(Secret::new(SECRET)));
        assert_eq!(from_file.origins["server.port"].to_string(), ".env:2: PORT");
        let names = ["JWT_SECRET", "PORT"].map(str::to_owned).to_vec();
        assert_eq!(from_file.from_dotenv, Some((PathBuf::from(".env"), names)));
        assert_eq!(loaded(&file, &[("PORT", "5000")]).config.server.port, 5000);
        assert_eq!(loaded(&file, &[("KERVAN_SERVER__PORT", "5000")]).config.server.port, 5000);
        assert_eq!(loaded("KERVAN_SERVER__PORT=4000", &[("PORT", "5000")]).config.server.port, 5000);
        assert_eq!(loaded(&file, &[("PORT", "")]).config.server.port, 3000, "an empty one takes it back");
        assert_eq!(loaded("APP=x", &[]).from_dotenv, None);
        let wrong = load(&sources("\nPORT=http\nKERVAN_PORT=1", &[])).unwrap_err().to_string();
        assert_eq!(
            wrong,
            ".env:3: KERVAN_PORT: unknown variable, did you mean KERVAN_SERVER__PORT?\n.env:2: PORT: server.port: \
             expected a whole number from 0 to 65535, found \"http\""
        );
    }

    #[test]
    fn node_env_means_production_and_nothing_else() {
        let production = loaded("", &[("NODE_ENV", "production"), ("JWT_SECRET", SECRET)]);
        assert!(production.config.server.production);
        let explicit = [("NODE_ENV", "production"), ("KERVAN_SERVER__PRODUCTION", "false")];
        assert!(!loaded("", &explicit).config.server.production);
        let keyless = load(&sources("NODE_ENV=production", &[])).unwrap_err().to_string();
        assert!(keyless.starts_with(".env:1: NODE_ENV: server.production: production needs a way"), "{keyless}");
        assert_eq!(loaded("", &[("NODE_ENV", "test")]), loaded("", &[]));
        let staging = loaded("", &[("NODE_ENV", "staging")]);
        assert!(!staging.config.server.production && staging.warnings.last().unwrap().contains("NODE_ENV=staging"));
    }

    #[test]
    fn a_level_is_a_filter_unless_there_is_one() {
        let filter = |environment: &[(&str, &str)]| loaded("", environment).config.log.filter.0;
        assert_eq!(filter(&[("LOG_LEVEL", "Warning")]), "warn");
        assert_eq!(filter(&[("LOG_LEVEL", "silly"), ("RUST_LOG", "info,kervan=debug")]), "info,kervan=debug");
        let odd = loaded("", &[("LOG_LEVEL", "loud")]);
        assert!(odd.config.log.filter.0 == "info" && odd.warnings.last().unwrap().contains("LOG_LEVEL=loud"));
    }

    #[test]
    fn the_parts_of_an_address_are_a_database() {
        let parts = "DB_HOST=db\nDB_PORT=5433\nDB_NAME=chat\nDB_USER=u\n";
        let found = loaded(parts, &[("DB_PASSWORD", "p@/:x")]);
        let expected = "postgresql://u:p%40%2F%3Ax@db:5433/chat";
        assert_eq!(found.config.store.database_url, Some(Database::Postgres(expected.to_owned())));
        assert!(!found.show(true).contains("p%40"));
        let trimmed = loaded(parts, &[("KERVAN_DATA__JOURNAL_RETENTION", "7d")]);
        assert!(trimmed.warnings.iter().any(|warning| warning.starts_with("data.journal_retention has no effect")));
        let whole = loaded(parts, &[("DATABASE_URL", "chat.db")]).config.database();
        assert_eq!(whole, Database::Sqlite(PathBuf::from("chat.db")));
        let half = load(&sources("", &[("DB_HOST", "db")])).unwrap_err().to_string();
        assert!(half.starts_with("environment variable DB_HOST: store.database_url: a database's"), "{half}");
        assert!(half.ends_with(": DB_HOST= kervan"), "{half}");
        let said = "store.database_url is what .env:1: DB_HOST, DB_NAME, DB_PORT, DB_USER says; to keep rows in the data \
                    folder: DB_HOST= DB_NAME= DB_PORT= DB_USER= kervan";
        assert_eq!(loaded(parts, &[]).about_database(), said);
        assert_eq!(loaded("", &[("DB_PORT", "tcp://10.0.0.1:5432")]), loaded("", &[]));
    }

    #[test]
    fn the_parts_of_redis_are_an_address() {
        let url = |environment: &[(&str, &str)]| loaded("", environment).config.redis.url;
        let is = |environment: &[(&str, &str)], text: &str| assert_eq!(url(environment), Some(redis_url(text)));
        is(&[("REDIS_HOST", "r")], "redis://r:6379");
        is(&[("REDIS_PORT", "7001")], "redis://localhost:7001");
        is(&[("REDIS_HOST", "r"), ("REDIS_PASSWORD", "p@,x")], "redis://:p%40%2Cx@r:6379");
        is(
            &[("REDIS_HOST", "r1:7001, r2,::1"), ("REDIS_PORT", "7000")],
            "redis://r1:7001,redis://r2:7000,redis://[::1]:7000",
        );
        is(&[("REDIS_HOST", "r"), ("REDIS_URL", "redis://whole")], "redis://whole");
        is(&[("REDIS_HOST", "r"), ("KERVAN_REDIS__URL", "redis://whole")], "redis://whole");
        assert_eq!(url(&[("REDIS_HOST", ""), ("REDIS_PORT", "tcp://10.0.0.1:6379")]), None);
        let loaded = loaded("REDIS_HOST=r\nREDIS_PASSWORD=hidden\n", &[]);
        assert!(!loaded.show(true).contains("hidden") && loaded.show(true).contains("redis://***@r:6379"));
        let said = "redis.url is what .env:1: REDIS_HOST, REDIS_PASSWORD says; to do without: REDIS_HOST= REDIS_PASSWORD= kervan";
        assert_eq!(loaded.about_redis(), said);
    }

    #[test]
    fn all_that_is_wrong_is_said_in_one_round_with_the_way_out() {
        let file = "REDIS_HOST=\"r,\"\nREDIS_PORT=http\nKERVAN_CLUSTER__NODE=1\nDB_HOST=db\nDB_NAME=chat\n# \nMAX_FILE_SIZE=10 miles\n\
                    ALLOWED_ORIGINS=chat.example.com\n";
        let Problems(found) = load(&sources(file, &[("KERVAN_LIMITS__BURST", "0")])).unwrap_err();
        let said = Problems(found).to_string();
        for line in [
            ".env:1: REDIS_HOST, REDIS_PORT: redis.url: expected redis://[USER:PASSWORD@]HOST[:PORT]",
            ".env:3: KERVAN_CLUSTER__NODE: comes with the cluster",
            ".env:4: DB_HOST, DB_NAME: store.database_url: a database's address takes DB_NAME and DB_USER as well",
            ".env:7: MAX_FILE_SIZE: uploads.max_file_size: expected a size",
            ".env:8: ALLOWED_ORIGINS: server.allowed_origins: expected",
            "environment variable KERVAN_LIMITS__BURST: limits.burst: must be at least 1",
            "to run on one node without them: KERVAN_CLUSTER__NODE= kervan",
        ] {
            assert!(said.lines().any(|said| said.starts_with(line)), "{line} in\n{said}");
        }
        assert_eq!(said.lines().count(), 7, "{said}");
    }

    #[test]
    fn what_a_misread_value_makes_look_wrong_is_not_told() {
        let missing = [("KERVAN_SERVER__PRODUCTION", "true"), ("JWT_SECRET_FILE", "/does/not/exist")];
        let said = load(&sources("", &missing)).unwrap_err().to_string();
        assert_eq!(said.lines().count(), 1, "{said}");
    }

    #[test]
    fn a_name_without_its_section_finds_it() {
        for (name, meant) in [
            ("KERVAN_PORT", "KERVAN_SERVER__PORT"),
            ("KERVAN_JWT_SECRET", "KERVAN_AUTH__HMAC_SECRET"),
            ("KERVAN_DATABASE_URL", "KERVAN_STORE__DATABASE_URL"),
            ("KERVAN_DATA_DIR", "KERVAN_DATA__DIR"),
            ("KERVAN_ENV", "KERVAN_SERVER__PRODUCTION=true"),
        ] {
            let said = load(&sources("", &[(name, "1")])).unwrap_err().to_string();
            assert!(said.ends_with(&format!("did you mean {meant}?")), "{said}");
        }
    }
}
