//! Keys of `daemon.json` that have nothing behind them here.
//!
//! A file that dockerd reads should start this engine too, so what asks for nothing is passed over, and what would
//! only be of use elsewhere (registries, builds, swarm, containerd) is told and has no effect. Whatever would make
//! containers safer or their users fewer is refused by name: nobody should rely on what is not there (decision 11).

use serde_json::Value;

/// Told, and of no effect.
const WITHOUT_EFFECT: &[&str] = &[
    "allow-nondistributable-artifacts",
    "api-cors-header",
    "builder",
    "containerd",
    "containerd-namespace",
    "containerd-plugins-namespace",
    "cri-containerd",
    "deprecated-key-path",
    "experimental",
    "features",
    "http-proxy",
    "https-proxy",
    "init-path",
    "insecure-registries",
    "min-api-version",
    "network-control-plane-mtu",
    "network-diagnostic-port",
    "no-proxy",
    "node-generic-resources",
    "nri-opts",
    "oom-score-adjust",
    "proxies",
    "registry-mirrors",
    "swarm-default-advertise-addr",
    "userland-proxy-path",
];

/// What becomes of a key that is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It asks for nothing.
    Nothing,
    /// The user should know that nothing comes of it.
    Told(String),
    /// The engine does not start with it.
    Refused,
}

/// What becomes of a key and its value.
pub(super) fn fate(key: &str, value: &Value) -> Fate {
    let same = key == "firewall-backend" && value == "nftables";
    if asks_for_nothing(value) || same {
        Fate::Nothing
    } else if WITHOUT_EFFECT.contains(&key) {
        Fate::Told(format!("{key} has no effect"))
    } else {
        Fate::Refused
    }
}

fn asks_for_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(pairs) => pairs.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_asks_for_safety_is_refused_what_is_of_use_elsewhere_is_told() {
        let told = |key: &str| Fate::Told(format!("{key} has no effect"));
        for (key, value, expected) in [
            ("features", json!({"buildkit": true}), told("features")),
            ("registry-mirrors", json!(["https://mirror"]), told("registry-mirrors")),
            ("registry-mirrors", json!([]), Fate::Nothing),
            ("selinux-enabled", json!(false), Fate::Nothing),
            ("selinux-enabled", json!(true), Fate::Refused),
            ("authorization-plugins", json!(["p"]), Fate::Refused),
            ("firewall-backend", json!("nftables"), Fate::Nothing),
            ("firewall-backend", json!("iptables"), Fate::Refused),
        ] {
            assert_eq!(fate(key, &value), expected, "{key}: {value}");
        }
    }
}
