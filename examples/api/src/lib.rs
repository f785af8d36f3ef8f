//! Guesthouse behind HTTP: accounts and hosts as a JSON service.
//!
//! The program checks the schema and listens; what it answers is all in [`router`], which tests
//! serve without the program.

pub mod extract;
pub mod openapi;
pub mod problem;
pub mod routes;

use std::{future::Future, io, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use sea_orm::DatabaseConnection;
use tokio::{
    net::TcpListener,
    sync::oneshot,
    time::{error::Elapsed, timeout},
};
use tower_http::trace::{DefaultMakeSpan, DefaultOnResponse, TraceLayer};
use tracing::Level;

use problem::{Problem, ProblemKind};

/// How long a request may take, reading its body included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long requests may go on after the program was asked to stop. Longer than
/// [`REQUEST_TIMEOUT`], so that it cuts off only clients that are slow to send.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);

/// The largest body that is read, in bytes. An address has at most 254.
const BODY_LIMIT: usize = 4 * 1024;

/// The whole service, on this database.
pub fn router(db: DatabaseConnection) -> Router {
    router_with_timeout(db, REQUEST_TIMEOUT)
}

/// As [`router`], with another limit than [`REQUEST_TIMEOUT`].
pub fn router_with_timeout(db: DatabaseConnection, limit: Duration) -> Router {
    Router::new()
        .merge(routes::routes())
        .merge(openapi::routes())
        .fallback(|| async { Problem::new(ProblemKind::NoSuchPath) })
        .method_not_allowed_fallback(|| async { Problem::new(ProblemKind::MethodNotAllowed) })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(limit, in_time))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(DefaultMakeSpan::new().level(Level::INFO))
                .on_response(DefaultOnResponse::new().level(Level::INFO)),
        )
        .with_state(db)
}

/// Drops the handler when its time is up. What it was doing in the database is then done
/// completely or not at all, and the service does not know which.
async fn in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(Elapsed { .. }) => Problem::new(ProblemKind::TimedOut).into_response(),
    }
}

/// Serves `app` until `stop` is ready, then takes no new connections and finishes the requests that
/// are running, for at most 15 seconds.
///
/// # Errors
///
/// [`io::ErrorKind::TimedOut`] if connections were cut off at the end.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stopping, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        // Dropping the sender means the same as sending.
        let _ = stopped.await;
    });
    let mut server = tokio::spawn(server.into_future());
    tokio::select! {
        ended = &mut server => return ended?,
        () = stop => drop(stopping),
    }
    match timeout(SHUTDOWN_TIMEOUT, &mut server).await {
        Ok(ended) => ended?,
        Err(Elapsed { .. }) => {
            server.abort();
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "connections were still busy and have been cut off",
            ))
        }
    }
}
