//! Writes the entities: sea-orm-codegen's dense format, with modules in the singular.

use sea_orm_codegen::{
    BannerVersion, BigIntegerType, DateTimeCrate, EntityFormat, EntityTransformer,
    EntityWriterContext, OutputFile, WithPrelude, WithSerde,
};
use sea_orm_migration::sea_query::{ColumnType, StringLen};
use syn::{Attribute, Field, File, Item, Meta, Token, parse_quote, punctuated::Punctuated};

use super::{
    GeneratedFile, HEADER, SyncError, naming,
    table::{Column, Table},
};

/// What every entity does on save stands in one hand-written place, for tables made later too.
const BEHAVIOR: &str = "
#[async_trait::async_trait]
impl ActiveModelBehavior for ActiveModel {
    async fn before_save<C: ConnectionTrait>(self, _db: &C, insert: bool) -> Result<Self, DbErr> {
        Ok(guesthouse_entity::on_save(self, insert))
    }
}
";

pub(super) fn generate(tables: &[Table]) -> Result<Vec<GeneratedFile>, SyncError> {
    let singulars = naming::singulars(tables)?;
    // A foreign key may point out of the schema; codegen leaves out the relation.
    let rename = |table: &str| {
        singulars
            .get(table)
            .map_or_else(|| table.to_owned(), String::clone)
    };
    let statements = tables.iter().map(|table| table.statement(rename)).collect();
    let output = EntityTransformer::transform(statements)
        .map_err(|error| SyncError::Schema(error.to_string()))?
        .generate(&dense());
    output
        .files
        .into_iter()
        .map(|file| {
            let table = tables
                .iter()
                .find(|table| file.name == format!("{}.rs", singulars[table.name.as_str()]));
            let mut content = format!("// {HEADER}\n\n{}", format_rust(&file, table)?);
            if let Some(Table { name, .. }) = table {
                let renamed = format!("#[sea_orm(table_name = \"{}\")]", rename(name));
                let real = format!("#[sea_orm(table_name = \"{name}\")]");
                content = content.replace(&renamed, &real) + BEHAVIOR;
            }
            Ok(GeneratedFile {
                name: file.name,
                content,
            })
        })
        .collect()
}

fn dense() -> EntityWriterContext {
    EntityWriterContext::new(
        EntityFormat::Dense,
        WithPrelude::None,
        WithSerde::None,
        false,
        DateTimeCrate::Chrono,
        BigIntegerType::I64,
        None,
        false,
        false,
        false,
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
        false,
        false,
        BannerVersion::Off,
    )
}

/// Codegen writes tokens in a row, under a line that names its version.
fn format_rust(file: &OutputFile, table: Option<&Table>) -> Result<String, SyncError> {
    let mut parsed = syn::parse_file(&file.content)
        .map_err(|error| SyncError::Schema(format!("{} is not valid Rust: {error}", file.name)))?;
    parsed.attrs.clear();
    for item in &mut parsed.items {
        if let (Item::Struct(model), Some(table)) = (item, table) {
            table
                .columns
                .iter()
                .zip(&mut model.fields)
                .for_each(add_length);
        }
    }
    let is_import = |item: &Item| matches!(item, Item::Use(_));
    let (imports, items): (Vec<_>, Vec<_>) = parsed.items.into_iter().partition(is_import);
    let blocks = [imports, items].map(|items| {
        prettyplease::unparse(&File {
            shebang: None,
            attrs: Vec::new(),
            items,
        })
    });
    Ok(blocks.join("\n").trim_start().to_owned())
}

/// Adds the length of a `varchar`, which codegen leaves out, to the attribute of its field.
fn add_length((column, field): (&Column, &mut Field)) {
    let ColumnType::String(StringLen::N(length)) = column.kind else {
        return;
    };
    let kind = format!("String(StringLen::N({length}))");
    let mut arguments: Punctuated<Meta, Token![,]> = parse_quote!(column_type = #kind);
    if column.nullable {
        arguments.push(parse_quote!(nullable));
    }
    let is_ours = |attribute: &Attribute| attribute.path().is_ident("sea_orm");
    let present = field
        .attrs
        .iter()
        .position(is_ours)
        .map(|place| field.attrs.remove(place));
    if let Some(Meta::List(list)) = present.map(|attribute| attribute.meta) {
        let rest = list.tokens;
        field
            .attrs
            .push(parse_quote!(#[sea_orm(#arguments, #rest)]));
    } else {
        field.attrs.push(parse_quote!(#[sea_orm(#arguments)]));
    }
}
