//! The rows of accounts and sign-ins, in each database.

use super::*;
use crate::storage::sql::{Connections, support};

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

async fn names_and_addresses_are_unique(connections: &Connections) {
    let accounts = AccountRows::new(connections.clone());
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

async fn users_are_found_by_the_start_of_a_name(connections: &Connections) {
    let accounts = AccountRows::new(connections.clone());
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
    assert!(found("ad\0", 10).await.is_empty() && accounts.by_login("ada\0").await.unwrap().is_none());
    let smith = Profile { first_name: "John".to_owned(), last_name: "Smith".to_owned(), avatar_url: String::new() };
    accounts.set_profile(&UserId::new("3").unwrap(), &smith, Timestamp(9)).await.unwrap();
    for start in ["smi", "john", "john s", "bob"] {
        assert_eq!(found(start, 10).await, ["bob"], "{start}");
    }
    assert_eq!(found("of ad", 10).await, ["ada", "adam"], "by the last name, from the beginning on");
}

fn sign_in(n: u64) -> SignIn {
    SignIn {
        id: Uuid::from_u128(n.into()),
        user: UserId::new("1").unwrap(),
        refresh: [1; 32],
        previous: None,
        rotated_at: Timestamp(n),
        created_at: Timestamp(n),
        expires_at: Timestamp(100_000),
        revoked_at: None,
        salt: [3; 16],
        agent: "tests".to_owned(),
    }
}

const HASH: Option<&str> = Some("hash");

async fn a_secret_is_exchanged_once(connections: &Connections) {
    let accounts = AccountRows::new(connections.clone());
    accounts.create(&account("1", "ada"), HASH).await.unwrap();
    let first = SignIn { expires_at: Timestamp(100), ..sign_in(1) };
    accounts.add_sign_in(&first, HASH, 9).await.unwrap().unwrap();
    let next = SignIn { refresh: [2; 32], previous: Some([1; 32]), rotated_at: Timestamp(5), ..first.clone() };
    assert!(accounts.rotate(first.id, &[1; 32], &next).await.unwrap());
    assert!(!accounts.rotate(first.id, &[1; 32], &next).await.unwrap(), "the old one counts no more");
    assert_eq!(accounts.sign_in(first.id).await.unwrap().unwrap(), next);
    accounts.revoke(first.id, Timestamp(9)).await.unwrap();
    assert!(!accounts.rotate(first.id, &[2; 32], &next).await.unwrap());
    assert!(accounts.sign_ins(&first.user, Timestamp(9)).await.unwrap().is_empty());
    assert_eq!(accounts.refusals(Timestamp(8)).await.unwrap().sign_ins, [(first.id, Timestamp(9))]);
    assert_eq!(accounts.sweep(Timestamp(9)).await.unwrap(), 0, "its tokens are to be refused still");
    assert_eq!(accounts.sweep(Timestamp(10)).await.unwrap(), 1);
}

async fn all_sign_ins_are_listed_and_ended_however_many_there_are(connections: &Connections) {
    let accounts = AccountRows::new(connections.clone());
    accounts.create(&account("1", "ada"), HASH).await.unwrap();
    let user = UserId::new("1").unwrap();
    for n in 1..=250 {
        let ended = accounts.add_sign_in(&sign_in(n), HASH, 1_000).await.unwrap().unwrap();
        assert!(ended.is_empty());
    }
    assert_eq!(accounts.sign_ins(&user, Timestamp(300)).await.unwrap().len(), 250);
    let kept = Uuid::from_u128(7);
    let ended = accounts.set_password(&user, HASH, "another", Some(kept), Timestamp(300)).await.unwrap().unwrap();
    assert_eq!((ended.len(), ended.contains(&kept)), (249, false));
    let left = accounts.sign_ins(&user, Timestamp(300)).await.unwrap();
    assert_eq!(left.iter().map(|left| left.id).collect::<Vec<_>>(), [kept]);
    assert_eq!(accounts.revoke_all(&user, None, Timestamp(301)).await.unwrap(), [kept]);
    assert_eq!(accounts.refusals(Timestamp(299)).await.unwrap().sign_ins.len(), 250);
}

async fn the_sign_ins_not_used_for_longest_make_room(connections: &Connections) {
    let accounts = AccountRows::new(connections.clone());
    accounts.create(&account("1", "ada"), HASH).await.unwrap();
    for n in 1..=3 {
        accounts.add_sign_in(&sign_in(n), HASH, 3).await.unwrap().unwrap();
    }
    let used = SignIn { refresh: [2; 32], rotated_at: Timestamp(50), ..sign_in(1) };
    assert!(accounts.rotate(used.id, &[1; 32], &used).await.unwrap());
    let ended = accounts.add_sign_in(&sign_in(60), HASH, 3).await.unwrap().unwrap();
    assert_eq!(ended, [Uuid::from_u128(2)], "the first one is in use");
    // Set with a clock that has gone back: the new one is never the one that makes room.
    let early = accounts.add_sign_in(&sign_in(0), HASH, 3).await.unwrap().unwrap();
    assert_eq!(early, [Uuid::from_u128(3)]);
    assert_eq!(accounts.sign_ins(&used.user, Timestamp(60)).await.unwrap().len(), 3);
}

async fn a_sign_in_that_is_under_way_does_not_outlive_another_password_or_a_ban(connections: &Connections) {
    let accounts = AccountRows::new(connections.clone());
    accounts.create(&account("1", "ada"), HASH).await.unwrap();
    let user = UserId::new("1").unwrap();
    assert!(accounts.set_password(&user, HASH, "another", None, Timestamp(2)).await.unwrap().is_some());
    assert_eq!(accounts.add_sign_in(&sign_in(3), HASH, 9).await.unwrap(), None, "it looked at the old password");
    assert_eq!(accounts.set_password(&user, HASH, "third", None, Timestamp(4)).await.unwrap(), None, "so did this");
    assert!(accounts.add_sign_in(&sign_in(5), Some("another"), 9).await.unwrap().is_some());
    accounts.set_ban(&user, true, Timestamp(6)).await.unwrap();
    assert_eq!(accounts.add_sign_in(&sign_in(7), Some("another"), 9).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_written_is_on_disk_when_it_is_answered() {
    let fresh = support::sqlite().await;
    let level = fresh.connections.direct().one("PRAGMA synchronous", |_| (), |c| c.number::<u8>()).await.unwrap();
    assert_eq!(level, Some(2), "FULL: each commit is synced");
    drop(fresh.keep);
}

async fn a_ban_needs_no_account(connections: &Connections) {
    let accounts = AccountRows::new(connections.clone());
    let user = UserId::new("of a back end").unwrap();
    accounts.set_ban(&user, true, Timestamp(5)).await.unwrap();
    assert_eq!(accounts.refusals(Timestamp::ZERO).await.unwrap().banned, std::slice::from_ref(&user));
    accounts.set_ban(&user, false, Timestamp(6)).await.unwrap();
    assert!(accounts.refusals(Timestamp::ZERO).await.unwrap().banned.is_empty());
    accounts.set_tokens_from(&user, Timestamp(8)).await.unwrap();
    assert_eq!(accounts.refusals(Timestamp::ZERO).await.unwrap().tokens_from, [(user, Timestamp(8))]);
}

/// At once, as on several nodes: whichever comes first, a sign-in never outlives the password that it was made with.
async fn of_a_sign_in_and_another_password_at_once_no_sign_in_is_left(connections: &Connections) {
    let accounts = AccountRows::new(connections.clone());
    let user = UserId::new("1").unwrap();
    accounts.create(&account("1", "ada"), Some("0")).await.unwrap();
    for n in 0..20u64 {
        let (old, new, at) = (n.to_string(), (n + 1).to_string(), Timestamp(n));
        let sign_in = sign_in(n);
        let (changed, added) = tokio::join!(
            accounts.set_password(&user, Some(&old), &new, None, at),
            accounts.add_sign_in(&sign_in, Some(&old), 9)
        );
        assert!(changed.unwrap().is_some());
        added.unwrap();
        assert!(accounts.sign_ins(&user, at).await.unwrap().is_empty(), "round {n}");
    }
}

async fn of_many_sign_ins_at_once_no_more_stay_than_may(connections: &Connections) {
    let accounts = AccountRows::new(connections.clone());
    accounts.create(&account("1", "ada"), HASH).await.unwrap();
    let all = (1..=12).map(|n| {
        let accounts = accounts.clone();
        async move { accounts.add_sign_in(&sign_in(n), HASH, 3).await }
    });
    for added in futures_util::future::join_all(all).await {
        assert!(added.unwrap().is_some());
    }
    let good = accounts.sign_ins(&UserId::new("1").unwrap(), Timestamp(300)).await.unwrap();
    assert_eq!(good.len(), 3);
}

support::sql_suite!(
    names_and_addresses_are_unique
    users_are_found_by_the_start_of_a_name
    a_secret_is_exchanged_once
    all_sign_ins_are_listed_and_ended_however_many_there_are
    the_sign_ins_not_used_for_longest_make_room
    a_sign_in_that_is_under_way_does_not_outlive_another_password_or_a_ban
    a_ban_needs_no_account
    of_a_sign_in_and_another_password_at_once_no_sign_in_is_left
    of_many_sign_ins_at_once_no_more_stay_than_may
);
