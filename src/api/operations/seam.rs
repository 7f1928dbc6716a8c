//! The handlers as a session calls them.

use std::sync::Arc;

use bytes::Bytes;

use super::admission::{Cost, Payer};
use super::{Caller, Handlers, Method, reply};
use crate::actors::wire::{Answer, HistoryBound};
use crate::api::protocol::Error;
use crate::api::protocol::publish::Open;
use crate::api::session::methods::{Asker, Called, Methods};
use crate::ids::RoomId;
use crate::limits;
use crate::storage::journal::record::Addressed;

fn caller(asker: &Asker) -> Caller {
    Caller { user: asker.user.clone(), device: asker.device.clone(), payer: payer(asker) }
}

fn payer(asker: &Asker) -> Payer {
    Payer::of(&asker.user, asker.network)
}

/// A record of a client's that has been prepared, once it is paid for: what is refused anyway costs nothing.
fn paid(handlers: &Handlers, asker: &Asker, prepared: Result<Addressed, super::Error>) -> Result<Addressed, Error> {
    let paid = prepared.and_then(|record| {
        handlers.admission().admit(&payer(asker), Cost::Message)?;
        Ok(record)
    });
    paid.map_err(|error| error.to_protocol())
}

impl Methods for Arc<Handlers> {
    fn prepare_send(&self, asker: &Asker, data: &[u8]) -> Result<Addressed, Error> {
        paid(self, asker, Handlers::prepare_send(self, &caller(asker), data))
    }

    fn prepare_publish(&self, asker: &Asker, room: RoomId, data: &[u8]) -> Result<Addressed, Error> {
        paid(self, asker, Handlers::prepare_publish(self, &caller(asker), room, data, None))
    }

    fn prepare_open_publish(
        &self,
        asker: &Asker,
        channel: &str,
        history: HistoryBound,
        open: Open,
    ) -> Result<Addressed, Error> {
        paid(self, asker, Handlers::prepare_open_publish(self, &caller(asker), channel, history, open, None))
    }

    fn ask(&self, asker: &Asker, rows: usize) -> Result<(), Error> {
        let admitted = self.admission().admit(&payer(asker), Cost::Question { rows });
        admitted.map_err(|error| error.to_protocol())
    }

    fn asked_in_vain(&self, asker: &Asker) {
        self.admission().charge(&payer(asker), Cost::Search);
    }

    fn sent(&self, asker: &Asker, record: &Addressed, answer: Answer) -> Result<Bytes, Error> {
        let sent = Handlers::sent(self, &caller(asker), record, answer).map_err(|error| error.to_protocol())?;
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
