//! How a single setting is read and shown: whole numbers, durations, sizes, secrets, paths.
//!
//! A reader says what it expected and never repeats what it was given where that may be a secret.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use subtle::ConstantTimeEq as _;

use crate::ids::millis;

/// A setting as a layer gives it. TOML has types and is held to them; the environment, flags and defaults are text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Raw {
    /// Text without a type: read as whatever the key wants.
    Text(String),
    /// A TOML string.
    String(String),
    /// A TOML integer.
    Integer(i64),
    /// A TOML boolean.
    Boolean(bool),
    /// A TOML array.
    List(Vec<Raw>),
    /// Anything else in TOML, by its name.
    Other(&'static str),
}

impl Raw {
    /// What it is, for an error message.
    #[must_use]
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Other(name) => name,
        }
    }

    fn text(&self, expected: &str) -> Result<&str, String> {
        match self {
            Self::Text(text) | Self::String(text) => Ok(text),
            other => Err(format!("expected {expected}, found {}", other.kind())),
        }
    }

    fn integer(&self, expected: &str) -> Result<i64, String> {
        match self {
            Self::Integer(number) => Ok(*number),
            Self::Text(text) => text.trim().parse().map_err(|_| format!("expected {expected}, found {text:?}")),
            other => Err(format!("expected {expected}, found {}", other.kind())),
        }
    }
}

/// The type of a setting.
pub(crate) trait Value: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// What was expected and, unless it may be a secret, what was found.
    fn read(raw: &Raw) -> Result<Self, String>;
    /// Shows it as a TOML value; a secret as `"***"`.
    fn show(&self) -> String;
}

/// `text` as a TOML string.
#[must_use]
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Value for bool {
    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Boolean(value) => Ok(*value),
            Raw::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(true),
                "false" | "0" | "no" | "off" => Ok(false),
                _ => Err(format!("expected true or false, found {text:?}")),
            },
            other => Err(format!("expected true or false, found {}", other.kind())),
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn read(raw: &Raw) -> Result<Self, String> {
                let expected = format!("a whole number from 0 to {}", <$type>::MAX);
                let number = raw.integer(&expected)?;
                Self::try_from(number).map_err(|_| format!("expected {expected}, found {number}"))
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
whole_numbers!(u16, u32);

impl Value for String {
    fn read(raw: &Raw) -> Result<Self, String> {
        raw.text("a string").map(str::to_owned)
    }
    /// A password in an address is left out.
    fn show(&self) -> String {
        quoted(&masked(self))
    }
}

/// An address as it may be shown: what may be a secret in it, before an `@` or behind a `?`, is `***`.
#[must_use]
pub(crate) fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, _)) => (rest, "?***"),
        None => (rest, ""),
    };
    // Up to the last `@` of what stands before the path; a password may hold one itself.
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://***{}{query}", &rest[at..]),
        None => format!("{scheme}://{rest}{query}"),
    }
}

impl Value for PathBuf {
    fn read(raw: &Raw) -> Result<Self, String> {
        match raw.text("a path")? {
            "" => Err("expected a path, found nothing".to_owned()),
            path => Ok(Self::from(path)),
        }
    }
    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl Value for IpAddr {
    fn read(raw: &Raw) -> Result<Self, String> {
        let text = raw.text("an IP address")?;
        match text.trim() {
            "localhost" => Ok(Self::from([127, 0, 0, 1])),
            ip => ip.parse().map_err(|_| format!("expected an IP address such as 127.0.0.1 or ::, found {text:?}")),
        }
    }
    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

/// An optional setting: empty text means that there is none.
impl<T: Value> Value for Option<T> {
    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(text) | Raw::String(text) if text.is_empty() => Ok(None),
            _ => T::read(raw).map(Some),
        }
    }
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), Value::show)
    }
}

/// A list of strings; as text: separated by commas.
impl Value for Vec<String> {
    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::List(items) => items.iter().map(String::read).collect(),
            Raw::Text(text) => {
                Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
            }
            other => Err(format!("expected a list of strings, found {}", other.kind())),
        }
    }
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(Value::show).collect::<Vec<_>>().join(", "))
    }
}

const DURATION_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A duration is a number and a unit: `500ms`, `300s`, `5m`, `24h`, `7d`; or `0`.
impl Value for Duration {
    fn read(raw: &Raw) -> Result<Self, String> {
        const EXPECTED: &str = "a duration such as \"500ms\", \"300s\", \"5m\", \"24h\" or \"7d\"";
        if *raw == Raw::Integer(0) {
            return Ok(Self::ZERO);
        }
        let text = raw.text(EXPECTED)?;
        let bad = || format!("expected {EXPECTED}, found {text:?}");
        let (number, unit) = split_unit(text);
        let number: u64 = number.parse().map_err(|_| bad())?;
        if number == 0 && unit.is_empty() {
            return Ok(Self::ZERO);
        }
        let (_, ms) = DURATION_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?;
        number.checked_mul(*ms).map(Self::from_millis).ok_or_else(bad)
    }
    fn show(&self) -> String {
        let ms = millis(*self);
        // Seconds rather than minutes, so that "300s" stays as people write it; days only from two on.
        let unit = match ms {
            0 => return quoted("0"),
            ms if ms % 86_400_000 == 0 && ms > 86_400_000 => 0,
            ms if ms % 3_600_000 == 0 => 1,
            ms if ms % 60_000 == 0 && ms > 600_000 => 2,
            ms if ms % 1_000 == 0 => 3,
            _ => 4,
        };
        let (name, size) = DURATION_UNITS[unit];
        quoted(&format!("{}{name}", ms / size))
    }
}

/// A number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ByteSize(pub usize);

/// Capital or small letters. A letter alone is a power of 1,024, as in nginx, systemd and Docker.
const SIZE_UNITS: [(&str, usize); 10] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// A size is a number and a unit: `64KiB`, `1MiB`, `10MB`, `10m`; or a plain number of bytes.
impl Value for ByteSize {
    fn read(raw: &Raw) -> Result<Self, String> {
        const EXPECTED: &str = "a size such as \"64KiB\", \"1MiB\" or a number of bytes";
        if let Raw::Integer(number) = raw {
            return usize::try_from(*number).map(Self).map_err(|_| format!("expected {EXPECTED}, found {number}"));
        }
        let text = raw.text(EXPECTED)?;
        let bad = || format!("expected {EXPECTED}, found {text:?}");
        let (number, unit) = split_unit(text);
        let number: usize = number.parse().map_err(|_| bad())?;
        let size = match unit {
            "" => 1,
            unit => SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(bad)?.1,
        };
        number.checked_mul(size).map(Self).ok_or_else(bad)
    }
    fn show(&self) -> String {
        let exact = SIZE_UNITS[..3].iter().find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size));
        match exact {
            Some((name, size)) => quoted(&format!("{}{name}", self.0 / size)),
            None => self.0.to_string(),
        }
    }
}

/// Reads a duration as the configuration writes it: a number and a unit, or `0`. Requests use the same form.
///
/// # Errors
/// What was expected and what was found.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    Duration::read(&Raw::Text(text.to_owned()))
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..digits], text[digits..].trim_start())
}

/// Bytes of a secret at least.
const SECRET_BYTES: usize = 32;

/// A secret: never shown, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// Whether this is it. Takes as long whatever of it is right.
    #[must_use]
    pub fn is(&self, shown: &str) -> bool {
        shown.as_bytes().ct_eq(self.0.as_bytes()).into()
    }

    /// Whether it is too short to be one: fewer than 32 bytes, blanks around it not counted.
    #[must_use]
    pub(crate) fn is_short(&self) -> bool {
        self.0.trim().len() < SECRET_BYTES
    }

    /// The secret itself. Not for logs.
    #[must_use]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Value for Secret {
    fn read(raw: &Raw) -> Result<Self, String> {
        raw.text("a string").map(Self::new)
    }
    fn show(&self) -> String {
        quoted("***")
    }
}

/// A public key in PEM: given as text, or as the path of a file that is read with the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pem {
    /// The PEM text.
    pub text: String,
    /// Where it came from, if from a file.
    pub file: Option<PathBuf>,
}

impl Value for Pem {
    fn read(raw: &Raw) -> Result<Self, String> {
        let given = raw.text("a public key in PEM, or the path of a file with one")?;
        let (text, file) = if given.trim_start().starts_with("-----BEGIN") {
            (given.to_owned(), None)
        } else {
            let path = Path::new(given);
            let text = std::fs::read_to_string(path).map_err(|e| format!("can't read {given:?}: {e}"))?;
            (text, Some(path.to_owned()))
        };
        if text.contains("PRIVATE KEY") {
            return Err("expected a public key, found a private one: keep that one away from the server".to_owned());
        }
        if !text.contains("-----BEGIN") || !text.contains("-----END") {
            return Err("expected a public key in PEM (-----BEGIN PUBLIC KEY-----)".to_owned());
        }
        Ok(Self { text, file })
    }
    fn show(&self) -> String {
        self.file.as_ref().map_or_else(|| quoted(&self.text), Value::show)
    }
}
