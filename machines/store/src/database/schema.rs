//! The tables, and how a database of an older version is brought up.
//!
//! ```text
//! image      id · parent · manifest · last_tagged        the configuration's bytes are in blobs/
//! name       reference → image
//! layer      diff_id · size                              its tree is in layers/
//! snapshot   id · image · layers                         its files are in containers/
//! container  sequence · id · body (JSON of the model)
//! network    id · body (JSON of the model)
//! volume     name · body (JSON of the model)             its data are in volumes/
//! ```
//! Nothing counts references: who needs a layer is read off these rows.

use rusqlite::Connection;

use crate::error::{Context as _, Error, Kind, Result};

/// The version that this program writes, in `PRAGMA user_version`. It grows with the tables, and with every change of a body
/// that programs before it cannot read: they refuse the database then, and do not call its records damaged.
const VERSION: i32 = 3;

/// What brings a database from one version to the next.
const STEPS: [&str; VERSION as usize] = [FIRST, SECOND, THIRD];

const FIRST: &str = "
    CREATE TABLE image (
        id TEXT PRIMARY KEY, parent TEXT, manifest TEXT, last_tagged TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE name (reference TEXT PRIMARY KEY, image TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE layer (diff_id TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE snapshot (id TEXT PRIMARY KEY, image TEXT, layers TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE container (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL
    );
    CREATE TABLE volume (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
";

const SECOND: &str = "CREATE TABLE network (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;";

/// Bodies of networks have fields that may be null.
const THIRD: &str = "";

/// Brings the tables to this program's version.
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let version: i32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .context(|| "cannot read the version of the database")?;
    match version {
        0..VERSION => {
            let change = connection.transaction().context(|| "cannot write to the database")?;
            for step in STEPS.iter().skip(usize::try_from(version).unwrap_or_default()) {
                change.execute_batch(step).context(|| "cannot make the tables of the database")?;
            }
            change
                .pragma_update(None, "user_version", VERSION)
                .context(|| "cannot write the version of the database")?;
            change.commit().context(|| "cannot make the tables of the database")
        }
        VERSION => Ok(()),
        newer => Err(Error::new(
            Kind::Unavailable,
            format!("the database has version {newer}, this program knows {VERSION}: use the newer program"),
        )),
    }
}
