//! Who may ask for how much: every client pays here, whichever way it comes in, before anything is done for it.
//!
//! Each user has three accounts, so that who reads much can still write, and who has made a large group can still talk:
//!
//! | account | pays for |
//! |---|---|
//! | messages | what is sent and published |
//! | changes | whatever else is written: edits, rooms, invitations, settings, devices, uploads, profiles; by the users that it names and its bytes |
//! | questions | what is read or only passed on: pages by their rows, typing, receipts, presence, searches; and read marks, which are small, many, and merged |
//!
//! Users are counted by who they are, so the many users of one back end or address do not hinder each other; anonymous
//! ones, who are new each time, by the network they come from. Operators and back ends that have shown their key pay
//! nothing, also not from the account of the user in whose name they act. Nothing here knows what a command does, and
//! nothing is kept but the accounts, which are bounded.

use std::net::IpAddr;
use std::sync::Arc;

use super::Error;
use crate::actors::gateway::hub::{Limiter, Rate};
use crate::actors::room::RoomCommand;
use crate::actors::user::UserCommandBody;
use crate::config::Limits;
use crate::env::Clock;
use crate::ids::UserId;

/// Whose account is charged.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Payer {
    /// A user's.
    User(UserId),
    /// That of all anonymous users of a network.
    Network(IpAddr),
    /// None: an operator, or a back end that has shown its key.
    Nobody,
}

impl Payer {
    /// Who pays for what this user asks from this network.
    #[must_use]
    pub(crate) fn of(user: &UserId, network: Option<IpAddr>) -> Self {
        match network {
            Some(network) if user.is_anonymous() => Self::Network(network),
            _ => Self::User(user.clone()),
        }
    }
}

/// What something costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cost {
    /// A message.
    Message,
    /// A change, by the users that it names and by its bytes.
    Change {
        /// How many it names.
        users: usize,
        /// Of its record, or of what is written.
        bytes: usize,
    },
    /// A question, by the rows that it reads at most.
    Question {
        /// How many.
        rows: usize,
    },
    /// A question that has to search; and one about a room that the asker is not in: it wakes up what nobody needs.
    Search,
}

impl Cost {
    /// A change that names nobody.
    pub(crate) const CHANGE: Self = Self::Change { users: 0, bytes: 0 };
    /// A question that reads next to nothing.
    pub(crate) const QUESTION: Self = Self::Question { rows: 0 };

    /// The same with so many bytes, if those count.
    #[must_use]
    pub(crate) fn with_bytes(self, bytes: usize) -> Self {
        match self {
            Self::Change { users, .. } => Self::Change { users, bytes },
            Self::Message | Self::Question { .. } | Self::Search => self,
        }
    }

    /// Of a command for a room, without its bytes.
    #[must_use]
    pub(crate) fn of_room(command: &RoomCommand) -> Self {
        match command {
            RoomCommand::Send(_) => Self::Message,
            other => Self::Change { users: other.names(), bytes: 0 },
        }
    }

    /// Of a command of a user, likewise.
    #[must_use]
    pub(crate) fn of_user(command: &UserCommandBody) -> Self {
        match command {
            UserCommandBody::Read(_) => Self::QUESTION,
            UserCommandBody::Block(_)
            | UserCommandBody::Unblock(_)
            | UserCommandBody::Device(_)
            | UserCommandBody::DeviceRemove(_)
            | UserCommandBody::DevicesForget(_)
            | UserCommandBody::Mute(_)
            | UserCommandBody::NotificationRead(_)
            | UserCommandBody::PushGone(_)
            | UserCommandBody::Preferences(_)
            | UserCommandBody::RoomFact(_) => Self::CHANGE,
        }
    }
}

/// What the configuration says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rates {
    /// Messages.
    pub messages: Rate,
    /// Changes.
    pub changes: Rate,
    /// Questions.
    pub(crate) questions: Rate,
    /// Named users that count as one change more.
    pub(crate) change_users: u32,
    /// Bytes that count as one change more.
    pub(crate) change_bytes: usize,
    /// Rows that count as one question more.
    pub(crate) question_rows: u32,
    /// Questions that a search counts as.
    pub(crate) search_questions: u32,
}

impl From<&Limits> for Rates {
    fn from(limits: &Limits) -> Self {
        Self {
            messages: Rate { per_minute: limits.messages_per_minute, burst: limits.burst },
            changes: Rate { per_minute: limits.changes_per_minute, burst: limits.changes_burst },
            questions: Rate { per_minute: limits.questions_per_minute, burst: limits.questions_burst },
            change_users: limits.change_users,
            change_bytes: limits.change_bytes.0,
            question_rows: limits.question_rows,
            search_questions: limits.search_questions,
        }
    }
}

impl Rates {
    /// No bound at all.
    #[must_use]
    pub fn unbounded() -> Self {
        let none = Rate { per_minute: 0, burst: 1 };
        Self { messages: none, changes: none, questions: none, ..Self::from(&Limits::default()) }
    }
}

/// See the module.
pub(crate) struct Admission {
    messages: Limiter<Payer>,
    changes: Limiter<Payer>,
    questions: Limiter<Payer>,
    rates: Rates,
}

impl Admission {
    /// Accounts that nobody has used yet.
    #[must_use]
    pub(crate) fn new(rates: Rates, clock: &Arc<dyn Clock>) -> Self {
        let account = |rate| Limiter::new(rate, Arc::clone(clock));
        let (messages, changes) = (account(rates.messages), account(rates.changes));
        Self { messages, changes, questions: account(rates.questions), rates }
    }

    /// Lets something through that costs so much, and charges it.
    ///
    /// # Errors
    /// 111, 429: the account is empty. Nothing is charged; it says when the next one will pass.
    pub(crate) fn admit(&self, payer: &Payer, cost: Cost) -> Result<(), Error> {
        let (.., price) = self.price(cost);
        self.asked(payer, cost, price)
    }

    /// Whether something of this kind would pass now: for what is looked at before it is known what it will cost.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub(crate) fn would_admit(&self, payer: &Payer, cost: Cost) -> Result<(), Error> {
        self.asked(payer, cost, 0)
    }

    /// Charges what turned out to have cost so much.
    pub(crate) fn charge(&self, payer: &Payer, cost: Cost) {
        if *payer != Payer::Nobody {
            let (account, _, price) = self.price(cost);
            account.charge(payer, price);
        }
    }

    /// Lets something through that costs so much of `cost`'s account.
    fn asked(&self, payer: &Payer, cost: Cost, price: u32) -> Result<(), Error> {
        if *payer == Payer::Nobody {
            return Ok(());
        }
        let (account, what, _) = self.price(cost);
        account.admit_cost(payer, price).map_err(|retry_after_ms| Error::TooManyRequests { what, retry_after_ms })
    }

    /// The account, what it counts, and how many of those.
    fn price(&self, cost: Cost) -> (&Limiter<Payer>, &'static str, u32) {
        let Rates { change_users, change_bytes, question_rows, search_questions, .. } = self.rates;
        let more = |count: usize, each: usize| u32::try_from(count / each.max(1)).unwrap_or(u32::MAX);
        match cost {
            Cost::Message => (&self.messages, "messages", 1),
            Cost::Change { users, bytes } => {
                let price = more(users, change_users as usize).saturating_add(more(bytes, change_bytes));
                (&self.changes, "changes", price.saturating_add(1))
            }
            Cost::Question { rows } => (&self.questions, "questions", more(rows, question_rows as usize) + 1),
            Cost::Search => (&self.questions, "questions", search_questions.max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::ManualClock;
    use crate::ids::Timestamp;

    fn admission() -> Admission {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000)));
        Admission::new(Rates::from(&Limits::default()), &clock)
    }

    fn ann() -> Payer {
        Payer::User(UserId::new("ann").unwrap())
    }

    /// How many of these pass at once.
    fn burst(payer: &Payer, cost: Cost) -> usize {
        let admission = admission();
        (0..10_000).take_while(|_| admission.admit(payer, cost).is_ok()).count()
    }

    #[test]
    fn what_names_many_or_says_much_costs_more() {
        let change = |users, bytes| burst(&ann(), Cost::Change { users, bytes });
        assert_eq!((change(0, 0), change(1, 200)), (40, 40));
        assert_eq!((change(5, 0), change(0, 16 * 1024), change(900, 10_000)), (20, 20, 1));
        assert_eq!(burst(&ann(), Cost::Message), 20);
        let question = |rows| burst(&ann(), Cost::Question { rows });
        assert_eq!((question(0), question(300), burst(&ann(), Cost::Search)), (600, 150, 60));
    }

    #[test]
    fn one_account_that_is_empty_leaves_the_others() {
        let admission = admission();
        admission.admit(&ann(), Cost::Change { users: 1_000, bytes: 0 }).unwrap();
        let again = admission.admit(&ann(), Cost::Change { users: 0, bytes: 0 });
        assert!(matches!(again, Err(Error::TooManyRequests { retry_after_ms: 1.., .. })), "{again:?}");
        assert!(admission.would_admit(&ann(), Cost::Change { users: 0, bytes: 0 }).is_err());
        admission.admit(&ann(), Cost::Message).unwrap();
        admission.admit(&ann(), Cost::Question { rows: 0 }).unwrap();
        let ben = Payer::User(UserId::new("ben").unwrap());
        admission.admit(&ben, Cost::Change { users: 0, bytes: 0 }).unwrap();
    }

    #[test]
    fn anonymous_users_are_one_by_their_network_and_others_are_themselves() {
        let network = Some("192.0.2.7".parse().unwrap());
        let nobody = |n| UserId::anonymous(uuid::Uuid::from_u128(n));
        assert_eq!(Payer::of(&nobody(1), network), Payer::of(&nobody(2), network));
        assert_ne!(Payer::of(&nobody(1), None), Payer::of(&nobody(2), None));
        let named = |name| UserId::new(name).unwrap();
        assert_ne!(Payer::of(&named("ann"), network), Payer::of(&named("ben"), network));
    }
}
