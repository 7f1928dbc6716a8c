//! Writing of replies and pushes as JSON, straight into bytes.
//!
//! Payloads are JSON text by contract and are written as they are.

use super::json_write::{ObjectWriter, number, object, string};
use super::push::{ClientInfo, Publication, Push, PushBody};
use super::reply::{Error, Reply, ReplyBody, SubscribeResult};

fn info(o: &mut ObjectWriter<'_>, info: Option<&ClientInfo>) {
    if let Some(info) = info {
        o.object("info", |o| client_info(o, info));
    }
}

/// Writes one reply.
pub(super) fn reply(out: &mut Vec<u8>, reply: &Reply) {
    object(out, |o| {
        o.number("id", reply.id.into());
        let Some(body) = &reply.body else { return };
        match body {
            ReplyBody::Error(e) => o.object("error", |o| error(o, e)),
            ReplyBody::Push(p) => o.object("push", |o| push_fields(o, p)),
            ReplyBody::Connect(r) => o.object("connect", |o| {
                o.text("client", &r.client);
                o.text("version", &r.version);
                o.flag("expires", r.expires);
                o.number("ttl", r.ttl.into());
                o.payload("data", &r.data);
                if !r.subs.is_empty() {
                    o.map("subs", &r.subs, |out, sub| object(out, |o| subscribe_result(o, sub)));
                }
                o.number("ping", r.ping.into());
                o.flag("pong", r.pong);
                o.text("session", &r.session);
                o.text("node", &r.node);
                o.time("time", r.time);
            }),
            ReplyBody::Subscribe(r) => o.object("subscribe", |o| subscribe_result(o, r)),
            ReplyBody::Unsubscribe(_) => o.object("unsubscribe", |_| {}),
            ReplyBody::Publish(_) => o.object("publish", |_| {}),
            ReplyBody::Presence(r) => o.object("presence", |o| {
                o.map("presence", &r.presence, |out, info| object(out, |o| client_info(o, info)));
            }),
            ReplyBody::PresenceStats(r) => o.object("presence_stats", |o| {
                number(o.key("num_clients"), r.num_clients.into());
                number(o.key("num_users"), r.num_users.into());
            }),
            ReplyBody::History(r) => o.object("history", |o| {
                o.list("publications", &r.publications, |out, item| object(out, |o| publication(o, item)));
                o.text("epoch", &r.epoch);
                number(o.key("offset"), r.offset);
            }),
            ReplyBody::Ping(_) => o.object("ping", |_| {}),
            ReplyBody::Rpc(r) => o.object("rpc", |o| o.payload("data", &r.data)),
            ReplyBody::Refresh(r) => o.object("refresh", |o| {
                o.text("client", &r.client);
                o.text("version", &r.version);
                o.flag("expires", r.expires);
                o.number("ttl", r.ttl.into());
            }),
            ReplyBody::SubRefresh(r) => o.object("sub_refresh", |o| {
                o.flag("expires", r.expires);
                o.number("ttl", r.ttl.into());
            }),
        }
    });
}

/// Writes one push in a reply's envelope.
pub(super) fn push(out: &mut Vec<u8>, push: &Push) {
    object(out, |o| o.object("push", |o| push_fields(o, push)));
}

/// Writes the push of a publication whose data is the object that `data` writes: it is written once, where it belongs.
pub(super) fn publication_around(
    out: &mut Vec<u8>,
    channel: &str,
    p: &Publication,
    data: impl FnOnce(&mut ObjectWriter<'_>),
) {
    object(out, |o| {
        o.object("push", |o| {
            o.text("channel", channel);
            o.object("pub", |o| {
                o.object("data", data);
                beside_data(o, p);
            });
        });
    });
}

fn push_fields(o: &mut ObjectWriter<'_>, push: &Push) {
    o.text("channel", &push.channel);
    let Some(body) = &push.body else { return };
    match body {
        PushBody::Pub(p) => o.object("pub", |o| publication(o, p)),
        PushBody::Join(j) => o.object("join", |o| info(o, j.info.as_ref())),
        PushBody::Leave(l) => o.object("leave", |o| info(o, l.info.as_ref())),
        PushBody::Unsubscribe(u) => o.object("unsubscribe", |o| {
            number(o.key("code"), u.code.into());
            string(o.key("reason"), &u.reason);
        }),
        PushBody::Message(m) => o.object("message", |o| o.payload("data", &m.data)),
        PushBody::Subscribe(s) => o.object("subscribe", |o| {
            o.flag("recoverable", s.recoverable);
            o.text("epoch", &s.epoch);
            o.number("offset", s.offset);
            o.flag("positioned", s.positioned);
            o.payload("data", &s.data);
        }),
        PushBody::Connect(c) => o.object("connect", |o| {
            o.text("client", &c.client);
            o.text("version", &c.version);
            o.payload("data", &c.data);
            o.flag("expires", c.expires);
            o.number("ttl", c.ttl.into());
            o.number("ping", c.ping.into());
            o.flag("pong", c.pong);
        }),
        PushBody::Disconnect(d) => o.object("disconnect", |o| {
            number(o.key("code"), d.code.into());
            string(o.key("reason"), &d.reason);
            o.flag("reconnect", d.reconnect);
        }),
        PushBody::Refresh(r) => o.object("refresh", |o| {
            o.flag("expires", r.expires);
            o.number("ttl", r.ttl.into());
        }),
    }
}

fn error(o: &mut ObjectWriter<'_>, error: &Error) {
    number(o.key("code"), error.code.into());
    string(o.key("message"), &error.message);
    o.flag("temporary", error.temporary);
}

fn subscribe_result(o: &mut ObjectWriter<'_>, r: &SubscribeResult) {
    o.flag("expires", r.expires);
    o.number("ttl", r.ttl.into());
    o.flag("recoverable", r.recoverable);
    o.text("epoch", &r.epoch);
    o.list("publications", &r.publications, |out, item| object(out, |o| publication(o, item)));
    o.flag("recovered", r.recovered);
    o.number("offset", r.offset);
    o.flag("positioned", r.positioned);
    o.payload("data", &r.data);
    o.flag("was_recovering", r.was_recovering);
}

fn publication(o: &mut ObjectWriter<'_>, p: &Publication) {
    o.payload("data", &p.data);
    beside_data(o, p);
}

/// What follows the data of a publication.
fn beside_data(o: &mut ObjectWriter<'_>, p: &Publication) {
    info(o, p.info.as_ref());
    o.number("offset", p.offset);
    if !p.tags.is_empty() {
        o.map("tags", &p.tags, |out, value| string(out, value));
    }
    o.time("time", p.time);
}

fn client_info(o: &mut ObjectWriter<'_>, info: &ClientInfo) {
    // SDKs read both without asking whether they are there.
    string(o.key("user"), &info.user);
    string(o.key("client"), &info.client);
    o.payload("conn_info", &info.conn_info);
    o.payload("chan_info", &info.chan_info);
}
