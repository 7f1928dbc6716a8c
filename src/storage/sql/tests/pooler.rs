//! What is between us and a PostgreSQL, or comes to be there: a pooler, another server behind the same address.

use super::*;
use crate::config::Store as Settings;
use crate::storage::sql::support::pooler::Pooler;

fn pooled() -> Settings {
    Settings { pooler: true, ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_contract_holds_behind_a_pooler() {
    let postgres = Postgres::start().await;
    let pooler = Pooler::start(&postgres);
    let mut broken = Vec::new();
    for (name, check) in contract::CHECKS {
        let database = pooler.to(&postgres.fresh().await);
        let store = SqlStore::new(Connections::with(&database, &pooled()).await.unwrap());
        broken.extend(failed(name, check(&store)).await);
        store.close().await;
    }
    let suites = [CHECKS, accounts::CHECKS, uploads::CHECKS, notifications::CHECKS, analytics::CHECKS];
    for (name, check) in suites.into_iter().flatten() {
        let database = pooler.to(&postgres.fresh().await);
        let connections = Connections::with(&database, &pooled()).await.unwrap();
        broken.extend(failed(name, check(&connections)).await);
        connections.close().await;
    }
    assert!(broken.is_empty(), "broken behind pgbouncer: {broken:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_is_not_changed_through_a_pooler() {
    let postgres = Postgres::start().await;
    let pooler = Pooler::start(&postgres);
    let refused = Connections::with(&pooler.to(&postgres.empty().await), &pooled()).await.err().unwrap();
    assert!(matches!(&refused, StoreError::Incompatible(why) if why.contains("kervan migrate")), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_the_server_forgot_is_prepared_anew() {
    let postgres = Postgres::start().await;
    let one = Settings { client_connections: 1, ..Settings::default() };
    let connections = Connections::with(&postgres.fresh().await, &one).await.unwrap();
    let clients = connections.clients();
    let look = async || clients.list(NOTES, |_| (), |c| c.text()).await;
    look().await.unwrap();
    clients.execute("DEALLOCATE ALL", |_| ()).await.unwrap();
    let forgotten = look().await.unwrap_err();
    assert!(forgotten.is_retryable() && forgotten.to_string().contains("26000"), "{forgotten}");
    look().await.unwrap();

    // The columns of a table change under a plan.
    const CHATS: &str = "SELECT * FROM meta";
    clients.list(CHATS, |_| (), |c| c.text()).await.unwrap();
    connections.direct().execute("ALTER TABLE meta ADD COLUMN more integer", |_| ()).await.unwrap();
    let changed = clients.list(CHATS, |_| (), |c| c.text()).await.unwrap_err();
    assert!(changed.is_retryable() && changed.to_string().contains("cached plan"), "{changed}");
    clients.list(CHATS, |_| (), |c| c.text()).await.unwrap();
}
