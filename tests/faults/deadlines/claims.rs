//! What callers heard, person by person, and whether the database agrees.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use guesthouse::{guest, host, user};
use sea_orm::{DatabaseConnection, DbBackend, EntityTrait, IsolationLevel, TransactionTrait};
use uuid::Uuid;

/// A row that belongs to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    Absent,
    This(Uuid),
    /// There, and nobody heard its id.
    Some,
    /// There or not.
    Perhaps,
}

impl Row {
    fn is(self, stored: &[Uuid]) -> bool {
        match self {
            Self::Absent => stored.is_empty(),
            Self::This(id) => stored == [id],
            Self::Some => stored.len() == 1,
            Self::Perhaps => stored.len() <= 1,
        }
    }
}

/// A user as a caller heard of it.
#[derive(Clone, Debug)]
pub struct Person {
    /// Unless nobody heard it.
    pub user_id: Option<Uuid>,
    pub email: String,
    pub guest: Row,
    pub host: Row,
}

/// What a call does to a person, who may not be there before it, or after it.
#[derive(Clone, Debug)]
pub struct Change {
    pub before: Option<Person>,
    pub after: Option<Person>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub calls: usize,
    pub acknowledged: usize,
    pub refused: usize,
    pub failed: usize,
    pub dropped: usize,
    pub hung: usize,
    /// Acknowledged, and not as they were acknowledged when the check looked.
    pub lost: usize,
}

#[derive(Debug, Default)]
struct Book {
    figures: Figures,
    codes: BTreeMap<String, usize>,
    certain: Vec<Person>,
    either: Vec<Vec<Change>>,
    violations: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Claims(Mutex<Book>);

impl Claims {
    pub fn new() -> Self {
        Self::default()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }

    pub fn count(&self, count: impl FnOnce(&mut Figures)) {
        count(&mut self.book().figures);
    }

    pub fn note_code(&self, code: String) {
        *self.book().codes.entry(code).or_default() += 1;
    }

    /// This person is there, just so.
    pub fn certain(&self, person: Person) {
        self.book().certain.push(person);
    }

    /// All of these changes were made, or none.
    pub fn either(&self, changes: Vec<Change>) {
        self.book().either.push(changes);
    }

    pub fn violated(&self, what: String) {
        self.book().violations.push(what);
    }

    pub fn figures(&self) -> Figures {
        self.book().figures
    }

    /// The first ones, if there are any.
    pub fn violations(&self) -> Vec<String> {
        self.book().violations.iter().take(10).cloned().collect()
    }

    /// Compares everything that is stored with everything that was claimed, but for one user.
    pub async fn check(&self, db: &DatabaseConnection, apart_from: Uuid) {
        let mut stored = read(db).await;
        stored.retain(|_, row| row.user_id != apart_from);
        let mut book = self.book();
        let book = &mut *book;
        for row in stored.values() {
            if row.guests.len() != 1 || row.hosts.len() > 1 {
                book.violations
                    .push(format!("not one guest, or two hosts: {row:?}"));
            }
        }
        for person in &book.certain {
            let found = stored.remove(&person.email);
            if !found.as_ref().is_some_and(|row| row.is(person)) {
                book.figures.lost += 1;
                book.violations
                    .push(format!("lost: {person:?}, stored: {found:?}"));
            }
        }
        for changes in &book.either {
            let explained = [
                |change: &Change| change.before.clone(),
                |change: &Change| change.after.clone(),
            ]
            .into_iter()
            .any(|moment| {
                changes
                    .iter()
                    .all(|change| holds(&stored, change, moment(change).as_ref()))
            });
            if !explained {
                book.violations
                    .push(format!("neither done nor not done: {changes:?}"));
            }
            for change in changes {
                for email in change.emails() {
                    stored.remove(email);
                }
            }
        }
        for row in stored.values() {
            book.violations.push(format!("nobody knows of {row:?}"));
        }
    }

    /// Prints what happened.
    pub fn report(&self, group: &str) {
        let book = self.book();
        let Figures {
            calls,
            acknowledged,
            refused,
            failed,
            dropped,
            hung,
            lost,
        } = book.figures;
        println!(
            "{group}: {calls} calls, {acknowledged} acknowledged, {lost} lost, {refused} refused, \
             {failed} failed, {dropped} dropped, {hung} hung, {} violations",
            book.violations.len()
        );
        for (code, times) in &book.codes {
            println!("{group}: {times:>6} x {code}");
        }
    }
}

impl Change {
    fn emails(&self) -> impl Iterator<Item = &String> {
        let both = [&self.before, &self.after].into_iter().flatten();
        both.map(|person| &person.email)
    }
}

/// Whether a person is as expected, and nowhere else.
fn holds(stored: &BTreeMap<String, Stored>, change: &Change, expected: Option<&Person>) -> bool {
    change
        .emails()
        .all(|email| match (stored.get(email), expected) {
            (Some(row), Some(person)) if person.email == *email => row.is(person),
            (None, Some(person)) => person.email != *email,
            (found, _) => found.is_none(),
        })
}

/// A user with the ids of its rows.
#[derive(Debug)]
struct Stored {
    user_id: Uuid,
    guests: Vec<Uuid>,
    hosts: Vec<Uuid>,
}

impl Stored {
    fn is(&self, person: &Person) -> bool {
        person.user_id.is_none_or(|id| id == self.user_id)
            && person.guest.is(&self.guests)
            && person.host.is(&self.hosts)
    }
}

/// All users by their addresses, at one moment.
async fn read(db: &DatabaseConnection) -> BTreeMap<String, Stored> {
    let level = match db.get_database_backend() {
        DbBackend::Sqlite => None,
        _ => Some(IsolationLevel::RepeatableRead),
    };
    let txn = db.begin_with_config(level, None).await.unwrap();
    let mut guests: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for guest in guest::Entity::find().all(&txn).await.unwrap() {
        guests.entry(guest.user_id).or_default().push(guest.id);
    }
    let mut hosts: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for host in host::Entity::find().all(&txn).await.unwrap() {
        hosts.entry(host.user_id).or_default().push(host.id);
    }
    let users = user::Entity::find().all(&txn).await.unwrap();
    txn.commit().await.unwrap();
    let stored = users.into_iter().map(|user| {
        let row = Stored {
            user_id: user.id,
            guests: guests.remove(&user.id).unwrap_or_default(),
            hosts: hosts.remove(&user.id).unwrap_or_default(),
        };
        (user.email, row)
    });
    stored.collect()
}
