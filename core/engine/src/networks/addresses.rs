//! Which addresses of a network are in use (pure).

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use dhow_model::network::{Pool, number};
use dhow_model::{Error, Result};

/// How long an address that was given back is left alone: the kernel takes a namespace away behind our back, and
/// until then somebody there answers to it.
const REST: Duration = Duration::from_secs(2);

/// Addresses that containers of one network have, and those that they had lately.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    used: BTreeSet<IpAddr>,
    /// The oldest first.
    resting: VecDeque<(Instant, IpAddr)>,
}

impl Addresses {
    /// Notes an address that a container has already.
    pub(crate) fn hold(&mut self, address: IpAddr) {
        self.used.insert(address);
    }

    /// Takes an address back.
    pub(crate) fn give_back(&mut self, address: IpAddr, now: Instant) {
        if self.used.remove(&address) {
            self.resting.push_back((now, address));
        }
    }

    /// The address that was asked for, or the lowest that is free; those that were given back just now come last.
    ///
    /// # Errors
    /// In Docker's words: it is in use, out of the pool, or none is left.
    pub(crate) fn take(&mut self, pool: &Pool, wanted: Option<IpAddr>, now: Instant) -> Result<IpAddr> {
        while self.resting.front().is_some_and(|(since, _)| now.duration_since(*since) >= REST) {
            self.resting.pop_front();
        }
        let address = match wanted {
            Some(address) => self.check(pool, address)?,
            None => self.lowest(pool).or_else(|| self.rested(pool)).ok_or_else(|| {
                let version = if pool.subnet.is_six() { 6 } else { 4 };
                Error::internal(format!(
                    "no available IPv{version} addresses on this network's address pools"
                ))
            })?,
        };
        self.used.insert(address);
        self.resting.retain(|(_, resting)| *resting != address);
        Ok(address)
    }

    /// Of those that were given back, the first that is in nobody's way.
    fn rested(&self, pool: &Pool) -> Option<IpAddr> {
        let (first, last) = ends(pool, true);
        let mut resting = self.resting.iter().map(|(_, address)| *address);
        resting.find(|address| {
            address.is_ipv6() == pool.subnet.is_six()
                && (first..=last).contains(&number(*address))
                && !self.is_taken(pool, *address)
        })
    }

    fn check(&self, pool: &Pool, address: IpAddr) -> Result<IpAddr> {
        let (first, last) = ends(pool, false);
        if !(first..=last).contains(&number(address)) {
            return Err(Error::invalid(format!(
                "no configured subnet or ip-range contain the IP address {address}"
            )));
        }
        if self.is_taken(pool, address) {
            return Err(Error::forbidden("Address already in use"));
        }
        Ok(address)
    }

    fn lowest(&self, pool: &Pool) -> Option<IpAddr> {
        let (first, last) = ends(pool, true);
        // As many as are taken may be in the way, and not one more.
        let most = self.used.len() + self.resting.len() + pool.reserved.len() + 2;
        let resting: BTreeSet<IpAddr> = self.resting.iter().map(|(_, address)| *address).collect();
        let candidates = (first..=last).take(most).map(|number| pool.subnet.at(number));
        let mut free =
            candidates.filter(|address| !self.is_taken(pool, *address) && !resting.contains(address));
        free.next()
    }

    fn is_taken(&self, pool: &Pool, address: IpAddr) -> bool {
        self.used.contains(&address)
            || pool.gateway == Some(address)
            || pool.reserved.values().any(|reserved| *reserved == address)
    }
}

/// The first and the last address that can be had: the block's own and its broadcast address are none.
fn ends(pool: &Pool, of_range: bool) -> (u128, u128) {
    let (first, last) = pool.subnet.numbers();
    let small = last - first < 2;
    let (first, last) =
        if small { (first, last) } else { (first + 1, last - u128::from(!pool.subnet.is_six())) };
    match pool.range.filter(|_| of_range) {
        Some(range) => {
            let (begin, end) = range.numbers();
            (first.max(begin), last.min(end))
        }
        None => (first, last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(subnet: &str, range: Option<&str>) -> Pool {
        Pool {
            subnet: subnet.parse().unwrap(),
            range: range.map(|range| range.parse().unwrap()),
            gateway: Some("10.0.0.1".parse().unwrap()),
            reserved: [("printer".to_owned(), "10.0.0.3".parse().unwrap())].into(),
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_lowest_that_is_free_is_taken() {
        let pool = pool("10.0.0.0/29", None);
        let mut addresses = Addresses::default();
        let now = Instant::now();
        let mut take = || addresses.take(&pool, None, now);
        assert_eq!(take().unwrap(), address("10.0.0.2"));
        assert_eq!(take().unwrap(), address("10.0.0.4"));
        assert_eq!(take().unwrap(), address("10.0.0.5"));
        assert_eq!(take().unwrap(), address("10.0.0.6"));
        assert!(take().unwrap_err().to_string().starts_with("no available IPv4 addresses"));
        addresses.give_back(address("10.0.0.4"), now);
        assert_eq!(addresses.take(&pool, None, now).unwrap(), address("10.0.0.4"));
    }

    #[test]
    fn what_was_given_back_just_now_comes_last() {
        let pool = pool("10.0.0.0/29", None);
        let (mut addresses, now) = (Addresses::default(), Instant::now());
        assert_eq!(addresses.take(&pool, None, now).unwrap(), address("10.0.0.2"));
        addresses.give_back(address("10.0.0.2"), now);
        assert_eq!(addresses.take(&pool, None, now).unwrap(), address("10.0.0.4"));
        let later = now + REST;
        assert_eq!(addresses.take(&pool, None, later).unwrap(), address("10.0.0.2"));
    }

    #[test]
    fn what_is_asked_for_is_given_or_refused() {
        let pool = pool("10.0.0.0/24", Some("10.0.0.128/25"));
        let mut addresses = Addresses::default();
        assert_eq!(addresses.take(&pool, None, Instant::now()).unwrap(), address("10.0.0.128"));
        assert_eq!(
            addresses.take(&pool, Some(address("10.0.0.9")), Instant::now()).unwrap(),
            address("10.0.0.9")
        );
        for (wanted, words) in [
            ("10.0.0.9", "Address already in use"),
            ("10.0.0.1", "Address already in use"),
            ("10.0.0.255", "no configured subnet"),
            ("10.0.1.1", "no configured subnet"),
        ] {
            let error = addresses.take(&pool, Some(address(wanted)), Instant::now()).unwrap_err();
            assert!(error.to_string().starts_with(words), "{wanted}: {error}");
        }
    }

    #[test]
    fn networks_of_version_6_have_room() {
        let pool = Pool { gateway: None, ..pool("fd00::/64", None) };
        let mut addresses = Addresses::default();
        assert_eq!(addresses.take(&pool, None, Instant::now()).unwrap(), address("fd00::1"));
    }
}
