//! Which parts of an account may leave the server.
//!
//! The models do not implement `Serialize`, so a column added to a table is shown only once it is
//! added here (D11).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::account::Account;
use crate::{guest, host};

/// A guest in a list. JSON: `{"id": "…"}`.
///
/// [`GuestView`] has all of its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(description = "A guest in a list")
)]
pub struct GuestSummary {
    /// The id of the guest, which is not that of its user.
    pub id: Uuid,
}

/// One guest. JSON: `{"id": "…"}`.
///
/// # Examples
///
/// ```
/// use guesthouse::{GuestView, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?;
/// let guest = ada.guest.ok_or("signing up makes the guest")?;
///
/// let json = serde_json::to_value(GuestView::from(&guest))?;
/// assert_eq!(json, serde_json::json!({ "id": guest.id }));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(description = "One guest")
)]
pub struct GuestView {
    /// The id of the guest, which is not that of its user.
    pub id: Uuid,
}

/// A host in a list. JSON: `{"id": "…"}`.
///
/// [`HostView`] has all of its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(description = "A host in a list")
)]
pub struct HostSummary {
    /// The id of the host, which is not that of its user.
    pub id: Uuid,
}

/// One host. JSON: `{"id": "…"}`.
///
/// # Examples
///
/// ```
/// use guesthouse::{HostView, become_host, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?.user;
/// let host = become_host(&db, ada.id).await?.into_model();
///
/// let json = serde_json::to_value(HostView::from(&host))?;
/// assert_eq!(json, serde_json::json!({ "id": host.id }));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(description = "One host")
)]
pub struct HostView {
    /// The id of the host, which is not that of its user.
    pub id: Uuid,
}

/// An account in a list that others see: no e-mail address.
///
/// JSON: `{"id": "…", "guest": {…} | null, "host": {…} | null}`. No key is ever left out.
///
/// # Examples
///
/// ```
/// use guesthouse::{AccountSummary, Accounts, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// sign_up(&db, "ada@example.com".parse()?).await?;
///
/// let page = Accounts::all().fetch(&db).await?;
/// let list: Vec<_> = page.accounts.iter().map(AccountSummary::from).collect();
/// assert!(!serde_json::to_string(&list)?.contains("ada@example.com"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(description = "An account in a list that others see: no e-mail address")
)]
pub struct AccountSummary {
    /// The id of the user.
    pub id: Uuid,
    /// The guest of the user; `null` if it has none.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub guest: Option<GuestSummary>,
    /// The host of the user; `null` if it has not become one.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub host: Option<HostSummary>,
}

/// An account as only its owner sees it: with the e-mail address.
///
/// JSON: `{"id": "…", "email": "…", "guest": {…} | null, "host": {…} | null}`. No key is ever left
/// out. It has all fields of [`AccountSummary`].
///
/// # Examples
///
/// ```
/// use guesthouse::{AccountView, sign_up};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let db = sea_orm::Database::connect("sqlite::memory:").await?;
/// # <guesthouse_migration::Migrator as guesthouse_migration::MigratorTrait>::up(&db, None).await?;
/// let ada = sign_up(&db, "ada@example.com".parse()?).await?;
///
/// let json = serde_json::to_value(AccountView::from(&ada))?;
/// assert_eq!(json["email"], "ada@example.com");
/// assert_eq!(json["host"], serde_json::Value::Null);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(description = "An account as its owner sees it")
)]
pub struct AccountView {
    /// The id of the user.
    pub id: Uuid,
    /// The address as it is stored.
    pub email: String,
    /// The guest of the user; `null` if it has none.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub guest: Option<GuestView>,
    /// The host of the user; `null` if it has not become one.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub host: Option<HostView>,
}

impl From<&guest::Model> for GuestSummary {
    fn from(guest: &guest::Model) -> Self {
        Self { id: guest.id }
    }
}

impl From<&guest::Model> for GuestView {
    fn from(guest: &guest::Model) -> Self {
        Self { id: guest.id }
    }
}

impl From<&host::Model> for HostSummary {
    fn from(host: &host::Model) -> Self {
        Self { id: host.id }
    }
}

impl From<&host::Model> for HostView {
    fn from(host: &host::Model) -> Self {
        Self { id: host.id }
    }
}

impl From<&Account> for AccountSummary {
    fn from(account: &Account) -> Self {
        Self {
            id: account.user.id,
            guest: account.guest.as_ref().map(GuestSummary::from),
            host: account.host.as_ref().map(HostSummary::from),
        }
    }
}

impl From<&Account> for AccountView {
    fn from(account: &Account) -> Self {
        Self {
            id: account.user.id,
            email: account.user.email.clone(),
            guest: account.guest.as_ref().map(GuestView::from),
            host: account.host.as_ref().map(HostView::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::user;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn account() -> Account {
        let then = chrono::DateTime::UNIX_EPOCH.fixed_offset();
        Account {
            user: user::Model {
                id: id(1),
                email: "ada@example.com".into(),
                created_at: then,
                updated_at: then,
            },
            guest: Some(guest::Model {
                id: id(2),
                user_id: id(1),
                created_at: then,
                updated_at: then,
            }),
            host: Some(host::Model {
                id: id(3),
                user_id: id(1),
                created_at: then,
                updated_at: then,
            }),
        }
    }

    fn bare() -> Account {
        Account {
            guest: None,
            host: None,
            ..account()
        }
    }

    fn json_of(view: impl Serialize) -> Value {
        serde_json::to_value(view).unwrap()
    }

    #[test]
    fn the_whole_json() {
        assert_eq!(
            json_of(AccountView::from(&account())),
            json!({
                "id": id(1),
                "email": "ada@example.com",
                "guest": { "id": id(2) },
                "host": { "id": id(3) },
            })
        );
        assert_eq!(
            json_of(AccountSummary::from(&account())),
            json!({ "id": id(1), "guest": { "id": id(2) }, "host": { "id": id(3) } })
        );
    }

    #[test]
    fn an_absent_guest_or_host_is_null() {
        assert_eq!(
            json_of(AccountView::from(&bare())),
            json!({ "id": id(1), "email": "ada@example.com", "guest": null, "host": null })
        );
        assert_eq!(
            json_of(AccountSummary::from(&bare())),
            json!({ "id": id(1), "guest": null, "host": null })
        );
    }

    /// A view read back as the summary is the summary.
    #[test]
    fn a_view_has_all_of_its_summary() {
        fn has<S: DeserializeOwned + PartialEq + Debug>(view: impl Serialize, summary: S) {
            assert_eq!(serde_json::from_value::<S>(json_of(view)).unwrap(), summary);
        }
        let full = account();
        let (guest, host) = (full.guest.as_ref().unwrap(), full.host.as_ref().unwrap());
        has(GuestView::from(guest), GuestSummary::from(guest));
        has(HostView::from(host), HostSummary::from(host));
        for account in [account(), bare()] {
            has(AccountView::from(&account), AccountSummary::from(&account));
        }
    }

    #[test]
    fn only_the_owners_view_has_the_address() {
        let account = account();
        let (guest, host) = (
            account.guest.as_ref().unwrap(),
            account.host.as_ref().unwrap(),
        );
        for others_see in [
            json_of(AccountSummary::from(&account)),
            json_of(GuestSummary::from(guest)),
            json_of(GuestView::from(guest)),
            json_of(HostSummary::from(host)),
            json_of(HostView::from(host)),
        ] {
            let text = others_see.to_string();
            assert!(!text.contains('@') && !text.contains("email"), "{text}");
        }
    }

    #[test]
    fn views_survive_a_round_trip() {
        fn survives<V: Serialize + DeserializeOwned + PartialEq + Debug>(view: V) {
            let text = serde_json::to_string(&view).unwrap();
            assert_eq!(serde_json::from_str::<V>(&text).unwrap(), view);
        }
        for account in [account(), bare()] {
            survives(AccountView::from(&account));
            survives(AccountSummary::from(&account));
            account.guest.iter().for_each(|guest| {
                survives(GuestView::from(guest));
                survives(GuestSummary::from(guest));
            });
            account.host.iter().for_each(|host| {
                survives(HostView::from(host));
                survives(HostSummary::from(host));
            });
        }
    }

    /// Compiles only while no model is `Serialize`: two candidates would be ambiguous.
    #[test]
    fn models_cannot_be_serialised() {
        trait Opaque<Case> {
            fn holds() {}
        }
        impl<T> Opaque<()> for T {}
        impl<T: Serialize> Opaque<u8> for T {}
        <user::Model as Opaque<_>>::holds();
        <guest::Model as Opaque<_>>::holds();
        <host::Model as Opaque<_>>::holds();
        <Account as Opaque<_>>::holds();
    }

    #[cfg(feature = "openapi")]
    #[test]
    fn openapi_says_required_and_nullable() {
        use utoipa::OpenApi;

        #[derive(OpenApi)]
        #[openapi(components(schemas(
            AccountSummary,
            AccountView,
            GuestSummary,
            GuestView,
            HostSummary,
            HostView
        )))]
        struct Document;

        let document = json_of(Document::openapi());
        assert_eq!(document["openapi"], "3.1.0");
        // The documentation for Rust programmers, examples and all, is not for an API's readers.
        assert!(!document.to_string().contains("```"), "{document}");
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["HostView"]["description"], "One host");
        for (name, role, required) in [
            (
                "AccountView",
                "View",
                json!(["id", "email", "guest", "host"]),
            ),
            ("AccountSummary", "Summary", json!(["id", "guest", "host"])),
        ] {
            let account = &schemas[name];
            assert_eq!(account["required"], required, "{name}");
            for (field, model) in [("guest", "Guest"), ("host", "Host")] {
                let choices = account["properties"][field]["oneOf"].as_array().unwrap();
                assert_eq!(choices[0], json!({ "type": "null" }), "{name}.{field}");
                let other = format!("#/components/schemas/{model}{role}");
                assert_eq!(choices[1]["$ref"], other, "{name}.{field}");
                assert_eq!(choices.len(), 2, "{name}.{field}");
            }
        }
        for name in ["GuestView", "GuestSummary", "HostView", "HostSummary"] {
            assert_eq!(schemas[name]["required"], json!(["id"]), "{name}");
            assert_eq!(
                schemas[name]["properties"]["id"]["format"], "uuid",
                "{name}"
            );
        }
    }
}
