//! A real Redis Cluster: what it holds outlives its nodes, one by one and all together.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use kervan_devcluster::Engine as _;
use kervan_devcluster::ports::Port;
use kervan_devcluster::redis::{COUNT, Cluster};

fn keys() -> impl Iterator<Item = String> {
    (0..20).map(|number| format!("key{number}"))
}

#[test]
fn a_cluster_keeps_what_it_holds_when_nodes_die_and_when_it_is_started_again_at_other_ports() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(dir.path(), None).unwrap();
    let roles: Vec<_> = (1..=COUNT).map(|number| cluster.ask(number, &["role"]).unwrap()).collect();
    assert_eq!(roles.iter().filter(|role| role.starts_with("master")).count(), 3, "{roles:?}");
    assert_eq!(cluster.ask(1, &["config", "get", "maxmemory-policy"]).unwrap(), "maxmemory-policy\nallkeys-lru\n");
    for key in keys() {
        assert_eq!(cluster.ask(1, &["set", &key, "kept"]).unwrap(), "OK\n", "{key}");
    }

    cluster.kill(2).unwrap();
    assert!(!cluster.runs(2).unwrap());
    cluster.start_again(2).unwrap();
    for key in keys() {
        assert_eq!(cluster.ask(1, &["get", &key]).unwrap(), "kept\n", "{key}");
    }

    assert!(cluster.stop().unwrap());
    let ports: Vec<_> = (1..=COUNT).map(|number| cluster.port(number)).collect();
    drop(cluster);
    let taken: Vec<_> = ports.into_iter().map(|port| Port::exactly(port).unwrap()).collect();
    let cluster = Cluster::start(dir.path(), None).unwrap();
    assert!(taken.iter().all(|port| port.number() != cluster.port(1)));
    for key in keys() {
        assert_eq!(cluster.ask(6, &["get", &key]).unwrap(), "kept\n", "{key}");
    }
}
