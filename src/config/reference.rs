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
         directory, or `--config FILE`) < environment < flags. An unknown key or a bad value is an error that names the\n\
         key, the file and the line, and exit code 2. `kervan config show --origin` says what is in force and why.\n\n\
         Durations are numbers with `ms`, `s`, `m`, `h` or `d`; sizes with `B`, `KiB`, `MiB` or `GiB`; lists in the\n\
         environment are separated by commas. A variable that ends in `_FILE` holds the path of a file with the value.\n",
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
