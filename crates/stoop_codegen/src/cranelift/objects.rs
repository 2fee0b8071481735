//! References, boxes, type guards, attributes and cells.

use super::lower::Lower;
use super::slots::Root;
use crate::abi::InlineValues;
use crate::runtime::Helper;
use crate::unit::Error;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, Value as CV, types};
use stoop_ir::{Class, InstData, Op, Type, Value};

/// Whether objects of this type are never freed.
fn is_immortal(ty: Type) -> bool {
    matches!(ty, Type::Null | Type::Exact(Class::Bool | Class::NoneType))
}

impl Lower<'_> {
    // --- reference counts -----------------------------------------------------------------------

    /// Takes a reference to a value of this type.
    pub(crate) fn inc_ref_of(&mut self, object: CV, ty: Type) -> Result<(), Error> {
        if !ty.is_ref() {
            return Err(self.malformed("counts an unboxed value"));
        }
        if is_immortal(ty) {
            return Ok(());
        }
        let done = self.next_block();
        if ty == Type::MaybeNull {
            self.branch_unless(object, done);
        }
        // An immortal object's low half is all ones.
        let offset = self.req.abi.ob_refcnt;
        let count = self.load_as(types::I32, object, offset);
        let more = self.add_imm(count, 1);
        self.branch_unless(more, done);
        self.store(more, object, offset);
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    /// Drops a reference to a value of this type.
    pub(crate) fn dec_ref_of(&mut self, object: CV, ty: Type) -> Result<(), Error> {
        if !ty.is_ref() {
            return Err(self.malformed("counts an unboxed value"));
        }
        if is_immortal(ty) {
            return Ok(());
        }
        let done = self.next_block();
        if ty == Type::MaybeNull {
            self.branch_unless(object, done);
        }
        self.dec_ref(object, done)
    }

    /// Drops a reference to an object, then goes on in `done`.
    pub(crate) fn dec_ref(&mut self, object: CV, done: ir::Block) -> Result<(), Error> {
        let offset = self.req.abi.ob_refcnt;
        let count = self.load_as(types::I32, object, offset);
        let immortal = self.icmp_imm(IntCC::SignedLessThan, count, 0);
        self.branch_away(immortal, done);
        let less = self.add_imm(count, -1);
        self.store(less, object, offset);
        let destroy = self.cold_block();
        self.branch(less, done, destroy);
        self.b.switch_to_block(destroy);
        self.sync_at_drop()?;
        // Writing slots drops what was held meanwhile: no check is about that.
        if self.check_follows && self.at_drop && self.f.inst(self.inst).op != Op::Poll {
            let mut end = self.b.current_block().unwrap_or(destroy);
            if self.b.func.layout.first_inst(end).is_some() {
                end = self.cold_block();
                self.jump(end, &[]);
            }
            self.destroying = Some((end, object));
            self.b.switch_to_block(done);
            return Ok(());
        }
        self.helper(Helper::Dealloc, &[object]);
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    /// Puts `new` into a local's slot, then drops what the slot held: in this order, because the drop may run
    /// Python code that looks at the slot.
    pub(crate) fn store_local(&mut self, data: &InstData, a: &[CV]) -> Result<(), Error> {
        let k = self.imm_index()?;
        if !self.f.ty(data.args[0]).is_ref() {
            return Err(self.malformed("stores an unboxed value"));
        }
        let (base, offset) = self.slot_place(k)?;
        let (former, ty) = self.former_content(k, data.args[1])?;
        let former = match former {
            Some(v) => v,
            None if is_immortal(ty) => a[0],
            None => self.load(base, offset),
        };
        self.store(a[0], base, offset);
        self.dec_ref_of(former, ty)
    }

    /// Leaves if a dict is that of the module whose variables the region keeps: what is in it may be out of date.
    pub(crate) fn not_own_module(&mut self, dict: CV) -> Result<(), Error> {
        if self.req.homes.is_empty() {
            return Ok(());
        }
        let own = self.load(self.frame, self.req.abi.frame_globals);
        let same = self.icmp(IntCC::Equal, dict, own);
        self.guard_not(same)
    }

    /// What slot `k` holds now, if a value at hand is that very reference, and its type at least.
    fn former_content(&mut self, k: u32, old: Value) -> Result<(Option<CV>, Type), Error> {
        let Some(fact) = self.facts[k as usize] else {
            // `old` is the local's value, which the slot need not hold.
            return Ok((None, Type::MaybeNull));
        };
        if self.roots.value(fact.value) == Root::Null {
            return Ok((None, Type::Null));
        }
        let old_ty = self.f.ty(old);
        if fact.exact && old_ty.is_ref() && self.roots.reference(fact.value) == self.roots.reference(old) {
            return Ok((Some(self.v(old)?), old_ty));
        }
        let known = self.f.ty(fact.value).boxed();
        Ok((None, known))
    }

    // --- guards -----------------------------------------------------------------------------------

    /// The type of the result, which names what the guard asks for.
    fn result_type(&self, data: &InstData) -> Type {
        data.result.map_or(Type::Void, |r| self.f.ty(r))
    }

    fn guard_not_null(&mut self, v: Value, object: CV) -> Result<(), Error> {
        if matches!(self.f.ty(v), Type::MaybeNull | Type::Null) {
            self.guard(object)?;
        }
        Ok(())
    }

    pub(crate) fn guard_class(&mut self, data: &InstData, object: CV) -> Result<CV, Error> {
        let Type::Exact(class) = self.result_type(data) else {
            return Err(self.malformed("the result's type names no class"));
        };
        self.guard_not_null(data.args[0], object)?;
        if class.array_element().is_some() {
            self.guard_array(class, object)?;
            return Ok(object);
        }
        let address = self.class_address(class)?;
        let ty = self.load(object, self.req.abi.ob_type);
        let wanted = self.address(address);
        let same = self.icmp(IntCC::Equal, ty, wanted);
        self.guard(same)?;
        self.known.set_class(self.key(object), class);
        Ok(object)
    }

    pub(crate) fn class_address(&self, class: Class) -> Result<u64, Error> {
        let row = self.req.abi.class_types.iter().find(|(c, _)| *c == class);
        row.map(|(_, a)| *a).ok_or_else(|| self.unsupported(&format!("no address of class {class}")))
    }

    pub(crate) fn guard_version(&mut self, data: &InstData, object: CV) -> Result<CV, Error> {
        let Type::Heap(version) = self.result_type(data) else {
            return Err(self.malformed("the result's type names no version"));
        };
        self.guard_not_null(data.args[0], object)?;
        let ty = self.load(object, self.req.abi.ob_type);
        let tag = self.load_as(types::I32, ty, self.req.abi.tp_version_tag);
        let wanted = self.i32const(version as i32);
        let same = self.icmp(IntCC::Equal, tag, wanted);
        self.guard(same)?;
        Ok(object)
    }

    /// The version tag of an object's type, and the type.
    fn version_of(&mut self, object: CV) -> (CV, CV) {
        let ty = self.load(object, self.req.abi.ob_type);
        (ty, self.load_as(types::I32, ty, self.req.abi.tp_version_tag))
    }

    pub(crate) fn version_is(&mut self, object: CV) -> Result<CV, Error> {
        let version = self.imm_int()?;
        let (_, tag) = self.version_of(object);
        Ok(self.icmp_imm(IntCC::Equal, tag, i64::from(version as i32)))
    }

    /// One of several versions, each with keys of its own.
    pub(crate) fn guard_shapes(&mut self, data: &InstData, object: CV) -> Result<(), Error> {
        let pairs: Option<Vec<i64>> = data.args[1..].iter().map(|v| self.known_int(*v)).collect();
        let pairs = pairs.ok_or_else(|| self.malformed("needs constants"))?;
        if pairs.is_empty() || pairs.len() % 2 != 0 {
            return Err(self.malformed("needs versions and keys"));
        }
        self.guard_not_null(data.args[0], object)?;
        let abi = self.req.abi;
        let (ty, tag) = self.version_of(object);
        let asks_keys = pairs.chunks(2).any(|p| p[1] != 0);
        let (found, done) = (self.next_block(), self.next_block());
        let wanted = self.b.append_block_param(found, types::I32);
        for (k, pair) in pairs.chunks(2).enumerate() {
            let same = self.icmp_imm(IntCC::Equal, tag, i64::from(pair[0] as i32));
            let mut other = None;
            if 2 * k + 2 == pairs.len() {
                self.guard(same)?;
            } else {
                let (hit, next) = (self.next_block(), self.next_block());
                self.branch(same, hit, next);
                self.b.switch_to_block(hit);
                other = Some(next);
            }
            if pair[1] == 0 {
                self.jump(done, &[]);
            } else {
                let keys = self.i32const(pair[1] as i32);
                self.jump(found, &[keys]);
            }
            if let Some(next) = other {
                self.b.switch_to_block(next);
            }
        }
        self.b.switch_to_block(found);
        if asks_keys {
            self.inline_values(data, object)?;
            let keys = self.load(ty, abi.heap_keys);
            let version = self.load_as(types::I32, keys, abi.keys_version);
            let same = self.icmp(IntCC::Equal, version, wanted);
            self.guard(same)?;
        }
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    /// Instances' attributes cannot hide what the type has: they are inline, and their names unchanged.
    pub(crate) fn guard_keys(&mut self, data: &InstData, object: CV) -> Result<(), Error> {
        let version = self.imm_int()?;
        self.inline_values(data, object)?;
        let abi = self.req.abi;
        let ty = self.load(object, abi.ob_type);
        let keys = self.load(ty, abi.heap_keys);
        let found = self.load_as(types::I32, keys, abi.keys_version);
        let wanted = self.i32const(version as i32);
        let same = self.icmp(IntCC::Equal, found, wanted);
        self.guard(same)
    }

    /// The function's code object is the immediate.
    pub(crate) fn guard_code(&mut self, function: CV) -> Result<(), Error> {
        let wanted = self.imm_object()?;
        let code = self.load(function, self.req.abi.func_code);
        let wanted = self.address(wanted);
        let same = self.icmp(IntCC::Equal, code, wanted);
        self.guard(same)
    }

    /// The built-in's definition is the immediate.
    pub(crate) fn guard_builtin(&mut self, builtin: CV) -> Result<(), Error> {
        let wanted = self.imm_int()?;
        let found = self.load(builtin, self.req.abi.cfunction_def);
        let wanted = self.iconst(wanted);
        let same = self.icmp(IntCC::Equal, found, wanted);
        self.guard(same)
    }

    // --- boxes ------------------------------------------------------------------------------------

    pub(crate) fn box_bool(&mut self, x: CV) -> CV {
        let (yes, no) = (self.address(self.req.abi.true_object), self.address(self.req.abi.false_object));
        self.b.ins().select(x, yes, no)
    }

    pub(crate) fn unbox_bool(&mut self, object: CV) -> CV {
        let yes = self.address(self.req.abi.true_object);
        self.icmp(IntCC::Equal, object, yes)
    }

    /// The cached object of a small int.
    fn small_int(&mut self, x: CV) -> CV {
        let (zero, stride, _, _) = self.req.abi.small_ints;
        let distance = self.b.ins().imul_imm_s(x, i64::from(stride));
        let zero = self.address(zero);
        self.add(zero, distance)
    }

    pub(crate) fn box_int(&mut self, x: CV) -> Result<CV, Error> {
        let (_, _, least, greatest) = self.req.abi.small_ints;
        let (large, done) = (self.b.create_block(), self.b.create_block());
        let result = self.b.append_block_param(done, types::I64);
        let small = self.b.create_block();
        let shifted = self.add_imm(x, -least);
        let cached = self.icmp_imm(IntCC::UnsignedLessThanOrEqual, shifted, greatest - least);
        self.branch(cached, small, large);
        self.b.switch_to_block(small);
        let object = self.small_int(x);
        self.jump(done, &[object]);
        self.b.switch_to_block(large);
        let object = self.helper1(Helper::BoxInt, &[x])?;
        self.jump(done, &[object]);
        self.b.switch_to_block(done);
        Ok(result)
    }

    pub(crate) fn unbox_int(&mut self, object: CV) -> Result<CV, Error> {
        let abi = self.req.abi;
        let (large, compact, done) = (self.cold_block(), self.b.create_block(), self.b.create_block());
        let result = self.b.append_block_param(done, types::I64);
        let tag = self.load(object, abi.long_tag);
        let is_large = self.icmp_imm(IntCC::UnsignedGreaterThanOrEqual, tag, 16);
        self.branch(is_large, large, compact);
        self.b.switch_to_block(compact);
        let value = self.compact_value(object, tag);
        self.jump(done, &[value]);
        self.b.switch_to_block(large);
        let out = self.stack_address(self.scratch, 0);
        let fits = self.helper1(Helper::UnboxInt, &[object, out])?;
        self.guard(fits)?;
        let value = self.load(self.scratch_address, 0);
        self.jump(done, &[value]);
        self.b.switch_to_block(done);
        Ok(result)
    }

    pub(crate) fn int_low(&mut self, object: CV) -> Result<CV, Error> {
        let (large, compact, done) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let result = self.b.append_block_param(done, types::I64);
        let tag = self.load(object, self.req.abi.long_tag);
        let is_large = self.icmp_imm(IntCC::UnsignedGreaterThanOrEqual, tag, 16);
        self.branch(is_large, large, compact);
        self.b.switch_to_block(compact);
        let value = self.compact_value(object, tag);
        self.jump(done, &[value]);
        self.b.switch_to_block(large);
        let value = self.helper1(Helper::IntLow, &[object])?;
        self.jump(done, &[value]);
        self.b.switch_to_block(done);
        Ok(result)
    }

    /// An operator on boxed numbers.
    pub(crate) fn number_binary(&mut self, data: &InstData, a: &[CV]) -> Result<CV, Error> {
        let stoop_ir::Imm::Bin(op) = data.imm else { return Err(self.malformed("needs an operator")) };
        let (floats, others, done) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let result = self.b.append_block_param(done, types::I64);
        if matches!(op, stoop_ir::BinOp::Add | stoop_ir::BinOp::Sub | stoop_ir::BinOp::Mul) {
            let float = self.class_address(Class::Float)?;
            let float = self.address(float);
            let second = self.b.create_block();
            for (k, next) in [(0, second), (1, floats)] {
                let ty = self.load(a[k], self.req.abi.ob_type);
                let same = self.icmp(IntCC::Equal, ty, float);
                self.branch(same, next, others);
                self.b.switch_to_block(next);
            }
            let at = self.req.abi.float_value;
            let (x, y) = (self.load_as(types::F64, a[0], at), self.load_as(types::F64, a[1], at));
            let value = match op {
                stoop_ir::BinOp::Add => self.b.ins().fadd(x, y),
                stoop_ir::BinOp::Sub => self.b.ins().fsub(x, y),
                _ => self.b.ins().fmul(x, y),
            };
            let object = self.helper1(Helper::BoxFloat, &[value])?;
            self.jump(done, &[object]);
        } else {
            self.jump(others, &[]);
        }
        self.b.switch_to_block(others);
        let op = self.i32const(op as i32);
        let object = self.helper1(Helper::NumBinary, &[op, a[0], a[1]])?;
        self.guard(object)?;
        self.jump(done, &[object]);
        self.b.switch_to_block(done);
        Ok(result)
    }

    /// A comparison of boxed numbers.
    pub(crate) fn number_compare(&mut self, a: &[CV]) -> Result<CV, Error> {
        let op = self.imm_cmp()?;
        let op = self.i32const(op as i32);
        let result = self.helper1(Helper::NumCompare, &[op, a[0], a[1]])?;
        let other = self.icmp_imm(IntCC::SignedLessThan, result, 0);
        self.guard_not(other)?;
        Ok(self.icmp_imm(IntCC::NotEqual, result, 0))
    }

    /// The value of a float, or of an int of one digit.
    pub(crate) fn number_to_float(&mut self, data: &InstData, object: CV) -> Result<CV, Error> {
        let abi = self.req.abi;
        let (float, int) = (self.class_address(Class::Float)?, self.class_address(Class::Int)?);
        self.guard_not_null(data.args[0], object)?;
        let (is_float, other, done) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let result = self.b.append_block_param(done, types::F64);
        let ty = self.load(object, abi.ob_type);
        let float = self.address(float);
        let same = self.icmp(IntCC::Equal, ty, float);
        self.branch(same, is_float, other);
        self.b.switch_to_block(is_float);
        let value = self.load_as(types::F64, object, abi.float_value);
        self.jump(done, &[value]);
        self.b.switch_to_block(other);
        let int = self.address(int);
        let same = self.icmp(IntCC::Equal, ty, int);
        self.guard(same)?;
        let tag = self.load(object, abi.long_tag);
        let compact = self.icmp_imm(IntCC::UnsignedLessThan, tag, 16);
        self.guard(compact)?;
        let value = self.compact_value(object, tag);
        let value = self.b.ins().fcvt_from_sint(types::F64, value);
        self.jump(done, &[value]);
        self.b.switch_to_block(done);
        Ok(result)
    }

    /// The value of an int of at most one digit; the low two bits of its tag are 0 for positive, 1 for zero, 2 for
    /// negative.
    fn compact_value(&mut self, object: CV, tag: CV) -> CV {
        let digit = self.b.ins().uload32(MemFlagsData::trusted(), object, self.req.abi.long_digits);
        let sign = self.b.ins().band_imm_u(tag, 3);
        let one = self.iconst(1);
        let factor = self.b.ins().isub(one, sign);
        self.b.ins().imul(digit, factor)
    }

    /// Goes on if an object is an exact instance that has one reference only.
    fn branch_unless_unique(&mut self, object: CV, class: Class, otherwise: ir::Block) -> Result<(), Error> {
        if !self.known.is(self.key(object), class) {
            let wanted = self.class_address(class)?;
            let ty = self.load(object, self.req.abi.ob_type);
            let wanted = self.address(wanted);
            let same = self.icmp(IntCC::Equal, ty, wanted);
            self.branch_unless(same, otherwise);
        }
        let count = self.load_as(types::I32, object, self.req.abi.ob_refcnt);
        let unique = self.icmp_imm(IntCC::Equal, count, 1);
        self.branch_unless(unique, otherwise);
        Ok(())
    }

    /// Overwrites the float at a slot in place, or calls `slow`.
    pub(crate) fn set_float(&mut self, former: CV, x: CV, slow: Helper, slow_args: &[CV]) -> Result<(), Error> {
        let (otherwise, done) = (self.cold_block(), self.b.create_block());
        self.branch_unless_unique(former, Class::Float, otherwise)?;
        self.store(x, former, self.req.abi.float_value);
        self.jump(done, &[]);
        self.b.switch_to_block(otherwise);
        self.helper(slow, slow_args);
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    /// Overwrites the int at a slot in place, or calls `slow`. Small ints stay the cached ones, because
    /// programs can tell by `is`.
    pub(crate) fn set_int(&mut self, slot: CV, former: CV, x: CV, slow: Helper, slow_args: &[CV]) -> Result<(), Error> {
        let abi = self.req.abi;
        let (_, _, least, greatest) = abi.small_ints;
        let (small, otherwise, done) = (self.b.create_block(), self.cold_block(), self.b.create_block());
        let shifted = self.add_imm(x, -least);
        let cached = self.icmp_imm(IntCC::UnsignedLessThanOrEqual, shifted, greatest - least);
        self.branch_away(cached, small);
        let magnitude = self.b.ins().iabs(x);
        let wide = self.icmp_imm(IntCC::UnsignedGreaterThanOrEqual, magnitude, 1 << 30);
        self.branch_away(wide, otherwise);
        self.branch_unless_unique(former, Class::Int, otherwise)?;
        let tag = self.load(former, abi.long_tag);
        let large = self.icmp_imm(IntCC::UnsignedGreaterThanOrEqual, tag, 16);
        self.branch_away(large, otherwise);
        // One digit; sign 0 or 2.
        let negative = self.b.ins().ushr_imm_u(x, 63);
        let negative = self.b.ins().ishl_imm_u(negative, 1);
        let tag = self.b.ins().bor_imm_u(negative, 8);
        self.store(tag, former, abi.long_tag);
        let digit = self.b.ins().ireduce(types::I32, magnitude);
        self.store(digit, former, abi.long_digits);
        self.jump(done, &[]);
        self.b.switch_to_block(small);
        let object = self.small_int(x);
        self.store(object, slot, 0);
        let dropped = self.b.create_block();
        self.dec_ref(former, dropped)?;
        self.jump(done, &[]);
        self.b.switch_to_block(otherwise);
        self.helper(slow, slow_args);
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    // --- attributes and cells -----------------------------------------------------------------------

    /// Address and byte offset of an inline attribute value; leaves if the object has none.
    fn field(&mut self, data: &InstData, object: CV) -> Result<(CV, i32), Error> {
        let index = 8 * self.imm_index()? as i32;
        let (base, first) = self.inline_values(data, object)?;
        Ok((base, first + index))
    }

    /// Address and byte offset of an object's first inline value; leaves if its values are elsewhere.
    fn inline_values(&mut self, data: &InstData, object: CV) -> Result<(CV, i32), Error> {
        match self.req.abi.inline_values {
            InlineValues::TaggedPointer { offset, first, .. } => {
                let word = self.load(object, offset);
                let tagged = self.b.ins().band_imm_u(word, 1);
                self.guard(tagged)?;
                // The tagged pointer is one less than the pointer.
                Ok((word, first + 1))
            }
            InlineValues::AfterObject { basicsize, first, valid, .. } => {
                let (base, offset) = self.after_object(data, object, basicsize);
                let valid = self.load_as(types::I8, base, offset + valid);
                self.guard(valid)?;
                Ok((base, offset + first))
            }
        }
    }

    /// Loads a reference; leaves if it is NULL.
    pub(crate) fn load_not_null(&mut self, base: CV, offset: i32) -> Result<CV, Error> {
        let value = self.load(base, offset);
        self.guard(value)?;
        Ok(value)
    }

    /// Exchanges the word at a place.
    pub(crate) fn swap(&mut self, base: CV, offset: i32, new: CV) -> CV {
        let former = self.load(base, offset);
        self.store(new, base, offset);
        former
    }

    pub(crate) fn load_field(&mut self, data: &InstData, object: CV) -> Result<CV, Error> {
        let (base, offset) = self.field(data, object)?;
        self.load_not_null(base, offset)
    }

    /// The value of the entry at a place of an object's dict, whose key is a name.
    pub(crate) fn load_dict_entry(&mut self, object: CV, name: CV) -> Result<CV, Error> {
        let place = self.imm_index()? as i32;
        let abi = self.req.abi;
        let dict = match abi.inline_values {
            InlineValues::TaggedPointer { offset, .. } => {
                let word = self.load(object, offset);
                let values = self.b.ins().band_imm_u(word, 1);
                self.guard_not(values)?;
                word
            }
            InlineValues::AfterObject { dict, .. } => self.load(object, dict),
        };
        self.guard(dict)?;
        let d = abi.dicts;
        let keys = self.load(dict, d.keys);
        let kind = self.load_as(types::I8, keys, d.kind.0);
        let own = self.icmp_imm(IntCC::Equal, kind, d.kind.1.into());
        self.guard(own)?;
        let count = self.load(keys, d.count);
        let there = self.icmp_imm(IntCC::SignedGreaterThan, count, place.into());
        self.guard(there)?;
        let log2 = self.load_as(types::I8, keys, d.log2_index_bytes);
        let one = self.iconst(1);
        let bytes = self.b.ins().ishl(one, log2);
        let entries = self.add(keys, bytes);
        let entry = d.indices + place * d.entry;
        let key = self.load(entries, entry + d.key);
        let same = self.icmp(IntCC::Equal, key, name);
        self.guard(same)?;
        self.load_not_null(entries, entry + d.value)
    }

    pub(crate) fn swap_field(&mut self, data: &InstData, a: &[CV]) -> Result<CV, Error> {
        let (base, offset) = self.field(data, a[0])?;
        let former = self.load(base, offset);
        let (first, done) = (self.next_block(), self.next_block());
        self.branch(former, done, first);
        self.b.switch_to_block(first);
        self.count_value(Some(a[0]), base, offset)?;
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        self.store(a[1], base, offset);
        Ok(former)
    }

    /// The first store to an inline value of a fresh instance, which has no dict.
    pub(crate) fn init_field(&mut self, data: &InstData, a: &[CV]) -> Result<(), Error> {
        let (base, offset) = self.fresh_values(data, a[0])?;
        self.count_value(None, base, offset)?;
        self.store(a[1], base, offset);
        Ok(())
    }

    /// Address and byte offset of an inline value of an object that is known to have some.
    fn fresh_values(&mut self, data: &InstData, object: CV) -> Result<(CV, i32), Error> {
        let index = 8 * self.imm_index()? as i32;
        Ok(match self.req.abi.inline_values {
            InlineValues::TaggedPointer { offset, first, .. } => (self.load(object, offset), first + 1 + index),
            InlineValues::AfterObject { basicsize, first, .. } => {
                let (base, size) = self.after_object(data, object, basicsize);
                (base, size + first + index)
            }
        })
    }

    /// Where an object's inline values begin, when they follow it.
    fn after_object(&mut self, data: &InstData, object: CV, basicsize: i32) -> (CV, i32) {
        let known = match self.f.ty(data.args[0]) {
            Type::Heap(version) => (self.req.basicsize)(version),
            Type::Void | Type::I64 | Type::F64 | Type::I1 | Type::Null | Type::MaybeNull | Type::Obj | Type::Exact(_) => None,
        };
        match known {
            Some(size) => (object, size),
            None => {
                let ty = self.load(object, self.req.abi.ob_type);
                let size = self.load(ty, basicsize);
                (self.add(object, size), 0)
            }
        }
    }

    /// Notes that an inline value is about to be set for the first time: values keep the order in which they were.
    /// Leaves if the object has a dict too, which counts them as well; a fresh one (`None`) has not.
    fn count_value(&mut self, object: Option<CV>, base: CV, offset: i32) -> Result<(), Error> {
        let index = i64::from(self.imm_index()?);
        let first = offset - 8 * index as i32;
        match self.req.abi.inline_values {
            InlineValues::TaggedPointer { size, first: values, .. } => {
                let size = first - values + size;
                let count = self.load_as(types::I8, base, size);
                let count = self.add_imm(count, 1);
                let wide = self.b.ins().uextend(types::I64, count);
                let place = self.b.ins().isub(base, wide);
                self.store(count, base, size);
                let index = self.b.ins().iconst(types::I8, index);
                self.store(index, place, size);
            }
            InlineValues::AfterObject { size, capacity, dict, first: values, .. } => {
                let head = first - values;
                if let Some(object) = object {
                    let its_dict = self.load(object, dict);
                    let none = self.icmp_imm(IntCC::Equal, its_dict, 0);
                    self.guard(none)?;
                }
                let count = self.load_as(types::I8, base, head + size);
                let room = self.load_as(types::I8, base, head + capacity);
                let room = self.b.ins().uextend(types::I64, room);
                let room = self.b.ins().ishl_imm_u(room, 3);
                let wide = self.b.ins().uextend(types::I64, count);
                let place = self.add(base, room);
                let place = self.add(place, wide);
                let index = self.b.ins().iconst(types::I8, index);
                self.store(index, place, first);
                let count = self.add_imm(count, 1);
                self.store(count, base, head + size);
            }
        }
        Ok(())
    }

    pub(crate) fn set_field_float(&mut self, data: &InstData, a: &[CV]) -> Result<(), Error> {
        let (base, offset) = self.field(data, a[0])?;
        let (former, done) = self.first_value(a, base, offset, Helper::SlotSetFloat)?;
        let slot = self.add_imm(base, i64::from(offset));
        self.set_float(former, a[1], Helper::SlotSetFloat, &[slot, a[1]])?;
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    pub(crate) fn set_field_int(&mut self, data: &InstData, a: &[CV]) -> Result<(), Error> {
        let (base, offset) = self.field(data, a[0])?;
        let (former, done) = self.first_value(a, base, offset, Helper::SlotSetInt)?;
        let slot = self.add_imm(base, i64::from(offset));
        self.set_int(slot, former, a[1], Helper::SlotSetInt, &[slot, a[1]])?;
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    /// The value of a field that is about to be set by number; where there is none yet, a box is put there and the code
    /// goes on in the block that is returned.
    fn first_value(&mut self, a: &[CV], base: CV, offset: i32, set: Helper) -> Result<(CV, ir::Block), Error> {
        let former = self.load(base, offset);
        let (first, again, done) = (self.cold_block(), self.next_block(), self.next_block());
        self.branch(former, again, first);
        self.b.switch_to_block(first);
        self.count_value(Some(a[0]), base, offset)?;
        let slot = self.add_imm(base, i64::from(offset));
        self.helper(set, &[slot, a[1]]);
        self.jump(done, &[]);
        self.b.switch_to_block(again);
        Ok((former, done))
    }

    pub(crate) fn set_slot_float(&mut self, a: &[CV]) -> Result<(), Error> {
        let offset = self.imm_offset()?;
        let (former, slot, done) = self.first_member(a, offset, Helper::SlotSetFloat);
        self.set_float(former, a[1], Helper::SlotSetFloat, &[slot, a[1]])?;
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    pub(crate) fn set_slot_int(&mut self, a: &[CV]) -> Result<(), Error> {
        let offset = self.imm_offset()?;
        let (former, slot, done) = self.first_member(a, offset, Helper::SlotSetInt);
        self.set_int(slot, former, a[1], Helper::SlotSetInt, &[slot, a[1]])?;
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    /// As [`Self::first_value`], for a member.
    fn first_member(&mut self, a: &[CV], offset: i32, set: Helper) -> (CV, CV, ir::Block) {
        let slot = self.add_imm(a[0], i64::from(offset));
        let former = self.load(a[0], offset);
        let (first, again, done) = (self.cold_block(), self.next_block(), self.next_block());
        self.branch(former, again, first);
        self.b.switch_to_block(first);
        self.helper(set, &[slot, a[1]]);
        self.jump(done, &[]);
        self.b.switch_to_block(again);
        (former, slot, done)
    }

    /// The class is unchanged.
    pub(crate) fn guard_class_version(&mut self, class: CV) -> Result<(), Error> {
        let version = self.imm_int()?;
        let tag = self.load_as(types::I32, class, self.req.abi.tp_version_tag);
        let wanted = self.i32const(version as i32);
        let same = self.icmp(IntCC::Equal, tag, wanted);
        self.guard(same)
    }

    /// The names of instances' attributes are unchanged.
    pub(crate) fn guard_class_keys(&mut self, class: CV) -> Result<(), Error> {
        let version = self.imm_int()?;
        let keys = self.load(class, self.req.abi.heap_keys);
        let found = self.load_as(types::I32, keys, self.req.abi.keys_version);
        let wanted = self.i32const(version as i32);
        let same = self.icmp(IntCC::Equal, found, wanted);
        self.guard(same)
    }

    /// Only None passes; anything else is a TypeError.
    pub(crate) fn init_result(&mut self, result: CV) -> Result<(), Error> {
        let raise = self.raise_block()?;
        let none = self.address(self.req.abi.none_object);
        let (other, done) = (self.cold_block(), self.next_block());
        let same = self.icmp(IntCC::Equal, result, none);
        self.branch(same, done, other);
        self.b.switch_to_block(other);
        self.helper(Helper::InitResult, &[result]);
        self.jump(raise, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    pub(crate) fn closure_cell(&mut self) -> Result<CV, Error> {
        let index = 8 * self.imm_index()? as i32;
        let abi = self.req.abi;
        let function = self.load(self.frame, abi.frame_function);
        let closure = self.load(function, abi.func_closure);
        Ok(self.load(closure, abi.tuple_items + index))
    }
}
