//! SeaORM as its documentation teaches it: a transaction around two inserts, find and then insert,
//! `find_also_related`, `insert_many` in chunks below the limit of binds.

use async_trait::async_trait;
use guesthouse::{guest, host, user};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, TransactionTrait,
};
use uuid::Uuid;

use super::guesthouse::{Pool, open};
use crate::peer::{BulkPeer, PAGE, Peer};

pub struct SeaOrm(pub DatabaseConnection);

impl SeaOrm {
    pub async fn connect(url: &str, connections: usize, pool: Pool) -> Self {
        Self(open(url, connections, pool).await)
    }
}

#[async_trait]
impl Peer for SeaOrm {
    async fn sign_up(&self, _: usize, email: String) {
        let txn = self.0.begin().await.unwrap();
        let user = user::ActiveModel {
            email: Set(email),
            ..Default::default()
        };
        let user = user.insert(&txn).await.unwrap();
        let guest = guest::ActiveModel {
            user_id: Set(user.id),
            ..Default::default()
        };
        guest.insert(&txn).await.unwrap();
        txn.commit().await.unwrap();
    }

    async fn become_host(&self, _: usize, user_id: Uuid) -> bool {
        let find = host::Entity::find().filter(host::Column::UserId.eq(user_id));
        if find.one(&self.0).await.unwrap().is_some() {
            return false;
        }
        let host = host::ActiveModel {
            user_id: Set(user_id),
            ..Default::default()
        };
        host.insert(&self.0).await.unwrap();
        true
    }

    async fn page(&self, _: usize, after: Uuid) -> (usize, usize) {
        let rows = user::Entity::find()
            .find_also_related(guest::Entity)
            .find_also_related(host::Entity)
            .filter(user::Column::Id.gt(after))
            .order_by_asc(user::Column::Id)
            .limit(PAGE as u64)
            .all(&self.0)
            .await
            .unwrap();
        (
            rows.len(),
            rows.iter().filter(|(_, _, host)| host.is_some()).count(),
        )
    }
}

#[async_trait]
impl BulkPeer for SeaOrm {
    async fn become_hosts(&self, _: usize, user_ids: &[Uuid]) -> usize {
        let txn = self.0.begin().await.unwrap();
        for chunk in user_ids.chunks(10_000) {
            let hosts = chunk.iter().map(|user_id| host::ActiveModel {
                id: Set(Uuid::now_v7()),
                user_id: Set(*user_id),
                ..Default::default()
            });
            let hosts = host::Entity::insert_many(hosts);
            hosts.exec_without_returning(&txn).await.unwrap();
        }
        txn.commit().await.unwrap();
        user_ids.len()
    }
}
