//! The source tree as text, for tests about the source itself.

use std::path::{Path, PathBuf};

/// A source file.
pub(crate) struct Source {
    /// Its path from the root of the repository, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
    /// Its text without comments that take a line.
    pub code: String,
}

impl Source {
    /// The top-level module that it belongs to.
    pub(crate) fn module(&self) -> &str {
        let rest = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let first = rest.split('/').next().unwrap_or(rest);
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

/// `text` without lines that are comments.
pub(crate) fn code_of(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below `folder`.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let source = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        Source { path: relative(&path), code: code_of(&text), text }
    };
    files(&root().join(folder), "rs").into_iter().map(source).collect()
}

/// `path` from the root on.
pub(crate) fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/")
}

/// The files below `folder` whose names end in `.extension`, sorted; not those that others made.
pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "node_modules", "data"].contains(&name.as_str()) && !name.starts_with('.') {
                found.extend(files(&path, extension));
            }
        } else if name.ends_with(&format!(".{extension}")) {
            found.push(path);
        }
    }
    found.sort();
    found
}
