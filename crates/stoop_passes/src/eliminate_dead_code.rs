//! Eliminate dead code: what no answer, exit or effect depends on is removed.
//!
//! Liveness spreads from what must stay (effects, terminators, and guards: a guard's meaning is that it may leave) to
//! operands, to the states of what stays, and to the arguments of parameters that live. Sound because an operation
//! is removed only if Python could not tell: arithmetic that leaves only for want of bits, not where the interpreter
//! would raise. A box that only its reference counts use goes together with them.

use stoop_ir::cfg::{Cfg, remove_unreachable_blocks};
use stoop_ir::{Def, Flags, Function, Inst, Mem, Op, Ret, State, Value};

use crate::pipeline::PassContext;
use crate::util::{const_float, const_int};

/// Runs the pass.
pub fn run(func: &mut Function, ctx: &mut PassContext) {
    ctx.count("blocks_removed", remove_unreachable_blocks(func));
    let live = Liveness::of(func);
    let mut removed = 0;
    for b in 0..func.blocks.len() {
        let insts = std::mem::take(&mut func.blocks[b].insts);
        let before = insts.len();
        let kept: Vec<Inst> = insts.into_iter().filter(|i| live.insts[i.index()]).collect();
        removed += before - kept.len();
        func.blocks[b].insts = kept;
    }
    remove_params(func, &live.values, ctx);
    ctx.count("instructions_removed", removed);
}

fn remove_params(func: &mut Function, live: &[bool], ctx: &mut PassContext) {
    let keep: Vec<Vec<bool>> = func.blocks.iter().map(|b| b.params.iter().map(|p| live[p.index()]).collect()).collect();
    let mut removed = 0;
    for b in 0..func.blocks.len() {
        if let Some(t) = func.blocks[b].insts.last().copied() {
            for t in &mut func.insts[t.index()].targets {
                let mut k = keep[t.block.index()].iter();
                t.args.retain(|_| *k.next().unwrap_or(&true));
            }
        }
        let before = func.blocks[b].params.len();
        func.blocks[b].params.retain(|p| live[p.index()]);
        removed += before - func.blocks[b].params.len();
    }
    ctx.count("params_removed", removed);
}

struct Liveness {
    values: Vec<bool>,
    insts: Vec<bool>,
    states: Vec<bool>,
    work: Vec<Value>,
    /// Reference counting of a box, live only if the box is.
    counts: Vec<(Value, Inst)>,
}

impl Liveness {
    fn of(func: &Function) -> Liveness {
        let cfg = Cfg::new(func);
        let mut l = Liveness {
            values: vec![false; func.values.len()],
            insts: vec![false; func.insts.len()],
            states: vec![false; func.states.len()],
            work: Vec::new(),
            counts: Vec::new(),
        };
        for &b in cfg.rpo() {
            if let Some(s) = func.blocks[b.index()].entry_state {
                l.state(func, s);
            }
            for &i in &func.blocks[b.index()].insts {
                let d = func.inst(i);
                if matches!(d.op, Op::IncRef | Op::DecRef) && is_box(func, d.args[0]) {
                    l.counts.push((d.args[0], i));
                } else if !is_removable(func, i) {
                    l.inst(func, i);
                }
            }
        }
        // Arguments of parameters, by parameter.
        let mut args: Vec<Vec<Value>> = vec![Vec::new(); func.values.len()];
        for &b in cfg.rpo() {
            let Some(t) = func.terminator(b) else { continue };
            for t in &func.inst(t).targets {
                for (p, a) in func.blocks[t.block.index()].params.iter().zip(&t.args) {
                    args[p.index()].push(*a);
                }
            }
        }
        while let Some(v) = l.work.pop() {
            match func.values[v.index()].def {
                Def::Inst(i) => l.inst(func, i),
                Def::Param(_) => args[v.index()].iter().for_each(|a| l.value(*a)),
            }
        }
        for (v, i) in &l.counts {
            l.insts[i.index()] = l.values[v.index()];
        }
        l
    }

    fn value(&mut self, v: Value) {
        if !self.values[v.index()] {
            self.values[v.index()] = true;
            self.work.push(v);
        }
    }

    fn inst(&mut self, func: &Function, i: Inst) {
        if std::mem::replace(&mut self.insts[i.index()], true) {
            return;
        }
        let d = func.inst(i);
        d.args.iter().for_each(|a| self.value(*a));
        if let Some(s) = d.state {
            self.state(func, s);
        }
    }

    fn state(&mut self, func: &Function, s: State) {
        let mut at = Some(s);
        while let Some(s) = at {
            if std::mem::replace(&mut self.states[s.index()], true) {
                return;
            }
            let s = &func.states[s.index()];
            s.locals.iter().flatten().for_each(|v| self.value(*v));
            s.stack.iter().for_each(|e| self.value(e.value));
            at = s.parent;
        }
    }
}

fn is_box(func: &Function, v: Value) -> bool {
    func.def_inst(v).is_some_and(|i| matches!(func.inst(i).op, Op::BoxInt | Op::BoxUInt | Op::BoxFloat | Op::BoxBool))
}

/// Whether an instruction may go when nobody uses its result.
fn is_removable(func: &Function, i: Inst) -> bool {
    let d = func.inst(i);
    let info = d.op.info();
    match d.op {
        // Leave for want of bits only: the big result would not be looked at either.
        Op::UnboxInt | Op::IntAdd | Op::IntSub | Op::IntMul | Op::IntNeg | Op::IntAbs | Op::IntToFloatExact => true,
        // Python raises on a zero divisor or a negative count.
        Op::IntFloorDiv | Op::IntMod => const_int(func, d.args[1]).is_some_and(|n| n != 0),
        Op::IntShl | Op::IntShr => const_int(func, d.args[1]).is_some_and(|n| n >= 0),
        Op::FloatDiv | Op::FloatFloorDiv | Op::FloatMod => const_float(func, d.args[1]).is_some_and(|n| n != 0.0),
        Op::BoxInt | Op::BoxUInt | Op::BoxFloat => true,
        _ => {
            let kept = [Flags::EXIT, Flags::RAISE, Flags::PY, Flags::PINNED, Flags::TERM];
            info.writes == Mem::NONE && info.ret != Ret::New && info.steals == 0 && !kept.iter().any(|f| info.flags.has(*f))
        }
    }
}
