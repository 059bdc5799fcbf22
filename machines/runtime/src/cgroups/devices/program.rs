//! A device policy as an eBPF program for version 2, where there are no files for it.
//!
//! The kernel runs the program (`BPF_PROG_TYPE_CGROUP_DEVICE`) with a pointer to
//! `struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor; }`, where `access_type` has
//! the kind below and the access above bit 16. It returns 1 to allow.

use super::{Access, Kind, Policy};

const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;

/// Registers: the result, the context, then what is taken from it.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const SCRATCH: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// Operation codes (`linux/bpf.h`), those of 32 bits.
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb4;
const MOVE_REGISTER: u8 = 0xbc;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const JUMP_IF_NOT: u8 = 0x55;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_IF_NOT_REGISTER: u8 = 0x5d;
const EXIT: u8 = 0x95;

/// One instruction: `code`, registers, `offset` of a jump or load, `value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    code: u8,
    destination: u8,
    source: u8,
    offset: i16,
    value: i32,
}

impl Instruction {
    /// As the kernel takes it (`struct bpf_insn`, little endian).
    #[must_use]
    pub fn encode(self) -> u64 {
        u64::from(self.code)
            | u64::from(self.destination | (self.source << 4)) << 8
            | u64::from(self.offset.cast_unsigned()) << 16
            | u64::from(self.value.cast_unsigned()) << 32
    }
}

/// The program of a policy.
#[must_use]
pub fn compile(policy: &Policy) -> Vec<Instruction> {
    let mut program = vec![
        load(KIND, 0),
        operation(AND, KIND, 0xffff),
        load(ACCESS, 0),
        operation(SHIFT_RIGHT, ACCESS, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    for (devices, access) in &policy.exceptions {
        let kind = if devices.kind == Kind::Block { BLOCK } else { CHARACTER };
        let mut block = vec![jump_if_not(KIND, kind)];
        block.extend(check_access(*access, policy.allowed_by_default));
        // The kernel compares with the value extended by its sign: a number above i32::MAX never
        // comes, since device numbers have 12 and 20 bits, and such a rule never holds.
        block.extend(devices.major.map(|major| jump_if_not(MAJOR, major.cast_signed())));
        block.extend(devices.minor.map(|minor| jump_if_not(MINOR, minor.cast_signed())));
        block.extend(answer(!policy.allowed_by_default));
        point_to_end(&mut block);
        program.extend(block);
    }
    program.extend(answer(policy.allowed_by_default));
    program
}

/// Goes on to the next exception unless this one is met: all of the access to be allowed, any of it
/// to be denied.
fn check_access(access: Access, denies: bool) -> Vec<Instruction> {
    if access == Access::ALL {
        return Vec::new();
    }
    let leave = if denies {
        Instruction { code: JUMP_IF_EQUAL, ..jump_if_not(SCRATCH, 0) }
    } else {
        Instruction { code: JUMP_IF_NOT_REGISTER, source: ACCESS, ..jump_if_not(SCRATCH, 0) }
    };
    let copy = Instruction { code: MOVE_REGISTER, destination: SCRATCH, source: ACCESS, offset: 0, value: 0 };
    vec![copy, operation(AND, SCRATCH, i32::from(access.bits())), leave]
}

fn load(register: u8, offset: i16) -> Instruction {
    Instruction { code: LOAD_WORD, destination: register, source: CONTEXT, offset, value: 0 }
}

fn operation(code: u8, register: u8, value: i32) -> Instruction {
    Instruction { code, destination: register, source: 0, offset: 0, value }
}

fn jump_if_not(register: u8, value: i32) -> Instruction {
    operation(JUMP_IF_NOT, register, value)
}

fn answer(allow: bool) -> [Instruction; 2] {
    [operation(MOVE, RESULT, i32::from(allow)), operation(EXIT, 0, 0)]
}

/// Lets every jump of a block lead behind it.
fn point_to_end(block: &mut [Instruction]) {
    let end = block.len();
    for (at, instruction) in block.iter_mut().enumerate() {
        if matches!(instruction.code, JUMP_IF_NOT | JUMP_IF_EQUAL | JUMP_IF_NOT_REGISTER) {
            // A block has ten instructions at most.
            instruction.offset = i16::try_from(end - at - 1).unwrap_or(i16::MAX);
        }
    }
}

/// Runs a program as the kernel would; for tests.
#[cfg(test)]
pub(super) fn run(program: &[Instruction], kind: Kind, major: u32, minor: u32, access: Access) -> bool {
    let kind = if kind == Kind::Block { BLOCK } else { CHARACTER };
    let context = [u32::from(access.bits()) << 16 | kind.cast_unsigned(), major, minor];
    let mut registers = [0u64; 11];
    let mut at = 0;
    loop {
        let Instruction { code, destination, source, offset, value } = program[at];
        let (to, from) = (usize::from(destination), registers[usize::from(source)]);
        let word = value.cast_unsigned();
        let extended = i64::from(value).cast_unsigned();
        let low = |register: u64| u32::try_from(register & 0xffff_ffff).unwrap();
        let mut jump = false;
        match code {
            LOAD_WORD => registers[to] = u64::from(context[usize::try_from(offset).unwrap() / 4]),
            MOVE => registers[to] = u64::from(word),
            MOVE_REGISTER => registers[to] = u64::from(low(from)),
            AND => registers[to] = u64::from(low(registers[to]) & word),
            SHIFT_RIGHT => registers[to] = u64::from(low(registers[to]) >> word),
            JUMP_IF_NOT => jump = registers[to] != extended,
            JUMP_IF_EQUAL => jump = registers[to] == extended,
            JUMP_IF_NOT_REGISTER => jump = registers[to] != from,
            EXIT => return registers[0] == 1,
            code => panic!("no such operation: {code:#x}"),
        }
        at += 1 + if jump { usize::try_from(offset).unwrap() } else { 0 };
    }
}
