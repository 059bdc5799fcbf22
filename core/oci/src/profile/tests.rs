//! Stories of profiles.

use super::*;

fn circumstances(capabilities: &[&str]) -> Circumstances {
    let capabilities = CapabilitySet::parse(capabilities.iter().copied()).0;
    Circumstances { capabilities, architecture: "x86_64", kernel: (6, 1) }
}

fn resolve(json: &str, circumstances: Circumstances) -> Result<Option<Seccomp>, String> {
    Profile::parse(json).and_then(|profile| profile.resolve(circumstances)).map_err(|error| error.to_string())
}

fn names(filter: &Seccomp) -> Vec<&str> {
    filter.syscalls.iter().flat_map(|rule| &rule.names).map(String::as_str).collect()
}

const CONDITIONAL: &str = r#"{
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                {"architecture": "SCMP_ARCH_S390X", "subArchitectures": null}],
    "syscalls": [
        {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": "", "includes": {}, "excludes": {}},
        {"name": "old", "action": "SCMP_ACT_ALLOW"},
        {"names": ["arm"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        {"names": ["not_here"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}},
        {"names": ["new"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.2"}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["before_6"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "6.0"}},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]},
         "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]}
    ]}"#;

#[test]
fn rules_hold_by_architecture_kernel_and_capability() {
    let filter = resolve(CONDITIONAL, circumstances(&[])).unwrap().unwrap();
    assert_eq!(names(&filter), ["read", "write", "old", "ptrace", "clone"]);
    assert_eq!(filter.architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    assert_eq!(filter.default_errno_ret, Some(1));
    let filter = resolve(CONDITIONAL, circumstances(&["SYS_ADMIN"])).unwrap().unwrap();
    assert_eq!(names(&filter), ["read", "write", "old", "ptrace", "mount"]);
}

#[test]
fn an_empty_profile_is_no_filter() {
    assert_eq!(resolve("{}", circumstances(&[])), Ok(None));
    assert!(resolve(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#, circumstances(&[])).unwrap().is_some());
}

#[test]
fn profiles_that_contradict_themselves_are_refused_in_dockers_words() {
    for (json, expected) in [
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "SCMP_ARCH_X86"}]}"#,
            "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'",
        ),
        (
            r#"{"syscalls": [{"name": "read", "names": ["write"], "action": "SCMP_ACT_ALLOW"}]}"#,
            "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'",
        ),
        (
            r#"{"syscalls": [{"names": ["read"], "includes": {"minKernel": "4.8.1"}}]}"#,
            "invalid kernel version: \"4.8.1\", expected \"<kernel>.<major>\"",
        ),
        (
            r#"{"syscalls": [{"names": ["read"], "includes": {"minKernel": "0.0"}}]}"#,
            "invalid kernel version: \"0.0\", expected \"<kernel>.<major>\"",
        ),
    ] {
        assert_eq!(resolve(json, circumstances(&[])).unwrap_err(), expected);
    }
    assert!(
        resolve("nonsense", circumstances(&[])).unwrap_err().starts_with("decoding seccomp profile failed")
    );
    assert!(resolve(&" ".repeat(LONGEST + 1), circumstances(&[])).unwrap_err().contains("too long"));
}

#[test]
fn releases_of_kernels_are_read_as_far_as_needed() {
    for (release, expected) in [
        ("6.1.0-56-amd64", Some((6, 1))),
        ("3.12-rc5", Some((3, 12))),
        ("4.8", Some((4, 8))),
        ("5.x", None),
        ("six", None),
    ] {
        assert_eq!(kernel_version(release), expected, "{release}");
    }
}

#[test]
fn the_default_profile_opens_with_capabilities() {
    let plain = default_profile(circumstances(&["CHOWN"]));
    let powerful = default_profile(circumstances(&["SYS_ADMIN"]));
    let count = |filter: &Seccomp, name: &str| names(filter).iter().filter(|each| **each == name).count();
    assert_eq!((count(&plain, "mount"), count(&powerful, "mount")), (0, 1));
    assert_eq!((count(&plain, "ptrace"), count(&powerful, "bpf")), (1, 1));
    let clone3 = plain.syscalls.iter().find(|rule| rule.names == ["clone3"]).unwrap();
    assert_eq!((clone3.action.as_str(), clone3.errno_ret), ("SCMP_ACT_ERRNO", Some(38)));
    assert!(count(&default_profile(Circumstances { kernel: (4, 7), ..circumstances(&[]) }), "ptrace") == 0);
    assert_eq!(plain.architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
}

#[test]
fn every_address_family_but_two_is_allowed() {
    let filter = default_profile(circumstances(&[]));
    let rules: Vec<_> = filter.syscalls.iter().filter(|rule| rule.names == ["socket"]).collect();
    let is_allowed = |family: u64| {
        rules.iter().any(|rule| rule.args.iter().all(|arg| family & arg.value == arg.value_two))
    };
    for family in 0..64 {
        let expected = family != 38 && family != 40;
        assert_eq!(is_allowed(family), expected, "{family}");
        assert_eq!(is_allowed(family | 1 << 32), expected, "{family} with a bit that the kernel ignores");
    }
}
