//! Unbox parameters: ints, floats and bools that flow through block parameters travel unboxed.
//!
//! A parameter whose inferred type is an exact int, float or bool becomes `i64`, `f64` or `i1` if something
//! unboxes it or something boxed flows in. Incoming boxes are looked through, other arguments unboxed at the end
//! of the predecessor (an int that is too big leaves there, to the target's entry state). Where the object itself
//! is still wanted, one box a block is made at the first such use and dropped at the block's end; frame states
//! take the unboxed value, and the exit boxes it.

use std::collections::HashMap;

use stoop_ir::{Block, Class, Flags, FrameState, Function, Imm, Inst, Op, State, Target, Type, Value};

/// Runs the pass; returns the number of parameters unboxed.
pub fn run(f: &mut Function) -> usize {
    let chosen = choose(f);
    let count = chosen.iter().filter(|c| **c).count();
    if count == 0 {
        return 0;
    }
    for b in 1..f.blocks.len() {
        for p in f.blocks[b].params.clone() {
            if chosen[p.index()] {
                let class = f.ty(p).class().expect("chosen parameters have a class");
                f.values[p.index()].ty = Type::unboxed(class).expect("chosen classes have an unboxed form");
            }
        }
    }
    let mut replace: Vec<Option<Value>> = vec![None; f.values.len()];
    for b in 0..f.blocks.len() {
        rewrite_block(f, Block(b as u32), &chosen, &mut replace);
    }
    f.replace_uses(&replace);
    count
}

/// The box operation of an unboxed type.
pub(crate) fn box_op(ty: Type) -> (Op, Type) {
    match ty {
        Type::I64 => (Op::BoxInt, Type::Exact(Class::Int)),
        Type::F64 => (Op::BoxFloat, Type::Exact(Class::Float)),
        _ => (Op::BoxBool, Type::Exact(Class::Bool)),
    }
}

/// The operand of a box, if `v` is one.
pub(crate) fn unboxed_operand(f: &Function, v: Value) -> Option<Value> {
    let d = f.inst(f.def_inst(v)?);
    matches!(d.op, Op::BoxInt | Op::BoxFloat | Op::BoxBool).then(|| d.args[0])
}

fn choose(f: &Function) -> Vec<bool> {
    let mut wanted = vec![false; f.values.len()];
    for b in &f.blocks {
        for &i in &b.insts {
            let d = f.inst(i);
            if matches!(d.op, Op::UnboxInt | Op::UnboxFloat | Op::UnboxBool) {
                wanted[d.args[0].index()] = true;
            }
        }
    }
    // A parameter that only feeds wanted parameters is wanted too, and one that a box flows into.
    loop {
        let mut changed = false;
        for b in &f.blocks {
            for &i in &b.insts {
                for t in &f.inst(i).targets {
                    for (p, a) in f.blocks[t.block.index()].params.iter().zip(&t.args) {
                        let w = wanted[p.index()];
                        if w && !wanted[a.index()] && f.ty(*a).class() == f.ty(*p).class() {
                            wanted[a.index()] = true;
                            changed = true;
                        }
                        let flows = wanted[a.index()] && f.ty(*a).class() == f.ty(*p).class();
                        if !w && (flows || unboxed_operand(f, *a).is_some()) {
                            wanted[p.index()] = true;
                            changed = true;
                        }
                    }
                }
            }
        }
        if !changed {
            break;
        }
    }
    let mut chosen = vec![false; f.values.len()];
    for b in &f.blocks[1..] {
        for p in &b.params {
            let class = matches!(f.ty(*p), Type::Exact(Class::Int | Class::Float | Class::Bool));
            chosen[p.index()] = class && wanted[p.index()] && b.entry_state.is_some();
        }
    }
    chosen
}

fn rewrite_block(f: &mut Function, b: Block, chosen: &[bool], replace: &mut [Option<Value>]) {
    let is_chosen = |v: Value| chosen.get(v.index()).copied().unwrap_or(false);
    let insts = std::mem::take(&mut f.blocks[b.index()].insts);
    let mut out: Vec<Inst> = Vec::with_capacity(insts.len());
    let mut boxes: HashMap<Value, Value> = HashMap::new();
    for i in insts {
        let d = f.inst(i).clone();
        if matches!(d.op, Op::UnboxInt | Op::UnboxFloat | Op::UnboxBool) && is_chosen(d.args[0]) {
            replace[d.result.expect("a value").index()] = Some(d.args[0]);
            continue;
        }
        // `old` of a store only says what the slot held; it is not a use of the object.
        let uses = if d.op == Op::StoreLocal { 1 } else { d.args.len() };
        for k in 0..uses {
            let a = d.args[k];
            if is_chosen(a) {
                f.inst_mut(i).args[k] = boxed(f, a, &mut boxes, &mut out);
            }
        }
        if d.op.is(Flags::TERM) {
            finish(f, i, chosen, &mut boxes, &mut out);
        }
        out.push(i);
    }
    f.blocks[b.index()].insts = out;
}

/// The box of a chosen parameter in this block, made at its first use.
fn boxed(f: &mut Function, v: Value, boxes: &mut HashMap<Value, Value>, out: &mut Vec<Inst>) -> Value {
    if let Some(t) = boxes.get(&v) {
        return *t;
    }
    let (op, ty) = box_op(f.ty(v));
    let (i, r) = f.make_inst(op, &[v], Imm::None, ty, None);
    out.push(i);
    let r = r.expect("a box");
    boxes.insert(v, r);
    r
}

/// Rewrites a terminator's arguments and drops the block's boxes before it.
fn finish(f: &mut Function, term: Inst, chosen: &[bool], boxes: &mut HashMap<Value, Value>, out: &mut Vec<Inst>) {
    let is_chosen = |v: Value| chosen.get(v.index()).copied().unwrap_or(false);
    let mut targets: Vec<Target> = f.inst(term).targets.clone();
    for t in &mut targets {
        let original = t.args.clone();
        for k in 0..t.args.len() {
            let p = f.blocks[t.block.index()].params[k];
            let a = t.args[k];
            if is_chosen(p) {
                if f.ty(a) == f.ty(p) {
                    continue;
                }
                t.args[k] = match unboxed_operand(f, a) {
                    Some(x) => x,
                    None => {
                        let (op, ty) = match f.ty(p) {
                            Type::I64 => (Op::UnboxInt, Type::I64),
                            Type::F64 => (Op::UnboxFloat, Type::F64),
                            _ => (Op::UnboxBool, Type::I1),
                        };
                        let state = op.needs_state().then(|| edge_state(f, t.block, &original));
                        let (i, r) = f.make_inst(op, &[a], Imm::None, ty, state);
                        out.push(i);
                        r.expect("a value")
                    }
                };
            } else if is_chosen(a) {
                let r = boxed(f, a, boxes, out);
                // The target takes it as borrowed from its slot, which has not seen it yet.
                let slot = f.blocks[t.block.index()]
                    .entry_state
                    .and_then(|s| f.states[s.index()].locals.iter().position(|l| *l == Some(p)));
                if let Some(slot) = slot {
                    let (inc, _) = f.make_inst(Op::IncRef, &[r], Imm::None, Type::Void, None);
                    let (st, _) = f.make_inst(Op::StoreLocal, &[r, a], Imm::Index(slot as u32), Type::Void, None);
                    out.extend([inc, st]);
                }
                t.args[k] = r;
            }
        }
    }
    f.inst_mut(term).targets = targets;
    let mut drops: Vec<Value> = boxes.values().copied().collect();
    drops.sort();
    for r in drops {
        if f.ty(r) != Type::Exact(Class::Bool) {
            let (i, _) = f.make_inst(Op::DecRef, &[r], Imm::None, Type::Void, None);
            out.push(i);
        }
    }
    boxes.clear();
}

/// A block's entry state with its parameters replaced by the arguments of one edge.
pub(crate) fn edge_state(f: &mut Function, target: Block, args: &[Value]) -> State {
    let b = &f.blocks[target.index()];
    let map: HashMap<Value, Value> = b.params.iter().copied().zip(args.iter().copied()).collect();
    let s = &f.states[b.entry_state.expect("blocks with parameters have an entry state").index()];
    let find = |v: &Value| map.get(v).copied().unwrap_or(*v);
    let new = FrameState {
        locals: s.locals.iter().map(|l| l.as_ref().map(find)).collect(),
        stack: s.stack.iter().map(|e| stoop_ir::StackEntry { value: find(&e.value), ..*e }).collect(),
        ..s.clone()
    };
    f.add_state(new)
}
