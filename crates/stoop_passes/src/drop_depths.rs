//! Drop depths: inlined functions in which nothing may run Python code do not ask for the recursion limit.
//!
//! A function that is compiled in place has frames only around operations that may run Python code; only there the limit
//! counts. Sound because a call that leaves no trace and cannot fail is none as far as anybody can tell.

use stoop_ir::{Flags, Function, Imm, Op};

use crate::pipeline::PassContext;
use crate::util::remove_insts;

/// Runs the pass.
pub fn run(f: &mut Function, ctx: &mut PassContext) {
    let mut framed: Vec<bool> = Vec::new();
    for &i in f.blocks.iter().flat_map(|b| &b.insts) {
        let d = f.inst(i);
        let mut at = d.state.filter(|_| d.op.is(Flags::PY));
        while let Some(s) = at {
            let s = &f.states[s.index()];
            if framed.len() <= s.code as usize {
                framed.resize(s.code as usize + 1, false);
            }
            framed[s.code as usize] = true;
            at = s.parent;
        }
    }
    let mut drop = vec![false; f.insts.len()];
    let mut count = 0;
    for &i in f.blocks.iter().flat_map(|b| &b.insts) {
        let d = f.inst(i);
        if let (Op::GuardDepth, Imm::Int(code)) = (d.op, d.imm) {
            drop[i.index()] = !framed.get(code as usize).copied().unwrap_or(false);
            count += usize::from(drop[i.index()]);
        }
    }
    if count > 0 {
        remove_insts(f, |i| drop[i.index()]);
    }
    ctx.count("depths_dropped", count);
}
