//! What each operation answers and does if nobody else is there.

use std::collections::BTreeMap;

use guesthouse::Email;
use uuid::Uuid;

use crate::support::email;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    Ada,
    Countess,
}

impl Address {
    pub const ALL: [Self; 2] = [Self::Ada, Self::Countess];

    pub fn email(self) -> Email {
        match self {
            Self::Ada => email("ada"),
            Self::Countess => email("countess"),
        }
    }

    pub fn of(text: &str) -> Self {
        match text {
            "ada@example.com" => Self::Ada,
            "countess@example.com" => Self::Countess,
            other => panic!("{other}"),
        }
    }
}

/// All but `SignUp`, `SignUpAll` and `FindByEmail` are about the one user of the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    SignUp(Address),
    SignUpWithId(Address),
    /// Both addresses at once.
    SignUpAll,
    ChangeEmail(Address),
    DeleteUser,
    Find,
    FindByEmail(Address),
    BecomeHost,
    BecomeHosts,
    BecomeHostInTransaction {
        commit: bool,
    },
    StopHosting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    SignedUp(Uuid, Person),
    /// For each address who was made, if it was free.
    SignedUpAll([Option<(Uuid, Person)>; 2]),
    Found(Option<(Uuid, Person)>),
    New(Uuid),
    Existing(Uuid),
    Stopped(Option<Uuid>),
    Done,
    EmailTaken,
    UserIdTaken,
    UserNotFound,
    StillHost,
    Contention,
    /// Nobody heard it: the caller had given up on the call.
    Unheard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Person {
    pub address: Address,
    pub guest: Uuid,
    pub host: Option<Uuid>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    pub people: BTreeMap<Uuid, Person>,
}

impl State {
    fn owner(&self, address: Address) -> Option<Uuid> {
        let owner = self
            .people
            .iter()
            .find(|(_, person)| person.address == address);
        owner.map(|(&user_id, _)| user_id)
    }

    /// The state after the operation, if the answer is the one that it gives in this state.
    pub fn after(&self, user_id: Uuid, operation: Operation, answer: Answer) -> Option<Self> {
        let own = self.people.get(&user_id).copied();
        let unchanged = |right: bool| right.then(|| self.clone());
        match (operation, answer) {
            // Rolled back for certain; only who writes can be in somebody's way.
            (operation, Answer::Contention) => unchanged(!matches!(
                operation,
                Operation::Find | Operation::FindByEmail(_)
            )),

            // Or it was done, and then it has one of the other answers.
            (_, Answer::Unheard) => unchanged(true),

            (Operation::SignUp(address), Answer::EmailTaken) => {
                unchanged(self.owner(address).is_some())
            }
            (Operation::SignUp(address), Answer::SignedUp(id, person)) => {
                self.with_new(address, id, person)
            }

            (Operation::SignUpWithId(address), Answer::SignedUp(id, person)) if id == user_id => {
                match own {
                    Some(own) => unchanged(own == person && own.address == address),
                    None => self.with_new(address, id, person),
                }
            }
            (Operation::SignUpWithId(address), Answer::UserIdTaken) => {
                unchanged(own.is_some_and(|own| own.address != address))
            }
            (Operation::SignUpWithId(address), Answer::EmailTaken) => {
                unchanged(own.is_none() && self.owner(address).is_some())
            }

            (Operation::SignUpAll, Answer::SignedUpAll(made)) => {
                let mut everybody = Address::ALL.into_iter().zip(made);
                everybody.try_fold(self.clone(), |state, (address, made)| match made {
                    Some((id, person)) => state.with_new(address, id, person),
                    None => self.owner(address).map(|_| state),
                })
            }

            (Operation::ChangeEmail(address), Answer::Done) => {
                let free = self.owner(address).is_none_or(|owner| owner == user_id);
                own.filter(|_| free)
                    .map(|own| self.with(user_id, Person { address, ..own }))
            }
            (Operation::ChangeEmail(address), Answer::EmailTaken) => {
                let others = self.owner(address).is_some_and(|owner| owner != user_id);
                unchanged(own.is_some() && others)
            }

            (Operation::DeleteUser, Answer::Done) => {
                let mut left = self.clone();
                let deleted = left.people.remove(&user_id)?;
                deleted.host.is_none().then_some(left)
            }
            (Operation::DeleteUser, Answer::StillHost) => {
                unchanged(own.is_some_and(|own| own.host.is_some()))
            }

            (Operation::Find, Answer::Found(found)) => {
                unchanged(found == own.map(|own| (user_id, own)))
            }
            (Operation::FindByEmail(address), Answer::Found(found)) => {
                let owner = self.owner(address);
                unchanged(found == owner.map(|owner| (owner, self.people[&owner])))
            }

            (Operation::BecomeHostInTransaction { commit: false }, Answer::New(_)) => {
                unchanged(own.is_some_and(|own| own.host.is_none()))
            }
            (
                Operation::BecomeHost
                | Operation::BecomeHosts
                | Operation::BecomeHostInTransaction { .. },
                Answer::New(host),
            ) => {
                let own = own.filter(|own| own.host.is_none())?;
                Some(self.with(
                    user_id,
                    Person {
                        host: Some(host),
                        ..own
                    },
                ))
            }
            (
                Operation::BecomeHost
                | Operation::BecomeHosts
                | Operation::BecomeHostInTransaction { .. },
                Answer::Existing(host),
            ) => unchanged(own.is_some_and(|own| own.host == Some(host))),

            (Operation::StopHosting, Answer::Stopped(None)) => {
                unchanged(own.is_none_or(|own| own.host.is_none()))
            }
            (Operation::StopHosting, Answer::Stopped(Some(host))) => {
                let own = own.filter(|own| own.host == Some(host))?;
                Some(self.with(user_id, Person { host: None, ..own }))
            }

            (
                Operation::ChangeEmail(_)
                | Operation::DeleteUser
                | Operation::BecomeHost
                | Operation::BecomeHosts
                | Operation::BecomeHostInTransaction { .. },
                Answer::UserNotFound,
            ) => unchanged(own.is_none()),

            _ => None,
        }
    }

    fn with(&self, user_id: Uuid, person: Person) -> Self {
        let mut state = self.clone();
        state.people.insert(user_id, person);
        state
    }

    fn with_new(&self, address: Address, user_id: Uuid, person: Person) -> Option<Self> {
        let as_asked = person.address == address && person.host.is_none();
        let free = self.owner(address).is_none() && !self.people.contains_key(&user_id);
        (as_asked && free).then(|| self.with(user_id, person))
    }
}
