//! The statements that Guesthouse sends, as it sends them.

use std::sync::{Arc, Mutex};

use guesthouse::{Accounts, become_host, become_hosts, sign_up};
use sea_orm::{ConnectOptions, Database};

#[derive(Clone)]
pub struct Statements {
    pub sign_up: String,
    pub become_host: String,
    pub page: String,
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
        let one = || {
            let [statement]: [String; 1] = take().try_into().unwrap();
            statement
        };

        let user = sign_up(&db, "heard@example.com".parse().unwrap()).await.unwrap().user;
        let sign_up = one();
        let _ = become_host(&db, user.id).await.unwrap();
        let become_host = one();
        Accounts::all().after(uuid::Uuid::nil()).limit(100).fetch(&db).await.unwrap();
        let page = one();
        become_hosts(&db, &[user.id]).await.unwrap();
        let become_hosts = take();
        Self { sign_up, become_host, page, become_hosts }
    }
}
