//! Pushes on the wire: how the hub's events look to clients.

use std::time::Duration;

use bytes::Bytes;

use crate::actors::gateway::hub::{Encode, Presence, Wire};
use crate::actors::wire::{Ephemeral, StreamEvent};
use crate::api::protocol::publication::{append_event, ephemeral_publication};
use crate::api::protocol::{ClientInfo, Format, Join, Leave, Push, PushBody, encode_push};

/// The wire of a format, as the hub calls it.
#[must_use]
pub(crate) fn wire(format: Format) -> Wire {
    match format {
        Format::Json => Wire::Json,
        Format::Protobuf => Wire::Protobuf,
    }
}

fn format(wire: Wire) -> Format {
    match wire {
        Wire::Json => Format::Json,
        Wire::Protobuf => Format::Protobuf,
    }
}

/// Encodes by the protocol.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProtocolEncoder;

impl Encode for ProtocolEncoder {
    fn events(&self, wire: Wire, channel: &str, open: bool, events: &[StreamEvent]) -> Bytes {
        let mut frame = Vec::new();
        for event in events {
            append_event(&mut frame, channel, open, event, format(wire));
        }
        frame.into()
    }

    fn ephemeral(&self, wire: Wire, channel: &str, event: &Ephemeral) -> Bytes {
        encode_push(&Push::new(channel, PushBody::Pub(ephemeral_publication(event))), format(wire))
    }

    fn join(&self, wire: Wire, channel: &str, who: &Presence) -> Bytes {
        encode_push(&Push::new(channel, PushBody::Join(Join { info: Some(client_info(who)) })), format(wire))
    }

    fn leave(&self, wire: Wire, channel: &str, who: &Presence) -> Bytes {
        encode_push(&Push::new(channel, PushBody::Leave(Leave { info: Some(client_info(who)) })), format(wire))
    }
}

/// A subscriber, as others see it.
#[must_use]
pub(crate) fn client_info(who: &Presence) -> ClientInfo {
    ClientInfo {
        user: who.user.as_str().to_owned(),
        client: who.client.to_string(),
        conn_info: who.connection_info.clone().unwrap_or_default(),
        chan_info: who.channel_info.clone().unwrap_or_default(),
    }
}

/// Seconds of a duration, for the protocol: rounded up, so that what is left is never 0.
pub(super) fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}
