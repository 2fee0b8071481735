//! Sink boxes: a number box that nobody looks at is never made.
//!
//! A box whose only uses are reference counts, frame states, and stores to local slots whose former value dies
//! silently is removed: the local becomes dirty (its slot is written when somebody may look, or at an exit), frame
//! states take the unboxed value. The same goes for a number loaded from a container and guarded and unboxed at once
//! (see `guard_early`): its references are not taken, its unboxed value stands for it. Sound because exits and safe points box what a frame state names unboxed, and the
//! stale slot content it leaves behind can have no finaliser.

use stoop_ir::{Function, Inst, Op, Value};

/// Runs the pass; returns the number of boxes removed.
pub fn run(f: &mut Function) -> usize {
    let n = f.values.len();
    let mut needed = vec![false; n];
    let guarded = guarded_loads(f);
    let mut is_guard = vec![false; n];
    guarded.iter().for_each(|(g, _)| is_guard[g.index()] = true);
    for b in &f.blocks {
        for &i in &b.insts {
            let d = f.inst(i);
            match d.op {
                // Exits box a tuple's items as those of frame states.
                Op::IncRef | Op::DecRef | Op::VirtualObject | Op::VirtualTuple => {}
                Op::UnboxInt | Op::UnboxFloat if is_guard[d.args[0].index()] => {}
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
    for (guard, unboxed) in guarded {
        if !needed[guard.index()] {
            replace[guard.index()] = Some(unboxed);
            count += 1;
        }
    }
    let guards = replace.clone();
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
    // The unboxing beside the guard stays and takes the reference; others, later, must not look at it any more.
    let mut kept: Vec<(Inst, Value)> = Vec::new();
    for b in 0..f.blocks.len() {
        let insts = std::mem::take(&mut f.blocks[b].insts);
        let mut out = Vec::with_capacity(insts.len());
        for i in insts {
            let d = f.inst(i);
            if is_unboxing(d.op)
                && let (Some(unboxed), Some(r)) = (guards[d.args[0].index()], d.result)
            {
                if r == unboxed {
                    kept.push((i, d.args[0]));
                } else {
                    replace[r.index()] = Some(unboxed);
                    continue;
                }
            }
            out.push(i);
        }
        f.blocks[b].insts = out;
    }
    f.replace_uses(&replace);
    for (i, guard) in kept {
        f.inst_mut(i).args[0] = guard;
    }
    count
}

fn is_unboxing(op: Op) -> bool {
    matches!(op, Op::UnboxInt | Op::UnboxFloat)
}

/// Guards of loaded numbers that are unboxed right after, with the unboxed value.
///
/// Only where the guard is all that knows the loaded reference: counts and frame states that go by its other name
/// would be left behind.
fn guarded_loads(f: &Function) -> Vec<(Value, Value)> {
    let mut uses = count_uses(f);
    for s in f.states.iter() {
        s.locals.iter().flatten().copied().chain(s.stack.iter().map(|e| e.value)).for_each(|v| uses[v.index()] += 1);
    }
    let mut out = Vec::new();
    for b in &f.blocks {
        for w in b.insts.windows(2) {
            let (g, u) = (f.inst(w[0]), f.inst(w[1]));
            if g.op == Op::GuardClass
                && is_unboxing(u.op)
                && Some(u.args[0]) == g.result
                && uses[g.args[0].index()] == 1
                && f.def_inst(g.args[0]).is_some_and(|l| matches!(f.inst(l).op, Op::ListItem | Op::TupleItem))
                && let (Some(guard), Some(unboxed)) = (g.result, u.result)
            {
                out.push((guard, unboxed));
            }
        }
    }
    out
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
