//! Address lists: a load from a list becomes the address of its items, and the load.
//!
//! Most stores into lists change items, few move them: the address is as good as the length, and can leave a loop
//! that writes into the list. Late, because earlier passes speak of items as one operation.

use stoop_ir::{Function, Imm, Inst, Op, Type};

use crate::pipeline::PassContext;

/// Runs the pass.
pub fn run(f: &mut Function, ctx: &mut PassContext) {
    let mut count = 0;
    for b in 0..f.blocks.len() {
        if !f.blocks[b].insts.iter().any(|i| f.inst(*i).op == Op::ListItem) {
            continue;
        }
        let insts = std::mem::take(&mut f.blocks[b].insts);
        let mut out: Vec<Inst> = Vec::with_capacity(insts.len() + 8);
        for i in insts {
            if f.inst(i).op == Op::ListItem {
                let list = f.inst(i).args[0];
                let (data, v) = f.make_inst(Op::ListData, &[list], Imm::None, Type::I64, None);
                out.push(data);
                let load = f.inst_mut(i);
                load.op = Op::ListLoad;
                load.args.push(v.expect("an address"));
                count += 1;
            }
            out.push(i);
        }
        f.blocks[b].insts = out;
    }
    ctx.count("lists_addressed", count);
}
