//! A time to live, as clients say it. Reads text and nothing else: no configuration, no clock.

use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};

use crate::config::parse_duration;
use crate::ids::millis;

/// The longest one, in milliseconds: a hundred years. Longer ones are a mistake in the unit.
const MOST_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// A time to live in milliseconds, 0 for ever: a number, or a text such as "24h".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ttl(pub(crate) u64);

impl<'de> Deserialize<'de> for Ttl {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Ttl;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("milliseconds, or a duration such as \"24h\"; 0 for ever")
            }
            fn visit_u64<E: de::Error>(self, ms: u64) -> Result<Ttl, E> {
                if ms <= MOST_MS { Ok(Ttl(ms)) } else { Err(E::invalid_value(Unexpected::Unsigned(ms), &self)) }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ttl, E> {
                let duration = parse_duration(text).map_err(E::custom)?;
                self.visit_u64(millis(duration))
            }
        }
        d.deserialize_any(Reader)
    }
}
