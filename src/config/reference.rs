//! The reference of the configuration as Markdown, from the same list of settings as everything else.

use std::fmt::Write as _;

use super::environment::names_of;
use super::schema::Section;
use super::{Config, Namespace};

/// The text of `docs/configuration.md`.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(
        "# Configuration reference\n\n\
         Written by `kervan config reference`; a test keeps it true. Layers: defaults < `cluster.toml` (in the working\n\
         directory, or `--config FILE`) < `.env` (in the working directory) < environment < flags. Unknown keys and bad\n\
         values are errors that name the key and the line or variable, all in one round, and exit code 2.\n\
         `kervan config show --origin` says what is in force and why.\n\n\
         Durations are numbers with `ms`, `s`, `m`, `h` or `d`; sizes with `KiB`, `MiB`, `GiB` or the same as `K`, `M`, `G`,\n\
         or with `KB`, `MB`, `GB` (powers of 1,000), in capital or small letters; lists in the environment are separated by\n\
         commas. A variable that ends in `_FILE` holds the path of a file with the value.\n\n\
         Names of other systems: `NODE_ENV=production` is `production = true` (no other value means anything); `LOG_LEVEL` is\n\
         a level for `filter`, unless `RUST_LOG` is set; `DB_HOST`, `DB_PORT`, `DB_NAME`, `DB_USER` and `DB_PASSWORD` (or\n\
         `DB_PASSWORD_FILE`) are a PostgreSQL address, unless `DATABASE_URL` is set; what PostgreSQL needs says `docs/postgresql.md`.\n\
         `KAFKA_BROKERS` puts the journal into Kafka (`docs/kafka.md`). `REDIS_URL` says where hints are\n\
         kept (`docs/redis.md`), or `REDIS_HOST` (one or more, behind commas), `REDIS_PORT` and `REDIS_PASSWORD` (or\n\
         `REDIS_PASSWORD_FILE`). `.env` is read as the `dotenv` of Node.js reads it; a variable of the environment goes before\n\
         the same one there, and an empty one takes it back (`KAFKA_BROKERS= kervan`).\n",
    );
    let config = Config::bare();
    for section in config.sections() {
        let name = section.schema().name;
        push(&mut out, section, &format!("[{name}]"), &|key| names_of(name, key));
        if name == "auth" {
            let heading = format!("[[{}]]", Namespace::SCHEMA.name);
            push(&mut out, &Namespace::default(), &heading, &|_| {
                vec!["in `KERVAN_CHANNELS`, as a TOML list".to_owned()]
            });
        }
    }
    out
}

fn push(out: &mut String, section: &dyn Section, heading: &str, names: &dyn Fn(&str) -> Vec<String>) {
    let schema = section.schema();
    let _ = write!(out, "\n## `{heading}`\n\n{}\n", prose(schema.doc));
    for key in schema.keys {
        let value = section.show(key.name).unwrap_or_default();
        let _ = write!(out, "\n### `{}`\n\n{}\n\n", key.name, prose(key.doc));
        let _ = writeln!(out, "Default: `{value}`. Environment: {}.", names(key.name).join(", "));
    }
}

fn prose(doc: &[&str]) -> String {
    let lines: Vec<&str> = doc.iter().map(|line| line.trim()).collect();
    lines.join("\n").replace('<', "\\<")
}
