//! Remove refcount pairs: a reference that is taken and dropped with nothing in between that needs it is not taken.
//!
//! `incref v … decref v` within a block goes if, in between, nobody else's reference to `v` can be dropped and no box
//! can be overwritten in place (that asks for a count of one). Sound because `v` was alive at the incref, so someone
//! holds it, and still does at the decref: the pair never decides when the object dies. Frame states in between that
//! hand the reference over take one of their own instead; if one of them does not know of it, the pair stays.
//! Counts of immortal objects (truth values, None) go without asking. A store to a slot that holds the same object already
//! is a drop of one of its two references. What all ways into a block take a reference of last and hand over as its
//! parameter is taken in the block, where what drops it may be.

use stoop_ir::{Class, Flags, Function, Imm, Inst, Mem, Op, State, Type, Value};

use crate::pipeline::PassContext;
use crate::util::{FastMap, remove_insts, root};

/// A pair further apart is left alone: looking would cost more than it brings.
const FAR: usize = 256;

/// Runs the pass.
pub fn run(func: &mut Function, ctx: &mut PassContext) {
    forget_same_stores(func);
    hand_over_stored(func);
    take_in_joins(func);
    let mut dead = vec![false; func.insts.len()];
    let mut pairs = 0;
    for b in 0..func.blocks.len() {
        let insts = func.blocks[b].insts.clone();
        // References taken in this block whose owner stands, by the object's name.
        let mut open: Vec<(Value, usize)> = Vec::new();
        // Boxes made in this block that nobody else can have a reference to.
        let mut fresh: Vec<Value> = Vec::new();
        for (k, &i) in insts.iter().enumerate() {
            let d = func.inst(i);
            if let (Op::BoxInt | Op::BoxUInt | Op::BoxFloat, Some(r)) = (d.op, d.result) {
                fresh.push(r);
            }
            match d.op {
                Op::IncRef | Op::DecRef if is_immortal(func.ty(d.args[0])) => dead[i.index()] = true,
                Op::IncRef => open.push((root(func, d.args[0]), k)),
                Op::DecRef => {
                    let v = root(func, d.args[0]);
                    let partner = open.iter().rposition(|(w, at)| *w == v && k - at <= FAR);
                    if let Some(p) = partner
                        && disown(func, &insts[open[p].1 + 1..k], &dead, v)
                    {
                        dead[insts[open[p].1].index()] = true;
                        dead[i.index()] = true;
                        open.remove(p);
                        pairs += 1;
                    } else {
                        let dropped = d_type(func, i);
                        open.retain(|(w, _)| survives_drop(func, *w, v, dropped));
                    }
                }
                _ => {
                    close(func, i, &mut open, &fresh);
                    if !fresh.is_empty() {
                        let d = func.inst(i);
                        fresh.retain(|v| !(0..d.args.len()).any(|k| d.args[k] == *v && d.op.steals(k)));
                    }
                }
            }
        }
    }
    remove_insts(func, |i| dead[i.index()]);
    ctx.count("refcount_pairs_removed", pairs);
}

/// A slot that gets what it holds keeps it; one reference of the two goes, which is not the last.
fn forget_same_stores(func: &mut Function) {
    for i in (0..func.insts.len()).map(|k| Inst(k as u32)) {
        let d = func.inst(i);
        if d.op == Op::StoreLocal && root(func, d.args[0]) == root(func, d.args[1]) && func.ty(d.args[0]).is_ref() {
            let new = d.args[0];
            let d = func.inst_mut(i);
            (d.op, d.args, d.imm) = (Op::DecRef, vec![new], Imm::None);
        }
    }
}

/// What is stored takes the reference along that the operand stack had, before what was there is dropped: as the
/// interpreter does it.
fn hand_over_stored(func: &mut Function) {
    for b in 0..func.blocks.len() {
        let insts = &func.blocks[b].insts;
        let is = |i: Inst, op: Op, v: Value| func.inst(i).op == op && root(func, func.inst(i).args[0]) == v;
        let over = |w: &[Inst]| {
            let (store, take, former) = (func.inst(w[0]), func.inst(w[1]), func.inst(w[2]));
            let swaps = store.op == Op::SwapField && take.op == Op::IncRef && former.op == Op::DecRef;
            swaps
                && Some(former.args[0]) == store.result
                && is(w[1], Op::IncRef, root(func, store.args[1]))
                && is(w[3], Op::DecRef, root(func, store.args[1]))
        };
        let dead: Vec<Inst> = insts.windows(4).filter(|w| over(w)).flat_map(|w| [w[1], w[3]]).collect();
        if !dead.is_empty() {
            func.blocks[b].insts.retain(|i| !dead.contains(i));
        }
    }
}

/// Moves the references that each way into a block ends with taking of what becomes a parameter into the block.
fn take_in_joins(func: &mut Function) {
    let mut ways: Vec<Vec<Inst>> = vec![Vec::new(); func.blocks.len()];
    for b in &func.blocks {
        let Some(last) = b.insts.last().copied() else { continue };
        func.inst(last).targets.iter().for_each(|t| ways[t.block.index()].push(last));
    }
    let holder: FastMap<Inst, usize> = func.blocks.iter().enumerate().filter_map(|(k, b)| Some((*b.insts.last()?, k))).collect();
    for (b, ways) in ways.iter().enumerate() {
        if ways.is_empty() || !ways.iter().all(|t| func.inst(*t).op == Op::Jump) {
            continue;
        }
        for k in 0..func.blocks[b].params.len() {
            let p = func.blocks[b].params[k];
            let entry = func.blocks[b].entry_state;
            if !func.ty(p).is_ref() || entry.is_some_and(|s| !holds(func, s, p)) {
                continue;
            }
            let taken: Option<Vec<(usize, usize)>> =
                ways.iter().map(|t| Some((holder[t], taken_last(func, holder[t], func.inst(*t).targets[0].args[k])?))).collect();
            let Some(taken) = taken else { continue };
            for (from, at) in taken {
                func.blocks[from].insts.remove(at);
            }
            func.blocks[b].entry_state = entry.map(|s| without(func, s, p));
            let (take, _) = func.make_inst(Op::IncRef, &[p], Imm::None, Type::Void, None);
            func.blocks[b].insts.insert(0, take);
        }
    }
}

/// Where a block that ends with a jump takes a reference to `v` last, with nothing but other such between.
fn taken_last(func: &Function, block: usize, v: Value) -> Option<usize> {
    let insts = &func.blocks[block].insts;
    let mut tail = (0..insts.len() - 1).rev().take_while(|k| func.inst(insts[*k]).op == Op::IncRef);
    tail.find(|k| root(func, func.inst(insts[*k]).args[0]) == root(func, v))
}

fn d_type(func: &Function, i: Inst) -> Type {
    func.ty(func.inst(i).args[0])
}

fn is_immortal(ty: Type) -> bool {
    matches!(ty, Type::Exact(Class::Bool | Class::NoneType) | Type::Null)
}

/// Forgets the references whose owner an instruction may let go.
fn close(func: &Function, i: Inst, open: &mut Vec<(Value, usize)>, fresh: &[Value]) {
    let d = func.inst(i);
    if d.op.is(Flags::PY) || d.op.info().writes.meets(Mem::BOX) {
        open.clear();
        return;
    }
    match d.op {
        Op::StoreLocal => {
            let (old, ty) = (root(func, d.args[1]), func.ty(d.args[1]));
            // A box that only we know of is not what the slot held, nor part of it.
            open.retain(|(w, _)| survives_drop(func, *w, old, ty) || (ty.drop_is_silent() && fresh.contains(w)));
        }
        // At the end they drop what they iterate over.
        Op::ListIterNext | Op::TupleIterNext => open.clear(),
        _ => {}
    }
}

/// Whether `w`'s owner stands when a reference to `v`, of type `ty`, is dropped.
fn survives_drop(func: &Function, w: Value, v: Value, ty: Type) -> bool {
    // Not the same object, and nothing that holds others: a range holds its bounds.
    let different = v != w && matches!((func.ty(w), ty), (Type::Exact(a), Type::Exact(b)) if a != b);
    ty == Type::Null || is_immortal(ty) || (different && ty.drop_is_silent() && ty != Type::Exact(Class::Range))
}

/// Makes the states of instructions in between not hand over a reference to `v`; `false` (and no change) if one of
/// them does not hold one.
fn disown(func: &mut Function, between: &[Inst], dead: &[bool], v: Value) -> bool {
    let with_state: Vec<(Inst, State)> =
        between.iter().filter(|i| !dead[i.index()]).filter_map(|i| Some((*i, func.inst(*i).state?))).collect();
    if !with_state.iter().all(|(_, s)| holds(func, *s, v)) {
        return false;
    }
    let mut copies: FastMap<State, State> = FastMap::default();
    for (i, s) in with_state {
        let copy = match copies.get(&s) {
            Some(c) => *c,
            None => {
                let c = without(func, s, v);
                copies.insert(s, c);
                c
            }
        };
        func.inst_mut(i).state = Some(copy);
    }
    true
}

fn holds(func: &Function, s: State, v: Value) -> bool {
    let state = &func.states[s.index()];
    state.stack.iter().any(|e| e.owned && root(func, e.value) == v)
        || state.owned.iter().any(|k| is_local(func, s, *k, v))
        || state.parent.is_some_and(|p| holds(func, p, v))
}

fn is_local(func: &Function, s: State, k: u32, v: Value) -> bool {
    func.states[s.index()].locals.get(k as usize).copied().flatten().is_some_and(|w| root(func, w) == v)
}

/// A copy of a state in which one owned entry of `v` is not owned.
fn without(func: &mut Function, s: State, v: Value) -> State {
    let mut copy = func.states[s.index()].clone();
    if let Some(k) = copy.stack.iter().rposition(|e| e.owned && root(func, e.value) == v) {
        copy.stack[k].owned = false;
    } else if let Some(k) = copy.owned.iter().position(|k| is_local(func, s, *k, v)) {
        copy.owned.remove(k);
    } else {
        copy.parent = copy.parent.map(|p| without(func, p, v));
    }
    func.add_state(copy)
}
