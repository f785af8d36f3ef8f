//! What an app writes by hand: SeaORM's transactions, dropped with the call.

use guesthouse::{Error, guest, host, user};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DbErr, TransactionSession,
    TransactionTrait,
};
use uuid::Uuid;

/// The ids of the user and of the guest.
pub async fn sign_up<C>(db: &C, email: &str) -> Result<(Uuid, Uuid), Error>
where
    C: ConnectionTrait + TransactionTrait,
{
    let unit = db.begin().await.map_err(failed)?;
    let user = user::ActiveModel {
        email: Set(email.to_owned()),
        ..Default::default()
    };
    let user = user.insert(&unit).await.map_err(failed)?;
    let guest = guest::ActiveModel {
        user_id: Set(user.id),
        ..Default::default()
    };
    let guest = guest.insert(&unit).await.map_err(failed)?;
    unit.commit().await.map_err(failed)?;
    Ok((user.id, guest.id))
}

/// The id of the host.
pub async fn become_host(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Uuid, Error> {
    let host = host::ActiveModel {
        user_id: Set(user_id),
        ..Default::default()
    };
    Ok(host.insert(db).await.map_err(failed)?.id)
}

fn failed(source: DbErr) -> Error {
    Error::Database { source }
}
