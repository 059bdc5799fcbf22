//! `--network name` and its long form `--network name=…,alias=…,ip=…`.

use std::collections::BTreeMap;

use dhow_model::container::donor;
use serde::Serialize;

use super::{Parsed, csv, number, validate};

/// A network to connect to, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attachment {
    target: String,
    aliases: Vec<String>,
    driver_opts: BTreeMap<String, String>,
    links: Vec<String>,
    ipv4: String,
    ipv6: String,
    link_local: Vec<String>,
    mac_address: String,
    gateway_priority: i64,
}

/// A container's place on a network, as the API takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EndpointSettings {
    #[serde(rename = "IPAMConfig")]
    ipam_config: Option<IpamConfig>,
    links: Option<Vec<String>>,
    aliases: Option<Vec<String>>,
    mac_address: String,
    driver_opts: Option<BTreeMap<String, String>>,
    gw_priority: i64,
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    gateway: String,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_len: u8,
    #[serde(rename = "DNSNames")]
    dns_names: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct IpamConfig {
    #[serde(rename = "IPv4Address", skip_serializing_if = "String::is_empty")]
    ipv4: String,
    #[serde(rename = "IPv6Address", skip_serializing_if = "String::is_empty")]
    ipv6: String,
    #[serde(rename = "LinkLocalIPs", skip_serializing_if = "Vec::is_empty")]
    link_local: Vec<String>,
}

/// What the flags say about networks.
#[derive(Debug, Default)]
pub(crate) struct Networking {
    /// The first network's name, or `default`.
    pub(crate) mode: String,
    pub(crate) endpoints: BTreeMap<String, EndpointSettings>,
}

impl EndpointSettings {
    /// What `network connect` says; unlike `run` it sends what is empty.
    pub(crate) fn of_connect(parsed: &Parsed) -> Result<EndpointSettings, String> {
        let mut driver_opts = BTreeMap::new();
        for option in parsed.split_list("driver-opt") {
            let (key, value) =
                driver_option(&option).ok_or("invalid key/value pair format in driver options")?;
            driver_opts.insert(key, value);
        }
        Ok(EndpointSettings {
            ipam_config: Some(IpamConfig {
                ipv4: parsed.text_or_empty("ip").to_owned(),
                ipv6: parsed.text_or_empty("ip6").to_owned(),
                link_local: parsed.split_list("link-local-ip"),
            }),
            links: Some(parsed.list("link")).filter(|links| !links.is_empty()),
            aliases: Some(parsed.split_list("alias")),
            driver_opts: Some(driver_opts),
            gw_priority: parsed.integer("gw-priority").unwrap_or(0),
            ..EndpointSettings::default()
        })
    }
}

fn driver_option(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once('=')?;
    let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
    Some((key, value)).filter(|(key, _)| !key.is_empty())
}

impl Attachment {
    pub(crate) fn parse(value: &str) -> Result<Attachment, String> {
        if !is_long_form(value) {
            return Ok(Attachment { target: value.to_owned(), ..Attachment::default() });
        }
        let mut attachment = Attachment::default();
        for field in csv::fields(value)? {
            let lower = field.to_lowercase();
            let split = lower.split_once('=').filter(|(key, _)| !key.is_empty());
            let (key, setting) = split.ok_or_else(|| format!("invalid field {field}"))?;
            attachment.set(key.trim(), setting.trim())?;
        }
        if attachment.target.is_empty() {
            return Err("network name/id is not specified".to_owned());
        }
        Ok(attachment)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "name" => self.target = value.to_owned(),
            "alias" => self.aliases.push(value.to_owned()),
            "ip" => self.ipv4 = value.to_owned(),
            "ip6" => self.ipv6 = value.to_owned(),
            "mac-address" => self.mac_address = value.to_owned(),
            "link-local-ip" => self.link_local.push(value.to_owned()),
            "driver-opt" => {
                let split = value.split_once('=').filter(|(key, _)| !key.is_empty());
                let (key, value) = split.ok_or("invalid key value pair format in driver options")?;
                self.driver_opts.insert(key.trim().to_owned(), value.trim().to_owned());
            }
            "gw-priority" => {
                self.gateway_priority = number::signed_decimal(value).ok_or_else(|| {
                    format!("invalid gw-priority ({value}): {}", number::why_not_signed(value))
                })?;
            }
            _ => return Err(format!("invalid field key {key}")),
        }
        Ok(())
    }

    /// Adds what the flags of old say about the first network.
    fn apply(&mut self, parsed: &Parsed) -> Result<(), String> {
        let both = |what: &str, flag: &str, there: bool| match there && parsed.is_given(flag) {
            true => Err(format!("conflicting options: cannot specify both --{flag} and per-network {what}")),
            false => Ok(()),
        };
        both("alias", "network-alias", !self.aliases.is_empty())?;
        both("IPv4 address", "ip", !self.ipv4.is_empty())?;
        both("IPv6 address", "ip6", !self.ipv6.is_empty())?;
        both("MAC address", "mac-address", !self.mac_address.is_empty())?;
        both("link-local IP addresses", "link-local-ip", !self.link_local.is_empty())?;
        self.aliases.extend(parsed.list("network-alias"));
        if is_user_defined(&self.target) {
            self.links = parsed.list("link");
        }
        self.link_local.extend(parsed.list("link-local-ip"));
        for (place, flag) in
            [(&mut self.ipv4, "ip"), (&mut self.ipv6, "ip6"), (&mut self.mac_address, "mac-address")]
        {
            if let Some(value) = parsed.text(flag).filter(|value| !value.is_empty()) {
                *place = value.to_owned();
            }
        }
        Ok(())
    }

    fn settings(self) -> Result<EndpointSettings, String> {
        if self.target.trim().is_empty() {
            return Err("no name set for network".to_owned());
        }
        if !is_user_defined(&self.target) && !self.aliases.is_empty() {
            return Err("network-scoped aliases are only supported for user-defined networks".to_owned());
        }
        if !self.mac_address.is_empty() && !validate::is_mac_address(&self.mac_address) {
            return Err(format!("{} is not a valid mac address", self.mac_address));
        }
        let some = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
        let has_address = !self.ipv4.is_empty() || !self.ipv6.is_empty() || !self.link_local.is_empty();
        let ipam = IpamConfig { ipv4: self.ipv4, ipv6: self.ipv6, link_local: self.link_local };
        Ok(EndpointSettings {
            ipam_config: Some(ipam).filter(|_| has_address),
            links: some(self.links),
            aliases: some(self.aliases),
            mac_address: self.mac_address,
            driver_opts: Some(self.driver_opts).filter(|options| !options.is_empty()),
            gw_priority: self.gateway_priority,
            ..EndpointSettings::default()
        })
    }
}

/// `key=value` anywhere makes it the long form.
fn is_long_form(value: &str) -> bool {
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    value
        .match_indices('=')
        .any(|(at, _)| value[..at].ends_with(is_word) && value[at + 1..].starts_with(is_word))
}

/// Whether a name is not one of the networks that every engine has.
pub(crate) fn is_user_defined(name: &str) -> bool {
    !matches!(name, "default" | "bridge" | "host" | "none" | "") && donor(name).is_none()
}

impl Networking {
    pub(crate) fn of(parsed: &Parsed) -> Result<Networking, String> {
        let mut attachments = parsed.all("network").map(Attachment::parse).collect::<Result<Vec<_>, _>>()?;
        let given = attachments.len();
        if attachments.is_empty() {
            attachments.push(Attachment { target: "default".to_owned(), ..Attachment::default() });
        }
        attachments[0].apply(parsed)?;
        let mode = attachments[0].target.clone();
        let user_defined =
            attachments.iter().filter(|attachment| is_user_defined(&attachment.target)).count();
        let mut endpoints = BTreeMap::new();
        for attachment in attachments {
            let target = attachment.target.clone();
            let settings = attachment.settings()?;
            if endpoints.contains_key(&target) {
                return Err(format!("network \"{target}\" is specified multiple times"));
            }
            // A single network without settings is said by the mode alone.
            if given == 1 && settings == EndpointSettings::default() {
                continue;
            }
            endpoints.insert(target, settings);
        }
        if user_defined > 0 && user_defined < given {
            let words =
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes";
            return Err(words.to_owned());
        }
        Ok(Networking { mode, endpoints })
    }
}

/// Networks that a container comes into while it is there (`--network-add`).
pub(crate) fn added(parsed: &Parsed) -> Result<BTreeMap<String, EndpointSettings>, String> {
    let mut endpoints = BTreeMap::new();
    for written in parsed.all("network-add") {
        let attachment = Attachment::parse(written)?;
        let target = attachment.target.clone();
        if endpoints.insert(target.clone(), attachment.settings()?).is_some() {
            return Err(format!("network \"{target}\" is specified multiple times"));
        }
    }
    Ok(endpoints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_a_name_or_a_list_of_settings() {
        assert_eq!(Attachment::parse("net").unwrap().target, "net");
        let long =
            Attachment::parse("name=Net,alias=a,alias=b,ip=1.2.3.4,driver-opt=x=y,gw-priority=-1").unwrap();
        assert_eq!((long.target.as_str(), long.aliases.len(), long.gateway_priority), ("net", 2, -1));
        assert_eq!(Attachment::parse("alias=a").unwrap_err(), "network name/id is not specified");
        assert_eq!(Attachment::parse("name=a,x=y").unwrap_err(), "invalid field key x");
        assert!(!is_user_defined("container:x") && is_user_defined("mine"));
    }
}
