//! `publish` and `rpc`. What is sent goes to its partition before the next command is looked at (P5); the reply comes
//! after the commit.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::Session;
use super::channels::Channel;
use crate::actors::gateway::hub::Presence;
use crate::api::operations::{Caller, Method, encoded};
use crate::api::protocol::codes::ErrorCode;
use crate::api::protocol::publication::publisher;
use crate::api::protocol::publish::Open;
use crate::api::protocol::{Error, PublishRequest, PublishResult, Reply, ReplyBody, RpcRequest, RpcResult};
use crate::config::Publish;
use crate::storage::journal::record::Addressed;

impl Session {
    pub(super) fn publish(&mut self, id: u32, request: PublishRequest, caller: Arc<Caller>) {
        match self.prepare_publish(&request, &caller) {
            Ok(record) => self.send(id, record, caller, |_| ReplyBody::Publish(PublishResult {})),
            Err(error) => self.refuse(id, error),
        }
    }

    fn prepare_publish(&self, request: &PublishRequest, caller: &Caller) -> Result<Addressed, Error> {
        let PublishRequest { channel: name, data, kind } = request;
        if *kind != 0 {
            return Err(ErrorCode::NOT_AVAILABLE.into());
        }
        let channel: Channel = self.server.options.channels.find(name, &caller.user)?;
        let allowed = match channel.rules.publish {
            Publish::Anyone => true,
            Publish::Subscriber => self.may_act(name),
            Publish::Nobody => false,
        };
        if !allowed {
            return Err(ErrorCode::PERMISSION_DENIED.into());
        }
        let handlers = &self.server.handlers;
        let prepared = match channel.room() {
            Some(room) => handlers.prepare_publish(caller, room, data, None),
            None => {
                let publisher = self.as_seen_in(name).as_ref().map(publisher).unwrap_or_default();
                let open = Open { data: data.clone(), publisher };
                handlers.prepare_open_publish(caller, name, channel.rules.bound, open, None)
            }
        };
        prepared.map_err(|error| error.to_protocol())
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

    pub(super) fn rpc(&mut self, id: u32, request: RpcRequest, caller: Arc<Caller>) {
        let RpcRequest { data, method } = request;
        let handlers = &self.server.handlers;
        let method = match Method::named(&method) {
            None => return self.refuse(id, ErrorCode::METHOD_NOT_FOUND),
            // The method whose order counts.
            Some(Method::MessageSend) => {
                return match handlers.prepare_send(&caller, &data) {
                    Ok(record) => self.send(id, record, caller, |data| ReplyBody::Rpc(RpcResult { data })),
                    Err(error) => self.refuse(id, error.to_protocol()),
                };
            }
            Some(method) => method,
        };
        let handlers = Arc::clone(handlers);
        let reply = async move {
            match handlers.run(&caller, method, &data).await {
                Ok(data) => Reply::new(id, ReplyBody::Rpc(RpcResult { data })),
                Err(error) => Reply::error(id, error.to_protocol()),
            }
        };
        self.later(reply, method.reply_bytes());
    }

    /// Hands a message to its partition.
    fn send(&mut self, id: u32, record: Addressed, caller: Arc<Caller>, result: fn(Bytes) -> ReplyBody) {
        let arrived = Instant::now();
        let room = record.room;
        let answer = self.server.router.command(record.partition, record.record);
        let server = self.server.clone();
        let reply = async move {
            let answer = answer.get().await;
            let sent = server.handlers.sent(&caller, room, answer).and_then(|sent| encoded(&sent));
            server.metrics.send_ack_seconds.record(arrived.elapsed());
            match sent {
                Ok(data) => Reply::new(id, result(data)),
                Err(error) => Reply::error(id, error.to_protocol()),
            }
        };
        self.later(reply, 0);
    }
}
