//! Rules of the house that a machine can check: size of files, no unfinished code, a word about every module, links
//! in the documents that lead somewhere, tests that wait for events.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod names;
#[allow(dead_code, reason = "two test programs share it, and each takes what it needs")]
mod tree;
mod waits;

use tree::{Source, files, relative, root, sources};

/// A file with more is two subjects.
const MAX_LINES: usize = 500;

fn all() -> Vec<Source> {
    ["src", "tests", "loadtest", "devcluster"].into_iter().flat_map(sources).collect()
}

fn must_be_empty(problems: &[String]) {
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn no_file_is_two_subjects() {
    let too_long = |source: &Source| {
        let lines = source.text.lines().count();
        (lines > MAX_LINES).then(|| format!("{} has {lines} lines, more than {MAX_LINES}", source.path))
    };
    must_be_empty(&all().iter().filter_map(too_long).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_unfinished() {
    // Spelled apart, so that this file does not find itself.
    let words = [concat!("to", "do!("), concat!("unimpl", "emented!("), concat!("db", "g!("), concat!("FIX", "ME")];
    let found = |source: &Source| {
        words.iter().filter(|word| source.text.contains(**word)).map(|w| format!("{}: {w}", source.path)).collect()
    };
    must_be_empty(&all().iter().flat_map::<Vec<_>, _>(found).collect::<Vec<_>>());
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent = |source: &Source| !source.text.starts_with("//! ");
    let problems: Vec<String> = all().iter().filter(|s| silent(s)).map(|s| s.path.clone()).collect();
    assert!(problems.is_empty(), "these start without a //! comment:\n{}", problems.join("\n"));
}

/// The targets of `[…](target)` in a document.
fn links(text: &str) -> Vec<&str> {
    let after = |(at, _): (usize, &str)| text[at + 2..].split_once(')').map(|(target, _)| target);
    text.match_indices("](").filter_map(after).collect()
}

#[test]
fn documents_link_to_files_that_exist() {
    let mut problems = Vec::new();
    for path in files(&root(), "md") {
        let text = std::fs::read_to_string(&path).unwrap();
        for target in links(&text) {
            let file = target.split(['#', ' ']).next().unwrap();
            if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            if !path.parent().unwrap().join(file).exists() {
                problems.push(format!("{} links to {file}, which is not there", relative(&path)));
            }
        }
    }
    must_be_empty(&problems);
}

#[test]
fn a_link_is_found_in_a_document() {
    assert_eq!(links("see [a](docs/a.md#x) and [b](https://b)"), ["docs/a.md#x", "https://b"]);
}
