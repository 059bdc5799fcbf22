//! Docker's default profile, as a table of names and conditions.
//!
//! The same system calls are allowed as by the profile of Docker 29 (moby/profiles, 2026), on the
//! architectures that Dhow is built for. One rule is written otherwise: sockets of AF_ALG and AF_VSOCK
//! are denied by the lower 32 bits of the argument. A comparison of all 64, as Docker's, can be passed
//! by setting a higher bit, which the kernel does not look at.

use super::{Circumstances, docker_architecture, native_architecture};
use crate::runtime::{Seccomp, SeccompArgument, SeccompRule};

const ALLOW: &str = "SCMP_ACT_ALLOW";
const ERRNO: &str = "SCMP_ACT_ERRNO";
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Every namespace that clone(2) can make: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// PER_LINUX, PER_LINUX32, both with UNAME26, and the question what it is.
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Address families from 0 to 63 but 38 (AF_ALG) and 40 (AF_VSOCK), as `(ignored bits, value)`. The
/// kernel has 46 and refuses others by itself.
const FAMILIES: [(u64, u64); 8] = [(31, 0), (3, 32), (1, 36), (0, 39), (0, 41), (1, 42), (3, 44), (15, 48)];

/// Allowed everywhere.
const ALWAYS: &str = "\
    accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 \
    clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 \
    clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 \
    dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait \
    epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 \
    fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat \
    fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 \
    fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 \
    futex_wait futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 \
    geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp \
    getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit \
    get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid \
    getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch \
    io_cancel ioctl io_destroy io_getevents io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set \
    io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self \
    lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek \
    lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create \
    memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect \
    mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend \
    mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall \
    munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open \
    pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl \
    pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev \
    pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg \
    remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe \
    rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend \
    rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr \
    sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler \
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam \
    sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 \
    send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid \
    setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid \
    setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid setsockopt \
    set_thread_area set_tid_address setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget \
    shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat \
    stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee \
    tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime \
    timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 \
    times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat \
    utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev";

/// Allowed since a tracer cannot change a call after the filter has seen it (4.8).
const SINCE_4_8: &str = "process_vm_readv process_vm_writev ptrace";

/// Allowed on some architectures.
const BY_ARCHITECTURE: [(&[&str], &str); 3] = [
    (
        &["arm", "arm64"],
        "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
    ),
    (&["amd64", "x32"], "arch_prctl"),
    (&["amd64", "x32", "x86"], "modify_ldt"),
];

/// Allowed with a capability.
const BY_CAPABILITY: [(&str, &str); 14] = [
    ("DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr \
         lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl \
         quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
    ),
    ("SYS_BOOT", "reboot"),
    ("SYS_CHROOT", "chroot"),
    ("SYS_MODULE", "delete_module init_module finit_module"),
    ("SYS_PACCT", "acct"),
    ("SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    ("SYS_RAWIO", "iopl ioperm"),
    ("SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
    ("SYS_TTY_CONFIG", "vhangup"),
    ("SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("SYSLOG", "syslog"),
    ("BPF", "bpf"),
    ("PERFMON", "perf_event_open"),
];

/// Architectures with those whose programs run there too.
const ARCHITECTURES: [(&str, &[&str]); 2] =
    [("SCMP_ARCH_X86_64", &["SCMP_ARCH_X86", "SCMP_ARCH_X32"]), ("SCMP_ARCH_AARCH64", &["SCMP_ARCH_ARM"])];

/// The profile as it holds in some circumstances.
pub(super) fn build(circumstances: Circumstances) -> Seccomp {
    let Circumstances { capabilities, architecture, kernel } = circumstances;
    let docker = docker_architecture(architecture);
    let mut rules = vec![allow(ALWAYS)];
    if kernel >= (4, 8) {
        rules.push(allow(SINCE_4_8));
    }
    rules.extend(FAMILIES.map(|(ignored, family)| {
        let mask = u64::from(u32::MAX) & !ignored;
        allow_if("socket", "SCMP_CMP_MASKED_EQ", mask, family)
    }));
    rules.extend(PERSONALITIES.map(|value| allow_if("personality", "SCMP_CMP_EQ", value, 0)));
    let here = BY_ARCHITECTURE.iter().filter(|(architectures, _)| architectures.contains(&docker));
    rules.extend(here.map(|(_, names)| allow(names)));
    let given = BY_CAPABILITY.iter().filter(|(capability, _)| capabilities.contains(capability));
    rules.extend(given.map(|(_, names)| allow(names)));
    if !capabilities.contains("SYS_ADMIN") {
        rules.push(allow_if("clone", "SCMP_CMP_MASKED_EQ", NEW_NAMESPACES, 0));
        // Its flags are in memory, where no filter can look: programs then use clone(2).
        rules.push(rule("clone3", ERRNO, Some(ENOSYS), Vec::new()));
    }
    Seccomp {
        default_action: ERRNO.to_owned(),
        default_errno_ret: Some(EPERM),
        architectures: family(native_architecture(architecture)),
        syscalls: rules,
        ..Seccomp::default()
    }
}

fn family(native: &str) -> Vec<String> {
    let known = ARCHITECTURES.iter().find(|(name, _)| *name == native);
    let all = known.into_iter().flat_map(|(name, others)| std::iter::once(name).chain(*others));
    all.map(|name| (*name).to_owned()).collect()
}

fn allow(names: &str) -> SeccompRule {
    rule(names, ALLOW, None, Vec::new())
}

fn allow_if(name: &str, op: &str, value: u64, value_two: u64) -> SeccompRule {
    let argument = SeccompArgument { index: 0, value, value_two, op: op.to_owned() };
    rule(name, ALLOW, None, vec![argument])
}

fn rule(names: &str, action: &str, errno_ret: Option<u32>, args: Vec<SeccompArgument>) -> SeccompRule {
    let names = names.split_whitespace().map(str::to_owned).collect();
    SeccompRule { names, action: action.to_owned(), errno_ret, args }
}
