//! `--watch`: a list again and again, until Ctrl-C. On a terminal it stays in its place; elsewhere each time is a block of its own,
//! with an empty line behind it.

use std::io::{self, ErrorKind, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Args;
use rustix::termios::tcgetwinsize;

use super::admin_client::Shown;
use super::table::date;
use crate::cli::signals::Signals;
use crate::cli::terminal::is_terminal;

/// Clears the screen, and has what is wider than it cut off: a line that wraps would move all below it.
const BEGIN: &str = "\x1b[?7l\x1b[2J";
const END: &str = "\x1b[?7h";

#[derive(Args, Clone, Copy)]
pub(super) struct Watch {
    /// Show it again every so many seconds (2), until Ctrl-C.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=3_600))]
    watch: Option<u64>,
}

impl Watch {
    /// Shows what `ask` finds: once, or until a signal comes or nobody reads any more. Once it has worked, a server that does not
    /// answer is told in place of an answer.
    ///
    /// # Errors
    /// Those of the first time.
    pub(crate) fn show(self, ask: impl Fn() -> anyhow::Result<Shown> + Send + Sync + 'static) -> anyhow::Result<()> {
        let Some(seconds) = self.watch else { return ask()?.print() };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("the async runtime")?;
        let result = runtime.block_on(again(seconds, Arc::new(ask)));
        // A server that hangs is not waited for.
        runtime.shutdown_background();
        result
    }
}

async fn again(
    seconds: u64,
    ask: Arc<impl Fn() -> anyhow::Result<Shown> + Send + Sync + 'static>,
) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let mut screen = None;
    loop {
        let ask = Arc::clone(&ask);
        let found = tokio::select! {
            found = tokio::task::spawn_blocking(move || ask()) => found?,
            _ = signals.next() => return Ok(()),
        };
        let shown = match (found, &screen) {
            (Ok(shown), _) => shown,
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) => Shown { lines: String::new(), hint: Some(format!("error: {error:#}")) },
        };
        match screen.get_or_insert_with(Screen::begin).show(&shown, seconds) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            result => result?,
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            _ = signals.next() => return Ok(()),
        }
    }
}

/// Where it is shown. A terminal is as it was when dropped.
enum Screen {
    Terminal,
    Plain,
}

impl Screen {
    fn begin() -> Self {
        if !is_terminal(&io::stdout()) {
            return Self::Plain;
        }
        // If it fails, so does what follows, which is not ignored.
        let _ = write!(io::stdout(), "{BEGIN}");
        Self::Terminal
    }

    fn show(&self, shown: &Shown, seconds: u64) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match self {
            Self::Plain => {
                if !shown.lines.is_empty() {
                    writeln!(stdout, "{}", shown.lines)?;
                }
                stdout.flush()?;
                shown.hint.iter().try_for_each(|hint| writeln!(io::stderr(), "{hint}"))
            }
            Self::Terminal => {
                let rows = tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_row));
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let head = format!("{}, every {seconds} s until Ctrl-C", date(now.as_secs() * 1_000));
                write!(stdout, "\x1b[H{}\x1b[J", fitted(&head, shown, rows))?;
                stdout.flush()
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Self::Terminal = self {
            let _ = writeln!(io::stdout(), "{END}");
        }
    }
}

/// The lines that a screen with so many rows has room for; 0: all. Each clears what stood behind it.
fn fitted(head: &str, shown: &Shown, rows: usize) -> String {
    let lines: Vec<&str> = shown.lines.lines().collect();
    // The head, the hint or what is left out, and the line of the cursor.
    let room = if rows == 0 { lines.len() } else { rows.saturating_sub(3) };
    let more = lines.len().saturating_sub(room);
    let left_out = (more > 0).then(|| format!("and {more} lines for which there is no room"));
    let foot = left_out.as_deref().or(shown.hint.as_deref());
    let all = std::iter::once(head).chain(lines.into_iter().take(room)).chain(foot);
    all.map(|line| format!("{line}\x1b[K\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_shows_what_it_has_room_for_and_says_what_not() {
        let shown = Shown { lines: "A\n1\n2\n3\n".to_owned(), hint: Some("there is more".to_owned()) };
        let lines = |rows| fitted("now", &shown, rows).replace("\x1b[K\n", "|");
        assert_eq!(lines(0), "now|A|1|2|3|there is more|");
        assert_eq!(lines(7), "now|A|1|2|3|there is more|");
        assert_eq!(lines(5), "now|A|1|and 2 lines for which there is no room|");
    }
}
