//! Programs against a plain reading of the profile, and one in a real thread and its children.

use std::process::Command;

use dhow_oci::capabilities::{self, CapabilitySet};
use dhow_oci::profile::default_profile;
use dhow_oci::runtime::{Seccomp, SeccompArgument, SeccompRule};

use super::architecture::X32_BIT;
use super::interpreter::{Data, run};
use super::rules::Policy;
use super::syscalls::SystemCall;
use super::*;

const KILL: u32 = 0x8000_0000;
const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;

fn program(seccomp: &Seccomp) -> Vec<Instruction> {
    program::compile(&Policy::of(seccomp, Architecture::X86_64).unwrap()).unwrap()
}

fn answer(program: &[Instruction], architecture: Architecture, name: &str, arguments: &[u64]) -> u32 {
    let number = SystemCall::find(name).and_then(|call| call.number(architecture)).unwrap();
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    run(program, &Data { number, audit: architecture.audit(), arguments: all }).0
}

fn rule(names: &str, action: &str, args: &[(u32, &str, u64, u64)]) -> SeccompRule {
    let argument = |&(index, op, value, value_two): &(u32, &str, u64, u64)| SeccompArgument {
        index,
        value,
        value_two,
        op: op.to_owned(),
    };
    SeccompRule {
        names: names.split(' ').map(str::to_owned).collect(),
        action: action.to_owned(),
        errno_ret: None,
        args: args.iter().map(argument).collect(),
    }
}

fn profile(default: &str, syscalls: Vec<SeccompRule>) -> Seccomp {
    Seccomp { default_action: default.to_owned(), syscalls, ..Seccomp::default() }
}

fn docker(capabilities: CapabilitySet) -> Seccomp {
    default_profile(circumstances(capabilities))
}

#[test]
fn tables_are_sorted_and_have_known_numbers() {
    assert!(table::ROWS.is_sorted_by(|one, other| one.0 < other.0));
    let number = |name, architecture| SystemCall::find(name).and_then(|call| call.number(architecture));
    assert_eq!(number("openat2", Architecture::X86_64), Some(437));
    assert_eq!(number("openat2", Architecture::Aarch64), Some(437));
    assert_eq!(number("socket", Architecture::X86), Some(359));
    assert_eq!(number("socket", Architecture::Arm), Some(281));
    assert_eq!(number("execve", Architecture::X32), Some(520 | X32_BIT));
    assert_eq!(number("read", Architecture::X32), Some(X32_BIT));
    assert_eq!(number("open", Architecture::Aarch64), None);
    assert!(SystemCall::find("nonsense").is_none());
    for (name, expected) in [("clone3", libc::SYS_clone3), ("seccomp", libc::SYS_seccomp)] {
        assert_eq!(number(name, Architecture::native()).map(i64::from), Some(expected));
    }
}

#[test]
fn dockers_default_profile_answers_as_it_should() {
    use Architecture::{X32, X86, X86_64};
    let plain = program(&docker(capabilities::DEFAULT));
    for (name, arguments, expected) in [
        ("read", &[][..], ALLOW),
        ("mount", &[], EPERM),
        ("clone3", &[], ENOSYS),
        ("clone", &[0x11], ALLOW),
        ("clone", &[0x1000_0011], EPERM),
        ("clone", &[0x1_0000_0011], ALLOW),
        ("personality", &[0xffff_ffff], ALLOW),
        ("personality", &[0x40000], EPERM),
        ("socket", &[2], ALLOW),
        ("socket", &[38], EPERM),
        ("socket", &[40], EPERM),
        ("socket", &[39], ALLOW),
        ("socket", &[0x1_0000_0026], EPERM),
        ("ptrace", &[], ALLOW),
        ("chroot", &[], ALLOW),
        ("reboot", &[], EPERM),
        ("io_uring_setup", &[], EPERM),
    ] {
        for architecture in [X86_64, X86, X32] {
            assert_eq!(
                answer(&plain, architecture, name, arguments),
                expected,
                "{name} {arguments:x?} {architecture:?}"
            );
        }
    }
    assert_eq!(answer(&plain, X86, "socketcall", &[1]), ALLOW);
    let admin = program(&docker(CapabilitySet::parse(["SYS_ADMIN"]).0));
    assert_eq!(answer(&admin, X86_64, "mount", &[]), ALLOW);
    assert_eq!(answer(&admin, X86_64, "clone3", &[]), ALLOW);
    assert_eq!(answer(&admin, X86_64, "clone", &[0x1000_0011]), ALLOW);
}

#[test]
fn the_default_program_is_short_and_quick() {
    let plain = program(&docker(capabilities::DEFAULT));
    assert!(plain.len() < 700, "{} instructions", plain.len());
    let steps =
        |number| run(&plain, &Data { number, audit: Architecture::X86_64.audit(), arguments: [0; 6] }).1;
    let worst = (0..500).map(steps).max().unwrap();
    assert!(worst < 60, "{worst} steps");
    eprintln!("{} instructions, {} steps for read, {worst} at most", plain.len(), steps(0));
}

#[test]
fn numbers_that_the_profile_does_not_know_are_answered_as_unknown() {
    let plain = program(&docker(capabilities::DEFAULT));
    let of = |number, architecture: Architecture| {
        run(&plain, &Data { number, audit: architecture.audit(), arguments: [0; 6] }).0
    };
    assert_eq!(of(5000, Architecture::X86_64), ENOSYS);
    assert_eq!(of(5000 | X32_BIT, Architecture::X86_64), ENOSYS);
    assert_eq!(of(5000, Architecture::X86), ENOSYS);
    assert_eq!(of(400, Architecture::X86_64), EPERM, "a hole between numbers");
    let open = program(&profile("SCMP_ACT_ALLOW", vec![rule("read", "SCMP_ACT_KILL", &[])]));
    assert_eq!(
        run(&open, &Data { number: 5000, audit: Architecture::X86_64.audit(), arguments: [0; 6] }).0,
        ALLOW
    );
}

#[test]
fn programs_of_another_architecture_are_killed() {
    let plain = program(&profile("SCMP_ACT_ALLOW", vec![]));
    let of = |number, audit| run(&plain, &Data { number, audit, arguments: [0; 6] }).0;
    assert_eq!(of(0, Architecture::X86_64.audit()), ALLOW);
    assert_eq!(of(0, Architecture::X86.audit()), KILL);
    assert_eq!(of(0, 0xdead), KILL);
    assert_eq!(of(X32_BIT, Architecture::X86_64.audit()), KILL);
    assert_eq!(of(u32::MAX, Architecture::X86_64.audit()), ALLOW, "a call that a tracer has cancelled");
}

#[test]
fn every_action_has_its_value_and_number() {
    for (name, errno, expected) in [
        ("SCMP_ACT_KILL", None, 0),
        ("SCMP_ACT_KILL_THREAD", None, 0),
        ("SCMP_ACT_KILL_PROCESS", None, KILL),
        ("SCMP_ACT_TRAP", None, 0x3_0000),
        ("SCMP_ACT_ERRNO", None, EPERM),
        ("SCMP_ACT_ERRNO", Some(38), ENOSYS),
        ("SCMP_ACT_ERRNO", Some(0), 0x5_0000),
        ("SCMP_ACT_TRACE", None, 0x7ff0_0001),
        ("SCMP_ACT_TRACE", Some(7), 0x7ff0_0007),
        ("SCMP_ACT_ALLOW", None, ALLOW),
        ("SCMP_ACT_LOG", None, 0x7ffc_0000),
        ("SCMP_ACT_NOTIFY", None, 0x7fc0_0000),
    ] {
        assert_eq!(Action::parse(name, errno).unwrap().value(), expected, "{name} {errno:?}");
    }
}

#[test]
fn two_conditions_on_one_argument_hold_each_for_itself_as_with_runc() {
    let args = [(0, "SCMP_CMP_EQ", 1, 0), (0, "SCMP_CMP_EQ", 2, 0)];
    let either = program(&profile("SCMP_ACT_ALLOW", vec![rule("write", "SCMP_ACT_ERRNO", &args)]));
    let args = [(0, "SCMP_CMP_EQ", 1, 0), (2, "SCMP_CMP_GT", 9, 0)];
    let both = program(&profile("SCMP_ACT_ALLOW", vec![rule("write", "SCMP_ACT_ERRNO", &args)]));
    let x = Architecture::X86_64;
    let answers =
        |program: &[Instruction], calls: [&[u64]; 3]| calls.map(|call| answer(program, x, "write", call));
    assert_eq!(answers(&either, [&[1], &[2], &[3]]), [EPERM, EPERM, ALLOW]);
    assert_eq!(answers(&both, [&[1, 0, 10], &[1, 0, 9], &[2, 0, 10]]), [EPERM, ALLOW, ALLOW]);
}

#[test]
fn a_collecting_call_follows_the_calls_it_collects() {
    let mut closed = profile("SCMP_ACT_ERRNO", vec![rule("bind", "SCMP_ACT_ALLOW", &[])]);
    closed.architectures.push("SCMP_ARCH_X86".to_owned());
    let family = [(0, "SCMP_CMP_EQ", 1, 0)];
    closed.syscalls.push(rule("socket", "SCMP_ACT_ALLOW", &family));
    let closed = program(&closed);
    let x86 = Architecture::X86;
    assert_eq!(answer(&closed, x86, "socketcall", &[2]), ALLOW);
    assert_eq!(answer(&closed, x86, "socketcall", &[1]), EPERM, "which family, nobody can see");
    let mut open = profile("SCMP_ACT_ALLOW", vec![rule("socket", "SCMP_ACT_ERRNO", &family)]);
    open.architectures.push("SCMP_ARCH_X86".to_owned());
    assert_eq!(answer(&program(&open), x86, "socketcall", &[1]), EPERM);
    assert_eq!(answer(&program(&open), x86, "socketcall", &[2]), ALLOW);
}

#[test]
fn what_is_wrong_is_told_by_name() {
    let error = |seccomp: &Seccomp| Filter::compile(seccomp).unwrap_err().to_string();
    assert_eq!(error(&profile("NO", vec![])), "seccomp: unknown action \"NO\"");
    assert_eq!(
        error(&profile("SCMP_ACT_NOTIFY", vec![])),
        "seccomp: SCMP_ACT_NOTIFY cannot be used as default action"
    );
    let one = |rule| error(&profile("SCMP_ACT_ALLOW", vec![rule]));
    assert_eq!(
        one(rule("read", "SCMP_ACT_ERRNO", &[(0, "SCMP_CMP_X", 0, 0)])),
        "seccomp: unknown operator \"SCMP_CMP_X\""
    );
    assert_eq!(
        one(rule("read", "SCMP_ACT_ERRNO", &[(6, "SCMP_CMP_EQ", 0, 0)])),
        "seccomp: index 6 of an argument is above 5"
    );
    assert_eq!(one(rule("read", "SCMP_ACT_NOTIFY", &[])), "seccomp: SCMP_ACT_NOTIFY needs a listenerPath");
    assert_eq!(
        one(rule("write", "SCMP_ACT_NOTIFY", &[])),
        "seccomp: SCMP_ACT_NOTIFY cannot be used for the write syscall"
    );
    let errno = SeccompRule { errno_ret: Some(5000), ..rule("read", "SCMP_ACT_ERRNO", &[]) };
    assert_eq!(one(errno), "seccomp: errnoRet 5000 of SCMP_ACT_ERRNO is above 4095");
    let mut odd = profile("SCMP_ACT_ALLOW", vec![]);
    odd.architectures = vec!["SCMP_ARCH_Z80".to_owned()];
    assert_eq!(error(&odd), "seccomp: unknown architecture \"SCMP_ARCH_Z80\"");
    odd = profile("SCMP_ACT_ALLOW", vec![]);
    odd.flags = vec!["FLAG".to_owned()];
    assert_eq!(error(&odd), "seccomp flag \"FLAG\" is unknown");
    let many = (0..2000).map(|fd| rule("read", "SCMP_ACT_ERRNO", &[(0, "SCMP_CMP_EQ", fd, 0)])).collect();
    assert!(error(&profile("SCMP_ACT_ALLOW", many)).contains("is above 4096"));
}

/// Numbers that come from a seed, so that a failure can be seen again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        let at = usize::try_from(self.below(all.len() as u64)).unwrap();
        all[at]
    }
}

const VALUES: [u64; 9] =
    [0, 1, 2, 38, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, 0x8000_0000_0000_0000, u64::MAX];
const CALLS: [&str; 12] = [
    "read",
    "write",
    "open",
    "socket",
    "socketcall",
    "ipc",
    "semop",
    "bind",
    "clone",
    "execve",
    "openat2",
    "cacheflush",
];
const ARCHITECTURES: [Architecture; 5] = Architecture::ALL;

fn random_profile(random: &mut Random) -> Seccomp {
    let actions =
        ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_LOG", "SCMP_ACT_TRAP"];
    let mut seccomp = profile(random.pick(&actions), Vec::new());
    for architecture in ARCHITECTURES {
        if random.below(2) == 0 {
            seccomp.architectures.push(architecture.name().to_owned());
        }
    }
    for _ in 0..random.below(25) {
        let names = format!("{} {}", random.pick(&CALLS), random.pick(&CALLS));
        let mut args = Vec::new();
        for _ in 0..random.pick(&[0, 0, 1, 1, 2, 3]) {
            let index = u32::try_from(random.below(3)).unwrap();
            args.push((index, random.pick(&rules::OPERATORS), random.pick(&VALUES), random.pick(&VALUES)));
        }
        let mut rule = rule(&names, random.pick(&actions), &args);
        rule.errno_ret = (random.below(3) == 0).then(|| u32::try_from(random.below(50)).unwrap());
        seccomp.syscalls.push(rule);
    }
    seccomp
}

/// The profile read plainly: no tables by number, no order, no program.
fn expected(seccomp: &Seccomp, data: &Data) -> u32 {
    let default = Action::parse(&seccomp.default_action, None).unwrap();
    let is_x32 = data.audit == Architecture::X86_64.audit() && data.number & X32_BIT != 0;
    let architecture = ARCHITECTURES
        .into_iter()
        .find(|each| each.audit() == data.audit && (*each == Architecture::X32) == is_x32)
        .filter(|each| {
            *each == Architecture::X86_64 || seccomp.architectures.iter().any(|name| name == each.name())
        });
    let Some(architecture) = architecture else {
        let is_cancelled = data.audit == Architecture::X86_64.audit() && data.number == u32::MAX;
        return if is_cancelled { default.value() } else { KILL };
    };
    // Of x32, the numbers that it shares with x86_64 are answered as there.
    let is_shared = architecture == Architecture::X32 && data.number < X32_BIT + 512;
    if is_shared {
        let data = Data { number: data.number & !X32_BIT, ..*data };
        return expected(seccomp, &data);
    }
    let numbers = |name: &String| SystemCall::find(name)?.number(architecture);
    let newest = seccomp.syscalls.iter().flat_map(|rule| &rule.names).filter_map(numbers).max();
    let collectors = seccomp.syscalls.iter().filter(|rule| {
        rule.args.is_empty() && Action::parse(&rule.action, rule.errno_ret).unwrap() != default
    });
    let collectors =
        collectors.flat_map(|rule| &rule.names).filter_map(|name| SystemCall::find(name)?.multiplexed());
    let newest = newest.max(
        collectors
            .filter(|_| architecture == Architecture::X86)
            .filter_map(|(name, _)| SystemCall::find(name)?.number(architecture))
            .max(),
    );
    if newest.is_some_and(|newest| data.number > newest) && !default.is_permissive() {
        return ENOSYS;
    }
    let mut conditional = None;
    for rule in &seccomp.syscalls {
        let action = Action::parse(&rule.action, rule.errno_ret).unwrap();
        for name in rule.names.iter().filter(|_| action != default) {
            let is_direct = numbers(name) == Some(data.number);
            if is_direct && rule.args.is_empty() {
                return action.value();
            }
            let collected =
                SystemCall::find(name).and_then(SystemCall::multiplexed).is_some_and(|(collector, which)| {
                    let same = SystemCall::find(collector).and_then(|call| call.number(Architecture::X86));
                    architecture == Architecture::X86
                        && same == Some(data.number)
                        && data.arguments[0] == which
                        && (rule.args.is_empty() || default.is_permissive())
                });
            if conditional.is_none() && (collected || (is_direct && holds(&rule.args, &data.arguments))) {
                conditional = Some(action);
            }
        }
    }
    conditional.unwrap_or(default).value()
}

fn holds(args: &[SeccompArgument], arguments: &[u64; 6]) -> bool {
    let one = |arg: &SeccompArgument| {
        let (left, right) = (arguments[arg.index as usize], arg.value);
        match arg.op.as_str() {
            "SCMP_CMP_NE" => left != right,
            "SCMP_CMP_LT" => left < right,
            "SCMP_CMP_LE" => left <= right,
            "SCMP_CMP_EQ" => left == right,
            "SCMP_CMP_GE" => left >= right,
            "SCMP_CMP_GT" => left > right,
            "SCMP_CMP_MASKED_EQ" => left & right == arg.value_two,
            op => panic!("{op}"),
        }
    };
    let is_repeated = args.iter().any(|arg| args.iter().filter(|other| other.index == arg.index).count() > 1);
    if is_repeated { args.iter().any(one) } else { args.iter().all(one) }
}

#[test]
fn every_program_answers_as_its_profile_read_plainly() {
    let mut random = Random(1);
    for round in 0..150 {
        let seccomp = random_profile(&mut random);
        let program = program(&seccomp);
        for _ in 0..200 {
            let architecture = random.pick(&ARCHITECTURES);
            let number = match random.below(8) {
                0 => random.pick(&[u32::MAX, X32_BIT, X32_BIT - 1, 0xf0000, 500]),
                _ => SystemCall::find(random.pick(&CALLS))
                    .and_then(|call| call.number(architecture))
                    .unwrap_or(1),
            };
            let arguments = [(); 6].map(|()| random.pick(&VALUES));
            let data = Data { number, audit: architecture.audit(), arguments };
            let found = run(&program, &data).0;
            assert_eq!(found, expected(&seccomp, &data), "round {round}: {data:x?} {seccomp:#?}");
        }
    }
}

#[test]
fn the_default_profile_answers_every_number_as_read_plainly() {
    for set in [capabilities::DEFAULT, CapabilitySet::up_to(40)] {
        let seccomp = docker(set);
        let program = program(&seccomp);
        for architecture in [Architecture::X86_64, Architecture::X86, Architecture::X32] {
            let mark = if architecture == Architecture::X32 { X32_BIT } else { 0 };
            for number in 0..480 {
                let first = [0, 8, 38, 39, 0x1000_0000, 0xffff_ffff][number as usize % 6];
                let arguments = [first, 0, 0, 0, 0, 0];
                let data = Data { number: number | mark, audit: architecture.audit(), arguments };
                assert_eq!(run(&program, &data).0, expected(&seccomp, &data), "{data:x?}");
            }
        }
    }
}

/// A filter is of one thread and what it starts: the other tests do not see it.
fn filtered<T: Send + 'static>(filter: Filter, act: impl FnOnce() -> T + Send + 'static) -> T {
    let confined = move || {
        rustix::thread::set_no_new_privs(true).unwrap();
        assert!(filter.install().unwrap().is_none());
        act()
    };
    std::thread::spawn(confined).join().unwrap()
}

#[test]
fn the_kernel_takes_the_default_filter_and_it_holds() {
    use rustix::net::{AddressFamily, SocketType, socket};
    let filter = Filter::compile(&docker(capabilities::DEFAULT)).unwrap();
    let (vsock, inet, mount) = filtered(filter, || {
        let family = |number| socket(AddressFamily::from_raw(number), SocketType::STREAM, None).map(drop);
        (family(40), family(2), rustix::mount::unmount("/nowhere", rustix::mount::UnmountFlags::empty()))
    });
    assert_eq!(vsock, Err(rustix::io::Errno::PERM));
    assert_eq!(inet, Ok(()));
    assert_eq!(mount, Err(rustix::io::Errno::PERM), "not ENOENT: the kernel never looked");
}

#[test]
fn a_child_of_the_filtered_is_filtered_and_lives() {
    let filter = Filter::compile(&docker(capabilities::DEFAULT)).unwrap();
    let output = filtered(filter, || {
        let script = "echo alive; unshare --user true 2>/dev/null && echo escaped; exit 0";
        Command::new("sh").args(["-c", script]).output().unwrap()
    });
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "alive\n");
}

#[test]
fn a_forbidden_call_ends_a_child_by_sigsys() {
    let kill = profile("SCMP_ACT_ALLOW", vec![rule("uname", "SCMP_ACT_KILL_PROCESS", &[])]);
    let filter = Filter::compile(&kill).unwrap();
    let status = filtered(filter, || Command::new("uname").status().unwrap());
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGSYS));
}
