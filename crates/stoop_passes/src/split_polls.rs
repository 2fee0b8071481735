//! Split polls: a loop that is not asked to serve the eval breaker has nothing in it that could change memory.
//!
//! A poll at the end of an iteration may run anything, so nothing could be read ahead of the loop. Here the poll goes
//! to a block of its own, which is entered when one is due and leads not to the loop's header but to a block before
//! it, where the loop is entered as well. What `hoist_invariants` puts there is so done again after each poll. For
//! the control flow that is a loop around the loop; inside, between two polls, only the loop's own writes count.
//! Code grows by one block a loop: what is done again is the same code.

use stoop_ir::cfg::{Cfg, Loops};
use stoop_ir::{Block, Function, Imm, Inst, Op, Target, Type, Value};

use crate::hoist_invariants::make_preheader;
use crate::pipeline::PassContext;

/// Runs the pass.
pub fn run(f: &mut Function, ctx: &mut PassContext) {
    let cfg = Cfg::new(f);
    let loops = Loops::new(f, &cfg);
    let mut count = 0;
    for l in &loops.loops {
        // Each latch has its poll, so that every turn that serves the breaker leads outside.
        let polls: Option<Vec<(Block, usize)>> = l.latches.iter().map(|b| Some((*b, poll_at_end(f, *b)?))).collect();
        let Some(polls) = polls else { continue };
        let before = make_preheader(f, &cfg, l.header);
        for (latch, at) in polls {
            split(f, latch, at, before);
            count += 1;
        }
    }
    ctx.count("polls_split", count);
}

/// Whether an instruction only computes: it may go before the poll.
fn is_pure(f: &Function, i: Inst) -> bool {
    matches!(f.inst(i).op, Op::IntAdvance | Op::VirtualRange | Op::VirtualIter | Op::ConstInt)
}

/// The place of a poll in a block that does nothing after it but jump.
fn poll_at_end(f: &Function, b: Block) -> Option<usize> {
    let insts = &f.blocks[b.index()].insts;
    let at = insts.iter().rposition(|i| f.inst(*i).op == Op::Poll)?;
    let (last, between) = insts[at + 1..].split_last()?;
    let quiet = |i: &Inst| matches!(f.inst(*i).op, Op::CheckValid | Op::Check) || is_pure(f, *i);
    (f.inst(*last).op == Op::Jump && between.iter().all(quiet)).then_some(at)
}

/// Moves the poll, and the checks after it, to a block that is entered when one is due and leads to `before`.
fn split(f: &mut Function, latch: Block, at: usize, before: Block) {
    let (pure, mut served): (Vec<Inst>, Vec<Inst>) =
        f.blocks[latch.index()].insts.split_off(at).into_iter().partition(|i| is_pure(f, *i));
    f.blocks[latch.index()].insts.extend(pure);
    let jump = served.pop().expect("a jump");
    let target = f.inst(jump).targets[0].clone();
    let cold = f.add_block();
    let due = f.push(latch, Op::PollDue, &[], Imm::None, Type::I1, None).expect("a truth value");
    let (branch, _) = f.make_inst(Op::Branch, &[due], Imm::None, Type::Void, None);
    f.inst_mut(branch).targets = vec![Target { block: cold, args: Vec::new() }, target];
    f.blocks[latch.index()].insts.push(branch);
    let args: Vec<Value> = f.inst(branch).targets[1].args.clone();
    f.inst_mut(jump).targets[0] = Target { block: before, args };
    served.push(jump);
    f.blocks[cold.index()].insts = served;
}
