//! What instructions really read and write, and which version of memory a point of the code sees.
//!
//! The op table speaks of an operation alone. Dropping the last reference to an object may run a finaliser, so
//! what a drop writes depends on the type of what is dropped: that is worked out here, once for all passes.

use stoop_ir::cfg::Cfg;
use stoop_ir::{Block, Function, Hint, Inst, Mem, Op, Value};

use crate::util::root;

/// What only running Python code changes: an object's class, a function's code.
pub const IDENTITY: Mem = Mem(0x8000);

/// The sizes of lists: most stores change items only.
pub const LENGTHS: Mem = Mem(0x4000);

/// How far back the value that a store overwrites is looked for.
const LOOK_BACK: usize = 64;

/// Memory that an instruction's result or exit depends on.
pub fn reads(func: &Function, inst: Inst) -> Mem {
    let op = func.inst(inst).op;
    match op {
        Op::ListLen | Op::ListData | Op::ItemsData => LENGTHS,
        // A class's shared keys grow, and an object gets a dict, only where Python code runs: stores into attributes that
        // are there already change neither.
        Op::GuardVersion
        | Op::GuardFuncVersion
        | Op::GuardKeys
        | Op::GuardClassKeys
        | Op::GuardShapes
        | Op::VersionIs
        | Op::GuardClassVersion
        | Op::TypeOf
        | Op::IsInstance => IDENTITY,
        // Numbers are immutable. What overwrites a box in place knows that nobody looks at its old value later, so an
        // earlier unboxing is as good as this one; only moving one down past such a store would be wrong, and no
        // pass does that.
        Op::UnboxInt | Op::UnboxFloat | Op::NumToFloat => Mem::NONE,
        _ => op.info().reads,
    }
}

/// What each instruction writes, finalisers included.
pub struct Effects {
    writes: Vec<Mem>,
    blocks: Vec<Mem>,
}

impl Effects {
    /// Looks at a function.
    pub fn new(func: &Function) -> Effects {
        let mut out = Effects { writes: vec![Mem::NONE; func.insts.len()], blocks: vec![Mem::NONE; func.blocks.len()] };
        for (b, data) in func.blocks.iter().enumerate() {
            for (k, &i) in data.insts.iter().enumerate() {
                let w = writes(func, &data.insts, k);
                out.writes[i.index()] = w;
                out.blocks[b] = out.blocks[b].or(w);
            }
        }
        out
    }
    /// What an instruction writes.
    pub fn writes(&self, i: Inst) -> Mem {
        self.writes[i.index()]
    }
    /// What a block's instructions write together.
    pub fn block(&self, b: Block) -> Mem {
        self.blocks[b.index()]
    }
}

fn writes(func: &Function, insts: &[Inst], k: usize) -> Mem {
    let d = func.inst(insts[k]);
    let table = d.op.info().writes;
    let drops = |v: Value| if func.drop_is_silent(v) || d.hint == Hint::Leave { table } else { Mem::ALL };
    match d.op {
        Op::DecRef => drops(d.args[0]),
        Op::StoreLocal => drops(d.args[1]),
        // At the end they drop what they iterate over.
        Op::ListIterNext | Op::TupleIterNext => Mem::ALL,
        Op::ListSetFloat
        | Op::ListSetInt
        | Op::SetFieldFloat
        | Op::SetFieldInt
        | Op::SetSlotFloat
        | Op::SetSlotInt
        | Op::DictSet => {
            if former_is_silent(func, insts, k) {
                table
            } else {
                Mem::ALL
            }
        }
        Op::ListSwap | Op::ListReversePrefix => table,
        _ if table.meets(Mem::LIST) => table.or(LENGTHS),
        _ => table,
    }
}

/// Whether what the store at `k` overwrites is known to be an object without a finaliser: it was loaded and its
/// class guarded in this block, and nothing was stored since (`a[i] += x`).
fn former_is_silent(func: &Function, insts: &[Inst], k: usize) -> bool {
    let store = func.inst(insts[k]);
    let (load, region) = match store.op {
        Op::ListSetFloat | Op::ListSetInt => (Op::ListItem, Mem::LIST),
        Op::SetSlotFloat | Op::SetSlotInt => (Op::LoadSlot, Mem::ATTR),
        Op::DictSet => (Op::DictLoad, Mem::DICT.or(Mem::ATTR)),
        _ => (Op::LoadField, Mem::ATTR),
    };
    let mut silent = Vec::new();
    for &i in insts[..k].iter().rev().take(LOOK_BACK) {
        let d = func.inst(i);
        if let (Op::GuardClass | Op::RefCast, Some(r)) = (d.op, d.result)
            && func.ty(r).drop_is_silent()
        {
            silent.push(root(func, r));
        }
        let loads = d.op == load || d.op == Op::ListLoad && load == Op::ListItem;
        let same_place = loads
            && d.imm == store.imm
            && root(func, d.args[0]) == root(func, store.args[0])
            && (load != Op::ListItem || d.args[1] == store.args[1])
            && (load != Op::DictLoad || d.args[1] == store.args[3]);
        if let (true, Some(r)) = (same_place, d.result) {
            return func.ty(r).drop_is_silent() || silent.contains(&r);
        }
        let drops_noisily = match d.op {
            _ if d.hint == Hint::Leave => false,
            Op::DecRef => !func.drop_is_silent(d.args[0]),
            Op::StoreLocal => !func.drop_is_silent(d.args[1]),
            _ => false,
        };
        if drops_noisily || d.op.info().writes.meets(region) {
            return false;
        }
    }
    false
}

/// Numbers for the versions of memory along a walk over the dominator tree.
///
/// Two points, the first dominating the second, see the same contents of some regions if [`Versions::of`] gives the
/// same number for them.
pub struct Versions {
    /// What may be written between the end of a block's immediate dominator and its start.
    between: Vec<Mem>,
    at_end: Vec<[u32; 16]>,
    now: [u32; 16],
    clock: u32,
}

impl Versions {
    /// Prepares a walk.
    pub fn new(func: &Function, cfg: &Cfg, effects: &Effects) -> Versions {
        Versions { between: between(func, cfg, effects), at_end: vec![[0; 16]; func.blocks.len()], now: [0; 16], clock: 0 }
    }
    /// Goes to a block's start. Its immediate dominator must have been left by [`Versions::leave`].
    pub fn enter(&mut self, cfg: &Cfg, b: Block) {
        if let Some(d) = cfg.idom(b) {
            self.now = self.at_end[d.index()];
        }
        self.write(self.between[b.index()]);
    }
    /// Passes something that writes.
    pub fn write(&mut self, mem: Mem) {
        if mem == Mem::NONE {
            return;
        }
        self.clock += 1;
        for (bit, v) in self.now.iter_mut().enumerate() {
            if mem.0 & (1 << bit) != 0 {
                *v = self.clock;
            }
        }
    }
    /// The version of some regions; 0 for none.
    ///
    /// The newest number stands for all: whatever is written later on the way gets a newer one still.
    pub fn of(&self, mem: Mem) -> u32 {
        self.now.iter().enumerate().filter(|(bit, _)| mem.0 & (1 << bit) != 0).map(|(_, v)| *v).max().unwrap_or(0)
    }
    /// Ends a block.
    pub fn leave(&mut self, b: Block) {
        self.at_end[b.index()] = self.now;
    }
}

fn between(func: &Function, cfg: &Cfg, effects: &Effects) -> Vec<Mem> {
    let mut out = vec![Mem::NONE; func.blocks.len()];
    let mut mark = vec![u32::MAX; func.blocks.len()];
    // Deep nests would make this quadratic; beyond the budget everything counts as written.
    let mut budget = 16 * func.blocks.len() + 64;
    for &b in cfg.rpo() {
        let Some(idom) = cfg.idom(b) else { continue };
        let mut work: Vec<Block> = cfg.preds(b).to_vec();
        let mut mem = Mem::NONE;
        while let Some(p) = work.pop() {
            if p == idom || mark[p.index()] == b.0 || mem == Mem::ALL {
                continue;
            }
            mark[p.index()] = b.0;
            if budget == 0 {
                mem = Mem::ALL;
                continue;
            }
            budget -= 1;
            mem = mem.or(effects.block(p));
            work.extend_from_slice(cfg.preds(p));
        }
        out[b.index()] = mem;
    }
    out
}
