//! Leaving compiled code, and keeping the frame presentable while Python code looks.

use super::lower::{Lower, machine_type};
use super::slots::{self, Root};
use super::stub::{Stub, context};
use crate::abi::{Expected, Place, Watch};
use crate::runtime::Helper;
use crate::unit::{Error, ExitDesc, ExitFrame, ExitKind, ObjectRecipe, Recipe};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, SourceLoc, Value as CV, types};
use std::collections::HashMap;
use stoop_ir::{Imm, InstData, Op, State, Type, Value};

/// An exit whose block is still to be filled.
pub(crate) struct Pending {
    block: ir::Block,
    exit: usize,
    /// What goes into the exit buffer, by index.
    values: Vec<CV>,
    location: SourceLoc,
}

/// More bytes than code objects have that can be compiled.
const MOST_CODE: u64 = 1 << 24;

/// Exits of one kind that need the same values.
#[derive(Default)]
struct Alike {
    count: usize,
    /// The block that stores them.
    storing: Option<ir::Block>,
}

/// The block all exits of one kind end in; the exit's index is in the context.
pub(crate) type Tail = ir::Block;

impl Lower<'_> {
    /// The present instruction's side exit.
    pub(crate) fn leave_block(&mut self) -> Result<ir::Block, Error> {
        if let Some(b) = self.leave {
            return Ok(b);
        }
        let block = self.new_exit(ExitKind::Leave)?;
        self.leave = Some(block);
        Ok(block)
    }

    /// The present instruction's exit with an exception.
    pub(crate) fn raise_block(&mut self) -> Result<ir::Block, Error> {
        if let Some(b) = self.raise {
            return Ok(b);
        }
        let block = if self.catches && self.f.inst(self.inst).op != Op::Poll {
            let caught = self.cold_block();
            self.caught = Some(caught);
            caught
        } else {
            self.new_exit(ExitKind::Raise)?
        };
        self.raise = Some(block);
        Ok(block)
    }

    fn new_exit(&mut self, kind: ExitKind) -> Result<ir::Block, Error> {
        let f = self.f;
        let data = f.inst(self.inst);
        let state = data.state.ok_or_else(|| self.malformed("leaves without a frame state"))?;
        let mut values = Vec::new();
        let met = match data.op {
            Op::NumToFloat
            | Op::GuardClass
            | Op::GuardVersion
            | Op::GuardShapes
            | Op::GuardIs
            | Op::GuardNotNull
            | Op::GuardFuncVersion => Some(self.recipe(data.args[0], false, &mut values)?),
            _ => None,
        };
        let dirty = slots::dirty(f, &self.roots, &self.facts, state);
        let mut frames = Vec::new();
        let mut at = Some(state);
        while let Some(s) = at {
            let row = &f.states[s.index()];
            let listed: Vec<(u32, Value)> = match row.parent {
                None => dirty.clone(),
                Some(_) => row.locals.iter().enumerate().filter_map(|(k, v)| Some((k as u32, (*v)?))).collect(),
            };
            frames.push(self.exit_frame(s, &listed, &mut values)?);
            at = row.parent;
        }
        if self.objects.iter().any(|o| o.owned == 0) {
            return Err(self.malformed("describes an instance that nobody owns"));
        }
        let inner = frames.remove(0);
        let block = self.cold_block();
        self.exit_need = self.exit_need.max(values.len() as u32);
        self.pending.push(Pending { block, exit: self.exits.len(), values, location: self.b.srcloc() });
        self.exits.push(ExitDesc {
            kind,
            op: data.op,
            inst: self.inst,
            imm: data.imm,
            met,
            state,
            code: inner.code,
            unit: inner.unit,
            asked: data.asked,
            locals: inner.locals,
            stack: inner.stack,
            parents: frames,
            parts: std::mem::take(&mut self.parts),
            objects: std::mem::take(&mut self.objects),
        });
        Ok(block)
    }

    fn exit_frame(&mut self, s: State, locals: &[(u32, Value)], values: &mut Vec<CV>) -> Result<ExitFrame, Error> {
        let row = &self.f.states[s.index()];
        let locals = locals
            .iter()
            .map(|(k, v)| Ok((*k, self.recipe(*v, row.owned.contains(k), values)?)))
            .collect::<Result<_, Error>>()?;
        let stack = row.stack.iter().map(|e| self.recipe(e.value, e.owned, values)).collect::<Result<_, Error>>()?;
        Ok(ExitFrame { state: s, code: row.code, unit: row.unit, locals, stack })
    }

    /// The items of a tuple that only exits make.
    fn virtual_items(&self, v: Value) -> Option<Vec<Value>> {
        let Root::Value(root) = self.roots.reference(v) else { return None };
        let d = self.f.inst(self.f.def_inst(root)?);
        (d.op == Op::VirtualTuple).then(|| d.args.clone())
    }

    /// The operands and the form of an iterator that only exits make.
    fn virtual_iterator(&self, v: Value, kind: Op) -> Option<(Vec<Value>, i64)> {
        let Root::Value(root) = self.roots.reference(v) else { return None };
        let d = self.f.inst(self.f.def_inst(root)?);
        match d.imm {
            Imm::Int(form) if d.op == kind => Some((d.args.clone(), form)),
            _ => None,
        }
    }

    /// Has the exit make an instance, if that is what a value describes; where it then is in the buffer.
    fn virtual_object(&mut self, v: Value, owned: bool, values: &mut Vec<CV>) -> Result<Option<Recipe>, Error> {
        let Root::Value(root) = self.roots.reference(v) else { return Ok(None) };
        let Some(d) = self.f.def_inst(root).map(|i| self.f.inst(i)).filter(|d| d.op == Op::VirtualObject) else {
            return Ok(None);
        };
        let cv = self.v(root)?;
        let slot = values.iter().position(|x| *x == cv).unwrap_or_else(|| {
            values.push(cv);
            values.len() - 1
        });
        let known = self.objects.iter().position(|o| o.slot == slot);
        let k = match known {
            Some(k) => k,
            None => {
                let Root::Object(class) = self.roots.reference(d.args[0]) else {
                    return Err(self.malformed("describes an instance of no constant class"));
                };
                let mut fields = Vec::new();
                for pair in d.args[1..].chunks(2) {
                    let place = self.known_int(pair[0]).ok_or_else(|| self.malformed("an attribute without a place"))?;
                    fields.push((place, self.recipe(pair[1], false, values)?));
                }
                self.objects.push(ObjectRecipe { slot, class, fields, owned: 0 });
                self.objects.len() - 1
            }
        };
        self.objects[k].owned += usize::from(owned);
        Ok(Some(if owned { Recipe::Owned(slot) } else { Recipe::Borrowed(slot) }))
    }

    /// How an exit gets at a value; what it needs of the machine's state goes into `values`.
    fn recipe(&mut self, v: Value, owned: bool, values: &mut Vec<CV>) -> Result<Recipe, Error> {
        if let Some(items) = self.virtual_items(v) {
            let recipes = items.into_iter().map(|x| self.recipe(x, owned, values)).collect::<Result<Vec<_>, _>>()?;
            self.parts.extend(&recipes);
            return Ok(Recipe::Tuple(self.parts.len() - recipes.len(), recipes.len()));
        }
        if let Some(r) = self.virtual_object(v, owned, values)? {
            return Ok(r);
        }
        if let Some((parts, form)) = self.virtual_iterator(v, Op::VirtualRange) {
            let recipes = parts.into_iter().map(|x| self.recipe(x, false, values)).collect::<Result<Vec<_>, _>>()?;
            self.parts.extend(&recipes);
            return Ok(Recipe::Range(self.parts.len() - recipes.len(), form));
        }
        if let Some((parts, kind)) = self.virtual_iterator(v, Op::VirtualIter) {
            let recipes = parts.into_iter().map(|x| self.recipe(x, owned, values)).collect::<Result<Vec<_>, _>>()?;
            self.parts.extend(&recipes);
            return Ok(Recipe::Iter(self.parts.len() - recipes.len(), recipes.len(), kind));
        }
        let mut place = |l: &mut Self| -> Result<usize, Error> {
            let cv = l.v(v)?;
            Ok(values.iter().position(|x| *x == cv).unwrap_or_else(|| {
                values.push(cv);
                values.len() - 1
            }))
        };
        let ty = self.f.ty(v);
        let root = if ty.is_ref() { self.roots.reference(v) } else { self.roots.value(v) };
        Ok(match (ty, root) {
            (Type::Null, _) | (_, Root::Null) => Recipe::Null,
            (Type::I64, Root::Int(i)) => Recipe::ConstInt(i),
            (Type::F64, Root::Float(bits)) => Recipe::ConstFloat(bits),
            (Type::I1, Root::Bool(b)) => Recipe::ConstBool(b),
            (Type::I64 | Type::F64 | Type::I1, Root::Object(a)) => Recipe::Const(a),
            (Type::I64, _) => Recipe::Int(place(self)?),
            (Type::F64, _) => Recipe::Float(place(self)?),
            (Type::I1, _) => Recipe::Bool(place(self)?),
            (_, Root::Object(a)) => {
                if owned {
                    Recipe::OwnedConst(a)
                } else {
                    Recipe::Const(a)
                }
            }
            (Type::Void | Type::MaybeNull | Type::Obj | Type::Exact(_) | Type::Heap(_), _) => {
                let i = place(self)?;
                if owned { Recipe::Owned(i) } else { Recipe::Borrowed(i) }
            }
        })
    }

    /// Fills the exits' blocks, after everything else. Exits that need the same values share the code that stores them.
    pub(crate) fn emit_exits(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let mut alike: HashMap<(ExitKind, &[CV]), Alike> = HashMap::new();
        for p in &pending {
            alike.entry((self.exits[p.exit].kind, &p.values)).or_default().count += 1;
        }
        for p in &pending {
            self.b.switch_to_block(p.block);
            self.b.set_srcloc(p.location);
            let kind = self.exits[p.exit].kind;
            let tail = self.tail(kind);
            let shared = alike.get_mut(&(kind, &p.values[..])).filter(|a| a.count > 1 && !p.values.is_empty());
            // In memory, an index needs no register, nor the allocator's attention on each of the many ways there.
            let index = self.i32const(p.exit as i32);
            self.store(index, self.context_address, context::RESULT);
            let Some(Alike { storing, .. }) = shared else {
                self.store_values(&p.values);
                self.jump(tail, &[]);
                continue;
            };
            match *storing {
                Some(block) => self.jump(block, &[]),
                None => {
                    let block = self.cold_block();
                    *storing = Some(block);
                    self.jump(block, &[]);
                    self.b.switch_to_block(block);
                    self.store_values(&p.values);
                    self.jump(tail, &[]);
                }
            }
        }
        self.b.set_srcloc(SourceLoc::default());
        for (kind, helper) in [(ExitKind::Leave, Helper::SideExit), (ExitKind::Raise, Helper::RaiseExit)] {
            let Some(tail) = self.tails[kind as usize] else { continue };
            self.b.switch_to_block(tail);
            let index = self.load_as(types::I32, self.context_address, context::RESULT);
            let buffer = self.stack_address(self.exit_buffer, 0);
            let record = self.address(self.req.record);
            let result = self.helper(helper, &[self.tstate, self.frame, buffer, record, index]);
            self.b.ins().return_(result.as_slice());
        }
    }

    fn store_values(&mut self, values: &[CV]) {
        for (i, &v) in values.iter().enumerate() {
            let narrow = self.b.func.dfg.value_type(v) == machine_type(Type::I1);
            let wide = if narrow { self.b.ins().uextend(types::I64, v) } else { v };
            self.store(wide, self.exit_buffer_address, 8 * i as i32);
        }
    }

    fn tail(&mut self, kind: ExitKind) -> Tail {
        if let Some(t) = self.tails[kind as usize] {
            return t;
        }
        let t = self.cold_block();
        self.tails[kind as usize] = Some(t);
        t
    }

    // --- the frame as others see it -----------------------------------------------------------------

    /// Stores where the interpreter's frame stands: tracebacks and `sys._getframe` read it.
    pub(crate) fn store_position(&mut self, data: &InstData) -> Result<(), Error> {
        let state = data.state.ok_or_else(|| self.malformed("needs a frame state"))?;
        let state = &self.f.states[slots::real_state(self.f, state).index()];
        self.store_instr((self.req.unit_address)(state.code, state.unit), state.code);
        Ok(())
    }

    fn store_instr(&mut self, address: u64, code: u32) {
        let at = self.req.abi.frame_instr;
        // What is there points into the same code: the lower half tells where, unless the code lies across the border.
        let first = (self.req.unit_address)(code, 0);
        let alike = |a: u64| a >> 32 == address >> 32;
        if cfg!(target_endian = "little") && alike(first.wrapping_sub(MOST_CODE)) && alike(first.wrapping_add(MOST_CODE)) {
            let low = self.i32const(address as i32);
            self.store(low, self.frame, at);
        } else {
            let address = self.address(address);
            self.store(address, self.frame, at);
        }
    }

    /// Writes the locals that are out of date to their slots, before Python code may look at them.
    pub(crate) fn sync(&mut self, data: &InstData) -> Result<(), Error> {
        let state = data.state.ok_or_else(|| self.malformed("needs a frame state"))?;
        let dirty = slots::dirty(self.f, &self.roots, &self.facts, state);
        self.sync_slots(dirty)
    }

    /// Writes the locals that are out of date to their slots, before the finaliser of what is dropped here may look at them.
    pub(crate) fn sync_at_drop(&mut self) -> Result<(), Error> {
        if !self.at_drop {
            return Ok(());
        }
        let mut facts = self.facts.clone();
        let data = self.f.inst(self.inst);
        if let (Op::StoreLocal, Imm::Index(k)) = (data.op, data.imm) {
            facts[k as usize] = Some(slots::Fact { value: data.args[0], exact: true });
        }
        let mut dirty = self.roots.dirty_at_drop(&facts, self.inst);
        // What is computed only later is stored only later.
        dirty.retain(|(_, v)| self.values[v.index()].is_some() || self.constant(*v).is_some());
        // The drops that this makes are not the instruction's own.
        self.at_drop = false;
        // The check right after it stands behind the instruction that drops.
        if let Some(s) = self.check_after {
            let state = &self.f.states[slots::real_state(self.f, s).index()];
            self.store_instr((self.req.unit_before)(state.code, state.unit), state.code);
        }
        self.written.clone_from(&dirty);
        let done = self.sync_slots(dirty);
        self.at_drop = true;
        done
    }

    fn sync_slots(&mut self, mut dirty: Vec<(u32, Value)>) -> Result<(), Error> {
        // References first: a slot's box may be what another local is to hold, and writing a number
        // reuses the box. With two of them, each may lose its last owner to the other's write.
        dirty.sort_by_key(|(_, v)| !self.f.ty(*v).is_ref());
        let mut objects: Vec<(CV, Type)> = Vec::new();
        for (_, v) in &dirty {
            let ty = self.f.ty(*v);
            if ty.is_ref() && matches!(self.roots.reference(*v), Root::Value(_)) {
                objects.push((self.v(*v)?, ty));
            }
        }
        let hold = objects.len() > 1;
        if hold {
            for (cv, ty) in &objects {
                self.inc_ref_of(*cv, *ty)?;
            }
        }
        for (k, v) in dirty {
            self.sync_slot(k, v)?;
        }
        if hold {
            for (cv, ty) in &objects {
                self.dec_ref_of(*cv, *ty)?;
            }
        }
        Ok(())
    }

    fn sync_slot(&mut self, k: u32, v: Value) -> Result<(), Error> {
        let value = self.v(v)?;
        let (base, offset) = self.slot_place(k)?;
        let slot = self.add_imm(base, i64::from(offset));
        match self.f.ty(v) {
            Type::I64 => self.helper(Helper::SyncInt, &[slot, value]),
            Type::F64 => self.helper(Helper::SyncFloat, &[slot, value]),
            Type::I1 => {
                let object = self.box_bool(value);
                self.helper(Helper::SyncRef, &[slot, object])
            }
            Type::Void | Type::Null | Type::MaybeNull | Type::Obj | Type::Exact(_) | Type::Heap(_) => {
                self.helper(Helper::SyncRef, &[slot, value])
            }
        };
        Ok(())
    }

    // --- safe points --------------------------------------------------------------------------------

    /// Leaves unless the assumptions stand. What only the instruction before may have broken is asked where that did
    /// something.
    pub(crate) fn check_valid(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.check_follows) {
            if let (Some((destroy, object)), Some(done)) = (self.destroying.take(), self.b.current_block()) {
                self.b.switch_to_block(destroy);
                let told = self.f.inst(self.inst).hint == stoop_ir::Hint::Leave;
                let fell = self.stub_result(if told { Stub::DestroyOrLeave } else { Stub::Destroy }, &[object], false);
                // The exit stands after the writing of the slots, and must leave what is in them alone.
                let before = self.facts.clone();
                for (k, v) in std::mem::take(&mut self.written) {
                    self.facts[k as usize] = Some(slots::Fact { value: v, exact: self.f.ty(v).is_ref() });
                }
                let leave = self.leave_block()?;
                self.facts = before;
                self.branch(fell, leave, done);
                self.b.switch_to_block(done);
            }
            return Ok(());
        }
        let holds = self.watch_holds(&self.req.valid);
        self.guard(holds)
    }

    /// Leaves unless the assumptions and every other watched word stand. That somebody had the frame's object does not
    /// matter once nobody has it.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        // Frames of inlined functions stand on where somebody has them.
        if let Some(stand) = self.frames_stand()? {
            self.guard_not(stand)?;
        }
        let differs = self.stub_result(Stub::Check, &[], false);
        self.guard_not(differs)
    }

    /// As `check`, but a frame object may be there, as long as nobody asked it for the locals.
    pub(crate) fn check_handling(&mut self) -> Result<(), Error> {
        let differs = self.stub_result(Stub::CheckHandling, &[], false);
        self.guard_not(differs)
    }

    /// Loads a watched word, masked.
    fn watched(&mut self, w: &Watch) -> CV {
        let (base, offset) = match w.place {
            Place::Absolute(a) => (self.address(a), 0),
            Place::ThreadState(o) => (self.tstate, o),
            Place::Frame(o) => (self.frame, o),
        };
        let (word, bits) = match w.width {
            1 => {
                let v = self.load_as(types::I8, base, offset);
                (self.b.ins().uextend(types::I64, v), 8)
            }
            4 => {
                let v = self.load_as(types::I32, base, offset);
                (self.b.ins().uextend(types::I64, v), 32)
            }
            _ => (self.load(base, offset), 64),
        };
        let whole = u64::MAX >> (64 - bits);
        if w.mask & whole == whole { word } else { self.b.ins().band_imm_u(word, w.mask as i64) }
    }

    /// Whether a watched word is what it should be.
    pub(crate) fn watch_holds(&mut self, w: &Watch) -> CV {
        self.compare_watched(IntCC::Equal, w)
    }

    /// Whether it is not.
    pub(crate) fn watch_fails(&mut self, w: &Watch) -> CV {
        self.compare_watched(IntCC::NotEqual, w)
    }

    fn compare_watched(&mut self, cc: IntCC, w: &Watch) -> CV {
        let word = self.watched(w);
        let expected = match w.expected {
            Expected::Const(c) => self.iconst(c as i64),
            Expected::Memory(a) => {
                let a = self.address(a);
                self.load(a, 0)
            }
        };
        self.icmp(cc, word, expected)
    }

    /// Counts a turn, if this poll's are counted.
    pub(crate) fn count_turn(&mut self) {
        let Some((address, polls)) = self.req.turns else { return };
        if polls.contains(&self.inst) {
            let word = self.address(address);
            let count = self.load(word, 0);
            let more = self.add_imm(count, 1);
            self.store(more, word, 0);
        }
    }

    /// Serves the eval breaker when it asks.
    pub(crate) fn poll(&mut self, data: &InstData) -> Result<(), Error> {
        self.count_turn();
        let asks = self.watch_fails(&self.req.abi.eval_breaker);
        let (slow, go_on) = (self.cold_block(), self.b.create_block());
        self.branch(asks, slow, go_on);
        self.b.switch_to_block(slow);
        self.sync(data)?;
        self.store_position(data)?;
        // The exits below stand after the sync; the way on joins the way that did not sync.
        let state = data.state.ok_or_else(|| self.malformed("needs a frame state"))?;
        let before = self.facts.clone();
        for (k, v) in slots::dirty(self.f, &self.roots, &self.facts, state) {
            self.facts[k as usize] = Some(slots::Fact { value: v, exact: self.f.ty(v).is_ref() });
        }
        let stub = if self.check_follows { Stub::PollAndCheck } else { Stub::Poll };
        let status = self.stub_result(stub, &[], false);
        // Moves on the way back belong to a cold block of their own, not between the hot ones.
        let (back, asked) = (self.cold_block(), self.cold_block());
        self.branch(status, asked, back);
        self.b.switch_to_block(back);
        self.jump(go_on, &[]);
        self.b.switch_to_block(asked);
        let (leave, raise) = (self.leave_block()?, self.raise_block()?);
        let raised = self.icmp_imm(IntCC::SignedLessThan, status, 0);
        self.branch(raised, raise, leave);
        self.facts = before;
        self.b.switch_to_block(go_on);
        Ok(())
    }
}
