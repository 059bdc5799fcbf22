//! A block of addresses, in the form `10.0.0.0/24`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address and how many of its leading bits name the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    /// As it was written: it may be an address in the block.
    pub address: IpAddr,
    /// Bits: up to 32, or 128.
    pub length: u8,
}

/// What was read is no block of addresses; it says `invalid CIDR address: …`, as Go does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPrefix(String);

impl fmt::Display for InvalidPrefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "invalid CIDR address: {}", self.0)
    }
}

impl std::error::Error for InvalidPrefix {}

impl Prefix {
    /// The block that `address` is in.
    #[must_use]
    pub fn new(address: IpAddr, length: u8) -> Self {
        Self { address, length: length.min(width(address)) }
    }

    /// The block's own address: the bits of hosts are zero.
    #[must_use]
    pub fn network(self) -> Self {
        Self { address: number_to_address(self.first(), self.address), ..self }
    }

    /// Whether addresses are of version 6.
    #[must_use]
    pub const fn is_six(self) -> bool {
        self.address.is_ipv6()
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv6() == self.is_six() && (self.first()..=self.last()).contains(&number(address))
    }

    /// Whether any address is in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.is_six() == other.is_six() && self.first() <= other.last() && other.first() <= self.last()
    }

    /// Whether all of another is in it.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.is_six() == other.is_six() && self.first() <= other.first() && other.last() <= self.last()
    }

    /// The first and the last address as numbers.
    #[must_use]
    pub fn numbers(self) -> (u128, u128) {
        (self.first(), self.last())
    }

    /// The address of a number, of the version of this block.
    #[must_use]
    pub fn at(self, number: u128) -> IpAddr {
        number_to_address(number, self.address)
    }

    fn first(self) -> u128 {
        number(self.address) & !self.host_bits()
    }

    fn last(self) -> u128 {
        number(self.address) | self.host_bits()
    }

    fn host_bits(self) -> u128 {
        let bits = u32::from(width(self.address) - self.length);
        1_u128.checked_shl(bits).map_or(u128::MAX, |end| end - 1)
    }
}

/// An address as a number.
#[must_use]
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn number_to_address(number: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(number).into(),
    }
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let invalid = || InvalidPrefix(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(invalid)?;
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let length: u8 = length.parse().ok().filter(|_| digits).ok_or_else(invalid)?;
        if length > width(address) {
            return Err(invalid());
        }
        Ok(Self { address, length })
    }
}

impl TryFrom<String> for Prefix {
    type Error = InvalidPrefix;

    fn try_from(text: String) -> Result<Self, InvalidPrefix> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn blocks_are_read_and_compared() {
        assert_eq!(prefix("10.1.2.3/16").network(), prefix("10.1.0.0/16"));
        assert!(prefix("10.1.0.0/16").contains("10.1.255.255".parse().unwrap()));
        assert!(!prefix("10.1.0.0/16").contains("10.2.0.0".parse().unwrap()));
        assert!(prefix("10.0.0.0/8").overlaps(prefix("10.9.0.0/24")));
        assert!(!prefix("10.0.0.0/24").overlaps(prefix("10.0.1.0/24")));
        assert!(prefix("0.0.0.0/0").covers(prefix("10.0.1.0/24")));
        assert!(prefix("::/0").contains("fd00::1".parse().unwrap()));
        assert!(!prefix("::/0").contains("10.0.0.1".parse().unwrap()));
        assert_eq!(prefix("fd00::/64").numbers().1, number("fd00::ffff:ffff:ffff:ffff".parse().unwrap()));
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/+8", "fd00::/129", "10.0.0.0/"] {
            assert_eq!(
                text.parse::<Prefix>().unwrap_err().to_string(),
                format!("invalid CIDR address: {text}")
            );
        }
    }
}
