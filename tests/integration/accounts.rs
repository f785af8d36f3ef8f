//! Accounts page by page.

use guesthouse::{Account, Accounts, become_host, sign_up};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DbBackend, Statement, TransactionTrait,
};
use uuid::Uuid;

use crate::support::{TestDb as Db, email};

/// Twelve accounts in the order of sign-up, every third one a host.
async fn twelve(db: &Db) -> Vec<Account> {
    let mut accounts = Vec::new();
    for n in 0..12 {
        let mut account = sign_up(&db.pool, email(&format!("user{n}"))).await.unwrap();
        if n % 3 == 0 {
            account.host = Some(
                become_host(&db.pool, account.user.id)
                    .await
                    .unwrap()
                    .into_model(),
            );
        }
        accounts.push(account);
    }
    accounts
}

/// Follows `next` to the end.
async fn all_pages(db: &Db, accounts: Accounts) -> Vec<Vec<Account>> {
    let mut pages = Vec::new();
    let mut next = accounts.clone().fetch(&db.pool).await.unwrap();
    loop {
        pages.push(next.accounts);
        match next.next {
            Some(user_id) => {
                next = accounts
                    .clone()
                    .after(user_id)
                    .fetch(&db.pool)
                    .await
                    .unwrap()
            }
            None => return pages,
        }
    }
}

on_each_backend!(
    pages_follow_one_another_without_gap_or_repeat,
    the_last_page_may_be_full,
    filters,
    an_empty_database_is_one_empty_page,
    limits,
    after_an_id_that_is_gone,
);

async fn pages_follow_one_another_without_gap_or_repeat(db: Db) {
    let accounts = twelve(&db).await;

    let pages = all_pages(&db, Accounts::all().limit(5)).await;

    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 2]);
    assert_eq!(pages.concat(), accounts);
}

/// A page that is full to the last row has no next one.
async fn the_last_page_may_be_full(db: Db) {
    twelve(&db).await;
    let pages = all_pages(&db, Accounts::all().limit(6)).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [6, 6]);
}

async fn filters(db: Db) {
    let accounts = twelve(&db).await;
    let stray = guesthouse::user::ActiveModel {
        email: Set("stray@example.com".into()),
        ..Default::default()
    };
    let stray = Account {
        user: stray.insert(&db.pool).await.unwrap(),
        guest: None,
        host: None,
    };
    let (hosts, others): (Vec<_>, Vec<_>) = accounts.iter().cloned().partition(Account::is_host);
    assert_eq!((hosts.len(), others.len()), (4, 8));
    let without_host = [others, vec![stray.clone()]].concat();

    let expected = [
        (Accounts::all(), [accounts, vec![stray.clone()]].concat()),
        (Accounts::hosts(), hosts),
        (Accounts::without_host(), without_host),
        (Accounts::without_guest(), vec![stray]),
    ];
    for (filter, accounts) in expected {
        assert_eq!(
            all_pages(&db, filter.clone().limit(3)).await.concat(),
            accounts,
            "{filter:?}"
        );
        let count = filter
            .clone()
            .limit(1)
            .after(Uuid::max())
            .count(&db.pool)
            .await
            .unwrap();
        assert_eq!(count, accounts.len() as u64, "{filter:?}");
    }
}

async fn an_empty_database_is_one_empty_page(db: Db) {
    let page = Accounts::all().fetch(&db.pool).await.unwrap();
    assert_eq!((page.accounts, page.next), (vec![], None));
    assert_eq!(Accounts::all().count(&db.pool).await.unwrap(), 0);
}

async fn limits(db: Db) {
    for n in 0..51 {
        db.user(&format!("user{n}")).await;
    }
    let page = Accounts::all().fetch(&db.pool).await.unwrap();
    assert_eq!(page.accounts.len(), 50);
    assert_eq!(
        page.next,
        page.accounts.last().map(|account| account.user.id)
    );

    let none = Accounts::all().limit(0).fetch(&db.pool).await.unwrap();
    assert_eq!((none.accounts, none.next), (vec![], None));

    assert_eq!(
        Accounts::all().limit(u32::MAX),
        Accounts::all().limit(1_000)
    );
    let all = Accounts::all()
        .limit(u32::MAX)
        .fetch(&db.pool)
        .await
        .unwrap();
    assert_eq!((all.accounts.len(), all.next), (51, None));
}

/// The id to go on from need not exist any more.
async fn after_an_id_that_is_gone(db: Db) {
    let accounts = twelve(&db).await;
    let gone = accounts[4].user.id;
    guesthouse::delete_user(&db.pool, gone).await.unwrap();

    let rest = Accounts::all().after(gone).fetch(&db.pool).await.unwrap();
    assert_eq!(rest.accounts, accounts[5..]);
    let none = Accounts::all()
        .after(Uuid::max())
        .fetch(&db.pool)
        .await
        .unwrap();
    assert_eq!(none.accounts, []);
    let all = Accounts::all()
        .after(Uuid::nil())
        .fetch(&db.pool)
        .await
        .unwrap();
    assert_eq!(all.accounts.len(), 11);
}

on_postgres!(a_page_costs_the_same_wherever_it_is);

/// A page in the middle reads its own rows and no others, on PostgreSQL's word.
async fn a_page_costs_the_same_wherever_it_is(db: Db) {
    let emails = (0..3_000).map(|n| email(&format!("user{n}"))).collect();
    let made = guesthouse::sign_up_all(&db.pool, emails)
        .await
        .unwrap()
        .created;
    let mut ids: Vec<_> = made.iter().map(|account| account.user.id).collect();
    ids.sort();
    guesthouse::become_hosts(&db.pool, &ids).await.unwrap();
    db.execute("VACUUM ANALYZE").await;
    let (pool, statements) = db.counted_pool().await;
    let from = ids[2_500];
    Accounts::all()
        .after(from)
        .limit(50)
        .fetch(&pool)
        .await
        .unwrap();
    let page = statements.take().remove(0);

    let one = db.pool_of(1).await;
    one.execute_unprepared(&format!("PREPARE page AS {page}"))
        .await
        .unwrap();
    let explain = format!("EXPLAIN ANALYZE EXECUTE page('{from}', '{from}', '{from}', 51)");
    let plan = one
        .query_all_raw(Statement::from_string(DbBackend::Postgres, explain))
        .await;

    let read: Vec<usize> = plan
        .unwrap()
        .iter()
        .filter_map(|line| {
            let line: String = line.try_get_by_index(0).unwrap();
            let (_, actual) = line.split_once("(actual")?;
            let (_, rows) = actual.split_once("rows=")?;
            rows.split([' ', '.']).next()?.parse().ok()
        })
        .collect();
    assert!(read.len() >= 5, "{read:?}");
    assert!(read.iter().all(|rows| *rows <= 52), "{read:?}");
}

on_servers!(an_earlier_id_can_appear_later);

/// Of two transactions the one with the earlier id commits last: who read on after the later one has
/// not seen it, and a whole walk does.
async fn an_earlier_id_can_appear_later(db: Db) {
    let slow = db.pool.begin().await.unwrap();
    let ada = sign_up(&slow, email("ada")).await.unwrap();
    let grace = sign_up(&db.pool, email("grace")).await.unwrap();
    let seen = Accounts::all().fetch(&db.pool).await.unwrap().accounts;
    assert_eq!(seen, std::slice::from_ref(&grace));

    slow.commit().await.unwrap();

    let news = Accounts::all().after(grace.user.id).fetch(&db.pool).await;
    assert_eq!(news.unwrap().accounts, []);
    assert_eq!(all_pages(&db, Accounts::all()).await.concat(), [ada, grace]);
}
