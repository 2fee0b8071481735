//! Remove checks: a safe point that follows nothing that could have run Python code is not needed.
//!
//! A forward dataflow: a block starts "clean" if every predecessor ends clean. What makes it dirty is an operation
//! that may run Python code, or a drop of something that may have a finaliser.
//!
//! A `check.valid` that only the instruction right before it makes necessary says so (`check.valid 1`): it can then be
//! made where a finaliser has run, which is hardly ever.

use stoop_ir::{Flags, Function, Hint, Imm, Inst, Mem, Op};

use crate::memory::Effects;
use crate::pipeline::PassContext;

/// Runs the pass.
pub fn run(f: &mut Function, ctx: &mut PassContext) {
    let n = remove(f);
    ctx.count("checks_removed", n);
}

/// Nothing has run since the last safe point; a drop may have run a finaliser; anything may have run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Since {
    Nothing,
    Drop,
    Python,
}

/// Removes the checks; how many.
pub fn remove(f: &mut Function) -> usize {
    let effects = Effects::new(f);
    let mut starts = vec![Since::Nothing; f.blocks.len()];
    loop {
        let mut changed = false;
        for (b, data) in f.blocks.iter().enumerate() {
            let mut since = starts[b];
            for &i in &data.insts {
                step(f, &effects, i, &mut since);
            }
            for s in f.successors(stoop_ir::Block(b as u32)) {
                if starts[s.index()] < since {
                    starts[s.index()] = since;
                    changed = true;
                }
            }
        }
        if !changed {
            break;
        }
    }
    let mut count = 0;
    for (b, start) in starts.into_iter().enumerate() {
        let mut since = start;
        let insts = std::mem::take(&mut f.blocks[b].insts);
        let mut kept: Vec<Inst> = Vec::with_capacity(insts.len());
        let mut before_last = since;
        for i in insts {
            let before = since;
            let stays = |k: &Inst| f.inst(*k).hint == Hint::Leave && f.inst(*k).op != Op::CheckValid;
            if f.inst(i).op == Op::CheckValid && f.inst(i).hint == Hint::Leave && kept.last().is_some_and(stays) {
                kept.push(i);
                continue;
            }
            if step(f, &effects, i, &mut since) {
                if f.inst(i).op == Op::CheckValid {
                    let rare = before_last == Since::Nothing && kept.last().is_some_and(|k| drops_rarely(f.inst(*k).op));
                    f.inst_mut(i).imm = if rare { Imm::Int(1) } else { Imm::None };
                }
                kept.push(i);
            } else {
                count += 1;
            }
            before_last = before;
        }
        f.blocks[b].insts = kept;
    }
    count
}

/// Operations that run a finaliser, or anything else, in a cold block of theirs alone.
fn drops_rarely(op: Op) -> bool {
    matches!(op, Op::DecRef | Op::StoreLocal | Op::Poll)
}

/// Follows an instruction; whether it is needed.
fn step(f: &Function, effects: &Effects, i: Inst, since: &mut Since) -> bool {
    let d = f.inst(i);
    match d.op {
        Op::Check | Op::CheckHandling => return std::mem::replace(since, Since::Nothing) != Since::Nothing,
        Op::CheckValid => {
            let needed = *since != Since::Nothing;
            if *since == Since::Drop {
                *since = Since::Nothing;
            }
            return needed;
        }
        // Another thread may have had the GIL; tools are asked about by the operation itself.
        Op::Poll => *since = if *since < Since::Drop { Since::Drop } else { *since },
        // What these let go is a list or a tuple that the loop's owner still holds.
        Op::ListIterNext | Op::TupleIterNext => {}
        // What this was done for is asked by the check after it.
        Op::ForgetFrame => *since = Since::Python,
        op if op.is(Flags::PY) => *since = Since::Python,
        op => {
            let noisy = op.is(Flags::PINNED) && !op.is(Flags::TERM) && effects.writes(i) == Mem::ALL;
            if noisy && *since == Since::Nothing {
                *since = Since::Drop;
            }
        }
    }
    true
}
