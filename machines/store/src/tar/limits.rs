//! How much a tar may ask for.

/// The bounds that every reader keeps.
///
/// The defaults let every honest image pass and stop a small file from costing a large machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Entries of one tar.
    pub entries: u64,
    /// Bytes of the uncompressed tar.
    pub total: u64,
    /// Uncompressed bytes for one compressed byte, counted after [`ratio_free`](Self::ratio_free).
    pub ratio: u64,
    /// Uncompressed bytes for which the ratio is not asked: a small file of zeros is no bomb.
    pub ratio_free: u64,
    /// Bytes of one extended header (PAX records, GNU long name).
    pub extension: u64,
    /// Bytes of a path or a link's target.
    pub path: usize,
    /// Components of a path; each takes a descriptor while it is unpacked.
    pub depth: usize,
    /// Pieces of one sparse file.
    pub segments: usize,
    /// Logical size of one file: a sparse one costs nothing to claim.
    pub file: u64,
    /// Bytes that a decompressor may take for its window.
    pub window: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 10_000_000,
            total: 1 << 40,
            // gzip cannot do more than 1,032; zstd and bzip2 of zeros can.
            ratio: 2_000,
            ratio_free: 4 << 30,
            extension: 1 << 20,
            path: 4_096,
            depth: 512,
            segments: 1 << 18,
            file: 1 << 43,
            window: 128 << 20,
        }
    }
}
