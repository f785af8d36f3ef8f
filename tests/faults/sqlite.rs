//! One SQLite file, several processes, some of them killed.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, ExitCode, Stdio},
    sync::Arc,
    thread::JoinHandle,
};

use sea_orm::{ConnectionTrait, DatabaseConnection};
use tempfile::TempDir;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    database,
    ledger::{Answer, Ledger, Operation},
    load::ids_from,
    twin,
};

const WRITERS: usize = 4;
const KILLS: usize = 3;
/// What is heard from the writers between two kills.
const BETWEEN: usize = 1_000;

const ORDERS: &str = "GUESTHOUSE_FAULTS_WRITER";

pub async fn writers_are_killed() {
    for journal in ["WAL", "DELETE"] {
        let folder = TempDir::new().unwrap();
        let url = file(&folder, journal).await;
        let ledger = Arc::new(Ledger::new());
        let first = Uuid::now_v7();
        let mut writers: Vec<_> = (0..WRITERS)
            .map(|_| Writer::start(&url, "load", first, &ledger))
            .collect();
        for _ in 0..KILLS {
            ledger.until_acknowledged(BETWEEN).await;
            // Two at once, in whatever they are doing; two more take their place.
            for killed in writers.drain(..2) {
                killed.kill();
            }
            writers.extend((0..2).map(|_| Writer::start(&url, "load", first, &ledger)));
        }
        ledger.until_acknowledged(BETWEEN).await;
        for writer in writers {
            writer.kill();
        }

        let db = database::pool(&url, 2).await;
        let healthy: String = database::ask(&db, "PRAGMA integrity_check").await.unwrap();
        assert_eq!(healthy, "ok");
        assert_eq!(ledger.check(&db).await, Ok(()));
        ledger.settle(&db).await;
        assert_eq!(ledger.check(&db).await, Ok(()));
        ledger.report(&format!("sqlite, journal {journal}"));

        twin_processes_are_caught(&url, &db).await;
    }
}

async fn file(folder: &TempDir, journal: &str) -> String {
    let url = format!("sqlite://{}/{journal}.db?mode=rwc", folder.path().display());
    let db = database::pool(&url, 1).await;
    // It stays with the file.
    let pragma = format!("PRAGMA journal_mode = {journal}");
    db.execute_unprepared(&pragma).await.unwrap();
    db.close().await.unwrap();
    database::migrate(&url).await;
    url
}

/// Two processes that both read before either inserts, without the unique index.
async fn twin_processes_are_caught(url: &str, db: &DatabaseConnection) {
    let ledger = Arc::new(Ledger::new());
    let user_id = Uuid::now_v7();
    ledger.sign_up(db, user_id).await;
    db.execute_unprepared(twin::DROP_INDEX).await.unwrap();
    let mut twins: Vec<_> = (0..2)
        .map(|_| Writer::start(url, "twin", user_id, &ledger))
        .collect();
    for twin in &mut twins {
        twin.has_read.recv().await.unwrap();
    }
    for twin in &mut twins {
        twin.orders.write_all(b"go\n").unwrap();
    }
    for twin in twins {
        twin.end();
    }
    let violations = ledger.check(db).await;
    assert_eq!(violations, Err(vec![format!("user {user_id} has 2 hosts")]));
}

/// This program again, as a process that writes.
///
/// It says what it is about to do before it does it, and what it was told after, a line each: what
/// it had begun when it was killed is unknown.
struct Writer {
    process: Child,
    orders: ChildStdin,
    has_read: mpsc::UnboundedReceiver<()>,
    listener: JoinHandle<()>,
}

impl Writer {
    fn start(url: &str, role: &str, first: Uuid, ledger: &Arc<Ledger>) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .env(ORDERS, format!("{role} {first} {url}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        let (reads, has_read) = mpsc::unbounded_channel();
        let ledger = ledger.clone();
        let listener = std::thread::spawn(move || listen(lines, &ledger, &reads));
        Self {
            orders: process.stdin.take().unwrap(),
            process,
            has_read,
            listener,
        }
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.end();
    }

    fn end(mut self) {
        self.process.wait().unwrap();
        self.listener.join().unwrap();
    }
}

fn listen(mut lines: impl BufRead, ledger: &Ledger, reads: &mpsc::UnboundedSender<()>) {
    let mut begun = None;
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["begin", operation, user_id] => {
                let operation = match operation {
                    "sign_up" => Operation::SignUp,
                    _ => Operation::BecomeHost,
                };
                begun = Some((operation, user_id.parse().unwrap()));
            }
            ["told", answer] => {
                let (operation, user_id) = begun.take().unwrap();
                let answer = match answer {
                    "refused" => Answer::Refused,
                    "unknown" => Answer::Unknown,
                    id => Answer::Acknowledged(id.parse().unwrap()),
                };
                ledger.note(operation, user_id, answer);
            }
            ["code", ..] => ledger.note_code(words[1..].join(" ")),
            ["read"] => reads.send(()).unwrap(),
            _ => panic!("{line}"),
        }
        line.clear();
    }
    if let Some((operation, user_id)) = begun {
        ledger.note(operation, user_id, Answer::Unknown);
    }
}

/// What a process that writes is to do.
pub struct Orders {
    role: String,
    first: Uuid,
    url: String,
}

/// The orders, if this process is one that writes.
pub fn orders() -> Option<Orders> {
    let orders = env::var(ORDERS).ok()?;
    let words: Vec<_> = orders.splitn(3, ' ').collect();
    let [role, first, url] = words[..] else {
        panic!("{orders}")
    };
    Some(Orders {
        role: role.to_owned(),
        first: first.parse().unwrap(),
        url: url.to_owned(),
    })
}

pub fn write(orders: &Orders) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let db = database::pool(&orders.url, 1).await;
        if orders.role == "twin" {
            write_as_twin(&db, orders.first).await;
        } else {
            write_until_killed(&db, orders.first).await;
        }
    });
    ExitCode::SUCCESS
}

async fn write_until_killed(db: &DatabaseConnection, first: Uuid) {
    // Only to classify: what counts is what the other process hears.
    let ledger = Ledger::new();
    for user_id in ids_from(first) {
        println!("begin sign_up {user_id}");
        tell(ledger.sign_up(db, user_id).await);
        println!("begin become_host {user_id}");
        tell(ledger.become_host(db, user_id).await);
        for code in ledger.take_codes() {
            println!("code {code}");
        }
    }
}

async fn write_as_twin(db: &DatabaseConnection, user_id: Uuid) {
    let found = twin::find(db, user_id).await;
    println!("read");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    assert_eq!(found, None);
    println!("begin become_host {user_id}");
    tell(Answer::Acknowledged(twin::insert(db, user_id).await.id));
}

fn tell(answer: Answer) {
    match answer {
        Answer::Acknowledged(id) => println!("told {id}"),
        Answer::Refused => println!("told refused"),
        Answer::Unknown => println!("told unknown"),
    }
}
