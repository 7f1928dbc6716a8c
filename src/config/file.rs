//! The `cluster.toml` layer: settings with the line that each stands on.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Namespace;
use super::layer::{Layer, Origin, Setting};
use super::problem::Problem;
use super::value::Raw;

/// What a setting of a later version is answered with.
pub(super) const CLUSTER: &str = "comes with the cluster; this version runs on one node";

/// Reads the text of a configuration file; `path` is for the messages.
pub(super) fn read(path: &Path, text: &str) -> Layer {
    let origin = |span: Range<usize>| Origin::File(path.to_owned(), line_of(text, span.start));
    let mut layer = Layer::default();
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(e) => {
            let what = e.message().replace('\n', ", ");
            layer.problems.push(Problem { path: String::new(), origin: origin(e.span().unwrap_or(0..0)), what });
            return layer;
        }
    };
    for (name, value) in &table {
        let section = name.get_ref().as_ref();
        let at = origin(name.span());
        let mut wrong = |what: &str| {
            layer.problems.push(Problem { path: section.to_owned(), origin: at.clone(), what: what.to_owned() });
        };
        match value.get_ref() {
            _ if section == "cluster" => wrong(CLUSTER),
            DeValue::Array(_) if section == Namespace::SCHEMA.name => match tables(value.get_ref(), &origin) {
                Ok(tables) => layer.channels = Some((at, tables)),
                Err((at, what)) => layer.problems.push(Problem { path: section.to_owned(), origin: at, what }),
            },
            _ if section == Namespace::SCHEMA.name => wrong("expected [[channels]], in double brackets"),
            DeValue::Table(keys) => {
                if keys.is_empty() {
                    // An empty section still has to be a known one.
                    layer.settings.extend(unknown_if_empty(section, at));
                }
                layer.settings.extend(settings(section, keys, &origin));
            }
            _ => wrong("expected a [section] before it"),
        }
    }
    layer
}

/// Reads a TOML array of tables that stands alone, as `KERVAN_CHANNELS` has it.
pub(super) fn read_channels(text: &str, origin: &Origin) -> Result<Vec<Vec<Setting>>, String> {
    let value = DeValue::parse(text).map_err(|e| e.message().replace('\n', ", "))?;
    tables(value.get_ref(), &|_| origin.clone()).map_err(|(_, what)| what)
}

fn unknown_if_empty(section: &str, origin: Origin) -> Option<Setting> {
    let known = super::layer::section_names().contains(&section);
    (!known).then(|| Setting { section: section.to_owned(), key: String::new(), raw: Raw::Text(String::new()), origin })
}

type Tables = Result<Vec<Vec<Setting>>, (Origin, String)>;

fn tables(value: &DeValue<'_>, origin: &dyn Fn(Range<usize>) -> Origin) -> Tables {
    let name = Namespace::SCHEMA.name;
    let DeValue::Array(items) = value else {
        return Err((origin(0..0), "expected a list of tables: [{ namespace = \"\" }]".to_owned()));
    };
    let one = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
        DeValue::Table(keys) => Ok(settings(name, keys, origin)),
        other => Err((origin(item.span()), format!("expected a table, found {}", raw(other).kind()))),
    };
    items.iter().map(one).collect()
}

fn settings(section: &str, keys: &DeTable<'_>, origin: &dyn Fn(Range<usize>) -> Origin) -> Vec<Setting> {
    let one = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key: &Spanned<std::borrow::Cow<'_, str>> = key;
        Setting {
            section: section.to_owned(),
            key: key.get_ref().clone().into_owned(),
            raw: raw(value.get_ref()),
            origin: origin(key.span()),
        }
    };
    keys.iter().map(one).collect()
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::String(text.clone().into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Raw::Other("a number out of range"), Raw::Integer),
        DeValue::Boolean(value) => Raw::Boolean(*value),
        DeValue::Array(items) => Raw::List(items.iter().map(|item| raw(item.get_ref())).collect()),
        DeValue::Float(_) => Raw::Other("a float"),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Table(_) => Raw::Other("a table"),
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
}
