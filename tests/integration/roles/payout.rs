//! A host's payout account, with a column of each type that all three databases have.

use guesthouse::host;
use sea_orm::{
    ActiveValue::Set,
    entity::prelude::*,
    prelude::{Date, DateTime, DateTimeUtc, Json},
};
use serde_json::json;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "payout_accounts")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    #[sea_orm(unique)]
    pub host_id: Uuid,
    pub iban: String,
    pub verified: bool,
    pub fee: i32,
    pub balance: i64,
    pub share: f64,
    pub seal: Vec<u8>,
    pub opened_on: Date,
    pub opened_at: DateTimeUtc,
    pub local_time: DateTime,
    pub settings: Json,
    pub note: Option<String>,
    pub limit: Option<i32>,
    pub closed_at: Option<DateTimeUtc>,
    #[sea_orm(belongs_to, from = "host_id", to = "id", on_delete = "Restrict")]
    pub host: BelongsTo<host::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}

impl guesthouse::Role for Entity {
    type Owner = host::Entity;
}

/// The `n`th account, with nulls in every second one.
pub fn row(host_id: Uuid, n: usize) -> ActiveModel {
    let number = i32::try_from(n).unwrap();
    let opened_at: DateTimeUtc = "2026-11-25T21:30:05Z".parse().unwrap();
    ActiveModel {
        host_id: Set(host_id),
        iban: Set(format!("'DE{n}' \"\\ \u{20ac}")),
        verified: Set(n.is_multiple_of(2)),
        fee: Set(-number),
        balance: Set(i64::MAX - i64::from(number)),
        share: Set(0.1 + f64::from(number)),
        seal: Set(vec![0, b'\\', 255, u8::try_from(n).unwrap()]),
        opened_on: Set("2026-11-25".parse().unwrap()),
        opened_at: Set(opened_at),
        local_time: Set("2026-11-25T21:30:05".parse().unwrap()),
        settings: Set(json!({ "n": n, "tags": ["a", null, true], "text": "it's" })),
        note: Set((n.is_multiple_of(2)).then(|| format!("note {n}"))),
        limit: Set((n % 2 == 1).then_some(number)),
        closed_at: Set((n.is_multiple_of(2)).then_some(opened_at)),
        ..Default::default()
    }
}
