//! The driver: blocks in reverse postorder, one exhaustive match over the operations.

use super::Facts;
use super::exits::{Pending, Tail};
use super::known::Known;
use super::slots::{self, Roots};
use super::stub;
use crate::runtime::{Helper, M};
use crate::unit::{Error, ExitDesc, Request};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    self, AbiParam, BlockArg, InstBuilder, MemFlagsData, SigRef, Signature, SourceLoc, StackSlot, StackSlotData, StackSlotKind,
    UserExternalName, Value as CV, types,
};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use std::collections::HashMap;
use stoop_ir::{Block, CmpOp, Flags, Function, Imm, Inst, InstData, Op, Type, Value};

/// Lowers a function and returns its exits.
pub(crate) fn lower(
    request: &Request,
    config: TargetFrontendConfig,
    into: &mut ir::Function,
    context: &mut FunctionBuilderContext,
) -> Result<Vec<ExitDesc>, Error> {
    let func = request.func;
    let order = reverse_postorder(func)?;
    let roots = Roots::new(func, request.homes.len());
    let starts = slots::analyse(func, &roots, &order);
    let mut b = FunctionBuilder::new(into, context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let (tstate, frame) = (b.block_params(entry)[0], b.block_params(entry)[1]);
    let slot = |b: &mut FunctionBuilder| b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 8, 3));
    let exit_buffer = slot(&mut b);
    let arguments = slot(&mut b);
    let scratch = slot(&mut b);
    let stub_result = slot(&mut b);
    let mut l = Lower {
        req: request,
        f: func,
        blocks: vec![None; func.blocks.len()],
        values: vec![None; func.values.len()],
        roots,
        facts: Vec::new(),
        known: Known::default(),
        exits: Vec::new(),
        pending: Vec::new(),
        parts: Vec::new(),
        objects: Vec::new(),
        tails: [None, None],
        at_drop: true,
        leave: None,
        raise: None,
        catches: false,
        caught: None,
        inst: Inst(0),
        signatures: HashMap::new(),
        stubs: HashMap::new(),
        stub: None,
        stub_result,
        uses_floats: func.values.iter().any(|v| v.ty == Type::F64),
        method_slots: HashMap::new(),
        exit_buffer,
        exit_need: 1,
        arguments,
        arguments_need: 1,
        scratch,
        tstate,
        frame,
        b,
    };
    for &block in &order {
        let clif = l.b.create_block();
        if is_cold(func, block) {
            l.b.set_cold_block(clif);
        }
        for &p in &func.blocks[block.index()].params {
            let value = l.b.append_block_param(clif, machine_type(func.ty(p)));
            l.values[p.index()] = Some(value);
        }
        l.blocks[block.index()] = Some(clif);
    }
    let first = l.block(func.entry())?;
    l.b.ins().jump(first, &[]);
    for &block in &order {
        let clif = l.block(block)?;
        l.b.switch_to_block(clif);
        l.facts.clone_from(&starts[block.index()]);
        l.known.clear();
        if let Some(s) = func.blocks[block.index()].entry_state {
            l.set_location(s);
        }
        l.caught = None;
        let insts = &func.blocks[block.index()].insts;
        for (k, &inst) in insts.iter().enumerate() {
            l.catches = insts.get(k + 1).is_some_and(|next| func.inst(*next).op == Op::Caught);
            l.instruction(inst)?;
        }
    }
    l.emit_exits();
    l.b.func.sized_stack_slots[exit_buffer].size = 8 * l.exit_need;
    l.b.func.sized_stack_slots[arguments].size = 8 * l.arguments_need;
    l.b.seal_all_blocks();
    let Lower { b, exits, .. } = l;
    b.finalize(config);
    Ok(exits)
}

/// Whether a block serves the eval breaker.
fn is_cold(func: &Function, block: Block) -> bool {
    block != func.entry() && func.blocks[block.index()].insts.first().is_some_and(|i| func.inst(*i).op == Op::Poll)
}

fn reverse_postorder(func: &Function) -> Result<Vec<Block>, Error> {
    let mut order = Vec::new();
    let mut seen = vec![false; func.blocks.len()];
    let mut stack = vec![(func.entry(), 0)];
    seen[func.entry().index()] = true;
    while let Some((b, next)) = stack.pop() {
        let t = func.terminator(b).ok_or_else(|| Error::Malformed(format!("block b{} has no terminator", b.0)))?;
        match func.inst(t).targets.get(next) {
            Some(target) => {
                stack.push((b, next + 1));
                if !std::mem::replace(&mut seen[target.block.index()], true) {
                    stack.push((target.block, 0));
                }
            }
            None => order.push(b),
        }
    }
    order.reverse();
    Ok(order)
}

/// The machine's type for values of an IR type.
pub(crate) fn machine_type(ty: Type) -> ir::Type {
    match ty {
        Type::F64 => types::F64,
        Type::I1 => types::I8,
        Type::Void | Type::I64 | Type::Null | Type::MaybeNull | Type::Obj | Type::Exact(_) | Type::Heap(_) => types::I64,
    }
}

/// The state of one lowering.
pub(crate) struct Lower<'a> {
    pub(crate) req: &'a Request<'a>,
    pub(crate) f: &'a Function,
    pub(crate) b: FunctionBuilder<'a>,
    pub(crate) blocks: Vec<Option<ir::Block>>,
    pub(crate) values: Vec<Option<CV>>,
    pub(crate) roots: Roots,
    /// What the slots hold at the present point.
    pub(crate) facts: Facts,
    pub(crate) known: Known,
    pub(crate) exits: Vec<ExitDesc>,
    pub(crate) pending: Vec<Pending>,
    /// Recipes of tuples' items, of the exit being made.
    pub(crate) parts: Vec<crate::unit::Recipe>,
    /// Instances that the exit being made makes.
    pub(crate) objects: Vec<crate::unit::ObjectRecipe>,
    pub(crate) tails: [Option<Tail>; 2],
    /// Whether what is dropped is dropped by the instruction itself.
    pub(crate) at_drop: bool,
    /// The present instruction's exits, once made.
    pub(crate) leave: Option<ir::Block>,
    pub(crate) raise: Option<ir::Block>,
    /// Whether the next instruction asks if the present one raised.
    pub(crate) catches: bool,
    /// Where control goes if it did.
    pub(crate) caught: Option<ir::Block>,
    /// The present instruction.
    pub(crate) inst: Inst,
    signatures: HashMap<Helper, SigRef>,
    stubs: HashMap<Helper, ir::FuncRef>,
    stub: Option<ir::UserExternalNameRef>,
    /// Where the stub leaves results.
    stub_result: StackSlot,
    uses_floats: bool,
    /// Where each `PyLoadMethod` leaves self or NULL.
    pub(crate) method_slots: HashMap<Inst, StackSlot>,
    pub(crate) exit_buffer: StackSlot,
    /// Entries the exit buffer must have.
    pub(crate) exit_need: u32,
    pub(crate) arguments: StackSlot,
    /// Entries the argument array must have.
    pub(crate) arguments_need: u32,
    /// Eight bytes for out-parameters.
    pub(crate) scratch: StackSlot,
    pub(crate) tstate: CV,
    pub(crate) frame: CV,
}

/// Accesses to live objects never trap and are naturally aligned.
const TRUSTED: MemFlagsData = MemFlagsData::trusted();

impl<'a> Lower<'a> {
    // --- small conveniences ---------------------------------------------------------------------

    pub(crate) fn malformed(&self, what: &str) -> Error {
        let data = self.f.inst(self.inst);
        Error::Malformed(format!("{} in {}: {what}", data.op, self.f.name))
    }

    pub(crate) fn unsupported(&self, what: &str) -> Error {
        Error::Unsupported(format!("{}: {what}", self.f.inst(self.inst).op))
    }

    pub(crate) fn v(&self, v: Value) -> Result<CV, Error> {
        self.values[v.index()].ok_or_else(|| self.malformed(&format!("v{} is used before its definition", v.0)))
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
    fn home(&mut self, home: u64, find: Helper) -> Result<CV, Error> {
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
    pub(crate) fn helper(&mut self, h: Helper, args: &[CV]) -> Option<CV> {
        debug_assert_eq!(args.len(), h.params().len(), "{}", h.name());
        let cold = self.b.current_block().is_some_and(|now| self.b.func.layout.is_cold(now));
        if cold && self.keeps_registers(h) {
            return self.helper_keeping_registers(h, args);
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

    /// Whether a call in a cold block goes through the stub: it costs a few nanoseconds, and saves hot loops
    /// from keeping floats in memory for the sake of a call that hardly ever happens.
    fn keeps_registers(&self, h: Helper) -> bool {
        match h {
            Helper::SideExit | Helper::RaiseExit => false,
            // Destroying objects is common, and harms floats only: other values have registers to stay in.
            Helper::Dealloc => stub::EXISTS && self.uses_floats,
            // The stub takes three words and a double, and yields a word.
            _ => stub::EXISTS && h.result() != M::D && h.params().iter().filter(|m| **m != M::D).count() <= 3,
        }
    }

    fn helper_keeping_registers(&mut self, h: Helper, args: &[CV]) -> Option<CV> {
        let name = *self.stub.get_or_insert_with(|| {
            self.b.func.declare_imported_user_function(UserExternalName { namespace: 0, index: stub::INDEX })
        });
        let target = self.address((self.req.helpers)(h));
        let out = self.stack_address(self.stub_result, 0);
        let mut all = vec![target, out];
        all.extend_from_slice(args);
        let callee = match self.stubs.get(&h) {
            Some(c) => *c,
            None => {
                let params: Vec<_> = all.iter().map(|v| self.b.func.dfg.value_type(*v)).collect();
                let signature = self.b.import_signature(stub::signature(&params));
                let name = ir::ExternalName::user(name);
                let callee = self.b.import_function(ir::ExtFuncData { name, signature, colocated: true, patchable: false });
                *self.stubs.entry(h).or_insert(callee)
            }
        };
        self.b.ins().call(callee, &all);
        let ty = match h.result() {
            M::V | M::D => return None,
            M::R | M::P | M::L => types::I64,
            M::I => types::I32,
        };
        Some(self.b.ins().stack_load(types::I64, ty, self.stub_result, 0))
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
            slots::Root::Int(i) => Some(i),
            slots::Root::Null | slots::Root::Object(_) | slots::Root::Float(_) | slots::Root::Bool(_) | slots::Root::Value(_) => {
                None
            }
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

    // --- instructions ---------------------------------------------------------------------------

    /// Machine code from here on belongs to the real frame's unit of this state.
    pub(crate) fn set_location(&mut self, s: stoop_ir::State) {
        let state = &self.f.states[slots::real_state(self.f, s).index()];
        self.b.set_srcloc(SourceLoc::new(state.unit));
    }

    fn instruction(&mut self, inst: Inst) -> Result<(), Error> {
        let f = self.f;
        let data = f.inst(inst);
        (self.inst, self.leave, self.raise) = (inst, None, None);
        if let Some(s) = data.state {
            self.set_location(s);
        } else if data.op.needs_state() {
            return Err(self.malformed("needs a frame state"));
        }
        let args = data.args.iter().map(|v| self.v(*v)).collect::<Result<Vec<_>, _>>()?;
        if let stoop_ir::Arity::N(n) = data.op.info().arity
            && args.len() != usize::from(n)
        {
            return Err(self.malformed("wrong number of operands"));
        }
        let poll = data.op == Op::Poll;
        let runs_python = data.op.is(Flags::PY) && !poll;
        if runs_python {
            self.sync(data)?;
            slots::step(f, &self.roots, &mut self.facts, inst);
        }
        if data.op.is(Flags::RAISE) && !poll {
            self.store_position(data)?;
        }
        let result = self.operation(data, &args)?;
        if data.op != Op::IncRef {
            self.known.forget(data.op.info().writes);
        }
        if let Some(r) = data.result {
            let value = result.ok_or_else(|| self.malformed("has no result"))?;
            if self.b.func.dfg.value_type(value) != machine_type(f.ty(r)) {
                return Err(self.malformed("result of another machine type"));
            }
            self.values[r.index()] = Some(value);
        }
        if !runs_python {
            slots::step(f, &self.roots, &mut self.facts, inst);
        }
        Ok(())
    }

    /// Emits one operation: the row's meaning is in the table, the code in the family's file.
    fn operation(&mut self, data: &'a InstData, a: &[CV]) -> Result<Option<CV>, Error> {
        let one = |v: Result<CV, Error>| v.map(Some);
        let none = |v: Result<(), Error>| v.map(|()| None);
        match data.op {
            Op::ConstObj => {
                let address = self.imm_object()?;
                Ok(Some(self.address(address)))
            }
            Op::ConstInt => {
                let i = self.imm_int()?;
                Ok(Some(self.iconst(i)))
            }
            Op::ConstFloat => match data.imm {
                Imm::Float(bits) => Ok(Some(self.b.ins().f64const(f64::from_bits(bits)))),
                _ => Err(self.malformed("needs a float immediate")),
            },
            Op::ConstBool => {
                let i = self.imm_int()?;
                Ok(Some(self.b.ins().iconst(types::I8, i64::from(i != 0))))
            }
            Op::ConstNull => Ok(Some(self.iconst(0))),
            Op::EntryLocal => {
                let k = self.imm_index()?;
                let (base, offset) = self.slot_place(k)?;
                Ok(Some(self.load(base, offset)))
            }
            Op::EntryStack => one(self.entry_stack()),
            Op::FrameGlobals => Ok(Some(self.load(self.frame, self.req.abi.frame_globals))),
            Op::FrameLocals => Ok(Some(self.load(self.frame, self.req.abi.frame_f_locals))),
            Op::FrameFunction => Ok(Some(self.load(self.frame, self.req.abi.frame_function))),

            Op::StoreLocal => none(self.store_local(data, a)),
            Op::IncRef => none(self.inc_ref_of(a[0], self.f.ty(data.args[0]))),
            Op::DecRef => none(self.dec_ref_of(a[0], self.f.ty(data.args[0]))),
            Op::Check => none(self.check(true)),
            Op::CheckHandling => none(self.check_handling()),
            Op::CheckValid => none(self.check(false)),
            Op::Poll => none(self.poll(data)),
            Op::PollDue => {
                self.count_turn();
                let (word, expected) = self.watch_sides(&self.req.abi.eval_breaker);
                Ok(Some(self.icmp(IntCC::NotEqual, word, expected)))
            }

            Op::GuardClass => one(self.guard_class(data, a[0])),
            Op::GuardVersion => one(self.guard_version(data, a[0])),
            Op::GuardClassKeys => none(self.guard_class_keys(a[0])),
            Op::GuardClassVersion => none(self.guard_class_version(a[0])),
            Op::GuardShapes => none(self.guard_shapes(data, a[0])),
            Op::VersionIs => one(self.version_is(a[0])),
            Op::VersionAssume => Ok(Some(a[0])),
            Op::GuardIs => {
                let same = self.icmp(IntCC::Equal, a[0], a[1]);
                none(self.guard(same))
            }
            Op::GuardNotNull => {
                let null = self.icmp_imm(IntCC::Equal, a[0], 0);
                self.guard_not(null)?;
                Ok(Some(a[0]))
            }
            Op::GuardUnique => {
                let count = self.load_as(types::I32, a[0], self.req.abi.ob_refcnt);
                let unique = self.icmp_imm(IntCC::Equal, count, 1);
                none(self.guard(unique))
            }
            Op::GuardTrue => none(self.guard(a[0])),
            Op::GuardFalse => none(self.guard_not(a[0])),
            Op::GuardKeys => none(self.guard_keys(data, a[0])),
            Op::GuardBuiltin => none(self.guard_builtin(a[0])),
            Op::GuardFuncVersion => none(self.guard_code(a[0])),

            Op::BoxInt => one(self.box_int(a[0])),
            Op::BoxFloat => one(self.helper1(Helper::BoxFloat, a)),
            Op::BoxBool => Ok(Some(self.box_bool(a[0]))),
            Op::UnboxInt => one(self.unbox_int(a[0])),
            Op::UnboxFloat => Ok(Some(self.load_as(types::F64, a[0], self.req.abi.float_value))),
            Op::NumBinary => one(self.number_binary(data, a)),
            Op::NumCompare => one(self.number_compare(a)),
            Op::NumToFloat => one(self.number_to_float(data, a[0])),
            Op::UnboxBool => Ok(Some(self.unbox_bool(a[0]))),

            Op::IntAdd => one(self.int_add(a)),
            Op::IntSub => one(self.int_sub(a)),
            Op::IntMul => one(self.int_mul(a)),
            Op::IntFloorDiv => one(self.int_floor_div(data, a)),
            Op::IntMod => one(self.int_mod(data, a)),
            Op::IntAnd => Ok(Some(self.b.ins().band(a[0], a[1]))),
            Op::IntOr => Ok(Some(self.b.ins().bor(a[0], a[1]))),
            Op::IntXor => Ok(Some(self.b.ins().bxor(a[0], a[1]))),
            Op::IntShl => one(self.int_shl(data, a)),
            Op::IntShr => one(self.int_shr(data, a)),
            Op::IntPow => one(self.out_parameter(Helper::IntPow, a, types::I64)),
            Op::IntNeg => one(self.int_neg(a[0])),
            Op::IntNot => Ok(Some(self.b.ins().bnot(a[0]))),
            Op::IntAbs => one(self.int_abs(a[0])),
            Op::IntAdvance => Ok(Some(self.b.ins().iadd(a[0], a[1]))),
            Op::IntCmp => one(self.int_cmp(a)),
            Op::IntToFloat => Ok(Some(self.b.ins().fcvt_from_sint(types::F64, a[0]))),
            Op::IntToFloatExact => one(self.int_to_float_exact(a[0])),
            Op::IntToBool => Ok(Some(self.icmp_imm(IntCC::NotEqual, a[0], 0))),

            Op::FloatAdd => Ok(Some(self.b.ins().fadd(a[0], a[1]))),
            Op::FloatSub => Ok(Some(self.b.ins().fsub(a[0], a[1]))),
            Op::FloatMul => Ok(Some(self.b.ins().fmul(a[0], a[1]))),
            Op::FloatDiv => one(self.float_div(a)),
            Op::FloatFloorDiv => one(self.float_divide_by_helper(Helper::FloatFloorDiv, a)),
            Op::FloatMod => one(self.float_divide_by_helper(Helper::FloatMod, a)),
            Op::FloatPow => one(self.out_parameter(Helper::FloatPow, a, types::F64)),
            Op::FloatNeg => Ok(Some(self.b.ins().fneg(a[0]))),
            Op::FloatAbs => Ok(Some(self.b.ins().fabs(a[0]))),
            Op::FloatSqrt => one(self.float_sqrt(a[0])),
            Op::FloatFn => one(self.float_fn(a[0])),
            Op::FloatRound => Ok(Some(self.b.ins().nearest(a[0]))),
            Op::IntSelect | Op::FloatSelect => Ok(Some(self.b.ins().select(a[0], a[1], a[2]))),
            Op::FloatCmp => one(self.float_cmp(a)),
            Op::FloatToInt => one(self.float_to_int(a[0])),
            Op::FloatToBool => Ok(Some(self.float_to_bool(a[0]))),

            Op::BoolNot => Ok(Some(self.b.ins().bxor_imm_u(a[0], 1))),
            Op::BoolToInt => Ok(Some(self.b.ins().uextend(types::I64, a[0]))),
            Op::ObjIs => Ok(Some(self.icmp(IntCC::Equal, a[0], a[1]))),
            Op::IsNull => Ok(Some(self.icmp_imm(IntCC::Equal, a[0], 0))),
            Op::RefCast => Ok(Some(a[0])),

            Op::ListLen | Op::TupleLen => Ok(Some(self.load(a[0], self.req.abi.ob_size))),
            Op::StrLen => Ok(Some(self.load(a[0], self.req.abi.str_length))),
            Op::StrItem => one(self.str_item(a[0], a[1])),
            Op::StrOrd => one(self.str_ord(a[0])),
            Op::StrChr => one(self.str_chr(a[0])),
            Op::StrCmp => one(self.str_cmp(a)),
            Op::StrIn => one(self.call_truth(Helper::StrIn, a)),
            Op::StrAppend => one(self.str_append(data, a)),
            Op::MatchKind => {
                let flag = self.imm_int()?;
                let flag = self.iconst(flag);
                let has = self.helper1(Helper::MatchKind, &[a[0], flag])?;
                Ok(Some(self.icmp_imm(IntCC::NotEqual, has, 0)))
            }
            Op::Index => one(self.index(data, a)),
            Op::ListItem => Ok(Some(self.list_item(a[0], a[1]))),
            Op::ListData => Ok(Some(self.list_data(a[0]))),
            Op::ListLoad => {
                self.known.set_array(a[0], a[2]);
                Ok(Some(self.list_item(a[0], a[1])))
            }
            Op::TupleItem => Ok(Some(self.tuple_item(a[0], a[1]))),
            Op::ListSwap => {
                let slot = self.list_slot(a[0], a[1]);
                Ok(Some(self.swap(slot, 0, a[2])))
            }
            Op::ListSetFloat => none(self.list_set_float(a)),
            Op::ListSetInt => none(self.list_set_int(a)),
            Op::ListAppend => none(self.call_status(Helper::ListAppend, a)),
            Op::ListSlice => one(self.call_object(Helper::ListSlice, a)),
            Op::ListReversePrefix => none(self.list_reverse_prefix(a[0], a[1])),
            Op::ListPop => one(self.call_object(Helper::ListPop, a)),
            Op::ListInsert => none(self.call_status(Helper::ListInsert, a)),
            Op::BuiltinSelf => Ok(Some(self.load(a[0], self.req.abi.cfunction_self))),
            Op::ArrayLen => Ok(Some(self.load(a[0], self.req.abi.ob_size))),
            Op::ArrayData => Ok(Some(self.load(a[0], self.req.abi.array_items))),
            Op::ArrayLoadInt => one(self.array_load_int(a)),
            Op::ArrayLoadFloat => one(self.array_load_float(a)),
            Op::ArrayStoreInt => none(self.array_store_int(a)),
            Op::ArrayStoreFloat => none(self.array_store_float(a)),
            Op::RangeIterLen => Ok(Some(self.load(a[0], self.req.abi.range_iter[2]))),
            Op::RangeIterNext => Ok(Some(self.range_next(a[0]))),
            Op::ListIterNext => one(self.list_iter_next(a[0])),
            Op::TupleIterNext => one(self.tuple_iter_next(a[0])),
            Op::RangeIterField => {
                let at = self.req.abi.range_iter[usize::from(self.imm_int()? != 0)];
                Ok(Some(self.load(a[0], at)))
            }
            Op::RangeLen => one(self.range_len(a)),
            Op::IterSequence => {
                let [_, at] = self.sequence_iterator(data.args[0])?;
                one(self.load_not_null(a[0], at))
            }
            Op::IterIndex => {
                let [at, _] = self.sequence_iterator(data.args[0])?;
                Ok(Some(self.load(a[0], at)))
            }
            Op::NewRangeIter => {
                let it = self.helper1(Helper::NewRangeIter, a)?;
                let null = self.icmp_imm(IntCC::Equal, it, 0);
                self.guard_not(null)?;
                Ok(Some(it))
            }

            Op::LoadField => one(self.load_field(data, a[0])),
            Op::LoadDictEntry => one(self.load_dict_entry(a[0], a[1])),
            Op::GuardNotInDict => {
                let lacks = self.helper1(Helper::NotInDict, a)?;
                none(self.guard(lacks))
            }
            Op::SwapField => one(self.swap_field(data, a)),
            Op::SetFieldFloat => none(self.set_field_float(data, a)),
            Op::SetFieldInt => none(self.set_field_int(data, a)),
            Op::GlobalHome => {
                let home = self.imm_int()? as u64;
                let place = self.home(home, Helper::FindHome)?;
                let null = self.icmp_imm(IntCC::Equal, place, 0);
                self.guard_not(null)?;
                Ok(Some(place))
            }
            Op::LoadSlot => {
                let offset = self.imm_offset()?;
                one(self.load_not_null(a[0], offset))
            }
            Op::SwapSlot => {
                let offset = self.imm_offset()?;
                Ok(Some(self.swap(a[0], offset, a[1])))
            }
            Op::InitField => none(self.init_field(data, a)),
            Op::InitSlot => {
                let offset = self.imm_offset()?;
                self.store(a[1], a[0], offset);
                Ok(None)
            }
            Op::SetSlotFloat => none(self.set_slot_float(a)),
            Op::SetSlotInt => none(self.set_slot_int(a)),
            Op::NewObject => one(self.call_object(Helper::NewObject, a)),
            Op::InitResult => none(self.init_result(a[0])),
            Op::LoadCell => one(self.load_not_null(a[0], self.req.abi.cell_ref)),
            Op::SwapCell => Ok(Some(self.swap(a[0], self.req.abi.cell_ref, a[1]))),
            Op::ClosureCell => one(self.closure_cell()),

            Op::PyBinary => one(self.call_operator(Helper::PyBinary, data, a)),
            Op::PyInplace => one(self.call_operator(Helper::PyInplace, data, a)),
            Op::PyUnary => one(self.call_operator(Helper::PyUnary, data, a)),
            Op::PyCompare => one(self.call_operator(Helper::PyCompare, data, a)),
            Op::PyCompareBool => one(self.compare_bool(a)),
            Op::PyToBool => one(self.call_truth(Helper::PyToBool, a)),
            Op::PyContains => one(self.call_truth(Helper::PyContains, a)),
            Op::PyGetItem => one(self.call_object(Helper::PyGetItem, a)),
            Op::PySetItem => none(self.call_status(Helper::PySetItem, a)),
            Op::PyDelItem => none(self.call_status(Helper::PyDelItem, a)),
            Op::PyGetSlice => one(self.call_object(Helper::PyGetSlice, a)),
            Op::PySetSlice => none(self.call_status(Helper::PySetSlice, a)),
            Op::PyLoadAttr => {
                let name = self.imm_name()?;
                one(self.call_object(Helper::PyLoadAttr, &[a[0], name]))
            }
            Op::PyLoadMethod => one(self.load_method(a[0])),
            Op::PyMethodSelf => one(self.method_self(data)),
            Op::PyStoreAttr => {
                let name = self.imm_name()?;
                none(self.call_status(Helper::PyStoreAttr, &[a[0], name, a[1]]))
            }
            Op::PyDelAttr => {
                let name = self.imm_name()?;
                none(self.call_status(Helper::PyDelAttr, &[a[0], name]))
            }
            Op::PyLoadGlobal => {
                let name = self.imm_name()?;
                one(self.call_object(Helper::PyLoadGlobal, &[self.frame, name]))
            }
            Op::PyStoreGlobal => {
                let name = self.imm_name()?;
                none(self.call_status(Helper::PyStoreGlobal, &[self.frame, name, a[0]]))
            }
            Op::PyDelGlobal => {
                let name = self.imm_name()?;
                none(self.call_status(Helper::PyDelGlobal, &[self.frame, name]))
            }
            Op::PyLoadName => {
                let name = self.imm_name()?;
                one(self.call_object(Helper::PyLoadName, &[self.frame, name]))
            }
            Op::PyStoreName => {
                let name = self.imm_name()?;
                none(self.call_status(Helper::PyStoreName, &[self.frame, name, a[0]]))
            }
            Op::PyCall => one(self.py_call(data, a)),
            Op::PyCallEx => one(self.call_object(Helper::PyCallEx, a)),
            Op::PyGetIter => one(self.call_object(Helper::PyGetIter, a)),
            Op::PyIterNext => one(self.iter_next(a[0])),
            Op::PyUnpack => {
                let n = self.imm_int()?;
                let n = self.iconst(n);
                one(self.call_object(Helper::PyUnpack, &[a[0], n]))
            }
            Op::PyFormat => one(self.call_object(Helper::PyFormat, a)),
            Op::PyConvert => {
                let kind = self.imm_int()?;
                let kind = self.i32const(kind as i32);
                one(self.call_object(Helper::PyConvert, &[kind, a[0]]))
            }
            Op::PyUnpackEx => {
                let counts = self.imm_int()?;
                let counts = self.iconst(counts);
                one(self.call_object(Helper::PyUnpackEx, &[a[0], counts]))
            }
            Op::PyMatchClass => {
                let count = self.imm_int()?;
                let count = self.iconst(count);
                one(self.call_object(Helper::MatchClass, &[a[0], a[1], count, a[2]]))
            }
            Op::PyMatchKeys => one(self.call_object(Helper::MatchKeys, a)),
            Op::PyBuildClass => one(self.call_object(Helper::LoadBuildClass, &[self.frame])),
            Op::PySuperAttr => {
                let name = self.imm_name()?;
                one(self.call_object(Helper::PySuperAttr, &[a[0], a[1], a[2], name]))
            }
            Op::PyEnter => one(self.call_object(Helper::PyEnter, a)),
            Op::PyRaise => none(self.call_status(Helper::PyRaise, a)),
            Op::PyImport => {
                let name = self.imm_name()?;
                one(self.call_object(Helper::PyImport, &[self.frame, name, a[0], a[1]]))
            }
            Op::PyImportFrom => {
                let name = self.imm_name()?;
                one(self.call_object(Helper::PyImportFrom, &[a[0], name]))
            }
            Op::BuildTuple => one(self.build(Helper::BuildTuple, a)),
            // Exits build it; nothing else looks at it.
            Op::VirtualTuple | Op::VirtualRange | Op::VirtualIter | Op::VirtualObject => Ok(Some(self.iconst(0))),
            Op::BuildList => one(self.build(Helper::BuildList, a)),
            Op::BuildMap => one(self.build(Helper::BuildMap, a)),
            Op::BuildSet => one(self.build(Helper::BuildSet, a)),
            Op::BuildString => one(self.build(Helper::BuildString, a)),
            Op::BuildSlice => one(self.build(Helper::BuildSlice, a)),
            Op::MakeCell => one(self.call_object(Helper::MakeCell, a)),
            Op::MakeFunction => one(self.call_object(Helper::MakeFunction, &[self.frame, a[0]])),
            Op::SetFunctionAttr => {
                let which = self.imm_int()?;
                let which = self.i32const(which as i32);
                self.helper(Helper::SetFunctionAttr, &[a[0], which, a[1]]);
                Ok(None)
            }
            Op::PyListExtend => none(self.call_status(Helper::PyListExtend, a)),
            Op::PySetAdd => none(self.call_status(Helper::PySetAdd, a)),
            Op::PySetUpdate => none(self.call_status(Helper::PySetUpdate, a)),
            Op::PyMapAdd => none(self.call_status(Helper::PyMapAdd, a)),
            Op::PyDictUpdate => none(self.call_status(Helper::PyDictUpdate, a)),
            Op::PyDictMerge => none(self.call_status(Helper::PyDictMerge, a)),
            Op::PyListToTuple => one(self.call_object(Helper::PyListToTuple, a)),
            Op::PyLen => one(self.call_length(a)),

            // Told by where control comes from: see `Branch`.
            Op::Caught => Ok(Some(self.b.ins().iconst(types::I8, 0))),
            Op::Land => {
                let depth = self.imm_int()?;
                let depth = self.i32const(depth as i32);
                one(self.helper1(Helper::Land, &[self.tstate, self.frame, depth]))
            }
            Op::PushHandled => one(self.helper1(Helper::PushHandled, &[self.tstate, a[0]])),
            Op::PopHandled => {
                self.helper(Helper::PopHandled, &[self.tstate, self.frame, a[0]]);
                Ok(None)
            }
            Op::ForgetFrame => {
                self.helper(Helper::ForgetFrame, &[self.frame]);
                Ok(None)
            }
            Op::ExcMatches => one(self.call_truth(Helper::ExcMatches, a)),

            Op::Jump => {
                let (block, args) = self.target(data, 0)?;
                self.b.ins().jump(block, &args);
                Ok(None)
            }
            Op::Branch => none(self.two_way(data, a[0])),
            Op::Return => {
                // Bit 0: the frame is still the caller's to clear.
                let tagged = self.b.ins().bor_imm_u(a[0], 1);
                self.b.ins().return_(&[tagged]);
                Ok(None)
            }
            Op::Exit => {
                let exit = self.leave_block()?;
                self.jump(exit, &[]);
                Ok(None)
            }
        }
    }
}
