//! Whether a history of concurrent calls can be explained by one call after the other.

use std::collections::HashSet;

use uuid::Uuid;

use super::model::{Answer, Operation, State};

/// A call and its answer, and when it began and ended.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub operation: Operation,
    pub answer: Answer,
    pub begun: u64,
    pub ended: u64,
}

/// Whether there is an order of the calls in which the model gives these answers, ending in `after`
/// if that is known. A call that had ended before another began comes before it.
///
/// The search is that of Wing and Gong, with what failed once remembered (Lowe, "Testing for
/// linearizability", 2017).
pub fn explain(user_id: Uuid, before: &State, events: &[Event], after: Option<&State>) -> bool {
    assert!(!events.is_empty() && events.len() <= 32);
    let mut search = Search {
        user_id,
        events,
        after,
        failed: HashSet::new(),
    };
    search.from(before, 0)
}

struct Search<'a> {
    user_id: Uuid,
    events: &'a [Event],
    after: Option<&'a State>,
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
            let next = state.after(self.user_id, event.operation, event.answer);
            if next.is_some_and(|next| self.from(&next, done | (1 << n))) {
                return true;
            }
        }
        self.failed.insert((done, state.clone()));
        false
    }

    /// Whether a call that is still to be placed had ended before this one began.
    fn must_wait(&self, event: &Event, done: u32) -> bool {
        let mut open = (0..).zip(self.events).filter(|(n, _)| done & (1 << n) == 0);
        open.any(|(_, other)| other.ended < event.begun)
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
}
