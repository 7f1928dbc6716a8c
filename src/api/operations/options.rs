//! What the handlers are told by the configuration.

use super::admission::Rates;
use crate::config::Config;
use crate::ids::millis;
use crate::limits;

/// What the configuration says to the handlers.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of a message's body, at most [`limits::BODY_BYTES`].
    pub body_bytes: usize,
    /// Milliseconds that a direct chat lives if its maker does not say; 0 for ever.
    pub direct_ttl_ms: u64,
    /// Most members of a room, at most [`limits::MEMBERS`].
    pub max_members: u32,
    /// Unanswered invitations that a user may have out, in all rooms; 0 for no bound.
    pub invitations: usize,
    /// Subscriptions to Web Push may name any address.
    pub web_push_anywhere: bool,
    /// How much a user may ask for.
    pub rates: Rates,
}

impl Default for Options {
    fn default() -> Self {
        Self::new(&Config::default())
    }
}

impl Options {
    /// The options of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            body_bytes: config.limits.body.0.min(limits::BODY_BYTES),
            direct_ttl_ms: millis(config.rooms.direct_ttl),
            max_members: limits::MEMBERS as u32,
            invitations: config.limits.invitations as usize,
            web_push_anywhere: config.notifications.web_push_anywhere,
            rates: Rates::from(&config.limits),
        }
    }
}
