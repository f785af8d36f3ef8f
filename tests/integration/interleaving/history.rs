//! Whether a history of concurrent calls can be explained by one call after the other.

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;

use super::model::{Address, Answer, Operation, Person, State};

/// A call and its answer, and when it began and ended.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub operation: Operation,
    pub answer: Answer,
    pub begun: u64,
    pub ended: u64,
}

/// Whether there is an order of the calls in which the model gives these answers, ending in `after`
/// if that is known. A call that had ended before another began comes before it; one whose answer
/// nobody heard was done or not, and at any time after it began.
///
/// The search is that of Wing and Gong, with what failed once remembered (Lowe, "Testing for
/// linearizability", 2017).
pub fn explain(user_id: Uuid, before: &State, events: &[Event], after: Option<&State>) -> bool {
    assert!(!events.is_empty() && events.len() <= 32);
    let mut search = Search {
        user_id,
        events,
        after,
        made: Made::in_history(before, events, after),
        failed: HashSet::new(),
    };
    search.from(before, 0)
}

struct Search<'a> {
    user_id: Uuid,
    events: &'a [Event],
    after: Option<&'a State>,
    made: Made,
    failed: HashSet<(u32, State)>,
}

impl Search<'_> {
    /// Whether the calls that are not in `done`, a bit for each, can follow on this state.
    fn from(&mut self, state: &State, done: u32) -> bool {
        if done.count_ones() as usize == self.events.len() {
            return self.after.is_none_or(|after| after == state);
        }
        if self.failed.contains(&(done, state.clone())) {
            return false;
        }
        for (n, event) in self.events.iter().enumerate() {
            if done & (1 << n) != 0 || self.must_wait(event, done) {
                continue;
            }
            let mut answers = vec![event.answer];
            if event.answer == Answer::Unheard {
                answers.extend(self.made.answers(self.user_id, event.operation, state, n));
            }
            let explained = answers.into_iter().any(|answer| {
                let next = state.after(self.user_id, event.operation, answer);
                next.is_some_and(|next| self.from(&next, done | (1 << n)))
            });
            if explained {
                return true;
            }
        }
        self.failed.insert((done, state.clone()));
        false
    }

    /// Whether a call that is still to be placed had ended before this one began.
    fn must_wait(&self, event: &Event, done: u32) -> bool {
        let mut open = (0..).zip(self.events).filter(|(n, _)| done & (1 << n) == 0);
        open.any(|(_, other)| other.ended < event.begun && other.answer != Answer::Unheard)
    }
}

/// Every row that anybody saw: what a call whose answer nobody heard may have made.
struct Made {
    people: BTreeSet<(Uuid, Uuid)>,
    hosts: BTreeSet<Uuid>,
}

impl Made {
    fn in_history(before: &State, events: &[Event], after: Option<&State>) -> Self {
        let mut made = Self {
            people: BTreeSet::new(),
            hosts: BTreeSet::new(),
        };
        for state in [Some(before), after].into_iter().flatten() {
            for (&user_id, person) in &state.people {
                made.see(user_id, person);
            }
        }
        for event in events {
            match event.answer {
                Answer::SignedUp(user_id, person) | Answer::Found(Some((user_id, person))) => {
                    made.see(user_id, &person);
                }
                Answer::SignedUpAll(people) => {
                    for (user_id, person) in people.into_iter().flatten() {
                        made.see(user_id, &person);
                    }
                }
                Answer::New(host) | Answer::Existing(host) | Answer::Stopped(Some(host)) => {
                    made.hosts.insert(host);
                }
                _ => {}
            }
        }
        made
    }

    fn see(&mut self, user_id: Uuid, person: &Person) {
        self.people.insert((user_id, person.guest));
        self.hosts.extend(person.host);
    }

    /// The answers that would mean that the call changed something. What it made may have gone
    /// before anybody saw it: then the number of the call stands for its id.
    fn answers(&self, user_id: Uuid, call: Operation, state: &State, number: usize) -> Vec<Answer> {
        let unseen = |part: u128| Uuid::from_u128(number as u128 * 4 + part);
        let signed_up = |address: Address, user_ids: Option<Uuid>| {
            let mut people = self.people.clone();
            let part = address as u128 * 2;
            people.insert((user_ids.unwrap_or(unseen(part)), unseen(part + 1)));
            people.retain(|(id, _)| user_ids.is_none_or(|only| *id == only));
            let person = move |guest| Person {
                address,
                guest,
                host: None,
            };
            people
                .into_iter()
                .map(move |(id, guest)| (id, person(guest)))
        };
        match call {
            Operation::SignUp(address) => signed_up(address, None)
                .map(|(id, person)| Answer::SignedUp(id, person))
                .collect(),
            Operation::SignUpWithId(address) => signed_up(address, Some(user_id))
                .map(|(id, person)| Answer::SignedUp(id, person))
                .collect(),
            Operation::SignUpAll => {
                let [first, second] = Address::ALL.map(|address| {
                    let made = signed_up(address, None).map(Some);
                    made.chain([None]).collect::<Vec<_>>()
                });
                let pairs = first
                    .iter()
                    .flat_map(|&one| second.iter().map(move |&other| [one, other]));
                pairs.map(Answer::SignedUpAll).collect()
            }
            Operation::ChangeEmail(_) | Operation::DeleteUser => vec![Answer::Done],
            Operation::BecomeHost | Operation::BecomeHosts => {
                let hosts = self.hosts.iter().copied().chain([unseen(0)]);
                hosts.map(Answer::New).collect()
            }
            Operation::StopHosting => {
                let own = state.people.get(&user_id).and_then(|own| own.host);
                own.map(|host| Answer::Stopped(Some(host)))
                    .into_iter()
                    .collect()
            }
            Operation::Find
            | Operation::FindByEmail(_)
            | Operation::BecomeHostInTransaction { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{
        super::model::{Address, Person},
        *,
    };

    const ADA: Uuid = Uuid::from_u128(1);
    const GUEST: Uuid = Uuid::from_u128(2);
    const HOST: Uuid = Uuid::from_u128(3);
    const OTHER: Uuid = Uuid::from_u128(4);

    fn ada(host: Option<Uuid>) -> State {
        let person = Person {
            address: Address::Ada,
            guest: GUEST,
            host,
        };
        State {
            people: BTreeMap::from([(ADA, person)]),
        }
    }

    fn event(operation: Operation, answer: Answer, begun: u64, ended: u64) -> Event {
        Event {
            operation,
            answer,
            begun,
            ended,
        }
    }

    #[test]
    fn one_new_and_one_existing() {
        let events = [
            event(Operation::BecomeHost, Answer::Existing(HOST), 0, 3),
            event(Operation::BecomeHost, Answer::New(HOST), 1, 2),
        ];
        assert!(explain(ADA, &ada(None), &events, Some(&ada(Some(HOST)))));
        // The same answers, and no row.
        assert!(!explain(ADA, &ada(None), &events, Some(&ada(None))));
    }

    #[test]
    fn two_new_have_no_explanation() {
        let events = [
            event(Operation::BecomeHost, Answer::New(HOST), 0, 3),
            event(Operation::BecomeHost, Answer::New(OTHER), 1, 2),
        ];
        assert!(!explain(ADA, &ada(None), &events, None));
    }

    #[test]
    fn a_host_that_nobody_made_has_no_explanation() {
        let events = [
            event(Operation::BecomeHost, Answer::New(HOST), 0, 3),
            event(Operation::BecomeHost, Answer::Existing(OTHER), 1, 2),
        ];
        assert!(!explain(ADA, &ada(None), &events, None));
    }

    /// Nobody before the sign-up is fine while that is under way, and wrong once it has ended.
    #[test]
    fn a_find_sees_what_had_ended() {
        let person = Person {
            address: Address::Ada,
            guest: GUEST,
            host: None,
        };
        let signed_up = Answer::SignedUp(ADA, person);
        for (find_begun, explained) in [(1, true), (3, false)] {
            let events = [
                event(Operation::SignUpWithId(Address::Ada), signed_up, 0, 2),
                event(Operation::Find, Answer::Found(None), find_begun, 4),
            ];
            let nobody = State::default();
            assert_eq!(explain(ADA, &nobody, &events, Some(&ada(None))), explained);
        }
    }

    #[test]
    fn a_lost_write_has_no_explanation() {
        let events = [event(
            Operation::StopHosting,
            Answer::Stopped(Some(HOST)),
            0,
            1,
        )];
        assert!(explain(ADA, &ada(Some(HOST)), &events, Some(&ada(None))));
        assert!(!explain(
            ADA,
            &ada(Some(HOST)),
            &events,
            Some(&ada(Some(HOST)))
        ));
    }

    /// A call whose answer nobody heard explains a row, and its absence, but not two.
    #[test]
    fn what_nobody_heard_was_done_or_not() {
        let unheard = event(Operation::BecomeHost, Answer::Unheard, 0, 1);
        for host in [None, Some(HOST)] {
            assert!(explain(ADA, &ada(None), &[unheard], Some(&ada(host))));
        }
        for (found, explained) in [(HOST, true), (OTHER, false)] {
            let found = event(Operation::BecomeHost, Answer::Existing(found), 2, 3);
            let after = ada(Some(HOST));
            let history = [unheard, found];
            assert_eq!(explain(ADA, &ada(None), &history, Some(&after)), explained);
        }
    }

    /// What nobody heard was done may be undone before anybody sees it.
    #[test]
    fn what_nobody_heard_nor_saw() {
        let events = [
            event(Operation::DeleteUser, Answer::Done, 0, 1),
            event(Operation::SignUp(Address::Ada), Answer::Unheard, 2, 3),
            event(Operation::SignUp(Address::Ada), Answer::EmailTaken, 4, 5),
        ];
        assert!(explain(ADA, &ada(None), &events, None));
        assert!(!explain(ADA, &ada(None), &events, Some(&State::default())));
    }
}
