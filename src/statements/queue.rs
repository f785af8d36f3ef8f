//! Queues of the tasks that share a transaction.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use tokio::sync::Mutex as AsyncMutex;

type Queue = AsyncMutex<()>;
type Queues = HashMap<(usize, Unit), Weak<Queue>>;

/// What a task waits for: the end of a call, or of one statement of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    Call,
    #[cfg(feature = "mysql")]
    Statement,
}

/// The queue of calls for the transaction behind this reference.
pub(super) fn of_calls<C>(db: &C) -> Arc<Queue> {
    queue(db, Unit::Call)
}

/// The queue of statements for the transaction behind this reference. A call waits in it during its
/// turn.
#[cfg(feature = "mysql")]
pub(super) fn of_statements<C>(db: &C) -> Arc<Queue> {
    queue(db, Unit::Statement)
}

/// Tasks that share a transaction share its address, which it keeps while anybody refers to it.
fn queue<C>(db: &C, unit: Unit) -> Arc<Queue> {
    static QUEUES: LazyLock<Mutex<Queues>> = LazyLock::new(Mutex::default);

    let mut queues = QUEUES.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (std::ptr::from_ref(db).addr(), unit);
    if let Some(queue) = queues.get(&key).and_then(Weak::upgrade) {
        return queue;
    }
    queues.retain(|_, queue| queue.strong_count() > 0);
    let queue = Arc::default();
    queues.insert(key, Arc::downgrade(&queue));
    queue
}
