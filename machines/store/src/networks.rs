//! Records of networks, and the copy of all of them beside the database.

use std::sync::PoisonError;

use dhow_model::Result;
use dhow_model::network::Network;
use dhow_model::ports::Durability;
use rusqlite::Connection;

use crate::Core;
use crate::database::Database;
use crate::error::Context as _;
use crate::layout::Layout;
use crate::records::replace_file;
use crate::repair::read_json;

/// One row, and what it says; nothing where that cannot be read.
pub(crate) type Row = (String, Option<Network>);

/// All rows, in the order of their ids.
pub(crate) fn rows(database: &Database) -> Result<Vec<Row>> {
    let bodies: Vec<(String, String)> = database.read(|connection| {
        let mut query = connection.prepare_cached("SELECT id, body FROM network ORDER BY id")?;
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    })?;
    let read = |(id, body): (String, String)| {
        let network = serde_json::from_str::<Network>(&body).ok().filter(|network| network.id == id);
        (id, network)
    };
    Ok(bodies.into_iter().map(read).collect())
}

/// Those that can be read; the others are left out, and told.
pub(crate) fn whole(database: &Database) -> Result<Vec<Network>> {
    let rows = rows(database)?;
    for (id, _) in rows.iter().filter(|(_, network)| network.is_none()) {
        tracing::error!(network = id, "the record of a network cannot be read");
    }
    Ok(rows.into_iter().filter_map(|(_, network)| network).collect())
}

pub(crate) fn row(connection: &Connection, network: &Network) -> rusqlite::Result<()> {
    let body = serde_json::to_string(network)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let mut upsert = connection.prepare_cached(
        "INSERT INTO network (id, body) VALUES (?1, ?2)
         ON CONFLICT (id) DO UPDATE SET body = excluded.body",
    )?;
    upsert.execute((&network.id, &body)).map(drop)
}

/// The copy, as it was written last; none where it cannot be read.
pub(crate) fn copies(layout: &Layout) -> Vec<Network> {
    read_json(&layout.networks()).unwrap_or_default()
}

/// The text of the copy.
pub(crate) fn copy(database: &Database) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(&whole(database)?).context(|| "cannot write down the networks")
}

/// Makes a row that cannot be read again from the copy, or takes it away.
pub(crate) fn mend(database: &Database, layout: &Layout, id: &str) -> Result<bool> {
    let found = copies(layout).into_iter().find(|network| network.id == id);
    let (id, mended) = (id.to_owned(), found.is_some());
    database.write(Durability::Committed, move |connection| match &found {
        Some(network) => row(connection, network),
        None => connection.execute("DELETE FROM network WHERE id = ?1", [&id]).map(drop),
    })?;
    Ok(mended)
}

impl Core {
    /// Writes the networks beside the database. What it is written for was done: a full disk is no reason to fail.
    pub(crate) fn write_networks(&self) {
        let _alone = self.networks_copy.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.layout.networks();
        let directory = path.parent().unwrap_or(&path);
        let written = copy(&self.database).and_then(|text| replace_file(directory, "networks.json", &text));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), error = error.report(), "no copy of the networks");
        }
    }
}
