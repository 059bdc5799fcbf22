//! Mounts that are passed on: what is mounted on the host later is seen in a container only where the mount that its
//! source is on passes it on.

use dhow_model::container::{MountKind, MountPoint};
use dhow_model::ports::PathMount;
use dhow_model::{Container, Error, Result};

use crate::Engine;

impl Engine {
    /// Refuses binds that ask for more than the mount of their source does.
    ///
    /// # Errors
    /// In Docker's words.
    pub(crate) fn check_propagation(&self, record: &Container) -> Result<()> {
        let binds = record.mounts.iter().filter(|mount| mount.kind == MountKind::Bind);
        for bind in binds.filter(|bind| wanted(bind).is_some()) {
            check(bind, &self.ports.host.mount_of(&bind.source)?)?;
        }
        Ok(())
    }
}

/// What the mount has to be.
fn wanted(bind: &MountPoint) -> Option<&'static str> {
    match bind.propagation.trim_start_matches('r') {
        "shared" => Some("a shared"),
        "slave" => Some("a shared or slave"),
        _ => None,
    }
}

fn check(bind: &MountPoint, of_source: &PathMount) -> Result<()> {
    let enough = of_source.shared || (of_source.slave && wanted(bind) != Some("a shared"));
    match wanted(bind) {
        Some(kind) if !enough => Err(Error::internal(format!(
            "path {} is mounted on {} but it is not {kind} mount",
            bind.source.display(),
            of_source.place.display()
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_passes_on_no_more_than_the_one_below_it() {
        let bind = |propagation: &str| -> MountPoint {
            let bind = serde_json::json!({
                "kind": "bind", "name": "", "source": "/src", "destination": "/x", "driver": "", "mode": "",
                "writable": true, "propagation": propagation, "options": [], "copy_up": false,
            });
            serde_json::from_value(bind).unwrap()
        };
        let told = |propagation: &str, shared: bool, slave: bool| {
            let mount = PathMount { place: "/".into(), shared, slave };
            check(&bind(propagation), &mount).map_or_else(|error| error.to_string(), |()| String::new())
        };
        let not_shared = "path /src is mounted on / but it is not a shared mount";
        let neither = "path /src is mounted on / but it is not a shared or slave mount";
        for (propagation, shared, slave, words) in [
            ("", false, false, ""),
            ("rprivate", false, false, ""),
            ("shared", false, false, not_shared),
            ("rshared", false, true, not_shared),
            ("rshared", true, false, ""),
            ("rslave", false, false, neither),
            ("slave", false, true, ""),
            ("slave", true, false, ""),
        ] {
            assert_eq!(told(propagation, shared, slave), words, "{propagation} {shared} {slave}");
        }
    }
}
