//! A service of axum with an error type and statements of its own: it hands hosting over from one user to
//! another, and a deadlock in its own statement is retried.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::Body,
    extract::{Query, State},
    http::{Request, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use guesthouse::{become_host, retry, stop_hosting, user};
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, QuerySelect};
use tokio::{join, sync::Barrier};
use tower::ServiceExt;
use uuid::Uuid;

use crate::support::TestDb as Db;

// ---- the service ----

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the user who hands over is not a host")]
    NotAHost,
    #[error(transparent)]
    Guesthouse(#[from] guesthouse::Error),
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotAHost => StatusCode::CONFLICT,
            Self::Guesthouse(_) | Self::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.to_string()).into_response()
    }
}

#[derive(Clone)]
struct App {
    db: DatabaseConnection,
    /// Where two first attempts wait, each for the other to have its first lock.
    both: Arc<Barrier>,
    attempts: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, serde::Deserialize)]
struct HandOver {
    from: Uuid,
    to: Uuid,
}

fn service(app: App) -> Router {
    Router::new()
        .route("/hand-over", post(hand_over))
        .route("/hand-over-with-borrows", post(hand_over_with_borrows))
        .with_state(app)
}

async fn hand_over(
    State(app): State<App>,
    Query(request): Query<HandOver>,
) -> Result<StatusCode, Refusal> {
    let db = app.db.clone();
    retry::transaction(&db, async move |txn| attempt(&app, txn, &request).await).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn hand_over_with_borrows(
    State(app): State<App>,
    Query(request): Query<HandOver>,
) -> Result<StatusCode, Refusal> {
    let mut attempts = retry::attempts(&app.db);
    loop {
        let txn = attempts.begin().await?;
        let outcome = attempt(&app, &txn, &request).await;
        if let Some(answer) = attempts.end(txn, outcome).await {
            return answer.map(|()| StatusCode::NO_CONTENT);
        }
    }
}

async fn attempt(app: &App, txn: &DatabaseTransaction, request: &HandOver) -> Result<(), Refusal> {
    let attempt = app.attempts.fetch_add(1, Ordering::SeqCst);
    lock(txn, request.from).await?;
    if attempt < 2 {
        app.both.wait().await;
    }
    lock(txn, request.to).await?;
    stop_hosting(txn, request.from)
        .await?
        .ok_or(Refusal::NotAHost)?;
    become_host(txn, request.to).await.map(drop)?;
    Ok(())
}

/// A statement of the service's own.
async fn lock(txn: &DatabaseTransaction, user_id: Uuid) -> Result<(), DbErr> {
    let row = user::Entity::find_by_id(user_id).lock_exclusive();
    row.one(txn).await.map(drop)
}

// ---- the test ----

/// Two requests that lock the same two rows crosswise: the database ends one of them, and its handler
/// makes another attempt.
async fn crosswise(db: Db, path: &str) {
    let ada = db.host("ada").await.user_id;
    let grace = db.user("grace").await.id;
    let app = App {
        db: db.pool.clone(),
        both: Arc::new(Barrier::new(2)),
        attempts: Arc::default(),
    };
    let request = |from: Uuid, to: Uuid| {
        let request = Request::post(format!("{path}?from={from}&to={to}"));
        service(app.clone()).oneshot(request.body(Body::empty()).unwrap())
    };

    let (over, back) = join!(request(ada, grace), request(grace, ada));

    let answers = (over.unwrap().status(), back.unwrap().status());
    let host = match answers {
        (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT) => ada,
        // It came first, when grace was not a host yet.
        (StatusCode::NO_CONTENT, StatusCode::CONFLICT) => grace,
        other => panic!("{other:?}"),
    };
    let hosts = db.rows().await.hosts;
    let hosts: Vec<_> = hosts.iter().map(|host| host.user_id).collect();
    assert_eq!(hosts, [host]);
    assert_eq!(app.attempts.load(Ordering::SeqCst), 3, "one was made again");
}

on_servers!(a_deadlock_is_retried, a_deadlock_is_retried_with_borrows);

async fn a_deadlock_is_retried(db: Db) {
    crosswise(db, "/hand-over").await;
}

async fn a_deadlock_is_retried_with_borrows(db: Db) {
    crosswise(db, "/hand-over-with-borrows").await;
}
