//! What a terminal is given beyond plain lines: colours, and how far something that takes long has come. Where there is no
//! terminal, output has neither escapes nor lines that move.

use std::io::{self, IsTerminal, Write as _};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::ColorChoice;
use clap::builder::styling::{AnsiColor, Style};

/// How often a line that moves is written anew, and how often one that can't is written at all.
const MOVES: Duration = Duration::from_millis(200);
const SPEAKS: Duration = Duration::from_secs(5);

/// Whether a stream may have escapes: it is a terminal that is not dumb.
pub(super) fn is_terminal(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}

/// The colours of stdout, if it takes any.
#[derive(Clone, Copy)]
pub(super) struct Colours(bool);

impl Colours {
    #[cfg(test)]
    pub(crate) const NONE: Self = Self(false);

    /// As the flag says; else a terminal has them, unless `NO_COLOR` (<https://no-color.org>) is set.
    pub(crate) fn of(choice: ColorChoice) -> Self {
        Self(match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                is_terminal(&io::stdout()) && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        })
    }

    /// The head of a table.
    pub(crate) fn head(self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    /// A state or verdict, in the colour of what it means. Blanks around it stay.
    pub(crate) fn state(self, text: &str) -> String {
        let colour = match text.trim() {
            "ok" | "running" | "active" => AnsiColor::Green,
            "warn" | "starting" | "restarting" | "loading" => AnsiColor::Yellow,
            "fail" | "halted" => AnsiColor::Red,
            _ => return text.to_owned(),
        };
        self.paint(colour.on_default(), text)
    }

    fn paint(self, style: Style, text: &str) -> String {
        if self.0 { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// Says on stderr how far something is while it lives: in one line that moves, or in a line every few seconds.
pub(super) struct Progress {
    end: Option<Sender<()>>,
    teller: Option<JoinHandle<()>>,
}

impl Progress {
    /// `tells` is asked each time for what is being done.
    pub(crate) fn begin(tells: impl Fn() -> String + Send + 'static) -> Self {
        let (end, ended) = channel();
        let moves = is_terminal(&io::stderr());
        let begun = Instant::now();
        let teller = std::thread::spawn(move || {
            let pause = if moves { MOVES } else { SPEAKS };
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let line = format!("{}, {} s", tells(), begun.elapsed().as_secs());
                // Of those who look; nobody else is told that it can't be written.
                let _ = match moves {
                    true => write!(io::stderr(), "\r{line}\x1b[K"),
                    false => writeln!(io::stderr(), "{line}"),
                };
            }
            if moves {
                let _ = write!(io::stderr(), "\r\x1b[K");
            }
        });
        Self { end: Some(end), teller: Some(teller) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.end.take());
        // The line is away before anything else is written.
        if let Some(teller) = self.teller.take() {
            let _ = teller.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stand_around_what_they_mean_and_nothing_else_is_changed() {
        let painted = Colours(true);
        assert_eq!(painted.state("halted  "), "\u{1b}[31mhalted  \u{1b}[0m");
        assert_eq!(painted.state("asleep"), "asleep");
        assert_eq!(Colours::NONE.state("halted"), "halted");
        assert_eq!(Colours::NONE.head("ID"), "ID");
    }
}
