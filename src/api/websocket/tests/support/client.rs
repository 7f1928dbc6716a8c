//! A client of the tests: commands and replies are JSON values here, whichever format stands on the wire.

use std::collections::VecDeque;
use std::pin::Pin;

use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

use super::Rig;
use crate::api::protocol::{Command, Format, FrameLimits, Reply, decode_frame, encoded_reply};
use crate::testing::within;

/// Anything that a WebSocket can go over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + std::marker::Send {}

impl<S: AsyncRead + AsyncWrite + std::marker::Send> Stream for S {}

pub(crate) struct Client {
    pub socket: WebSocketStream<Pin<Box<dyn Stream>>>,
    format: Format,
    replies: VecDeque<Value>,
    next_id: u32,
    /// Whether it answers the server's pings.
    pub pongs: bool,
}

impl Client {
    /// One that has said nothing yet.
    pub(crate) fn new(socket: WebSocketStream<Pin<Box<dyn Stream>>>, format: Format) -> Self {
        Self { socket, format, replies: VecDeque::new(), next_id: 0, pongs: true }
    }

    /// This client, connected.
    pub(crate) async fn connected(mut self, rig: &Rig, name: &str) -> Self {
        let reply = self.ask(json!({ "connect": { "token": rig.token(name) } })).await;
        assert!(reply["connect"]["client"].is_string(), "{reply}");
        self
    }

    /// Sends a command and waits for its reply; what comes before it is kept.
    pub(crate) async fn ask(&mut self, command: Value) -> Value {
        let id = self.send(command).await;
        self.reply(id).await
    }

    /// Sends a command with the next id.
    pub(crate) async fn send(&mut self, command: Value) -> u32 {
        self.send_all([command]).await[0]
    }

    /// Sends these commands in one frame.
    pub(crate) async fn send_all(&mut self, commands: impl IntoIterator<Item = Value>) -> Vec<u32> {
        let mut numbered = Vec::new();
        let mut ids = Vec::new();
        for mut command in commands {
            self.next_id += 1;
            ids.push(self.next_id);
            command["id"] = self.next_id.into();
            numbered.push(command);
        }
        self.raw(frame(self.format, &numbered)).await;
        ids
    }

    pub(crate) async fn raw(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub(crate) async fn reply(&mut self, id: u32) -> Value {
        self.find(|message| message["id"] == id).await
    }

    /// The next push in a channel, of this kind (`pub`, `join`, …); what comes before it is kept.
    pub(crate) async fn push(&mut self, channel: &str, kind: &str) -> Value {
        let mut push = self.find(|m| m["push"]["channel"] == channel && !m["push"][kind].is_null()).await;
        push["push"][kind].take()
    }

    /// The offsets of the next publications of a channel up to this one.
    pub(crate) async fn offsets(&mut self, channel: &str, last: u64) -> Vec<u64> {
        let mut offsets = Vec::new();
        while offsets.last().is_none_or(|offset| *offset < last) {
            offsets.push(self.push(channel, "pub").await["offset"].as_u64().unwrap());
        }
        offsets
    }

    async fn find(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut seen = 0;
        loop {
            while seen < self.replies.len() {
                if wanted(&self.replies[seen]) {
                    return self.replies.remove(seen).unwrap();
                }
                seen += 1;
            }
            if let Err((code, reason)) = self.read().await {
                panic!("closed with {code} {reason}, instead: {:?}", self.replies);
            }
        }
    }

    /// Reads one frame.
    async fn read(&mut self) -> Result<(), (u16, String)> {
        match within("a message, or the end", self.socket.next()).await {
            Some(Ok(Message::Text(text))) => {
                let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                self.take(lines).await;
                Ok(())
            }
            Some(Ok(Message::Binary(bytes))) => {
                self.take(delimited(&bytes)).await;
                Ok(())
            }
            Some(Ok(Message::Close(Some(frame)))) => Err((frame.code.into(), frame.reason.to_string())),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Err(tungstenite::Error::ConnectionClosed)) | None => Err((1006, String::new())),
            other => Err((1006, format!("{other:?}"))),
        }
    }

    /// Keeps messages for whoever asks, and answers pings.
    async fn take(&mut self, messages: Vec<Value>) {
        for message in messages {
            if message != json!({}) {
                self.replies.push_back(message);
            } else if self.pongs {
                self.raw(frame(self.format, &[message])).await;
            }
        }
    }

    /// The reply to a command, or the code with which the connection is closed.
    pub(crate) async fn reply_or_close(&mut self, id: u32) -> Result<Value, u16> {
        loop {
            if let Some(at) = self.replies.iter().position(|reply| reply["id"] == id) {
                return Ok(self.replies.remove(at).unwrap());
            }
            self.read().await.map_err(|(code, _)| code)?;
        }
    }

    /// The offsets of the publications of a channel that came and nobody asked for.
    pub(crate) fn all_offsets(&self, channel: &str) -> Vec<u64> {
        let of_channel = self.replies.iter().filter(|message| message["push"]["channel"] == channel);
        of_channel.filter_map(|message| message["push"]["pub"]["offset"].as_u64()).collect()
    }

    /// Subscribes from a position and gives the offsets that come then, in the reply and behind it, up to `last`.
    pub(crate) async fn recovered(&mut self, channel: &str, from: u64, last: u64) -> Vec<u64> {
        let subscribe = json!({ "channel": channel, "recover": true, "epoch": super::epoch(), "offset": from });
        let reply = self.ask(json!({ "subscribe": subscribe })).await;
        assert_eq!(reply["subscribe"]["recovered"], true, "{reply}");
        let first = reply["subscribe"]["publications"].as_array().cloned().unwrap_or_default();
        let mut offsets: Vec<_> = first.iter().map(|publication| publication["offset"].as_u64().unwrap()).collect();
        if offsets.last().copied().unwrap_or(from) < last {
            offsets.extend(self.offsets(channel, last).await);
        }
        offsets
    }

    /// The code with which the connection is closed.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Err((code, _)) = self.read().await {
                return code;
            }
        }
    }

    /// What came and nobody asked for.
    pub(crate) fn unread(&self) -> &VecDeque<Value> {
        &self.replies
    }
}

/// Commands as they stand in one frame.
pub(crate) fn frame(format: Format, commands: &[Value]) -> Message {
    let lines = commands.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    match format {
        Format::Json => Message::text(lines),
        Format::Protobuf => {
            // Without a bound: what is too much is for the server to say.
            let unbounded = FrameLimits { bytes: 1 << 30, commands: 1 << 30 };
            let commands = decode_frame(lines.as_bytes(), Format::Json, &unbounded).unwrap();
            let encode = |command: Result<Command, _>| command.unwrap().encode_length_delimited_to_vec();
            Message::binary(commands.flat_map(encode).collect::<Vec<_>>())
        }
    }
}

/// The messages of a protobuf frame, as they would stand in JSON.
fn delimited(mut bytes: &[u8]) -> Vec<Value> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let reply = Reply::decode_length_delimited(&mut bytes).unwrap();
        messages.push(serde_json::from_slice(&encoded_reply(&reply, Format::Json)).unwrap());
    }
    messages
}
