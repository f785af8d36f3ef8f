//! What every caller heard, and whether the database agrees with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Mutex,
    time::Duration,
};

use guesthouse::{Email, Error, become_host, guest, host, retry, sign_up_with_id, user};
use sea_orm::{DatabaseConnection, EntityTrait};
use tokio::{sync::watch, time::timeout};
use uuid::Uuid;

/// When a caller stops waiting. Drivers would not.
pub const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    SignUp,
    BecomeHost,
}

/// What a caller knows after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done: this is the guest, or the host.
    Acknowledged(Uuid),
    /// It is not done.
    Refused,
    /// It may be done.
    Unknown,
}

/// All answers about one user and one operation.
#[derive(Debug, Default)]
struct Answers {
    acknowledged: BTreeSet<Uuid>,
    refused: usize,
    unknown: usize,
}

impl Answers {
    fn add(&mut self, answer: Answer) {
        match answer {
            Answer::Acknowledged(id) => {
                self.acknowledged.insert(id);
            }
            Answer::Refused => self.refused += 1,
            Answer::Unknown => self.unknown += 1,
        }
    }
}

#[derive(Debug)]
pub struct Ledger {
    answers: Mutex<BTreeMap<(Operation, Uuid), Answers>>,
    figures: watch::Sender<Figures>,
    codes: Mutex<BTreeMap<String, usize>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub calls: usize,
    pub acknowledged: usize,
    pub refused: usize,
    pub unknown: usize,
    pub out_of_time: usize,
    /// Acknowledged, and not there when the check looked.
    pub lost: usize,
}

impl Ledger {
    pub fn new() -> Self {
        Self {
            answers: Mutex::default(),
            figures: watch::Sender::new(Figures::default()),
            codes: Mutex::default(),
        }
    }

    /// Makes a call, again after contention, and notes what the caller heard.
    pub async fn call<F>(
        &self,
        operation: Operation,
        user_id: Uuid,
        call: impl Fn() -> F + Send + Sync,
    ) -> Answer
    where
        F: Future<Output = Result<Uuid, Error>> + Send,
    {
        let noted = || async {
            let outcome = call().await;
            if let Err(error) = &outcome {
                self.note_code(name_of(error));
            }
            outcome
        };
        let answer = match timeout(DEADLINE, retry(noted)).await {
            Ok(Ok(id)) => Answer::Acknowledged(id),
            Ok(Err(Error::OutcomeUnknown { .. })) => Answer::Unknown,
            Ok(Err(_)) => Answer::Refused,
            Err(_) => {
                self.figures.send_modify(|figures| figures.out_of_time += 1);
                Answer::Unknown
            }
        };
        self.note(operation, user_id, answer);
        answer
    }

    pub async fn sign_up(&self, db: &DatabaseConnection, user_id: Uuid) -> Answer {
        let call = || async {
            let account = sign_up_with_id(db, user_id, email(user_id)).await?;
            Ok(account.guest.expect("made with the user").id)
        };
        self.call(Operation::SignUp, user_id, call).await
    }

    pub async fn become_host(&self, db: &DatabaseConnection, user_id: Uuid) -> Answer {
        let call = || async { Ok(become_host(db, user_id).await?.into_model().id) };
        self.call(Operation::BecomeHost, user_id, call).await
    }

    /// The same in a transaction of the caller's.
    pub async fn become_host_in_transaction(
        &self,
        db: &DatabaseConnection,
        user_id: Uuid,
    ) -> Answer {
        let call = || {
            let db = db.clone();
            async move {
                retry::transaction(&db, async move |txn| {
                    Ok(become_host(txn, user_id).await?.into_model().id)
                })
                .await
            }
        };
        self.call(Operation::BecomeHost, user_id, call).await
    }

    /// Notes an answer that was given elsewhere.
    pub fn note(&self, operation: Operation, user_id: Uuid, answer: Answer) {
        let mut answers = self.answers.lock().unwrap();
        answers.entry((operation, user_id)).or_default().add(answer);
        drop(answers);
        self.figures.send_modify(|figures| {
            figures.calls += 1;
            match answer {
                Answer::Acknowledged(_) => figures.acknowledged += 1,
                Answer::Refused => figures.refused += 1,
                Answer::Unknown => figures.unknown += 1,
            }
        });
    }

    pub fn note_code(&self, code: String) {
        *self.codes.lock().unwrap().entry(code).or_default() += 1;
    }

    /// The codes noted since the last call.
    pub fn take_codes(&self) -> Vec<String> {
        std::mem::take(&mut *self.codes.lock().unwrap())
            .into_keys()
            .collect()
    }

    pub fn figures(&self) -> Figures {
        *self.figures.borrow()
    }

    /// How often a code was seen.
    pub fn seen(&self, code: &str) -> usize {
        let codes = self.codes.lock().unwrap();
        let with_code = codes.iter().filter(|(name, _)| name.ends_with(code));
        with_code.map(|(_, times)| times).sum()
    }

    /// Waits until so many more calls have been acknowledged: whatever came before, the database
    /// serves callers again.
    pub async fn until_acknowledged(&self, more: usize) {
        let mut figures = self.figures.subscribe();
        let enough = figures.borrow().acknowledged + more;
        let waited = timeout(
            super::database::PATIENCE,
            figures.wait_for(|figures| figures.acknowledged >= enough),
        );
        let waited = waited.await.map(|changed| changed.is_ok());
        assert_eq!(
            waited,
            Ok(true),
            "callers are served no more: {:?}",
            self.figures()
        );
    }

    /// Repeats every call that was not acknowledged, which by now must be.
    pub async fn settle(&self, db: &DatabaseConnection) {
        let open: Vec<_> = {
            let answers = self.answers.lock().unwrap();
            let open = answers
                .iter()
                .filter(|(_, answers)| answers.acknowledged.is_empty());
            open.map(|(&key, _)| key).collect()
        };
        for (operation, user_id) in open {
            let answer = match operation {
                Operation::SignUp => self.sign_up(db, user_id).await,
                Operation::BecomeHost => self.become_host(db, user_id).await,
            };
            assert!(
                matches!(answer, Answer::Acknowledged(_)),
                "{operation:?}: {answer:?}"
            );
        }
    }

    /// Everything in which the database disagrees with what callers were told.
    pub async fn check(&self, db: &DatabaseConnection) -> Result<(), Vec<String>> {
        let stored = Stored::read(db).await;
        let mut violations = stored.doubles();
        let mut lost = 0;
        let answers = self.answers.lock().unwrap();
        assert!(!answers.is_empty(), "nobody was told anything");
        for ((operation, user_id), answers) in answers.iter() {
            let rows = stored.rows(*operation, *user_id);
            for id in &answers.acknowledged {
                if !rows.contains(id) {
                    lost += 1;
                    violations.push(format!("{operation:?} of {user_id}: {id} is lost"));
                }
            }
            let refused_for_certain =
                answers.refused > 0 && answers.acknowledged.is_empty() && answers.unknown == 0;
            if refused_for_certain && !rows.is_empty() {
                violations.push(format!("{operation:?} of {user_id}: refused, yet done"));
            }
        }
        self.figures.send_modify(|figures| figures.lost = lost);
        if violations.is_empty() {
            Ok(())
        } else {
            Err(violations)
        }
    }

    /// Prints what happened.
    pub fn report(&self, group: &str) {
        let Figures {
            calls,
            acknowledged,
            refused,
            unknown,
            out_of_time,
            lost,
        } = self.figures();
        println!(
            "{group}: {calls} calls, {acknowledged} acknowledged, {lost} lost, {refused} refused, \
             {unknown} unknown ({out_of_time} at the deadline)"
        );
        for (code, times) in self.codes.lock().unwrap().iter() {
            println!("{group}: {times:>6} x {code}");
        }
    }
}

/// The rows by user.
struct Stored {
    users: BTreeSet<Uuid>,
    guests: BTreeMap<Uuid, Vec<Uuid>>,
    hosts: BTreeMap<Uuid, Vec<Uuid>>,
}

impl Stored {
    async fn read(db: &DatabaseConnection) -> Self {
        let users = user::Entity::find().all(db).await.unwrap();
        let mut guests: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for guest in guest::Entity::find().all(db).await.unwrap() {
            guests.entry(guest.user_id).or_default().push(guest.id);
        }
        let mut hosts: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for host in host::Entity::find().all(db).await.unwrap() {
            hosts.entry(host.user_id).or_default().push(host.id);
        }
        Self {
            users: users.into_iter().map(|user| user.id).collect(),
            guests,
            hosts,
        }
    }

    fn rows(&self, operation: Operation, user_id: Uuid) -> &[Uuid] {
        let rows = match operation {
            Operation::SignUp => &self.guests,
            Operation::BecomeHost => &self.hosts,
        };
        rows.get(&user_id).map_or(&[], Vec::as_slice)
    }

    /// What no user may have, whatever callers were told.
    fn doubles(&self) -> Vec<String> {
        let mut violations = Vec::new();
        for (what, rows) in [("guests", &self.guests), ("hosts", &self.hosts)] {
            for (user_id, rows) in rows {
                if rows.len() > 1 {
                    violations.push(format!("user {user_id} has {} {what}", rows.len()));
                }
                if !self.users.contains(user_id) {
                    violations.push(format!("{what} of {user_id}, who is no user"));
                }
            }
        }
        for user_id in &self.users {
            if !self.guests.contains_key(user_id) {
                violations.push(format!("user {user_id} has no guest"));
            }
        }
        violations
    }
}

pub fn email(user_id: Uuid) -> Email {
    format!("{}@example.com", user_id.simple()).parse().unwrap()
}

/// The variant and the code of an error.
pub fn name_of(error: &Error) -> String {
    let text = error.to_string();
    let code = text
        .rsplit_once("(code ")
        .map(|(_, code)| code.trim_end_matches(')'));
    let variant = match error {
        Error::EmailTaken => "EmailTaken",
        Error::UserIdTaken { .. } => "UserIdTaken",
        Error::UserNotFound { .. } => "UserNotFound",
        Error::StillHost { .. } => "StillHost",
        Error::Contention { .. } => "Contention",
        Error::OutcomeUnknown { .. } => "OutcomeUnknown",
        Error::Aborted { .. } => "Aborted",
        Error::Database { .. } => "Database",
        other => panic!("nothing here asks for that: {other:?}"),
    };
    let without_code = || match std::error::Error::source(error) {
        Some(source) => last_words(&source.to_string()),
        None => String::new(),
    };
    format!(
        "{variant} {}",
        code.map_or_else(without_code, str::to_owned)
    )
}

/// The innermost words of a driver's error, without its particulars.
fn last_words(text: &str) -> String {
    let innermost = text.rsplit(": ").next().unwrap_or(text);
    let end = innermost.find(['(', '"', '{']).unwrap_or(innermost.len());
    innermost[..end].trim().to_owned()
}
