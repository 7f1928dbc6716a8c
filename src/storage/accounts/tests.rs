//! The rows of accounts, in a real file.

use tempfile::TempDir;

use super::*;
use crate::storage::store::sqlite::{SqliteStore, url_of};

async fn fresh() -> (SqliteAccounts, SqliteStore, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let url = url_of(&dir.path().join("kervan.db")).unwrap();
    let store = SqliteStore::open(&url).await.unwrap();
    (SqliteAccounts::open(&url).unwrap(), store, dir)
}

fn account(id: &str, username: &str) -> Account {
    Account {
        id: UserId::new(id).unwrap(),
        username: username.to_owned(),
        email: Some(format!("{username}@example.com")),
        first_name: "Ada".to_owned(),
        last_name: format!("Of {username}"),
        avatar_url: String::new(),
        created_at: Timestamp(7),
        banned_at: None,
    }
}

#[tokio::test]
async fn names_and_addresses_are_unique() {
    let (accounts, _store, _dir) = fresh().await;
    accounts.create(&account("1", "ada"), Some("hash")).await.unwrap();
    assert_eq!(accounts.by_login("ada").await.unwrap().unwrap(), (account("1", "ada"), Some("hash".to_owned())));
    assert_eq!(accounts.by_login("ada@example.com").await.unwrap().unwrap().0.id.as_str(), "1");
    let same = Account { email: None, ..account("2", "ada") };
    assert_eq!(accounts.create(&same, None).await, Err(AccountError::UsernameTaken));
    let other = Account { email: Some("ada@example.com".to_owned()), ..account("2", "eve") };
    assert_eq!(accounts.create(&other, None).await, Err(AccountError::EmailTaken));
    assert_eq!(
        accounts.create(&account("1", "eve"), None).await,
        Err(AccountError::UsernameTaken),
        "it has an account"
    );
}

#[tokio::test]
async fn users_are_found_by_the_start_of_a_name() {
    let (accounts, _store, _dir) = fresh().await;
    for (id, name) in [("1", "ada"), ("2", "adam"), ("3", "bob")] {
        accounts.create(&account(id, name), None).await.unwrap();
    }
    let found = async |start: &str, limit| {
        let found = accounts.find(start, limit).await.unwrap();
        found.iter().map(|account| account.username.clone()).collect::<Vec<_>>()
    };
    assert_eq!(found("ada", 10).await, ["ada", "adam", "bob"], "bob's name begins with it");
    assert_eq!(found("adam", 10).await, ["adam"]);
    assert_eq!(found("ada", 1).await, ["ada"]);
    assert!(found("%", 10).await.is_empty(), "no pattern");
}

#[tokio::test]
async fn a_secret_is_exchanged_once() {
    let (accounts, _store, _dir) = fresh().await;
    let first = SignIn {
        id: Uuid::from_u128(1),
        user: UserId::new("1").unwrap(),
        refresh: [1; 32],
        previous: None,
        rotated_at: Timestamp(1),
        created_at: Timestamp(1),
        expires_at: Timestamp(100),
        revoked_at: None,
        salt: [3; 16],
        agent: "tests".to_owned(),
    };
    accounts.add_sign_in(&first).await.unwrap();
    let next = SignIn { refresh: [2; 32], previous: Some([1; 32]), rotated_at: Timestamp(5), ..first.clone() };
    assert!(accounts.rotate(first.id, &[1; 32], &next).await.unwrap());
    assert!(!accounts.rotate(first.id, &[1; 32], &next).await.unwrap(), "the old one counts no more");
    assert_eq!(accounts.sign_in(first.id).await.unwrap().unwrap(), next);
    accounts.revoke(first.id, Timestamp(9)).await.unwrap();
    assert!(!accounts.rotate(first.id, &[2; 32], &next).await.unwrap());
    assert!(accounts.sign_ins(&first.user, Timestamp(9)).await.unwrap().is_empty());
    assert_eq!(accounts.refusals(Timestamp(8)).await.unwrap().sign_ins, [(first.id, Timestamp(9))]);
    assert_eq!(accounts.sweep(Timestamp(101)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_ban_needs_no_account() {
    let (accounts, _store, _dir) = fresh().await;
    let user = UserId::new("of a back end").unwrap();
    accounts.set_ban(&user, true, Timestamp(5)).await.unwrap();
    assert_eq!(accounts.refusals(Timestamp::ZERO).await.unwrap().banned, std::slice::from_ref(&user));
    accounts.set_ban(&user, false, Timestamp(6)).await.unwrap();
    assert!(accounts.refusals(Timestamp::ZERO).await.unwrap().banned.is_empty());
    accounts.set_tokens_from(&user, Timestamp(8)).await.unwrap();
    assert_eq!(accounts.refusals(Timestamp::ZERO).await.unwrap().tokens_from, [(user, Timestamp(8))]);
}

#[tokio::test]
async fn every_statement_finds_its_rows_by_an_index_and_sorts_nothing() {
    let (accounts, _store, _dir) = fresh().await;
    for text in sql::ALL {
        let plan = accounts.plan(text).await;
        let bad =
            |line: &String| (line.starts_with("SCAN") && !line.contains("USING INDEX")) || line.contains("B-TREE");
        assert!(!plan.iter().any(bad), "{plan:#?}\n{text}");
    }
}
