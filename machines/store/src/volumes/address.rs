//! Servers of volumes by name. The kernel takes addresses only, and a static program has no resolver of the host's:
//! a name is one of /etc/hosts, or of the host's name servers, whom the engine asks.

use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;

use dhow_model::ports::LookUp;
use dhow_model::volume::VolumeMount;
use dhow_model::{Error, Result};

const HOSTS: &str = "/etc/hosts";
const LARGEST: u64 = 1 << 20;

/// The same mount, with the server's address in place of its name.
pub(super) fn resolved(mut asked: VolumeMount, look_up: LookUp<'_>) -> Result<VolumeMount> {
    if !["nfs", "nfs4", "cifs", "smb3"].contains(&asked.kind.as_str()) {
        return Ok(asked);
    }
    let mut has_address = false;
    for option in &mut asked.options {
        if let Some(name) = option.strip_prefix("addr=") {
            *option = format!("addr={}", known(name, look_up)?);
            has_address = true;
        }
    }
    let share = asked.device.strip_prefix("//").and_then(|rest| rest.split_once('/'));
    if let Some((host, path)) = share.filter(|_| !has_address && asked.kind != "nfs") {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if bare.parse::<IpAddr>().is_err() {
            asked.device = format!("//{}/{path}", known(bare, look_up)?);
        }
    }
    Ok(asked)
}

fn known(name: &str, look_up: LookUp<'_>) -> Result<IpAddr> {
    if let Ok(address) = name.parse() {
        return Ok(address);
    }
    let mut text = String::new();
    // Without the file its names are nobody's.
    let _ = File::open(HOSTS).and_then(|file| file.take(LARGEST).read_to_string(&mut text));
    if let Some(address) = find(&text, name) {
        return Ok(address);
    }
    let wrong = |why: String| {
        Error::invalid(format!("error resolving passed in network volume address: lookup {name}: {why}"))
    };
    let found = look_up(name).map_err(|error| wrong(error.report()))?;
    found.first().copied().ok_or_else(|| wrong("no such host".into()))
}

fn find(hosts: &str, name: &str) -> Option<IpAddr> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.into_iter().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_become_addresses() {
        let hosts = "127.0.0.1 localhost\n# 192.0.2.1 nas\n192.0.2.2 NAS.example nas # old\n";
        assert_eq!(find(hosts, "nas").unwrap().to_string(), "192.0.2.2");
        assert_eq!(find(hosts, "other"), None);
        let mount = |kind: &str, device: &str, option: &str| VolumeMount {
            kind: kind.into(),
            device: device.into(),
            options: vec![option.into()],
        };
        let asked = mount("nfs", ":/srv", "addr=192.0.2.7");
        let look_up = |name: &str| match name {
            "far.example" => Ok(vec!["192.0.2.5".parse().unwrap(), "fd00::5".parse().unwrap()]),
            "silent.example" => Err(Error::internal("no name server of the host answers")),
            _ => Ok(Vec::new()),
        };
        let resolved = |asked| resolved(asked, &look_up);
        assert_eq!(resolved(asked.clone()).unwrap(), asked);
        for (name, words) in
            [("none.example", "no such host"), ("silent.example", "no name server of the host answers")]
        {
            let error = resolved(mount("nfs", ":/srv", &format!("addr={name}"))).unwrap_err();
            let begin = "error resolving passed in network volume address: lookup ";
            assert_eq!(error.to_string(), format!("{begin}{name}: {words}"));
            assert!(resolved(mount("cifs", &format!("//{name}/x"), "ro")).is_err());
        }
        assert_eq!(resolved(mount("nfs", ":/srv", "addr=far.example")).unwrap().options, ["addr=192.0.2.5"]);
        assert_eq!(resolved(mount("cifs", "//far.example/x", "ro")).unwrap().device, "//192.0.2.5/x");
        assert!(resolved(mount("cifs", "//192.0.2.1/x", "ro")).is_ok());
        let asked = mount("tmpfs", "tmpfs", "addr=nonsense");
        assert_eq!(resolved(asked.clone()).unwrap(), asked);
    }
}
