//! Guesses that failed: which instruction guessed, and what is expected instead.

use stoop_codegen::unit::ExitDesc;
use stoop_cpython::capi::Obj;
use stoop_cpython::decode::{CodeInfo, Instr};
use stoop_cpython::feedback::Feedback;
use stoop_cpython::opcodes::Opcode;
use stoop_ir::{Imm, Op};

use super::record::{CodeState, Record};
use super::registry::state;

/// Compilations anew after which a variable that held an int too wide for a register is expected to hold such everywhere.
pub const WIDE_ENOUGH: u32 = 3;

/// The instruction whose guess a guard is: one that was moved to a load still speaks for the operator that asked for it.
///
/// # Safety
/// A live region and one of its exits.
pub unsafe fn guesser(record: *mut Record, e: &ExitDesc) -> (usize, u32) {
    // SAFETY: the caller's region.
    let (code, inlined) = unsafe { ((*record).code, &(*record).inlined) };
    let (number, unit) = match (e.op, e.imm) {
        (Op::GuardClass | Op::UnboxInt, Imm::Int(asked)) => ((asked >> 32) as u32, asked as u32),
        _ => (e.code, e.unit),
    };
    (if number == 0 { code } else { inlined[number as usize - 1].code.code } as usize, unit)
}

/// Does not guess that again: operators on numbers take all kinds of them next, unpacking lists and tuples, and after
/// that any object.
pub fn forget(code: Obj, unit: u32) {
    let s = state(code);
    let Some((info, k)) = s.info.clone().and_then(|i| i.index_of(unit).map(|k| (i, k))) else { return };
    let i = &info.instrs[k];
    let numbers = is_on_numbers(i);
    let first = match i.op {
        Opcode::UnpackSequence => {
            let first = s.mixed.insert(unit);
            if let Some(from) = info.instrs[..k].last().filter(|l| l.op == Opcode::LoadFast) {
                expect_lists_and_tuples(s, &info, from.arg);
            }
            first
        }
        // What a generator yields, taken for ints at first.
        Opcode::YieldValue => s.mixed.insert(unit),
        _ => numbers && s.mixed.insert(unit),
    };
    if !first {
        s.generic.insert(unit);
    }
}

/// A variable held an int that does not fit a register, as the operand of this operator: other operators on it expect that.
pub fn expect_wide(code: Obj, unit: u32) {
    let s = state(code);
    let Some((info, k)) = s.info.clone().and_then(|i| i.index_of(unit).map(|k| (i, k))) else { return };
    let operands = |k: usize| {
        let before = info.instrs[k.saturating_sub(2)..k].iter();
        before.filter(|i| i.op == Opcode::LoadFast).map(|i| i.arg)
    };
    let slots: Vec<u32> = operands(k).collect();
    let on_them = info.instrs.iter().enumerate().filter(|(k, i)| is_on_numbers(i) && operands(*k).any(|a| slots.contains(&a)));
    s.mixed.extend(on_them.map(|(_, i)| i.unit));
}

/// Whether an instruction is an operator that has seen nothing but numbers.
fn is_on_numbers(i: &Instr) -> bool {
    matches!(i.op, Opcode::BinaryOp | Opcode::CompareOp) && matches!(i.feedback, Feedback::None | Feedback::Int | Feedback::Float)
}

/// A variable held a list and a tuple: what is unpacked from it elsewhere may be either.
pub fn expect_lists_and_tuples(s: &mut CodeState, info: &CodeInfo, slot: u32) {
    let unpacks =
        info.instrs.windows(2).filter(|w| w[0].op == Opcode::LoadFast && w[0].arg == slot && w[1].op == Opcode::UnpackSequence);
    s.mixed.extend(unpacks.map(|w| w[1].unit));
}
