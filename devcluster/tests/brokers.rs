//! Three real brokers: they start, one dies and comes back, they go on with what they had, and they end with what started them.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::path::Path;

use kervan_devcluster::kafka::Brokers;
use kervan_devcluster::{Engine as _, ports};

fn starts(log: &Path) -> usize {
    std::fs::read_to_string(log).unwrap().matches("Kafka Server started").count()
}

fn formats(log: &Path) -> usize {
    std::fs::read_to_string(log).unwrap().matches("Formatting").count()
}

fn process_exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn brokers_start_die_come_back_and_end_with_their_owner() {
    let dir = tempfile::tempdir().unwrap();
    let mut brokers = Brokers::start(dir.path(), None).unwrap();
    let pids = [1, 2, 3].map(|number| brokers.pid(number));
    for number in 1..=3 {
        assert!(brokers.addresses().contains(&format!("127.0.0.1:{}", brokers.port(number))));
        assert!(ports::answers(brokers.port(number)).unwrap());
        assert_eq!(starts(brokers.log(number)), 1);
    }

    brokers.kill(2).unwrap();
    assert!(!brokers.runs(2).unwrap() && brokers.runs(1).unwrap());
    assert!(!ports::answers(brokers.port(2)).unwrap());
    assert!(brokers.start_again(1).unwrap_err().to_string().contains("server 1 runs"));
    brokers.start_again(2).unwrap();
    assert!(ports::answers(brokers.port(2)).unwrap());
    assert_ne!(brokers.pid(2), pids[1]);
    assert_eq!(starts(brokers.log(2)), 2);

    brokers.kill(3).unwrap();
    brokers.lose_disk(3).unwrap();
    brokers.start_again(3).unwrap();
    assert_eq!(formats(brokers.log(3)), 2, "it has a new disk");

    let pids = [1, 2, 3].map(|number| brokers.pid(number));
    let ports = [1, 2, 3].map(|number| brokers.port(number));
    drop(brokers);
    assert!(!pids.into_iter().any(process_exists), "they are killed and waited for");

    // Other ports, as the old ones are taken, and the same folder.
    let taken = ports.map(|port| ports::Port::exactly(port).unwrap());
    let brokers = Brokers::start(dir.path(), None).unwrap();
    for number in 1..=3 {
        assert!(taken.iter().all(|port| port.number() != brokers.port(number)));
        let formatted = if number == 3 { 2 } else { 1 };
        assert_eq!(formats(brokers.log(number)), formatted, "it goes on with what is there");
    }
}
