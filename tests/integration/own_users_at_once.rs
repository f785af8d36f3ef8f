//! Signing up many users of the app's own at once, whose keys the database makes or the app gives.

use std::collections::BTreeSet;

use guesthouse::{Error, SignUps, retry, sign_up_all_as};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ConnectionTrait, DatabaseConnection, EntityTrait, ModelTrait, QueryOrder, TransactionTrait,
};

use crate::{
    own_users,
    roles::{create_members, create_table, member, profile},
    support::{TestDb as Db, at_once, email},
};

/// A reader of a library: what PostgreSQL takes as JSON, since a column has nulls.
mod reader {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "readers")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(unique)]
        pub email: String,
        pub nickname: Option<String>,
        #[sea_orm(has_one)]
        pub card: HasOne<super::card::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl guesthouse::SignUp for Entity {
        type Guest = super::card::Entity;

        fn email() -> Column {
            Column::Email
        }
    }
}

mod card {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "cards")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(unique)]
        pub reader_id: i64,
        pub color: Option<String>,
        pub settings: Json,
        #[sea_orm(belongs_to, from = "reader_id", to = "id", on_delete = "Restrict")]
        pub reader: BelongsTo<super::reader::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl guesthouse::Role for Entity {
        type Owner = super::reader::Entity;
    }
}

type Members = SignUps<(member::Model, profile::Model)>;
type Person = (guesthouse::Email, member::ActiveModel, profile::ActiveModel);

/// A person with this name, whose address is that of `of`.
fn named(name: &str, of: &str) -> Person {
    let (member, profile) = own_users::named(name);
    (email(of), member, profile)
}

fn person(name: &str) -> Person {
    named(name, name)
}

async fn sign_up_all<C>(db: &C, people: Vec<Person>) -> Result<Members, Error>
where
    C: ConnectionTrait + TransactionTrait,
{
    sign_up_all_as::<member::Entity>(db, people).await
}

/// Name and bio of each member that is stored, through another pool, by name.
async fn stored(db: &Db) -> Vec<(String, String)> {
    let pool: DatabaseConnection = db.pool_of(1).await;
    let members = member::Entity::find()
        .order_by_asc(member::Column::Name)
        .all(&pool)
        .await
        .unwrap();
    let mut stored = Vec::new();
    for member in members {
        let profile = member.find_related(profile::Entity).one(&pool).await;
        let bio = profile.unwrap().map(|profile| profile.bio);
        stored.push((member.name, bio.expect("each member has a profile")));
    }
    let profiles = profile::Entity::find().all(&pool).await.unwrap();
    assert_eq!(profiles.len(), stored.len());
    pool.close().await.unwrap();
    stored
}

fn all_of(names: &[&str]) -> Vec<(String, String)> {
    let row = |name: &&str| ((*name).to_owned(), format!("{name}'s \u{1f3e0}"));
    names.iter().map(row).collect()
}

fn names(members: &Members) -> Vec<&str> {
    let created = members.created.iter();
    created
        .map(|(member, profile)| {
            assert_eq!(profile.member_id, member.id);
            assert_eq!(profile.bio, format!("{}'s \u{1f3e0}", member.name));
            member.name.as_str()
        })
        .collect()
}

on_each_backend!(
    each_gets_what_the_app_gave_for_them,
    keys_of_the_app_are_kept_and_a_taken_one_makes_nothing,
    rows_that_cannot_be_stored_make_nothing,
    the_callers_transaction_decides,
    fifty_callers_make_each_member_once,
    nulls_and_documents_are_stored,
);

async fn each_gets_what_the_app_gave_for_them(db: Db) {
    create_members(&db).await;
    assert_eq!(
        sign_up_all(&db.pool, Vec::new()).await.unwrap(),
        Members::default()
    );
    let first = sign_up_all(&db.pool, vec![person("ada")]).await.unwrap();
    assert_eq!(names(&first), ["ada"]);
    assert_eq!(first.taken, []);

    let people = vec![
        person("zoe"),
        named("another ada", "ada"),
        person("grace"),
        named("another zoe", "zoe"),
        person("linus"),
    ];
    let members = sign_up_all(&db.pool, people.clone()).await.unwrap();
    assert_eq!(names(&members), ["zoe", "grace", "linus"]);
    assert_eq!(members.taken, [email("ada"), email("zoe")]);
    assert_eq!(stored(&db).await, all_of(&["ada", "grace", "linus", "zoe"]));

    let again = sign_up_all(&db.pool, people.clone()).await.unwrap();
    let all_taken = people.into_iter().map(|(email, ..)| email).collect();
    assert_eq!((again.created, again.taken), (Vec::new(), all_taken));
    assert_eq!(stored(&db).await.len(), 4);
}

async fn keys_of_the_app_are_kept_and_a_taken_one_makes_nothing(db: Db) {
    create_members(&db).await;
    let keyed = |id: i64, name: &str| {
        let (email, mut member, profile) = person(name);
        member.id = Set(id);
        (email, member, profile)
    };
    let people = vec![keyed(8, "grace"), keyed(9, "ada")];
    let members = sign_up_all(&db.pool, people).await.unwrap();
    assert_eq!(names(&members), ["grace", "ada"]);
    let keys: Vec<_> = members
        .created
        .iter()
        .map(|(member, _)| member.id)
        .collect();
    assert_eq!(keys, [8, 9]);

    let clash = sign_up_all(&db.pool, vec![keyed(10, "linus"), keyed(8, "mary")]).await;
    assert!(matches!(clash, Err(Error::Database { .. })), "{clash:?}");
    assert_eq!(stored(&db).await, all_of(&["ada", "grace"]));
}

async fn rows_that_cannot_be_stored_make_nothing(db: Db) {
    create_members(&db).await;
    let mut without_bio = [person("ada"), person("grace")];
    for (_, _, profile) in &mut without_bio {
        profile.bio = NotSet;
    }
    let failed = sign_up_all(&db.pool, without_bio.to_vec()).await;
    assert!(matches!(failed, Err(Error::Database { .. })), "{failed:?}");

    let [bare, _] = without_bio;
    let unlike = sign_up_all(&db.pool, vec![bare, person("grace")]).await;
    assert!(matches!(unlike, Err(Error::Database { .. })), "{unlike:?}");
    assert_eq!(stored(&db).await, []);
}

async fn the_callers_transaction_decides(db: Db) {
    create_members(&db).await;
    let members = sign_up_all(&db.pool, vec![person("ada")]).await.unwrap();
    assert_eq!(names(&members), ["ada"]);

    let txn = db.pool.begin().await.unwrap();
    let people = vec![person("grace"), named("another ada", "ada")];
    let members = sign_up_all(&txn, people.clone()).await.unwrap();
    assert_eq!(names(&members), ["grace"]);
    assert_eq!(members.taken, [email("ada")]);
    txn.rollback().await.unwrap();
    assert_eq!(stored(&db).await, all_of(&["ada"]));

    let txn = db.pool.begin().await.unwrap();
    let members = sign_up_all(&txn, people.clone()).await.unwrap();
    assert_eq!(names(&members), ["grace"]);
    let again = sign_up_all(&txn, people).await.unwrap();
    assert_eq!(again.taken, [email("grace"), email("ada")]);
    txn.commit().await.unwrap();
    assert_eq!(stored(&db).await, all_of(&["ada", "grace"]));
}

async fn fifty_callers_make_each_member_once(db: Db) {
    create_members(&db).await;
    let everybody = ["ada", "grace", "linus", "mary", "zoe"];
    let pool = db.pool.clone();
    let answers = at_once(move |n| {
        let pool = pool.clone();
        async move {
            let mut people: Vec<_> = everybody.into_iter().map(person).collect();
            people.rotate_left(n % everybody.len());
            retry(|| sign_up_all(&pool, people.clone())).await
        }
    })
    .await;
    let mut made = Vec::new();
    for answer in &answers {
        let answer = answer.as_ref().unwrap();
        assert_eq!(answer.created.len() + answer.taken.len(), everybody.len());
        made.extend(names(answer));
    }
    made.sort_unstable();
    assert_eq!(made, everybody);
    assert_eq!(stored(&db).await, all_of(&everybody));
}

async fn nulls_and_documents_are_stored(db: Db) {
    create_table(&db, reader::Entity).await;
    create_table(&db, card::Entity).await;
    let people = ["ada", "grace"].map(|name| {
        let is_ada = name == "ada";
        let reader = reader::ActiveModel {
            nickname: Set(is_ada.then(|| "countess".to_owned())),
            ..Default::default()
        };
        let card = card::ActiveModel {
            color: Set((!is_ada).then(|| "red".to_owned())),
            settings: Set(serde_json::json!({ "of": [name, null, 1.5] })),
            ..Default::default()
        };
        (email(name), reader, card)
    });
    let readers = sign_up_all_as::<reader::Entity>(&db.pool, people.to_vec())
        .await
        .unwrap();
    let mut ids = BTreeSet::new();
    for ((reader, card), (email, given, given_card)) in readers.created.iter().zip(people) {
        ids.insert(reader.id);
        assert_eq!(reader.email, email.as_ref());
        assert_eq!(Set(reader.nickname.clone()), given.nickname);
        assert_eq!(card.reader_id, reader.id);
        assert_eq!(Set(card.color.clone()), given_card.color);
        assert_eq!(Set(card.settings.clone()), given_card.settings);
        let found = card::Entity::find_by_id(card.id).one(&db.pool).await;
        assert_eq!(found.unwrap().as_ref(), Some(card));
    }
    assert_eq!((ids.len(), readers.taken), (2, vec![]));
}
