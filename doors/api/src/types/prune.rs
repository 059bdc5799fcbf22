//! The filters of `prune`: `until`, `label` and `label!`.

use std::collections::{BTreeMap, BTreeSet};

use dhow_model::{Error, Result, Timestamp};

use super::container_filter::has_label;
use crate::server::filters::Filters;
use crate::server::moment;

/// What a prune may take.
#[derive(Debug, Default)]
pub(crate) struct PruneFilter {
    until: Option<Timestamp>,
    with: BTreeSet<String>,
    without: BTreeSet<String>,
}

impl PruneFilter {
    /// Reads the filters.
    ///
    /// # Errors
    /// Invalid argument for an instant that is none, or more than one.
    pub(crate) fn new(mut filters: Filters) -> Result<Self> {
        let until = filters.0.remove("until").unwrap_or_default();
        if until.len() > 1 {
            return Err(Error::invalid("more than one until filter specified"));
        }
        let until = until.first().map(|text| moment::parse(text, Timestamp::now())).transpose()?;
        let mut take = |key: &str| filters.0.remove(key).unwrap_or_default();
        Ok(Self { until, with: take("label"), without: take("label!") })
    }

    /// Whether a thing of that age with these labels may go.
    pub(crate) fn lets(&self, created: Timestamp, labels: &BTreeMap<String, String>) -> bool {
        self.until.is_none_or(|until| created < until)
            && self.with.iter().all(|label| has_label(labels, label))
            && !self.without.iter().any(|label| has_label(labels, label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_young_or_kept_by_a_label_stays() {
        let labels: BTreeMap<String, String> = [("keep".to_owned(), "yes".to_owned())].into();
        let created = Timestamp::from_nanos(1_000_000_000_000);
        for (filters, goes) in [
            ("{}", true),
            (r#"{"until":["1001"]}"#, true),
            (r#"{"until":["999"]}"#, false),
            (r#"{"label":["keep"]}"#, true),
            (r#"{"label":["keep=no"]}"#, false),
            (r#"{"label!":["keep"]}"#, false),
            (r#"{"label!":["keep=no"]}"#, true),
        ] {
            let filter = PruneFilter::new(Filters::parse(filters).unwrap()).unwrap();
            assert_eq!(filter.lets(created, &labels), goes, "{filters}");
        }
    }
}
