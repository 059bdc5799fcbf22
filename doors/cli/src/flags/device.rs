//! Devices: what of the host's the container gets, and limits of their use.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{bytes, csv, environment, number};

/// A device of the host in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Mapping {
    path_on_host: String,
    path_in_container: String,
    cgroup_permissions: String,
}

/// Devices that a driver chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeviceRequest {
    driver: String,
    count: i64,
    #[serde(rename = "DeviceIDs")]
    device_ids: Option<Vec<String>>,
    capabilities: Option<Vec<Vec<String>>>,
    options: Option<BTreeMap<String, String>>,
}

/// The share of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Weight {
    path: String,
    weight: u16,
}

/// The limit of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Throttle {
    path: String,
    rate: u64,
}

/// Whether a device is named by the Container Device Interface: `vendor.com/class=name`.
pub(crate) fn is_cdi_name(device: &str) -> bool {
    let Some((kind, name)) = device.split_once('=') else {
        return false;
    };
    let Some((vendor, class)) = kind.split_once('/') else {
        return false;
    };
    let inner = |text: &str, more: &[u8]| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
            && text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.ends_with(|last: char| last.is_ascii_alphanumeric())
    };
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte))
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.ends_with(|last: char| last.is_ascii_alphanumeric());
    inner(vendor, b"_-.") && inner(class, b"_-") && is_name
}

impl Mapping {
    /// Reads `host[:container][:permissions]`.
    pub(crate) fn parse(device: &str) -> Result<Mapping, String> {
        let parts: Vec<&str> = device.split(':').collect();
        if parts.len() > 3 || parts[0].is_empty() {
            return Err(format!("bad format for path: {device}"));
        }
        let (host, container, access) = match parts.as_slice() {
            [host] => (*host, *host, "rwm"),
            [host, access] if is_access(access) => (*host, *host, *access),
            [host, container] => (*host, *container, "rwm"),
            [host, container, access] if is_access(access) => (*host, *container, *access),
            [_, _, access] => return Err(format!("bad mode specified: {access}")),
            _ => return Err(format!("bad format for path: {device}")),
        };
        if !container.starts_with('/') {
            return Err(format!("{container} is not an absolute path"));
        }
        Ok(Mapping {
            path_on_host: if container == host { clean(host) } else { host.to_owned() },
            path_in_container: if parts.len() == 3 { container.to_owned() } else { clean(container) },
            cgroup_permissions: access.to_owned(),
        })
    }
}

fn is_access(text: &str) -> bool {
    let each_once = |letter| text.matches(letter).count() <= 1;
    !text.is_empty()
        && text.chars().all(|letter| "rwm".contains(letter))
        && ['r', 'w', 'm'].into_iter().all(each_once)
}

/// An absolute path without `.`, `..` and doubled slashes.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    format!("/{}", parts.join("/"))
}

impl DeviceRequest {
    /// The devices that the Container Device Interface names.
    pub(crate) fn cdi(device_ids: Vec<String>) -> DeviceRequest {
        DeviceRequest {
            driver: "cdi".to_owned(),
            count: 0,
            device_ids: Some(device_ids),
            capabilities: None,
            options: None,
        }
    }
}

/// Reads `--gpus all`, `--gpus 2`, `--gpus '"device=0,1","capabilities=compute"'`.
pub(crate) fn gpus(value: &str) -> Result<DeviceRequest, String> {
    let mut request = DeviceRequest {
        driver: String::new(),
        count: 0,
        device_ids: None,
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        options: Some(BTreeMap::new()),
    };
    let mut seen: Vec<String> = Vec::new();
    for field in csv::fields(value)? {
        let (key, setting) =
            field.split_once('=').map_or((field.as_str(), None), |(key, it)| (key, Some(it)));
        if seen.iter().any(|known| known == key) {
            return Err(format!("gpu request key '{key}' can be specified only once"));
        }
        seen.push(key.to_owned());
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        match (key, setting) {
            (count, None) => {
                seen.push("count".to_owned());
                request.count = gpu_count(count)?;
            }
            ("driver", Some(driver)) => request.driver = driver.to_owned(),
            ("count", Some(count)) => request.count = gpu_count(count)?,
            ("device", Some(devices)) => request.device_ids = Some(list(devices)),
            ("capabilities", Some(names)) => {
                let mut names = list(names);
                names.push("gpu".to_owned());
                request.capabilities = Some(vec![names]);
            }
            ("options", Some(options)) => {
                let fields =
                    csv::fields(options).map_err(|why| format!("failed to read gpu options: {why}"))?;
                request.options = Some(environment::pairs(&fields));
            }
            (key, Some(_)) => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    if !seen.iter().any(|key| key == "count") && request.device_ids.is_none() {
        request.count = 1;
    }
    Ok(request)
}

fn gpu_count(text: &str) -> Result<i64, String> {
    if text == "all" {
        return Ok(-1);
    }
    number::signed_decimal(text).ok_or_else(|| {
        let why = number::why_not_signed(text);
        format!("invalid count ({text}): value must be either \"all\" or an integer: {why}")
    })
}

fn device_path(value: &str) -> Result<(&str, &str), String> {
    let split = value.split_once(':').filter(|(path, _)| !path.is_empty());
    let (path, rest) = split.ok_or_else(|| format!("bad format: {value}"))?;
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {value}"));
    }
    Ok((path, rest))
}

/// Reads `/dev/sda:100`.
pub(crate) fn weight(value: &str) -> Result<Weight, String> {
    let (path, rest) = device_path(value)?;
    let weight = number::decimal(rest).and_then(|weight| u16::try_from(weight).ok());
    match weight {
        Some(weight) if weight == 0 || (10..=1000).contains(&weight) => {
            Ok(Weight { path: path.to_owned(), weight })
        }
        _ => Err(format!("invalid weight for device: {value}")),
    }
}

/// Reads `/dev/sda:1mb`.
pub(crate) fn bytes_per_second(value: &str) -> Result<Throttle, String> {
    let (path, rest) = device_path(value)?;
    let rate = bytes::binary(rest).ok().and_then(|rate| u64::try_from(rate).ok());
    let rate = rate.ok_or_else(|| {
        format!(
            "invalid rate for device: {value}. The correct format is <device-path>:<number>[<unit>]. \
             Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        )
    })?;
    Ok(Throttle { path: path.to_owned(), rate })
}

/// Reads `/dev/sda:1000`.
pub(crate) fn operations_per_second(value: &str) -> Result<Throttle, String> {
    let (path, rest) = device_path(value)?;
    let rate = number::decimal(rest).ok_or_else(|| {
        format!(
            "invalid rate for device: {value}. The correct format is <device-path>:<number>. \
             Number must be a positive integer"
        )
    })?;
    Ok(Throttle { path: path.to_owned(), rate })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(host: &str, container: &str, access: &str) -> Mapping {
        Mapping {
            path_on_host: host.to_owned(),
            path_in_container: container.to_owned(),
            cgroup_permissions: access.to_owned(),
        }
    }

    #[test]
    fn devices_of_the_host() {
        assert_eq!(Mapping::parse("/dev/null"), Ok(mapping("/dev/null", "/dev/null", "rwm")));
        assert_eq!(Mapping::parse("/dev/null:r"), Ok(mapping("/dev/null", "/dev/null", "r")));
        assert_eq!(Mapping::parse("/dev/a:/dev/b"), Ok(mapping("/dev/a", "/dev/b", "rwm")));
        assert_eq!(Mapping::parse("/dev/a:/dev/b:rw"), Ok(mapping("/dev/a", "/dev/b", "rw")));
        assert_eq!(Mapping::parse("dev/a").unwrap_err(), "dev/a is not an absolute path");
        assert_eq!(Mapping::parse("/a:/b:x").unwrap_err(), "bad mode specified: x");
        assert_eq!(Mapping::parse("/a:/b:r:w").unwrap_err(), "bad format for path: /a:/b:r:w");
    }

    #[test]
    fn names_of_the_container_device_interface() {
        assert!(is_cdi_name("nvidia.com/gpu=all") && is_cdi_name("a.com/bcd=0:1"));
        assert!(!is_cdi_name("/dev/null") && !is_cdi_name("vendor/=x") && !is_cdi_name("a/b="));
    }

    #[test]
    fn gpus_by_count_and_by_name() {
        assert_eq!(gpus("all").unwrap().count, -1);
        assert_eq!(gpus("2").unwrap().count, 2);
        let chosen = gpus("\"device=0,1\",driver=nvidia,\"capabilities=compute,utility\"").unwrap();
        assert_eq!(chosen.device_ids, Some(vec!["0".to_owned(), "1".to_owned()]));
        assert_eq!((chosen.count, chosen.driver.as_str()), (0, "nvidia"));
        assert_eq!(chosen.capabilities.unwrap()[0].len(), 3);
        assert!(gpus("a=b").unwrap_err().starts_with("unexpected key 'a'"));
    }
}
