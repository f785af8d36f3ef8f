//! Whether a table on MariaDB/MySQL was created by a run that died before recording its work.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DbBackend, Statement},
};

/// An error unless the table `name` is exactly what `table` and `user` would create.
pub(super) async fn refuse_other(
    db: &impl ConnectionTrait,
    name: &str,
    mut table: TableCreateStatement,
    user: Option<ForeignKeyCreateStatement>,
) -> Result<(), DbErr> {
    const TWIN: &str = "guesthouse_migration_twin";
    // The server spells both, so that spelling makes no difference. A temporary table has no
    // foreign keys.
    db.execute(table.table(TWIN).temporary()).await?;
    let mut expected = Text::read(db, TWIN).await;
    let drop_twin = format!("DROP TEMPORARY TABLE {TWIN}");
    db.execute_unprepared(&drop_twin).await?;
    if let (Ok(expected), Some(user)) = (&mut expected, &user) {
        let alter = DbBackend::MySql.build(user).sql;
        let key = alter.split_once(" ADD ").map_or("", |(_, key)| key);
        expected.foreign_keys.push(without_default(key).to_owned());
    }
    if expected? == Text::read(db, name).await? {
        return Ok(());
    }
    Err(DbErr::Migration(format!(
        "table `{name}` is there already, and is not what this migration creates: rename it or drop \
         it first"
    )))
}

/// A table as `SHOW CREATE TABLE` has it, without its name.
#[derive(PartialEq)]
struct Text {
    foreign_keys: Vec<String>,
    others: Vec<String>,
}

impl Text {
    async fn read(db: &impl ConnectionTrait, name: &str) -> Result<Self, DbErr> {
        let show = Statement::from_string(DbBackend::MySql, format!("SHOW CREATE TABLE {name}"));
        let text: String = match db.query_one_raw(show).await? {
            Some(row) => row.try_get_by_index(1)?,
            None => String::new(),
        };
        let lines = text.lines().skip(1);
        let lines = lines.map(|line| without_default(line.trim().trim_end_matches(',')).to_owned());
        let (foreign_keys, others) = lines.partition(|line| line.contains(" FOREIGN KEY ("));
        Ok(Self {
            foreign_keys,
            others,
        })
    }
}

/// MySQL writes out the action that both use for a key without one.
fn without_default(key: &str) -> &str {
    key.trim_end_matches(" ON DELETE RESTRICT")
}
