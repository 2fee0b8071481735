//! Eliminate common subexpressions: what was computed on the way already is not computed again.
//!
//! Loads of what a store on the way put there are forwarded: the reference itself, or, after a store by value, the
//! number that would be unboxed.
//!
//! Walks the dominator tree with a table of what is available. Sound because the earlier instruction dominates the
//! later one, has the same operands, and sees the same version of the memory it reads; an operation that did not
//! leave the first time does not leave the second time, so the two may carry different states. Operations that yield
//! a new reference are never shared: each result owns one. A forwarded store dominates the load, and nothing wrote its
//! region since.

use stoop_ir::cfg::Cfg;
use stoop_ir::{Block, Flags, Function, Imm, Inst, Mem, Op, Ret, Type, Value};

use crate::memory::{Effects, Versions, reads};
use crate::pipeline::PassContext;
use crate::util::{FastMap, Replacements, remove_insts, root};

/// What makes two instructions the same.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    op: u32,
    imm: (u8, u64),
    args: [u32; 3],
    ty: Type,
    memory: u32,
}

/// A place in memory that a store and a load both name: the load's operation, object, position or index.
type Place = (u32, u32, u32, (u8, u64));

/// What a store put into a place.
#[derive(Clone, Copy)]
struct Stored {
    by: Block,
    /// The version of the place's region right after the store.
    version: u32,
    value: Value,
}

struct Walk {
    cfg: Cfg,
    versions: Versions,
    replace: Replacements,
    dead: Vec<bool>,
    // An entry whose block does not dominate the present one belongs to a finished part of the tree.
    table: FastMap<Key, (Block, Option<Value>)>,
    stores: FastMap<Place, Stored>,
    /// Loaded references whose number is known, because a store by value put it there.
    numbers: FastMap<Value, Value>,
    /// Loads of such references, and the casts that guards of them have become.
    known: Vec<Inst>,
    shared: usize,
    forwarded: usize,
}

/// Runs the pass.
pub fn run(func: &mut Function, ctx: &mut PassContext) {
    let cfg = Cfg::new(func);
    let effects = Effects::new(func);
    let mut w = Walk {
        versions: Versions::new(func, &cfg, &effects),
        replace: Replacements::new(func),
        dead: vec![false; func.insts.len()],
        table: FastMap::default(),
        stores: FastMap::default(),
        numbers: FastMap::default(),
        known: Vec::new(),
        shared: 0,
        forwarded: 0,
        cfg,
    };
    for b in w.cfg.dom_preorder() {
        w.versions.enter(&w.cfg, b);
        for k in 0..func.blocks[b.index()].insts.len() {
            let i = func.blocks[b.index()].insts[k];
            if !w.share(func, b, i) {
                w.forward(func, b, i);
            }
            w.versions.write(effects.writes(i));
            w.note_store(func, b, i);
        }
        w.versions.leave(b);
    }
    let Walk { mut replace, mut dead, known, shared, forwarded, .. } = w;
    if shared + forwarded > 0 {
        replace.apply(func);
        mark_unused(func, &known, &mut dead);
        remove_insts(func, |i| dead[i.index()]);
    }
    ctx.count("subexpressions_shared", shared);
    ctx.count("loads_forwarded", forwarded);
}

impl Walk {
    /// Replaces an instruction by an earlier one, if there is one.
    fn share(&mut self, func: &Function, b: Block, i: Inst) -> bool {
        let d = func.inst(i);
        if !is_shareable(d.op, d.args.len()) {
            return false;
        }
        let key = key(func, i, &mut self.replace, &self.versions);
        match self.table.get(&key) {
            Some((at, earlier)) if self.cfg.dominates(*at, b) => {
                if let (Some(r), Some(e)) = (d.result, earlier) {
                    self.replace.set(r, *e);
                }
                self.dead[i.index()] = true;
                self.shared += 1;
                true
            }
            _ => {
                self.table.insert(key, (b, d.result));
                false
            }
        }
    }

    /// Lets a load, or what takes a loaded number out of its box, use what a store on the way put there.
    fn forward(&mut self, func: &mut Function, b: Block, i: Inst) {
        let d = func.inst(i);
        let Some(r) = d.result else { return };
        match d.op {
            Op::ListItem | Op::ListLoad | Op::LoadField | Op::LoadSlot => {
                let load = if d.op == Op::ListLoad { Op::ListItem } else { d.op };
                let place = self.place(func, i, load);
                let version = self.versions.of(reads(func, i));
                let stored = self.stores.get(&place).filter(|s| s.version == version && self.cfg.dominates(s.by, b));
                let Some(value) = stored.map(|s| s.value) else { return };
                if func.ty(value).is_unboxed() {
                    self.numbers.insert(r, value);
                    self.known.push(i);
                } else if func.ty(value).is_subtype_of(func.ty(r)) {
                    self.replace_by(i, r, value);
                }
            }
            Op::GuardClass => {
                let Some(v) = self.number(func, d.args[0]) else { return };
                if func.ty(v).boxed() == func.ty(r) {
                    let d = func.inst_mut(i);
                    d.op = Op::RefCast;
                    d.state = None;
                    self.known.push(i);
                    self.forwarded += 1;
                }
            }
            Op::UnboxInt | Op::UnboxFloat => {
                let Some(v) = self.number(func, d.args[0]) else { return };
                if func.ty(v) == func.ty(r) {
                    self.replace_by(i, r, v);
                }
            }
            _ => {}
        }
    }

    fn replace_by(&mut self, i: Inst, result: Value, value: Value) {
        self.replace.set(result, value);
        self.dead[i.index()] = true;
        self.forwarded += 1;
    }

    fn number(&mut self, func: &Function, v: Value) -> Option<Value> {
        let v = self.replace.find(v);
        self.numbers.get(&root(func, v)).copied()
    }

    fn place(&mut self, func: &Function, i: Inst, load: Op) -> Place {
        let d = func.inst(i);
        let object = self.replace.find(d.args[0]);
        let position = if load == Op::ListItem { self.replace.find(d.args[1]).0 } else { 0 };
        (load as u32, root(func, object).0, position, imm_key(d.imm))
    }

    /// Remembers what a store puts where. To be called after its effect on memory.
    fn note_store(&mut self, func: &Function, b: Block, i: Inst) {
        let d = func.inst(i);
        let (load, region) = match d.op {
            Op::ListSetFloat | Op::ListSetInt | Op::ListSwap => (Op::ListItem, Mem::LIST),
            Op::SetFieldFloat | Op::SetFieldInt | Op::SwapField | Op::InitField => (Op::LoadField, Mem::ATTR),
            Op::SetSlotFloat | Op::SetSlotInt | Op::SwapSlot | Op::InitSlot => (Op::LoadSlot, Mem::ATTR),
            _ => return,
        };
        let place = self.place(func, i, load);
        let value = self.replace.find(d.args[d.args.len() - 1]);
        self.stores.insert(place, Stored { by: b, version: self.versions.of(region), value });
    }
}

/// Marks forwarded loads that nobody looks at any more. They can't leave: the store before them did not.
fn mark_unused(func: &Function, known: &[Inst], dead: &mut [bool]) {
    if known.is_empty() {
        return;
    }
    let mut uses = vec![0u32; func.values.len()];
    for s in &func.states {
        s.locals.iter().flatten().copied().chain(s.stack.iter().map(|e| e.value)).for_each(|v| uses[v.index()] += 1);
    }
    for &i in func.blocks.iter().flat_map(|b| &b.insts).filter(|i| !dead[i.index()]) {
        let d = func.inst(i);
        d.args.iter().chain(d.targets.iter().flat_map(|t| &t.args)).for_each(|v| uses[v.index()] += 1);
    }
    // Casts come after what they cast.
    for &i in known.iter().rev() {
        let d = func.inst(i);
        if !dead[i.index()] && d.result.is_some_and(|r| uses[r.index()] == 0) {
            dead[i.index()] = true;
            d.args.iter().for_each(|v| uses[v.index()] -= 1);
        }
    }
}

fn is_shareable(op: Op, args: usize) -> bool {
    let info = op.info();
    let excluded = [Flags::PINNED, Flags::TERM, Flags::PY, Flags::RAISE];
    // Each stands for a tuple of its own.
    if matches!(op, Op::VirtualTuple | Op::VirtualObject) {
        return false;
    }
    info.writes == Mem::NONE && info.ret != Ret::New && args <= 3 && !excluded.iter().any(|f| info.flags.has(*f))
}

fn key(func: &Function, i: Inst, replace: &mut Replacements, versions: &Versions) -> Key {
    let d = func.inst(i);
    let mut args = [u32::MAX; 3];
    for (k, a) in d.args.iter().enumerate() {
        args[k] = replace.find(*a).0;
    }
    // Float sums and products are left as they are: which operand's NaN survives depends on the order.
    if matches!(d.op, Op::IntAdd | Op::IntMul | Op::IntAnd | Op::IntOr | Op::IntXor | Op::ObjIs | Op::GuardIs) {
        args.sort_unstable();
    }
    let ty = d.result.map_or(Type::Void, |r| func.ty(r));
    Key { op: d.op as u32, imm: imm_key(d.imm), args, ty, memory: versions.of(reads(func, i)) }
}

fn imm_key(imm: Imm) -> (u8, u64) {
    match imm {
        Imm::None => (0, 0),
        Imm::Int(i) => (1, i as u64),
        Imm::Float(bits) => (2, bits),
        Imm::Const(c) => (3, c.0.into()),
        Imm::Index(i) => (4, i.into()),
        Imm::Name(n) => (5, n.0.into()),
        Imm::Bin(o) => (6, o as u64),
        Imm::Un(o) => (7, o as u64),
        Imm::Cmp(o) => (8, o as u64),
    }
}
