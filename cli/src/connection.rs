//! A connection like those of a pool, but beside the pool.

use sea_orm_migration::sea_orm::{DatabaseConnection, DbErr};
#[cfg(any(feature = "mysql", feature = "postgres"))]
use sea_orm_migration::sea_orm::{
    DatabaseConnectionType, RuntimeErr,
    sqlx::{Connection, Database, Pool},
};

/// A pool of one connection with the settings of `db`'s, which is never closed for being idle or
/// old.
///
/// If this crate's feature for the driver is off, it is `db` itself: a connection that is taken from
/// it is one less for the others.
pub(crate) async fn beside(db: &DatabaseConnection) -> Result<DatabaseConnection, DbErr> {
    #[cfg(feature = "postgres")]
    if let DatabaseConnectionType::SqlxPostgresPoolConnection(_) = db.inner {
        return Ok(one_like(db.get_postgres_connection_pool()).await?.into());
    }
    #[cfg(feature = "mysql")]
    if let DatabaseConnectionType::SqlxMySqlPoolConnection(_) = db.inner {
        return Ok(one_like(db.get_mysql_connection_pool()).await?.into());
    }
    Ok(db.clone())
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
async fn one_like<D: Database>(pool: &Pool<D>) -> Result<Pool<D>, DbErr>
where
    <D::Connection as Connection>::Options: Clone,
{
    pool.options()
        .clone()
        .min_connections(0)
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(Clone::clone(&*pool.connect_options()))
        .await
        .map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(error.into())))
}
