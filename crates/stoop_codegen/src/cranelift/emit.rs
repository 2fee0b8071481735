//! Small conveniences: constants, memory, blocks, helper calls, immediates.

use super::known::Key;
use super::lower::Lower;
use super::slots::Root;
use super::stub::{self, Stub};
use crate::runtime::{Helper, M};
use crate::unit::Error;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, AbiParam, BlockArg, InstBuilder, MemFlagsData, Signature, StackSlot, Value as CV, types};
use cranelift_codegen::isa::CallConv;
use stoop_ir::{Block, CmpOp, Imm, Type, Value};

/// Accesses to live objects never trap and are naturally aligned.
const TRUSTED: MemFlagsData = MemFlagsData::trusted();

impl Lower<'_> {
    // --- small conveniences ---------------------------------------------------------------------

    pub(crate) fn malformed(&self, what: &str) -> Error {
        let data = self.f.inst(self.inst);
        Error::Malformed(format!("{} in {}: {what}", data.op, self.f.name))
    }

    pub(crate) fn unsupported(&self, what: &str) -> Error {
        Error::Unsupported(format!("{}: {what}", self.f.inst(self.inst).op))
    }

    /// A value. Constants are made where they are used: for the register allocator that is less than to keep them.
    pub(crate) fn v(&mut self, v: Value) -> Result<CV, Error> {
        let Some((ty, constant)) = self.constant(v) else {
            return self.values[v.index()].ok_or_else(|| self.malformed(&format!("v{} is used before its definition", v.0)));
        };
        let now = self.b.current_block();
        if let Some((block, cv)) = self.constants[v.index()]
            && Some(block) == now
        {
            return Ok(cv);
        }
        let cv = self.b.ins().iconst(ty, constant);
        self.constants[v.index()] = now.map(|now| (now, cv));
        Ok(cv)
    }

    /// A value's machine type and bits, if it is a constant (other than a float).
    pub(crate) fn constant(&self, v: Value) -> Option<(ir::Type, i64)> {
        let ty = self.f.ty(v);
        let root = if ty.is_ref() { self.roots.reference(v) } else { self.roots.value(v) };
        match (ty, root) {
            (Type::I64, Root::Int(i)) => Some((types::I64, i)),
            (Type::I1, Root::Bool(b)) => Some((types::I8, b.into())),
            (Type::Null | Type::MaybeNull | Type::Obj | Type::Exact(_) | Type::Heap(_), Root::Null) => Some((types::I64, 0)),
            (Type::MaybeNull | Type::Obj | Type::Exact(_) | Type::Heap(_), Root::Object(a)) => Some((types::I64, a as i64)),
            _ => None,
        }
    }

    pub(crate) fn block(&self, b: Block) -> Result<ir::Block, Error> {
        self.blocks[b.index()].ok_or_else(|| self.malformed("jump to an unreachable block"))
    }

    pub(crate) fn iconst(&mut self, i: i64) -> CV {
        self.b.ins().iconst(types::I64, i)
    }

    pub(crate) fn address(&mut self, a: u64) -> CV {
        self.iconst(a as i64)
    }

    pub(crate) fn i32const(&mut self, i: i32) -> CV {
        self.b.ins().iconst(types::I32, i64::from(i as u32))
    }

    pub(crate) fn load(&mut self, base: CV, offset: i32) -> CV {
        self.load_as(types::I64, base, offset)
    }

    pub(crate) fn load_as(&mut self, ty: ir::Type, base: CV, offset: i32) -> CV {
        self.b.ins().load(ty, TRUSTED, base, offset)
    }

    pub(crate) fn store(&mut self, value: CV, base: CV, offset: i32) {
        self.b.ins().store(TRUSTED, value, base, offset);
    }

    pub(crate) fn add(&mut self, a: CV, b: CV) -> CV {
        self.b.ins().iadd(a, b)
    }

    pub(crate) fn add_imm(&mut self, a: CV, i: i64) -> CV {
        if i == 0 { a } else { self.b.ins().iadd_imm_s(a, i) }
    }

    pub(crate) fn icmp(&mut self, cc: IntCC, a: CV, b: CV) -> CV {
        self.b.ins().icmp(cc, a, b)
    }

    /// Compares with a constant, which is sign-extended to the operand's width.
    pub(crate) fn icmp_imm(&mut self, cc: IntCC, a: CV, i: i64) -> CV {
        self.b.ins().icmp_imm_s(cc, a, i)
    }

    pub(crate) fn stack_address(&mut self, slot: StackSlot, offset: i32) -> CV {
        self.b.ins().stack_addr(types::I64, slot, offset)
    }

    /// Byte offset of a local's slot in the frame.
    pub(crate) fn slot_offset(&self, k: u32) -> i32 {
        self.req.abi.frame_locals + 8 * k as i32
    }

    /// Where a local's value is: its slot in the frame, or for a module's variable the dict's entry.
    pub(crate) fn slot_place(&mut self, k: u32) -> Result<(CV, i32), Error> {
        match self.home_of(k) {
            None => Ok((self.frame, self.slot_offset(k))),
            Some(home) => Ok((self.home(home, Helper::MakeHome)?, 0)),
        }
    }

    /// The home of a local that is a module's variable.
    pub(crate) fn home_of(&self, k: u32) -> Option<u64> {
        self.req.homes.get((k as usize).checked_sub(self.roots.frame_slots())?).copied()
    }

    /// What a home holds; where that is nothing, what a helper finds.
    pub(crate) fn home(&mut self, home: u64, find: Helper) -> Result<CV, Error> {
        let word = self.address(home);
        let held = self.load(word, 0);
        let (ask, go_on) = (self.cold_block(), self.next_block());
        let place = self.b.append_block_param(go_on, types::I64);
        self.b.ins().brif(held, go_on, &[BlockArg::Value(held)], ask, &[]);
        self.b.switch_to_block(ask);
        let found = self.helper1(find, &[word])?;
        self.jump(go_on, &[found]);
        self.b.switch_to_block(go_on);
        Ok(place)
    }

    /// Calls a helper with machine values.
    ///
    /// In a cold block the call goes through a stub: it costs a few nanoseconds, and saves the code around it from
    /// keeping values in memory for the sake of a call that hardly ever happens.
    pub(crate) fn helper(&mut self, h: Helper, args: &[CV]) -> Option<CV> {
        debug_assert_eq!(args.len(), h.params().len(), "{}", h.name());
        let cold = self.b.current_block().is_some_and(|now| self.b.func.layout.is_cold(now));
        if cold && stub::takes(h) {
            return match h.result() {
                M::V | M::D => {
                    self.call_stub(Stub::Helper(h), args);
                    None
                }
                result => Some(self.stub_result(Stub::Helper(h), args, result != M::I)),
            };
        }
        let b = &mut self.b;
        let sig = *self.signatures.entry(h).or_insert_with(|| {
            let of = |m: &M| match m {
                M::V => None,
                M::R | M::P | M::L => Some(AbiParam::new(types::I64)),
                M::I => Some(AbiParam::new(types::I32)),
                M::D => Some(AbiParam::new(types::F64)),
            };
            let mut s = Signature::new(CallConv::SystemV);
            s.params = h.params().iter().filter_map(of).collect();
            s.returns = of(&h.result()).into_iter().collect();
            b.import_signature(s)
        });
        let callee = self.address((self.req.helpers)(h));
        let call = self.b.ins().call_indirect(sig, callee, args);
        self.b.inst_results(call).first().copied()
    }

    /// Calls a helper that has a result.
    pub(crate) fn helper1(&mut self, h: Helper, args: &[CV]) -> Result<CV, Error> {
        self.helper(h, args).ok_or_else(|| self.malformed("helper without a result"))
    }

    pub(crate) fn cold_block(&mut self) -> ir::Block {
        let block = self.b.create_block();
        self.b.set_cold_block(block);
        block
    }

    pub(crate) fn branch(&mut self, cond: CV, then: ir::Block, otherwise: ir::Block) {
        self.b.ins().brif(cond, then, &[], otherwise, &[]);
    }

    pub(crate) fn jump(&mut self, to: ir::Block, args: &[CV]) {
        let args: Vec<BlockArg> = args.iter().map(|v| BlockArg::Value(*v)).collect();
        self.b.ins().jump(to, &args);
    }

    /// A block to go on in after the present one: cold if that is.
    pub(crate) fn next_block(&mut self) -> ir::Block {
        let next = self.b.create_block();
        if self.b.current_block().is_some_and(|now| self.b.func.layout.is_cold(now)) {
            self.b.set_cold_block(next);
        }
        next
    }

    /// Goes on in a new block, unless `cond` holds.
    pub(crate) fn branch_away(&mut self, cond: CV, to: ir::Block) {
        let go_on = self.next_block();
        self.branch(cond, to, go_on);
        self.b.switch_to_block(go_on);
    }

    /// Goes on in a new block if `cond` holds.
    pub(crate) fn branch_unless(&mut self, cond: CV, to: ir::Block) {
        let go_on = self.next_block();
        self.branch(cond, go_on, to);
        self.b.switch_to_block(go_on);
    }

    /// Leaves unless `ok`.
    pub(crate) fn guard(&mut self, ok: CV) -> Result<(), Error> {
        let exit = self.leave_block()?;
        self.branch_unless(ok, exit);
        Ok(())
    }

    /// Leaves if `bad`.
    pub(crate) fn guard_not(&mut self, bad: CV) -> Result<(), Error> {
        let exit = self.leave_block()?;
        self.branch_away(bad, exit);
        Ok(())
    }

    /// The constant an integer operand is, if it is one.
    pub(crate) fn known_int(&self, v: Value) -> Option<i64> {
        match self.roots.value(v) {
            Root::Int(i) => Some(i),
            Root::Null | Root::Object(_) | Root::Float(_) | Root::Bool(_) | Root::Value(_) => None,
        }
    }

    /// The constant a machine value is, if it is one.
    pub(crate) fn machine_constant(&self, v: CV) -> Option<i64> {
        let dfg = &self.b.func.dfg;
        match dfg.insts[dfg.value_def(v).inst()?] {
            ir::InstructionData::UnaryImm { opcode: ir::Opcode::Iconst, imm } => Some(imm.bits()),
            _ => None,
        }
    }

    /// What facts about a value go by.
    pub(crate) fn key(&self, v: CV) -> Key {
        self.machine_constant(v).map_or(Key::Value(v), Key::Constant)
    }

    // --- immediates -----------------------------------------------------------------------------

    pub(crate) fn imm_int(&self) -> Result<i64, Error> {
        match self.f.inst(self.inst).imm {
            Imm::Int(i) => Ok(i),
            _ => Err(self.malformed("needs an integer immediate")),
        }
    }

    pub(crate) fn imm_index(&self) -> Result<u32, Error> {
        match self.f.inst(self.inst).imm {
            Imm::Index(i) => Ok(i),
            _ => Err(self.malformed("needs an index")),
        }
    }

    pub(crate) fn imm_offset(&self) -> Result<i32, Error> {
        i32::try_from(self.imm_int()?).map_err(|_| self.malformed("offset out of range"))
    }

    pub(crate) fn imm_cmp(&self) -> Result<CmpOp, Error> {
        match self.f.inst(self.inst).imm {
            Imm::Cmp(c) => Ok(c),
            _ => Err(self.malformed("needs a comparison")),
        }
    }

    pub(crate) fn imm_object(&self) -> Result<u64, Error> {
        match self.f.inst(self.inst).imm {
            Imm::Const(c) => self.f.consts.get(c.index()).map(|c| c.address).ok_or_else(|| self.malformed("no such constant")),
            _ => Err(self.malformed("needs a constant")),
        }
    }

    pub(crate) fn imm_name(&mut self) -> Result<CV, Error> {
        match self.f.inst(self.inst).imm {
            Imm::Name(n) => {
                let a = (self.req.name_address)(n);
                Ok(self.address(a))
            }
            _ => Err(self.malformed("needs a name")),
        }
    }
}
