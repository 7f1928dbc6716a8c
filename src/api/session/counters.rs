//! Counters of clients' commands. They are taken once, so that a command is counted by its place in a list and no
//! name is looked up.

use crate::api::operations::Method;
use crate::api::protocol::Request;
use crate::metrics::{Counter, Labelled};

/// A counter for each kind of request, and for each method of rpc instead of one for all.
pub(super) struct CommandCounters {
    requests: Vec<Counter>,
    methods: Vec<Counter>,
    /// Methods that there are not: a client must not make up labels.
    unknown: Counter,
}

impl CommandCounters {
    pub(super) fn new(by_name: &Labelled<&'static str>) -> Self {
        let unknown = by_name.of("unknown");
        // Rpc is counted by its methods; a counter under its own name would stand at 0 for ever.
        let of_request = |name| if name == "rpc" { unknown.clone() } else { by_name.of(name) };
        let requests = Request::NAMES.into_iter().map(of_request).collect();
        Self { requests, methods: Method::ALL.iter().map(|method| by_name.of(method.name())).collect(), unknown }
    }

    pub(super) fn of(&self, request: &Request) -> &Counter {
        let counter = match request {
            Request::Rpc(rpc) => Method::named(&rpc.method).and_then(|method| self.methods.get(method as usize)),
            other => self.requests.get(other.place()),
        };
        counter.unwrap_or(&self.unknown)
    }
}
