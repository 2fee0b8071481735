//! Guesses that failed: which instruction guessed, and what is expected instead.

use std::collections::BTreeSet;

use stoop_codegen::unit::ExitDesc;
use stoop_cpython::capi::Obj;
use stoop_cpython::decode::{CodeInfo, Instr};
use stoop_cpython::feedback::Feedback;
use stoop_cpython::opcodes::Opcode;
use stoop_ir::{BinOp, Imm, Op};

use super::record::{CodeState, Record};
use super::registry::state;
use super::types::Site;
use crate::frontend::binary_op;

/// The instruction whose guess a guard is, its code as a region numbers it: one that was moved to a load, or out of a
/// loop, still speaks for the instruction that asked for it.
pub fn asked(e: &ExitDesc) -> (u32, u32) {
    match (e.op, e.imm) {
        (Op::GuardClass | Op::UnboxInt, Imm::Int(asked)) => ((asked >> 32) as u32, asked as u32),
        _ => e.asked.unwrap_or((e.code, e.unit)),
    }
}

/// The same by the code object.
pub fn guesser(record: &Record, e: &ExitDesc) -> (usize, u32) {
    let (number, unit) = asked(e);
    (if number == 0 { record.code } else { record.inlined[number as usize - 1].code.code } as usize, unit)
}

/// Does not guess that again: operators on numbers take all kinds of them next, unpacking lists and tuples, and after
/// that, or where something else was met, any object. So do other operators on the same variables.
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
        _ => numbers && !s.strange.contains(&unit) && s.mixed.insert(unit),
    };
    if !first {
        s.generic.insert(unit);
    }
    if numbers {
        let on_same = others_on_same(&info.instrs, k);
        if first { &mut s.mixed } else { &mut s.generic }.extend(on_same);
    }
}

/// Other operators on numbers that have a variable of this one as an operand.
fn others_on_same(instrs: &[Instr], k: usize) -> Vec<u32> {
    let operands = |k: usize| instrs[k.saturating_sub(2)..k].iter().filter(|i| is_load(i)).map(|i| i.arg);
    let slots: Vec<u32> = operands(k).collect();
    let others =
        instrs.iter().enumerate().filter(|(j, i)| *j != k && is_on_numbers(i) && operands(*j).any(|a| slots.contains(&a)));
    others.map(|(_, i)| i.unit).collect()
}

/// An operand of this operator, or what came of it, was an int that does not fit a register: operators on the same variables
/// expect that, and on what comes of such operators.
pub fn expect_wide(code: Obj, unit: u32, operand: bool) {
    let s = state(code);
    let Some((info, k)) = s.info.clone().and_then(|i| i.index_of(unit).map(|k| (i, k))) else { return };
    let before = info.instrs[k.saturating_sub(if operand { 2 } else { 0 })..k].iter();
    let mut wide: BTreeSet<u32> = before.filter(|i| is_load(i)).map(|i| i.arg).collect();
    loop {
        let known = wide.len();
        let units = on_wide(&info.instrs, &mut wide, (!operand).then_some(unit));
        if wide.len() == known {
            s.mixed.extend(units);
            return;
        }
    }
}

fn is_load(i: &Instr) -> bool {
    matches!(i.op, Opcode::LoadFast | Opcode::LoadFastCheck)
}

/// The operators that take wide ints, if these variables hold such, and if such come of that operator. Variables that get
/// such are added.
fn on_wide(instrs: &[Instr], wide: &mut BTreeSet<u32>, operator: Option<u32>) -> Vec<u32> {
    let mut units = Vec::new();
    // What is known of the operand stack's upper part: which items are wide.
    let mut stack: Vec<bool> = Vec::new();
    for i in instrs {
        if i.target.is_some() {
            stack.clear();
            continue;
        }
        match i.op {
            Opcode::LoadFast | Opcode::LoadFastCheck => stack.push(wide.contains(&i.arg)),
            Opcode::LoadConst => stack.push(false),
            Opcode::BinaryOp | Opcode::CompareOp => {
                let [right, left] = [stack.pop().unwrap_or(false), stack.pop().unwrap_or(false)];
                if (left || right) && is_on_numbers(i) {
                    units.push(i.unit);
                }
                let stays = i.op == Opcode::BinaryOp && stays_wide(binary_op(i).0, left, right);
                stack.push(stays || operator == Some(i.unit));
            }
            Opcode::Swap if i.arg as usize <= stack.len() && i.arg > 0 => {
                let top = stack.len() - 1;
                stack.swap(top, top + 1 - i.arg as usize);
            }
            Opcode::StoreFast => {
                if stack.pop().unwrap_or(false) {
                    wide.insert(i.arg);
                }
            }
            _ => stack.clear(),
        }
    }
    units
}

/// Whether what comes of an operator on wide ints is mostly wide.
fn stays_wide(op: BinOp, left: bool, right: bool) -> bool {
    match op {
        BinOp::Add | BinOp::Sub | BinOp::Mul | BinOp::Or | BinOp::Xor => left || right,
        BinOp::Shl | BinOp::Shr | BinOp::FloorDiv | BinOp::Pow => left && !right,
        BinOp::And | BinOp::Mod => right,
        BinOp::MatMul | BinOp::TrueDiv => false,
    }
}

/// How much is known of what code objects do: grows when anything new is.
pub fn news(codes: impl Iterator<Item = Obj>) -> usize {
    codes
        .map(|code| {
            let s = state(code);
            let sites: usize = s.sites.values().map(Site::news).sum();
            s.generic.len() + s.mixed.len() + s.noisy.len() + s.generic_locals.len() + sites
        })
        .sum()
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
