//! Runs a program as the kernel would, for tests; what the kernel would refuse is a panic.

use super::program::Instruction;

/// `struct seccomp_data` without the instruction pointer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Data {
    pub(super) number: u32,
    pub(super) audit: u32,
    pub(super) arguments: [u64; 6],
}

impl Data {
    fn word(&self, offset: u32) -> u32 {
        let half =
            |value: u64, high: bool| u32::try_from(if high { value >> 32 } else { value & 0xffff_ffff });
        match offset {
            0 => self.number,
            4 => self.audit,
            16..64 if offset.is_multiple_of(4) => {
                let argument = self.arguments[(offset as usize - 16) / 8];
                half(argument, offset % 8 == 4).unwrap()
            }
            offset => panic!("load from {offset}"),
        }
    }
}

/// What the program returns, and after how many steps.
pub(super) fn run(program: &[Instruction], data: &Data) -> (u32, usize) {
    let (mut at, mut accumulator, mut steps) = (0, 0, 0);
    loop {
        let Instruction { code, if_true, if_false, value } = program[at];
        steps += 1;
        let branch = |holds: bool| 1 + usize::from(if holds { if_true } else { if_false });
        at += match code {
            0x20 => {
                accumulator = data.word(value);
                1
            }
            0x54 => {
                accumulator &= value;
                1
            }
            0x05 => 1 + value as usize,
            0x15 => branch(accumulator == value),
            0x25 => branch(accumulator > value),
            0x35 => branch(accumulator >= value),
            0x06 => return (value, steps),
            code => panic!("no such operation: {code:#x}"),
        };
    }
}
