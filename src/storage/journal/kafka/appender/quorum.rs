//! What librdkafka can't ask a broker for an operator: what it is able to, what all brokers have agreed on, and which controller
//! leads.

use std::time::Duration;

use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, DescribeQuorumRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::connection::{AskError, BrokerConnection, ToBroker};

/// The feature that says which release's metadata are in use.
const METADATA: &str = "metadata.version";
/// The controllers' own topic, of one partition.
const QUORUM: &str = "__cluster_metadata";

/// The level of metadata that a broker knows, and the one in use. Kafka does not tell its release; these follow it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MetadataLevels {
    /// The highest that the broker knows.
    pub knows: i16,
    /// The one that the whole cluster follows; 0 if there is none.
    pub follows: i16,
}

/// The controllers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControllerQuorum {
    /// The one that leads.
    pub leader: i32,
    /// How often there was another one, about.
    pub epoch: i32,
    /// Each that has a vote, and how many records it lacks of what the leader has.
    pub voters: Vec<(i32, i64)>,
}

/// Asks a broker what it knows and follows.
pub(in super::super) async fn levels(address: &str, patience: Duration) -> Result<MetadataLevels, String> {
    let question = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str(env!("CARGO_PKG_NAME")))
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
    levels_of(&ask(address, &question, 3, patience).await?)
}

fn levels_of(answer: &ApiVersionsResponse) -> Result<MetadataLevels, String> {
    let knows = answer.supported_features.iter().find(|feature| feature.name.as_str() == METADATA);
    let follows = answer.finalized_features.iter().find(|feature| feature.name.as_str() == METADATA);
    let knows = knows.ok_or_else(|| format!("it does not know {METADATA}"))?;
    Ok(MetadataLevels { knows: knows.max_version, follows: follows.map_or(0, |feature| feature.max_version_level) })
}

/// Asks a broker, which passes it on, which controller leads, and how far the others are.
pub(in super::super) async fn controllers(address: &str, patience: Duration) -> Result<ControllerQuorum, String> {
    let topic = TopicData::default()
        .with_topic_name(TopicName(StrBytes::from_static_str(QUORUM)))
        .with_partitions(vec![PartitionData::default()]);
    let answer = ask(address, &DescribeQuorumRequest::default().with_topics(vec![topic]), 0, patience).await?;
    let found = answer.topics.first().and_then(|topic| topic.partitions.first());
    let found = found.filter(|found| answer.error_code == 0 && found.error_code == 0 && found.leader_id.0 >= 0);
    let found = found.ok_or_else(|| "no controller leads, or the broker may not say which".to_owned())?;
    let end =
        |of: i32| found.current_voters.iter().find(|voter| voter.replica_id.0 == of).map(|one| one.log_end_offset);
    let last = end(found.leader_id.0).unwrap_or(found.high_watermark);
    let lag = |voter: i64| last.saturating_sub(voter.max(0));
    let mut voters: Vec<_> =
        found.current_voters.iter().map(|voter| (voter.replica_id.0, lag(voter.log_end_offset))).collect();
    voters.sort_unstable();
    Ok(ControllerQuorum { leader: found.leader_id.0, epoch: found.leader_epoch, voters })
}

async fn ask<R: ToBroker>(address: &str, question: &R, oldest: i16, patience: Duration) -> Result<R::Answer, String> {
    let mut connection = BrokerConnection::to(address.to_owned());
    let asking = connection.ask(question, oldest..=R::NEWEST);
    match tokio::time::timeout(patience, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(AskError::NotSent(why) | AskError::Unanswered(why))) => Err(why),
        Err(_) => Err(format!("no answer within {patience:?}")),
    }
}

impl MetadataLevels {
    /// The release that a level of metadata came with, if this program has heard of it.
    #[must_use]
    pub fn release(level: i16) -> Option<&'static str> {
        // `MetadataVersion` of Kafka's sources.
        Some(match level {
            1 => "3.0",
            2 => "3.1",
            3 => "3.2",
            4..=7 => "3.3",
            8 => "3.4",
            9..=11 => "3.5",
            12..=14 => "3.6",
            15..=19 => "3.7",
            20 => "3.8",
            21 => "3.9",
            22..=25 => "4.0",
            26..=27 => "4.1",
            28..=29 => "4.2",
            30 => "4.3",
            31..=33 => "4.4",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey};

    use super::*;

    #[test]
    fn a_broker_tells_what_it_knows_and_what_all_follow() {
        let name = || StrBytes::from_static_str(METADATA);
        let supported = SupportedFeatureKey::default().with_name(name()).with_min_version(7).with_max_version(31);
        let other = SupportedFeatureKey::default().with_name(StrBytes::from_static_str("kraft.version"));
        let answer = ApiVersionsResponse::default().with_supported_features(vec![other.clone(), supported]);
        assert_eq!(levels_of(&answer), Ok(MetadataLevels { knows: 31, follows: 0 }));
        let finalized = FinalizedFeatureKey::default().with_name(name()).with_max_version_level(27);
        let all = levels_of(&answer.with_finalized_features(vec![finalized])).unwrap();
        assert_eq!(all, MetadataLevels { knows: 31, follows: 27 });
        assert_eq!([all.knows, all.follows, 99].map(MetadataLevels::release), [Some("4.4"), Some("4.1"), None]);
        assert!(levels_of(&ApiVersionsResponse::default().with_supported_features(vec![other])).is_err());
    }
}
