//! One entity, and a table for each tenant: the name is asked for at every call.

use guesthouse::{Onboarding, Role, onboard, user};
use sea_orm::{ActiveValue::Set, TransactionTrait, entity::prelude::*};

use crate::support::{Backend as On, TestDb as Db};

/// Whose table is meant in this task.
#[derive(Clone, Copy, Debug)]
struct Tenant {
    schema: Option<&'static str>,
    table: &'static str,
}

tokio::task_local! {
    static TENANT: Tenant;
}

#[derive(Copy, Clone, Default, Debug, DeriveEntity)]
pub struct Entity;

impl EntityName for Entity {
    fn schema_name(&self) -> Option<&str> {
        TENANT.try_with(|tenant| tenant.schema).ok().flatten()
    }

    fn table_name(&self) -> &'static str {
        TENANT.try_with(|tenant| tenant.table).unwrap_or("pilots")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveModel, DeriveActiveModel)]
pub struct Model {
    pub id: Uuid,
    pub user_id: Uuid,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveColumn)]
pub enum Column {
    Id,
    UserId,
}

#[derive(Copy, Clone, Debug, EnumIter, DerivePrimaryKey)]
pub enum PrimaryKey {
    Id,
}

impl PrimaryKeyTrait for PrimaryKey {
    type ValueType = Uuid;

    fn auto_increment() -> bool {
        false
    }
}

impl ColumnTrait for Column {
    type EntityName = Entity;

    fn def(&self) -> ColumnDef {
        match self {
            Self::Id => ColumnType::Uuid.def(),
            Self::UserId => ColumnType::Uuid.def().unique(),
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter)]
pub enum Relation {
    User,
}

impl RelationTrait for Relation {
    fn def(&self) -> RelationDef {
        match self {
            Self::User => Entity::belongs_to(user::Entity)
                .from(Column::UserId)
                .to(user::Column::Id)
                .into(),
        }
    }
}

impl Related<user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl Role for Entity {
    type Owner = guesthouse::user::Entity;
}

async fn create_table(db: &Db, name: &str) {
    let id = match db.backend {
        On::Sqlite => "uuid_text",
        On::Postgres => "uuid",
        On::MariaDb => "binary(16)",
    };
    db.execute(&format!(
        "CREATE TABLE {name} (
            id {id} PRIMARY KEY,
            user_id {id} NOT NULL UNIQUE,
            FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT
        )"
    ))
    .await;
}

/// Each tenant has a row of its own for the user, whoever comes first and however often.
async fn each_has_its_own(db: &Db, tenants: [Tenant; 3]) {
    let ada = db.user("ada").await.id;
    let row = || ActiveModel {
        id: Set(Uuid::now_v7()),
        user_id: Set(ada),
    };
    let mut made = Vec::new();
    for tenant in tenants {
        let call = onboard::<Entity>(&db.pool, row());
        let Onboarding::New(row) = TENANT.scope(tenant, call).await.unwrap() else {
            panic!("{tenant:?}: another tenant's row");
        };
        made.push(row);
    }
    for (tenant, first) in tenants.into_iter().zip(made).rev() {
        TENANT
            .scope(tenant, async {
                let stored = Entity::find().all(&db.pool).await.unwrap();
                assert_eq!(stored, std::slice::from_ref(&first), "{tenant:?}");

                let again = onboard::<Entity>(&db.pool, row()).await.unwrap();
                assert_eq!(again, Onboarding::Existing(first.clone()), "{tenant:?}");
                let txn = db.pool.begin().await.unwrap();
                let within = onboard::<Entity>(&txn, row()).await.unwrap();
                assert_eq!(within, Onboarding::Existing(first), "{tenant:?}");
                txn.commit().await.unwrap();
            })
            .await;
    }
}

on_each_backend!(tables_of_their_own,);

async fn tables_of_their_own(db: Db) {
    let tenants = ["pilots_one", "pilots_two", "pilots_three"].map(|table| Tenant {
        schema: None,
        table,
    });
    for tenant in tenants {
        create_table(&db, tenant.table).await;
    }
    each_has_its_own(&db, tenants).await;
}

on_postgres!(schemas_of_their_own);

async fn schemas_of_their_own(db: Db) {
    let tenants = [Some("one"), Some("two"), None].map(|schema| Tenant {
        schema,
        table: "pilots",
    });
    for name in ["one", "two"] {
        db.execute(&format!("CREATE SCHEMA {name}")).await;
        create_table(&db, &format!("{name}.pilots")).await;
    }
    create_table(&db, "pilots").await;
    each_has_its_own(&db, tenants).await;
}
