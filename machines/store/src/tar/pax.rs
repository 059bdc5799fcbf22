//! PAX records: `<length> <key>=<value>\n` (POSIX pax, "pax Extended Header").

use super::entry::Time;
use super::error::{Error, Result, shown};
use super::sparse::{Segment, decimal, parse_list};

/// What the extended headers before an entry say about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Extension {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) modified: Option<Time>,
    pub(super) accessed: Option<Time>,
    pub(super) device: (Option<u64>, Option<u64>),
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: Option<Sparse>,
}

/// The `GNU.sparse.*` records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sparse {
    pub(super) major: u64,
    pub(super) minor: u64,
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_size: Option<u64>,
    /// How many pieces there should be (0.0 and 0.1).
    pub(super) count: Option<u64>,
    pub(super) segments: Vec<Segment>,
    /// An offset whose length has not come yet (0.0).
    open: Option<u64>,
}

impl Extension {
    /// Reads the records of a local extended header.
    pub(super) fn parse(data: &[u8]) -> Result<Self> {
        let mut extension = Self::default();
        for record in Records(data) {
            let (key, value) = record?;
            extension.take(key, value)?;
        }
        extension.finish()
    }

    /// Reads the records of a global header, of which only owner and times may be set for all entries.
    ///
    /// A name, a size or attributes for every file that follows is no honest archive, and readers
    /// disagree on what it means.
    pub(super) fn parse_global(data: &[u8]) -> Result<Self> {
        let global = Self::parse(data)?;
        let allowed = Self {
            uid: global.uid,
            gid: global.gid,
            modified: global.modified,
            accessed: global.accessed,
            ..Self::default()
        };
        if global == allowed {
            return Ok(global);
        }
        Err(Error::format("global extended header sets what belongs to one entry"))
    }

    /// What this says, and where it is silent what `other` says.
    pub(super) fn or(mut self, other: &Self) -> Self {
        self.uid = self.uid.or(other.uid);
        self.gid = self.gid.or(other.gid);
        self.modified = self.modified.or(other.modified);
        self.accessed = self.accessed.or(other.accessed);
        self
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            self.xattr(name, value.to_vec());
            return Ok(());
        }
        if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
            return self.libarchive_xattr(name, value);
        }
        if let Some(field) = key.strip_prefix(b"GNU.sparse.") {
            return self.sparse.get_or_insert_default().take(field, value);
        }
        // An empty value takes an earlier record back (POSIX pax).
        if value.is_empty() {
            return Ok(());
        }
        match key {
            b"path" => once(&mut self.path, path(value)?, "path"),
            b"linkpath" => once(&mut self.link, path(value)?, "linkpath"),
            b"size" => once(&mut self.size, decimal(value, "size")?, "size"),
            b"uid" => once(&mut self.uid, decimal(value, "owner")?, "uid"),
            b"gid" => once(&mut self.gid, decimal(value, "group")?, "gid"),
            b"mtime" => once(&mut self.modified, time(value)?, "mtime"),
            b"atime" => once(&mut self.accessed, time(value)?, "atime"),
            b"SCHILY.devmajor" => once(&mut self.device.0, decimal(value, "device")?, "devmajor"),
            b"SCHILY.devminor" => once(&mut self.device.1, decimal(value, "device")?, "devminor"),
            // ctime cannot be set; the rest is for people or for other systems.
            _ => Ok(()),
        }
    }

    fn xattr(&mut self, name: &[u8], value: Vec<u8>) {
        match self.xattrs.binary_search_by(|(other, _)| other.as_slice().cmp(name)) {
            Ok(at) => self.xattrs[at].1 = value,
            Err(at) => self.xattrs.insert(at, (name.to_vec(), value)),
        }
    }

    /// libarchive writes the name with percent escapes, the value in base 64, and most times beside SCHILY's.
    fn libarchive_xattr(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        let wrong = || Error::format(format!("attribute {} is not encoded as it should be", shown(name)));
        let name = unescape(name).ok_or_else(wrong)?;
        let value = base_64(value).ok_or_else(wrong)?;
        if self.xattrs.iter().all(|(other, _)| *other != name) {
            self.xattr(&name, value);
        }
        Ok(())
    }

    fn finish(self) -> Result<Self> {
        if self.xattrs.iter().any(|(name, _)| name.is_empty() || name.len() > 255) {
            return Err(Error::format("extended attribute has no name, or one over 255 bytes"));
        }
        if self.sparse.as_ref().is_some_and(|sparse| sparse.open.is_some()) {
            return Err(Error::format("sparse map has an offset without a length"));
        }
        Ok(self)
    }
}

impl Sparse {
    fn take(&mut self, field: &[u8], value: &[u8]) -> Result<()> {
        match field {
            b"major" => self.major = decimal(value, "sparse version")?,
            b"minor" => self.minor = decimal(value, "sparse version")?,
            b"name" => return once(&mut self.name, path(value)?, "GNU.sparse.name"),
            b"size" | b"realsize" => {
                return once(&mut self.real_size, decimal(value, "sparse size")?, "GNU.sparse.size");
            }
            b"numblocks" => {
                return once(&mut self.count, decimal(value, "sparse count")?, "GNU.sparse.numblocks");
            }
            b"map" if self.segments.is_empty() => self.segments = parse_list(value)?,
            b"map" => return Err(Error::format("two sparse maps")),
            b"offset" if self.open.is_none() => self.open = Some(decimal(value, "sparse offset")?),
            b"numbytes" => {
                let length = decimal(value, "sparse length")?;
                let offset = self.open.take();
                let offset =
                    offset.ok_or_else(|| Error::format("sparse map has a length without an offset"))?;
                self.segments.push(Segment { offset, length });
            }
            _ => return Err(Error::format(format!("unknown sparse record {}", shown(field)))),
        }
        Ok(())
    }
}

/// Two records that say where an entry goes or ends are a lie to one of two readers.
fn once<T: PartialEq>(slot: &mut Option<T>, value: T, key: &str) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::format(format!("extended header says {key} twice"))),
    }
}

fn path(value: &[u8]) -> Result<Vec<u8>> {
    if value.contains(&0) {
        return Err(Error::format(format!("name {} has a NUL byte", shown(value))));
    }
    Ok(value.to_vec())
}

/// Seconds with an optional sign and fraction; digits beyond nanoseconds are cut.
fn time(value: &[u8]) -> Result<Time> {
    let wrong = || Error::format(format!("time {} is no number", shown(value)));
    let (negative, digits) = value.strip_prefix(b"-").map_or((false, value), |rest| (true, rest));
    let mut parts = digits.splitn(2, |&byte| byte == b'.');
    let seconds = decimal(parts.next().unwrap_or_default(), "time")?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    let nanos = fraction.iter().chain([b'0'; 9].iter()).take(9);
    let nanos = nanos.fold(0_u32, |nanos, byte| nanos * 10 + u32::from(byte - b'0'));
    let seconds = i64::try_from(seconds).map_err(|_| wrong())?;
    Ok(match (negative, nanos) {
        (false, _) => Time { seconds, nanos },
        (true, 0) => Time { seconds: -seconds, nanos },
        (true, _) => Time { seconds: -seconds - 1, nanos: 1_000_000_000 - nanos },
    })
}

fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            out.push(byte);
            rest = after;
            continue;
        }
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok())?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    Some(out)
}

/// Base 64 without padding or with it.
fn base_64(text: &[u8]) -> Option<Vec<u8>> {
    let text = &text[..text.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1)];
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0);
    for &byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(out)
}

/// Walks the records of an extended header.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<(&'a [u8], &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        // Some programs fill the block up with NULs and count them in.
        if self.0.iter().all(|&byte| byte == 0) {
            return None;
        }
        let record = split_record(self.0);
        self.0 = record.as_ref().map_or(&[][..], |(_, rest)| rest);
        Some(record.map(|(pair, _)| pair))
    }
}

type Record<'a> = ((&'a [u8], &'a [u8]), &'a [u8]);

fn split_record(data: &[u8]) -> Result<Record<'_>> {
    let wrong =
        || Error::format(format!("extended header is malformed at {}", shown(&data[..data.len().min(32)])));
    let space = data.iter().take(20).position(|&byte| byte == b' ').ok_or_else(wrong)?;
    let length = usize::try_from(decimal(&data[..space], "record length").map_err(|_| wrong())?)
        .map_err(|_| wrong())?;
    if length <= space + 1 || length > data.len() {
        return Err(wrong());
    }
    let record = data[space + 1..length].strip_suffix(b"\n").ok_or_else(wrong)?;
    let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(wrong)?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    if key.is_empty() || key.contains(&0) {
        return Err(wrong());
    }
    Ok(((key, value), &data[length..]))
}

/// Appends a record; its length counts its own digits.
pub(super) fn write_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let body = key.len() + value.len() + 3;
    let mut length = body + 1;
    while length != body + length.to_string().len() {
        length = body + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// An instant as a record's value, without trailing zeros.
pub(super) fn time_text(time: Time) -> String {
    if time.nanos == 0 {
        return time.seconds.to_string();
    }
    let (sign, seconds, nanos) = if time.seconds < 0 {
        ("-", time.seconds.unsigned_abs() - 1, 1_000_000_000 - time.nanos)
    } else {
        ("", time.seconds.unsigned_abs(), time.nanos)
    };
    let fraction = format!("{nanos:09}");
    format!("{sign}{seconds}.{}", fraction.trim_end_matches('0'))
}
