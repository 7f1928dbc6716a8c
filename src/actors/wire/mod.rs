//! What nodes say to each other, and the lowest room of `actors`: entities, events, and the frames between gateways and
//! owners. Everything else in `actors` imports this, and this imports nothing of theirs.
//!
//! | file | holds |
//! |---|---|
//! | `entity` | rooms and users as one, nodes, requests |
//! | `values` | what commands, events and answers share |
//! | `event` | what happened, and as bytes |
//! | `reject` | why the fold says no |
//! | `query` | what gateways ask of the folded state, and the answers |
//! | `frames` | what gateways and owners tell each other |
//! | `codec` | frames as bytes, versioned and bounded |
//! | `fields` | ids in protobuf fields |

mod codec;
mod entity;
pub(super) mod event;
pub(super) mod fields;
mod frames;
mod query;
mod reject;
mod values;

pub use codec::FrameError;
pub use entity::{Entity, Origin};
pub(crate) use entity::{NodeId, RequestId};
pub use event::Event;
pub(crate) use event::{EventBody, ListChange, StreamEvent, UserEvent, UserEventBody};
pub use frames::{Answer, ToGateway, ToOwner};
pub(crate) use frames::{Denial, Ephemeral, FetchError, ReceiptStatus};
pub use query::Query;
pub(crate) use query::{EntityFigures, FiguresOf, QueryAnswer, ReadFacts, RoomFacts};
pub(crate) use reject::Reject;
pub use values::{Content, HistoryBound, MaySend, Member, ReadPoint, RoomChange, RoomKind};
pub(crate) use values::{RoomStanding, RoomStatus};
