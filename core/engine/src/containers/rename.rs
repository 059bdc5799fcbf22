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
        let new: ContainerName = name.parse().map_err(|error| Error::invalid(format!("{error}")))?;
        let record = entry.record();
        if record.name == new {
            return Err(Error::invalid("Renaming a container with the same name as its current name"));
        }
        self.registry.reserve(&new, &record.id)?;
        let changed = match entry.change(&self.ports, |record| record.name = new.clone()) {
            Ok(changed) => changed,
            Err(error) => {
                self.registry.release(&new);
                return Err(error);
            }
        };
        self.registry.release(&record.name);
        self.tell_container(&changed, "rename", &[("oldName", format!("/{}", record.name))]);
        Ok(())
    }
}
