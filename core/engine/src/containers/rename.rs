//! `rename`.

use dhow_model::{ContainerName, Error, Result};

use crate::Engine;

impl Engine {
    /// Gives a container another name.
    ///
    /// # Errors
    /// Invalid argument for a name out of its grammar or the same; conflict when it is taken.
    pub fn rename_container(&self, text: &str, name: &str) -> Result<()> {
        let entry = self.container(text)?;
        let _turn = entry.turn();
        if name.is_empty() {
            return Err(Error::invalid("Neither old nor new names may be empty"));
        }
        let record = entry.record();
        let bare = name.strip_prefix('/').unwrap_or(name);
        if record.name.to_string() == bare {
            return Err(Error::invalid("Renaming a container with the same name as its current name"));
        }
        let new: ContainerName = format!("/{bare}")
            .parse()
            .map_err(|error| Error::invalid(format!("Error when allocating new name: {error}")))?;
        self.registry.reserve(&new, &record.id).map_err(|error| {
            Error::new(error.kind(), format!("Error when allocating new name: {}", error.report()))
        })?;
        let changed = match entry.change(&self.ports, |record| record.name = new.clone()) {
            Ok(changed) => changed,
            Err(error) => {
                self.registry.release(&new);
                return Err(error);
            }
        };
        self.registry.release(&record.name);
        self.rename_in_networks(&changed);
        self.tell_container(&changed, "rename", &[("oldName", format!("/{}", record.name))]);
        Ok(())
    }
}
