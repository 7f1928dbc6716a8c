//! What a verb is, and the table that makes a command of verbs: the same for rooms and users.
//!
//! A verb's file holds everything that is the verb's own: what a client says of it (one struct for rpc, REST and both
//! documents; whom or what it is about is said beside it, because REST has that in its path), the command, its bounds, the
//! payload of its record and the decision. A new verb is a file and a line of a table; the compiler names the places that must
//! say more about it.
//!
//! Payloads are protobuf. Their fields are only ever added, and never in a way that would make an older program decide
//! differently: that needs a new record version.

use prost::Message;
use uuid::Uuid;

use super::bounds::BadInput;
use super::moment::Moment;
use super::wire::Reject;

/// What each verb says of itself.
pub(in crate::actors) trait Verb<State, Outcome>: Sized {
    /// The payload of its record.
    type Payload: Message + Default;

    /// Whether a repeat of its record changes nothing by itself: it is numbered by its source, or the highest wins. What was
    /// decided on it need not be remembered then.
    const BEARS_REPETITION: bool = false;

    /// The command as a payload: by value, so that no text is copied.
    fn into_payload(self) -> Self::Payload;

    /// The command in a payload. Total: what can't be read is [`Reject::Invalid`] for everyone. Lengths are judged by
    /// [`Self::check`], except where a type can't hold more.
    fn from_payload(payload: Self::Payload) -> Result<Self, Reject>;

    /// Judges texts and counts: see [`super::bounds`].
    fn check(&self) -> Result<(), BadInput> {
        Ok(())
    }

    /// How many users it names beside the one who asks: each of them costs as much as the command.
    fn names(&self) -> usize {
        0
    }

    /// Decides, and changes the state if it happens; after a rejection the state is as it was. `id` is the command's.
    fn decide(self, state: &mut State, now: Moment, id: Uuid) -> Result<Outcome, Reject>;
}

/// Makes an enum of verbs from a table of their names, the kinds of their records, and their names for operators.
macro_rules! verbs {
    (
        $(#[$about:meta])* pub enum $Command:ident of $State:ident -> $Outcome:ident;
        $($(#[doc = $doc:literal])* $verb:ident = $kind:literal $name:literal;)*
    ) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum $Command {
            $($(#[doc = $doc])* $verb($verb),)*
        }

        impl $Command {
            /// The kinds of the verbs' records, in the order of the table.
            pub const KINDS: &'static [u32] = &[$($kind),*];

            /// The name for operators of the verb whose records are of this kind.
            pub(in crate::actors) fn name_of(kind: u32) -> Option<&'static str> {
                match kind {
                    $($kind => Some($name),)*
                    _ => None,
                }
            }

            /// How many users it names beside the one who asks: each of them costs as much as the command.
            #[must_use]
            pub fn names(&self) -> usize {
                match self {
                    $(Self::$verb(verb) => verb.names(),)*
                }
            }

            /// Judges texts and counts: see [`crate::actors::bounds`].
            ///
            /// # Errors
            /// What is too large, or what no row can hold.
            pub(crate) fn check(&self) -> Result<(), BadInput> {
                match self {
                    $(Self::$verb(verb) => verb.check(),)*
                }
            }

            /// Whether a repeat of its record changes nothing by itself.
            pub(super) fn bears_repetition(&self) -> bool {
                match self {
                    $(Self::$verb(_) => <$verb as Verb<$State, $Outcome>>::BEARS_REPETITION,)*
                }
            }

            /// Its record: `head`, which says the rest, with the kind and the payload.
            pub(super) fn encode(self, head: Envelope) -> Bytes {
                match self {
                    $(Self::$verb(verb) => Envelope { kind: $kind, ..head }.encode_around(&verb.into_payload()),)*
                }
            }

            /// The command in a record of this kind. Fields share the payload's memory where they can.
            pub(super) fn decode(kind: u32, payload: &Bytes) -> Result<Self, Reject> {
                match kind {
                    $($kind => {
                        let payload = Message::decode(payload.clone()).map_err(|_| Reject::Invalid)?;
                        $verb::from_payload(payload).map(Self::$verb)
                    })*
                    _ => Err(Reject::Invalid),
                }
            }

            pub(super) fn decide(self, state: &mut $State, now: Moment, id: Uuid) -> Result<$Outcome, Reject> {
                self.check()?;
                match self {
                    $(Self::$verb(verb) => verb.decide(state, now, id),)*
                }
            }
        }
    };
}
pub(in crate::actors) use verbs;
