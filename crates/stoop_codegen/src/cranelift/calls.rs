//! Whatever goes through an object's own protocols: calls of runtime helpers and their error checks.

use super::lower::Lower;
use super::slots::Root;
use crate::runtime::Helper;
use crate::unit::Error;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, InstBuilder, Signature, StackSlotData, StackSlotKind, Value as CV, types};
use cranelift_codegen::isa::CallConv;
use stoop_ir::{Imm, InstData, Op, Type, Value};

/// Vectorcall's "the place before the arguments may be written".
const ARGUMENTS_OFFSET: u64 = 1 << 63;

impl Lower<'_> {
    /// A helper that yields a new reference, or NULL with an exception set.
    pub(crate) fn call_object(&mut self, h: Helper, args: &[CV]) -> Result<CV, Error> {
        let result = self.helper1(h, args)?;
        self.raise_unless(result)?;
        Ok(result)
    }

    /// A helper that yields a negative status with an exception set, or one that says nothing more.
    pub(crate) fn call_status(&mut self, h: Helper, args: &[CV]) -> Result<(), Error> {
        let status = self.helper1(h, args)?;
        let failed = self.icmp_imm(IntCC::SignedLessThan, status, 0);
        self.raise_if(failed)
    }

    /// A helper that yields 0 or 1, or a negative status with an exception set.
    pub(crate) fn call_truth(&mut self, h: Helper, args: &[CV]) -> Result<CV, Error> {
        let status = self.helper1(h, args)?;
        let failed = self.icmp_imm(IntCC::SignedLessThan, status, 0);
        self.raise_if(failed)?;
        Ok(self.icmp_imm(IntCC::NotEqual, status, 0))
    }

    pub(crate) fn call_length(&mut self, args: &[CV]) -> Result<CV, Error> {
        let length = self.helper1(Helper::PyLen, args)?;
        let failed = self.icmp_imm(IntCC::Equal, length, -1);
        self.raise_if(failed)?;
        Ok(length)
    }

    /// Goes to the handler, or leaves, with the exception that is set if a result is zero.
    pub(crate) fn raise_unless(&mut self, result: CV) -> Result<(), Error> {
        let exit = self.raise_block()?;
        self.branch_unless(result, exit);
        Ok(())
    }

    /// Goes to the handler, or leaves, with the exception that is set.
    pub(crate) fn raise_if(&mut self, failed: CV) -> Result<(), Error> {
        let exit = self.raise_block()?;
        self.branch_away(failed, exit);
        Ok(())
    }

    /// A helper whose first parameter is an operator's position in its table.
    pub(crate) fn call_operator(&mut self, h: Helper, data: &InstData, a: &[CV]) -> Result<CV, Error> {
        let position = match data.imm {
            Imm::Bin(op) => op as i32,
            Imm::Un(op) => op as i32,
            Imm::Cmp(op) => op as i32,
            Imm::None | Imm::Int(_) | Imm::Float(_) | Imm::Const(_) | Imm::Index(_) | Imm::Name(_) => {
                return Err(self.malformed("needs an operator"));
            }
        };
        let mut args = vec![self.i32const(position)];
        args.extend_from_slice(a);
        self.call_object(h, &args)
    }

    pub(crate) fn compare_bool(&mut self, a: &[CV]) -> Result<CV, Error> {
        let op = self.imm_cmp()?;
        let op = self.i32const(op as i32);
        self.call_truth(Helper::PyCompareBool, &[op, a[0], a[1]])
    }

    pub(crate) fn iter_next(&mut self, it: CV) -> Result<CV, Error> {
        let result = self.helper1(Helper::PyIterNext, &[self.tstate, it])?;
        let failed = self.icmp_imm(IntCC::Equal, result, 1);
        self.raise_if(failed)?;
        Ok(result)
    }

    /// Writes values to the argument array from entry `first` on.
    pub(crate) fn put_arguments(&mut self, first: u32, values: &[CV]) {
        let end = first + values.len() as u32;
        self.arguments_need = self.arguments_need.max(end);
        for (i, v) in values.iter().enumerate() {
            let offset = 8 * (first as i32 + i as i32);
            self.store(*v, self.arguments_address, offset);
        }
    }

    /// A helper that takes an array and a count.
    pub(crate) fn build(&mut self, h: Helper, a: &[CV]) -> Result<CV, Error> {
        self.put_arguments(0, a);
        let array = self.stack_address(self.arguments, 0);
        let count = self.iconst(a.len() as i64);
        self.call_object(h, &[array, count])
    }

    /// (callable, self or NULL, arguments…). Entry 0 of the array is the free place, entry 1 self; without
    /// self its entry is the free place and the arguments stay where they are.
    pub(crate) fn py_call(&mut self, data: &InstData, a: &[CV]) -> Result<CV, Error> {
        let [callable, receiver, ..] = *a else {
            return Err(self.malformed("needs a callable and self or NULL"));
        };
        let names = match data.imm {
            Imm::Const(c) => self.f.consts[c.index()].address,
            _ => 0,
        };
        self.put_arguments(1, &a[1..]);
        let count = (a.len() - 2) as u64 | ARGUMENTS_OFFSET;
        let (array, count) = match self.nullness(data.args[1]) {
            Some(true) => (self.stack_address(self.arguments, 16), self.iconst(count as i64)),
            Some(false) => (self.stack_address(self.arguments, 8), self.iconst((count + 1) as i64)),
            None => {
                let null = self.icmp_imm(IntCC::Equal, receiver, 0);
                let (with, without) = (self.stack_address(self.arguments, 8), self.stack_address(self.arguments, 16));
                let array = self.b.ins().select(null, without, with);
                let (more, fewer) = (self.iconst((count + 1) as i64), self.iconst(count as i64));
                (array, self.b.ins().select(null, fewer, more))
            }
        };
        if names == 0 {
            if let Root::Object(function) = self.roots.reference(data.args[0])
                && let Some(link) = (self.req.link)(function)
            {
                return self.call_linked(link, callable, array, count);
            }
            if let Some(call) = self.direct(data, a) {
                return self.call_directly(&call, callable, array, count);
            }
        }
        let names = self.address(names);
        self.call_object(Helper::PyCall, &[callable, array, count, names])
    }

    /// A call of a function that is a constant, the shortest way there is to it at the moment.
    fn call_linked(&mut self, link: u64, callable: CV, array: CV, count: CV) -> Result<CV, Error> {
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params = vec![AbiParam::new(types::I64); 5];
        signature.returns = vec![AbiParam::new(types::I64)];
        let signature = self.b.import_signature(signature);
        let link = self.address(link);
        let target = self.load(link, 0);
        let no_names = self.iconst(0);
        let call = self.b.ins().call_indirect(signature, target, &[callable, array, count, no_names, self.tstate]);
        let result = self.b.inst_results(call)[0];
        self.raise_unless(result)?;
        Ok(result)
    }

    /// Whether a reference is NULL, if that is known.
    pub(crate) fn nullness(&self, v: Value) -> Option<bool> {
        match (self.roots.reference(v), self.f.ty(v)) {
            (Root::Null, _) | (_, Type::Null) => Some(true),
            (Root::Object(_), _) | (_, Type::Obj | Type::Exact(_) | Type::Heap(_)) => {
                // A method's self is typed as the object it may be, and may still be NULL.
                let from_method = self.f.def_inst(v).is_some_and(|i| self.f.inst(i).op == Op::PyMethodSelf);
                (!from_method).then_some(false)
            }
            (_, Type::MaybeNull | Type::Void | Type::I64 | Type::F64 | Type::I1) => None,
        }
    }

    pub(crate) fn load_method(&mut self, object: CV) -> Result<CV, Error> {
        let slot = self.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 8, 3));
        self.method_slots.insert(self.inst, slot);
        let name = self.imm_name()?;
        let out = self.stack_address(slot, 0);
        self.call_object(Helper::PyLoadMethod, &[object, name, out])
    }

    pub(crate) fn method_self(&mut self, data: &InstData) -> Result<CV, Error> {
        let Root::Value(method) = self.roots.reference(data.args[0]) else {
            return Err(self.malformed("follows no py.loadmethod"));
        };
        let slot = self.f.def_inst(method).and_then(|i| self.method_slots.get(&i).copied());
        let slot = slot.ok_or_else(|| self.malformed("follows no py.loadmethod"))?;
        Ok(self.b.ins().stack_load(types::I64, types::I64, slot, 0))
    }
}
