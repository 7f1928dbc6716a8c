//! What each broker says of itself, for whoever looks whether the journal is in good hands. Nothing is changed.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminOptions, ResourceSpecifier};
use rdkafka::consumer::Consumer;

pub use super::appender::quorum::{ControllerQuorum, MetadataLevels};
use super::appender::quorum::{controllers, levels};
use super::reader::client;
use super::settings::Options;
use super::topics::{REPLICAS, admin};
use super::{ASK, error};
use crate::storage::journal::JournalError;

/// How long one that is away is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// The brokers, and what they have of the topics.
#[derive(Clone, Debug)]
pub struct BrokersFound {
    /// Those that are registered, by id.
    pub brokers: Vec<BrokerFound>,
    /// Addresses of the configuration at which nobody listens, with why.
    pub silent: Vec<(String, String)>,
    /// The controllers as one of the brokers tells it, or why none does.
    pub controllers: Result<ControllerQuorum, String>,
    /// Partitions of our topics that have fewer copies in sync than they must have, or no leader.
    pub lacking: usize,
}

/// A broker that is registered.
#[derive(Clone, Debug)]
pub struct BrokerFound {
    /// Its number.
    pub id: i32,
    /// Where clients find it.
    pub address: String,
    /// How many partitions of our topics it leads.
    pub leads: usize,
    /// What it says, or why it does not.
    pub answer: Result<BrokerAnswer, String>,
}

/// What a broker says.
#[derive(Clone, Debug)]
pub struct BrokerAnswer {
    /// `process.roles`: "broker", or "broker,controller".
    pub roles: String,
    /// What it knows and follows, or why it does not say.
    pub levels: Result<MetadataLevels, String>,
    /// How long it took.
    pub round_trip: Duration,
}

/// Asks each of them.
///
/// # Errors
/// None of them answers.
pub async fn look(options: &Options) -> Result<BrokersFound, JournalError> {
    let asked = options.clone();
    let found = tokio::task::spawn_blocking(move || registered(&asked)).await;
    let mut found = found.map_err(|panic| JournalError::Io(panic.to_string()))??;
    let admin = admin(options)?;
    let patience = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    for broker in &mut found.brokers {
        let begun = Instant::now();
        let told = admin.describe_configs(&[ResourceSpecifier::Broker(broker.id)], &patience).await;
        let told = told.map_err(|why| why.to_string()).and_then(|told| {
            told.into_iter().next().ok_or_else(|| "it says nothing".to_owned())?.map_err(|why| why.to_string())
        });
        let round_trip = begun.elapsed();
        broker.answer = match told {
            Ok(told) => Ok(BrokerAnswer {
                roles: told.get("process.roles").and_then(|entry| entry.value.clone()).unwrap_or_default(),
                levels: levels(&broker.address, PATIENCE).await,
                round_trip,
            }),
            Err(why) => Err(why),
        };
        if found.controllers.is_err() && broker.answer.is_ok() {
            found.controllers = controllers(&broker.address, PATIENCE).await;
        }
    }
    Ok(found)
}

fn registered(options: &Options) -> Result<BrokersFound, JournalError> {
    let metadata = client(options)?.fetch_metadata(None, ASK).map_err(|why| error(&why))?;
    let names = options.topics().map(|topic| topic.name);
    let ours = metadata.topics().iter().filter(|topic| names.contains(&topic.name()));
    let partitions: Vec<_> = ours.flat_map(|topic| topic.partitions()).collect();
    let mut brokers: Vec<BrokerFound> = metadata
        .brokers()
        .iter()
        .map(|broker| BrokerFound {
            id: broker.id(),
            address: format!("{}:{}", broker.host(), broker.port()),
            leads: partitions.iter().filter(|partition| partition.leader() == broker.id()).count(),
            answer: Err("it was not asked".to_owned()),
        })
        .collect();
    brokers.sort_by_key(|broker| broker.id);
    let lacks = |isr: &[i32], leader: i32| isr.len() < REPLICAS as usize || leader < 0;
    let lacking = partitions.iter().filter(|partition| lacks(partition.isr(), partition.leader())).count();
    let configured = options.brokers.split(',').map(str::trim);
    let unknown = configured.filter(|address| !brokers.iter().any(|broker| broker.address == *address));
    // By another name it may be one of those that are registered.
    let silent = unknown.filter_map(|address| Some((address.to_owned(), deaf(address)?))).collect();
    Ok(BrokersFound { brokers, silent, controllers: Err("no broker answers".to_owned()), lacking })
}

/// Why nobody listens at an address; `None` if somebody does.
fn deaf(address: &str) -> Option<String> {
    let mut places = match address.to_socket_addrs() {
        Ok(places) => places,
        Err(why) => return Some(why.to_string()),
    };
    let mut last = "it is no address".to_owned();
    places
        .all(|place| TcpStream::connect_timeout(&place, PATIENCE).map_err(|why| last = why.to_string()).is_err())
        .then_some(last)
}
