//! What the frame's slots hold: a forward dataflow over the IR.
//!
//! A frame state names the value each local *should* have; a slot whose content is known to be that value
//! needs no write at an exit. Facts are only ever about values that dominate the point they hold at: a value
//! defined inside a loop must not be taken for its own instance of the iteration before. Entry states obey
//! that by the verifier's rules, and a value that every predecessor agrees on dominates them all.

use super::Facts;
use std::collections::HashMap;
use stoop_ir::{Block, Flags, Function, Imm, Inst, Op, State, Type, Value};

/// A value stripped of what does not change it: two values with one root are interchangeable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Root {
    /// NULL.
    Null,
    /// The constant object at this address.
    Object(u64),
    /// An integer constant.
    Int(i64),
    /// A float constant, by its bits.
    Float(u64),
    /// A truth constant.
    Bool(bool),
    /// Any other value.
    Value(Value),
}

/// What is known of one slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fact {
    /// The slot holds this value (or a box of it).
    pub(crate) value: Value,
    /// The slot holds this very reference, not just an equal box.
    pub(crate) exact: bool,
}

/// Roots of all values of a function.
pub(crate) struct Roots {
    by_value: Vec<Root>,
    by_reference: Vec<Root>,
    /// How many locals have slots in the frame; those behind are variables of a module.
    frame_slots: usize,
    /// The values of locals at drops that may run a finaliser, which may look at them.
    at_drops: HashMap<Inst, Vec<Option<Value>>>,
}

impl Roots {
    /// Computes them.
    pub(crate) fn new(func: &Function, homes: usize) -> Roots {
        let all = |through: &dyn Fn(Op) -> bool| {
            (0..func.values.len()).map(|i| root_of(func, Value(i as u32), through)).collect::<Vec<_>>()
        };
        let frame_slots = slot_count(func) - homes;
        Roots {
            by_value: all(&|op| same_reference(op) || same_value(op)),
            by_reference: all(&same_reference),
            frame_slots,
            at_drops: at_drops(func),
        }
    }
    /// How many locals have slots in the frame.
    pub(crate) fn frame_slots(&self) -> usize {
        self.frame_slots
    }
    /// The locals that are out of date in their slots, at a drop that may run a finaliser; none if the instruction is no
    /// such drop.
    pub(crate) fn dirty_at_drop(&self, facts: &Facts, inst: Inst) -> Vec<(u32, Value)> {
        let Some(values) = self.at_drops.get(&inst) else { return Vec::new() };
        let all = values.iter().enumerate().filter_map(|(k, v)| Some((k, (*v)?)));
        let dirty = all.filter(|(k, v)| !facts[*k].is_some_and(|f| self.value(f.value) == self.value(*v)));
        dirty.map(|(k, v)| (k as u32, v)).collect()
    }
    /// The root, looking through boxes.
    pub(crate) fn value(&self, v: Value) -> Root {
        self.by_value[v.index()]
    }
    /// The root, looking through nothing that changes identity.
    pub(crate) fn reference(&self, v: Value) -> Root {
        self.by_reference[v.index()]
    }
}

/// How far the frame state after a drop is looked for.
const BLOCKS_AFTER_DROP: usize = 16;

/// The locals at each drop that may run a finaliser: those of the next frame state.
fn at_drops(func: &Function) -> HashMap<Inst, Vec<Option<Value>>> {
    let mut out = HashMap::new();
    for block in &func.blocks {
        for (k, &i) in block.insts.iter().enumerate() {
            let d = func.inst(i);
            let noisy = match d.op {
                Op::DecRef => !func.drop_is_silent(d.args[0]),
                Op::StoreLocal => !func.drop_is_silent(d.args[1]),
                Op::ListIterNext | Op::TupleIterNext | Op::DictSet => true,
                _ => false,
            };
            if noisy && let Some(values) = values_after(func, &block.insts[k + 1..], BLOCKS_AFTER_DROP) {
                out.insert(i, values);
            }
        }
    }
    out
}

/// The locals of the next frame state.
fn values_after(func: &Function, insts: &[Inst], blocks: usize) -> Option<Vec<Option<Value>>> {
    for &i in insts {
        let d = func.inst(i);
        if let Some(s) = d.state {
            return Some(func.states[real_state(func, s).index()].locals.clone());
        }
        if let (Some(t), true) = (d.targets.first(), blocks > 0) {
            let next = &func.blocks[t.block.index()];
            let values = values_after(func, &next.insts, blocks - 1)?;
            let here = |v: Value| next.params.iter().position(|p| *p == v).map_or(v, |n| t.args[n]);
            return Some(values.into_iter().map(|v| v.map(here)).collect());
        }
    }
    None
}

/// Operations whose result is their first operand.
fn same_reference(op: Op) -> bool {
    matches!(op, Op::GuardClass | Op::GuardVersion | Op::GuardNotNull | Op::RefCast | Op::VersionAssume)
}

/// Operations whose result is their first operand in another form.
fn same_value(op: Op) -> bool {
    matches!(op, Op::BoxInt | Op::BoxFloat | Op::BoxBool | Op::UnboxInt | Op::UnboxFloat | Op::UnboxBool)
}

fn root_of(func: &Function, mut v: Value, through: &dyn Fn(Op) -> bool) -> Root {
    loop {
        if func.ty(v) == Type::Null {
            return Root::Null;
        }
        let Some(inst) = func.def_inst(v).map(|i| func.inst(i)) else {
            return Root::Value(v);
        };
        match (inst.op, inst.imm) {
            (op, _) if through(op) => v = inst.args[0],
            (Op::ConstInt, Imm::Int(i)) => return Root::Int(i),
            (Op::ConstFloat, Imm::Float(bits)) => return Root::Float(bits),
            (Op::ConstBool, Imm::Int(i)) => return Root::Bool(i != 0),
            (Op::ConstObj, Imm::Const(c)) if func.consts[c.index()].address != 0 => {
                return Root::Object(func.consts[c.index()].address);
            }
            _ => return Root::Value(v),
        }
    }
}

/// The outermost state of a state's chain: the one that describes the real frame.
pub(crate) fn real_state(func: &Function, mut s: State) -> State {
    while let Some(p) = func.states[s.index()].parent {
        s = p;
    }
    s
}

/// The locals of the real frame that are out of date in their slots.
pub(crate) fn dirty(func: &Function, roots: &Roots, facts: &Facts, state: State) -> Vec<(u32, Value)> {
    let state = &func.states[real_state(func, state).index()];
    let mut out = Vec::new();
    for (k, v) in state.locals.iter().enumerate() {
        let Some(v) = *v else { continue };
        let clean = facts[k].is_some_and(|f| roots.value(f.value) == roots.value(v));
        if !clean {
            out.push((k as u32, v));
        }
    }
    out
}

/// Applies an instruction to the facts. For operations that sync, this is the state after the sync.
pub(crate) fn step(func: &Function, roots: &Roots, facts: &mut Facts, inst: Inst) {
    let data = func.inst(inst);
    match (data.op, data.imm) {
        (Op::EntryLocal, Imm::Index(k)) => {
            facts[k as usize] = data.result.map(|value| Fact { value, exact: true });
        }
        (Op::StoreLocal, Imm::Index(k)) => {
            facts[k as usize] = Some(Fact { value: data.args[0], exact: true });
            forget_at_drop(roots, facts, inst);
        }
        (Op::DecRef | Op::ListIterNext | Op::TupleIterNext, _) => forget_at_drop(roots, facts, inst),
        (Op::StrAppend, Imm::Index(k)) => facts[k as usize] = data.result.map(|value| Fact { value, exact: true }),
        (Op::Poll, _) => {
            // Only the slow path syncs, so afterwards an out-of-date slot holds the one or the other.
            if let Some(s) = data.state {
                for (k, _) in dirty(func, roots, facts, s) {
                    facts[k as usize] = None;
                }
            }
        }
        (op, _) if op.is(Flags::PY) => {
            if let Some(s) = data.state {
                for (k, v) in dirty(func, roots, facts, s) {
                    facts[k as usize] = Some(Fact { value: v, exact: func.ty(v).is_ref() });
                }
            }
        }
        _ => {}
    }
}

/// Only a drop that destroys something syncs, so afterwards an out-of-date slot holds the one or the other.
fn forget_at_drop(roots: &Roots, facts: &mut Facts, inst: Inst) {
    for (k, _) in roots.dirty_at_drop(facts, inst) {
        facts[k as usize] = None;
    }
}

/// How many slots the function speaks of.
pub(crate) fn slot_count(func: &Function) -> usize {
    let states = func.states.iter().filter(|s| s.parent.is_none()).map(|s| s.locals.len()).max().unwrap_or(0);
    let insts = func.insts.iter().filter_map(|i| match (i.op, i.imm) {
        (Op::EntryLocal | Op::StoreLocal | Op::StrAppend, Imm::Index(k)) => Some(k as usize + 1),
        _ => None,
    });
    insts.max().unwrap_or(0).max(states)
}

/// What the slots hold when compiled code is entered.
///
/// A slot that no instruction reads at entry is a fresh frame's: NULL. (Loop entries read every slot they touch.)
fn at_entry(func: &Function, order: &[Block], slots: usize) -> Facts {
    let null = (0..func.values.len()).map(|i| Value(i as u32)).find(|v| func.ty(*v) == Type::Null);
    let mut facts: Facts = vec![null.map(|value| Fact { value, exact: true }); slots];
    for i in order.iter().flat_map(|b| &func.blocks[b.index()].insts) {
        if let (Op::EntryLocal, Imm::Index(k)) = (func.inst(*i).op, func.inst(*i).imm) {
            facts[k as usize] = None;
        }
    }
    facts
}

/// The facts at the start of each block of `order` (reverse postorder), indexed by block.
pub(crate) fn analyse(func: &Function, roots: &Roots, order: &[Block]) -> Vec<Facts> {
    /// Facts only go down the lattice, so this bounds bugs, not programs.
    const ROUNDS: usize = 64;
    let slots = slot_count(func);
    let unknown: Facts = vec![None; slots];
    let mut starts = vec![unknown.clone(); func.blocks.len()];
    let mut ends: Vec<Option<Facts>> = vec![None; func.blocks.len()];
    let preds = predecessors(func, order);
    let entered_again = !preds[func.entry().index()].is_empty();
    let entry = if entered_again { unknown.clone() } else { at_entry(func, order, slots) };
    for _ in 0..ROUNDS {
        let mut changed = false;
        for &b in order {
            let start = if b == func.entry() { entry.clone() } else { meet(func, roots, b, &preds[b.index()], &ends, slots) };
            if ends[b.index()].is_some() && starts[b.index()] == start {
                continue;
            }
            let mut facts = start.clone();
            for &i in &func.blocks[b.index()].insts {
                step(func, roots, &mut facts, i);
            }
            starts[b.index()] = start;
            changed |= ends[b.index()].as_ref() != Some(&facts);
            ends[b.index()] = Some(facts);
        }
        if !changed {
            return starts;
        }
    }
    vec![unknown; func.blocks.len()]
}

/// (predecessor, index of the edge among its targets) of each block.
fn predecessors(func: &Function, order: &[Block]) -> Vec<Vec<(Block, usize)>> {
    let mut preds = vec![Vec::new(); func.blocks.len()];
    for &b in order {
        let Some(t) = func.terminator(b) else { continue };
        for (i, target) in func.inst(t).targets.iter().enumerate() {
            preds[target.block.index()].push((b, i));
        }
    }
    preds
}

fn meet(func: &Function, roots: &Roots, b: Block, preds: &[(Block, usize)], ends: &[Option<Facts>], slots: usize) -> Facts {
    let data = &func.blocks[b.index()];
    let state = data.entry_state.map(|s| &func.states[real_state(func, s).index()]);
    let visited = || preds.iter().filter_map(|&(p, edge)| Some((p, edge, ends[p.index()].as_ref()?)));
    let argument = |p: Block, edge: usize, v: Value| match data.params.iter().position(|x| *x == v) {
        Some(i) => func.terminator(p).and_then(|t| func.inst(t).targets[edge].args.get(i).copied()).unwrap_or(v),
        None => v,
    };
    (0..slots)
        .map(|k| {
            let named = state.and_then(|s| s.locals.get(k).copied().flatten());
            let value = match named {
                Some(v) => v,
                None => {
                    // A parameter that every edge gives what the slot holds there, or a value all agree on.
                    let gives = |i: usize| {
                        visited().all(|(p, edge, end)| {
                            let given = func.terminator(p).and_then(|t| func.inst(t).targets[edge].args.get(i).copied());
                            matches!((given, end[k]), (Some(g), Some(f)) if roots.value(g) == roots.value(f.value))
                        })
                    };
                    let first = visited().next()?.2[k]?.value;
                    match (0..data.params.len()).find(|i| gives(*i)) {
                        Some(i) => data.params[i],
                        None => visited().all(|(_, _, end)| end[k].is_some_and(|f| f.value == first)).then_some(first)?,
                    }
                }
            };
            let mut exact = true;
            for (p, edge, end) in visited() {
                let fact = end[k]?;
                let incoming = argument(p, edge, value);
                if roots.value(incoming) != roots.value(fact.value) {
                    return None;
                }
                exact &= fact.exact && roots.reference(incoming) == roots.reference(fact.value);
            }
            let exact = exact && func.ty(value).is_ref();
            visited().next().map(|_| Fact { value, exact })
        })
        .collect()
}
