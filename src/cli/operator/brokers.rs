//! What `kervan doctor` says of Kafka: its brokers, its topics, the newest backup that is marked.

use std::time::Duration;

use crate::config::{Config, Loaded};
use crate::env::Env;
use crate::storage::journal::JournalError;
use crate::storage::journal::kafka::brokers::{
    BrokerAnswer, BrokerFound, BrokersFound, ControllerQuorum, MetadataLevels,
};
use crate::storage::journal::kafka::marks::{Marked, marked};
use crate::storage::journal::kafka::topics::{Topic, TopicState};
use crate::storage::journal::kafka::{Options, brokers, topics};

use super::doctor::{Line, Verdict, line};

/// The age that the newest backup may come to if no retention says it.
const BACKUP_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Lines for what is configured, whether a server runs or not; none without Kafka.
pub(super) fn lines(loaded: &Loaded) -> Vec<Line> {
    let Some(options) = Options::of(&loaded.config.journal) else { return Vec::new() };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![line("broker", Verdict::Fail, error.to_string())],
    };
    runtime.block_on(async {
        let found = match brokers::look(&options).await {
            Ok(found) => found,
            // Nothing else can be asked.
            Err(error) => return vec![line("broker", Verdict::Fail, format!("{error}; {}", loaded.about_brokers()))],
        };
        let mut lines = of_brokers(&found);
        for topic in options.topics() {
            lines.push(of_topic(&topic, topics::look(&options, &topic).await));
        }
        let asked = options.clone();
        let marks = tokio::task::spawn_blocking(move || marked(&asked)).await;
        let marks = marks.unwrap_or_else(|panic| Err(JournalError::Io(panic.to_string())));
        lines.push(of_marks(&loaded.config, marks));
        lines
    })
}

fn of_brokers(found: &BrokersFound) -> Vec<Line> {
    let mut lines: Vec<Line> = found.brokers.iter().map(of_broker).collect();
    // The others go on without it.
    let silent = found.silent.iter().map(|(address, why)| line("broker", Verdict::Warn, format!("{address}: {why}")));
    lines.extend(silent);
    lines.push(of_controllers(&found.controllers));
    if found.lacking > 0 {
        let says = format!("{} partitions have fewer copies in sync than they must have", found.lacking);
        lines.push(line("copies", Verdict::Warn, says));
    }
    lines
}

fn of_broker(broker: &BrokerFound) -> Line {
    let BrokerFound { id, address, leads, answer } = broker;
    match answer {
        Ok(answer) => {
            let BrokerAnswer { roles, levels, round_trip } = answer;
            let levels = levels.as_ref().map_or_else(|why| format!("its release can't be told: {why}"), told_levels);
            let says =
                format!("{id} at {address} ({roles}), {levels}, leads {leads} partitions, answers in {round_trip:.1?}");
            line("broker", Verdict::Ok, says)
        }
        Err(why) => line("broker", Verdict::Warn, format!("{id} at {address}: {why}")),
    }
}

/// "Kafka 4.4 (metadata 33, all follow 4.1's 27)".
fn told_levels(MetadataLevels { knows, follows }: &MetadataLevels) -> String {
    let release = |level: i16| MetadataLevels::release(level).unwrap_or("of a release unknown here");
    let all = match *follows {
        0 => String::new(),
        follows if follows == *knows => ", as all follow".to_owned(),
        follows => format!(", all follow {follows} of {}", release(follows)),
    };
    format!("Kafka {} (metadata {knows}{all})", release(*knows))
}

fn of_controllers(found: &Result<ControllerQuorum, String>) -> Line {
    const WHAT: &str = "controller";
    /// Records that a voter may lack: what comes in while it is asked.
    const NEAR: i64 = 100;
    match found {
        Err(why) => line(WHAT, Verdict::Warn, why.clone()),
        Ok(ControllerQuorum { leader, epoch, voters }) => {
            let behind: Vec<_> = voters.iter().filter(|(_, lag)| *lag > NEAR).collect();
            let late = behind.iter().map(|(id, lag)| format!("; {id} lacks {lag} records")).collect::<String>();
            let says = format!("{leader} leads {} of them (epoch {epoch}){late}", voters.len());
            // One that is away costs nothing yet: most have to be there.
            line(WHAT, if behind.is_empty() { Verdict::Ok } else { Verdict::Warn }, says)
        }
    }
}

fn of_topic(topic: &Topic<'_>, found: Result<Option<TopicState>, JournalError>) -> Line {
    let name = topic.name;
    match found {
        Err(error) => line("topic", Verdict::Fail, format!("{name}: {error}")),
        Ok(None) => line("topic", Verdict::Fail, format!("{name} is not there: `kervan topics create` makes it")),
        Ok(Some(found)) if !found.wrong.is_empty() => {
            line("topic", Verdict::Fail, format!("{name}: {}", found.wrong.join("; ")))
        }
        Ok(Some(found)) => {
            let says =
                format!("{name}, {} partitions, {} copies each, set as it must be", found.partitions, found.replicas);
            line("topic", Verdict::Ok, says)
        }
    }
}

fn of_marks(config: &Config, found: Result<Marked, JournalError>) -> Line {
    const WHAT: &str = "backup";
    let keep = config.data.journal_retention;
    let Marked { marks, bounds } = match found {
        Ok(found) => found,
        Err(error) => return line(WHAT, Verdict::Warn, format!("what is marked can't be told: {error}")),
    };
    let Some(newest) = marks.last() else {
        let says = "none is marked (`kervan backup mark`): the journal is kept whole";
        let is_wanted = !keep.is_zero() || config.server.production;
        return line(WHAT, if is_wanted { Verdict::Warn } else { Verdict::Ok }, says);
    };
    let age = Duration::from_millis(Env::system().now().since(newest.marked_at));
    let says =
        format!("{}, marked {} hours ago, lacks {} records", newest.name, age.as_secs() / 3_600, newest.lag(&bounds));
    if let Err(why) = newest.fits(&bounds) {
        return line(WHAT, Verdict::Fail, format!("{says}; {why}"));
    }
    let most = if keep.is_zero() { BACKUP_AGE } else { keep / 2 };
    line(WHAT, if age > most { Verdict::Warn } else { Verdict::Ok }, says)
}

#[cfg(test)]
mod tests {
    use crate::ids::{Offset, Timestamp};
    use crate::storage::journal::Bounds;
    use crate::storage::journal::marks::BackupMark;

    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    /// A log of ten records in each partition from `start` on, and a mark in its middle that is so old.
    fn log(start: u64, hours: u64) -> Marked {
        let mark = BackupMark {
            id: uuid::Uuid::nil(),
            name: "monday".to_owned(),
            marked_at: Timestamp(Env::system().now().0 - hours * HOUR_MS - HOUR_MS / 2),
            reaches: Timestamp(1),
            watermarks: vec![Offset(5); 256],
        };
        Marked { marks: vec![mark], bounds: vec![Bounds { start: Offset(start), end: Offset(10) }; 256] }
    }

    fn said(keep_hours: u64, found: Marked) -> (Verdict, String) {
        let mut config = Config::default();
        config.data.journal_retention = Duration::from_secs(keep_hours * 3_600);
        let Line { verdict, says, .. } = of_marks(&config, Ok(found));
        (verdict, says)
    }

    #[test]
    fn the_controller_that_leads_is_told_and_those_that_lag_behind() {
        let quorum = |lag| ControllerQuorum { leader: 2, epoch: 7, voters: vec![(1, 3), (2, 0), (3, lag)] };
        let Line { verdict, says, .. } = of_controllers(&Ok(quorum(0)));
        assert_eq!((verdict, says.as_str()), (Verdict::Ok, "2 leads 3 of them (epoch 7)"));
        let Line { verdict, says, .. } = of_controllers(&Ok(quorum(4_000)));
        assert_eq!((verdict, says.as_str()), (Verdict::Warn, "2 leads 3 of them (epoch 7); 3 lacks 4000 records"));
    }

    #[test]
    fn the_release_of_a_broker_is_told_and_what_all_follow() {
        let said = |knows, follows| told_levels(&MetadataLevels { knows, follows });
        assert_eq!(said(33, 33), "Kafka 4.4 (metadata 33, as all follow)");
        assert_eq!(said(33, 27), "Kafka 4.4 (metadata 33, all follow 27 of 4.1)");
        assert_eq!(said(99, 0), "Kafka of a release unknown here (metadata 99)");
    }

    #[test]
    fn the_newest_backup_is_to_be_there_young_enough_and_inside_the_log() {
        let none = || Marked { marks: Vec::new(), ..log(0, 0) };
        assert_eq!((said(0, none()).0, said(24, none()).0), (Verdict::Ok, Verdict::Warn));
        let (verdict, says) = said(24, log(0, 11));
        assert_eq!((verdict, says.as_str()), (Verdict::Ok, "monday, marked 11 hours ago, lacks 1280 records"));
        assert_eq!((said(24, log(0, 12)).0, said(0, log(0, 12)).0), (Verdict::Warn, Verdict::Ok));
        let (verdict, says) = said(24, log(6, 1));
        assert!(verdict == Verdict::Fail && says.contains("it is too old") && says.contains("begins at 6"), "{says}");
    }

    #[test]
    fn a_broker_that_is_away_is_a_warning_and_a_topic_that_does_not_fit_is_wrong() {
        let broker = |answer| BrokerFound { id: 2, address: "b:9092".to_owned(), leads: 86, answer };
        let found = BrokersFound {
            brokers: vec![broker(Err("timed out".to_owned()))],
            silent: vec![("c:9092".to_owned(), "refused".to_owned())],
            controllers: Err("no broker answers".to_owned()),
            lacking: 3,
        };
        let lines = of_brokers(&found);
        assert!(lines.iter().all(|line| line.verdict == Verdict::Warn));
        let says: Vec<_> = lines.iter().map(|line| line.says.as_str()).collect();
        assert_eq!(says[..2], ["2 at b:9092: timed out", "c:9092: refused"]);
        assert_eq!(says[2], "no broker answers");
        assert!(says[3].starts_with("3 partitions"));
        let topic = Topic { name: "kervan.journal", holds: "the journal", partitions: 256 };
        let state = |wrong: &[&str]| TopicState {
            partitions: 256,
            replicas: 3,
            wrong: wrong.iter().map(|wrong| (*wrong).to_owned()).collect(),
        };
        let verdicts = [Ok(None), Ok(Some(state(&["retention.ms is 5"]))), Ok(Some(state(&[])))]
            .map(|found| of_topic(&topic, found).verdict);
        assert_eq!(verdicts, [Verdict::Fail, Verdict::Fail, Verdict::Ok]);
    }
}
