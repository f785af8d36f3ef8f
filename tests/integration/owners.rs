//! Owners page by page, by a condition on their own columns.

use guesthouse::{Owners, host, user};
use sea_orm::{ColumnTrait, Condition};

use crate::support::TestDb as Db;

on_each_backend!(
    a_prefix_of_the_address,
    conditions_add_up,
    a_condition_beside_a_role,
    what_is_looked_for_is_not_printed,
);

/// Four users in the order of their ids, of whom the second and the fourth are hosts.
async fn four_users(db: &Db) {
    for name in ["ada", "adele", "grace", "adam"] {
        if ["adele", "adam"].contains(&name) {
            db.host(name).await;
        } else {
            db.user(name).await;
        }
    }
}

fn starting_with(prefix: &str) -> Owners<user::Entity> {
    Owners::all().filter(user::Column::Email.starts_with(prefix))
}

/// The first parts of the addresses on all pages.
async fn names(db: &Db, owners: Owners<user::Entity>) -> Vec<String> {
    let mut names = Vec::new();
    let mut walk = Some(owners.limit(1));
    while let Some(owners) = walk {
        let page = owners.clone().fetch(&db.pool).await.unwrap();
        let of = |user: &user::Model| user.email.split('@').next().unwrap().to_owned();
        names.extend(page.rows.iter().map(of));
        walk = page.next.map(|last| owners.after(last));
    }
    names
}

async fn a_prefix_of_the_address(db: Db) {
    four_users(&db).await;

    assert_eq!(
        names(&db, starting_with("ad")).await,
        ["ada", "adele", "adam"]
    );
    assert_eq!(starting_with("ad").count(&db.pool).await.unwrap(), 3);
    assert_eq!(names(&db, starting_with("zoe")).await, [""; 0]);
    assert_eq!(starting_with("zoe").count(&db.pool).await.unwrap(), 0);
}

async fn conditions_add_up(db: Db) {
    four_users(&db).await;

    let hosts = starting_with("ad").with::<host::Entity>();
    assert_eq!(names(&db, hosts).await, ["adele", "adam"]);
    let either = Condition::any()
        .add(user::Column::Email.starts_with("adele"))
        .add(user::Column::Email.starts_with("grace"));
    let both = starting_with("ad").filter(either);
    assert_eq!(names(&db, both.clone()).await, ["adele"]);
    assert_eq!(
        both.without::<host::Entity>()
            .count(&db.pool)
            .await
            .unwrap(),
        0
    );
}

/// `hosts` has an `id` too.
async fn a_condition_beside_a_role(db: Db) {
    four_users(&db).await;
    let adele = &Owners::<user::Entity>::all()
        .fetch(&db.pool)
        .await
        .unwrap()
        .rows[1];

    let this = Owners::<user::Entity>::all().filter(user::Column::Id.eq(adele.id));
    let page = this.fetch_beside::<host::Entity>(&db.pool).await.unwrap();

    let host = db.rows().await.hosts.swap_remove(0);
    assert_eq!(host.user_id, adele.id);
    assert_eq!(page.rows, [(adele.clone(), Some(host))]);
    assert_eq!(page.next, None);
}

async fn what_is_looked_for_is_not_printed(db: Db) {
    let confidential = starting_with("confidential");
    assert!(!format!("{confidential:?}").contains("confidential"));
    confidential.fetch(&db.pool).await.unwrap();
}
