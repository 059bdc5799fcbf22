//! Questions of containers: any bytes are answered by a message that is no larger than the asker takes, or not at all.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dhow_model::ContainerId;
use dhow_model::ports::{Addresses, Names, Upstreams};

/// Knows everything, and too much of it.
struct All;

impl Names for All {
    fn addresses(&self, _: &ContainerId, name: &str) -> Addresses {
        assert!(!name.is_empty() && name.len() < 256 && !name.ends_with('.'), "{name:?}");
        assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()), "{name:?}");
        Addresses::Known(vec![Ipv4Addr::LOCALHOST; 100], vec![Ipv6Addr::LOCALHOST; 100])
    }

    fn name(&self, _: &ContainerId, address: IpAddr) -> Option<String> {
        Some(format!("a{}", address.is_ipv4()))
    }

    fn upstreams(&self, _: &ContainerId) -> Upstreams {
        Upstreams::default()
    }
}

libfuzzer_sys::fuzz_target!(|packet: &[u8]| {
    let asker = ContainerId::from_random([1; 32]);
    let Some(answer) = dhow_net::dns::answer_to(&All, &asker, packet) else { return };
    assert!(packet.len() >= 12 && packet[2] & 0x80 == 0, "nothing was asked");
    assert_eq!(answer[..2], packet[..2], "the number is another");
    assert!(answer[2] & 0x80 != 0, "an answer says that it is one");
    assert!(answer.len() <= 65_535);
    if answer[2] & 2 == 0 && answer[11] == 0 {
        assert!(answer.len() <= packet.len().max(512) + 11 + 200 * 28);
    }
});
