//! The routes, each one call of the library.
//!
//! Every write is tried again after contention, which is known to have left nothing behind, and
//! after nothing else.

use std::num::NonZeroU32;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{get, post, put},
};
use guesthouse::{
    Account, AccountSummary, AccountView, Accounts, Email, Error, HostView, Onboarding,
    become_host, delete_user as delete_user_of, retry, sign_up as sign_up_with, sign_up_with_id,
    stop_hosting,
};
use sea_orm::DatabaseConnection;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    extract,
    openapi::{Contended, Failures, Unreadable, UnreadableBody},
    problem::{Problem, ProblemKind},
};

/// The most accounts of one page.
const MOST_ACCOUNTS: u32 = 1_000;

/// The routes about users and hosts.
pub fn routes() -> Router<DatabaseConnection> {
    Router::new()
        .route("/users", post(sign_up).get(list_accounts))
        .route(
            "/users/{id}",
            put(put_account).get(read_account).delete(delete_user),
        )
        .route("/users/{id}/host", put(put_host).delete(delete_host))
        .route("/health", get(health))
}

/// A person who signs up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignUp {
    /// The address; stored in lower case.
    #[schema(format = "email", example = "ada@example.com")]
    email: String,
}

/// Which accounts.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Every account.
    #[default]
    All,
    /// Users who are hosts.
    Hosts,
    /// Users who are not hosts.
    WithoutHost,
    /// Users whom this service did not sign up.
    WithoutGuest,
}

/// Which page. A parameter that is spelled wrong is refused: ignored, it would answer with more
/// than was asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Which accounts; all of them by default.
    #[serde(default)]
    #[param(inline)]
    filter: Filter,
    /// Where the page begins: `next` of the page before.
    after: Option<Uuid>,
    /// The most accounts of the page; 50 by default.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000)]
    limit: Option<NonZeroU32>,
}

/// Some accounts, by the order of sign-up.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountPage {
    /// The accounts, without their addresses.
    accounts: Vec<AccountSummary>,
    /// `after` of the next page; `null` on the last.
    #[schema(required)]
    next: Option<Uuid>,
}

/// Sign up
///
/// Makes a user and its guest. A client that may have to repeat it sends `PUT /users/{id}`.
#[utoipa::path(
    post,
    path = "/users",
    request_body = SignUp,
    responses(
        (status = 201, description = "Signed up", body = AccountView,
            headers(("Location" = String, description = "Where the account is"))),
        (status = 409, description = "`email-taken`, `contention`", body = Problem,
            content_type = "application/problem+json"),
        UnreadableBody,
        Unreadable,
        Failures,
    ),
)]
async fn sign_up(
    State(db): State<DatabaseConnection>,
    extract::Json(SignUp { email }): extract::Json<SignUp>,
) -> Result<impl IntoResponse, Problem> {
    let email: Email = email.parse()?;
    let account = retry(|| sign_up_with(&db, email.clone())).await?;
    let location = format!("/users/{}", account.user.id);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(AccountView::from(&account)),
    ))
}

/// Sign up, repeatably
///
/// As `POST /users`, under an id that the client has made. After a lost answer the same request gives
/// the account that the first one made.
#[utoipa::path(
    put,
    path = "/users/{id}",
    params(("id" = Uuid, Path, description = "The id of the user, a UUID of version 7 at best")),
    request_body = SignUp,
    responses(
        (status = 200, description = "Signed up, now or before", body = AccountView),
        (status = 409, description = "`email-taken`, `id-taken`, `contention`", body = Problem,
            content_type = "application/problem+json"),
        UnreadableBody,
        Unreadable,
        Failures,
    ),
)]
async fn put_account(
    State(db): State<DatabaseConnection>,
    extract::Path(user_id): extract::Path<Uuid>,
    extract::Json(SignUp { email }): extract::Json<SignUp>,
) -> Result<Json<AccountView>, Problem> {
    let email: Email = email.parse()?;
    let account = retry(|| sign_up_with_id(&db, user_id, email.clone())).await?;
    Ok(Json(AccountView::from(&account)))
}

/// List accounts
///
/// Pages are cut by keyset: ask with `next` as `after` until it is `null`.
#[utoipa::path(
    get,
    path = "/users",
    params(Paging),
    responses(
        (status = 200, description = "A page, empty if there are no accounts", body = AccountPage),
        Unreadable,
        Contended,
        Failures,
    ),
)]
async fn list_accounts(
    State(db): State<DatabaseConnection>,
    extract::Query(paging): extract::Query<Paging>,
) -> Result<Json<AccountPage>, Problem> {
    let mut accounts = match paging.filter {
        Filter::All => Accounts::all(),
        Filter::Hosts => Accounts::hosts(),
        Filter::WithoutHost => Accounts::without_host(),
        Filter::WithoutGuest => Accounts::without_guest(),
    };
    if let Some(user_id) = paging.after {
        accounts = accounts.after(user_id);
    }
    if let Some(limit) = paging.limit {
        if limit.get() > MOST_ACCOUNTS {
            let detail = format!("limit is at most {MOST_ACCOUNTS}");
            return Err(Problem::new(ProblemKind::BadRequest).because(detail));
        }
        accounts = accounts.limit(limit.get());
    }
    let page = accounts.fetch(&db).await?;
    Ok(Json(AccountPage {
        accounts: page.accounts.iter().map(AccountSummary::from).collect(),
        next: page.next,
    }))
}

/// Read an account
#[utoipa::path(
    get,
    path = "/users/{id}",
    params(("id" = Uuid, Path, description = "The id of the user")),
    responses(
        (status = 200, description = "The account, with its address", body = AccountView),
        (status = 404, description = "`user-not-found`", body = Problem,
            content_type = "application/problem+json"),
        Unreadable,
        Contended,
        Failures,
    ),
)]
async fn read_account(
    State(db): State<DatabaseConnection>,
    extract::Path(user_id): extract::Path<Uuid>,
) -> Result<Json<AccountView>, Problem> {
    match Account::find(&db, user_id).await? {
        Some(account) => Ok(Json(AccountView::from(&account))),
        None => Err(Problem::new(ProblemKind::UserNotFound)),
    }
}

/// Delete a user
///
/// Deletes the guest with it. A host keeps its user.
#[utoipa::path(
    delete,
    path = "/users/{id}",
    params(("id" = Uuid, Path, description = "The id of the user")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "`user-not-found`", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "`still-host`, `still-referenced`, `contention`", body = Problem,
            content_type = "application/problem+json"),
        Unreadable,
        Failures,
    ),
)]
async fn delete_user(
    State(db): State<DatabaseConnection>,
    extract::Path(user_id): extract::Path<Uuid>,
) -> Result<StatusCode, Problem> {
    retry(|| delete_user_of(&db, user_id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Become a host
///
/// The first call makes the host, every later one finds it, however many come at once. It can
/// always be repeated.
#[utoipa::path(
    put,
    path = "/users/{id}/host",
    params(("id" = Uuid, Path, description = "The id of the user")),
    responses(
        (status = 201, description = "A host now", body = HostView),
        (status = 200, description = "A host already", body = HostView),
        (status = 404, description = "`user-not-found`", body = Problem,
            content_type = "application/problem+json"),
        Unreadable,
        Contended,
        Failures,
    ),
)]
async fn put_host(
    State(db): State<DatabaseConnection>,
    extract::Path(user_id): extract::Path<Uuid>,
) -> Result<(StatusCode, Json<HostView>), Problem> {
    let onboarding = retry(|| become_host(&db, user_id)).await?;
    let status = match onboarding {
        Onboarding::New(_) => StatusCode::CREATED,
        Onboarding::Existing(_) => StatusCode::OK,
    };
    Ok((status, Json(HostView::from(onboarding.model()))))
}

/// Stop hosting
///
/// Of any number of calls one gets 204, the others 404.
#[utoipa::path(
    delete,
    path = "/users/{id}/host",
    params(("id" = Uuid, Path, description = "The id of the user")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "`not-host`: the user is not a host, or does not exist",
            body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`still-referenced`, `contention`", body = Problem,
            content_type = "application/problem+json"),
        Unreadable,
        Failures,
    ),
)]
async fn delete_host(
    State(db): State<DatabaseConnection>,
    extract::Path(user_id): extract::Path<Uuid>,
) -> Result<StatusCode, Problem> {
    match retry(|| stop_hosting(&db, user_id)).await? {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => Err(Problem::new(ProblemKind::NotHost)),
    }
}

/// Whether the service reaches its database
#[utoipa::path(
    get,
    path = "/health",
    responses((status = 204, description = "It does"), Failures),
)]
async fn health(State(db): State<DatabaseConnection>) -> Result<StatusCode, Problem> {
    db.ping().await.map_err(Error::from)?;
    Ok(StatusCode::NO_CONTENT)
}
