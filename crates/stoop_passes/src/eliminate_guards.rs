//! Eliminate guards: guards whose outcome is known are removed.
//!
//! Facts come from guards passed on the way (dominating ones) and from the branch edge that leads to a block; classes
//! of parameters from all that flows into them. Sound because an object never stops being an exact instance of a
//! built-in class (CPython refuses the assignment of `__class__` there); that a type has some version holds only until
//! something runs Python code; a truth value is a value in SSA form and stays what it was.

use stoop_ir::cfg::Cfg;
use stoop_ir::{Block, Function, Imm, Inst, Op, Type, Value};

use crate::memory::{Effects, IDENTITY, Versions};
use crate::pipeline::PassContext;
use crate::util::{FastMap, Replacements, const_bool, const_int, remove_insts, root};

/// Runs the pass.
pub fn run(func: &mut Function, ctx: &mut PassContext) {
    ctx.count("params_refined", refine_params(func));
    let cfg = Cfg::new(func);
    let effects = Effects::new(func);
    let mut walk = Walk {
        versions: Versions::new(func, &cfg, &effects),
        replace: Replacements::new(func),
        dead: vec![false; func.insts.len()],
        facts: Facts::default(),
        at: func.entry(),
        cfg,
        removed: 0,
    };
    for b in walk.cfg.dom_preorder() {
        walk.at = b;
        walk.versions.enter(&walk.cfg, b);
        walk.edge_facts(func, b);
        for k in 0..func.blocks[b.index()].insts.len() {
            let i = func.blocks[b.index()].insts[k];
            walk.visit(func, i);
            walk.versions.write(effects.writes(i));
        }
        walk.versions.leave(b);
    }
    let Walk { mut replace, dead, removed, .. } = walk;
    replace.apply(func);
    remove_insts(func, |i| dead[i.index()]);
    ctx.count("guards_removed", removed);
}

/// Versions, each with that of the shared keys, or 0.
type Shapes = Vec<(i64, i64)>;

/// What is known, with the block from whose dominance region it is known on.
#[derive(Default)]
struct Facts {
    truth: FastMap<Value, (Block, bool)>,
    not_null: FastMap<Value, Block>,
    class: FastMap<Value, (Block, Value)>,
    version: FastMap<Value, (Block, u32, Value)>,
    /// Versions and keys of which an object's type has one.
    shapes: FastMap<Value, (Block, u32, Shapes)>,
}

struct Walk {
    cfg: Cfg,
    versions: Versions,
    replace: Replacements,
    dead: Vec<bool>,
    facts: Facts,
    at: Block,
    removed: usize,
}

impl Walk {
    /// What the one edge that leads to a block tells.
    fn edge_facts(&mut self, func: &Function, b: Block) {
        let [p] = self.cfg.preds(b) else { return };
        let Some(t) = func.terminator(*p).filter(|t| func.inst(*t).op == Op::Branch) else { return };
        let d = func.inst(t);
        let cond = self.replace.find(d.args[0]);
        self.learn(func, cond, d.targets[0].block == b);
    }

    fn learn(&mut self, func: &Function, mut cond: Value, mut truth: bool) {
        while let Some(i) = func.def_inst(cond).filter(|i| func.inst(*i).op == Op::BoolNot) {
            cond = self.replace.find(func.inst(i).args[0]);
            truth = !truth;
        }
        if self.known(func, cond).is_some() {
            return;
        }
        self.facts.truth.insert(cond, (self.at, truth));
        if let Some(i) = func.def_inst(cond)
            && func.inst(i).op == Op::IsNull
            && !truth
        {
            let r = self.root(func, func.inst(i).args[0]);
            self.facts.not_null.insert(r, self.at);
        }
    }

    fn known(&mut self, func: &Function, cond: Value) -> Option<bool> {
        let cond = self.replace.find(cond);
        if let Some(i) = func.def_inst(cond).filter(|i| func.inst(*i).op == Op::BoolNot) {
            return self.known(func, func.inst(i).args[0]).map(|t| !t);
        }
        let fact = self.facts.truth.get(&cond).filter(|(b, _)| self.cfg.dominates(*b, self.at)).map(|(_, t)| *t);
        fact.or_else(|| const_bool(func, cond))
    }

    fn root(&mut self, func: &Function, v: Value) -> Value {
        let v = self.replace.find(v);
        // What guards yield may have been replaced on the way, but never by another object.
        root(func, v)
    }

    fn is_not_null(&self, func: &Function, r: Value) -> bool {
        !matches!(func.ty(r), Type::MaybeNull | Type::Null)
            || self.facts.not_null.get(&r).is_some_and(|b| self.cfg.dominates(*b, self.at))
    }

    fn visit(&mut self, func: &mut Function, i: Inst) {
        match func.inst(i).op {
            Op::GuardClass => self.class_guard(func, i),
            Op::GuardVersion => self.version_guard(func, i),
            Op::GuardShapes => self.shapes_guard(func, i),
            Op::VersionAssume => {
                if let Some(result) = func.inst(i).result {
                    let r = self.root(func, result);
                    self.facts.version.insert(r, (self.at, self.versions.of(IDENTITY), result));
                }
            }
            Op::VersionIs => {
                let r = self.root(func, func.inst(i).args[0]);
                if let (Some(v), Imm::Int(wanted)) = (self.version(func, r), func.inst(i).imm) {
                    become_bool(func, i, i64::from(v) == wanted);
                }
            }
            Op::GuardNotNull => self.null_guard(func, i),
            Op::GuardTrue | Op::GuardFalse => {
                let d = func.inst(i);
                let (cond, want) = (d.args[0], d.op == Op::GuardTrue);
                if self.known(func, cond) == Some(want) {
                    self.remove(i);
                } else {
                    let cond = self.replace.find(cond);
                    self.learn(func, cond, want);
                }
            }
            Op::NewObject => self.fresh(func, i),
            Op::DecRef => self.drop_as(func, i, 0),
            Op::StoreLocal => self.drop_as(func, i, 1),
            Op::IsNull => {
                let r = self.root(func, func.inst(i).args[0]);
                if self.is_not_null(func, r) {
                    become_bool(func, i, false);
                }
            }
            Op::Branch => {
                if let Some(truth) = self.known(func, func.inst(i).args[0]) {
                    let d = func.inst_mut(i);
                    d.targets.swap_remove(usize::from(truth));
                    d.op = Op::Jump;
                    d.args.clear();
                    self.removed += 1;
                }
            }
            _ => {}
        }
    }

    /// Lets a drop name its object by what a guard made of it, if dropping such an object runs no Python code.
    fn drop_as(&mut self, func: &mut Function, i: Inst, operand: usize) {
        let v = func.inst(i).args[operand];
        if !func.ty(v).is_ref() || func.ty(v).drop_is_silent() {
            return;
        }
        let r = self.root(func, v);
        if let Some((_, known)) = self.facts.class.get(&r).copied().filter(|(b, _)| self.cfg.dominates(*b, self.at))
            && func.ty(known).drop_is_silent()
        {
            func.inst_mut(i).args[operand] = known;
        }
    }

    fn remove(&mut self, i: Inst) {
        self.dead[i.index()] = true;
        self.removed += 1;
    }

    fn remove_for(&mut self, i: Inst, result: Value, by: Value) {
        self.replace.set(result, by);
        self.remove(i);
    }

    fn class_guard(&mut self, func: &mut Function, i: Inst) {
        let Some(result) = func.inst(i).result else { return };
        let (arg, want) = (self.replace.find(func.inst(i).args[0]), func.ty(result));
        let r = self.root(func, arg);
        if func.ty(arg) == want {
            return self.remove_for(i, result, arg);
        }
        if func.ty(r) == want {
            return self.remove_for(i, result, r);
        }
        if let Some((_, known)) = self.facts.class.get(&r).copied().filter(|(b, _)| self.cfg.dominates(*b, self.at))
            && func.ty(known) == want
        {
            return self.remove_for(i, result, known);
        }
        self.facts.class.insert(r, (self.at, result));
        self.facts.not_null.insert(r, self.at);
    }

    fn version_guard(&mut self, func: &mut Function, i: Inst) {
        let Some(result) = func.inst(i).result else { return };
        let r = self.root(func, func.inst(i).args[0]);
        let now = self.versions.of(IDENTITY);
        if let Some((b, version, known)) = self.facts.version.get(&r).copied()
            && self.cfg.dominates(b, self.at)
            && version == now
            && func.ty(known) == func.ty(result)
        {
            return self.remove_for(i, result, known);
        }
        self.facts.version.insert(r, (self.at, now, result));
        self.facts.not_null.insert(r, self.at);
    }

    /// A fresh instance has its class's version.
    fn fresh(&mut self, func: &Function, i: Inst) {
        if let Some(r) = func.inst(i).result {
            let now = self.versions.of(IDENTITY);
            self.facts.version.insert(r, (self.at, now, r));
        }
    }

    /// The version that an object's type is known to have here.
    fn version(&self, func: &Function, r: Value) -> Option<u32> {
        let (b, version, known) = self.facts.version.get(&r).copied()?;
        match func.ty(known) {
            Type::Heap(v) if self.cfg.dominates(b, self.at) && version == self.versions.of(IDENTITY) => Some(v),
            _ => None,
        }
    }

    fn shapes_guard(&mut self, func: &Function, i: Inst) {
        let d = func.inst(i);
        let r = self.root(func, d.args[0]);
        let numbers: Option<Vec<i64>> = d.args[1..].iter().map(|v| const_int(func, *v)).collect();
        let Some(numbers) = numbers else { return };
        let wanted: Shapes = numbers.chunks(2).map(|p| (p[0], p[1])).collect();
        if let Some(v) = self.version(func, r)
            && wanted.contains(&(v.into(), 0))
        {
            return self.remove(i);
        }
        let now = self.versions.of(IDENTITY);
        if let Some((b, version, known)) = self.facts.shapes.get(&r)
            && self.cfg.dominates(*b, self.at)
            && *version == now
            && known.iter().all(|(v, keys)| wanted.contains(&(*v, *keys)) || wanted.contains(&(*v, 0)))
        {
            return self.remove(i);
        }
        self.facts.shapes.insert(r, (self.at, now, wanted));
        self.facts.not_null.insert(r, self.at);
    }

    fn null_guard(&mut self, func: &mut Function, i: Inst) {
        let Some(result) = func.inst(i).result else { return };
        let arg = self.replace.find(func.inst(i).args[0]);
        let r = self.root(func, arg);
        if func.ty(arg).is_subtype_of(func.ty(result)) {
            self.remove_for(i, result, arg);
        } else if self.is_not_null(func, r) {
            // The name that the fact is known by may be typed worse than the result.
            let d = func.inst_mut(i);
            d.op = Op::RefCast;
            d.state = None;
            self.removed += 1;
        } else {
            self.facts.not_null.insert(r, self.at);
        }
    }
}

fn become_bool(func: &mut Function, i: Inst, truth: bool) {
    let d = func.inst_mut(i);
    d.op = Op::ConstBool;
    d.args.clear();
    d.imm = Imm::Int(truth.into());
}

/// Gives reference parameters the best type that all their arguments have; says how many got a better one.
///
/// Optimistic: parameters that only feed each other (in loops) count as what flows in from outside.
fn refine_params(func: &mut Function) -> usize {
    let mut edges: Vec<(Value, Value)> = Vec::new();
    for b in &func.blocks {
        let Some(t) = b.insts.last() else { continue };
        for t in &func.inst(*t).targets {
            let params = &func.blocks[t.block.index()].params;
            edges.extend(params.iter().copied().zip(t.args.iter().copied()).filter(|(p, a)| p != a && func.ty(*p).is_ref()));
        }
    }
    let mut types: Vec<Option<Type>> = func.values.iter().map(|v| Some(v.ty)).collect();
    for (p, _) in &edges {
        types[p.index()] = None;
    }
    let mut changed = true;
    while changed {
        changed = false;
        for (p, a) in &edges {
            let Some(incoming) = types[a.index()] else { continue };
            let joined = types[p.index()].map_or(incoming, |t| t.join(incoming));
            if types[p.index()] != Some(joined) {
                types[p.index()] = Some(joined);
                changed = true;
            }
        }
    }
    let mut refined = 0;
    for (p, _) in &edges {
        let (old, new) = (func.ty(*p), types[p.index()]);
        let better = match new {
            // That a type has a version does not hold for ever: a parameter must not carry it on.
            Some(Type::Heap(_)) => Type::Obj,
            Some(t @ (Type::Exact(_) | Type::Obj)) => t,
            _ => continue,
        };
        if better != old && better.is_subtype_of(old) {
            func.values[p.index()].ty = better;
            refined += 1;
        }
    }
    refined
}
