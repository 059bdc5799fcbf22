//! `features`: what this runtime can do, without running anything.

use dhow_model::Result;
use dhow_oci::capabilities::NAMES;
use dhow_oci::runtime::features::{
    CgroupFeatures, Enabled, Features, LinuxFeatures, MountExtensions, SeccompFeatures,
};

use super::arguments::{Parsed, Syntax};
use super::state::pretty;
use super::{Context, Verb};
use crate::container::mount_options;
use crate::seccomp;

pub(super) const VERB: Verb = Verb {
    name: "features",
    arguments: "",
    about: "writes what the runtime can do",
    syntax: Syntax { flags: &[], first_word_ends: false },
    run,
    failure: 1,
    makes_process: false,
};

fn run(_: &Context, _: &Parsed) -> Result<u8> {
    println!("{}", pretty(&features())?);
    Ok(0)
}

fn features() -> Features {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    Features {
        oci_version_min: "1.0.0".into(),
        oci_version_max: dhow_oci::runtime::VERSION.into(),
        hooks: words(&[
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        ]),
        mount_options: mount_options(),
        linux: LinuxFeatures {
            namespaces: words(&["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]),
            capabilities: NAMES.iter().map(|name| format!("CAP_{name}")).collect(),
            cgroup: CgroupFeatures { v1: true, v2: true, ..CgroupFeatures::default() },
            seccomp: SeccompFeatures {
                enabled: true,
                actions: words(&seccomp::action::NAMES),
                operators: words(&seccomp::rules::OPERATORS),
                archs: words(&seccomp::Architecture::ALL.map(seccomp::Architecture::name)),
                known_flags: words(&seccomp::FLAGS),
                supported_flags: words(&seccomp::FLAGS),
            },
            apparmor: Enabled { enabled: true },
            selinux: Enabled { enabled: true },
            intel_rdt: Enabled { enabled: false },
            mount_extensions: MountExtensions { idmap: Enabled { enabled: true } },
        },
        annotations: [("io.dhow.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into(),
    }
}
