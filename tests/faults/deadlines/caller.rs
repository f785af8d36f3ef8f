//! One caller and the people it works for, nobody else's.
//!
//! Nobody knows when a dropped call that was on its way ends. So its caller leaves the people of
//! that call alone from then on, and the check accepts both outcomes.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use guesthouse::{
    Account, Email, Error, Session, backfill_guests, become_host, become_hosts, change_email,
    delete_user, retry, sign_up, sign_up_all, sign_up_with_id, stop_hosting, user,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseConnection, TransactionSession,
    TransactionTrait,
};
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    claims::{Change, Claims, Person, Row},
    give_up::{Ended, GiveUp},
    twin,
};
use crate::ledger::name_of;

/// Somebody's address, who is a host and whom nobody works for.
pub const TAKEN: &str = "taken@example.com";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hands {
    Ours,
    /// The twin's.
    ByHand,
}

impl Hands {
    /// No call may take longer. Eight attempts that each wait for a lock take half of it; a twin is
    /// in no need of so many.
    fn watchdog(self) -> Duration {
        match self {
            Self::Ours => Duration::from_secs(30),
            Self::ByHand => Duration::from_secs(5),
        }
    }

    /// When callers stop, though they have calls left: a twin loses rows long before it has made all
    /// of its calls, or waits for a lock that nobody gives back.
    fn time_is_up(self) -> Option<Duration> {
        match self {
            Self::Ours => None,
            Self::ByHand => Some(Duration::from_secs(5)),
        }
    }
}

pub struct Caller {
    name: usize,
    db: DatabaseConnection,
    hands: Hands,
    rng: fastrand::Rng,
    claims: Arc<Claims>,
    people: Vec<Person>,
    addresses: usize,
    calls: usize,
}

/// What a call did for all that its caller knows.
#[derive(Debug)]
enum Told {
    Done(Vec<Change>),
    Refused(Vec<Change>),
    Failed(Vec<Change>, Error),
    /// Nobody waited for the answer.
    Nothing(Vec<Change>),
}

impl Told {
    fn of<T>(
        outcome: Option<Result<T, Error>>,
        changes: Vec<Change>,
        done: impl FnOnce(T) -> Vec<Change>,
    ) -> Self {
        match outcome {
            Some(Ok(answer)) => Self::Done(done(answer)),
            Some(Err(error)) => Self::Failed(changes, error),
            None => Self::Nothing(changes),
        }
    }

    fn changes(self) -> Vec<Change> {
        match self {
            Self::Done(changes)
            | Self::Refused(changes)
            | Self::Failed(changes, _)
            | Self::Nothing(changes) => changes,
        }
    }
}

impl Caller {
    pub fn new(
        name: usize,
        db: DatabaseConnection,
        hands: Hands,
        rng: fastrand::Rng,
        claims: Arc<Claims>,
    ) -> Self {
        Self {
            name,
            db,
            hands,
            rng,
            claims,
            people: Vec::new(),
            addresses: 0,
            calls: 0,
        }
    }

    pub async fn work(mut self, calls: usize) {
        let began = Instant::now();
        let time_is_up = self.hands.time_is_up().unwrap_or(Duration::MAX);
        let db = self.db.clone();
        while self.calls < calls && began.elapsed() < time_is_up {
            let told = match self.rng.u8(..20) {
                0..4 => {
                    self.own_transaction(&db).await;
                    continue;
                }
                4 if self.hands == Hands::Ours => {
                    self.backfill().await;
                    continue;
                }
                5..8 if self.hands == Hands::Ours => self.retried_transaction().await,
                8..11 if self.hands == Hands::Ours => {
                    self.on_a_session().await;
                    continue;
                }
                _ => self.call(&db).await,
            };
            if let Told::Failed(_, error) = &told {
                self.excuse(error, false);
            }
            self.believe(told);
        }
        for person in self.people {
            self.claims.certain(person);
        }
    }

    /// Calls in the caller's transaction, some of which are dropped. It is committed, unless one of
    /// them failed.
    async fn own_transaction<C: TransactionTrait>(&mut self, db: &C) {
        let txn = match timeout(self.hands.watchdog(), db.begin()).await {
            Ok(Ok(txn)) => txn,
            Ok(Err(error)) => return self.claims.violated(format!("BEGIN: {error:?}")),
            Err(_) => return self.claims.violated("BEGIN hung".to_owned()),
        };
        let mut answers = Vec::new();
        let mut dropped = false;
        for _ in 0..self.rng.usize(1..=4) {
            let told = self.call(&txn).await;
            dropped |= matches!(told, Told::Nothing(_));
            let error = match &told {
                Told::Failed(_, error) => Some(error.clone()),
                _ => None,
            };
            answers.push(told);
            if let Some(error) = error {
                self.excuse(&error, dropped);
                // Whatever comes of it, nothing is committed.
                if timeout(self.hands.watchdog(), txn.rollback())
                    .await
                    .is_err()
                {
                    self.claims.violated("ROLLBACK hung".to_owned());
                }
                for told in answers {
                    self.restore(told.changes());
                }
                return;
            }
        }
        match timeout(self.hands.watchdog(), txn.commit()).await {
            Ok(Ok(())) => {
                for told in answers {
                    self.believe(told);
                }
                return;
            }
            Ok(Err(source)) => {
                let name = name_of(&Error::Database { source });
                self.claims.note_code(format!("COMMIT: {name}"));
                if !dropped {
                    self.claims.violated(format!("COMMIT: {name}"));
                }
            }
            Err(_) => self.claims.violated("COMMIT hung".to_owned()),
        }
        for told in answers {
            self.claims.either(told.changes());
        }
    }

    /// Calls on one connection, some of which are dropped, and at times a transaction in the end.
    async fn on_a_session(&mut self) {
        let acquiring = Session::acquire(&self.db);
        let session = match timeout(self.hands.watchdog(), acquiring).await {
            Ok(Ok(session)) => session,
            other => return self.claims.violated(format!("a session: {other:?}")),
        };
        let mut dropped = false;
        for _ in 0..self.rng.usize(1..=4) {
            let told = self.call(&session).await;
            if let Told::Failed(_, error) = &told {
                self.excuse(error, dropped);
            }
            dropped |= matches!(told, Told::Nothing(_));
            self.believe(told);
        }
        if !dropped {
            self.own_transaction(&session).await;
        }
        if self.rng.bool() {
            session.release().await;
        }
    }

    /// Two or three calls in a transaction of the library's.
    async fn retried_transaction(&mut self) -> Told {
        let first = self.address();
        let second = self.rng.bool().then(|| self.address());
        let mut supposed = appears(second.as_ref().unwrap_or(&first));
        supposed.after = supposed.after.map(|person| Person {
            host: Row::Some,
            ..person
        });
        let db = self.db.clone();
        let call = retry::transaction(&db, async move |txn| {
            let Account { user, guest, .. } = sign_up(txn, first.clone()).await?;
            let host = become_host(txn, user.id).await?.into_model();
            let user = match &second {
                Some(second) => change_email(txn, user.id, second.clone()).await?,
                None => user,
            };
            Ok(Person {
                user_id: Some(user.id),
                email: user.email,
                guest: guest.map_or(Row::Absent, |guest| Row::This(guest.id)),
                host: Row::This(host.id),
            })
        });
        let outcome = self.make(call).await;
        Told::of(outcome, vec![supposed], |person| {
            vec![Change {
                before: None,
                after: Some(person),
            }]
        })
    }

    /// Gives a user whom the app inserted by itself a guest, and whoever else has none.
    async fn backfill(&mut self) {
        let email = self.address();
        let user = user::ActiveModel {
            email: Set(email.as_ref().to_owned()),
            ..Default::default()
        };
        let inserted = match timeout(self.hands.watchdog(), user.insert(&self.db)).await {
            Ok(Ok(inserted)) => inserted,
            other => return self.claims.violated(format!("an insert: {other:?}")),
        };
        let db = self.db.clone();
        let outcome = self.make(backfill_guests(&db, |_| {})).await;
        if let Some(Err(error)) = &outcome {
            self.excuse(error, false);
        }
        self.claims.certain(Person {
            user_id: Some(inserted.id),
            email: inserted.email,
            guest: match outcome {
                Some(Ok(_)) => Row::Some,
                // Another caller's call may have.
                _ => Row::Perhaps,
            },
            host: Row::Absent,
        });
    }

    /// A random call about some of the caller's people.
    async fn call<C>(&mut self, db: &C) -> Told
    where
        C: ConnectionTrait + TransactionTrait,
    {
        if self.hands == Hands::ByHand {
            return match self.anybody() {
                Some(person) if person.host == Row::Absent => {
                    self.become_host_by_hand(db, person).await
                }
                spare => {
                    self.people.extend(spare);
                    self.sign_up_by_hand(db).await
                }
            };
        }
        let operation = self.rng.u8(..10);
        match operation {
            0 => return self.sign_up(db).await,
            1 => return self.sign_up_with_id(db).await,
            2 => return self.sign_up_all(db).await,
            3 => return self.sign_up_as_somebody_else(db).await,
            4 => return self.become_hosts(db).await,
            _ => {}
        }
        let Some(person) = self.anybody() else {
            return self.sign_up(db).await;
        };
        match operation {
            5 | 6 => self.become_host(db, person).await,
            7 => self.stop_hosting(db, person).await,
            8 => self.change_email(db, person).await,
            _ => self.delete_user(db, person).await,
        }
    }

    async fn sign_up<C>(&mut self, db: &C) -> Told
    where
        C: ConnectionTrait + TransactionTrait,
    {
        let email = self.address();
        let supposed = appears(&email);
        let outcome = self.make(sign_up(db, email)).await;
        Told::of(outcome, vec![supposed], |account| vec![appeared(&account)])
    }

    async fn sign_up_with_id<C>(&mut self, db: &C) -> Told
    where
        C: ConnectionTrait + TransactionTrait,
    {
        let email = self.address();
        let supposed = appears(&email);
        let outcome = self.make(sign_up_with_id(db, Uuid::now_v7(), email)).await;
        Told::of(outcome, vec![supposed], |account| vec![appeared(&account)])
    }

    async fn sign_up_all<C>(&mut self, db: &C) -> Told
    where
        C: ConnectionTrait + TransactionTrait,
    {
        let mut emails: Vec<_> = (0..3).map(|_| self.address()).collect();
        let supposed = emails.iter().map(appears).collect();
        let taken: Email = TAKEN.parse().unwrap();
        emails.push(taken.clone());
        let outcome = self.make(sign_up_all(db, emails)).await;
        let claims = self.claims.clone();
        Told::of(outcome, supposed, |sign_ups| {
            if sign_ups.created.len() != 3 || sign_ups.taken != [taken] {
                claims.violated(format!("sign_up_all: {sign_ups:?}"));
            }
            sign_ups.created.iter().map(appeared).collect()
        })
    }

    async fn sign_up_as_somebody_else<C>(&mut self, db: &C) -> Told
    where
        C: ConnectionTrait + TransactionTrait,
    {
        let outcome = self.make(sign_up(db, TAKEN.parse().unwrap())).await;
        self.refused(outcome, Vec::new(), |error| {
            matches!(error, Error::EmailTaken)
        })
    }

    async fn become_host<C>(&mut self, db: &C, person: Person) -> Told
    where
        C: ConnectionTrait + TransactionTrait,
    {
        let outcome = self.make(become_host(db, id(&person))).await;
        let supposed = becomes_host(&person);
        let claims = self.claims.clone();
        Told::of(outcome, vec![supposed], |onboarding| {
            let (is_new, host) = (onboarding.is_new(), onboarding.into_model().id);
            vec![became_host(&claims, person, is_new, host)]
        })
    }

    async fn become_hosts<C>(&mut self, db: &C) -> Told
    where
        C: ConnectionTrait + TransactionTrait,
    {
        let people: Vec<_> = (0..3).filter_map(|_| self.anybody()).collect();
        let ids: Vec<_> = people.iter().map(id).collect();
        let outcome = self.make(become_hosts(db, &ids)).await;
        let supposed = people.iter().map(becomes_host).collect();
        let claims = self.claims.clone();
        Told::of(outcome, supposed, |onboardings| {
            let hosts: BTreeMap<_, _> = onboardings
                .new
                .iter()
                .map(|host| (host.user_id, (true, host.id)))
                .chain(
                    onboardings
                        .existing
                        .iter()
                        .map(|host| (host.user_id, (false, host.id))),
                )
                .collect();
            let mut changes = Vec::new();
            for person in people {
                match hosts.get(&id(&person)) {
                    Some(&(is_new, host)) => {
                        changes.push(became_host(&claims, person, is_new, host));
                    }
                    None => {
                        claims.violated(format!("become_hosts leaves out {person:?}"));
                        claims.certain(person);
                    }
                }
            }
            changes
        })
    }

    async fn stop_hosting<C>(&mut self, db: &C, person: Person) -> Told
    where
        C: ConnectionTrait + TransactionTrait,
    {
        let outcome = self.make(stop_hosting(db, id(&person))).await;
        let stopped = Change {
            before: Some(person.clone()),
            after: Some(Person {
                host: Row::Absent,
                ..person.clone()
            }),
        };
        let claims = self.claims.clone();
        Told::of(outcome, vec![stopped.clone()], |host| {
            let host = host.map_or(Row::Absent, |host| Row::This(host.id));
            if host != person.host {
                claims.violated(format!("stop_hosting: {host:?} of {person:?}"));
            }
            vec![stopped]
        })
    }

    async fn change_email<C>(&mut self, db: &C, person: Person) -> Told
    where
        C: ConnectionTrait + TransactionTrait,
    {
        if self.rng.bool() {
            let call = change_email(db, id(&person), TAKEN.parse().unwrap());
            let outcome = self.make(call).await;
            return self.refused(outcome, vec![stays(person)], |error| {
                matches!(error, Error::EmailTaken)
            });
        }
        let email = self.address();
        let changed = Change {
            before: Some(person.clone()),
            after: Some(Person {
                email: email.as_ref().to_owned(),
                ..person.clone()
            }),
        };
        let outcome = self.make(change_email(db, id(&person), email)).await;
        Told::of(outcome, vec![changed.clone()], |_| vec![changed])
    }

    async fn delete_user<C>(&mut self, db: &C, person: Person) -> Told
    where
        C: ConnectionTrait + TransactionTrait,
    {
        let outcome = self.make(delete_user(db, id(&person))).await;
        if person.host != Row::Absent {
            return self.refused(outcome, vec![stays(person)], |error| {
                matches!(error, Error::StillHost { .. })
            });
        }
        let deleted = Change {
            before: Some(person),
            after: None,
        };
        Told::of(outcome, vec![deleted.clone()], |()| vec![deleted])
    }

    async fn sign_up_by_hand<C>(&mut self, db: &C) -> Told
    where
        C: ConnectionTrait + TransactionTrait,
    {
        let email = self.address();
        let supposed = appears(&email);
        let outcome = self.make(twin::sign_up(db, email.as_ref())).await;
        Told::of(outcome, vec![supposed.clone()], |(user_id, guest)| {
            let known = |person| Person {
                user_id: Some(user_id),
                guest: Row::This(guest),
                ..person
            };
            vec![Change {
                before: None,
                after: supposed.after.map(known),
            }]
        })
    }

    async fn become_host_by_hand<C>(&mut self, db: &C, person: Person) -> Told
    where
        C: ConnectionTrait + TransactionTrait,
    {
        let outcome = self.make(twin::become_host(db, id(&person))).await;
        let supposed = becomes_host(&person);
        let claims = self.claims.clone();
        Told::of(outcome, vec![supposed], |host| {
            vec![became_host(&claims, person, true, host)]
        })
    }

    /// Makes a call that its caller may give up on, and counts it.
    async fn make<T>(
        &mut self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Option<Result<T, Error>> {
        self.calls += 1;
        let ended = GiveUp::random(&mut self.rng)
            .on(call, self.hands.watchdog())
            .await;
        self.claims.count(|figures| {
            figures.calls += 1;
            match &ended {
                Ended::Heard(Ok(_)) => figures.acknowledged += 1,
                Ended::Heard(Err(Error::EmailTaken | Error::StillHost { .. })) => {
                    figures.refused += 1;
                }
                Ended::Heard(Err(_)) => figures.failed += 1,
                Ended::Dropped => figures.dropped += 1,
                Ended::Hung => figures.hung += 1,
            }
        });
        match ended {
            Ended::Heard(outcome) => {
                if let Err(error) = &outcome {
                    self.claims.note_code(name_of(error));
                }
                Some(outcome)
            }
            Ended::Dropped => None,
            Ended::Hung => {
                self.claims.violated("a call hung".to_owned());
                None
            }
        }
    }

    /// The answer to a call that has to be refused.
    fn refused<T>(
        &self,
        outcome: Option<Result<T, Error>>,
        changes: Vec<Change>,
        right: impl FnOnce(&Error) -> bool,
    ) -> Told {
        match outcome {
            None => Told::Nothing(changes),
            Some(Err(error)) if right(&error) => Told::Refused(changes),
            Some(Err(error)) => Told::Failed(changes, error),
            Some(Ok(_)) => {
                self.claims
                    .violated(format!("done, and not refused: {changes:?}"));
                Told::Refused(changes)
            }
        }
    }

    /// Contention may come at any time. Another failure has no cause here but a call that was
    /// dropped in the same transaction.
    fn excuse(&self, error: &Error, dropped_before: bool) {
        if !dropped_before && !matches!(error, Error::Contention { .. }) {
            self.claims
                .violated(format!("for no reason: {}", name_of(error)));
        }
    }

    fn believe(&mut self, told: Told) {
        match told {
            Told::Done(changes) => {
                let after = changes.into_iter().filter_map(|change| change.after);
                self.people.extend(after);
            }
            Told::Refused(changes) => self.restore(changes),
            Told::Failed(changes, Error::OutcomeUnknown { .. }) | Told::Nothing(changes) => {
                self.claims.either(changes);
            }
            Told::Failed(changes, _) => self.restore(changes),
        }
    }

    fn restore(&mut self, changes: Vec<Change>) {
        let before = changes.into_iter().filter_map(|change| change.before);
        self.people.extend(before);
    }

    fn anybody(&mut self) -> Option<Person> {
        let nth = self.rng.usize(..self.people.len().max(1));
        (nth < self.people.len()).then(|| self.people.swap_remove(nth))
    }

    fn address(&mut self) -> Email {
        self.addresses += 1;
        let address = format!("caller{}-{}@example.com", self.name, self.addresses);
        address.parse().unwrap()
    }
}

fn id(person: &Person) -> Uuid {
    person.user_id.expect("who is worked for is known")
}

/// Somebody of whom nothing but the address is known.
fn appears(email: &Email) -> Change {
    Change {
        before: None,
        after: Some(Person {
            user_id: None,
            email: email.as_ref().to_owned(),
            guest: Row::Some,
            host: Row::Absent,
        }),
    }
}

fn appeared(account: &Account) -> Change {
    let guest = account.guest.as_ref();
    Change {
        before: None,
        after: Some(Person {
            user_id: Some(account.user.id),
            email: account.user.email.clone(),
            guest: guest.map_or(Row::Absent, |guest| Row::This(guest.id)),
            host: Row::Absent,
        }),
    }
}

fn stays(person: Person) -> Change {
    Change {
        before: Some(person.clone()),
        after: Some(person),
    }
}

fn becomes_host(person: &Person) -> Change {
    let host = match person.host {
        Row::Absent => Row::Some,
        host => host,
    };
    Change {
        before: Some(person.clone()),
        after: Some(Person {
            host,
            ..person.clone()
        }),
    }
}

fn became_host(claims: &Claims, person: Person, is_new: bool, host: Uuid) -> Change {
    let host = Row::This(host);
    let right = match person.host {
        Row::Absent => is_new,
        existing => !is_new && existing == host,
    };
    if !right {
        claims.violated(format!("become_host: new {is_new}, {host:?} of {person:?}"));
    }
    Change {
        before: Some(person.clone()),
        after: Some(Person { host, ..person }),
    }
}
