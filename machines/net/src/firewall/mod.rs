//! The firewall: what containers may reach, by what they are reached, and under which addresses.
//!
//! [`Rules`] says what is wanted. `plan` makes a table of it: fixed chains, and elements of sets for each
//! network and each published range. `text` writes the table in nft's words, `encode` in the kernel's.
//! [`Firewall`] has one table of its own (`inet dhow`), which it replaces in one transaction or changes by a few
//! elements. It touches nobody else's table, and nobody else can touch this one where the kernel knows owners of
//! tables that outlive them (Linux 6.9).

mod connections;
mod constants;
mod elsewhere;
mod encode;
mod gate;
mod inside;
mod keeper;
mod language;
mod others;
mod plan;
mod rules;
mod table;
mod text;

pub(crate) use elsewhere::Elsewhere;
pub use gate::Gate;
pub(crate) use inside::redirect;
pub use keeper::Keeper;
pub use rules::{Access, Face, Neighbours, Network, Policy, Port, Protocol, Reach, Rules, Source, Strangers};
pub use table::{Firewall, Ownership};

/// The tables of these rules in nft's words.
#[must_use]
pub fn text(name: &str, rules: &Rules) -> String {
    plan::tables(name, rules).iter().map(ToString::to_string).collect()
}
