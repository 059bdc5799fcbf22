//! Names for containers that nobody named: an adjective and somebody of the sea.

use dhow_model::ContainerName;

const LEFT: [&str; 48] = [
    "able", "amber", "blithe", "bold", "brave", "bright", "brisk", "calm", "clever", "daring", "deft",
    "eager", "fair", "fleet", "fond", "frank", "gallant", "gentle", "glad", "golden", "hardy", "hearty",
    "jolly", "keen", "kind", "lively", "loyal", "lucid", "merry", "mellow", "nimble", "noble", "patient",
    "plucky", "proud", "quick", "quiet", "ready", "sage", "serene", "sharp", "spry", "steady", "sunny",
    "swift", "trusty", "vivid", "wise",
];
const RIGHT: [&str; 48] = [
    "amundsen",
    "anning",
    "bass",
    "battuta",
    "beaufort",
    "bering",
    "bligh",
    "cabot",
    "carson",
    "columbus",
    "cook",
    "cousteau",
    "dampier",
    "darwin",
    "davis",
    "dezhnev",
    "dias",
    "drake",
    "earle",
    "eriksson",
    "flinders",
    "franklin",
    "frobisher",
    "gama",
    "hudson",
    "humboldt",
    "ching",
    "hanno",
    "lind",
    "magellan",
    "majid",
    "maury",
    "mercator",
    "nansen",
    "pinzon",
    "polo",
    "pytheas",
    "raleigh",
    "ross",
    "sacagawea",
    "scoresby",
    "shackleton",
    "slocum",
    "tasman",
    "tharp",
    "torres",
    "vancouver",
    "zheng",
];

/// A name made of random bytes; from the second attempt on with a number behind.
pub(crate) fn generate(random: [u8; 32], attempt: u32) -> Option<ContainerName> {
    let left = LEFT[usize::from(random[0]) % LEFT.len()];
    let right = RIGHT[usize::from(random[1]) % RIGHT.len()];
    let number = if attempt < 4 { String::new() } else { random[2].to_string() };
    format!("{left}_{right}{number}").parse().ok()
}
