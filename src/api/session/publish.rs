//! `publish` and `rpc`. What is sent goes to its partition before the next command is looked at (P5); the reply comes
//! after the commit.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::Session;
use super::channels::Channel;
use super::methods::Asker;
use crate::actors::gateway::hub::Presence;
use crate::api::protocol::codes::ErrorCode;
use crate::api::protocol::publication::publisher;
use crate::api::protocol::publish::Open;
use crate::api::protocol::{Error, PublishRequest, PublishResult, Reply, ReplyBody, RpcRequest, RpcResult};
use crate::config::Publish;
use crate::storage::journal::record::Addressed;

/// The method that sends: the one whose order counts.
const SEND: &str = "message.send";

impl Session {
    pub(super) fn publish(&mut self, id: u32, request: PublishRequest, asker: Arc<Asker>) {
        match self.prepare_publish(&request, &asker) {
            Ok(record) => self.send(id, record, asker, |_| ReplyBody::Publish(PublishResult {})),
            Err(error) => self.refuse(id, error),
        }
    }

    fn prepare_publish(&self, request: &PublishRequest, asker: &Asker) -> Result<Addressed, Error> {
        let PublishRequest { channel: name, data, kind } = request;
        if *kind != 0 {
            return Err(ErrorCode::NOT_AVAILABLE.into());
        }
        let channel: Channel = self.server.options.channels.find(name, &asker.user)?;
        let allowed = match channel.rules.publish {
            Publish::Anyone => true,
            Publish::Subscriber => self.may_act(name),
            Publish::Nobody => false,
        };
        if !allowed {
            return Err(ErrorCode::PERMISSION_DENIED.into());
        }
        let methods = &self.server.methods;
        match channel.room() {
            Some(room) => methods.prepare_publish(asker, room, data),
            None => {
                let publisher = self.as_seen_in(name).as_ref().map(publisher).unwrap_or_default();
                methods.prepare_open_publish(asker, name, channel.rules.bound, Open { data: data.clone(), publisher })
            }
        }
    }

    /// What others see of this connection in a channel, subscribed or not.
    fn as_seen_in(&self, channel: &str) -> Option<Presence> {
        if let Some(own) = self.sub(channel).and_then(|sub| sub.place.own_presence()) {
            return Some(own);
        }
        let connection = self.connection.as_ref()?;
        let (client, user, connection_info) = (connection.client, connection.user.clone(), connection.info.clone());
        Some(Presence { client, user, connection_info, channel_info: None })
    }

    pub(super) fn rpc(&mut self, id: u32, request: RpcRequest, asker: Arc<Asker>) {
        let RpcRequest { data, method } = request;
        if method == SEND {
            return match self.server.methods.prepare_send(&asker, &data) {
                Ok(record) => self.send(id, record, asker, |data| ReplyBody::Rpc(RpcResult { data })),
                Err(error) => self.refuse(id, error),
            };
        }
        let bytes = self.server.methods.reply_bytes(&method);
        let called = self.server.methods.call(&asker, &method, data);
        let reply = async move {
            match called.await {
                Ok(data) => Reply::new(id, ReplyBody::Rpc(RpcResult { data })),
                Err(error) => Reply::error(id, error),
            }
        };
        self.later(reply, bytes);
    }

    /// Hands a message to its partition.
    fn send(&mut self, id: u32, record: Addressed, asker: Arc<Asker>, result: fn(Bytes) -> ReplyBody) {
        let arrived = Instant::now();
        let answer = self.server.router.command(record.partition, record.record.clone());
        let server = self.server.clone();
        let reply = async move {
            let answer = answer.get().await;
            let sent = server.methods.sent(&asker, &record, answer);
            server.metrics.send_ack_seconds.observe(arrived.elapsed().as_secs_f64());
            match sent {
                Ok(data) => Reply::new(id, result(data)),
                Err(error) => Reply::error(id, error),
            }
        };
        self.later(reply, 0);
    }
}
