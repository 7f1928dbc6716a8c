//! Properties that hold for any bytes and any message.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value, json};

use super::super::*;
use super::commands;

/// Text with what JSON must escape.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,8}", "[\\x00-\\x1f\"\\\\/é\u{2028}😀]{0,8}", any::<String>()]
}

fn payload() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        text().prop_map(|t| json!({ "t": t })),
        any::<i64>().prop_map(|n| json!([n, null, true])),
        text().prop_map(|t| json!(t)),
    ]
    .prop_map(|value| Bytes::from(value.to_string()))
}

fn command() -> impl Strategy<Value = Command> {
    let request = prop_oneof![
        (text(), payload(), text()).prop_map(|(token, data, channel)| {
            let sub = SubscribeRequest { recover: true, offset: 5, epoch: token.clone(), ..Default::default() };
            let subs = BTreeMap::from([(channel, sub)]);
            Request::Connect(ConnectRequest { token, data, subs, ..Default::default() })
        }),
        (text(), payload()).prop_map(|(channel, data)| Request::Publish(PublishRequest { channel, data, kind: 0 })),
        (text(), payload()).prop_map(|(method, data)| Request::Rpc(RpcRequest { method, data })),
        (text(), any::<u64>(), any::<bool>(), any::<i64>()).prop_map(|(channel, offset, recover, flag)| {
            Request::Subscribe(SubscribeRequest { channel, offset, recover, flag, ..Default::default() })
        }),
        (text(), any::<i32>(), any::<bool>(), any::<u64>()).prop_map(|(channel, limit, reverse, offset)| {
            let since = Some(StreamPosition { offset, epoch: channel.clone() });
            Request::History(HistoryRequest { channel, limit, since, reverse })
        }),
    ];
    (any::<u32>(), request).prop_map(|(id, request)| Command { id, request: Some(request) })
}

fn raw(payload: &Bytes) -> Value {
    serde_json::from_slice(payload).unwrap()
}

/// A command as a client would write it in JSON.
fn as_json(command: &Command) -> Value {
    let mut value = json!({ "id": command.id });
    let request = command.request.as_ref().unwrap();
    value[Request::NAMES[request.place()]] = match request {
        Request::Connect(c) => {
            let subs: Value = c
                .subs
                .iter()
                .map(|(k, s)| (k.clone(), json!({"recover": s.recover, "offset": s.offset, "epoch": s.epoch})))
                .collect::<serde_json::Map<_, _>>()
                .into();
            json!({"token": c.token, "data": raw(&c.data), "subs": subs})
        }
        Request::Publish(p) => json!({"channel": p.channel, "data": raw(&p.data)}),
        Request::Rpc(r) => json!({"method": r.method, "data": raw(&r.data)}),
        Request::Subscribe(s) => {
            json!({"channel": s.channel, "offset": s.offset, "recover": s.recover, "flag": s.flag})
        }
        Request::History(h) => {
            let since = h.since.as_ref().unwrap();
            json!({"channel": h.channel, "limit": h.limit, "reverse": h.reverse,
                "since": {"offset": since.offset, "epoch": since.epoch}})
        }
        other => panic!("not generated: {other:?}"),
    };
    value
}

/// Reads a whole frame and forgets it; only a panic counts.
fn survive(bytes: &[u8]) {
    for format in [Format::Json, Format::Protobuf] {
        let _ = commands(bytes, format);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survive(&bytes);
    }

    #[test]
    fn no_damage_to_a_good_frame_makes_it_panic(
        all in prop::collection::vec(command(), 1..4),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let lines: Vec<_> = all.iter().map(|c| as_json(c).to_string()).collect();
        let delimited: Vec<u8> = all.iter().flat_map(Command::encode_length_delimited_to_vec).collect();
        for mut bytes in [lines.join("\n").into_bytes(), delimited] {
            for (at, byte) in &hits {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            survive(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            survive(&bytes);
        }
    }

    #[test]
    fn both_formats_say_the_same(all in prop::collection::vec(command(), 1..5)) {
        let delimited: Vec<u8> = all.iter().flat_map(Command::encode_length_delimited_to_vec).collect();
        prop_assert_eq!(&commands(&delimited, Format::Protobuf).unwrap(), &all);
        let lines: Vec<_> = all.iter().map(|c| as_json(c).to_string()).collect();
        prop_assert_eq!(&commands(lines.join("\n").as_bytes(), Format::Json).unwrap(), &all);
    }

    #[test]
    fn a_publication_survives_both_encodings(
        channel in text(), data in payload(), user in text(), offset in any::<u64>(), tag in text(),
    ) {
        let info = ClientInfo { user, client: "c".into(), conn_info: data.clone(), chan_info: Bytes::new() };
        let publication =
            Publication { data, info: Some(info), offset, tags: [(tag.clone(), tag)].into(), time: 5 };
        let push = Push::new(channel, PushBody::Pub(publication.clone()));

        let reply = Reply::decode_length_delimited(encode_push(&push, Format::Protobuf)).unwrap();
        prop_assert_eq!(reply, Reply { id: 0, body: Some(ReplyBody::Push(push.clone())) });

        let line = encode_push(&push, Format::Json);
        prop_assert!(!line.contains(&b'\n'));
        let value: Value = serde_json::from_slice(&line).unwrap();
        prop_assert_eq!(value["push"]["channel"].as_str().unwrap_or_default(), &push.channel);
        let wire = &value["push"]["pub"];
        prop_assert_eq!(&wire["data"], &raw(&publication.data));
        prop_assert_eq!(wire["offset"].as_u64().unwrap_or(0), offset);
        let info = publication.info.as_ref().unwrap();
        prop_assert_eq!(wire["info"]["user"].as_str().unwrap(), &info.user);
        for (key, value) in &publication.tags {
            prop_assert_eq!(wire["tags"][key].as_str().unwrap(), value);
        }
        // A reply around the push says the same as the push alone.
        let reply = Reply { id: 0, body: Some(ReplyBody::Push(push.clone())) };
        prop_assert_eq!(encoded_reply(&reply, Format::Json), line);
        prop_assert_eq!(encoded_reply(&reply, Format::Protobuf), encode_push(&push, Format::Protobuf));
    }
}

#[test]
fn a_line_break_in_a_payload_does_not_end_the_line() {
    let data = Bytes::from_static(b"{\n  \"a\": [1,\r\n 2]\n}");
    let push = Push::new("c", PushBody::Pub(Publication { data, ..Default::default() }));
    let line = encode_push(&push, Format::Json);
    assert!(!line.contains(&b'\n'));
    assert_eq!(serde_json::from_slice::<Value>(&line).unwrap()["push"]["pub"]["data"], json!({"a": [1, 2]}));
}
