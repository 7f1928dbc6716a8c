//! On real brokers, started for this.

mod cut;
mod errors;
mod failures;
mod held;
mod load;
mod marks;
mod membership;
mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kervan_devcluster::Engine as _;
use kervan_devcluster::kafka::Brokers;

use super::{KafkaJournal, Options, brokers, topics};
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

/// What the doctor asks, with all of them and without one.
async fn each_broker_says_how_it_is(mut cluster: Cluster) {
    let options = cluster.topic().await;
    let found = brokers::look(&options).await.unwrap();
    let ids: Vec<i32> = found.brokers.iter().map(|broker| broker.id).collect();
    assert_eq!((ids, found.silent.len(), found.lacking), (vec![1, 2, 3], 0, 0));
    assert_eq!(
        found.brokers.iter().map(|broker| broker.leads).sum::<usize>(),
        257,
        "of the journal and its control topic"
    );
    assert!(found.brokers.iter().all(|broker| options.brokers.contains(&broker.address)), "{found:?}");
    assert!(
        found.brokers.iter().all(|broker| broker.answer.as_ref().unwrap().roles.contains("controller")),
        "{found:?}"
    );
    for broker in &found.brokers {
        let levels = broker.answer.as_ref().unwrap().levels.clone().unwrap();
        assert_eq!((brokers::MetadataLevels::release(levels.knows), levels.follows), (Some("4.4"), levels.knows));
    }
    let controllers = found.controllers.as_ref().unwrap();
    let voters: Vec<i32> = controllers.voters.iter().map(|(id, _)| *id).collect();
    assert!(voters == [1, 2, 3] && voters.contains(&controllers.leader), "{controllers:?}");
    let gone = options.brokers.split(',').next().unwrap();
    tokio::task::block_in_place(|| cluster.brokers.kill(1)).unwrap();
    let found = crate::testing::found("it is missed", async || {
        let found = brokers::look(&options).await.ok()?;
        let leads = found.controllers.as_ref().ok().map(|controllers| controllers.leader)?;
        (found.brokers.len() == 2 && leads != 1).then_some(found)
    });
    let found = found.await;
    assert!(found.silent.len() == 1 && found.silent[0].0 == gone && found.lacking == 257, "{found:?}");
    assert!(found.brokers.iter().all(|broker| broker.answer.is_ok()), "{found:?}");
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
            eprintln!("brokers");
            each_broker_says_how_it_is(cluster).await;
        }
    };
}
crate::journal_contract!(@list contract_on_kafka);
