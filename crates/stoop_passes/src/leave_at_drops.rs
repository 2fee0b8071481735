//! Leave at drops: a drop that runs code leaves, so that what was known before it is known behind it.
//!
//! What a finaliser may do is anything: behind a drop every guard would have to be made and every attribute loaded again.
//! But most drops free nothing, or something without a finaliser. A drop with a check of its own (`check.valid 1`) says
//! from here on, at run time, whether it may have run any code, and the check then leaves; so the drop writes nothing but
//! reference counts. Where code is run again and again, the region is built anew with the check marked `!generic`.

use stoop_ir::{Class, Function, Hint, Imm, Op, Type, Value};

use crate::pipeline::PassContext;
use crate::util::root;

/// Whether a value is a function, or comes from a function that was made here (most often a generator): nothing is known
/// of what their ends run.
fn is_of_function(f: &Function, v: Value) -> bool {
    let maker = |v: Value| f.def_inst(root(f, v)).map(|i| f.inst(i));
    f.ty(root(f, v)) == Type::Exact(Class::Function)
        || maker(v).is_some_and(|d| d.op == Op::PyCall && maker(d.args[0]).is_some_and(|made| made.op == Op::MakeFunction))
}

/// Runs the pass.
pub fn run(f: &mut Function, ctx: &mut PassContext) {
    let mut count = 0;
    for b in 0..f.blocks.len() {
        for k in 1..f.blocks[b].insts.len() {
            let (drop, check) = (f.blocks[b].insts[k - 1], f.blocks[b].insts[k]);
            let (d, c) = (f.inst(drop), f.inst(check));
            let dropped = match d.op {
                Op::DecRef => d.args[0],
                Op::StoreLocal => d.args[1],
                _ => continue,
            };
            let its_own = c.op == Op::CheckValid && c.imm == Imm::Int(1) && c.hint == Hint::None && c.state.is_some();
            if its_own && !f.drop_is_silent(dropped) && !is_of_function(f, dropped) {
                f.inst_mut(drop).hint = Hint::Leave;
                f.inst_mut(check).hint = Hint::Leave;
                count += 1;
            }
        }
    }
    ctx.count("drops_that_leave", count);
}
