//! When a caller gives up on a call.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use tokio::time::timeout;

const LONGEST_MICROS: u64 = 5_000;
const MOST_POLLS: usize = 12;

#[derive(Clone, Copy, Debug)]
pub enum GiveUp {
    Never,
    /// After some time.
    At(Duration),
    /// After so many polls: at once, or when the call could go on.
    After {
        polls: usize,
        at_once: bool,
    },
}

/// How a call ended for its caller.
#[derive(Debug)]
pub enum Ended<T> {
    Heard(T),
    Dropped,
    /// The watchdog ended it.
    Hung,
}

impl GiveUp {
    pub fn random(rng: &mut fastrand::Rng) -> Self {
        match rng.u8(..8) {
            0..3 => Self::Never,
            3..6 => Self::At(Duration::from_micros(rng.u64(..=LONGEST_MICROS))),
            _ => Self::After {
                polls: rng.usize(1..=MOST_POLLS),
                at_once: rng.bool(),
            },
        }
    }

    /// Makes the call, and waits for its end no longer than the watchdog does.
    pub async fn on<F: Future>(self, call: F, watchdog: Duration) -> Ended<F::Output> {
        let watched = timeout(watchdog, async {
            match self {
                Self::Never => Some(call.await),
                Self::At(deadline) => timeout(deadline, call).await.ok(),
                Self::After { polls, at_once } => poll(call, polls, at_once).await,
            }
        });
        match watched.await {
            Ok(Some(output)) => Ended::Heard(output),
            Ok(None) => Ended::Dropped,
            Err(_) => Ended::Hung,
        }
    }
}

async fn poll<F: Future>(call: F, polls: usize, at_once: bool) -> Option<F::Output> {
    let mut call = pin!(call);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match call.as_mut().poll(context) {
            Poll::Pending if left == 0 && at_once => Poll::Ready(None),
            other => other.map(Some),
        }
    })
    .await
}
