//! Initialise fresh: the first store to each attribute of a fresh instance asks nothing.
//!
//! From `object.new` on, until the instance may be known to anybody else, its inline values and members are unset but
//! for what this code has stored. A store to one that is unset need not look at what was there, nor drop it. Works
//! within a block. Sound because only the code in between has the instance: an operation that runs Python code, or that
//! takes the instance for anything but its own attributes, ends what is known.

use stoop_ir::{Flags, Function, Imm, Op, Type, Value};

use crate::pipeline::PassContext;
use crate::util::root;

/// Runs the pass.
pub fn run(f: &mut Function, ctx: &mut PassContext) {
    let null = f.blocks[f.entry().index()].insts.iter().find(|i| f.inst(**i).op == Op::ConstNull).and_then(|i| f.inst(*i).result);
    let Some(null) = null else { return };
    let mut replace: Vec<Option<Value>> = vec![None; f.values.len()];
    let mut count = 0;
    for b in 0..f.blocks.len() {
        // Fresh instances, with what was stored to them.
        let mut fresh: Vec<(Value, Vec<Imm>)> = Vec::new();
        for k in 0..f.blocks[b].insts.len() {
            let i = f.blocks[b].insts[k];
            let d = f.inst(i);
            if d.op == Op::NewObject {
                fresh.extend(d.result.map(|r| (r, Vec::new())));
                continue;
            }
            if fresh.is_empty() {
                continue;
            }
            if d.op.is(Flags::PY) {
                fresh.clear();
                continue;
            }
            let of = |v: Value| if f.ty(v).is_ref() { Some(root(f, v)) } else { None };
            if let (Op::SwapField | Op::SwapSlot, Some(o)) = (d.op, d.args.first().and_then(|v| of(*v)))
                && let Some((_, stored)) = fresh.iter_mut().find(|(v, _)| *v == o)
                && !stored.contains(&d.imm)
            {
                stored.push(d.imm);
                let (old, stored_value) = (d.result, of(d.args[1]));
                if let Some(old) = old {
                    replace[old.index()] = Some(null);
                }
                let d = f.inst_mut(i);
                d.op = if d.op == Op::SwapField { Op::InitField } else { Op::InitSlot };
                d.result = None;
                d.state = None;
                count += 1;
                // An instance that another one holds is out of sight.
                fresh.retain(|(v, _)| Some(*v) != stored_value);
                continue;
            }
            let own = matches!(
                d.op,
                Op::LoadField
                    | Op::LoadSlot
                    | Op::SwapField
                    | Op::SwapSlot
                    | Op::GuardVersion
                    | Op::GuardKeys
                    | Op::RefCast
                    | Op::GuardNotNull
                    | Op::IncRef
                    | Op::DecRef
                    | Op::ObjIs
                    | Op::IsNull
            );
            let escaping: Vec<Value> = d.args.iter().skip(usize::from(own)).filter_map(|v| of(*v)).collect();
            // Dropping something else may run a finaliser, which has no way to it either.
            fresh.retain(|(v, _)| !escaping.contains(v));
        }
    }
    if count > 0 {
        f.replace_uses(&replace);
    }
    debug_assert!(f.ty(null) == Type::Null);
    ctx.count("fresh_stores", count);
}
