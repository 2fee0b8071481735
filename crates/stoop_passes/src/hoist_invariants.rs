//! Hoist invariants: what is the same in each iteration of a loop is computed before it.
//!
//! Each loop gets one block before its header. What may leave moves there only from blocks that every iteration
//! passes, and takes the header's entry state: leaving there goes on in the interpreter at the loop's start, which
//! is right whether or not the loop would have come to it. Reads of memory move only where no instruction of the
//! loop writes that memory. Casts stay: they say what a branch inside the loop has found out.

use stoop_ir::cfg::{Cfg, Loops};
use stoop_ir::{Block, Flags, Function, Inst, Mem, Op, Ret, State, Target, Value};

use crate::memory::{Effects, reads};
use crate::pipeline::PassContext;
use crate::util::substitute;

/// Runs the pass.
pub fn run(func: &mut Function, ctx: &mut PassContext) {
    let cfg = Cfg::new(func);
    let loops = Loops::new(func, &cfg);
    if loops.loops.is_empty() {
        return;
    }
    let headers: Vec<Block> = loops.loops.iter().map(|l| l.header).collect();
    for l in &loops.loops {
        if !has_preheader(func, &cfg, l.header) {
            make_preheader(func, &cfg, l.header);
        }
    }
    // The blocks' numbers stand, but there are new ones.
    let cfg = Cfg::new(func);
    let loops = Loops::new(func, &cfg);
    debug_assert_eq!(headers.len(), loops.loops.len());
    let effects = Effects::new(func);
    let mut place: Vec<Option<Block>> = vec![None; func.values.len()];
    for &b in cfg.rpo() {
        let data = &func.blocks[b.index()];
        let results = data.insts.iter().filter_map(|i| func.inst(*i).result);
        data.params.iter().copied().chain(results).for_each(|v| place[v.index()] = Some(b));
    }
    // Inner loops first: what leaves an inner loop may leave the outer one as well.
    let mut hoisted = 0;
    for l in (0..loops.loops.len()).rev() {
        hoisted += hoist(func, &cfg, &loops, l, &effects, &mut place);
    }
    ctx.count("invariants_hoisted", hoisted);
}

/// The blocks outside a loop that lead into it.
fn outside<'a>(cfg: &'a Cfg, header: Block) -> impl Iterator<Item = Block> + 'a {
    cfg.preds(header).iter().copied().filter(move |p| !cfg.dominates(header, *p))
}

/// Whether one block leads into a loop and nowhere else.
fn has_preheader(func: &Function, cfg: &Cfg, header: Block) -> bool {
    let mut before = outside(cfg, header);
    let only = before.next().filter(|_| before.next().is_none());
    only.and_then(|b| func.terminator(b)).is_some_and(|t| func.inst(t).op == Op::Jump)
}

/// Makes the edges into a loop lead through one new block that does nothing else.
pub(crate) fn make_preheader(func: &mut Function, cfg: &Cfg, header: Block) -> Block {
    let mut outside: Vec<Block> = outside(cfg, header).collect();
    outside.dedup();
    let before = func.add_block();
    let params = func.blocks[header.index()].params.clone();
    let args: Vec<Value> = params.iter().map(|p| func.add_param(before, func.ty(*p))).collect();
    if let Some(s) = func.blocks[header.index()].entry_state {
        let mut shown = Vec::new();
        let s = substitute(func, s, header, &args, &mut shown);
        func.blocks[before.index()].insts = shown;
        func.blocks[before.index()].entry_state = Some(s);
    }
    let (jump, _) = func.make_inst(Op::Jump, &[], stoop_ir::Imm::None, stoop_ir::Type::Void, None);
    func.inst_mut(jump).targets.push(Target { block: header, args });
    func.blocks[before.index()].insts.push(jump);
    for p in outside {
        if let Some(t) = func.terminator(p) {
            func.inst_mut(t).targets.iter_mut().filter(|t| t.block == header).for_each(|t| t.block = before);
        }
    }
    before
}

fn hoist(func: &mut Function, cfg: &Cfg, loops: &Loops, l: usize, effects: &Effects, place: &mut [Option<Block>]) -> usize {
    let this = &loops.loops[l];
    let Some(before) = cfg.preds(this.header).iter().copied().find(|p| !cfg.dominates(this.header, *p)) else { return 0 };
    let written = this.blocks.iter().fold(Mem::NONE, |m, b| m.or(effects.block(*b)));
    let mut state = None;
    let mut hoisted = Vec::new();
    for &b in &this.blocks {
        let always = this.latches.iter().all(|latch| cfg.dominates(b, *latch));
        let insts = std::mem::take(&mut func.blocks[b.index()].insts);
        let mut kept = Vec::with_capacity(insts.len());
        for i in insts {
            let d = func.inst(i);
            // Defined outside, or moved there already.
            let invariant = d.args.iter().all(|a| place[a.index()].is_some_and(|p| !loops.contains(l, p)));
            if !invariant || !may_move(func, i, always, written) {
                kept.push(i);
                continue;
            }
            if d.op.is(Flags::EXIT) {
                let Some(s) = state.or_else(|| entry_of(func, this.header, before)) else {
                    kept.push(i);
                    continue;
                };
                state = Some(s);
                let from = func.inst(i).state.map(|s| &func.states[s.index()]).map(|s| (s.code, s.unit));
                let moved = func.inst_mut(i);
                moved.asked = moved.asked.or(from);
                moved.state = Some(s);
            }
            if let Some(r) = func.inst(i).result {
                place[r.index()] = Some(before);
            }
            hoisted.push(i);
        }
        func.blocks[b.index()].insts = kept;
    }
    let n = hoisted.len();
    let insts = &mut func.blocks[before.index()].insts;
    let end = insts.len() - 1;
    insts.splice(end..end, hoisted);
    n
}

fn may_move(func: &Function, i: Inst, always: bool, written: Mem) -> bool {
    let op = func.inst(i).op;
    let info = op.info();
    let excluded = [Flags::RAISE, Flags::PY, Flags::TERM, Flags::PINNED];
    if info.writes != Mem::NONE || info.ret == Ret::New || excluded.iter().any(|f| info.flags.has(*f)) {
        return false;
    }
    match op {
        // It speaks of the call right before it; a cast of what a branch has found out; no code at all.
        // Whether a key is there is no matter of what the code was made for.
        Op::DictLoad => false,
        Op::PyMethodSelf | Op::RefCast | Op::VirtualTuple | Op::VirtualRange | Op::VirtualIter | Op::VirtualObject => false,
        // Reads through references: from where the loop always comes to, as long as nobody writes there.
        Op::TupleLen | Op::TupleItem | Op::StrLen => always,
        _ => !reads(func, i).meets(written) && (always || !(info.flags.has(Flags::EXIT) || info.reads != Mem::NONE)),
    }
}

/// The loop's entry state as the block before the header sees it.
fn entry_of(func: &mut Function, header: Block, before: Block) -> Option<State> {
    let entry = func.blocks[header.index()].entry_state?;
    let t = func.terminator(before)?;
    let args = func.inst(t).targets.iter().find(|t| t.block == header)?.args.clone();
    let mut shown = Vec::new();
    let s = substitute(func, entry, header, &args, &mut shown);
    let insts = &mut func.blocks[before.index()].insts;
    let end = insts.len() - 1;
    insts.splice(end..end, shown);
    Some(s)
}
