//! Toasty with its pool: a nested create for the sign-up, `upsert_by_user_id(…).or_ignore()` and then a
//! look, includes for the page, a batch of creates. Its models leave the timestamps to the database,
//! as its support for them takes a feature that cannot be built beside sqlx's SQLite: its pages
//! decode six columns where the others decode twelve.

use async_trait::async_trait;
use toasty::{Db, Deferred};
use uuid::Uuid;

use crate::peer::{BulkPeer, PAGE, Peer};

#[derive(Debug, toasty::Model)]
#[table = "users"]
struct User {
    #[key]
    id: Uuid,
    #[unique]
    email: String,
    #[has_one]
    guest: Deferred<Option<Guest>>,
    #[has_one]
    host: Deferred<Option<Host>>,
}

#[derive(Debug, toasty::Model)]
#[table = "guests"]
struct Guest {
    #[key]
    id: Uuid,
    #[unique]
    user_id: Uuid,
    #[belongs_to(key = user_id, references = id)]
    user: Deferred<User>,
}

#[derive(Debug, toasty::Model)]
#[table = "hosts"]
struct Host {
    #[key]
    id: Uuid,
    #[unique]
    user_id: Uuid,
    #[belongs_to(key = user_id, references = id)]
    user: Deferred<User>,
}

pub struct Toasty(Db);

impl Toasty {
    pub async fn connect(url: &str, connections: usize) -> Self {
        let db = Db::builder()
            .models(toasty::models!(User, Guest, Host))
            .max_pool_size(connections)
            .connect(url)
            .await
            .unwrap();
        Self(db)
    }
}

#[async_trait]
impl Peer for Toasty {
    async fn sign_up(&self, _: usize, email: String) {
        let mut db = self.0.clone();
        let mut txn = db.transaction().await.unwrap();
        let user = toasty::create!(User {
            id: Uuid::now_v7(),
            email
        });
        let user = user.exec(&mut txn).await.unwrap();
        let guest = toasty::create!(Guest {
            id: Uuid::now_v7(),
            user_id: user.id
        });
        guest.exec(&mut txn).await.unwrap();
        txn.commit().await.unwrap();
    }

    async fn become_host(&self, _: usize, user_id: Uuid) -> bool {
        let mut db = self.0.clone();
        let new = Host::upsert_by_user_id(user_id)
            .id(Uuid::now_v7())
            .or_ignore()
            .exec(&mut db)
            .await
            .unwrap();
        if let Some(new) = new {
            assert_eq!(new.user_id, user_id);
            return true;
        }
        let existing = Host::get_by_user_id(&mut db, &user_id).await.unwrap();
        assert_eq!(existing.user_id, user_id);
        false
    }

    async fn page(&self, _: usize, after: Uuid) -> (usize, usize) {
        let mut db = self.0.clone();
        let users = User::filter(User::fields().id().gt(after))
            .include(User::fields().guest())
            .include(User::fields().host())
            .order_by(User::fields().id().asc())
            .limit(PAGE)
            .exec(&mut db)
            .await
            .unwrap();
        let hosts = users.iter().filter(|user| user.host.get().is_some());
        (users.len(), hosts.count())
    }
}

#[async_trait]
impl BulkPeer for Toasty {
    async fn become_hosts(&self, _: usize, user_ids: &[Uuid]) -> usize {
        let mut db = self.0.clone();
        let mut new = 0;
        // A statement each in any case, and ten thousand at once would take gigabytes.
        for user_ids in user_ids.chunks(1_000) {
            let creates: Vec<_> = user_ids
                .iter()
                .map(|user_id| Host::create().id(Uuid::now_v7()).user_id(*user_id))
                .collect();
            new += toasty::batch(creates).exec(&mut db).await.unwrap().len();
        }
        new
    }
}
