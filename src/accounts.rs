//! The accounts of a marketplace, on top of the engine: users who sign up with an e-mail address,
//! their guests and their hosts.

mod account;
mod audit;
mod change_email;
mod delete_user;
mod email;
mod hosting;
mod own_users;
mod page;
mod sign_up;
mod sign_up_all;
mod view;

pub use account::Account;
pub use audit::{Audit, EmailAudit, audit, audit_emails};
pub use change_email::change_email;
pub use delete_user::delete_user;
pub use email::{Email, InvalidEmail};
pub use hosting::{backfill_guests, become_host, become_hosts, stop_hosting};
pub use own_users::{change_email_as, delete_user_as, sign_up_as};
pub use page::{Accounts, Page};
pub use sign_up::{SignUp, sign_up, sign_up_with_id};
pub use sign_up_all::{SignUps, sign_up_all, sign_up_all_as};
pub use view::{AccountSummary, AccountView, GuestSummary, GuestView, HostSummary, HostView};
