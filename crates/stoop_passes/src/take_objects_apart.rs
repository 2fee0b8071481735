//! Take objects apart: an instance that only its attributes are wanted of is never made.
//!
//! An instance made here (`object.new`) and used by nothing but guards, loads and stores of its attributes, reference
//! counts and frame states is its attributes: a walk over the blocks tells which values they have at each point. Loads
//! yield the values, stores become nothing, each count of the instance becomes one of each value, and a frame state that
//! speaks of the instance names a `virtual.object`, from which an exit makes it as it is at that point. Sound because
//! nobody else has seen the instance, and its class, whose version is guarded where it is made, has no finaliser.
//! Stores are only followed while one reference is held, and where ways meet the attributes must be the same.

use stoop_ir::cfg::Cfg;
use stoop_ir::{Block, Class, Flags, Function, Imm, Inst, Op, State, Type, Value};

use crate::pipeline::PassContext;
use crate::util::{FastMap, const_int, frames_show, root};

/// Runs the pass.
pub fn run(f: &mut Function, ctx: &mut PassContext) {
    let made: Vec<Inst> = f.blocks.iter().flat_map(|b| &b.insts).copied().filter(|i| f.inst(*i).op == Op::NewObject).collect();
    let mut count = 0;
    for i in made {
        let Some(object) = f.inst(i).result else { continue };
        if !uses_are_fine(f, object) {
            continue;
        }
        let cfg = Cfg::new(f);
        let Some(starts) = follow(f, &cfg, i, object) else { continue };
        rewrite(f, i, object, &starts);
        count += 1;
    }
    if count > 0 {
        // What was stored and loaded meets here for the first time.
        crate::fold_constants::run(f, ctx);
        crate::eliminate_guards::run(f, ctx);
        crate::fold_constants::run(f, ctx);
    }
    ctx.count("objects_taken_apart", count);
}

/// What is known of the instance at a point: its attributes in the order of their first stores, and its references.
#[derive(Clone, PartialEq)]
struct Shape {
    fields: Vec<(Imm, Value)>,
    refs: u32,
}

impl Shape {
    fn get(&self, place: Imm) -> Option<Value> {
        self.fields.iter().find(|(p, _)| *p == place).map(|(_, v)| *v)
    }

    fn set(&mut self, place: Imm, value: Value) -> Option<Value> {
        match self.fields.iter_mut().find(|(p, _)| *p == place) {
            Some((_, v)) => Some(std::mem::replace(v, value)),
            None => {
                self.fields.push((place, value));
                None
            }
        }
    }
}

/// At a block's start, or after an instruction.
#[derive(Clone, PartialEq)]
enum Known {
    /// Not made yet, gone again, or different on different ways: nothing may speak of it.
    Nothing,
    /// Like this.
    Is(Shape),
}

fn is(f: &Function, v: Value, object: Value) -> bool {
    f.ty(v).is_ref() && root(f, v) == object
}

fn uses_are_fine(f: &Function, object: Value) -> bool {
    let ty = f.ty(object);
    for &i in f.blocks.iter().flat_map(|b| &b.insts) {
        let d = f.inst(i);
        if d.targets.iter().flat_map(|t| &t.args).any(|a| is(f, *a, object)) {
            return false;
        }
        for (k, a) in d.args.iter().enumerate() {
            if !is(f, *a, object) {
                continue;
            }
            let fine = match d.op {
                Op::GuardVersion | Op::VersionAssume => d.result.is_some_and(|r| f.ty(r) == ty),
                Op::GuardShapes => k == 0 && keys_among(f, d, ty).is_some(),
                Op::RefCast | Op::GuardNotNull => {
                    d.result.is_some_and(|r| matches!(f.ty(r), Type::Obj | Type::MaybeNull) || f.ty(r) == ty)
                }
                Op::GuardKeys | Op::IncRef | Op::DecRef | Op::IsNull | Op::VersionIs => true,
                Op::LoadField | Op::SwapField | Op::LoadSlot | Op::SwapSlot => k == 0,
                _ => false,
            };
            if !fine {
                return false;
            }
        }
    }
    true
}

/// The version of attribute keys that a guard of shapes asks of a class of this type; `None` if it does not let it pass.
fn keys_among(f: &Function, d: &stoop_ir::InstData, ty: Type) -> Option<i64> {
    let Type::Heap(version) = ty else { return None };
    let pairs = d.args[1..].chunks_exact(2);
    let mut found = pairs.filter(|p| const_int(f, p[0]) == Some(version.into()));
    const_int(f, found.next()?[1])
}

/// Whether a state, or one it is inlined in, speaks of the instance.
fn mentions(f: &Function, state: State, object: Value) -> bool {
    let mut at = Some(state);
    while let Some(s) = at {
        let s = &f.states[s.index()];
        if s.locals.iter().flatten().any(|v| is(f, *v, object)) || s.stack.iter().any(|e| is(f, e.value, object)) {
            return true;
        }
        at = s.parent;
    }
    false
}

/// The instance at each block's start; `None` if it can't be followed.
fn follow(f: &Function, cfg: &Cfg, new: Inst, object: Value) -> Option<Vec<Known>> {
    let n = f.blocks.len();
    let mut starts: Vec<Option<Known>> = vec![None; n];
    let mut ends: Vec<Option<Known>> = vec![None; n];
    let joined = |ends: &[Option<Known>], b: Block| {
        let mut known: Option<Known> = None;
        for p in cfg.preds(b) {
            match (&known, &ends[p.index()]) {
                (_, None) => {}
                (None, Some(k)) => known = Some(k.clone()),
                (Some(a), Some(k)) if a == k => {}
                _ => return Known::Nothing,
            }
        }
        known.unwrap_or(Known::Nothing)
    };
    for &b in cfg.rpo() {
        let start = joined(&ends, b);
        let mut known = start.clone();
        for &i in &f.blocks[b.index()].insts {
            if i == new {
                known = Known::Is(Shape { fields: Vec::new(), refs: 1 });
                continue;
            }
            step(f, i, object, &mut known)?;
        }
        starts[b.index()] = Some(start);
        ends[b.index()] = Some(known);
    }
    // Loops: what comes round must be what was taken for granted.
    for &b in cfg.rpo() {
        if Some(joined(&ends, b)) != starts[b.index()] {
            return None;
        }
    }
    Some(starts.into_iter().map(|k| k.unwrap_or(Known::Nothing)).collect())
}

/// Follows the instance over an instruction; `None` where it can't be.
fn step(f: &Function, i: Inst, object: Value, known: &mut Known) -> Option<()> {
    let d = f.inst(i);
    let speaks = d.state.is_some_and(|s| mentions(f, s, object));
    let uses = d.args.first().is_some_and(|a| is(f, *a, object));
    if !speaks && !uses {
        return Some(());
    }
    let Known::Is(shape) = known else { return None };
    if d.op.is(Flags::PY) && d.state.is_some_and(|s| frames_show(f, s).any(|v| is(f, v, object))) {
        return None;
    }
    if !uses {
        return Some(());
    }
    match d.op {
        Op::SwapField | Op::SwapSlot => {
            // A value that may be NULL is none.
            if shape.refs != 1 || !matches!(f.ty(d.args[1]), Type::Obj | Type::Exact(_) | Type::Heap(_)) {
                return None;
            }
            shape.set(d.imm, d.args[1]);
        }
        Op::LoadField | Op::LoadSlot => {
            shape.get(d.imm)?;
        }
        Op::IncRef => shape.refs += 1,
        Op::DecRef => {
            shape.refs = shape.refs.checked_sub(1)?;
            if shape.refs == 0 {
                *known = Known::Nothing;
            }
        }
        _ => {}
    }
    Some(())
}

fn rewrite(f: &mut Function, new: Inst, object: Value, starts: &[Known]) {
    let (class, ty) = (f.inst(new).args[0], f.ty(object));
    let mut replace: Vec<Option<Value>> = vec![None; f.values.len()];
    for (b, start) in starts.iter().enumerate() {
        if let Some(s) = f.blocks[b].entry_state
            && mentions(f, s, object)
        {
            // There is no place before the block's start where the description could stand.
            f.blocks[b].entry_state = None;
        }
        let mut known = start.clone();
        let mut described: Option<(Shape, Value)> = None;
        let mut copies: FastMap<State, State> = FastMap::default();
        let insts = std::mem::take(&mut f.blocks[b].insts);
        let mut out: Vec<Inst> = Vec::with_capacity(insts.len());
        for i in insts {
            if i == new {
                known = Known::Is(Shape { fields: Vec::new(), refs: 1 });
                continue;
            }
            let d = f.inst(i).clone();
            let before = known.clone();
            // It was followed once already.
            let followed = step(f, i, object, &mut known);
            debug_assert!(followed.is_some());
            let Known::Is(shape) = before else {
                out.push(i);
                continue;
            };
            if d.args.first().is_some_and(|a| is(f, *a, object)) {
                own_use(f, &d, (class, ty), &shape, &mut replace, &mut out);
                // What may still leave keeps its state.
                if !matches!(d.op, Op::GuardKeys | Op::GuardShapes)
                    || out.last().is_none_or(|l| f.inst(*l).op != Op::GuardClassKeys)
                {
                    continue;
                }
            } else {
                out.push(i);
            }
            let Some(last) = out.last().copied() else { continue };
            let Some(s) = f.inst(last).state.filter(|s| mentions(f, *s, object)) else { continue };
            let value = match &described {
                Some((of, v)) if of.fields == shape.fields => *v,
                _ => {
                    out.pop();
                    let v = describe(f, class, ty, &shape, &mut out);
                    out.push(last);
                    described = Some((shape.clone(), v));
                    copies.clear();
                    v
                }
            };
            let copy = renamed(f, s, object, value, &mut copies);
            f.inst_mut(last).state = Some(copy);
        }
        f.blocks[b].insts = out;
    }
    f.replace_uses(&replace);
}

/// What becomes of an instruction whose first operand the instance is.
fn own_use(
    f: &mut Function,
    d: &stoop_ir::InstData,
    (class, ty): (Value, Type),
    shape: &Shape,
    replace: &mut Vec<Option<Value>>,
    out: &mut Vec<Inst>,
) {
    let result = |replace: &mut Vec<Option<Value>>, v: Value| {
        if let Some(r) = d.result {
            replace[r.index()] = Some(v);
        }
    };
    match d.op {
        Op::LoadField | Op::LoadSlot => result(replace, shape.get(d.imm).expect("followed before")),
        Op::SwapField | Op::SwapSlot => {
            let former = shape.get(d.imm).unwrap_or_else(|| {
                let (i, v) = f.make_inst(Op::ConstNull, &[], Imm::None, Type::Null, None);
                out.push(i);
                v.expect("a constant")
            });
            result(replace, former);
        }
        Op::IncRef | Op::DecRef => {
            for (_, v) in &shape.fields {
                let (j, _) = f.make_inst(d.op, &[*v], Imm::None, Type::Void, None);
                out.push(j);
            }
        }
        Op::IsNull => {
            let (j, v) = f.make_inst(Op::ConstBool, &[], Imm::Int(0), Type::I1, None);
            out.push(j);
            result(replace, v.expect("a constant"));
        }
        Op::VersionIs => {
            let same = matches!((d.imm, ty), (Imm::Int(v), Type::Heap(w)) if v == i64::from(w));
            let (j, v) = f.make_inst(Op::ConstBool, &[], Imm::Int(same.into()), Type::I1, None);
            out.push(j);
            result(replace, v.expect("a constant"));
        }
        Op::GuardShapes => {
            let keys = keys_among(f, d, ty).expect("looked at before");
            if keys != 0 {
                let (j, _) = f.make_inst(Op::GuardClassKeys, &[class], Imm::Int(keys), Type::Void, d.state);
                out.push(j);
            }
        }
        Op::GuardKeys => {
            let (j, _) = f.make_inst(Op::GuardClassKeys, &[class], d.imm, Type::Void, d.state);
            out.push(j);
        }
        // Other names: nothing speaks of them any more but states, which are renamed.
        _ => debug_assert!(!d.op.is(Flags::PY)),
    }
    replace.resize(f.values.len(), None);
}

/// Emits the description of the instance as it is.
fn describe(f: &mut Function, class: Value, ty: Type, shape: &Shape, out: &mut Vec<Inst>) -> Value {
    let mut args = vec![class];
    for (place, v) in &shape.fields {
        let place = match place {
            Imm::Index(k) => i64::from(*k),
            Imm::Int(offset) => -*offset,
            _ => unreachable!("attributes have an index or an offset"),
        };
        let (i, at) = f.make_inst(Op::ConstInt, &[], Imm::Int(place), Type::I64, None);
        out.push(i);
        args.extend([at.expect("a constant"), *v]);
    }
    let (i, v) = f.make_inst(Op::VirtualObject, &args, Imm::None, ty, None);
    out.push(i);
    debug_assert!(f.ty(class) == Type::Exact(Class::Type) || f.ty(class) == Type::Obj);
    v.expect("a description")
}

/// A copy of a state, and of those it is inlined in, that names the description.
fn renamed(f: &mut Function, s: State, object: Value, value: Value, copies: &mut FastMap<State, State>) -> State {
    if !mentions(f, s, object) {
        return s;
    }
    if let Some(c) = copies.get(&s) {
        return *c;
    }
    let mut copy = f.states[s.index()].clone();
    for v in copy.locals.iter_mut().flatten() {
        if is(f, *v, object) {
            *v = value;
        }
    }
    for e in &mut copy.stack {
        if is(f, e.value, object) {
            e.value = value;
        }
    }
    copy.parent = copy.parent.map(|p| renamed(f, p, object, value, copies));
    let c = f.add_state(copy);
    copies.insert(s, c);
    c
}
