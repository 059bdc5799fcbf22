//! Blobs, layers, snapshots, image names, records and volumes on disk.

pub mod layer;
pub mod tar;
