//! `--filter name=value`, given once or often, as the API takes it: `{"name":["value",…]}`.

use serde_json::{Map, Value};

use super::Parsed;

/// Says what is wrong with one filter.
pub(crate) fn check(value: &str) -> Result<(), String> {
    if value.is_empty() || value.contains('=') {
        return Ok(());
    }
    Err("bad format of filter (expected name=value)".to_owned())
}

/// Filters, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    /// The filters given by `--filter`.
    pub(crate) fn of(parsed: &Parsed) -> Filters {
        let mut filters = Filters::default();
        for (name, value) in parsed.all("filter").filter_map(|filter| filter.split_once('=')) {
            filters.add(name.trim().to_lowercase().as_str(), value.trim());
        }
        filters
    }

    pub(crate) fn add(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) if values.iter().any(|known| known == value) => {}
            Some((_, values)) => values.push(value.to_owned()),
            None => self.0.push((name.to_owned(), vec![value.to_owned()])),
        }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Those of these names, each as it is given on the command line, in order.
    pub(crate) fn told(&self, names: &[&str]) -> Vec<String> {
        let known = self.0.iter().filter(|(name, _)| names.contains(&name.as_str()));
        let mut told: Vec<String> = known
            .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}={value}")))
            .collect();
        told.sort_unstable();
        told
    }

    /// As a query parameter; nothing when there are no filters.
    pub(crate) fn to_query(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let filters: Map<String, Value> =
            self.0.iter().map(|(name, values)| (name.clone(), values.clone().into())).collect();
        Some(Value::from(filters).to_string())
    }
}
