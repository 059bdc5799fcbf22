//! The program: classic BPF over `struct seccomp_data { int nr; u32 arch; u64 ip; u64 args[6]; }`.
//!
//! ```text
//! load arch → native? other? … else kill
//! load number → binary search over ranges of numbers that have the same outcome
//!             → return, or compare arguments and return
//! ```
//! Jumps lead forward only, and conditional ones at most 255 instructions far. So the program is made
//! from its end: what is jumped to is there already and its distance known, and where it is too far a
//! nearer copy is put.

use dhow_model::error::{Error, Result};

use super::action::Action;
use super::architecture::{Architecture, X32_BIT};
use super::rules::{Alternative, Calls, Comparison, Condition, Decision, Policy};

/// BPF_MAXINSNS.
const LONGEST: usize = 4096;

/// `linux/bpf_common.h`.
const LOAD_WORD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Offsets in `seccomp_data`; both architectures that we are built for are little endian.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// One instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// The operation.
    pub code: u16,
    /// How many are passed over if the condition holds.
    pub if_true: u8,
    /// And if not.
    pub if_false: u8,
    /// The operand.
    pub value: u32,
}

impl Instruction {
    /// As `struct sock_filter` lies in memory.
    #[must_use]
    pub fn encode(self) -> u64 {
        u64::from(self.code)
            | u64::from(self.if_true) << 16
            | u64::from(self.if_false) << 24
            | u64::from(self.value) << 32
    }
}

/// The program of a policy.
///
/// # Errors
/// When it is longer than the kernel takes.
pub fn compile(policy: &Policy) -> Result<Vec<Instruction>> {
    let mut assembler = Assembler::default();
    let mut sections = Vec::new();
    for calls in policy.architectures.iter().filter(|calls| calls.architecture != Architecture::X32) {
        let start = if calls.architecture == Architecture::X86_64 {
            let x32 = policy.architectures.iter().find(|other| other.architecture == Architecture::X32);
            assembler.section_x86_64(calls, x32, policy.default)
        } else {
            assembler.search(&ranges(calls, 0, policy.default), policy.default)
        };
        assembler.fall_to(start);
        let start = assembler.push(LOAD_WORD, NUMBER);
        sections.push((calls.architecture.audit(), start));
    }
    let mut next = assembler.give(Action::KILL_PROCESS);
    for (audit, start) in sections.into_iter().rev() {
        next = assembler.branch(JUMP_EQUAL, audit, start, next);
    }
    assembler.push(LOAD_WORD, ARCHITECTURE);
    assembler.finish()
}

/// Numbers from here to the next range have one outcome.
type Range<'a> = (u32, Outcome<'a>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome<'a> {
    Give(Action),
    Check(&'a [Alternative]),
}

/// The line of all numbers from `first` on, cut where the outcome changes.
fn ranges(calls: &Calls, first: u32, default: Action) -> Vec<Range<'_>> {
    let mut line = Line { ranges: Vec::with_capacity(256) };
    line.cut(first, Outcome::Give(default));
    for (number, decision) in &calls.decisions {
        if *number < first {
            continue;
        }
        let outcome = match decision {
            Decision::Always(action) => Outcome::Give(*action),
            Decision::First(alternatives) => Outcome::Check(alternatives),
        };
        line.cut(*number, outcome);
        line.cut(number.saturating_add(1), Outcome::Give(default));
    }
    if let Some(newest) = calls.newest {
        line.cut(newest.saturating_add(1), Outcome::Give(Action::errno(ENOSYS)));
    }
    line.ranges
}

struct Line<'a> {
    ranges: Vec<Range<'a>>,
}

impl<'a> Line<'a> {
    /// From `number` on, the outcome is another one; numbers come in ascending order.
    fn cut(&mut self, number: u32, outcome: Outcome<'a>) {
        if self.ranges.last().is_some_and(|(last, _)| *last == number) {
            self.ranges.pop();
        }
        if self.ranges.last().is_none_or(|(_, last)| *last != outcome) {
            self.ranges.push((number, outcome));
        }
    }
}

/// x32 has numbers of its own from here on; below it has those of x86_64.
const X32_OWN: u32 = 512;

const ENOSYS: u16 = 38;

/// An instruction that is there already, counted from the program's end.
type Label = usize;

#[derive(Default)]
struct Assembler {
    /// From the last to the first.
    reversed: Vec<Instruction>,
    /// The nearest return of each action.
    returns: Vec<(Action, Label)>,
}

impl Assembler {
    fn push(&mut self, code: u16, value: u32) -> Label {
        self.put(Instruction { code, if_true: 0, if_false: 0, value })
    }

    fn put(&mut self, instruction: Instruction) -> Label {
        self.reversed.push(instruction);
        self.reversed.len() - 1
    }

    /// How many instructions the next one would have to pass over to get there.
    fn distance(&self, to: Label) -> usize {
        self.reversed.len() - to - 1
    }

    fn is_near(&self, to: Label) -> bool {
        // A branch may put two more between.
        self.distance(to) <= 253
    }

    /// A return of the action that is near.
    fn give(&mut self, action: Action) -> Label {
        let known = self.returns.iter().position(|(each, _)| *each == action);
        if let Some(at) = known.filter(|at| self.is_near(self.returns[*at].1)) {
            return self.returns[at].1;
        }
        let label = self.push(RETURN, action.value());
        match known {
            Some(at) => self.returns[at].1 = label,
            None => self.returns.push((action, label)),
        }
        label
    }

    /// A near place that does the same.
    fn near(&mut self, to: Label) -> Label {
        if self.is_near(to) {
            return to;
        }
        let target = self.reversed[to];
        if target.code == RETURN {
            return self.put(target);
        }
        let distance = u32::try_from(self.distance(to)).unwrap_or(u32::MAX);
        self.push(JUMP, distance)
    }

    /// The next instruction is followed by this one.
    fn fall_to(&mut self, label: Label) {
        let distance = u32::try_from(self.distance(label)).unwrap_or(u32::MAX);
        if distance > 0 {
            self.push(JUMP, distance);
        }
    }

    fn branch(&mut self, code: u16, value: u32, if_true: Label, if_false: Label) -> Label {
        if if_true == if_false {
            return if_true;
        }
        let if_true = self.near(if_true);
        let if_false = self.near(if_false);
        // Both are near, which is less than 255.
        let short = |distance: usize| u8::try_from(distance).unwrap_or(u8::MAX);
        let (if_true, if_false) = (short(self.distance(if_true)), short(self.distance(if_false)));
        self.put(Instruction { code, if_true, if_false, value })
    }

    /// x86_64 and x32 have one AUDIT_ARCH; the mark in the number tells them apart.
    ///
    /// Below 512 x32 is answered as x86_64: the same names have the same numbers there, and what x32
    /// has not is refused by the kernel itself. That saves a third of the program and of the time to
    /// install it.
    fn section_x86_64(&mut self, calls: &Calls, x32: Option<&Calls>, default: Action) -> Label {
        let search = self.search(&ranges(calls, 0, default), default);
        let marked = match x32 {
            Some(x32) => {
                let own = self.search(&ranges(x32, X32_BIT | X32_OWN, default), default);
                self.fall_to(search);
                let shared = self.push(AND, !X32_BIT);
                self.branch(JUMP_GREATER_OR_EQUAL, X32_BIT | X32_OWN, own, shared)
            }
            None => {
                // An architecture that was not named; -1 is that of a call a tracer has cancelled.
                let (kill, cancelled) = (self.give(Action::KILL_PROCESS), self.give(default));
                self.branch(JUMP_EQUAL, u32::MAX, cancelled, kill)
            }
        };
        self.branch(JUMP_GREATER_OR_EQUAL, X32_BIT, marked, search)
    }

    /// Binary search; the number has been loaded.
    fn search(&mut self, ranges: &[Range<'_>], default: Action) -> Label {
        if let [(_, outcome)] = ranges {
            return match outcome {
                Outcome::Give(action) => self.give(*action),
                Outcome::Check(alternatives) => self.check(alternatives, default),
            };
        }
        let (below, above) = ranges.split_at(ranges.len() / 2);
        let first_above = above[0].0;
        let above = self.search(above, default);
        let below = self.search(below, default);
        self.branch(JUMP_GREATER_OR_EQUAL, first_above, above, below)
    }

    /// The first alternative that holds, or the default.
    fn check(&mut self, alternatives: &[Alternative], default: Action) -> Label {
        let mut otherwise = self.give(default);
        for alternative in alternatives.iter().rev() {
            let mut next = self.give(alternative.action);
            for condition in alternative.conditions.iter().rev() {
                next = self.compare(*condition, next, otherwise);
            }
            otherwise = next;
        }
        otherwise
    }

    /// Compares 64 bits in two halves, the higher one first.
    fn compare(&mut self, condition: Condition, yes: Label, no: Label) -> Label {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, MaskedEqual, NotEqual};
        if yes == no {
            return yes;
        }
        let (argument, value) = (condition.argument, condition.value);
        match condition.comparison {
            Equal => self.masked_equal(argument, u64::MAX, value, yes, no),
            NotEqual => self.masked_equal(argument, u64::MAX, value, no, yes),
            MaskedEqual(mask) => self.masked_equal(argument, mask, value, yes, no),
            Greater => self.order(JUMP_GREATER, argument, value, yes, no),
            GreaterOrEqual => self.order(JUMP_GREATER_OR_EQUAL, argument, value, yes, no),
            LessOrEqual => self.order(JUMP_GREATER, argument, value, no, yes),
            Less => self.order(JUMP_GREATER_OR_EQUAL, argument, value, no, yes),
        }
    }

    fn order(&mut self, code: u16, argument: u8, value: u64, yes: Label, no: Label) -> Label {
        let (high, low) = halves(value);
        self.branch(code, low, yes, no);
        let same_high = self.push(LOAD_WORD, offset(argument));
        let not_greater = self.branch(JUMP_EQUAL, high, same_high, no);
        self.branch(JUMP_GREATER, high, yes, not_greater);
        self.push(LOAD_WORD, offset(argument) + 4)
    }

    fn masked_equal(&mut self, argument: u8, mask: u64, value: u64, yes: Label, no: Label) -> Label {
        let (low_mask, low) = (halves(mask).1, halves(value).1);
        let (high_mask, high) = (halves(mask).0, halves(value).0);
        let low = self.half_equal(offset(argument), low_mask, low, yes, no);
        self.half_equal(offset(argument) + 4, high_mask, high, low, no)
    }

    fn half_equal(&mut self, offset: u32, mask: u32, value: u32, yes: Label, no: Label) -> Label {
        if mask == 0 {
            return if value == 0 { yes } else { no };
        }
        if yes == no {
            return yes;
        }
        self.branch(JUMP_EQUAL, value, yes, no);
        if mask != u32::MAX {
            self.push(AND, mask);
        }
        self.push(LOAD_WORD, offset)
    }

    fn finish(mut self) -> Result<Vec<Instruction>> {
        if self.reversed.len() > LONGEST {
            let length = self.reversed.len();
            return Err(Error::invalid(format!(
                "seccomp: a filter of {length} instructions is above {LONGEST}"
            )));
        }
        self.reversed.reverse();
        Ok(self.reversed)
    }
}

/// Where the lower half of an argument is.
fn offset(argument: u8) -> u32 {
    ARGUMENTS + 8 * u32::from(argument)
}

#[allow(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
const fn halves(value: u64) -> (u32, u32) {
    ((value >> 32) as u32, value as u32)
}
