//! Which ports a container publishes from now on (pure).

use std::collections::BTreeMap;

use dhow_model::container::PortBinding;
use dhow_model::network::Published;
use dhow_model::{Error, Result};

use super::ports::port_of;

/// Ports of a container and where they appear at the host, as they were asked for.
pub type Bindings = BTreeMap<String, Vec<PortBinding>>;

/// What is to be published in place of what is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortChange {
    /// These, and nothing else.
    These(Bindings),
    /// Some come, some go.
    Edit {
        /// Published besides.
        add: Bindings,
        /// Not published any more. What says nothing about the host's side means wherever that port appears.
        remove: Bindings,
    },
    /// What was before an update that is undone.
    Back(PortsBefore),
}

/// What was published before an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortsBefore {
    pub(super) bindings: Bindings,
    pub(super) published: Vec<Published>,
}

impl PortChange {
    /// What is to be published, and ports of the host that are to be had again where nobody says which.
    ///
    /// # Errors
    /// A port that is to go is not published.
    pub(super) fn of(self, before: &Bindings) -> Result<(Bindings, Vec<Published>)> {
        match self {
            PortChange::These(bindings) => Ok((bindings, Vec::new())),
            PortChange::Back(PortsBefore { bindings, published }) => Ok((bindings, published)),
            PortChange::Edit { add, remove } => {
                let mut bindings = before.clone();
                for (key, asked) in &remove {
                    let anywhere = [PortBinding::default()];
                    let asked = if asked.is_empty() { &anywhere } else { asked.as_slice() };
                    asked.iter().try_for_each(|asked| take_away(&mut bindings, key, asked))?;
                }
                for (key, added) in add {
                    bindings.entry(key).or_default().extend(added.clone());
                }
                bindings.retain(|_, bindings| !bindings.is_empty());
                Ok((bindings, Vec::new()))
            }
        }
    }
}

fn take_away(bindings: &mut Bindings, key: &str, asked: &PortBinding) -> Result<()> {
    let port = port_of(key)?;
    let means = |asked: &str, has: &str| asked.is_empty() || asked == has;
    let mut found = false;
    for (other, bindings) in bindings.iter_mut() {
        if port_of(other)? != port {
            continue;
        }
        bindings.retain(|binding| {
            let goes = means(&asked.host_ip, &binding.host_ip) && means(&asked.host_port, &binding.host_port);
            found |= goes;
            !goes
        });
    }
    if found { Ok(()) } else { Err(not_published(key, asked)) }
}

fn not_published(key: &str, asked: &PortBinding) -> Error {
    let place = match (asked.host_ip.as_str(), asked.host_port.as_str()) {
        ("", "") => String::new(),
        ("", port) => format!(" at port {port} of the host"),
        (address, "") => format!(" at {address}"),
        (address, port) => format!(" at {address}, port {port}"),
    };
    Error::invalid(format!("port {key} is not published{place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bindings(all: &[(&str, &str, &str)]) -> Bindings {
        let mut bindings = Bindings::new();
        for (key, host_ip, host_port) in all {
            let binding = PortBinding { host_ip: (*host_ip).into(), host_port: (*host_port).into() };
            bindings.entry((*key).into()).or_default().push(binding);
        }
        bindings
    }

    fn edited(before: &Bindings, add: &Bindings, remove: &Bindings) -> Result<Bindings> {
        PortChange::Edit { add: add.clone(), remove: remove.clone() }.of(before).map(|(after, _)| after)
    }

    #[test]
    fn ports_come_and_go_and_the_others_stay() {
        let before = bindings(&[("80/tcp", "", "8080"), ("80/tcp", "127.0.0.1", "81"), ("53/udp", "", "")]);
        for (remove, left) in [
            (&[("80/tcp", "", "")][..], &[("53/udp", "", "")][..]),
            (&[("80", "", "8080")], &[("80/tcp", "127.0.0.1", "81"), ("53/udp", "", "")]),
            (&[("80/tcp", "127.0.0.1", "")], &[("80/tcp", "", "8080"), ("53/udp", "", "")]),
        ] {
            assert_eq!(edited(&before, &Bindings::new(), &bindings(remove)).unwrap(), bindings(left));
        }
        let added = edited(&before, &bindings(&[("80/tcp", "", "82")]), &bindings(&[("80/tcp", "", "")]));
        assert_eq!(added.unwrap(), bindings(&[("53/udp", "", ""), ("80/tcp", "", "82")]));
    }

    #[test]
    fn what_is_not_published_cannot_go() {
        let before = bindings(&[("80/tcp", "", "8080")]);
        for (remove, words) in [
            (("80/udp", "", ""), "port 80/udp is not published"),
            (("80/tcp", "", "81"), "port 80/tcp is not published at port 81 of the host"),
            (("80/tcp", "::1", "8080"), "port 80/tcp is not published at ::1, port 8080"),
        ] {
            let error = edited(&before, &Bindings::new(), &bindings(&[remove])).unwrap_err();
            assert_eq!(error.to_string(), words);
        }
    }
}
