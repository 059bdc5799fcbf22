//! An EROFS index of a layer: a file system whose file contents stay where they are, in the tar.
//!
//! **How the store uses it.** [`index_of`] reads the entries of an uncompressed tar through a
//! [`Reader`](crate::tar::Reader), beside whatever hashes and writes the same stream, and answers an [`Index`];
//! when the tar's digest and size are known, [`Index::finish`] writes the image to any [`Write`](std::io::Write). The
//! image is mounted with the tar as its only extra device (`mount -t erofs -o device=TAR INDEX DIR`,
//! Linux 6.12 and later for plain files) and shows what [`extract`](crate::layer::extract) with
//! [`ExtractOptions::layer`](crate::layer::ExtractOptions::layer) makes of the same tar: the last entry of a name counts,
//! `.wh.` names become overlayfs' own marks, links on the way are followed inside the tree, and what
//! that refuses is refused here. A tar whose index would be out of proportion (a sparse file of
//! terabytes, pieces that are not aligned to 512 bytes), or that ends in the middle of a block, fails with [`Fault::Limit`](crate::tar::Fault::Limit): unpack
//! such a layer instead.
//!
//! In reading order: [`index_of`] (from_tar) feeds entries to the [`Index`] (index), which keeps
//! them in a tree of inodes (tree), translates whiteouts (whiteout), interns attributes (xattrs,
//! acl) and decides where the bytes of sparse files come from (sparse). Then `plan` gives every inode
//! its place and `image` writes it all, with the structures of `disk` and the directory blocks of
//! `directory`. Nothing here opens a file. docs/formats/erofs-index.md tells which features of the
//! format are used.
//!
//! The same entries give the same bytes, whatever the machine and the day.

mod acl;
mod directory;
mod disk;
mod from_tar;
mod image;
mod index;
mod plan;
mod sparse;
mod tree;
mod whiteout;
mod xattrs;

pub use from_tar::index_of;
pub use image::{Summary, Tar};
pub use index::{Index, Options};
pub use sparse::Extent;
