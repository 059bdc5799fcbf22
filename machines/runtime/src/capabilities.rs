//! Which of the capabilities that a configuration names a container can have here.
//!
//! Names, Docker's default set and `--cap-add` are in [`dhow_oci::capabilities`]: pure. Here the wishes
//! meet the machine: an older kernel, or a runtime that was itself given less than everything. As with
//! runc, what cannot be had is left out and told, and is no error.

use dhow_oci::capabilities::CapabilitySet;
use dhow_oci::runtime::Capabilities;

/// What this process can hand on.
#[derive(Debug, Clone, Copy)]
pub struct Available {
    /// What the kernel knows.
    pub known: CapabilitySet,
    /// This process's bounding set: nothing outside comes back, not even by executing a file.
    pub bounding: CapabilitySet,
    /// This process's permitted set.
    pub permitted: CapabilitySet,
}

/// The five sets as they can be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in capabilities(7)")]
pub struct Sets {
    pub bounding: CapabilitySet,
    pub effective: CapabilitySet,
    pub permitted: CapabilitySet,
    pub inheritable: CapabilitySet,
    pub ambient: CapabilitySet,
}

impl Available {
    /// Asks the kernel.
    ///
    /// # Errors
    /// The kernel's.
    pub fn detect() -> std::io::Result<Self> {
        let last = dhow_sys::identity::last_capability();
        Ok(Self {
            known: CapabilitySet::up_to(last),
            bounding: CapabilitySet(dhow_sys::identity::bounding_set(last)),
            permitted: CapabilitySet(dhow_sys::identity::capabilities()?.1),
        })
    }
}

impl Sets {
    /// The sets of a configuration within what is available, and what had to be left out, as one line
    /// for the user.
    #[must_use]
    pub fn within(wanted: &Capabilities, available: Available) -> (Self, Option<String>) {
        let (mut left_out, mut unknown) = (CapabilitySet::default(), Vec::new());
        let mut take = |names: &[String], within: CapabilitySet| {
            let (set, strange) = CapabilitySet::parse(names.iter().map(String::as_str));
            left_out.0 |= set.without(within).0;
            unknown.extend(strange.into_iter().map(str::to_owned));
            set.and(within)
        };
        let bounding = take(&wanted.bounding, available.known.and(available.bounding));
        let permitted = take(&wanted.permitted, available.known.and(available.permitted));
        let inheritable = take(&wanted.inheritable, available.known.and(available.permitted));
        // The kernel refuses what is in force and not permitted, and ambient what is not both permitted
        // and inheritable.
        let effective = take(&wanted.effective, available.known.and(available.permitted)).and(permitted);
        let ambient =
            take(&wanted.ambient, available.known.and(available.permitted)).and(permitted).and(inheritable);
        let sets = Self { bounding, effective, permitted, inheritable, ambient };
        unknown.extend(left_out.names());
        unknown.sort_unstable();
        unknown.dedup();
        let note = (!unknown.is_empty())
            .then(|| format!("capabilities that cannot be had here are left out: {}", unknown.join(", ")));
        (sets, note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(all_five: &[&str]) -> Capabilities {
        let names: Vec<String> = all_five.iter().map(|name| (*name).to_owned()).collect();
        Capabilities {
            bounding: names.clone(),
            effective: names.clone(),
            permitted: names.clone(),
            inheritable: names.clone(),
            ambient: names,
        }
    }

    #[test]
    fn what_the_runtime_was_not_given_is_left_out_and_told() {
        let some = CapabilitySet::parse(["CHOWN", "KILL"]).0;
        let available = Available { known: CapabilitySet::up_to(40), bounding: some, permitted: some };
        let wanted = capabilities(&["CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_NEW"]);
        let (sets, note) = Sets::within(&wanted, available);
        let chown = CapabilitySet::parse(["CHOWN"]).0;
        assert_eq!(
            sets,
            Sets { bounding: chown, effective: chown, permitted: chown, inheritable: chown, ambient: chown }
        );
        let expected = "capabilities that cannot be had here are left out: CAP_NEW, CAP_SYS_RESOURCE";
        assert_eq!(note.as_deref(), Some(expected));
    }

    #[test]
    fn sets_that_the_kernel_would_refuse_are_made_to_fit() {
        let all = CapabilitySet::up_to(40);
        let available = Available { known: all, bounding: all, permitted: all };
        let mut wanted = capabilities(&["CAP_CHOWN"]);
        wanted.inheritable.clear();
        wanted.effective.push("CAP_KILL".to_owned());
        let (sets, note) = Sets::within(&wanted, available);
        assert!(sets.ambient.is_empty(), "it is not inheritable");
        assert_eq!(sets.effective.to_string(), "CAP_CHOWN", "CAP_KILL is not permitted");
        assert_eq!(note, None);
    }

    #[test]
    fn this_machine_can_be_asked() {
        let available = Available::detect().unwrap();
        assert!(available.known.contains("CAP_CHOWN"));
        assert_eq!(available.permitted.without(available.known), CapabilitySet::default());
    }
}
