//! Filters of system calls, compiled once: containers with the same profile share one.
//!
//! A profile names some 400 system calls. To send that list with every plan, read it and compile it again
//! in each monitor takes longer than half of the mounts of a start.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use dhow_model::Result;
use dhow_oci::runtime::{Seccomp, Spec};

use crate::seccomp::Filter;

/// Hardly anybody runs with more profiles at a time.
const KEPT: usize = 16;

/// The filters that were used last, the latest in front.
#[derive(Debug, Default)]
pub(super) struct Filters(Mutex<VecDeque<(Seccomp, Arc<Filter>)>>);

impl Filters {
    /// Takes the profile out of a configuration and gives its filter. One with a listener stays where it
    /// is: who is notified has to know more than the filter.
    pub(super) fn take(&self, spec: &mut Arc<Spec>) -> Result<Option<Arc<Filter>>> {
        let given = spec.linux.as_ref().and_then(|linux| linux.seccomp.as_ref());
        let Some(seccomp) = given.filter(|seccomp| seccomp.listener_path.is_empty()) else {
            return Ok(None);
        };
        let filter = self.of(seccomp)?;
        if let Some(linux) = &mut Arc::make_mut(spec).linux {
            linux.seccomp = None;
        }
        Ok(Some(filter))
    }

    fn of(&self, seccomp: &Seccomp) -> Result<Arc<Filter>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = kept.iter().position(|(known, _)| known == seccomp) {
            kept.rotate_left(index);
            return Ok(Arc::clone(&kept[0].1));
        }
        let filter = Arc::new(Filter::compile(seccomp)?);
        kept.push_front((seccomp.clone(), Arc::clone(&filter)));
        kept.truncate(KEPT);
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::circumstances;
    use dhow_oci::capabilities::{CapabilitySet, DEFAULT};
    use dhow_oci::profile::default_profile;
    use dhow_oci::runtime::Linux;

    fn spec(capabilities: CapabilitySet) -> Arc<Spec> {
        let seccomp = Some(default_profile(circumstances(capabilities)));
        Arc::new(Spec { linux: Some(Linux { seccomp, ..Linux::default() }), ..Spec::default() })
    }

    #[test]
    fn containers_with_the_same_profile_share_a_filter() {
        let filters = Filters::default();
        let of = |capabilities| {
            let mut spec = spec(capabilities);
            let filter = filters.take(&mut spec).unwrap().unwrap();
            assert!(spec.linux.as_ref().unwrap().seccomp.is_none(), "it is sent twice");
            filter
        };
        let (first, other, again) = (of(DEFAULT), of(CapabilitySet::up_to(0)), of(DEFAULT));
        assert!(Arc::ptr_eq(&first, &again));
        assert_ne!(first, other);
    }

    #[test]
    fn no_more_are_kept_than_are_used() {
        let filters = Filters::default();
        for number in 0..40 {
            let seccomp = Seccomp {
                default_action: "SCMP_ACT_ALLOW".into(),
                listener_metadata: number.to_string(),
                ..Seccomp::default()
            };
            filters.of(&seccomp).unwrap();
        }
        assert_eq!(filters.0.lock().unwrap().len(), KEPT);
    }
}
