//! Reuse boxes: a fresh number box that replaces an item, attribute or member is stored by value.
//!
//! `old = list.swap l, i, box.float(x); incref …; decref old` becomes `list.setfloat l, i, x`: at run time the
//! former item, if it is a float that nobody else holds, is overwritten in place; else a box is made. The same for
//! ints and for inline attribute values. Sound because a box with one reference is visible to its holder only, and
//! every unboxing before the store has already taken its value out.

use stoop_ir::{Function, Imm, Inst, Op, Type, Value};

/// Runs the pass; returns the number of stores changed.
pub fn run(f: &mut Function) -> usize {
    let uses = crate::sink_boxes::count_uses(f);
    let mut count = 0;
    for b in 0..f.blocks.len() {
        let mut insts = f.blocks[b].insts.clone();
        let mut k = 0;
        while k < insts.len() {
            if let Some((op, new, inc, dec)) = candidate(f, &insts, k, &uses) {
                let d = f.inst(insts[k]).clone();
                let mut args = d.args.clone();
                *args.last_mut().expect("a stored value") = new;
                let (i, _) = f.make_inst(op, &args, d.imm, Type::Void, d.state);
                insts[k] = i;
                // Later first, so that positions stay right.
                let (first, second) = if inc > dec { (inc, dec) } else { (dec, inc) };
                insts.remove(first);
                insts.remove(second);
                count += 1;
            }
            k += 1;
        }
        f.blocks[b].insts = insts;
    }
    count
}

/// The replacement for the swap at `k`: operation, unboxed value, positions of the incref and of the drop.
fn candidate(f: &Function, insts: &[Inst], k: usize, uses: &[u32]) -> Option<(Op, Value, usize, usize)> {
    let d = f.inst(insts[k]);
    let (float, int) = match d.op {
        Op::ListSwap => (Op::ListSetFloat, Op::ListSetInt),
        Op::SwapField => (Op::SetFieldFloat, Op::SetFieldInt),
        Op::SwapSlot => (Op::SetSlotFloat, Op::SetSlotInt),
        _ => return None,
    };
    let stored = *d.args.last()?;
    let x = crate::unbox_params::unboxed_operand(f, stored)?;
    let op = match f.ty(x) {
        Type::F64 => float,
        Type::I64 => int,
        _ => return None,
    };
    let old = d.result?;
    if uses[old.index()] != 1 {
        return None;
    }
    let near =
        |op: Op, v: Value| (k + 1..insts.len().min(k + 4)).find(|j| f.inst(insts[*j]).op == op && f.inst(insts[*j]).args[0] == v);
    debug_assert!(matches!(d.imm, Imm::None | Imm::Index(_) | Imm::Int(_)));
    Some((op, x, near(Op::IncRef, stored)?, near(Op::DecRef, old)?))
}
