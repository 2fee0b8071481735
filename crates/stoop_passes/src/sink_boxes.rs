//! Sink boxes: a number box that nobody looks at is never made.
//!
//! A box whose only uses are reference counts, frame states, and stores to local slots whose former value dies
//! silently is removed: the local becomes dirty (its slot is written when somebody may look, or at an exit), frame
//! states take the unboxed value. Sound because exits and safe points box what a frame state names unboxed, and the
//! stale slot content it leaves behind can have no finaliser.

use stoop_ir::{Function, Op, Value};

/// Runs the pass; returns the number of boxes removed.
pub fn run(f: &mut Function) -> usize {
    let n = f.values.len();
    let mut needed = vec![false; n];
    for b in &f.blocks {
        for &i in &b.insts {
            let d = f.inst(i);
            match d.op {
                Op::IncRef | Op::DecRef => {}
                Op::StoreLocal => {
                    if !f.ty(d.args[1]).drop_is_silent() {
                        needed[d.args[0].index()] = true;
                    }
                }
                _ => {
                    for a in &d.args {
                        needed[a.index()] = true;
                    }
                }
            }
            for t in &d.targets {
                for a in &t.args {
                    needed[a.index()] = true;
                }
            }
        }
    }
    let mut replace: Vec<Option<Value>> = vec![None; n];
    let mut count = 0;
    for b in &f.blocks {
        for &i in &b.insts {
            let d = f.inst(i);
            if let (Op::BoxInt | Op::BoxFloat | Op::BoxBool, Some(r)) = (d.op, d.result)
                && !needed[r.index()]
            {
                replace[r.index()] = Some(d.args[0]);
                count += 1;
            }
        }
    }
    if count == 0 {
        return 0;
    }
    for b in 0..f.blocks.len() {
        let mut insts = std::mem::take(&mut f.blocks[b].insts);
        insts.retain(|i| {
            let d = f.inst(*i);
            let gone = |v: Value| replace[v.index()].is_some();
            match d.op {
                Op::BoxInt | Op::BoxFloat | Op::BoxBool => !d.result.is_some_and(gone),
                Op::IncRef | Op::DecRef | Op::StoreLocal => !gone(d.args[0]),
                _ => true,
            }
        });
        f.blocks[b].insts = insts;
    }
    f.replace_uses(&replace);
    count
}

/// How often each value is used by instructions and branches (frame states do not count).
pub(crate) fn count_uses(f: &Function) -> Vec<u32> {
    let mut uses = vec![0; f.values.len()];
    for b in &f.blocks {
        for &i in &b.insts {
            let d = f.inst(i);
            for a in d.args.iter().chain(d.targets.iter().flat_map(|t| &t.args)) {
                uses[a.index()] += 1;
            }
        }
    }
    uses
}
