//! Connections of every type that SeaORM has, and one of the app's own: each call works on them, or is
//! refused by name.

use std::{error::Error as _, fmt, pin::Pin};

use guesthouse::{
    Account, Accounts, Error, audit, backfill_guests, become_host, become_hosts, change_email,
    delete_user, sign_up, sign_up_all, sign_up_with_id, stop_hosting,
};
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseExecutor, DatabaseTransaction,
    DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, Statement, TransactionError,
    TransactionOptions, TransactionTrait,
    rbac::{RbacUserId, schema::create_tables},
};
use uuid::Uuid;

use crate::support::{TestDb, email};

/// A connection of the app's own, such as one that counts.
struct Counted<'a>(&'a DatabaseConnection);

#[sea_orm::prelude::async_trait::async_trait]
impl ConnectionTrait for Counted<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.0.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.0.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.0.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.0.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.0.query_all_raw(statement).await
    }
}

#[sea_orm::prelude::async_trait::async_trait]
impl TransactionTrait for Counted<'_> {
    type Transaction = DatabaseTransaction;

    async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.0.begin().await
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<DatabaseTransaction, DbErr> {
        self.0.begin_with_config(isolation_level, access_mode).await
    }

    async fn begin_with_options(
        &self,
        options: TransactionOptions,
    ) -> Result<DatabaseTransaction, DbErr> {
        self.0.begin_with_options(options).await
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(
                &'c DatabaseTransaction,
            ) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>
            + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        self.0.transaction(callback).await
    }

    async fn transaction_with_config<F, T, E>(
        &self,
        callback: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(
                &'c DatabaseTransaction,
            ) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>
            + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        self.0
            .transaction_with_config(callback, isolation_level, access_mode)
            .await
    }
}

/// Every operation once, with the answers that it must give on any connection.
pub async fn every_operation<C: ConnectionTrait + TransactionTrait>(db: &C) {
    let ada = sign_up(db, email("ada")).await.unwrap().user.id;
    let taken = sign_up(db, email("ada")).await.unwrap_err();
    assert!(matches!(taken, Error::EmailTaken), "{taken:?}");
    let id = Uuid::now_v7();
    for _ in 0..2 {
        let again = sign_up_with_id(db, id, email("grace")).await.unwrap();
        assert_eq!(again.user.id, id);
    }
    assert!(become_host(db, ada).await.unwrap().is_new());
    assert!(!become_host(db, ada).await.unwrap().is_new());
    let nobody = become_host(db, Uuid::nil()).await.unwrap_err();
    assert!(
        matches!(nobody, Error::UserNotFound { user_id } if user_id.is_nil()),
        "{nobody:?}"
    );
    let many = sign_up_all(db, vec![email("ada"), email("mary")])
        .await
        .unwrap();
    assert_eq!((many.created.len(), many.taken.len()), (1, 1));
    let hosts = become_hosts(db, &[ada, id, Uuid::nil()]).await.unwrap();
    assert_eq!(
        (hosts.new.len(), hosts.existing.len(), hosts.unknown.len()),
        (1, 1, 1)
    );
    let changed = change_email(db, ada, email("augusta")).await.unwrap();
    assert_eq!(Account::find(db, ada).await.unwrap().unwrap().user, changed);
    let host = delete_user(db, ada).await.unwrap_err();
    assert!(
        matches!(host, Error::StillHost { user_id } if user_id == ada),
        "{host:?}"
    );
    assert!(stop_hosting(db, ada).await.unwrap().is_some());
    delete_user(db, ada).await.unwrap();
    assert_eq!(Accounts::all().fetch(db).await.unwrap().accounts.len(), 2);
    assert_eq!(audit(db).await.unwrap().hosts, 1);
    assert_eq!(backfill_guests(db, |_| ()).await.unwrap(), 0);
}

on_each_backend!(
    an_executor_of_a_pool_is_one,
    an_executor_of_a_transaction_is_one,
    a_connection_of_the_apps_own_is_one,
    a_restricted_connection_is_refused_by_name,
);

async fn an_executor_of_a_pool_is_one(db: TestDb) {
    every_operation(&DatabaseExecutor::Connection(&db.pool)).await;
    assert_eq!(db.rows().await.users.len(), 2);
}

async fn an_executor_of_a_transaction_is_one(db: TestDb) {
    let txn = db.pool.begin().await.unwrap();
    every_operation(&DatabaseExecutor::Transaction(&txn)).await;
    txn.commit().await.unwrap();
    let rows = db.rows().await;
    assert_eq!(
        (rows.users.len(), rows.guests.len(), rows.hosts.len()),
        (2, 2, 1)
    );

    let txn = db.pool.begin().await.unwrap();
    let executor = DatabaseExecutor::OwnedTransaction(txn);
    sign_up(&executor, email("late")).await.unwrap();
    drop(executor);
    assert_eq!(db.rows().await, rows, "the transaction was never committed");
}

async fn a_connection_of_the_apps_own_is_one(db: TestDb) {
    every_operation(&Counted(&db.pool)).await;
    assert_eq!(db.rows().await.users.len(), 2);
}

/// It checks statements of SeaORM's builder only, and refuses every other.
async fn a_restricted_connection_is_refused_by_name(db: TestDb) {
    create_tables(&db.pool, Default::default()).await.unwrap();
    db.pool.load_rbac().await.unwrap();
    let restricted = db.pool.restricted_for(RbacUserId(1)).unwrap();
    let before = db.rows().await;
    let refused = [
        sign_up(&restricted, email("ada"))
            .await
            .map(drop)
            .unwrap_err(),
        become_host(&restricted, Uuid::nil())
            .await
            .map(drop)
            .unwrap_err(),
        Account::find(&restricted, Uuid::nil())
            .await
            .map(drop)
            .unwrap_err(),
        Accounts::all()
            .fetch(&restricted)
            .await
            .map(drop)
            .unwrap_err(),
        sign_up_all(&restricted, vec![email("ada")])
            .await
            .map(drop)
            .unwrap_err(),
        delete_user(&restricted, Uuid::nil()).await.unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, Error::Database { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            "the connection refuses statements that it cannot check; use the one it restricts"
        );
        assert!(error.source().is_some());
        assert!(!format!("{error} {error:?}").contains("ada"));
    }
    assert_eq!(db.rows().await, before);
}
