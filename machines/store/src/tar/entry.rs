//! An entry: what one member of a tar says about one file.

/// One member of a tar, put together from its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path as written: maybe absolute, maybe with `..`; never empty, never with a NUL.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permissions, set-id and sticky bits (twelve bits).
    pub mode: u32,
    /// Owner; never `u32::MAX`, which the kernel takes for "leave it".
    pub uid: u32,
    /// Group; likewise.
    pub gid: u32,
    /// Bytes of the contents, with the holes of a sparse file.
    pub size: u64,
    /// When the contents were last written.
    pub modified: Time,
    /// When they were last read, if it says so.
    pub accessed: Option<Time>,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Another name of the file at this path of the tar.
    HardLink(Vec<u8>),
    /// A symbolic link with this text.
    Symlink(Vec<u8>),
    /// A character device.
    CharDevice(u32, u32),
    /// A block device.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// An instant: seconds since 1970, maybe negative, and nanoseconds on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
}

impl Entry {
    /// A regular file of `size` bytes that belongs to root, mode 0644, written at the beginning of time.
    #[must_use]
    pub fn file(path: impl Into<Vec<u8>>, size: u64) -> Self {
        Self { size, ..Self::new(path, EntryKind::File, 0o644) }
    }

    /// A directory that belongs to root, mode 0755.
    #[must_use]
    pub fn directory(path: impl Into<Vec<u8>>) -> Self {
        Self::new(path, EntryKind::Directory, 0o755)
    }

    /// Anything else that belongs to root.
    #[must_use]
    pub fn new(path: impl Into<Vec<u8>>, kind: EntryKind, mode: u32) -> Self {
        Self {
            path: path.into(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            size: 0,
            modified: Time::default(),
            accessed: None,
            xattrs: Vec::new(),
        }
    }

    /// Whether it is a directory.
    #[must_use]
    pub const fn is_directory(&self) -> bool {
        matches!(self.kind, EntryKind::Directory)
    }
}
