//! What is said to the person who looks on.

use std::io::Write as _;

/// A line on stdout.
pub(super) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    // It goes on without a terminal.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// An error, with its causes.
pub(super) fn error(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
}
