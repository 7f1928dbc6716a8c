//! The handlers as a session calls them.

use std::sync::Arc;

use bytes::Bytes;

use super::{Caller, Handlers, Method, reply};
use crate::actors::gateway::frames::Answer;
use crate::actors::room::command::HistoryBound;
use crate::api::protocol::Error;
use crate::api::publish_data::Open;
use crate::api::session::methods::{Asker, Called, Methods};
use crate::ids::{Partition, RoomId};
use crate::limits;
use crate::storage::journal::record::Addressed;

fn caller(asker: &Asker) -> Caller {
    Caller { user: asker.user.clone(), device: asker.device.clone() }
}

impl Methods for Arc<Handlers> {
    fn prepare_send(&self, asker: &Asker, data: &[u8]) -> Result<Addressed, Error> {
        Handlers::prepare_send(self, &caller(asker), data).map_err(|error| error.to_protocol())
    }

    fn prepare_publish(&self, asker: &Asker, room: RoomId, data: &[u8]) -> Result<Addressed, Error> {
        Handlers::prepare_publish(self, &caller(asker), room, data, None).map_err(|error| error.to_protocol())
    }

    fn prepare_open_publish(
        &self,
        asker: &Asker,
        channel: &str,
        history: HistoryBound,
        open: Open,
    ) -> Result<Addressed, Error> {
        Handlers::prepare_open_publish(self, &caller(asker), channel, history, open, None)
            .map_err(|error| error.to_protocol())
    }

    fn sent(&self, asker: &Asker, partition: Partition, answer: Answer) -> Result<Bytes, Error> {
        let sent = Handlers::sent(self, &caller(asker), partition, answer).map_err(|error| error.to_protocol())?;
        reply(&sent).map_err(|error| error.to_protocol())
    }

    fn call(&self, asker: &Asker, method: &str, data: Bytes) -> Called {
        let (handlers, caller, method) = (Arc::clone(self), caller(asker), Method::named(method));
        Box::pin(async move {
            let method = method.ok_or(super::Error::UnknownMethod).map_err(|error| error.to_protocol())?;
            handlers.run(&caller, method, &data).await.map_err(|error| error.to_protocol())
        })
    }

    fn reply_bytes(&self, method: &str) -> usize {
        match Method::named(method) {
            Some(Method::MessageHistory | Method::RoomList | Method::RoomMembers) => limits::PAGE_BYTES,
            _ => limits::CALL_BYTES,
        }
    }

    fn known(&self, method: &str) -> Option<&'static str> {
        Method::named(method).map(Method::name)
    }
}
