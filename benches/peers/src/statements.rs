//! The statements that Guesthouse sends, as it sends them.

use std::sync::{Arc, Mutex};

use guesthouse::{Accounts, become_host, become_hosts, sign_up};
use sea_orm::{ConnectOptions, Database};

#[derive(Clone)]
pub struct Statements {
    pub sign_up: Vec<String>,
    pub become_host: Vec<String>,
    pub page: Vec<String>,
    pub become_hosts: Vec<String>,
}

impl Statements {
    /// Makes each call once and listens.
    pub async fn heard(url: &str) -> Self {
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        let mut db = Database::connect(options).await.unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let heard = log.clone();
        db.set_metric_callback(move |info| heard.lock().unwrap().push(info.statement.sql.clone()));
        let take = || std::mem::take(&mut *log.lock().unwrap());

        let [first, second] = ["heard@example.com", "again@example.com"];
        let user = sign_up(&db, first.parse().unwrap()).await.unwrap().user;
        let sign_up_statements = take();
        let _ = become_host(&db, user.id).await.unwrap();
        let become_host_statements = take();
        Accounts::all()
            .after(uuid::Uuid::nil())
            .limit(100)
            .fetch(&db)
            .await
            .unwrap();
        let page = take();
        let user = sign_up(&db, second.parse().unwrap()).await.unwrap().user;
        take();
        become_hosts(&db, &[user.id]).await.unwrap();
        let become_hosts = take();
        Self {
            sign_up: sign_up_statements,
            become_host: become_host_statements,
            page,
            become_hosts,
        }
    }
}
