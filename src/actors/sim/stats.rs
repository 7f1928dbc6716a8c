//! What a run did, counted: what never happens is not tested.

use std::fmt;

use super::fault_plan::Fault;

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// See the module.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub(crate) struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            /// Faults, in the order of [`Fault::ALL`].
            pub faults: [u64; Fault::ALL.len()],
        }

        impl Stats {
            /// Adds another run's.
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
                self.faults.iter_mut().zip(other.faults).for_each(|(sum, count)| *sum += count);
            }

            fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

stats! {
    /// Events of the world.
    steps,
    /// Messages acknowledged.
    acked,
    /// Messages refused for good.
    rejected,
    /// Events that clients applied.
    delivered,
    /// Subscriptions that recovered.
    recovered,
    /// Subscriptions that did not.
    not_recovered,
    /// Records in the journal at the end.
    records,
    /// Commits of projectors.
    commits,
    /// Steps of the relay.
    relayed,
    /// Nodes that crashed.
    crashes,
    /// Frames that came to a later life of the gateway that they were for.
    outlived,
    /// Residents that died.
    deaths,
    /// Residents that were let go.
    passivated,
    /// Times that what an owner folded anew waited for a place in memory.
    full,
    /// Residents that were made of the store's rows and the journal's tail.
    replayed,
    /// Questions for older events that the store answered.
    fetched,
    /// Questions for older events that the journal answered, as the store was down.
    retold,
    /// Questions about the folded state that were answered.
    queried,
    /// Subscriptions that ended with a removal.
    removed,
    /// Direct chats and groups whose time was over.
    expired,
    /// Open channels that had forgotten their first events in the end.
    trimmed,
    /// Commands for which a partition's queue had no room.
    overloads,
    /// Owners that had to begin anew.
    restarts,
    /// Records that an owner passed over, as the rows had them already.
    passed_over,
    /// Appends inside which records of another came to stand.
    scattered,
    /// Records that a lost leader took along.
    lost_records,
    /// Fetches of a tail that came late.
    late_tails,
    /// Fetches that brought a piece of what there was.
    pieces,
    /// Records that a client had fetched and the log had lost, when the client heard of it.
    ghosts,
    /// Records that were fetched in the place of lost ones.
    replaced_records,
    /// Losses that the tail of the reader that stands alone told.
    truncations,
    /// Reports that came before the tail's own copy.
    report_first,
    /// Reports that came behind it.
    copy_first,
    /// Reports that were held back until the log was read.
    held,
    /// And that were given up, as it was not read in time.
    held_too_long,
    /// Reports that took a second or more.
    late_reports,
    /// Reports that came before that of an older append of the same node to another partition.
    overtaken,
    /// Appends whose outcome was unknown, and which were there in the end.
    unknown_there,
    /// And which never came.
    unknown_never,
    /// Times that the store fell back.
    rollbacks,
    /// Times that a connection had room again for who waited for it.
    resumed,
    /// Connections that were closed as slow.
    slow_closed,
    /// Reads of the journal that failed.
    unreadable,
    /// Records that a producer wrote once more.
    repeated,
    /// Times that the journal was trimmed.
    trims,
    /// Whole restores.
    restores,
    /// Appends that were there after all when a disk had failed, or a part of them.
    torn,
    /// Partitions that halted before a record of a newer program.
    halts,
    /// Nodes that were replaced by a newer program.
    replaced,
    /// Version barriers that a newer program appended.
    versions,
    /// Owners and projectors of the old program that halted before one.
    outdated,
    /// Rows of a projector that had decided otherwise.
    divergences,
    /// Connections that were closed by a ban.
    banned,
    /// Simulated milliseconds.
    ms,
}

impl Stats {
    /// A fault happens.
    pub(crate) fn note(&mut self, fault: Fault) {
        if let Some(place) = Fault::ALL.iter().position(|other| *other == fault) {
            self.faults[place] += 1;
        }
    }

    fn all(&self) -> impl Iterator<Item = (String, u64)> {
        let faults = Fault::ALL.iter().zip(self.faults).map(|(fault, count)| (format!("{fault:?}"), count));
        self.counts().into_iter().map(|(name, count)| (name.to_owned(), count)).chain(faults)
    }

    /// Names of what did not happen.
    #[must_use]
    pub(crate) fn never(&self) -> Vec<String> {
        self.all().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
    }
}

impl fmt::Display for Stats {
    /// Lines of what happened, and how often.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.all().map(|(name, count)| format!("{name} {count}")).collect();
        all.chunks(6).try_for_each(|line| writeln!(f, "  {}", line.join(", ")))
    }
}
