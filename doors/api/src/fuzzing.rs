//! What fuzz targets ask of this door; it is built for them alone. Each answers the words by which a client is refused.

use dhow_model::{Error, Timestamp};
use serde_json::{Map, Value};

use crate::server::filters::Filters;
use crate::server::json::{self, Place};
use crate::server::version::ApiVersion;
use crate::types::image_filter::ImageFilter;
use crate::types::prune::PruneFilter;
use crate::types::{create, network, update};

/// Reads bytes as the bodies that have most to say: of a container's creation and update, of a connection.
pub fn bodies(bytes: &[u8]) -> Vec<String> {
    let document = match json::document(bytes) {
        Ok(document) => document,
        Err(error) => return vec![error.to_string()],
    };
    let mut words = Vec::new();
    let mut note = |refused: Option<Error>| words.extend(refused.map(|error| error.to_string()));
    let of = |structure| json::read::<Map<String, Value>>(Place::body(structure), document.clone());
    for version in [ApiVersion::of(24), ApiVersion::of(41), ApiVersion::NEWEST] {
        note(of("container.CreateRequest").and_then(|body| create::parse(Some(body), version)).err());
        note(of("container.UpdateConfig").and_then(|body| update::parse(Some(body), version)).err());
    }
    let network = Place::body("network.ConnectRequest");
    note(json::read::<network::ConnectBody>(network, document).err());
    words
}

/// Reads text as the filters of a list, of images and of what is pruned.
pub fn filters(text: &str) -> Vec<String> {
    let filters = match Filters::parse(text) {
        Ok(filters) => filters,
        Err(error) => return vec![error.to_string()],
    };
    let images = ImageFilter::new(filters.clone(), |_| Ok(Timestamp::NEVER)).err();
    let pruned = PruneFilter::new(filters).err();
    images.into_iter().chain(pruned).map(|error| error.to_string()).collect()
}
