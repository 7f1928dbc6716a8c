//! A test waits for what it needs (`src/testing.rs`), and neither pauses nor looks just once at what may come later: both are
//! luck on a machine that has other things to do. Where the passing of time is itself what is tested, the line, or the one
//! above it, says so: `Pauses: why`.

use super::tree::{Source, files, relative, root, sources};

/// What pauses, looks once, or turns in circles.
const WORDS: [&str; 8] =
    ["sleep(", "yield_now(", "try_recv(", "timeout(", "Instant::now() +", "await {}", "setTimeout(", "waitForTimeout("];

/// The helpers themselves, and what runs in a time of its own.
const EXEMPT: [&str; 3] = ["src/testing.rs", "src/actors/sim/", "tests/tidy/"];

/// The test code of a source file, with the numbers of its lines.
fn tests_of(source: &Source) -> Vec<(usize, &str)> {
    let path = &source.path;
    let whole = path.contains("/tests/") || path.ends_with("tests.rs") || path.starts_with("tests/");
    let lines = source.text.lines().enumerate().map(|(at, line)| (at + 1, line));
    // Inside a file, its tests come last.
    let inner = |line: &str| line == "mod tests {";
    lines.skip_while(|(_, line)| !whole && !inner(line)).collect()
}

/// Lines that pause, or look once, and do not say why.
fn careless(path: &str, lines: &[(usize, &str)]) -> Vec<String> {
    let says_why = |at: usize| lines.get(at).is_some_and(|(_, line)| line.contains("Pauses: "));
    let is_comment = |line: &str| line.trim_start().starts_with("//") || line.trim_start().starts_with('#');
    let found = |(at, (number, line)): (usize, &(usize, &str))| {
        let word = WORDS.iter().find(|word| line.contains(**word) && !is_comment(line))?;
        let excused = says_why(at) || at.checked_sub(1).is_some_and(says_why);
        (!excused).then(|| format!("{path}:{number} has `{word}`: wait for an event, or say `Pauses: why`"))
    };
    lines.iter().enumerate().filter_map(found).collect()
}

#[test]
fn no_test_pauses_or_looks_once_without_a_reason() {
    let exempt = |path: &str| EXEMPT.iter().any(|start| path.starts_with(start));
    let mut problems = Vec::new();
    for source in ["src", "tests", "devcluster"].into_iter().flat_map(sources).filter(|source| !exempt(&source.path)) {
        problems.extend(careless(&source.path, &tests_of(&source)));
    }
    for path in ["mjs", "py"].into_iter().flat_map(|extension| files(&root().join("tests"), extension)) {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().enumerate().map(|(at, line)| (at + 1, line)).collect();
        problems.extend(careless(&relative(&path), &lines));
    }
    super::must_be_empty(&problems);
}

#[test]
fn a_pause_is_found_and_one_with_a_reason_is_not() {
    let lines = |text: &'static str| text.lines().enumerate().map(|(at, line)| (at + 1, line)).collect::<Vec<_>>();
    let bad =
        lines("a();\n    tokio::time::sleep(PAUSE).await;\nassert!(queue.try_recv().is_err());\nwhile look().await {}");
    let found = careless("x.rs", &bad);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("x.rs:2 has `sleep(`"), "{found:?}");
    let good = lines("// Pauses: time is what is tested.\nsleep(STEP).await;\nuntil(\"it is there\", look).await;");
    assert_eq!(careless("x.rs", &good), Vec::<String>::new());
    let inner = Source {
        path: "src/x.rs".to_owned(),
        text: "sleep();\n#[cfg(test)]\nmod tests {\n    sleep();\n}\n".to_owned(),
        code: String::new(),
    };
    assert_eq!(careless(&inner.path, &tests_of(&inner)).len(), 1);
}
