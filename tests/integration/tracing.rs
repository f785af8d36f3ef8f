//! Every operation is seen by `tracing`, with its outcome and ids, never with an address.

use std::{cell::RefCell, io, sync::Once};

use guesthouse::{
    Account, Accounts, Error, become_host, change_email, delete_user, retry, sign_up, stop_hosting,
};
use sea_orm::DbErr;
use tracing_subscriber::{
    Layer, filter::dynamic_filter_fn, fmt::format::FmtSpan, layer::SubscriberExt,
    util::SubscriberInitExt,
};
use uuid::Uuid;

use crate::support::{TestDb, email};

thread_local! {
    /// What this thread has logged, while it listens.
    static LOG: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

struct Log;

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.get_or_insert_default().extend_from_slice(text));
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Listens to everything that this thread logs, the drivers included. There is one subscriber for
/// all threads, since tests run beside each other and `tracing` remembers what nobody listens to.
pub fn listen() {
    static SUBSCRIBER: Once = Once::new();
    SUBSCRIBER.call_once(|| {
        let layer = tracing_subscriber::fmt::layer()
            .with_span_events(FmtSpan::EXIT)
            .with_ansi(false)
            .with_writer(|| Log)
            .with_filter(dynamic_filter_fn(|_, _| LOG.with_borrow(Option::is_some)));
        tracing_subscriber::registry().with(layer).init();
    });
    LOG.set(Some(Vec::new()));
}

pub fn heard() -> String {
    String::from_utf8(LOG.take().unwrap()).unwrap()
}

on_each_backend!(outcomes_and_ids_but_no_address,);

async fn outcomes_and_ids_but_no_address(db: TestDb) {
    // The body runs on the thread that polls it, so this thread hears all of it.
    listen();
    let ada = sign_up(&db.pool, email("confidential"))
        .await
        .unwrap()
        .user
        .id;
    sign_up(&db.pool, email("confidential")).await.unwrap_err();
    let _ = become_host(&db.pool, ada).await.unwrap();
    let _ = become_host(&db.pool, ada).await.unwrap();
    become_host(&db.pool, Uuid::nil()).await.unwrap_err();
    Account::find(&db.pool, ada).await.unwrap().unwrap();
    Account::find_by_email(&db.pool, &email("confidential"))
        .await
        .unwrap()
        .unwrap();
    Accounts::hosts().fetch(&db.pool).await.unwrap();
    Accounts::hosts().count(&db.pool).await.unwrap();
    delete_user(&db.pool, ada).await.unwrap_err();
    stop_hosting(&db.pool, ada).await.unwrap().unwrap();
    change_email(&db.pool, ada, email("secret")).await.unwrap();
    delete_user(&db.pool, ada).await.unwrap();
    let gives_up: Result<(), _> = retry(|| async {
        Err(Error::Contention {
            source: DbErr::Custom("secret".into()),
        })
    })
    .await;
    gives_up.unwrap_err();

    let text = heard();
    let expected = [
        format!("sign_up{{user_id={ada}}}"),
        "the e-mail address is taken".to_owned(),
        r#"sign_up{error.type="email-taken"}"#.to_owned(),
        format!(r#"onboard{{role="hosts" owner_id={ada} outcome="new"}}"#),
        format!(r#"onboard{{role="hosts" owner_id={ada} outcome="existing"}}"#),
        format!("there is no user {}", Uuid::nil()),
        format!("find{{user_id={ada} found=true}}"),
        "find_by_email{found=true}".to_owned(),
        "fetch{filter=Hosts rows=1}".to_owned(),
        "count{filter=Hosts}".to_owned(),
        format!("delete_user{{user_id={ada}}}"),
        format!(r#"delete_user{{user_id={ada} error.type="still-host"}}"#),
        format!("user {ada} is still a host"),
        format!("offboard{{role=\"hosts\" owner_id={ada} found=true}}"),
        format!("change_email{{user_id={ada}}}"),
        "contention: trying again".to_owned(),
    ];
    for expected in expected {
        assert!(text.contains(&expected), "{expected} is not in\n{text}");
    }
    for secret in ["confidential", "secret", "example.com", "://"] {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
}
