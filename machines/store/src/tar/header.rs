//! One block of 512 bytes, taken apart. Nothing is read here.

use super::error::{Error, Result};
use super::number::{signed, unsigned};
use super::sparse::OldMap;

/// The size of everything in a tar.
pub(super) const BLOCK: usize = 512;

/// A block as it is read and written.
pub(super) type Block = [u8; BLOCK];

/// The fields of a header as they stand, before extended headers have their say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// The type, one character.
    pub(super) flag: u8,
    /// Name, with the prefix where the format has one.
    pub(super) name: Vec<u8>,
    /// Target of a link.
    pub(super) link: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) size: u64,
    pub(super) mtime: i64,
    /// Of devices only: elsewhere old programs leave garbage in the fields.
    pub(super) device: (u64, u64),
    /// The map in the header of GNU's old sparse format.
    pub(super) sparse: Option<OldMap>,
}

/// Which dialect the magic tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    V7,
    Ustar,
    Star,
    Gnu,
}

impl Header {
    /// Takes a block apart; `None` is a block of zeros, which ends an archive.
    pub(super) fn parse(block: &Block) -> Result<Option<Self>> {
        if block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        verify_checksum(block)?;
        let flag = block[156];
        let dialect = Dialect::of(block);
        let name = full_name(block, dialect);
        Self::fields(block, flag, name).map(Some)
    }

    fn fields(block: &Block, flag: u8, name: Vec<u8>) -> Result<Self> {
        let read = || -> Result<Self> {
            let device = if matches!(flag, b'3' | b'4') {
                (unsigned(&block[329..337], "device number")?, unsigned(&block[337..345], "device number")?)
            } else {
                (0, 0)
            };
            Ok(Self {
                flag,
                name: Vec::new(),
                link: text(&block[157..257]).to_vec(),
                // Some programs leave the file's type in the upper bits.
                mode: u32::try_from(unsigned(&block[100..108], "mode")? & 0o7777).unwrap_or_default(),
                uid: unsigned(&block[108..116], "owner")?,
                gid: unsigned(&block[116..124], "group")?,
                size: unsigned(&block[124..136], "size")?,
                mtime: signed(&block[136..148], "time")?,
                device,
                sparse: if flag == b'S' { Some(OldMap::parse(block)?) } else { None },
            })
        };
        match read() {
            Ok(header) => Ok(Self { name, ..header }),
            Err(error) => Err(error.at(&name)),
        }
    }
}

impl Dialect {
    fn of(block: &Block) -> Self {
        match (&block[257..265], &block[508..512]) {
            (b"ustar  \0", _) => Self::Gnu,
            (magic, b"tar\0") if magic.starts_with(b"ustar\0") => Self::Star,
            (magic, _) if magic.starts_with(b"ustar\0") => Self::Ustar,
            _ => Self::V7,
        }
    }
}

/// Joins prefix and name where the dialect has a prefix; GNU keeps other things there.
fn full_name(block: &Block, dialect: Dialect) -> Vec<u8> {
    let prefix = match dialect {
        Dialect::Ustar => text(&block[345..500]),
        Dialect::Star => text(&block[345..476]),
        Dialect::V7 | Dialect::Gnu => &[],
    };
    let name = text(&block[..100]);
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

/// A text field ends at its first NUL.
fn text(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|&byte| byte == 0).unwrap_or(field.len())]
}

/// The sum of all bytes with the checksum's own taken as spaces; some old programs summed signed bytes.
fn verify_checksum(block: &Block) -> Result<()> {
    let wanted = signed(&block[148..156], "checksum")?;
    let (sum, signed_sum) = checksums(block);
    // A fuzzer would look for sums instead of looking behind them.
    if wanted == sum || wanted == signed_sum || cfg!(fuzzing) {
        return Ok(());
    }
    Err(Error::format(format!(
        "archive/tar: invalid tar header: checksum is {sum:o}, header says {wanted:o}"
    )))
}

pub(super) fn checksums(block: &Block) -> (i64, i64) {
    let mut sums = (0, 0);
    for (index, &byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&index) { b' ' } else { byte };
        sums.0 += i64::from(byte);
        sums.1 += i64::from(byte.cast_signed());
    }
    sums
}
