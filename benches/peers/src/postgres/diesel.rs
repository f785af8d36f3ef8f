//! diesel-async with its deadpool: a transaction around two inserts, insert unless there is one, a page
//! in two statements by `belonging_to`-like loading of what the ids refer to, one insert of many rows.

use async_trait::async_trait;
use diesel::prelude::*;
use diesel_async::{
    AsyncConnection, AsyncPgConnection, RunQueryDsl,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod, deadpool::Pool,
    },
};
use uuid::Uuid;

use crate::peer::{BulkPeer, PAGE, Peer, Time};

diesel::table! {
    users (id) {
        id -> Uuid,
        email -> Varchar,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}
diesel::table! {
    guests (id) {
        id -> Uuid,
        user_id -> Uuid,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}
diesel::table! {
    hosts (id) {
        id -> Uuid,
        user_id -> Uuid,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}
diesel::joinable!(guests -> users (user_id));
diesel::joinable!(hosts -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(users, guests, hosts);

#[derive(Queryable, Selectable)]
#[diesel(table_name = users)]
#[diesel(check_for_backend(diesel::pg::Pg))]
#[expect(dead_code, reason = "decoded for the sake of it")]
struct User {
    id: Uuid,
    email: String,
    created_at: Time,
    updated_at: Time,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = guests)]
#[diesel(check_for_backend(diesel::pg::Pg))]
#[expect(dead_code, reason = "decoded for the sake of it")]
struct Guest {
    id: Uuid,
    user_id: Uuid,
    created_at: Time,
    updated_at: Time,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = hosts)]
#[diesel(check_for_backend(diesel::pg::Pg))]
#[expect(dead_code, reason = "decoded for the sake of it")]
struct Host {
    id: Uuid,
    user_id: Uuid,
    created_at: Time,
    updated_at: Time,
}

/// What its pool does with a connection before it hands it out: `Verified` pings it.
pub type Recycling = RecyclingMethod<AsyncPgConnection>;

pub struct Diesel(Pool<AsyncPgConnection>);

impl Diesel {
    pub async fn connect(url: &str, connections: usize, recycling: Recycling) -> Self {
        let mut config = ManagerConfig::default();
        config.recycling_method = recycling;
        let manager = AsyncDieselConnectionManager::new_with_config(url, config);
        Self(
            Pool::builder(manager)
                .max_size(connections)
                .build()
                .unwrap(),
        )
    }
}

#[async_trait]
impl Peer for Diesel {
    async fn sign_up(&self, _: usize, email: String) {
        let mut connection = self.0.get().await.unwrap();
        connection
            .transaction::<_, diesel::result::Error, _>(async |connection| {
                let user = diesel::insert_into(users::table)
                    .values((users::id.eq(Uuid::now_v7()), users::email.eq(email)))
                    .returning(User::as_returning())
                    .get_result(connection)
                    .await?;
                diesel::insert_into(guests::table)
                    .values((guests::id.eq(Uuid::now_v7()), guests::user_id.eq(user.id)))
                    .returning(Guest::as_returning())
                    .get_result(connection)
                    .await?;
                Ok(())
            })
            .await
            .unwrap();
    }

    async fn become_host(&self, _: usize, user_id: Uuid) -> bool {
        let mut connection = self.0.get().await.unwrap();
        let new = diesel::insert_into(hosts::table)
            .values((hosts::id.eq(Uuid::now_v7()), hosts::user_id.eq(user_id)))
            .on_conflict(hosts::user_id)
            .do_nothing()
            .returning(Host::as_returning())
            .get_result(&mut connection)
            .await
            .optional()
            .unwrap();
        if new.is_some() {
            return true;
        }
        let existing = hosts::table
            .filter(hosts::user_id.eq(user_id))
            .select(Host::as_select())
            .first(&mut connection)
            .await
            .unwrap();
        assert_eq!(existing.user_id, user_id);
        false
    }

    async fn page(&self, _: usize, after: Uuid) -> (usize, usize) {
        let mut connection = self.0.get().await.unwrap();
        let rows = users::table
            .left_join(guests::table)
            .left_join(hosts::table)
            .filter(users::id.gt(after))
            .order(users::id)
            .limit(PAGE as i64)
            .select((
                User::as_select(),
                Option::<Guest>::as_select(),
                Option::<Host>::as_select(),
            ))
            .load::<(User, Option<Guest>, Option<Host>)>(&mut connection)
            .await
            .unwrap();
        (
            rows.len(),
            rows.iter().filter(|(_, _, host)| host.is_some()).count(),
        )
    }
}

#[async_trait]
impl BulkPeer for Diesel {
    async fn become_hosts(&self, _: usize, user_ids: &[Uuid]) -> usize {
        let rows: Vec<_> = user_ids
            .iter()
            .map(|user_id| (hosts::id.eq(Uuid::now_v7()), hosts::user_id.eq(*user_id)))
            .collect();
        let mut connection = self.0.get().await.unwrap();
        diesel::insert_into(hosts::table)
            .values(&rows)
            .on_conflict(hosts::user_id)
            .do_nothing()
            .execute(&mut connection)
            .await
            .unwrap()
    }
}
