//! Remove checks: a safe point that follows nothing that could have run Python code is not needed.
//!
//! A forward dataflow: a block starts "clean" if every predecessor ends clean. What makes it dirty is an operation
//! that may run Python code, or a drop of something that may have a finaliser.

use stoop_ir::{Flags, Function, Inst, Mem, Op};

use crate::memory::Effects;
use crate::pipeline::PassContext;

/// Runs the pass.
pub fn run(f: &mut Function, ctx: &mut PassContext) {
    let n = remove(f);
    ctx.count("checks_removed", n);
}

/// Removes the checks; how many.
pub fn remove(f: &mut Function) -> usize {
    let effects = Effects::new(f);
    let dirties = |f: &Function, i: Inst| {
        let d = f.inst(i);
        match d.op {
            // What these let go is a number, a list or a tuple that the loop's owner still holds.
            Op::ListIterNext | Op::TupleIterNext => false,
            op => op.is(Flags::PY) || (op.info().flags.has(Flags::PINNED) && effects.writes(i) == Mem::ALL && !op.is(Flags::TERM)),
        }
    };
    let is_check = |op: Op| matches!(op, Op::Check | Op::CheckValid);
    let through = |f: &Function, b: usize, mut dirty: bool| {
        for &i in &f.blocks[b].insts {
            if is_check(f.inst(i).op) {
                dirty = false;
            } else {
                dirty |= dirties(f, i);
            }
        }
        dirty
    };
    let mut starts = vec![false; f.blocks.len()];
    loop {
        let mut changed = false;
        for b in 0..f.blocks.len() {
            if through(f, b, starts[b]) {
                for s in f.successors(stoop_ir::Block(b as u32)) {
                    changed |= !std::mem::replace(&mut starts[s.index()], true);
                }
            }
        }
        if !changed {
            break;
        }
    }
    let mut count = 0;
    for b in 0..f.blocks.len() {
        let mut dirty = starts[b];
        let insts = std::mem::take(&mut f.blocks[b].insts);
        let mut kept = Vec::with_capacity(insts.len());
        for i in insts {
            if is_check(f.inst(i).op) {
                if !std::mem::replace(&mut dirty, false) {
                    count += 1;
                    continue;
                }
            } else {
                dirty |= dirties(f, i);
            }
            kept.push(i);
        }
        f.blocks[b].insts = kept;
    }
    count
}
