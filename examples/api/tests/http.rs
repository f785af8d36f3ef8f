//! The service as its clients meet it: over HTTP, on a port and a database of its own for each
//! test; the program itself is started where what it does before it listens is at stake.
//!
//! The database is a SQLite file. With the feature `postgres` the race runs on PostgreSQL too:
//! `GUESTHOUSE_TEST_POSTGRES` names a server on which databases can be created.
#![cfg(feature = "sqlite")]
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use std::{
    collections::BTreeSet,
    process::{Output, Stdio},
    sync::Arc,
    time::Duration,
};

use axum::{body::to_bytes, response::IntoResponse};
use guesthouse::{Error, host, user};
use guesthouse_api_example::{REQUEST_TIMEOUT, problem::Problem, router_with_timeout, serve};
use guesthouse_migration::{Migrator, MigratorTrait};
use reqwest::{Client, Method, Response, StatusCode, header};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectOptions, ConnectionTrait, Database,
    DatabaseConnection, DbErr, EntityTrait, TransactionTrait,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::{Barrier, oneshot},
    task::{JoinHandle, JoinSet, yield_now},
    time::timeout,
};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(60);

struct File {
    folder: TempDir,
}

impl File {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn url(&self) -> String {
        format!("sqlite://{}/api.db?mode=rwc", self.folder.path().display())
    }
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(8).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

/// A running service and a client for it.
struct Service {
    base: String,
    client: Client,
    db: DatabaseConnection,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
    file: Option<File>,
}

impl Service {
    async fn start() -> Self {
        let file = File::new();
        let db = connect(&file.url()).await;
        Migrator::up(&db, None).await.unwrap();
        Self {
            file: Some(file),
            ..Self::on(db, REQUEST_TIMEOUT).await
        }
    }

    async fn on(db: DatabaseConnection, limit: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let app = router_with_timeout(db.clone(), limit);
        let server = tokio::spawn(serve(listener, app, async {
            let _ = stopped.await;
        }));
        Self {
            base,
            client: Client::new(),
            db,
            stop,
            server,
            file: None,
        }
    }

    async fn stop(self) {
        drop(self.client);
        self.stop.send(()).unwrap();
        let stopped = timeout(PATIENCE, self.server).await;
        stopped.expect("it stops").unwrap().unwrap();
        self.db.close().await.unwrap();
    }

    async fn ask(&self, method: Method, path: &str) -> Response {
        let url = format!("{}{path}", self.base);
        self.client.request(method, url).send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path).await
    }

    async fn post(&self, body: &str) -> Response {
        self.client
            .post(format!("{}/users", self.base))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.to_owned())
            .send()
            .await
            .unwrap()
    }

    /// Signs up and gives the id.
    async fn user(&self, name: &str) -> Uuid {
        let body = json!({ "email": format!("{name}@example.com") });
        let response = self.post(&body.to_string()).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        id_of(&json_of(response).await)
    }
}

fn id_of(json: &Value) -> Uuid {
    json["id"].as_str().unwrap().parse().unwrap()
}

async fn json_of(response: Response) -> Value {
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "application/json",
        "{response:?}"
    );
    response.json().await.unwrap()
}

/// Checks that the response is this problem, in form and all, and gives its detail.
async fn problem(response: Response, status: u16, kind: &str) -> String {
    assert_eq!(response.status(), status);
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "application/problem+json"
    );
    let json: Value = response.json().await.unwrap();
    let uri = match kind {
        "about:blank" => kind.to_owned(),
        kind => format!("tag:guesthouse.example,2026:{kind}"),
    };
    assert_eq!(json["type"], uri, "{json}");
    assert_eq!(json["status"], status, "{json}");
    assert!(!json["title"].as_str().unwrap().is_empty(), "{json}");
    for key in json.as_object().unwrap().keys() {
        assert!(["type", "title", "status", "detail"].contains(&key.as_str()));
    }
    json["detail"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn signing_up_and_reading_back() {
    let service = Service::start().await;

    let response = service.post(r#"{"email": " Ada@Example.com "}"#).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let location = response.headers()[header::LOCATION]
        .to_str()
        .unwrap()
        .to_owned();
    let account = json_of(response).await;
    assert_eq!(account["email"], "ada@example.com");
    assert!(account["guest"]["id"].is_string());
    assert_eq!(account.get("host"), Some(&Value::Null));
    assert_eq!(location, format!("/users/{}", id_of(&account)));

    let response = service.get(&location).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(json_of(response).await, account);

    let again = service.post(r#"{"email": "ADA@example.com"}"#).await;
    problem(again, 409, "email-taken").await;
    let nobody = service.get(&format!("/users/{}", Uuid::nil())).await;
    problem(nobody, 404, "user-not-found").await;
    service.stop().await;
}

/// The id is the client's, so the same request after a lost answer gives the same account.
#[tokio::test]
async fn signing_up_repeatably() {
    let service = Service::start().await;
    let id = Uuid::now_v7();
    let put = async |id: Uuid, email: &str| {
        let request = service.client.put(format!("{}/users/{id}", service.base));
        request
            .json(&json!({ "email": email }))
            .send()
            .await
            .unwrap()
    };

    let first = put(id, "Ada@example.com").await;
    assert_eq!(first.status(), StatusCode::OK);
    let account = json_of(first).await;
    assert_eq!(id_of(&account), id);
    assert_eq!(account["email"], "ada@example.com");
    let again = put(id, "ada@example.com").await;
    assert_eq!(json_of(again).await, account);

    let another_id = Uuid::now_v7();
    problem(put(another_id, "ada@example.com").await, 409, "email-taken").await;
    problem(put(id, "grace@example.com").await, 409, "id-taken").await;
    problem(put(id, "grace at example.com").await, 422, "invalid-email").await;
    let nobody = service.get(&format!("/users/{another_id}")).await;
    problem(nobody, 404, "user-not-found").await;
    service.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let service = Service::start().await;

    let detail = problem(
        service.post(r#"{"email": "ada at example.com"}"#).await,
        422,
        "invalid-email",
    )
    .await;
    assert_eq!(detail, "the e-mail address is malformed");

    for (body, status) in [
        ("{", 400),
        ("", 400),
        ("{}", 422),
        (r#"{"email": 7}"#, 422),
        (r#"{"email": "ada@example.com", "role": "host"}"#, 422),
        (&"x".repeat(5_000), 413),
    ] {
        problem(service.post(body).await, status, "about:blank").await;
    }
    let url = format!("{}/users", service.base);
    let untyped = service
        .client
        .post(url)
        .body(r#"{"email": "ada@example.com"}"#)
        .send();
    problem(untyped.await.unwrap(), 415, "about:blank").await;

    for path in [
        "/users/ada",
        "/users?filter=guests",
        "/users?filtr=hosts",
        "/users?limit=0",
        "/users?limit=-1",
        "/users?limit=1001",
        "/users?after=ada",
    ] {
        problem(service.get(path).await, 400, "about:blank").await;
    }
    for (method, path) in [
        (Method::PUT, "/users/ada/host"),
        (Method::DELETE, "/users/ada/host"),
        (Method::DELETE, "/users/ada"),
    ] {
        problem(service.ask(method, path).await, 400, "about:blank").await;
    }
    let rows = user::Entity::find().all(&service.db).await.unwrap();
    assert!(rows.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let service = Service::start().await;
    for path in ["/", "/user", "/users/", "/users/x/y/z"] {
        problem(service.get(path).await, 404, "about:blank").await;
    }
    let response = service.ask(Method::PATCH, "/users").await;
    let allowed: BTreeSet<_> = response.headers()[header::ALLOW]
        .to_str()
        .unwrap()
        .split(',')
        .map(str::to_owned)
        .collect();
    assert_eq!(
        allowed,
        ["GET", "HEAD", "POST"].map(str::to_owned).into(),
        "RFC 9110 wants it"
    );
    problem(response, 405, "about:blank").await;
    let response = service.ask(Method::POST, "/openapi.json").await;
    problem(response, 405, "about:blank").await;
    service.stop().await;
}

#[tokio::test]
async fn a_host_is_made_once_and_deleted_once() {
    let service = Service::start().await;
    let ada = service.user("ada").await;
    let path = format!("/users/{ada}/host");

    problem(service.ask(Method::DELETE, &path).await, 404, "not-host").await;
    let response = service.ask(Method::PUT, &path).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let made = json_of(response).await;
    let response = service.ask(Method::PUT, &path).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(json_of(response).await, made);
    let account = json_of(service.get(&format!("/users/{ada}")).await).await;
    assert_eq!(account["host"], made);

    let response = service.ask(Method::DELETE, &path).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(response.text().await.unwrap(), "");
    problem(service.ask(Method::DELETE, &path).await, 404, "not-host").await;

    let response = service.ask(Method::PUT, &path).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_ne!(json_of(response).await, made);

    let nobody = format!("/users/{}/host", Uuid::nil());
    let response = service.ask(Method::PUT, &nobody).await;
    problem(response, 404, "user-not-found").await;
    let response = service.ask(Method::DELETE, &nobody).await;
    problem(response, 404, "not-host").await;
    service.stop().await;
}

#[tokio::test]
async fn users_are_deleted_unless_something_keeps_them() {
    let service = Service::start().await;
    let ada = service.user("ada").await;
    let (user_path, host_path) = (format!("/users/{ada}"), format!("/users/{ada}/host"));
    let response = service.ask(Method::PUT, &host_path).await;
    let host_id = id_of(&json_of(response).await);

    let response = service.ask(Method::DELETE, &user_path).await;
    problem(response, 409, "still-host").await;

    // Another app's table keeps the host, and then the user.
    service
        .db
        .execute_unprepared(
            "CREATE TABLE kept (host_id REFERENCES hosts (id) ON DELETE RESTRICT,
                user_id REFERENCES users (id) ON DELETE RESTRICT)",
        )
        .await
        .unwrap();
    let keep = |column: &str, id: Uuid| {
        let sql = format!("INSERT INTO kept ({column}) VALUES (x'{}')", id.simple());
        let db = service.db.clone();
        async move { db.execute_unprepared(&sql).await.unwrap() }
    };
    keep("host_id", host_id).await;
    let response = service.ask(Method::DELETE, &host_path).await;
    problem(response, 409, "still-referenced").await;
    service
        .db
        .execute_unprepared("DELETE FROM kept")
        .await
        .unwrap();
    let response = service.ask(Method::DELETE, &host_path).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);

    keep("user_id", ada).await;
    let response = service.ask(Method::DELETE, &user_path).await;
    problem(response, 409, "still-referenced").await;
    service
        .db
        .execute_unprepared("DELETE FROM kept")
        .await
        .unwrap();
    let response = service.ask(Method::DELETE, &user_path).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let response = service.ask(Method::DELETE, &user_path).await;
    problem(response, 404, "user-not-found").await;
    let response = service.get(&user_path).await;
    problem(response, 404, "user-not-found").await;
    service.stop().await;
}

#[tokio::test]
async fn lists_are_filtered_and_paged_and_without_addresses() {
    let service = Service::start().await;
    let mut ids = Vec::new();
    for number in 0..7 {
        ids.push(service.user(&format!("user{number}")).await);
    }
    let raw = user::ActiveModel {
        email: Set("raw@example.com".into()),
        ..Default::default()
    };
    ids.push(raw.insert(&service.db).await.unwrap().id);
    let hosts = [ids[1], ids[4], ids[6]];
    for id in hosts {
        let response = service.ask(Method::PUT, &format!("/users/{id}/host")).await;
        assert_eq!(response.status(), StatusCode::CREATED);
    }
    let others: Vec<_> = ids
        .iter()
        .copied()
        .filter(|id| !hosts.contains(id))
        .collect();

    for (filter, expected) in [
        ("", ids.as_slice()),
        ("filter=all", &ids),
        ("filter=hosts", &hosts),
        ("filter=without_host", &others),
        ("filter=without_guest", &ids[7..]),
    ] {
        for limit in 1..=9 {
            let mut seen = Vec::new();
            let mut after = String::new();
            loop {
                let path = format!("/users?{filter}&limit={limit}{after}");
                let response = service.get(&path).await;
                assert_eq!(response.status(), StatusCode::OK, "{path}");
                let text = response.text().await.unwrap();
                assert!(!text.contains('@') && !text.contains("email"), "{text}");
                let page: Value = serde_json::from_str(&text).unwrap();
                let accounts = page["accounts"].as_array().unwrap();
                assert!((1..=limit).contains(&accounts.len()), "{path}");
                seen.extend(accounts.iter().map(id_of));
                match page.get("next").expect("never left out") {
                    Value::Null => break,
                    next => {
                        assert_eq!(next, &accounts.last().unwrap()["id"]);
                        after = format!("&after={}", next.as_str().unwrap());
                    }
                }
            }
            assert_eq!(seen, expected, "{filter}, {limit} at a time");
        }
    }
    let past = json_of(service.get(&format!("/users?after={}", ids[7])).await).await;
    assert_eq!(past, json!({ "accounts": [], "next": null }));
    service.stop().await;
}

/// One caller made the host, the others found it, and there is one row. `begun` is ready when
/// enough of them are under way.
async fn fifty_at_once(service: &Service, ada: Uuid, begun: impl Future<Output = ()>) {
    let url = format!("{}/users/{ada}/host", service.base);
    let mut callers = JoinSet::new();
    let start = Arc::new(Barrier::new(50));
    for _ in 0..50 {
        // A connection of its own, open before the race begins.
        let client = Client::new();
        let (warm_up, request) = (
            client.get(format!("{}/docs", service.base)),
            client.put(&url),
        );
        let start = start.clone();
        callers.spawn(async move {
            assert!(warm_up.send().await.unwrap().text().await.is_ok());
            start.wait().await;
            let response = request.send().await.unwrap();
            (response.status().as_u16(), json_of(response).await)
        });
    }
    begun.await;
    let answers = callers.join_all().await;
    let mut statuses: Vec<_> = answers.iter().map(|(status, _)| *status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses[..49], [200; 49]);
    assert_eq!(statuses[49], 201);

    let rows = host::Entity::find().all(&service.db).await.unwrap();
    assert_eq!(rows.len(), 1);
    for (_, host) in answers {
        assert_eq!(host, json!({ "id": rows[0].id }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_puts_one_makes_the_host() {
    let service = Service::start().await;
    let ada = service.user("ada").await;
    // The one writer of SQLite is so quick that nobody would be beside it. Held up until the pool
    // is exhausted, eight have begun before the first can write.
    let other = connect(&service.file.as_ref().unwrap().url()).await;
    let lock = other.begin().await.unwrap();
    let write = "UPDATE users SET email = email";
    lock.execute_unprepared(write).await.unwrap();
    let pool = service.db.get_sqlite_connection_pool().clone();
    let begun = async {
        while pool.size() < 8 || pool.num_idle() > 0 {
            yield_now().await;
        }
        lock.rollback().await.unwrap();
    };
    timeout(PATIENCE, fifty_at_once(&service, ada, begun))
        .await
        .expect("it ends");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(feature = "postgres"),
    ignore = "needs the feature `postgres` and a server"
)]
async fn of_fifty_puts_one_makes_the_host_on_postgres() {
    let server = std::env::var("GUESTHOUSE_TEST_POSTGRES")
        .expect("GUESTHOUSE_TEST_POSTGRES is not set; `scripts/servers start` starts a server");
    let (address, _) = server.rsplit_once('/').unwrap();
    let name = format!("guesthouse_api_{}", std::process::id());
    let admin = connect(&server).await;
    let sql = format!("CREATE DATABASE {name}");
    admin.execute_unprepared(&sql).await.unwrap();

    let race = tokio::spawn({
        let url = format!("{address}/{name}");
        async move {
            let db = connect(&url).await;
            Migrator::up(&db, None).await.unwrap();
            let service = Service::on(db, REQUEST_TIMEOUT).await;
            let ada = service.user("ada").await;
            fifty_at_once(&service, ada, async {}).await;
            service.stop().await;
        }
    });
    let outcome = race.await;
    let sql = format!("DROP DATABASE {name} WITH (FORCE)");
    admin.execute_unprepared(&sql).await.unwrap();
    outcome.unwrap();
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let file = File::new();
    let db = connect(&file.url()).await;
    Migrator::up(&db, None).await.unwrap();
    let service = Service::on(db.clone(), Duration::from_millis(200)).await;
    let ada = service.user("ada").await;
    let path = format!("/users/{ada}/host");

    // A holder of SQLite's write lock keeps every writer waiting, for five seconds each.
    let other = connect(&file.url()).await;
    let lock = other.begin().await.unwrap();
    let write = "UPDATE users SET email = email";
    lock.execute_unprepared(write).await.unwrap();
    let detail = problem(service.ask(Method::PUT, &path).await, 503, "timed-out").await;
    assert!(detail.contains("PUT can be repeated"), "{detail}");
    lock.rollback().await.unwrap();
    service.stop().await;

    // What was dropped can still be on its way to the one writer: only its end is certain.
    let db = connect(&file.url()).await;
    let service = Service::on(db, REQUEST_TIMEOUT).await;
    let repeated = service.ask(Method::PUT, &path).await;
    assert!(repeated.status().is_success());
    let rows = host::Entity::find().all(&service.db).await.unwrap();
    assert_eq!(json_of(repeated).await, json!({ "id": rows[0].id }));
    assert_eq!(rows.len(), 1);
    service.stop().await;
}

#[tokio::test]
async fn contention_that_lasts_says_when_to_come_back() {
    let file = File::new();
    let mut options = ConnectOptions::new(file.url());
    options
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|options| options.busy_timeout(Duration::ZERO));
    let db = Database::connect(options).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    let service = Service::on(db, REQUEST_TIMEOUT).await;
    let ada = service.user("ada").await;

    let other = connect(&file.url()).await;
    let lock = other.begin().await.unwrap();
    let write = "UPDATE users SET email = email";
    lock.execute_unprepared(write).await.unwrap();
    let response = service
        .ask(Method::PUT, &format!("/users/{ada}/host"))
        .await;
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    problem(response, 409, "contention").await;
    lock.rollback().await.unwrap();
    let rows = host::Entity::find().all(&service.db).await.unwrap();
    assert!(rows.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn what_the_driver_says_stays_inside() {
    let service = Service::start().await;
    let ada = service.user("ada").await;
    service
        .db
        .execute_unprepared("DROP TABLE hosts")
        .await
        .unwrap();
    for path in [format!("/users/{ada}"), "/users".to_owned()] {
        let response = service.get(&path).await;
        assert_eq!(problem(response, 500, "about:blank").await, "");
    }
    service.stop().await;
}

#[tokio::test]
async fn health_is_that_of_the_database() {
    let service = Service::start().await;
    assert_eq!(service.get("/health").await.status(), 204);
    service.db.close_by_ref().await.unwrap();
    assert_eq!(
        problem(service.get("/health").await, 500, "about:blank").await,
        ""
    );
    service.stop().await;
}

/// Those that no test can bring about over HTTP.
#[tokio::test]
async fn failures_of_the_way_to_the_database_say_what_is_known() {
    let source = || DbErr::Custom("ada@example.com".into());
    for (error, status, advice) in [
        (
            Error::OutcomeUnknown { source: source() },
            503,
            Some("PUT can be repeated"),
        ),
        (Error::Aborted { source: source() }, 500, None),
        (Error::Database { source: source() }, 500, None),
    ] {
        let response = Problem::from(error).into_response();
        assert_eq!(response.status().as_u16(), status);
        assert!(!response.headers().contains_key(header::RETRY_AFTER));
        let body = to_bytes(response.into_body(), 1_000).await.unwrap();
        let text = str::from_utf8(&body).unwrap();
        assert!(!text.contains("ada"), "{text}");
        let json: Value = serde_json::from_str(text).unwrap();
        match advice {
            Some(advice) => assert!(json["detail"].as_str().unwrap().contains(advice)),
            None => assert_eq!(json.get("detail"), None),
        }
    }
}

#[tokio::test]
async fn the_document_names_every_route() {
    let service = Service::start().await;
    let document = json_of(service.get("/openapi.json").await).await;
    assert_eq!(document["openapi"], "3.1.0");

    let mut operations = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let statuses: Vec<&str> = operation["responses"]
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            operations.insert(format!("{method} {path} {}", statuses.join(" ")));
            for (status, response) in operation["responses"].as_object().unwrap() {
                if status.as_str() >= "400" {
                    let body = &response["content"]["application/problem+json"]["schema"];
                    assert_eq!(body["$ref"], "#/components/schemas/Problem", "{path}");
                }
            }
        }
    }
    let expected = [
        "delete /users/{id} 204 400 404 409 500 503",
        "delete /users/{id}/host 204 400 404 409 500 503",
        "get /health 204 500 503",
        "get /users 200 400 409 500 503",
        "get /users/{id} 200 400 404 409 500 503",
        "post /users 201 400 409 413 415 422 500 503",
        "put /users/{id} 200 400 409 413 415 422 500 503",
        "put /users/{id}/host 200 201 400 404 409 500 503",
    ];
    assert_eq!(operations, expected.map(str::to_owned).into());

    let schemas = &document["components"]["schemas"];
    for (account, host) in [
        ("AccountView", "HostView"),
        ("AccountSummary", "HostSummary"),
    ] {
        let choices = &schemas[account]["properties"]["host"]["oneOf"];
        assert_eq!(choices[0], json!({ "type": "null" }));
        let other = format!("#/components/schemas/{host}");
        assert_eq!(choices[1]["$ref"], other);
    }
    assert_eq!(
        schemas["AccountPage"]["required"],
        json!(["accounts", "next"])
    );
    let required = &schemas["Problem"]["required"];
    assert_eq!(required, &json!(["type", "title", "status"]));
    assert_eq!(schemas["SignUp"]["properties"]["email"]["format"], "email");

    // No reference leads nowhere.
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas[name].is_object(), "{name}");
    }
    service.stop().await;
}

#[tokio::test]
async fn the_viewer_needs_no_other_server() {
    let service = Service::start().await;
    let response = service.get("/docs").await;
    assert_eq!(response.status(), StatusCode::OK);
    let policy = response.headers()[header::CONTENT_SECURITY_POLICY].clone();
    assert!(policy.to_str().unwrap().starts_with("default-src 'none';"));
    let page = response.text().await.unwrap();
    assert!(page.starts_with("<!doctype html>"));
    for external in ["http:", "https:", "\"//", "'//", "(//", "src=", "@import"] {
        assert!(!page.contains(external), "{external}");
    }
    assert!(page.contains(r#"fetch("openapi.json")"#));
    service.stop().await;
}

fn program(url: &str) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_guesthouse-api-example"));
    program
        .env("DATABASE_URL", url)
        .env("LISTEN", "127.0.0.1:0")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    program
}

async fn output(program: &mut Command) -> Output {
    let ended = timeout(PATIENCE, program.output()).await;
    ended.expect("it ends").unwrap()
}

#[tokio::test]
async fn the_program_refuses_a_schema_that_breaks_promises() {
    let file = File::new();
    let db = connect(&file.url()).await;
    Migrator::up(&db, None).await.unwrap();
    for index in ["hosts_user_id", "users_email"] {
        let sql = format!("DROP INDEX {index}");
        db.execute_unprepared(&sql).await.unwrap();
    }
    let refused = output(&mut program(&file.url())).await;
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(refused.stdout, b"", "it did not listen");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(
        said.contains("hosts.user_id is not unique: a user could get two hosts"),
        "{said}"
    );
    assert!(said.contains("users.email is not unique"), "{said}");
}

#[tokio::test]
async fn the_program_migrates_only_when_told() {
    let file = File::new();
    let refused = output(&mut program(&file.url())).await;
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(refused.stdout, b"", "it did not listen");

    let misspelt = output(program(&file.url()).arg("--migrat")).await;
    assert_eq!(misspelt.status.code(), Some(2));

    let unknown = output(&mut program("oracle://ada:secret@localhost/api")).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&unknown.stderr).contains("secret"));
}

/// Where the program says that it listens, as `host:port`.
async fn address_of(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await;
    let line = line.expect("it says so").unwrap().expect("it listens");
    line.strip_prefix("listening on http://")
        .unwrap()
        .to_owned()
}

#[cfg(unix)]
#[tokio::test]
async fn the_program_finishes_what_it_began() {
    let file = File::new();
    let mut child = program(&file.url()).arg("--migrate").spawn().unwrap();
    let address = address_of(&mut child).await;

    // The server asks for the body when it has begun with the request.
    let mut request = TcpStream::connect(&address).await.unwrap();
    let body = br#"{"email": "ada@example.com"}"#;
    let head = format!(
        "POST /users HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    request.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 25];
    request.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");

    let id = child.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status().await;
    assert!(sent.unwrap().success());
    let closed = async {
        while TcpStream::connect(&address).await.is_ok() {
            yield_now().await;
        }
    };
    timeout(PATIENCE, closed).await.expect("it stops listening");

    request.write_all(body).await.unwrap();
    let mut answer = String::new();
    let answered = timeout(PATIENCE, request.read_to_string(&mut answer)).await;
    answered.expect("it answers").unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    let ended = timeout(PATIENCE, child.wait()).await.expect("it ends");
    assert!(ended.unwrap().success());
}
