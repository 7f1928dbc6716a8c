//! On real brokers, started for this.

mod cut;
mod errors;
mod failures;
mod held;
mod load;
mod marks;
mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kervan_devcluster::kafka::Brokers;

use super::{KafkaJournal, Options, topics};
use crate::env::Env;
use crate::storage::journal::contract::{self, Fixture};

/// Three brokers, and as many topics as are wanted.
struct Cluster {
    brokers: Brokers,
    made: AtomicUsize,
    _folder: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let brokers = tokio::task::spawn_blocking(move || Brokers::start(&path, None)).await.unwrap().unwrap();
        Self { brokers, made: AtomicUsize::new(0), _folder: folder }
    }

    /// A topic of its own for a journal.
    async fn topic(&self) -> Options {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let options = Options {
            brokers: self.brokers.addresses(),
            topic: format!("journal-{number}"),
            control_topic: format!("control-{number}"),
            producers: 4,
        };
        topics::create(&options).await.unwrap();
        options
    }
}

async fn open(options: &Options) -> Arc<KafkaJournal> {
    let options = options.clone();
    let opened = tokio::task::spawn_blocking(move || KafkaJournal::open(options, Env::system())).await.unwrap();
    Arc::new(opened.unwrap())
}

async fn fixture(options: &Options) -> Fixture {
    let journal = open(options).await;
    let (trims, runtime) = (journal.maintenance(), tokio::runtime::Handle::current());
    Fixture {
        journal,
        trim: Box::new(move |starts| tokio::task::block_in_place(|| runtime.block_on(trims.trim(starts)))),
        has_one_time: false,
        keep: Box::new(()),
    }
}

macro_rules! contract_on_kafka {
    ($($check:ident)*) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "starts brokers: `scripts/test` runs it in a stage of its own"]
        async fn the_contract_holds_on_kafka() {
            let cluster = Cluster::start().await;
            let options = cluster.topic().await;
            topics::check(&options).await.unwrap();
            $(
                eprintln!(stringify!($check));
                let one = fixture(&options).await;
                contract::$check(&one).await;
            )*
            eprintln!("two writers");
            writers::see_each_others_records_once_and_their_reports_are_honest(&cluster.topic().await).await;
            eprintln!("a calm reader");
            writers::what_another_one_writes_is_told_in_time_though_it_is_read_calmly(&cluster.topic().await).await;
            eprintln!("a trim");
            marks::a_trim_keeps_what_is_young_or_not_covered_and_the_last_record_that_is(&cluster.topic().await).await;
            eprintln!("identity");
            let (one, other) = (open(&options).await, open(&options).await);
            assert_eq!(one.maintenance().id(), other.maintenance().id(), "whoever opens it finds the same journal");
            assert_ne!(one.maintenance().id(), open(&cluster.topic().await).await.maintenance().id());
        }
    };
}
crate::journal_contract!(@list contract_on_kafka);
