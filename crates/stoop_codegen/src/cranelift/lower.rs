//! The driver: blocks in reverse postorder, one exhaustive match over the operations.

use super::Facts;
use super::exits::{Pending, Tail};
use super::known::Known;
use super::slots::{self, Roots};
use super::stub::{Stubs, context};
use crate::runtime::Helper;
use crate::unit::{Error, ExitDesc, Request};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, SigRef, SourceLoc, StackSlot, StackSlotData, StackSlotKind, Value as CV, types};
use cranelift_codegen::isa::TargetFrontendConfig;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use std::collections::HashMap;
use stoop_ir::{Block, Class, Flags, Function, Hint, Imm, Inst, InstData, Op, Type};

/// What is left to do after lowering.
pub(crate) struct Lowered {
    pub(crate) exits: Vec<ExitDesc>,
    pub(crate) stubs: Stubs,
    /// What stubs look at.
    pub(crate) context: StackSlot,
    /// Whether there are values in vector registers.
    pub(crate) uses_floats: bool,
    /// Whether something asks for the overflow flag.
    pub(crate) asks_overflow: bool,
}

/// Lowers a function.
pub(crate) fn lower(
    request: &Request,
    config: TargetFrontendConfig,
    into: &mut ir::Function,
    context: &mut FunctionBuilderContext,
) -> Result<Lowered, Error> {
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
    let context = b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, context::SIZE, 3));
    // Folded into the loads and stores that use them, wherever those are.
    let at = |b: &mut FunctionBuilder, s| b.ins().stack_addr(types::I64, s, 0);
    let exit_buffer_address = at(&mut b, exit_buffer);
    let arguments_address = at(&mut b, arguments);
    let scratch_address = at(&mut b, scratch);
    let context_address = at(&mut b, context);
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
        check_follows: false,
        destroying: None,
        written: Vec::new(),
        check_after: None,
        caught: None,
        inst: Inst(0),
        signatures: HashMap::new(),
        stubs: Stubs::default(),
        context_address,
        method_slots: HashMap::new(),
        constants: vec![None; func.values.len()],
        exit_buffer,
        exit_buffer_address,
        exit_need: 1,
        arguments,
        arguments_address,
        arguments_need: 1,
        scratch,
        scratch_address,
        tstate,
        frame,
        pushed: None,
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
    l.store(tstate, context_address, context::TSTATE);
    l.store(frame, context_address, context::FRAME);
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
            let next = insts.get(k + 1).map(|i| func.inst(*i));
            l.catches = next.is_some_and(|n| n.op == Op::Caught);
            l.check_after = next.filter(|n| n.op == Op::CheckValid).and_then(|n| n.state);
            if func.inst(inst).op != Op::CheckValid {
                l.check_follows = next.is_some_and(|n| is_about(n, func.inst(inst)));
            }
            let (leaves, told) = (func.inst(inst).hint == Hint::Leave, next.is_some_and(|n| n.hint == Hint::Leave));
            if leaves && func.inst(inst).op != Op::CheckValid && !(l.check_follows && told) {
                return Err(l.malformed("has lost its check"));
            }
            l.instruction(inst)?;
        }
    }
    l.emit_exits();
    l.b.func.sized_stack_slots[exit_buffer].size = 8 * l.exit_need;
    l.b.func.sized_stack_slots[arguments].size = 8 * l.arguments_need;
    l.b.seal_all_blocks();
    let Lower { b, exits, stubs, .. } = l;
    b.finalize(config);
    let asks_overflow = |i: &Inst| matches!(func.inst(*i).op, Op::IntAdd | Op::IntSub | Op::IntMul);
    Ok(Lowered {
        exits,
        stubs,
        context,
        uses_floats: func.values.iter().any(|v| v.ty == Type::F64),
        asks_overflow: order.iter().flat_map(|b| &func.blocks[b.index()].insts).any(asks_overflow),
    })
}

/// Whether a check is needed only for what the instruction before it does in a cold block.
fn is_about(check: &InstData, before: &InstData) -> bool {
    let drops = matches!(before.op, Op::DecRef | Op::StoreLocal);
    let polls = before.op == Op::Poll && before.state == check.state;
    (drops || polls) && check.op == Op::CheckValid && check.imm == Imm::Int(1)
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
    /// Whether the next instruction is a check that only the present one makes necessary.
    pub(crate) check_follows: bool,
    /// A block where an object is to be destroyed and that check made.
    pub(crate) destroying: Option<(ir::Block, CV)>,
    /// The slots that are written before it is.
    pub(crate) written: Vec<(u32, stoop_ir::Value)>,
    /// The state of the check that follows the present instruction, if one does.
    pub(crate) check_after: Option<stoop_ir::State>,
    /// Where control goes if it did.
    pub(crate) caught: Option<ir::Block>,
    /// The present instruction.
    pub(crate) inst: Inst,
    pub(crate) signatures: HashMap<Helper, SigRef>,
    pub(crate) stubs: Stubs,
    /// What stubs look at.
    pub(crate) context_address: CV,
    /// Constants made in a block.
    pub(crate) constants: Vec<Option<(ir::Block, CV)>>,
    /// Where each `PyLoadMethod` leaves self or NULL.
    pub(crate) method_slots: HashMap<Inst, StackSlot>,
    pub(crate) exit_buffer: StackSlot,
    pub(crate) exit_buffer_address: CV,
    /// Entries the exit buffer must have.
    pub(crate) exit_need: u32,
    pub(crate) arguments: StackSlot,
    pub(crate) arguments_address: CV,
    /// Entries the argument array must have.
    pub(crate) arguments_need: u32,
    /// Eight bytes for out-parameters.
    pub(crate) scratch: StackSlot,
    pub(crate) scratch_address: CV,
    pub(crate) tstate: CV,
    pub(crate) frame: CV,
    /// Frames of inlined functions that stand while the present instruction runs Python code.
    pub(crate) pushed: Option<super::frames::Pushed>,
}

impl<'a> Lower<'a> {
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
        let mut args = Vec::with_capacity(data.args.len());
        for v in &data.args {
            args.push(self.v(*v)?);
        }
        if let stoop_ir::Arity::N(n) = data.op.info().arity
            && args.len() != usize::from(n)
        {
            return Err(self.malformed("wrong number of operands"));
        }
        let poll = data.op == Op::Poll;
        let runs_python = data.op.is(Flags::PY) && !poll;
        if runs_python {
            self.reveal(data);
            self.sync(data)?;
            slots::step(f, &self.roots, &mut self.facts, inst);
        }
        if data.op.is(Flags::RAISE) && !poll {
            self.store_position(data)?;
        }
        if runs_python {
            self.push_inlined(data)?;
        }
        let is_constant = matches!(data.op, Op::ConstObj | Op::ConstInt | Op::ConstBool | Op::ConstNull);
        let is_made_at_uses = is_constant && data.result.is_some_and(|r| self.constant(r).is_some());
        let result = if is_made_at_uses { None } else { self.operation(data, &args)? };
        if runs_python {
            self.pop_inlined()?;
        }
        if data.op != Op::IncRef {
            self.known.forget(data.op.info().writes);
        }
        if let Some(r) = data.result
            && self.constant(r).is_none()
        {
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
            Op::Check => none(self.check()),
            Op::CheckHandling => none(self.check_handling()),
            Op::CheckValid => none(self.check_valid()),
            Op::Poll => none(self.poll(data)),
            Op::PollDue => {
                self.count_turn();
                Ok(Some(self.watch_fails(&self.req.abi.eval_breaker)))
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
            Op::GuardDepth => none(self.guard_depth(data)),
            Op::GuardFuncVersion => none(self.guard_code(a[0])),

            Op::BoxInt => one(self.box_int(a[0])),
            Op::BoxUInt => one(self.helper1(Helper::BoxUInt, a)),
            Op::IntLow => one(self.int_low(a[0])),
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
            Op::IntMulWrap => Ok(Some(self.b.ins().imul(a[0], a[1]))),
            Op::IntShrU => Ok(Some(self.b.ins().ushr(a[0], a[1]))),
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
            Op::Concat => one(self.call_object(Helper::Concat, a)),
            Op::Equal => {
                let equal = self.told_or_leave(Helper::Equal, a)?;
                Ok(Some(if self.imm_cmp()? == stoop_ir::CmpOp::Ne { self.b.ins().bxor_imm_u(equal, 1) } else { equal }))
            }
            Op::Truth => one(self.truth(a[0])),
            Op::StrIn => one(self.call_truth(Helper::StrIn, a)),
            Op::StrAppend => one(self.str_append(data, a)),
            Op::StrOf => one(self.call_object(Helper::StrOf, a)),
            Op::BytesItem => Ok(Some(self.bytes_item(a))),
            Op::Slice => one(self.call_object(Helper::Slice, a)),
            Op::TypeOf => Ok(Some(self.load(a[0], self.req.abi.ob_type))),
            Op::IsInstance => one(self.is_instance(a)),
            Op::DictFind => {
                self.not_own_module(a[0])?;
                one(self.dict_find(a))
            }
            Op::DictFindTuple => {
                self.not_own_module(a[0])?;
                one(self.dict_find_tuple(data, a))
            }
            Op::DictLoad => one(self.dict_load(a[1])),
            Op::DictTake => one(self.dict_take(a)),
            Op::DictOr => Ok(Some(self.dict_or(data, a))),
            Op::DictSet => none(self.dict_set(a)),
            Op::SetAdd => none(self.put_or_leave(Helper::SetAdd, a)),
            Op::Contains => one(self.told_or_leave(Helper::Contains, a)),
            Op::ItemsLen => one(self.items_len(data, a[0])),
            Op::MatchKind => {
                let flag = self.imm_int()?;
                let flag = self.iconst(flag);
                let has = self.helper1(Helper::MatchKind, &[a[0], flag])?;
                Ok(Some(self.icmp_imm(IntCC::NotEqual, has, 0)))
            }
            Op::Index => one(self.index(data, a)),
            Op::ListItem => Ok(Some(self.list_item(a[0], a[1]))),
            Op::ListData => Ok(Some(self.list_data(a[0]))),
            Op::ItemsData => one(self.items_data(data, a[0])),
            Op::ListLoad => {
                self.known.set_array(self.key(a[0]), a[2]);
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
            Op::ArrayData => {
                let bytes = self.f.ty(data.args[0]) == Type::Exact(Class::ByteArray);
                let at = if bytes { self.req.abi.bytearray_start } else { self.req.abi.array_items };
                Ok(Some(self.load(a[0], at)))
            }
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
            Op::GuardNoDict => {
                let offset = self.imm_offset()?;
                let dict = self.load(a[0], offset);
                none(self.guard_not(dict))
            }
            Op::SwapField => one(self.swap_field(data, a)),
            Op::SetFieldFloat => none(self.set_field_float(data, a)),
            Op::SetFieldInt => none(self.set_field_int(data, a)),
            Op::GlobalHome => {
                let home = self.imm_int()? as u64;
                let place = self.home(home, Helper::FindHome)?;
                self.guard(place)?;
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
            Op::PyGetAttrOr => one(self.call_object(Helper::PyGetAttrOr, a)),
            Op::PyHasAttr => one(self.call_truth(Helper::PyHasAttr, a)),
            Op::PyDelAttr => {
                let name = self.imm_name()?;
                none(self.call_status(Helper::PyDelAttr, &[a[0], name]))
            }
            Op::PyLoadGlobal => {
                let (frame, name) = (self.present_frame(), self.imm_name()?);
                one(self.call_object(Helper::PyLoadGlobal, &[frame, name]))
            }
            Op::PyStoreGlobal => {
                let (frame, name) = (self.present_frame(), self.imm_name()?);
                none(self.call_status(Helper::PyStoreGlobal, &[frame, name, a[0]]))
            }
            Op::PyDelGlobal => {
                let (frame, name) = (self.present_frame(), self.imm_name()?);
                none(self.call_status(Helper::PyDelGlobal, &[frame, name]))
            }
            Op::PyLoadName => {
                let (frame, name) = (self.present_frame(), self.imm_name()?);
                one(self.call_object(Helper::PyLoadName, &[frame, name]))
            }
            Op::PyStoreName => {
                let (frame, name) = (self.present_frame(), self.imm_name()?);
                none(self.call_status(Helper::PyStoreName, &[frame, name, a[0]]))
            }
            Op::PyCall => one(self.py_call(data, a)),
            Op::NativeCall => one(self.native_call(data, a)),
            Op::PyCallEx => one(self.call_object(Helper::PyCallEx, a)),
            Op::PyGetIter => one(self.call_object(Helper::PyGetIter, a)),
            Op::PyNewGenerator => {
                let (function, arguments) = a.split_first().ok_or_else(|| self.malformed("needs a function"))?;
                self.put_arguments(0, arguments);
                let array = self.stack_address(self.arguments, 0);
                let count = self.iconst(arguments.len() as i64);
                one(self.call_object(Helper::PyNewGenerator, &[*function, array, count]))
            }
            Op::PyYieldFromIter | Op::PyAwaitable => {
                let how = self.imm_int()?;
                let how = self.iconst(how);
                let helper = if data.op == Op::PyAwaitable { Helper::PyAwaitable } else { Helper::PyYieldFromIter };
                one(self.call_object(helper, &[a[0], how]))
            }
            Op::PyIterNext => one(self.iter_next(a[0])),
            Op::IterNext => one(self.iter_next_quietly(a[0])),
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
                let (frame, name) = (self.present_frame(), self.imm_name()?);
                one(self.call_object(Helper::PyImport, &[frame, name, a[0], a[1]]))
            }
            Op::PyImportFrom => {
                let name = self.imm_name()?;
                one(self.call_object(Helper::PyImportFrom, &[a[0], name]))
            }
            Op::BuildTuple => one(self.build(Helper::BuildTuple, a)),
            // Exits build it; nothing else looks at it.
            Op::VirtualTuple | Op::VirtualRange | Op::VirtualIter | Op::VirtualObject => Ok(Some(self.iconst(0))),
            Op::BuildList => one(self.build_list(data, a)),
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
            Op::Yield => none(self.suspend(data, a)),
            Op::Exit => {
                let exit = self.leave_block()?;
                self.jump(exit, &[]);
                Ok(None)
            }
        }
    }
}
