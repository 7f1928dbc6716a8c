//! The commands of a scripted client: each is taken down when it is sent and when its answer comes.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Doing, Member, Note, PIPELINE, State, Unacked};
use crate::client::{Answer, Link};
use crate::history::{Entry, What};
use crate::watch::Watch;
use crate::wire;

impl Member {
    pub(super) fn act(&mut self, link: &Link) {
        let at = self.rng.range(0, self.seats.len() as u64) as usize;
        let seat = &self.seats[at];
        if !matches!(seat.state, State::Subscribed) {
            return;
        }
        let open = seat.plan.room.is_none();
        match self.rng.range(0, 100) {
            0..60 if open => self.publish(link, at),
            0..60 if seat.plan.sends => {
                let most = if seat.plan.chained { PIPELINE } else { 1 };
                if seat.queue.len() < most {
                    let new = self.new_message();
                    let seat = &mut self.seats[at];
                    seat.queue.push_back(new);
                    // A message goes out behind those under way, never past one that has to be sent again.
                    if seat.in_flight + 1 == seat.queue.len() && seat.not_before <= Instant::now() {
                        let from = seat.in_flight;
                        self.send_queue(link, at, from);
                    }
                }
            }
            60..70 if !open => self.page(link, at),
            70..77 if !open => {
                let seq = self.watch.place(&seat.plan.channel).position.map_or(0, |position| position.offset);
                self.operate(link, at, "read.mark", json!({ "seq": seq }), What::Read { seq });
            }
            77..82 if !open => self.rpc(link, at, "typing", json!({}), None),
            82..85 if !seat.own.is_empty() => {
                let target = seat.own[self.rng.range(0, seat.own.len() as u64) as usize];
                let body = format!("edited {}", self.rng.next());
                self.operate(
                    link,
                    at,
                    "message.edit",
                    json!({ "target": target, "body": body }),
                    What::Edit { target },
                );
            }
            85..87 if !seat.own.is_empty() => {
                let target = self.rng.range(0, seat.own.len() as u64) as usize;
                let target = self.seats[at].own.swap_remove(target);
                self.operate(link, at, "message.delete", json!({ "target": target }), What::Delete { target });
            }
            87..89 if seat.plan.leaves && seat.queue.is_empty() => {
                self.operate(link, at, "room.leave", json!({}), What::Leave);
            }
            89..93 if !seat.plan.kicks.is_empty() && seat.invites.is_empty() => {
                let Some(user) = self.rng.pick(&self.seats[at].plan.kicks).cloned() else { return };
                self.operate(link, at, "room.kick", json!({ "user": user }), What::Kick { user: user.clone() });
            }
            93..96 => {
                let (view, channel) = (Arc::clone(&self.watch), seat.plan.channel.clone());
                let request = json!({ "channel": channel });
                self.seats[at].state = State::Subscribing;
                let done = self.done(at, Doing::Unsubscribe);
                let on_answer = move |answer: Answer| {
                    if answer.is_ok() {
                        view.unsubscribed(&channel);
                    }
                    done(answer);
                };
                link.send("unsubscribe", &request, Box::new(on_answer));
            }
            _ => {}
        }
    }

    fn new_message(&mut self) -> Unacked {
        self.sent += 1;
        let client_id = if self.rng.chance(50) {
            Uuid::now_v7().to_string()
        } else {
            format!("{}-{}-{}", self.plan.user, self.plan.device, self.sent)
        };
        let text = format!("{client_id} {}", "x".repeat(self.rng.range(0, 300) as usize));
        Unacked { client_id, text }
    }

    /// Sends the queue from place `from` on.
    pub(super) fn send_queue(&mut self, link: &Link, at: usize, from: usize) {
        let seat = &mut self.seats[at];
        let Some(room) = seat.plan.room.clone() else { return };
        let mut prev = match from {
            0 => seat.last_acked.clone(),
            _ => Some(seat.queue[from - 1].client_id.clone()),
        };
        for Unacked { client_id, text } in seat.queue.iter().skip(from).cloned() {
            seat.in_flight += 1;
            self.pending += 1;
            let mut data = json!({ "room": room, "client_id": client_id, "body": text, "device": self.plan.device });
            if seat.plan.chained
                && let Some(prev) = &prev
            {
                data["prev"] = prev.clone().into();
            }
            let device = self.plan.device.clone();
            let what = What::Send { device, client_id: client_id.clone(), text };
            prev = Some(client_id.clone());
            let (notify, link_no) = (self.notify.clone(), self.link);
            let record = recording(&self.watch, &seat.plan.channel, what);
            let on_answer = move |answer: Answer| {
                record(&answer);
                let _ = notify.send(Note::Sent { seat: at, link: link_no, client_id, answer });
            };
            link.send("rpc", &json!({ "method": "message.send", "data": data }), Box::new(on_answer));
        }
    }

    fn publish(&mut self, link: &Link, at: usize) {
        let Unacked { client_id, text } = self.new_message();
        let channel = self.seats[at].plan.channel.clone();
        let data = json!({ "client_id": client_id, "text": text });
        // A `publish` names no predecessor: its order is that of one connection.
        let device = format!("{}, connection {}", self.plan.device, self.link);
        let record = recording(&self.watch, &channel, What::Send { device, client_id, text });
        let done = self.done(at, Doing::Other);
        let on_answer = move |answer: Answer| {
            record(&answer);
            done(answer);
        };
        link.send("publish", &json!({ "channel": channel, "data": data }), Box::new(on_answer));
    }

    fn page(&mut self, link: &Link, at: usize) {
        let page = self.watch.recorder.number();
        let (room, user, limit) = (self.seats[at].plan.channel.clone(), self.plan.user.clone(), 20);
        self.watch.recorder.record(Entry::PageAsked { page, room, user, limit });
        let (view, done) = (Arc::clone(&self.watch), self.done(at, Doing::Other));
        let on_answer = move |answer: Answer| {
            if let Ok(result) = &answer {
                let messages = result["data"]["messages"].as_array().expect("a page has messages");
                let items = messages.iter().map(wire::message).collect();
                let more = result["data"]["more"] == Value::Bool(true);
                view.recorder.record(Entry::Page { page, items, more });
            }
            done(answer);
        };
        let data = json!({ "room": self.seats[at].plan.room, "limit": limit });
        link.send("rpc", &json!({ "method": "message.history", "data": data }), Box::new(on_answer));
    }

    pub(super) fn subscribe(&mut self, link: &Link, at: usize) {
        let channel = self.seats[at].plan.channel.clone();
        // Sometimes as a new device would: without a position.
        let recover = !self.rng.chance(10);
        let (sub, request) = self.watch.subscribing(&channel, recover);
        self.seats[at].state = State::Subscribing;
        self.pending += 1;
        let (view, notify, link_no) = (Arc::clone(&self.watch), self.notify.clone(), self.link);
        let on_answer = move |answer: Answer| {
            let result = answer.map(|result| view.subscribed(sub, &channel, &result));
            let _ = notify.send(Note::Subscribed { seat: at, link: link_no, result });
        };
        link.send("subscribe", &request, Box::new(on_answer));
    }

    pub(super) fn join(&mut self, link: &Link, at: usize) {
        self.seats[at].state = State::Joining;
        self.operate(link, at, "room.join", json!({}), What::Join);
    }

    /// An rpc that changes the room, taken down.
    pub(super) fn operate(&mut self, link: &Link, at: usize, method: &str, data: Value, what: What) {
        self.rpc(link, at, method, data, Some(what));
    }

    fn rpc(&mut self, link: &Link, at: usize, method: &str, mut data: Value, what: Option<What>) {
        data["room"] = self.seats[at].plan.room.clone().into();
        let record = what.clone().map(|what| recording(&self.watch, &self.seats[at].plan.channel, what));
        let done = self.done(at, what.map_or(Doing::Other, Doing::Operation));
        let on_answer = move |answer: Answer| {
            if let Some(record) = record {
                record(&answer);
            }
            done(answer);
        };
        link.send("rpc", &json!({ "method": method, "data": data }), Box::new(on_answer));
    }

    /// Tells the client that a command has come to its end.
    fn done(&mut self, seat: usize, doing: Doing) -> impl FnOnce(Answer) + Send + use<> {
        self.pending += 1;
        let (notify, link) = (self.notify.clone(), self.link);
        move |answer| drop(notify.send(Note::Done { seat, link, doing, answer }))
    }
}

/// Takes down the invocation now, and the end when it comes.
fn recording(watch: &Arc<Watch>, channel: &str, what: What) -> impl FnOnce(&Answer) + Send + use<> {
    // The seq in the answer to a read mark is the mark's, not that of an event.
    let makes_event = !matches!(what, What::Read { .. });
    let recorder = Arc::clone(&watch.recorder);
    let op = recorder.number();
    recorder.record(Entry::Invoke { op, room: channel.to_owned(), user: watch.user.clone(), what });
    move |answer| {
        let entry = match answer {
            Ok(answer) => {
                let data = answer.get("data").unwrap_or(&Value::Null);
                Entry::Ok {
                    op,
                    seq: data.get("seq").and_then(Value::as_u64).filter(|_| makes_event).unwrap_or(0),
                    id: data.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
                    duplicate: ["duplicate", "existing"].iter().any(|key| data.get(*key) == Some(&Value::Bool(true))),
                }
            }
            Err(error) if error.is_definite() => Entry::Fail { op, code: error.code() },
            Err(_) => Entry::Unknown { op },
        };
        recorder.record(entry);
    }
}
