//! Reporting that a statement waits for others: on a server a transaction that does nothing more, but
//! has a lock, is waited for without a limit.

use std::{pin::pin, time::Duration};

use tokio::time::timeout;

/// Reports once that `work` waits for a table.
pub(crate) async fn for_table<T>(table: &str, work: impl Future<Output = T>) -> T {
    report(&format!("table `{table}`"), work).await
}

/// The same, where it is not known for which table.
#[cfg(feature = "program")]
pub(crate) async fn for_any_table<T>(work: impl Future<Output = T>) -> T {
    report("a table of the schema", work).await
}

async fn report<T>(what: &str, work: impl Future<Output = T>) -> T {
    const PATIENCE: Duration = Duration::from_secs(1);
    let mut work = pin!(work);
    match timeout(PATIENCE, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            tracing::info!("Waiting for {what}, which other transactions may be using");
            work.await
        }
    }
}
