//! Stories of device rules, and the program against the policy.

use super::*;

fn rule(allow: bool, text: &str) -> DeviceRule {
    let mut fields = text.split([' ', ':']);
    let mut next = || fields.next().unwrap_or_default().to_owned();
    let (kind, major, minor, access) = (next(), next(), next(), next());
    DeviceRule { allow, kind, major: major.parse().ok(), minor: minor.parse().ok(), access }
}

fn lines(current: &Policy, target: &Policy) -> Vec<String> {
    let sign = |line: Line| format!("{}{}", if line.allow { '+' } else { '-' }, line.text);
    transition(current, target).into_iter().map(sign).collect()
}

fn everything() -> Policy {
    Policy { allowed_by_default: true, exceptions: BTreeMap::new() }
}

#[test]
fn a_new_container_may_use_its_devices_and_the_usual_ones_and_no_other() {
    let policy = Policy::of_container(&[rule(false, "a"), rule(true, "b 8:16 rw")]).unwrap();
    assert!(policy.allows(Kind::Character, 1, 3, Access::ALL), "/dev/null");
    assert!(policy.allows(Kind::Character, 136, 77, Access::READ), "a terminal");
    assert!(policy.allows(Kind::Block, 8, 16, Access::READ), "its own disk");
    assert!(policy.allows(Kind::Block, 8, 0, Access::MKNOD), "a node of any device");
    assert!(!policy.allows(Kind::Block, 8, 0, Access::READ), "another disk");
    assert!(!policy.allows(Kind::Character, 1, 1, Access::READ), "/dev/mem");
}

#[test]
fn no_rules_at_all_deny_all_but_the_usual() {
    let policy = Policy::of_container(&[]).unwrap();
    assert!(!policy.allowed_by_default);
    assert!(!policy.allows(Kind::Block, 8, 0, Access::READ));
}

#[test]
fn a_privileged_container_has_nothing_to_write() {
    let policy = Policy::of_container(&[rule(true, "a *:* rwm")]).unwrap();
    assert!(policy.allows_all());
    assert_eq!(lines(&everything(), &policy), [""; 0]);
}

#[test]
fn a_fresh_cgroup_is_closed_first_and_then_opened() {
    let target =
        Policy::of_rules(&[rule(false, "a"), rule(true, "c 1:3 rw"), rule(true, "c 1:3 m")]).unwrap();
    assert_eq!(lines(&everything(), &target), ["-a", "+c 1:3 rwm"]);
}

#[test]
fn an_update_of_a_live_container_changes_only_what_differs() {
    let current = Policy::of_list("c 1:3 rwm\nc 5:* rw\nb *:* m\n");
    let target =
        Policy::of_rules(&[rule(true, "c 1:3 rw"), rule(true, "c 10:200 rwm"), rule(true, "b -:- m")]);
    assert_eq!(lines(&current, &target.unwrap()), ["+c 10:200 rwm", "-c 1:3 m", "-c 5:* rw"]);
}

#[test]
fn a_cgroup_that_denies_a_few_is_made_anew_since_they_cannot_be_read() {
    let target = Policy::of_rules(&[rule(true, "a"), rule(false, "b 8:0 w")]).unwrap();
    assert_eq!(lines(&Policy::of_list("a *:* rwm\n"), &target), ["+a", "-b 8:0 w"]);
    assert!(target.allows(Kind::Block, 8, 0, Access::READ));
    let both = Access::from_bits(Access::READ.bits() | Access::WRITE.bits());
    assert!(!target.allows(Kind::Block, 8, 0, both), "a part of it is denied");
}

#[test]
fn a_hole_in_a_wildcard_is_refused() {
    let rules = [rule(true, "c 10:* rw"), rule(false, "c 10:200 w")];
    let error = Policy::of_rules(&rules).unwrap_err();
    assert_eq!(error.to_string(), "device rule c 10:200 w would cut a hole into c 10:* rw");
    let apart = [rule(true, "c 10:* r"), rule(false, "c 10:200 w")];
    assert!(Policy::of_rules(&apart).is_ok(), "they share no access");
}

#[test]
fn rules_out_of_their_grammar_are_refused() {
    for (kind, major, access) in [("p", 1, "r"), ("c", -2, "r"), ("c", 1 << 33, "r"), ("c", 1, "rx")] {
        let rule = DeviceRule {
            allow: true,
            kind: kind.to_owned(),
            major: Some(major),
            minor: None,
            access: access.to_owned(),
        };
        assert!(Policy::of_rules(&[rule]).is_err(), "{kind} {major} {access}");
    }
}

/// Every kind, number and access near those of the rules.
fn probes() -> impl Iterator<Item = (Kind, u32, u32, Access)> {
    let numbers = [0, 1, 3, 5, 8, 136];
    let kinds = [Kind::Character, Kind::Block];
    kinds.into_iter().flat_map(move |kind| {
        numbers.into_iter().flat_map(move |major| {
            numbers.into_iter().flat_map(move |minor| {
                (1..=7).map(move |access| (kind, major, minor, Access::from_bits(access)))
            })
        })
    })
}

#[test]
fn the_program_answers_as_the_policy_does() {
    let mut seed = 7u32;
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) % below
    };
    for _ in 0..200 {
        let numbers = [None, Some(0), Some(1), Some(5), Some(8)];
        let mut policy = Policy { allowed_by_default: random(2) == 0, exceptions: BTreeMap::new() };
        for _ in 0..random(6) {
            let kind = if random(2) == 0 { Kind::Block } else { Kind::Character };
            let devices =
                Devices { kind, major: numbers[random(5) as usize], minor: numbers[random(5) as usize] };
            policy.exceptions.insert(devices, Access::from_bits(u8::try_from(1 + random(7)).unwrap()));
        }
        let program = program::compile(&policy);
        for (kind, major, minor, access) in probes() {
            let expected = policy.allows(kind, major, minor, access);
            let found = program::run(&program, kind, major, minor, access);
            assert_eq!(found, expected, "{policy:?} {kind:?} {major}:{minor} {access}");
        }
    }
}
