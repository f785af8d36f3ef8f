//! Many rows as few values: an array for each column on PostgreSQL, a JSON text on SQLite and
//! MariaDB. So the binds of a statement do not grow in number with its rows (D9).
//!
//! PostgreSQL takes JSON too where a column has nulls, arrays or JSON of its own, which an array of
//! its values cannot hold.

use std::marker::PhantomData;

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, IdenStatic,
    Iterable, Statement, Value,
    sea_query::{Alias, Expr},
};
use serde_json::Value as Json;

use super::{
    parts::{expressions, quoted, table_name, typed},
    send::look,
};
use crate::scope::Scope;

/// What a statement calls the rows that it is given.
pub(super) const INPUT: &str = "input";

/// What it calls the values that [`Rows::beside`] adds.
pub(super) const BESIDE: &str = "guesthouse_beside";

/// Rows of an entity that all set the same columns.
pub(crate) struct Rows<E: EntityTrait> {
    columns: Vec<E::Column>,
    input: Input,
}

impl<E: EntityTrait> Rows<E> {
    /// Fails if the rows set different columns: no statement can leave a column to the database's
    /// default in one row and set it in another.
    pub(crate) fn new<'a>(rows: impl IntoIterator<Item = &'a E::ActiveModel>) -> Result<Self, DbErr>
    where
        E::ActiveModel: 'a,
    {
        let rows: Vec<_> = rows.into_iter().collect();
        let sets = |row: &E::ActiveModel, column| !row.is_not_set(column);
        let columns: Vec<_> = E::Column::iter()
            .filter(|column| rows.first().is_some_and(|row| sets(row, *column)))
            .collect();
        let number = |row: &E::ActiveModel| {
            E::Column::iter()
                .filter(|column| sets(row, *column))
                .count()
        };
        for row in &rows {
            if number(row) != columns.len() || !columns.iter().all(|column| sets(row, *column)) {
                let table = E::default().table_name();
                return Err(DbErr::Custom(format!(
                    "the rows of {table} do not all set the same columns"
                )));
            }
        }
        let cells = |column: &E::Column| {
            let cells = rows
                .iter()
                .map(|row| row.get(*column).into_value())
                .collect::<Option<_>>();
            Column {
                name: column.as_str().to_owned(),
                cells: cells.unwrap_or_default(),
            }
        };
        let input = Input::new(columns.iter().map(cells).collect(), rows.len());
        Ok(Self { columns, input })
    }

    /// Puts a value beside each row, in a column [`BESIDE`] of the table `input`. It is not
    /// inserted; it finds what belongs to the row.
    pub(super) fn beside(mut self, values: Vec<Value>) -> Self {
        self.input.beside = Some(Column {
            name: BESIDE.to_owned(),
            cells: values,
        });
        self
    }

    pub(super) fn sets(&self, column: E::Column) -> bool {
        self.columns
            .iter()
            .any(|set| set.as_str() == column.as_str())
    }

    /// `INSERT INTO table (columns) SELECT … FROM input`.
    pub(super) fn insert(&self, backend: DbBackend, given: Given<'_>) -> String {
        self.insert_with(backend, given, None)
    }

    /// As [`insert`](Self::insert), with one more column, whose value is an expression.
    pub(super) fn insert_with(
        &self,
        backend: DbBackend,
        given: Given<'_>,
        more: Option<(E::Column, &str)>,
    ) -> String {
        let all = self
            .columns
            .iter()
            .chain(more.as_ref().map(|(column, _)| column));
        let names = all.map(|column| quoted(backend, column.as_str()));
        let cells = self.columns.iter().map(|column| {
            column.save_as(Expr::col((Alias::new(INPUT), Alias::new(column.as_str()))))
        });
        let more = more.map(|(_, expression)| Expr::cust(expression.to_owned()));
        let table = table_name::<E>(backend);
        format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {}",
            names.collect::<Vec<_>>().join(", "),
            expressions(backend, cells.chain(more)),
            self.input.table::<E>(backend, given)
        )
    }

    /// The rows as a table `input`.
    pub(super) fn table(&self, backend: DbBackend, given: Given<'_>) -> String {
        self.input.table::<E>(backend, given)
    }

    /// A column of the table `input` by its quoted name, for a comparison; see [`Keys::compared`].
    pub(super) fn compared(&self, backend: DbBackend, name: &str) -> String {
        self.input.compared::<E>(backend, name)
    }

    /// What [`table`](Self::table) reads.
    pub(super) fn values(&self, backend: DbBackend) -> Vec<Value> {
        self.input.values(backend)
    }

    /// The values of one column, as a table `input` of their own.
    pub(super) fn only(&self, column: E::Column) -> Keys<E> {
        let cells = self
            .input
            .columns
            .iter()
            .find(|found| found.name == column.as_str());
        let cells = cells.map_or_else(Vec::new, |found| found.cells.clone());
        Keys::new(column.as_str().to_owned(), cells)
    }
}

/// Values of one column of an entity.
pub(super) struct Keys<E: EntityTrait> {
    input: Input,
    entity: PhantomData<E>,
}

impl<E: EntityTrait> Keys<E> {
    pub(super) fn new(name: String, cells: Vec<Value>) -> Self {
        let rows = cells.len();
        Self {
            input: Input::new(vec![Column { name, cells }], rows),
            entity: PhantomData,
        }
    }

    /// The values as a table `input` of one column.
    pub(super) fn table(&self, backend: DbBackend, given: Given<'_>) -> String {
        self.input.table::<E>(backend, given)
    }

    /// What [`table`](Self::table) reads.
    pub(super) fn values(&self, backend: DbBackend) -> Vec<Value> {
        self.input.values(backend)
    }

    pub(super) fn len(&self) -> usize {
        self.input.rows
    }

    /// The column by its quoted name, for a comparison with one of a table, whose collation
    /// decides.
    pub(super) fn compared(&self, backend: DbBackend, name: &str) -> String {
        self.input.compared::<E>(backend, name)
    }

    pub(super) fn are_texts(&self) -> bool {
        self.input.columns.iter().all(Column::is_text)
    }

    pub(super) fn into_cells(self) -> Vec<Value> {
        let columns = self.input.columns.into_iter();
        columns.flat_map(|column| column.cells).collect()
    }
}

/// Where a statement finds the values.
#[derive(Clone, Copy)]
pub(super) enum Given<'a> {
    /// In binds that come after this many others.
    Binds(usize),
    /// In a variable of this name, which holds JSON.
    Variable(&'a str),
}

struct Input {
    columns: Vec<Column>,
    /// One more column, of texts.
    beside: Option<Column>,
    rows: usize,
    /// Whether PostgreSQL can take each column as an array.
    as_arrays: bool,
}

struct Column {
    name: String,
    cells: Vec<Value>,
}

impl Input {
    fn new(columns: Vec<Column>, rows: usize) -> Self {
        let as_arrays = columns
            .iter()
            .all(|column| column.cells.iter().all(fits_an_array));
        Self {
            columns,
            beside: None,
            rows,
            as_arrays,
        }
    }

    fn columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().chain(&self.beside)
    }

    fn table<E: EntityTrait>(&self, backend: DbBackend, given: Given<'_>) -> String {
        match (backend, given) {
            (DbBackend::Postgres, Given::Binds(before)) if self.as_arrays => {
                let binds = (1..=self.columns().count()).map(|n| format!("${}", before + n));
                let names = self.columns().map(|column| column.quoted(backend));
                format!(
                    "unnest({}) AS {INPUT} ({})",
                    binds.collect::<Vec<_>>().join(", "),
                    names.collect::<Vec<_>>().join(", ")
                )
            }
            // The table's own types read the texts.
            (DbBackend::Postgres, Given::Binds(before)) => {
                let rows = format!(
                    "json_populate_recordset(NULL::{}, ${}::json)",
                    table_name::<E>(backend),
                    before + 1
                );
                match &self.beside {
                    None => format!("{rows} AS {INPUT}"),
                    Some(beside) => format!(
                        "ROWS FROM (unnest(${}), {rows}) AS {INPUT} ({})",
                        before + 2,
                        beside.quoted(backend)
                    ),
                }
            }
            (DbBackend::MySql, Given::Variable(name)) => self.json_table(name),
            (DbBackend::MySql, Given::Binds(_)) => self.json_table("?"),
            (_, Given::Variable(name)) => self.json_each(name),
            (_, Given::Binds(_)) => self.json_each("?"),
        }
    }

    /// MariaDB would compare by the binary collation of these texts, and could not use an index of
    /// another collation. What a JSON function returns has the
    /// [coercibility](https://mariadb.com/kb/en/coercibility/) of a literal, so the collation of
    /// the other side decides.
    fn compared<E: EntityTrait>(&self, backend: DbBackend, name: &str) -> String {
        let is_named = |column: &E::Column| quoted(backend, column.as_str()) == name;
        if backend == DbBackend::Postgres
            && let Some(column) = E::Column::iter().find(is_named)
        {
            let cell = Expr::col((Alias::new(INPUT), Alias::new(column.as_str())));
            return expressions(backend, [typed(column, column.save_as(cell), backend)]);
        }
        let is_text = |column: &Column| column.quoted(backend) == name && column.is_text();
        match backend == DbBackend::MySql && self.columns().any(is_text) {
            true => format!("json_unquote(json_quote({INPUT}.{name}))"),
            false => format!("{INPUT}.{name}"),
        }
    }

    fn json_each(&self, given: &str) -> String {
        let cells = self.columns().enumerate().map(|(n, column)| {
            let name = column.quoted(DbBackend::Sqlite);
            match column.is_binary() {
                true => format!("unhex(value ->> {n}) AS {name}"),
                false => format!("value ->> {n} AS {name}"),
            }
        });
        let cells = cells.collect::<Vec<_>>().join(", ");
        format!("(SELECT {cells} FROM json_each({given})) AS {INPUT}")
    }

    fn json_table(&self, given: &str) -> String {
        let (mut cells, mut columns) = (Vec::new(), Vec::new());
        for (n, column) in self.columns().enumerate() {
            let name = column.quoted(DbBackend::MySql);
            cells.push(match column.is_binary() {
                true => format!("unhex({name}) AS {name}"),
                false => name.clone(),
            });
            columns.push(format!("{name} {} PATH '$[{n}]'", column.type_on_mysql()));
        }
        format!(
            "(SELECT {} FROM json_table({given}, '$[*]' COLUMNS ({})) AS given) AS {INPUT}",
            cells.join(", "),
            columns.join(", ")
        )
    }

    fn values(&self, backend: DbBackend) -> Vec<Value> {
        #[cfg(feature = "postgres")]
        if backend == DbBackend::Postgres && self.as_arrays {
            return self.columns().map(Column::array).collect();
        }
        let rows: Json = match backend {
            DbBackend::Postgres => (0..self.rows).map(|row| self.object(row)).collect(),
            _ => (0..self.rows).map(|row| self.array(row, backend)).collect(),
        };
        let rows = std::iter::once(rows.to_string().into());
        #[cfg(feature = "postgres")]
        if backend == DbBackend::Postgres {
            return rows
                .chain(self.beside.as_ref().map(Column::array))
                .collect();
        }
        rows.collect()
    }

    /// `{"column": value, …}`
    fn object(&self, row: usize) -> Json {
        let cells = self.columns.iter().map(|column| {
            let value = text::on_postgres(&column.cells[row]);
            (column.name.clone(), value)
        });
        Json::Object(cells.collect())
    }

    /// `[value, …]`
    fn array(&self, row: usize, backend: DbBackend) -> Json {
        let value = |column: &Column| match backend {
            DbBackend::MySql => text::on_mysql(&column.cells[row]),
            _ => text::on_sqlite(&column.cells[row]),
        };
        self.columns().map(value).collect()
    }
}

impl Column {
    fn quoted(&self, backend: DbBackend) -> String {
        quoted(backend, &self.name)
    }

    /// Whether its values travel as hexadecimal texts. A null has the type of the others.
    fn is_binary(&self) -> bool {
        matches!(self.cells.first(), Some(Value::Uuid(_) | Value::Bytes(_)))
    }

    fn is_text(&self) -> bool {
        matches!(self.cells.first(), Some(Value::String(_)))
    }

    fn type_on_mysql(&self) -> String {
        match self.cells.first() {
            Some(Value::Uuid(_)) => "char(32)".to_owned(),
            // A text would be compared with a number as a double, which cannot hold every `bigint`.
            Some(Value::TinyInt(_) | Value::SmallInt(_) | Value::Int(_) | Value::BigInt(_)) => {
                "bigint".to_owned()
            }
            Some(
                Value::TinyUnsigned(_)
                | Value::SmallUnsigned(_)
                | Value::Unsigned(_)
                | Value::BigUnsigned(_),
            ) => "bigint unsigned".to_owned(),
            Some(
                Value::ChronoDateTime(_)
                | Value::ChronoDateTimeUtc(_)
                | Value::ChronoDateTimeLocal(_)
                | Value::ChronoDateTimeWithTimeZone(_),
            ) => "datetime(6)".to_owned(),
            Some(Value::String(_)) => self.text_on_mysql(),
            _ => "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin".to_owned(),
        }
    }

    /// Long enough for each text, in few lengths, since each length makes another statement.
    fn text_on_mysql(&self) -> String {
        const LONGEST: usize = 1 << 13;

        let length = |value: &Value| match value {
            Value::String(Some(text)) => text.len(),
            _ => 0,
        };
        let longest = self.cells.iter().map(length).max().unwrap_or(0);
        let kind = match longest.next_power_of_two().max(64) {
            length if length <= LONGEST => format!("varchar({length})"),
            _ => "longtext".to_owned(),
        };
        format!("{kind} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    }

    #[cfg(feature = "postgres")]
    fn array(&self) -> Value {
        let kind = match self.cells.first() {
            Some(value) => value.array_type(),
            None => Value::String(None).array_type(),
        };
        Value::Array(kind, Some(Box::new(self.cells.clone())))
    }
}

/// Values that sqlx sends in arrays as it sends them alone.
fn fits_an_array(value: &Value) -> bool {
    matches!(
        value,
        Value::Bool(Some(_))
            | Value::SmallInt(Some(_))
            | Value::Int(Some(_))
            | Value::BigInt(Some(_))
            | Value::Float(Some(_))
            | Value::Double(Some(_))
            | Value::String(Some(_))
            | Value::Bytes(Some(_))
            | Value::Uuid(Some(_))
            | Value::ChronoDate(Some(_))
            | Value::ChronoTime(Some(_))
            | Value::ChronoDateTime(Some(_))
            | Value::ChronoDateTimeUtc(Some(_))
            | Value::ChronoDateTimeWithTimeZone(Some(_))
    )
}

/// Values as JSON, in the text in which each would have been sent alone.
pub(super) mod text {
    use sea_orm::{
        Value,
        prelude::DateTimeWithTimeZone,
        sea_query::{MysqlQueryBuilder, PostgresQueryBuilder, QueryBuilder, SqliteQueryBuilder},
    };
    use serde_json::Value as Json;

    use crate::statements::parts::hex;

    pub(in crate::statements) fn on_postgres(value: &Value) -> Json {
        let text = match value {
            Value::Json(Some(json)) => return (**json).clone(),
            #[cfg(feature = "postgres")]
            Value::Array(_, Some(values)) => return values.iter().map(on_postgres).collect(),
            Value::Bytes(Some(bytes)) => format!("\\x{}", hex(bytes)),
            value => return common(value, &PostgresQueryBuilder),
        };
        Json::String(text)
    }

    /// What sqlx writes: <https://docs.rs/sqlx-sqlite>, `types::chrono`.
    pub(super) fn on_sqlite(value: &Value) -> Json {
        let text = match value {
            Value::Bool(Some(is)) => return i64::from(*is).into(),
            Value::Float(Some(number)) => return f64::from(*number).into(),
            Value::Double(Some(number)) => return (*number).into(),
            Value::TinyInt(Some(number)) => return (*number).into(),
            Value::SmallInt(Some(number)) => return (*number).into(),
            Value::Int(Some(number)) => return (*number).into(),
            Value::BigInt(Some(number)) => return (*number).into(),
            Value::TinyUnsigned(Some(number)) => return (*number).into(),
            Value::SmallUnsigned(Some(number)) => return (*number).into(),
            Value::Unsigned(Some(number)) => return (*number).into(),
            Value::BigUnsigned(Some(number)) => return (*number).into(),
            Value::Bytes(Some(bytes)) => hex(bytes),
            Value::Uuid(Some(id)) => id.simple().to_string(),
            value => return common(value, &SqliteQueryBuilder),
        };
        Json::String(text)
    }

    pub(super) fn on_mysql(value: &Value) -> Json {
        let text = match value {
            Value::Bool(Some(is)) => return i64::from(*is).into(),
            Value::Bytes(Some(bytes)) => hex(bytes),
            Value::Uuid(Some(id)) => id.simple().to_string(),
            Value::ChronoDateTimeUtc(Some(time)) => time.naive_utc().to_string(),
            Value::ChronoDateTimeLocal(Some(time)) => time.naive_utc().to_string(),
            Value::ChronoDateTimeWithTimeZone(Some(time)) => time.naive_utc().to_string(),
            value => match moment(value) {
                Some(moment) => moment.naive_utc().to_string(),
                None => return common(value, &MysqlQueryBuilder),
            },
        };
        Json::String(text)
    }

    /// The moment in a value of the crate `time`. Whether `Value` has such a variant depends on the
    /// features of the app, so it is found by the literal that SeaORM writes of it, which no database
    /// here reads as sqlx writes it.
    pub(in crate::statements) fn moment(value: &Value) -> Option<DateTimeWithTimeZone> {
        if matches!(
            value,
            Value::String(_)
                | Value::Char(_)
                | Value::Json(_)
                | Value::SmallInt(_)
                | Value::Int(_)
                | Value::BigInt(_)
        ) {
            return None;
        }
        let literal = SqliteQueryBuilder.value_to_string(value);
        let text = literal.trim_matches('\'');
        DateTimeWithTimeZone::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f %:z").ok()
    }

    /// Dates and times have one form everywhere. Types that this library does not know become the
    /// literals that SeaORM writes of them.
    fn common(value: &Value, backend: &impl QueryBuilder) -> Json {
        if *value == value.as_null() {
            return Json::Null;
        }
        let text = match value {
            Value::Bool(Some(is)) => return (*is).into(),
            Value::String(Some(text)) => text.to_string(),
            Value::Char(Some(text)) => text.to_string(),
            Value::Json(Some(json)) => json.to_string(),
            Value::Uuid(Some(id)) => id.to_string(),
            Value::Float(Some(number)) => number.to_string(),
            Value::Double(Some(number)) => number.to_string(),
            Value::ChronoDate(Some(date)) => date.to_string(),
            Value::ChronoTime(Some(time)) => time.to_string(),
            Value::ChronoDateTime(Some(time)) => time.to_string(),
            Value::ChronoDateTimeUtc(Some(time)) => time.to_rfc3339(),
            Value::ChronoDateTimeLocal(Some(time)) => time.to_rfc3339(),
            Value::ChronoDateTimeWithTimeZone(Some(time)) => time.to_rfc3339(),
            value => {
                let literal = backend.value_to_string(value);
                let quoted = literal
                    .strip_prefix('\'')
                    .and_then(|end| end.strip_suffix('\''));
                match (moment(value), quoted) {
                    (Some(moment), _) => moment.to_rfc3339(),
                    (None, Some(quoted)) => quoted.replace("''", "'"),
                    (None, None) => literal,
                }
            }
        };
        Json::String(text)
    }
}

/// Refuses what does not fit into one packet of MariaDB: the server would end the connection and,
/// with it, the caller's transaction.
pub(super) async fn fit_a_packet<C: ConnectionTrait>(
    db: &C,
    values: &[Value],
) -> Result<(), DbErr> {
    /// The smallest limit that a server has by default, and what the text around the values takes.
    const ALWAYS_FITS: u64 = 1 << 20;
    const TEXT: u64 = 1 << 16;

    // In a transaction the statement travels in hexadecimal, in which a text with a backslash stands
    // already.
    let travels_in_a_variable = Scope::of::<C>() != Scope::Autocommit;
    let length = |value: &Value| match value {
        Value::String(Some(text)) => {
            let times = match (travels_in_a_variable, text.contains('\\')) {
                (false, _) => 1,
                (true, false) => 2,
                (true, true) => 4,
            };
            times * text.len() as u64
        }
        _ => 0,
    };
    let needed = values.iter().map(length).sum::<u64>() + TEXT;
    if db.get_database_backend() != DbBackend::MySql || needed <= ALWAYS_FITS {
        return Ok(());
    }
    let ask = "SELECT CAST(@@max_allowed_packet AS SIGNED)";
    let rows = look(db, Statement::from_string(DbBackend::MySql, ask)).await?;
    let limit: i64 = match rows.first() {
        Some(row) => row.try_get_by_index(0)?,
        None => 0,
    };
    if needed > limit.unsigned_abs() {
        return Err(DbErr::Custom(format!(
            "the rows take {needed} bytes and max_allowed_packet is {limit}: pass fewer at a time"
        )));
    }
    Ok(())
}
