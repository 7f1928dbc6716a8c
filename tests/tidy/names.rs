//! The glossary of `docs/concepts.md` holds for file names and type names: what it points to exists, what it gave up does
//! not come back; and in one layer a type name that others can see stands for one thing.

use std::collections::BTreeMap;

use super::tree::{Source, root, sources};

/// Names that several modules of a layer have, and that are read with their module: `session::Options`.
const READ_WITH_MODULE: [&str; 4] = ["Options", "Deps", "Error", "Request"];

/// Names that have a second meaning yet. None is added.
const NOT_YET: [&str; 0] = [];

/// The folders of verbs, a file each: the file says whose `Payload` it is, and is called as the verb.
const VERBS: &str = "/commands/";

/// A line of the glossary: its word, where it is in the code, and names that are not used for it.
struct Entry {
    word: String,
    code: Vec<String>,
    given_up: Vec<String>,
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

/// The table that follows the heading.
fn glossary(page: &str) -> Vec<Entry> {
    let table = page.split("## Glossary").nth(1).expect("docs/concepts.md has a glossary");
    let rows = table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
    let entry = |row: &str| {
        let cells: Vec<_> = row.trim_matches('|').split('|').collect();
        let [word, _, code, given_up] = cells[..] else { panic!("a line of the glossary has four columns: {row}") };
        Entry { word: word.trim().to_owned(), code: quoted(code), given_up: quoted(given_up) }
    };
    rows.map(entry).collect()
}

/// The types that a file defines, and whether other files can see each.
fn types(source: &Source) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    for line in source.code.lines().take_while(|line| *line != "mod tests {") {
        let line = line.trim_start();
        let (public, rest) = match line.strip_prefix("pub") {
            Some(rest) if rest.starts_with('(') => (true, rest.split_once(") ").map_or("", |(_, rest)| rest)),
            Some(rest) => (true, rest.trim_start()),
            None => (false, line),
        };
        let name = ["struct ", "enum ", "trait ", "type "].iter().find_map(|word| rest.strip_prefix(word));
        let name: String = name.unwrap_or("").chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if name.starts_with(char::is_uppercase) {
            found.push((public, name));
        }
    }
    found
}

fn is_type(name: &str) -> bool {
    name.starts_with(char::is_uppercase)
}

#[test]
fn the_glossary_points_to_what_is_there_and_what_it_gave_up_does_not_come_back() {
    let page = std::fs::read_to_string(root().join("docs/concepts.md")).unwrap();
    let entries = glossary(&page);
    assert!(entries.len() > 20, "the glossary is read");
    let code: Vec<Source> = ["src", "tests", "loadtest", "devcluster"].into_iter().flat_map(sources).collect();
    let defined: Vec<(String, String)> =
        code.iter().flat_map(|source| types(source).into_iter().map(|(_, name)| (name, source.path.clone()))).collect();
    let mut problems = Vec::new();
    for Entry { word, code: places, given_up } in &entries {
        for place in places {
            let there = match is_type(place) {
                true => defined.iter().any(|(name, _)| name == place),
                false => root().join("src").join(place).exists(),
            };
            if !there {
                problems.push(format!("docs/concepts.md, {word}: there is no {place} in src"));
            }
        }
        for name in given_up {
            let found: Vec<&str> = match is_type(name) {
                true => defined.iter().filter(|(known, _)| known == name).map(|(_, path)| &path[..]).collect(),
                false => code
                    .iter()
                    .map(|source| &source.path[..])
                    .filter(|path| path.ends_with(&format!("/{name}")) && !path.contains(VERBS))
                    .collect(),
            };
            problems.extend(found.iter().map(|path| format!("{path}: {name} is called {word}, see docs/concepts.md")));
        }
    }
    super::must_be_empty(&problems);
}

/// Type names that several files of one layer show to others.
fn shared_names(sources: &[Source]) -> Vec<String> {
    let mut places: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let others = ["/tests/", "tests.rs", "/sim/", "/contract", VERBS];
    let is_product = |source: &&Source| !others.iter().any(|part| source.path.contains(part));
    for source in sources.iter().filter(is_product) {
        for (_, name) in types(source).into_iter().filter(|(public, _)| *public) {
            places.entry((source.module().to_owned(), name)).or_default().push(source.path.clone());
        }
    }
    let twice = |((_, name), paths): (&(String, String), &Vec<String>)| {
        let excused = READ_WITH_MODULE.contains(&&name[..]) || NOT_YET.contains(&&name[..]);
        let shared = paths.len() > 1 && !excused;
        shared.then(|| format!("{name} stands for {} things: {}", paths.len(), paths.join(", ")))
    };
    places.iter().filter_map(twice).collect()
}

#[test]
fn a_type_name_stands_for_one_thing_in_its_layer() {
    super::must_be_empty(&shared_names(&sources("src")));
}

#[test]
fn a_second_meaning_would_be_found() {
    let source = |path: &str, code: &str| Source { path: path.to_owned(), code: code.to_owned(), text: String::new() };
    let one =
        source("src/api/a.rs", "pub struct Page<T> {\npub(super) enum Row {\nstruct Inner {\npub struct Options {");
    let other = source(
        "src/api/b.rs",
        "pub(crate) type Page = u8;\nstruct Inner;\npub struct Options;\nmod tests {\npub enum Row {",
    );
    let below = source("src/storage/c.rs", "pub struct Page;");
    let found = shared_names(&[one, other, below]);
    assert_eq!(found, ["Page stands for 2 things: src/api/a.rs, src/api/b.rs"]);
    let table = "## Glossary\n\n| word | means | code | not |\n|---|---|---|---|\n| hub | x | `a/b.rs`, `Hub` | `cell.rs` |\n\n| no |";
    let entries = glossary(table);
    assert_eq!((entries.len(), &entries[0].code[..]), (1, &["a/b.rs".to_owned(), "Hub".to_owned()][..]));
    assert_eq!(entries[0].given_up, ["cell.rs"]);
}
