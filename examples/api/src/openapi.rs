//! The description of the service, for programs and for people.

use axum::{
    Json, Router,
    http::header,
    response::{Html, IntoResponse},
    routing::get,
};
use utoipa::{IntoResponses, OpenApi};

use crate::{problem::Problem, routes};

/// The viewer asks this server and no other, and the browser holds it to that.
const DOCS_POLICY: &str = "default-src 'none'; connect-src 'self'; \
     script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Describes every route in [`routes`].
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Guesthouse",
        description = "Users, and at most one host for each. A request that takes longer than 10 \
            seconds is given up."
    ),
    paths(
        routes::sign_up,
        routes::put_account,
        routes::list_accounts,
        routes::read_account,
        routes::delete_user,
        routes::put_host,
        routes::delete_host,
        routes::health,
    )
)]
pub struct Document;

/// What any route can answer, through no fault of the request.
#[derive(Debug, IntoResponses)]
pub enum Failures {
    /// The service is at fault
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// `outcome-unknown`, `timed-out`: a write may have been done; PUT can be repeated
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What a route can answer whose only conflict is contention.
#[derive(Debug, IntoResponses)]
pub enum Contended {
    /// `contention`: others were first, nothing was done; try again after `Retry-After`
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
}

/// What a route that reads a path, a query or a body can answer.
#[derive(Debug, IntoResponses)]
pub enum Unreadable {
    /// Path, query or body cannot be read
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
}

/// What a route that reads a body can answer besides.
#[derive(Debug, IntoResponses)]
pub enum UnreadableBody {
    /// The body is longer than 4 KiB
    #[response(status = 413, content_type = "application/problem+json")]
    TooLong(Problem),
    /// The body does not say that it is JSON
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(Problem),
    /// `invalid-email`, or not what is asked for
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
}

/// The document, and a page that shows it.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/openapi.json", get(|| async { Json(Document::openapi()) }))
        .route("/docs", get(docs))
}

async fn docs() -> impl IntoResponse {
    (
        [(header::CONTENT_SECURITY_POLICY, DOCS_POLICY)],
        Html(include_str!("docs.html")),
    )
}
