//! Containers that write where a size is limited do not choose what is counted.
//!
//! Outside user namespaces, who owns a file may give it another project (`FS_IOC_FSSETXATTR`), and so take it out of the limit.
//! The filter refuses that one request; nothing else needs it. File systems' newer system call for it (`file_setattr`)
//! is in no list of what is allowed.

use dhow_oci::runtime::{Seccomp, SeccompArgument, SeccompRule};

const ALLOW: &str = "SCMP_ACT_ALLOW";
const CALL: &str = "ioctl";
/// `FS_IOC_FSSETXATTR`; its low 32 bits are all that the kernel looks at.
const REQUEST: u64 = 0x401c_5820;

/// The same filter without that request.
#[must_use]
pub fn without_projects(mut filter: Seccomp) -> Seccomp {
    let allows = |rule: &SeccompRule| {
        rule.action == ALLOW && rule.args.is_empty() && rule.names.iter().any(|name| name == CALL)
    };
    if !filter.syscalls.iter().any(allows) {
        return filter;
    }
    for rule in filter.syscalls.iter_mut().filter(|rule| allows(rule)) {
        rule.names.retain(|name| name != CALL);
    }
    // Another request is one that differs in some bit. "Not equal" would compare 64 bits: whoever set a high one would
    // pass.
    filter.syscalls.extend((0..32).map(|bit| {
        let mask = 1 << bit;
        let argument = SeccompArgument {
            index: 1,
            value: mask,
            value_two: !REQUEST & mask,
            op: "SCMP_CMP_MASKED_EQ".into(),
        };
        SeccompRule {
            names: vec![CALL.into()],
            action: ALLOW.into(),
            args: vec![argument],
            ..SeccompRule::default()
        }
    }));
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lets(filter: &Seccomp, request: u64) -> bool {
        let holds = |argument: &SeccompArgument| request & argument.value == argument.value_two;
        let rules = filter.syscalls.iter().filter(|rule| rule.names.iter().any(|name| name == CALL));
        rules.into_iter().any(|rule| rule.args.iter().all(holds))
    }

    #[test]
    fn one_request_is_refused_whatever_its_high_bits_and_all_others_pass() {
        let names = vec!["read".into(), CALL.into()];
        let rule = SeccompRule { names, action: ALLOW.into(), ..SeccompRule::default() };
        let filter = without_projects(Seccomp { syscalls: vec![rule], ..Seccomp::default() });
        assert_eq!(filter.syscalls[0].names, ["read"]);
        for refused in [REQUEST, REQUEST | 1 << 32, REQUEST | 0xffff_ffff << 32] {
            assert!(!lets(&filter, refused), "{refused:x}");
        }
        for allowed in [0, 0x5401, 0x8000_1234, 0x4008_6602, REQUEST + 1, REQUEST & !(1 << 30)] {
            assert!(lets(&filter, allowed), "{allowed:x}");
        }
        let other = Seccomp { default_action: ALLOW.into(), ..Seccomp::default() };
        assert_eq!(without_projects(other.clone()), other);
    }
}
