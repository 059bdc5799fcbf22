//! Settings of one link of a container: `com.docker.network.endpoint.sysctls`.

use dhow_model::network::EndpointSettings;
use dhow_model::{Error, Result};

const OPTION: &str = "com.docker.network.endpoint.sysctls";
/// Which turns version 6 off: nobody has an address there.
const WITHOUT_SIX: (&str, &str) = ("net/ipv6/conf/IFNAME/disable_ipv6", "1");

/// One: its path below /proc/sys, in which `IFNAME` stands for the link, and its value.
type Sysctl = (String, String);

/// Reads `net.ipv4.conf.IFNAME.forwarding=1,…`.
///
/// # Errors
/// In Docker's words.
pub(super) fn read(settings: &EndpointSettings) -> Result<Vec<Sysctl>> {
    let Some(all) = settings.option(OPTION) else { return Ok(Vec::new()) };
    all.split(',').map(one).collect()
}

/// Whether the link is to have no address of version 6.
pub(super) fn are_without_six(sysctls: &[Sysctl]) -> bool {
    sysctls.iter().any(|(path, value)| (path.as_str(), value.as_str()) == WITHOUT_SIX)
}

fn one(text: &str) -> Result<Sysctl> {
    let unrecognised = || {
        Error::invalid(format!(
            "unrecognised network interface sysctl '{text}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', \
             'X' must be 'ipv4', 'ipv6' or 'mpls'"
        ))
    };
    let parts: Vec<&str> = text.splitn(5, '.').collect();
    // The command line writes it small.
    let [net, family @ ("ipv4" | "ipv6" | "mpls"), group, "IFNAME" | "ifname", rest] = parts[..] else {
        return Err(unrecognised());
    };
    let Some((setting, value)) = rest.split_once('=') else {
        return Err(Error::invalid(format!("expected sysctl '{text}' to have format name=value")));
    };
    if setting.contains('.') {
        let words = format!("expected sysctl '{text}' to have format net.X.Y.IFNAME.Z");
        return Err(Error::invalid(words));
    }
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    if net != "net" || !word(group) || !word(setting) {
        return Err(unrecognised());
    }
    Ok((format!("net/{family}/{group}/IFNAME/{setting}"), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<Vec<Sysctl>> {
        let options = [(OPTION.to_owned(), text.to_owned())].into();
        read(&EndpointSettings { driver_opts: Some(options), ..EndpointSettings::default() })
    }

    #[test]
    fn they_are_read_or_refused() {
        let two = asked("net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.ifname.disable_ipv6=1").unwrap();
        assert_eq!(two[0], ("net/ipv4/conf/IFNAME/log_martians".to_owned(), "1".to_owned()));
        assert!(are_without_six(&two));
        for (text, words) in [
            ("", "unrecognised network interface sysctl ''"),
            ("net.ipv4.conf.eth0.forwarding=1", "unrecognised network interface sysctl"),
            ("net.core.conf.IFNAME.forwarding=1", "unrecognised network interface sysctl"),
            ("kernel.ipv4.conf.IFNAME.x=1", "unrecognised network interface sysctl"),
            ("net.ipv4./../x.IFNAME.y=1", "unrecognised network interface sysctl"),
            ("net.ipv4.conf.IFNAME.a/b=1", "unrecognised network interface sysctl"),
            ("net.ipv4.conf.IFNAME.forwarding", "to have format name=value"),
            ("net.ipv4.conf.IFNAME.a.b=1", "to have format net.X.Y.IFNAME.Z"),
        ] {
            let error = asked(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
