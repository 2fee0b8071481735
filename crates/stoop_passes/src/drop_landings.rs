//! Drop landings: where nothing is left that could raise, nobody asks whether it did.
//!
//! `caught` speaks of the operation just before it. The front end puts it behind operations that may run Python code;
//! once those have become guards and typed operations, it is false. Sound because a guard leaves instead of raising.

use stoop_ir::{Flags, Function, Imm, Op};

use crate::pipeline::PassContext;

/// Runs the pass.
pub fn run(f: &mut Function, ctx: &mut PassContext) {
    let mut count = 0;
    for b in 0..f.blocks.len() {
        let mut raises = false;
        for k in 0..f.blocks[b].insts.len() {
            let i = f.blocks[b].insts[k];
            let op = f.inst(i).op;
            if op == Op::Caught && !raises {
                let d = f.inst_mut(i);
                d.op = Op::ConstBool;
                d.imm = Imm::Int(0);
                count += 1;
            }
            raises = op.is(Flags::RAISE) && op != Op::Poll;
        }
    }
    ctx.count("landings_dropped", count);
}
