//! One client's view of its subscriptions, kept over connections, and the writing down of what arrives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::history::{Entry, Event, Position, Recorder, Sub};
use crate::wire;

/// Where the client stands in one channel.
#[derive(Clone, Default, Debug)]
pub(crate) struct Place {
    /// The subscription that is open now.
    pub sub: Option<Sub>,
    /// The last position, for coming back.
    pub position: Option<Position>,
    /// Whether the last subscription was cut off, and not ended by anybody's wish.
    cut_off: bool,
}

/// All channels of a client. Shared with the connection's reading task.
pub(crate) struct Watch {
    pub recorder: Arc<Recorder>,
    pub user: String,
    places: Mutex<HashMap<String, Place>>,
    /// The codes with which connections ended that the client did not end, 0 for those that just broke.
    pub endings: Mutex<Vec<u16>>,
}

impl Watch {
    pub(crate) fn new(recorder: Arc<Recorder>, user: &str) -> Self {
        Self { recorder, user: user.to_owned(), places: Mutex::default(), endings: Mutex::default() }
    }

    pub(crate) fn place(&self, channel: &str) -> Place {
        self.places.lock().unwrap().get(channel).cloned().unwrap_or_default()
    }

    /// The open subscriptions.
    pub(crate) fn open(&self) -> Vec<(String, Sub, u64)> {
        let places = self.places.lock().unwrap();
        let open = places.iter().filter_map(|(channel, place)| {
            Some((channel.clone(), place.sub?, place.position.as_ref().map_or(0, |position| position.offset)))
        });
        open.collect()
    }

    /// Takes down that a subscription is asked for. Gives its number and the request's fields.
    pub(crate) fn subscribing(&self, channel: &str, recover: bool) -> (Sub, Value) {
        let sub = self.recorder.number();
        let place = self.place(channel);
        if place.cut_off && recover {
            self.recorder.resumes(sub);
        }
        let from = if recover { place.position } else { None };
        let mut request = json!({ "channel": channel, "recoverable": true, "positioned": true });
        if let Some(from) = &from {
            request["recover"] = true.into();
            request["epoch"] = from.epoch.clone().into();
            request["offset"] = from.offset.into();
        }
        let (room, user) = (channel.to_owned(), self.user.clone());
        self.recorder.record(Entry::Subscribing { sub, room, user, from });
        (sub, request)
    }

    /// Takes down the answer, with the publications in it. In the reading task.
    pub(crate) fn subscribed(&self, sub: Sub, channel: &str, result: &Value) {
        let mut places = self.places.lock().unwrap();
        let place = places.entry(channel.to_owned()).or_default();
        let flag = |key: &str| result.get(key).and_then(Value::as_bool).unwrap_or(false);
        let publications = result.get("publications").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let epoch = result.get("epoch").and_then(Value::as_str).unwrap_or_default().to_owned();
        let offset = result.get("offset").and_then(Value::as_u64).unwrap_or(0);
        let recovered = flag("recovered");
        self.recorder.record(Entry::Subscribed {
            sub,
            epoch: epoch.clone(),
            offset,
            recovered,
            publications: publications.len() as u64,
        });
        place.sub = Some(sub);
        place.cut_off = false;
        if !recovered || place.position.is_none() {
            place.position = Some(Position { epoch, offset });
        }
        for publication in publications {
            self.deliver(place, channel, publication);
        }
    }

    /// Takes down a push. In the reading task. Gives the code if it ends a subscription.
    pub(crate) fn push(&self, push: &Value) -> Option<(String, u32)> {
        let channel = push.get("channel").and_then(Value::as_str).unwrap_or_default();
        let mut places = self.places.lock().unwrap();
        let place = places.entry(channel.to_owned()).or_default();
        if let Some(publication) = push.get("pub") {
            self.deliver(place, channel, publication);
        }
        let unsubscribe = push.get("unsubscribe")?;
        let code = unsubscribe.get("code").and_then(Value::as_u64).unwrap_or(0) as u32;
        if let Some(sub) = place.sub.take() {
            self.recorder.record(Entry::Unsubscribed { sub, code });
        }
        Some((channel.to_owned(), code))
    }

    /// Takes down that the client ended its subscription.
    pub(crate) fn unsubscribed(&self, channel: &str) {
        if let Some(sub) = self.places.lock().unwrap().get_mut(channel).and_then(|place| place.sub.take()) {
            self.recorder.record(Entry::Unsubscribed { sub, code: 0 });
        }
    }

    /// The connection is over, and every subscription with it; `cut_off` if the client did not wish it, and comes back at
    /// once.
    pub(crate) fn disconnected(&self, cut_off: bool) {
        for place in self.places.lock().unwrap().values_mut() {
            let had_one = place.sub.take().is_some();
            // One that is cut off once more before it stands was cut off.
            place.cut_off = cut_off && (had_one || place.cut_off);
        }
    }

    fn deliver(&self, place: &mut Place, channel: &str, publication: &Value) {
        let event: Option<Event> =
            if channel.starts_with('#') { wire::personal(publication) } else { wire::publication(publication) };
        let Some(event) = event else { return };
        let seq = event.seq;
        let Some(sub) = place.sub else {
            let (room, user) = (channel.to_owned(), self.user.clone());
            return self.recorder.record(Entry::Stray { room, user, event });
        };
        self.recorder.record(Entry::Delivered { sub, event });
        if let Some(position) = &mut place.position {
            position.offset = position.offset.max(seq);
        }
    }
}
