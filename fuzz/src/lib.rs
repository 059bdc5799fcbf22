//! What fuzz targets hold the project's code against: the same thing done again, in the plainest way.

pub mod tree;
