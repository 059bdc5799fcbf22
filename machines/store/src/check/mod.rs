//! `system check`: what is stored, compared with itself; and what of it can be made again.
//!
//! | what | must be | is made again from |
//! |---|---|---|
//! | a layer's tar, or its tree with the recipe | bytes whose digest is its name | nothing: it is set aside, and comes back with the next load |
//! | a layer's index, or its tree | what is made of the tar | the tar |
//! | a tree's `layer.json` | how many bytes its tar has | the tar |
//! | a layer's row | the bytes that its files take | the files |
//! | a configuration | bytes whose digest is its name, naming layers that are here | nothing: its image is hidden until a load |
//! | a layer's directory | what belongs to a layer of its format | the rest is removed |
//! | a manifest | bytes whose digest is its name | it is let go: `save` writes another |
//! | a container's record | readable | its `config.json` |
//! | `images.json`, `networks.json`, `config.json`, `volume.json` | what the database has | the database |
//! | a snapshot | the layers of its image, and its directories | the image |
//! | layers, blobs and directories that no record names | none | they are removed |
//!
//! Everything goes on meanwhile: what is looked at is pinned, and a thing that comes or goes while the
//! check runs is no finding.

mod aside;
mod blobs;
mod layers;
mod records;

use std::collections::BTreeSet;
use std::sync::Arc;

use dhow_model::Result;
use dhow_model::ports::{CheckReport, Finding, FindingState, Upkeep};
use dhow_oci::image::DiffId;

use crate::Core;

/// The store, as it looks after itself.
#[derive(Debug, Clone)]
pub struct UpkeepStore {
    pub(crate) core: Arc<Core>,
}

impl Upkeep for UpkeepStore {
    fn check(&self, repair: bool) -> Result<CheckReport> {
        let mut check = Check { core: &self.core, repair, report: CheckReport::default() };
        check.database()?;
        check.configurations();
        check.layers()?;
        check.blobs()?;
        check.images()?;
        check.containers()?;
        check.networks()?;
        check.volumes()?;
        Ok(check.report)
    }
}

/// Images and containers that a finding touches.
type Users = (Vec<String>, Vec<String>);

/// A check under way.
struct Check<'a> {
    core: &'a Core,
    repair: bool,
    report: CheckReport,
}

impl Check<'_> {
    /// Notes something that can be mended, and mends it when that is wanted.
    fn mend(&mut self, object: String, problem: String, repair: impl FnOnce(&Core) -> Result<()>) {
        self.mend_for((Vec::new(), Vec::new()), object, problem, repair);
    }

    /// The same for what is not used until it is mended. Tells whether it is.
    fn mend_for(
        &mut self,
        users: Users,
        object: String,
        mut problem: String,
        repair: impl FnOnce(&Core) -> Result<()>,
    ) -> bool {
        let mut state = FindingState::Repairable;
        if self.repair {
            match repair(self.core) {
                Ok(()) => state = FindingState::Repaired,
                Err(error) => problem = format!("{problem}; {}", error.report()),
            }
        }
        self.note(object, problem, state, users);
        state == FindingState::Repaired
    }

    /// Notes something that nothing here can mend.
    fn lost(&mut self, object: String, problem: String, users: Users) {
        self.note(object, problem, FindingState::Lost, users);
    }

    fn note(&mut self, object: String, problem: String, state: FindingState, (images, containers): Users) {
        self.report.findings.push(Finding { object, problem, state, images, containers });
    }

    /// The images and containers that have a layer.
    fn users(&self, diff_id: &DiffId) -> Users {
        let catalog = self.core.catalog();
        let images = catalog.all_on_record().filter(|entry| entry.layers().contains(diff_id));
        let images: BTreeSet<String> = images.flat_map(names).collect();
        let snapshots = catalog.snapshots.iter().filter(|(_, snapshot)| snapshot.layers.contains(diff_id));
        let containers = snapshots.map(|(id, _)| id.to_string()).collect();
        (images.into_iter().collect(), containers)
    }
}

/// What people call an image.
fn names(entry: &crate::catalog::Entry) -> Vec<String> {
    match entry.references.is_empty() {
        true => vec![entry.row.id.to_string()],
        false => entry.references.iter().map(dhow_oci::Reference::familiar).collect(),
    }
}
