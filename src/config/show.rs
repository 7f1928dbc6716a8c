//! The configuration as text: the effective one, and a template with every key.

use std::fmt::Write as _;

use serde::Serialize;

use super::environment::variable_of;
use super::layer::Origin;
use super::schema::{Schema, Section};
use super::{Config, Loaded, Namespace};

/// A `cluster.toml` with every key commented out at its default. Prose lines start with `# `, settings with `#` alone:
/// without the `#`s it says what no file at all says.
#[must_use]
pub fn template() -> String {
    let mut out = String::from(
        "# Kervan's configuration. Every key is here, commented out, at its default.\n\
         # Read from the working directory, or from --config FILE. The environment goes before it\n\
         # (KERVAN_SECTION__KEY, such as KERVAN_SERVER__PORT; see README.md for the short names), flags before that.\n",
    );
    // Development mode fills in what depends on it; the template shows the plain defaults.
    let config = Config::bare();
    for section in config.sections() {
        let schema = section.schema();
        push(&mut out, section, &format!("[{}]", schema.name));
        if schema.name == "auth" {
            push(&mut out, &Namespace::default(), &format!("[[{}]]", Namespace::SCHEMA.name));
        }
    }
    out
}

fn push(out: &mut String, section: &dyn Section, heading: &str) {
    let schema = section.schema();
    out.push('\n');
    comment(out, schema.doc);
    let _ = writeln!(out, "#{heading}");
    for key in schema.keys {
        comment(out, key.doc);
        let value = section.show(key.name).unwrap_or_default();
        let _ = writeln!(out, "#{} = {value}", key.name);
    }
}

fn comment(out: &mut String, doc: &[&str]) {
    for line in doc {
        let _ = writeln!(out, "# {}", line.trim());
    }
}

/// A setting in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct ShownSetting {
    /// Its place: `server`, or `channels[0]`.
    pub section: String,
    /// Its name there.
    pub key: &'static str,
    /// As TOML; a secret is `"***"`.
    pub value: String,
    /// Where it comes from: `default`, `cluster.toml:12`, `environment variable PORT`.
    pub origin: String,
    /// What it means.
    pub doc: String,
}

impl Loaded {
    /// Every setting, secrets masked, in the order of the template.
    #[must_use]
    pub(crate) fn settings(&self) -> Vec<ShownSetting> {
        let mut settings = Vec::new();
        for section in self.config.sections() {
            self.settings_of(section, section.schema().name, &mut settings);
        }
        for (index, namespace) in self.config.channels.iter().enumerate() {
            self.settings_of(namespace, &format!("{}[{index}]", Namespace::SCHEMA.name), &mut settings);
        }
        settings
    }

    fn settings_of(&self, section: &dyn Section, path: &str, settings: &mut Vec<ShownSetting>) {
        settings.extend(section.schema().keys.iter().map(|key| ShownSetting {
            section: path.to_owned(),
            key: key.name,
            value: section.show(key.name).unwrap_or_default(),
            origin: self.origins.get(&format!("{path}.{}", key.name)).unwrap_or(&Origin::Default).to_string(),
            doc: key.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" "),
        }));
    }

    /// The effective configuration as TOML, secrets masked; with the origin of each setting if asked for.
    #[must_use]
    pub fn show(&self, with_origin: bool) -> String {
        let mut out = String::new();
        for section in self.config.sections() {
            let name = section.schema().name;
            let _ = writeln!(out, "[{name}]");
            self.show_section(&mut out, section, name, with_origin);
            if name == "auth" {
                for (index, namespace) in self.config.channels.iter().enumerate() {
                    let path = format!("{}[{index}]", Namespace::SCHEMA.name);
                    let _ = writeln!(out, "[[{}]]", Namespace::SCHEMA.name);
                    self.show_section(&mut out, namespace, &path, with_origin);
                }
            }
        }
        out
    }

    fn show_section(&self, out: &mut String, section: &dyn Section, path: &str, with_origin: bool) {
        let schema: &Schema = section.schema();
        for key in schema.keys {
            let value = section.show(key.name).unwrap_or_default();
            let _ = write!(out, "{} = {value}", key.name);
            if with_origin {
                let origin = self.origins.get(&format!("{path}.{}", key.name)).unwrap_or(&Origin::Default);
                let _ = write!(out, "  # {origin}");
                if *origin == Origin::Default && schema.name != Namespace::SCHEMA.name {
                    let _ = write!(out, "; {}", variable_of(schema.name, key.name));
                }
            }
            out.push('\n');
        }
        out.push('\n');
    }
}
