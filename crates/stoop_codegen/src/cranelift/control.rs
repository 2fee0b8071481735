//! Control flow between blocks, and what a loop's entry finds on the stack.

use super::lower::Lower;
use crate::runtime::Helper;
use crate::unit::Error;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, BlockArg, InstBuilder, Value as CV};
use stoop_ir::{InstData, Op};

/// What is added to a value that is to be sent to the operand on top.
const DELEGATES: i64 = 4;

impl Lower<'_> {
    /// A branch. The one on `caught` was decided where the operation before it raised, or did not.
    pub(crate) fn two_way(&mut self, data: &InstData, condition: CV) -> Result<(), Error> {
        let (then, then_args) = self.target(data, 0)?;
        let (otherwise, other_args) = self.target(data, 1)?;
        let asks = self.f.def_inst(data.args[0]).is_some_and(|i| self.f.inst(i).op == Op::Caught);
        match self.caught.take() {
            Some(caught) if asks => {
                self.b.ins().jump(otherwise, &other_args);
                self.b.switch_to_block(caught);
                self.b.ins().jump(then, &then_args);
            }
            _ => {
                self.b.ins().brif(condition, then, &then_args, otherwise, &other_args);
            }
        }
        Ok(())
    }

    pub(crate) fn target(&mut self, data: &InstData, i: usize) -> Result<(ir::Block, Vec<BlockArg>), Error> {
        let t = data.targets.get(i).ok_or_else(|| self.malformed("lacks a target"))?;
        let params = &self.f.blocks[t.block.index()].params;
        if params.len() != t.args.len() {
            return Err(self.malformed("wrong number of block arguments"));
        }
        let mut args = Vec::with_capacity(params.len());
        for (p, v) in params.iter().zip(&t.args) {
            let (p, a) = (self.f.ty(*p), self.f.ty(*v));
            if p != a && (p.is_unboxed() || a.is_unboxed()) {
                return Err(self.malformed(&format!("passes {a} where {p} is expected")));
            }
            args.push(BlockArg::Value(self.v(*v)?));
        }
        Ok((self.block(t.block)?, args))
    }

    /// A value of the operand stack at a loop entry: it lies after the locals.
    pub(crate) fn entry_stack(&mut self) -> Result<CV, Error> {
        let offset = self.slot_offset(self.roots.frame_slots() as u32 + self.imm_index()?);
        Ok(self.load(self.frame, offset))
    }

    /// Before what may run Python code: enters the generators that wait for this one, if they are hidden. What the
    /// operations here are left to do so by themselves.
    pub(crate) fn reveal(&mut self, data: &InstData) {
        let Some(word) = self.req.hidden else { return };
        if matches!(data.op, Op::PyIterNext | Op::PyYieldFromIter | Op::PyAwaitable | Op::PyNewGenerator) {
            return;
        }
        let word = self.address(word);
        let outermost = self.load(word, 0);
        let hidden = self.icmp_imm(IntCC::NotEqual, outermost, 0);
        let (show, on) = (self.cold_block(), self.next_block());
        self.branch(hidden, show, on);
        self.b.switch_to_block(show);
        self.helper(Helper::Reveal, &[self.tstate]);
        self.jump(on, &[]);
        self.b.switch_to_block(on);
    }

    /// Leaves a generator with the value it yields: its frame is made what the interpreter would have left.
    pub(crate) fn suspend(&mut self, data: &InstData, a: &[CV]) -> Result<(), Error> {
        let state = data.state.ok_or_else(|| self.malformed("needs a frame state"))?;
        let state = &self.f.states[state.index()];
        let [value, operands @ ..] = a else { return Err(self.malformed("yields nothing")) };
        self.sync(data)?;
        let locals = self.roots.frame_slots() as u32;
        for (k, v) in operands.iter().enumerate() {
            let offset = self.slot_offset(locals + k as u32);
            self.store(*v, self.frame, offset);
        }
        let top = self.i32const((locals as usize + operands.len()) as i32);
        self.store(top, self.frame, self.req.abi.frame_stacktop);
        let next = (self.req.unit_address)(state.code, state.unit);
        let next = self.address(next.wrapping_add_signed(2 * i64::from(self.req.abi.frame_instr_bias)));
        self.store(next, self.frame, self.req.abi.frame_instr);
        let tagged = match self.imm_int()? {
            0 => *value,
            _ => self.b.ins().bor_imm_u(*value, DELEGATES),
        };
        self.b.ins().return_(&[tagged]);
        Ok(())
    }
}
