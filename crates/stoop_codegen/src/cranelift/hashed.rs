//! Dicts, sets, bytes, classes: helpers that look, and leave where they cannot tell.

use super::lower::Lower;
use crate::runtime::Helper;
use crate::unit::Error;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value as CV, types};
use stoop_ir::{Class, InstData, Type};

impl Lower<'_> {
    pub(crate) fn dict_find(&mut self, a: &[CV]) -> Result<CV, Error> {
        let place = self.helper1(Helper::DictFind, a)?;
        let unsure = self.icmp_imm(IntCC::Equal, place, 1);
        self.guard_not(unsure)?;
        Ok(place)
    }

    pub(crate) fn iter_next_quietly(&mut self, it: CV) -> Result<CV, Error> {
        let result = self.helper1(Helper::IterNext, &[it])?;
        let unsure = self.icmp_imm(IntCC::Equal, result, 2);
        self.guard_not(unsure)?;
        let failed = self.icmp_imm(IntCC::Equal, result, 1);
        self.raise_if(failed)?;
        Ok(result)
    }

    pub(crate) fn dict_find_tuple(&mut self, data: &InstData, a: &[CV]) -> Result<CV, Error> {
        let ints = (1..a.len()).filter(|k| self.f.ty(data.args[*k]) == Type::I64).map(|k| 1i64 << (k - 1)).sum::<i64>();
        self.put_arguments(0, &a[1..]);
        let items = self.stack_address(self.arguments, 0);
        let shape = self.iconst((a.len() as i64 - 1) | ints << 8);
        let place = self.helper1(Helper::DictFindTuple, &[a[0], items, shape])?;
        let unsure = self.icmp_imm(IntCC::Equal, place, 1);
        self.guard_not(unsure)?;
        Ok(place)
    }

    pub(crate) fn dict_load(&mut self, place: CV) -> Result<CV, Error> {
        let nothing = self.icmp_imm(IntCC::Equal, place, 0);
        self.guard_not(nothing)?;
        Ok(self.load(place, 0))
    }

    pub(crate) fn dict_take(&mut self, a: &[CV]) -> Result<CV, Error> {
        let (missing, there) = (self.cold_block(), self.next_block());
        let nothing = self.icmp_imm(IntCC::Equal, a[2], 0);
        self.branch(nothing, missing, there);
        self.b.switch_to_block(missing);
        self.helper(Helper::NoKey, &[a[1]]);
        let raise = self.raise_block()?;
        self.jump(raise, &[]);
        self.b.switch_to_block(there);
        let value = self.load(a[2], 0);
        self.inc_ref_of(value, Type::Obj)?;
        Ok(value)
    }

    pub(crate) fn dict_or(&mut self, data: &InstData, a: &[CV]) -> CV {
        let default = if self.f.ty(data.args[2]) == Type::Null { self.address(self.req.abi.none_object) } else { a[2] };
        let (there, done) = (self.next_block(), self.next_block());
        self.b.append_block_param(done, types::I64);
        let nothing = self.icmp_imm(IntCC::Equal, a[1], 0);
        self.b.ins().brif(nothing, done, &[default.into()], there, &[]);
        self.b.switch_to_block(there);
        let value = self.load(a[1], 0);
        self.jump(done, &[value]);
        self.b.switch_to_block(done);
        self.b.block_params(done)[0]
    }

    /// A helper that yields 0 or 1, or -1 where compiled code must leave.
    pub(crate) fn told_or_leave(&mut self, h: Helper, a: &[CV]) -> Result<CV, Error> {
        let told = self.helper1(h, a)?;
        let unsure = self.icmp_imm(IntCC::SignedLessThan, told, 0);
        self.guard_not(unsure)?;
        Ok(self.icmp_imm(IntCC::NotEqual, told, 0))
    }

    /// Truth of anything. None and the two bools are looked at here.
    pub(crate) fn truth(&mut self, object: CV) -> Result<CV, Error> {
        let abi = self.req.abi;
        let (other, ask, done) = (self.next_block(), self.next_block(), self.next_block());
        self.b.append_block_param(done, types::I8);
        let yes = self.address(abi.true_object);
        let is_true = self.icmp(IntCC::Equal, object, yes);
        self.b.ins().brif(is_true, done, &[is_true.into()], other, &[]);
        self.b.switch_to_block(other);
        let (no, none) = (self.address(abi.false_object), self.address(abi.none_object));
        let (is_false, is_none) = (self.icmp(IntCC::Equal, object, no), self.icmp(IntCC::Equal, object, none));
        let neither = self.b.ins().bor(is_false, is_none);
        self.b.ins().brif(neither, done, &[is_true.into()], ask, &[]);
        self.b.switch_to_block(ask);
        let told = self.told_or_leave(Helper::Truth, &[object])?;
        self.jump(done, &[told]);
        self.b.switch_to_block(done);
        Ok(self.b.block_params(done)[0])
    }

    pub(crate) fn dict_set(&mut self, a: &[CV]) -> Result<(), Error> {
        let former = self.helper1(Helper::DictSet, a)?;
        let (other, dropped, done) = (self.next_block(), self.next_block(), self.next_block());
        let nothing = self.icmp_imm(IntCC::Equal, former, 0);
        self.branch(nothing, done, other);
        self.b.switch_to_block(other);
        let unsure = self.icmp_imm(IntCC::Equal, former, 1);
        self.guard_not(unsure)?;
        let failed = self.icmp_imm(IntCC::Equal, former, -1);
        self.raise_if(failed)?;
        self.dec_ref(former, dropped)?;
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    /// A helper that yields 0, -1 with an exception set, or 1 where compiled code must leave.
    pub(crate) fn put_or_leave(&mut self, h: Helper, a: &[CV]) -> Result<(), Error> {
        let status = self.helper1(h, a)?;
        let unsure = self.icmp_imm(IntCC::SignedGreaterThan, status, 0);
        self.guard_not(unsure)?;
        let failed = self.icmp_imm(IntCC::SignedLessThan, status, 0);
        self.raise_if(failed)
    }

    /// Most often one of the classes itself.
    pub(crate) fn is_instance(&mut self, a: &[CV]) -> Result<CV, Error> {
        let [object, classes @ ..] = a else { return Err(self.malformed("needs an object")) };
        let ty = self.load(*object, self.req.abi.ob_type);
        let done = self.next_block();
        self.b.append_block_param(done, types::I8);
        let [no, yes] = [0, 1].map(|truth| self.b.ins().iconst(types::I8, truth));
        for class in classes {
            let other = self.next_block();
            let same = self.icmp(IntCC::Equal, ty, *class);
            self.b.ins().brif(same, done, &[yes.into()], other, &[]);
            self.b.switch_to_block(other);
        }
        for class in classes {
            let other = self.next_block();
            let told = self.told_or_leave(Helper::IsInstance, &[*object, *class])?;
            self.b.ins().brif(told, done, &[yes.into()], other, &[]);
            self.b.switch_to_block(other);
        }
        self.jump(done, &[no]);
        self.b.switch_to_block(done);
        Ok(self.b.block_params(done)[0])
    }

    pub(crate) fn bytes_item(&mut self, a: &[CV]) -> CV {
        let place = self.add(a[0], a[1]);
        let byte = self.load_as(types::I8, place, self.req.abi.bytes_data);
        self.b.ins().uextend(types::I64, byte)
    }

    pub(crate) fn items_len(&mut self, data: &InstData, object: CV) -> Result<CV, Error> {
        match self.f.ty(data.args[0]) {
            Type::Exact(Class::Dict) => Ok(self.load(object, self.req.abi.dict_used)),
            Type::Exact(Class::Set | Class::FrozenSet) => Ok(self.load(object, self.req.abi.set_used)),
            _ => self.helper1(Helper::ItemsLen, &[object]),
        }
    }
}
