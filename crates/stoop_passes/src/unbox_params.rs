//! Unbox parameters: ints, floats and bools that flow through block parameters travel unboxed.
//!
//! A parameter whose inferred type is an exact int, float or bool becomes `i64`, `f64` or `i1` if something
//! unboxes it or something boxed flows in. Incoming boxes are looked through, other arguments unboxed at the end
//! of the predecessor (an int that is too big leaves there, to the target's entry state). Where the object itself
//! is still wanted, one box a block is made at the first such use and dropped after the last; frame states take the
//! unboxed value, and the exit boxes it. A reference that came with the parameter lives on in no object: where the
//! block gives it away, the box's own goes.

use std::collections::BTreeMap;

use stoop_ir::{Block, Class, Def, Flags, Function, Imm, Inst, Op, Ret, State, Target, Type, Value};

use crate::util::substitute;

/// Runs the pass; returns the number of parameters unboxed.
pub fn run(f: &mut Function) -> usize {
    retype(f);
    let mut chosen = choose(f);
    let askers = askers(f, &chosen);
    leave_unasked(f, &askers, &mut chosen);
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
        rewrite_block(f, Block(b as u32), &chosen, &askers, &mut replace);
    }
    f.replace_uses(&replace);
    count
}

/// Gives parameters the best type that all their arguments have: earlier passes may have found out more.
fn retype(f: &mut Function) {
    let mut types: Vec<Option<Type>> = f
        .values
        .iter()
        .map(|v| match v.def {
            Def::Param(_) => None,
            Def::Inst(_) => Some(v.ty),
        })
        .collect();
    loop {
        let mut changed = false;
        for b in &f.blocks {
            for &i in &b.insts {
                for t in &f.inst(i).targets {
                    for (p, a) in f.blocks[t.block.index()].params.iter().zip(&t.args) {
                        let Some(new) = types[a.index()].map(Type::boxed) else { continue };
                        let joined = types[p.index()].map_or(new, |old| old.join(new));
                        if types[p.index()] != Some(joined) {
                            types[p.index()] = Some(joined);
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
    for (v, t) in f.values.iter_mut().zip(types) {
        if let (Def::Param(_), Some(t @ Type::Exact(_)), true) = (v.def, t, v.ty.is_ref()) {
            v.ty = t;
        }
    }
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
    let wide = wide_params(f);
    let mut chosen = vec![false; f.values.len()];
    for b in &f.blocks[1..] {
        for p in &b.params {
            let class = matches!(f.ty(*p), Type::Exact(Class::Int | Class::Float | Class::Bool));
            chosen[p.index()] = class && wanted[p.index()] && b.entry_state.is_some() && !wide[p.index()];
        }
    }
    chosen
}

/// Who wants each chosen parameter's int in a register: code object and code unit in one immediate, as `guard_early` has
/// it. An int that is too big where the block is entered is that place's doing.
fn askers(f: &Function, chosen: &[bool]) -> Vec<Imm> {
    let mut askers = vec![Imm::None; f.values.len()];
    for i in f.blocks.iter().flat_map(|b| &b.insts) {
        let d = f.inst(*i);
        if d.op == Op::UnboxInt && chosen[d.args[0].index()] && askers[d.args[0].index()] == Imm::None {
            askers[d.args[0].index()] = match (d.imm, d.state) {
                (Imm::None, Some(s)) => {
                    let s = &f.states[s.index()];
                    Imm::Int(i64::from(s.code) << 32 | i64::from(s.unit))
                }
                (asker, _) => asker,
            };
        }
    }
    let mut changed = true;
    while changed {
        changed = false;
        for t in f.blocks.iter().flat_map(|b| &b.insts).flat_map(|i| &f.inst(*i).targets) {
            for (p, a) in f.blocks[t.block.index()].params.iter().zip(&t.args) {
                if askers[p.index()] != Imm::None && chosen[a.index()] && askers[a.index()] == Imm::None {
                    askers[a.index()] = askers[p.index()];
                    changed = true;
                }
            }
        }
    }
    askers
}

/// Ints that nobody wants in a register stay boxed where one comes from elsewhere: it might be too big, for nobody's sake.
fn leave_unasked(f: &Function, askers: &[Imm], chosen: &mut [bool]) {
    let mut changed = true;
    while changed {
        changed = false;
        for t in f.blocks.iter().flat_map(|b| &b.insts).flat_map(|i| &f.inst(*i).targets) {
            for (p, a) in f.blocks[t.block.index()].params.iter().zip(&t.args) {
                let unasked = chosen[p.index()] && askers[p.index()] == Imm::None && f.ty(*p) == Type::Exact(Class::Int);
                let constant = f.def_inst(*a).is_some_and(|i| f.inst(i).op == Op::ConstObj);
                if unasked && !chosen[a.index()] && !constant && unboxed_operand(f, *a).is_none() {
                    chosen[p.index()] = false;
                    changed = true;
                }
            }
        }
    }
}

/// The parameters that get ints which mostly do not fit a register: each use says so by itself where they do not.
fn wide_params(f: &Function) -> Vec<bool> {
    let mut wide: Vec<bool> = f.values.iter().map(|v| matches!(v.def, Def::Inst(i) if makes_wide(f, i))).collect();
    let mut changed = wide.contains(&true);
    while changed {
        changed = false;
        for t in f.blocks.iter().flat_map(|b| &b.insts).flat_map(|i| &f.inst(*i).targets) {
            for (p, a) in f.blocks[t.block.index()].params.iter().zip(&t.args) {
                if wide[a.index()] && !wide[p.index()] {
                    wide[p.index()] = true;
                    changed = true;
                }
            }
        }
    }
    wide
}

fn makes_wide(f: &Function, i: Inst) -> bool {
    let d = f.inst(i);
    match (d.op, d.imm) {
        (Op::NumBinary, Imm::Bin(op)) => {
            d.result.is_some_and(|v| f.ty(v) == Type::Exact(Class::Int)) && crate::specialise::rules::widens(op)
        }
        (Op::ConstObj, Imm::Const(c)) => {
            let c = &f.consts[c.index()];
            c.class == Some(Class::Int) && c.text.parse::<i64>().is_err()
        }
        _ => false,
    }
}

/// What a block does with a chosen parameter's object, and the box that stands for it there.
struct Boxed {
    /// The box, once made.
    value: Option<Value>,
    /// Position of the last instruction that uses it.
    last: usize,
    /// References the block takes less those it gives away.
    net: i32,
    /// The least that was so far, before the last use: what was taken before the block may be given away in it first.
    low: i32,
    /// Position of the last instruction that takes it for an operand.
    at: usize,
    /// References to the box that are held now.
    held: i32,
}

fn rewrite_block(f: &mut Function, b: Block, chosen: &[bool], askers: &[Imm], replace: &mut [Option<Value>]) {
    let is_chosen = |v: Value| chosen.get(v.index()).copied().unwrap_or(false);
    let insts = std::mem::take(&mut f.blocks[b.index()].insts);
    let mut out: Vec<Inst> = Vec::with_capacity(insts.len());
    let mut boxes = survey(f, &insts, chosen);
    for (at, &i) in insts.iter().enumerate() {
        let d = f.inst(i).clone();
        if matches!(d.op, Op::UnboxInt | Op::UnboxFloat | Op::UnboxBool) && is_chosen(d.args[0]) {
            replace[d.result.expect("a value").index()] = Some(d.args[0]);
            continue;
        }
        for k in 0..object_operands(d.op, d.args.len()) {
            let a = d.args[k];
            if is_chosen(a) {
                f.inst_mut(i).args[k] = boxed(f, a, &mut boxes, &mut out);
            }
        }
        own_in_state(f, i, &boxes);
        if d.op.is(Flags::TERM) {
            finish(f, i, chosen, askers, &mut boxes, &mut out);
            drop_boxes(f, at, &mut boxes, &mut out);
            out.push(i);
            continue;
        }
        out.push(i);
        for k in 0..object_operands(d.op, d.args.len()) {
            if let Some(x) = boxes.get_mut(&d.args[k]) {
                x.held += i32::from(d.op == Op::IncRef) - i32::from(d.op.steals(k));
            }
        }
        drop_boxes(f, at, &mut boxes, &mut out);
    }
    f.blocks[b.index()].insts = out;
}

/// How many of an operation's operands are uses of objects: `old` of a store only says what the slot held.
fn object_operands(op: Op, n: usize) -> usize {
    match op {
        Op::StoreLocal => 1,
        // Exits box its items, as those of frame states.
        Op::VirtualTuple | Op::VirtualObject => 0,
        _ => n,
    }
}

/// The chosen parameters whose objects a block uses.
fn survey(f: &Function, insts: &[Inst], chosen: &[bool]) -> BTreeMap<Value, Boxed> {
    let is_chosen = |v: Value| chosen.get(v.index()).copied().unwrap_or(false);
    let mut uses: BTreeMap<Value, Boxed> = BTreeMap::new();
    let mut used = |v: Value, at: usize, last: usize, net: i32| {
        let u = uses.entry(v).or_insert(Boxed { value: None, last, net: 0, low: 0, at, held: 0 });
        if at > u.at {
            u.low = u.low.min(u.net);
        }
        u.at = at;
        u.last = u.last.max(last);
        u.net += net;
    };
    for (at, &i) in insts.iter().enumerate() {
        let d = f.inst(i);
        if matches!(d.op, Op::UnboxInt | Op::UnboxFloat | Op::UnboxBool) {
            continue;
        }
        // The result of such an operation is the operand itself, and lives on.
        let last = if d.op.info().ret == Ret::Borrowed { insts.len() - 1 } else { at };
        for k in 0..object_operands(d.op, d.args.len()) {
            if is_chosen(d.args[k]) {
                used(d.args[k], at, last, i32::from(d.op == Op::IncRef) - i32::from(d.op.steals(k)));
            }
        }
        for t in &d.targets {
            for (p, a) in f.blocks[t.block.index()].params.iter().zip(&t.args) {
                if is_chosen(*a) && !is_chosen(*p) {
                    used(*a, at, at, -i32::from(is_owned(f, t.block, *p)));
                }
            }
        }
    }
    for u in uses.values_mut().filter(|u| u.last > u.at) {
        u.low = u.low.min(u.net);
    }
    uses
}

/// Whether a block's parameter comes with a reference of its own.
fn is_owned(f: &Function, b: Block, p: Value) -> bool {
    let mut at = f.blocks[b.index()].entry_state;
    while let Some(s) = at {
        let s = &f.states[s.index()];
        let local = |k: &u32| s.locals.get(*k as usize) == Some(&Some(p));
        if s.stack.iter().any(|e| e.value == p && e.owned) || s.owned.iter().any(local) {
            return true;
        }
        at = s.parent;
    }
    false
}

/// The box of a chosen parameter in this block, made at its first use.
fn boxed(f: &mut Function, v: Value, boxes: &mut BTreeMap<Value, Boxed>, out: &mut Vec<Inst>) -> Value {
    let x = boxes.get_mut(&v).expect("surveyed");
    if let Some(t) = x.value {
        return t;
    }
    let (op, ty) = box_op(f.ty(v));
    let (i, r) = f.make_inst(op, &[v], Imm::None, ty, None);
    out.push(i);
    let r = r.expect("a box");
    x.value = Some(r);
    x.held = 1;
    // References that came with the parameter and are given away here. Nobody else holds the box: one is left until its
    // last use.
    let base = (1 - x.low).max(-x.net);
    for _ in 1..base {
        out.push(f.make_inst(Op::IncRef, &[r], Imm::None, Type::Void, None).0);
        x.net += 1;
        x.held += 1;
    }
    r
}

/// Drops the boxes whose last use this was.
fn drop_boxes(f: &mut Function, at: usize, boxes: &mut BTreeMap<Value, Boxed>, out: &mut Vec<Inst>) {
    for x in boxes.values_mut() {
        if x.last == at
            && let Some(r) = x.value.take()
            && f.ty(r) != Type::Exact(Class::Bool)
        {
            for _ in 0..=x.net {
                out.push(f.make_inst(Op::DecRef, &[r], Imm::None, Type::Void, None).0);
            }
        }
    }
}

/// An exit takes over the references to the boxes that stand for entries of its stack.
fn own_in_state(f: &mut Function, i: Inst, boxes: &BTreeMap<Value, Boxed>) {
    let Some(s) = f.inst(i).state else { return };
    let live = |v: &Value| boxes.get(v).and_then(|x| Some((x.value?, x.held)));
    let state = &f.states[s.index()];
    if !state.stack.iter().any(|e| live(&e.value).is_some()) {
        return;
    }
    let mut new = state.clone();
    let mut left: BTreeMap<Value, i32> = BTreeMap::new();
    for e in &mut new.stack {
        if let Some((r, held)) = live(&e.value) {
            let n = left.entry(r).or_insert(held);
            e.owned = *n > 0;
            e.value = r;
            *n -= 1;
        }
    }
    let new = f.add_state(new);
    f.inst_mut(i).state = Some(new);
}

/// Rewrites a terminator's arguments.
fn finish(
    f: &mut Function,
    term: Inst,
    chosen: &[bool],
    askers: &[Imm],
    boxes: &mut BTreeMap<Value, Boxed>,
    out: &mut Vec<Inst>,
) {
    let is_chosen = |v: Value| chosen.get(v.index()).copied().unwrap_or(false);
    let mut targets: Vec<Target> = f.inst(term).targets.clone();
    let mut unneeded: Vec<Value> = Vec::new();
    for t in &mut targets {
        let original = t.args.clone();
        for k in 0..t.args.len() {
            let p = f.blocks[t.block.index()].params[k];
            let a = t.args[k];
            if is_chosen(p) {
                if f.ty(a) == f.ty(p) {
                    continue;
                }
                if is_owned(f, t.block, p) && f.ty(a) != Type::Exact(Class::Bool) {
                    unneeded.push(a);
                }
                t.args[k] = match unboxed_operand(f, a) {
                    Some(x) => x,
                    None => {
                        let (op, ty) = match f.ty(p) {
                            Type::I64 => (Op::UnboxInt, Type::I64),
                            Type::F64 => (Op::UnboxFloat, Type::F64),
                            _ => (Op::UnboxBool, Type::I1),
                        };
                        let state = op.needs_state().then(|| edge_state(f, t.block, &original, out));
                        let asker = if op == Op::UnboxInt { askers[p.index()] } else { Imm::None };
                        let (i, r) = f.make_inst(op, &[a], asker, ty, state);
                        out.push(i);
                        r.expect("a value")
                    }
                };
            } else if is_chosen(a) {
                let r = boxed(f, a, boxes, out);
                // The target takes it as borrowed from its slot, which has not seen it yet.
                let slot = f.blocks[t.block.index()]
                    .entry_state
                    .map(|s| &f.states[s.index()])
                    .filter(|s| s.parent.is_none())
                    .and_then(|s| s.locals.iter().position(|l| *l == Some(p)));
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
    // Only now: the exits above hand these references over.
    for a in unneeded {
        out.push(f.make_inst(Op::DecRef, &[a], Imm::None, Type::Void, None).0);
    }
}

/// A block's entry state as the edge with these arguments sees it; what describes iterators there goes to `out`.
fn edge_state(f: &mut Function, target: Block, args: &[Value], out: &mut Vec<Inst>) -> State {
    let s = f.blocks[target.index()].entry_state.expect("blocks with parameters have an entry state");
    substitute(f, s, target, args, out)
}
