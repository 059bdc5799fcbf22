//! What is wrong with a single value: the checks that docker makes while it reads the command line.

use std::net::IpAddr;

/// An address in its plain form.
pub(crate) fn address(value: &str) -> Result<String, String> {
    let parsed: Result<IpAddr, _> = value.trim().parse();
    parsed.map(|ip| ip.to_string()).map_err(|_| format!("IP address is not correctly formatted: {value}"))
}

/// A search domain; `.` means none.
pub(crate) fn dns_search(value: &str) -> Result<String, String> {
    let domain = value.trim_matches(' ');
    if domain == "." {
        return Ok(domain.to_owned());
    }
    let invalid = || format!("{domain} is not a valid domain");
    let name = domain.strip_suffix('.').unwrap_or(domain);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let has_letter = name.bytes().any(|byte| byte.is_ascii_alphabetic());
    if !has_letter || name.len() >= 255 || !name.split('.').all(is_label) {
        return Err(invalid());
    }
    Ok(domain.to_owned())
}

/// `name:address`, `name=address` or `name:host-gateway`, in the form with a colon.
pub(crate) fn extra_host(value: &str) -> Result<String, String> {
    let split = value.split_once('=').or_else(|| value.split_once(':'));
    let Some((name, target)) = split.filter(|(name, _)| !name.is_empty() && !name.contains(':')) else {
        return Err(format!("bad format for add-host: \"{value}\""));
    };
    if target == "host-gateway" {
        return Ok(format!("{name}:{target}"));
    }
    let bare = target.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(target);
    if address(bare).is_err() {
        return Err(format!("invalid IP address in add-host: \"{bare}\""));
    }
    Ok(format!("{name}:{bare}"))
}

/// `key` or `key=value`.
pub(crate) fn label(value: &str) -> Result<(), String> {
    let key = value.split('=').next().unwrap_or_default().trim_start_matches([' ', '\t']);
    if key.is_empty() {
        return Err(format!("invalid label '{value}': empty name"));
    }
    if key.contains([' ', '\t']) {
        return Err(format!("label '{key}' contains whitespaces"));
    }
    Ok(())
}

/// A kernel parameter that belongs to a namespace.
pub(crate) fn sysctl(value: &str) -> Result<(), String> {
    const NAMES: &[&str] =
        &["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"];
    let allowed = value.split_once('=').is_some_and(|(name, _)| {
        name.starts_with("net.")
            || name.starts_with("fs.mqueue.")
            || name.strip_prefix("kernel.").is_some_and(|rest| NAMES.contains(&rest))
    });
    if allowed { Ok(()) } else { Err(format!("sysctl '{value}' is not allowed")) }
}

/// `container` or `container:alias`.
pub(crate) fn link(value: &str) -> Result<(), String> {
    match value.split(':').count() {
        _ if value.is_empty() => Err("empty string specified for links".to_owned()),
        1 | 2 => Ok(()),
        _ => Err(format!("bad format for links: {value}")),
    }
}

/// One of the three standard streams.
pub(crate) fn stream(value: &str) -> Result<(), String> {
    match value.to_lowercase().as_str() {
        "stdin" | "stdout" | "stderr" => Ok(()),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

/// `type major:minor access`, as the device cgroup takes it.
pub(crate) fn device_cgroup_rule(value: &str) -> Result<(), String> {
    let is_number =
        |text: &str| text == "*" || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    let parts: Vec<&str> = value.split(' ').collect();
    let well_formed = match parts.as_slice() {
        [kind, numbers, access] => {
            matches!(*kind, "a" | "b" | "c")
                && numbers.split_once(':').is_some_and(|(major, minor)| is_number(major) && is_number(minor))
                && (1..=3).contains(&access.len())
                && access.bytes().all(|byte| matches!(byte, b'r' | b'w' | b'm'))
        }
        _ => false,
    };
    if well_formed { Ok(()) } else { Err(format!("invalid device cgroup format '{value}'")) }
}

/// Whether this is a MAC address in one of its common forms.
pub(crate) fn is_mac_address(value: &str) -> bool {
    let value = value.trim();
    let separator = if value.contains('-') { '-' } else { ':' };
    let is_hex =
        |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let dotted: Vec<&str> = value.split('.').collect();
    let parts: Vec<&str> = value.split(separator).collect();
    matches!(parts.len(), 6 | 8 | 20) && parts.iter().all(|part| is_hex(part, 2))
        || matches!(dotted.len(), 3 | 4 | 10) && dotted.iter().all(|part| is_hex(part, 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_values_are_checked_as_docker_checks_them() {
        assert_eq!(address(" ::1 "), Ok("::1".to_owned()));
        assert_eq!(address("x").unwrap_err(), "IP address is not correctly formatted: x");
        assert_eq!(extra_host("a:1.2.3.4"), Ok("a:1.2.3.4".to_owned()));
        assert_eq!(extra_host("a=[::1]"), Ok("a:::1".to_owned()));
        assert_eq!(extra_host("a:host-gateway"), Ok("a:host-gateway".to_owned()));
        assert_eq!(extra_host("a").unwrap_err(), "bad format for add-host: \"a\"");
        assert_eq!(label("=x").unwrap_err(), "invalid label '=x': empty name");
        assert_eq!(label("a b=x").unwrap_err(), "label 'a b' contains whitespaces");
        assert!(sysctl("net.core.somaxconn=1").is_ok() && sysctl("kernel.shmmax=1").is_ok());
        assert_eq!(sysctl("vm.swappiness=1").unwrap_err(), "sysctl 'vm.swappiness=1' is not allowed");
        assert!(link("a:b:c").is_err() && link("a:b").is_ok());
        assert!(stream("STDIN").is_ok() && stream("x").is_err());
        assert!(device_cgroup_rule("c 1:* rmw").is_ok() && device_cgroup_rule("x 1:3 r").is_err());
        assert!(is_mac_address("92:d0:c6:0a:29:33") && !is_mac_address("92:d0"));
        assert_eq!(dns_search("example.com"), Ok("example.com".to_owned()));
        assert!(dns_search("1.2").is_err() && dns_search("-a.b").is_err());
    }
}
