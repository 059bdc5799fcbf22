//! What users read: tables, templates, sizes, times. The forms are docker's to the letter, because
//! scripts take them apart.

pub(crate) mod go;
pub(crate) mod indent;
pub(crate) mod inspected;
pub(crate) mod listing;
pub(crate) mod names;
pub(crate) mod quote;
pub(crate) mod tabwriter;
pub(crate) mod template;
pub(crate) mod time;
pub(crate) mod units;
pub(crate) mod value;

pub(crate) use listing::{Forms, Listing, Row};
