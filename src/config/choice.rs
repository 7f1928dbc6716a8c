//! Settings that are one of a few words, and the database's address.

use std::path::PathBuf;
use std::str::FromStr as _;

use super::value::{Raw, Value, quoted};

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl Value for $name {
            fn read(raw: &Raw) -> Result<Self, String> {
                match raw {
                    $(Raw::Text(word) | Raw::String(word) if word == $word => Ok(Self::$variant),)*
                    Raw::Text(other) | Raw::String(other) => {
                        Err(format!("expected one of {}, found {other:?}", [$($word),*].join(", ")))
                    }
                    other => Err(format!("expected one of {}, found {}", [$($word),*].join(", "), other.kind())),
                }
            }
            fn show(&self) -> String {
                quoted(match self { $(Self::$variant => $word),* })
            }
        }
    };
}

choice! {
    /// Who may publish into an open channel.
    Publish {
        /// Who is subscribed to it.
        Subscriber = "subscriber",
        /// Every connected client.
        Anyone = "anyone",
        /// No client.
        Nobody = "nobody",
    }
}

choice! {
    /// What a server does beside serving.
    Role {
        /// Everything.
        All = "all",
        /// What workers do that stand alone is left to them.
        Api = "api",
    }
}

choice! {
    /// How log lines look.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

/// Which log lines are written: levels by module as in `RUST_LOG`, such as `info,kervan::storage=debug`. There are no spans
/// to filter by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogFilter(pub String);

impl Value for LogFilter {
    fn read(raw: &Raw) -> Result<Self, String> {
        let text = String::read(raw)?;
        match tracing_subscriber::filter::Targets::from_str(&text) {
            Ok(_) => Ok(Self(text)),
            Err(e) => Err(format!("expected a log filter such as \"info\", found {text:?}: {e}")),
        }
    }
    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// Where rows are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server, as the URL was given. It may hold a password.
    Postgres(String),
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.show())
    }
}

impl Value for Database {
    fn read(raw: &Raw) -> Result<Self, String> {
        const EXPECTED: &str = "expected sqlite:FILE, a file's path or postgres://…";
        let text = String::read(raw)?;
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text));
        }
        let path = match text.split_once(':') {
            Some(("sqlite", rest)) => rest.strip_prefix("//").unwrap_or(rest),
            // The rest of an unknown URL may hold a password: only its scheme is repeated.
            Some((scheme, rest)) if rest.starts_with("//") => return Err(format!("{EXPECTED}, found {scheme}://")),
            _ => text.as_str(),
        };
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        if path.is_empty() || path == ":memory:" {
            return Err(format!("{EXPECTED}; a database in memory would forget everything"));
        }
        Ok(Self::Sqlite(PathBuf::from(path)))
    }
    fn show(&self) -> String {
        match self {
            Self::Sqlite(path) => quoted(&format!("sqlite:{}", path.display())),
            Self::Postgres(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
                let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
                let place = place.split_once('?').map_or(place, |(place, _)| place);
                quoted(&format!("{scheme}://***@{place}"))
            }
        }
    }
}
