//! Strings: single characters, comparisons, appending.

use super::lower::Lower;
use super::slots;
use crate::runtime::Helper;
use crate::unit::Error;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value as CV, types};
use stoop_ir::{CmpOp, InstData};

impl Lower<'_> {
    /// Whether all of a string's characters are ASCII: not zero.
    fn ascii_bit(&mut self, text: CV) -> CV {
        let state = self.load_as(types::I32, text, self.req.abi.str_state);
        self.b.ins().band_imm_u(state, i64::from(self.req.abi.str_ascii))
    }

    /// The string of one of the first 256 characters. It is immortal.
    fn character(&mut self, number: CV) -> CV {
        let table = self.address(self.req.abi.characters);
        let offset = self.b.ins().ishl_imm_u(number, 3);
        let place = self.add(table, offset);
        self.load(place, 0)
    }

    pub(crate) fn str_item(&mut self, text: CV, position: CV) -> Result<CV, Error> {
        let ascii = self.ascii_bit(text);
        let (quick, slow, done) = (self.b.create_block(), self.cold_block(), self.next_block());
        self.b.append_block_param(done, types::I64);
        self.branch(ascii, quick, slow);
        self.b.switch_to_block(quick);
        let place = self.add(text, position);
        let byte = self.load_as(types::I8, place, self.req.abi.str_ascii_data);
        let number = self.b.ins().uextend(types::I64, byte);
        let object = self.character(number);
        self.jump(done, &[object]);
        self.b.switch_to_block(slow);
        let made = self.helper1(Helper::StrItem, &[text, position])?;
        let none = self.icmp_imm(IntCC::Equal, made, 0);
        self.guard_not(none)?;
        self.jump(done, &[made]);
        self.b.switch_to_block(done);
        Ok(self.b.block_params(done)[0])
    }

    pub(crate) fn str_ord(&mut self, text: CV) -> Result<CV, Error> {
        let length = self.load(text, self.req.abi.str_length);
        let one = self.icmp_imm(IntCC::Equal, length, 1);
        self.guard(one)?;
        let ascii = self.ascii_bit(text);
        let (quick, slow, done) = (self.b.create_block(), self.cold_block(), self.next_block());
        self.b.append_block_param(done, types::I64);
        self.branch(ascii, quick, slow);
        self.b.switch_to_block(quick);
        let byte = self.load_as(types::I8, text, self.req.abi.str_ascii_data);
        let number = self.b.ins().uextend(types::I64, byte);
        self.jump(done, &[number]);
        self.b.switch_to_block(slow);
        let number = self.helper1(Helper::StrOrd, &[text])?;
        self.jump(done, &[number]);
        self.b.switch_to_block(done);
        Ok(self.b.block_params(done)[0])
    }

    pub(crate) fn str_chr(&mut self, number: CV) -> Result<CV, Error> {
        let small = self.icmp_imm(IntCC::UnsignedLessThan, number, 256);
        let (quick, slow, done) = (self.b.create_block(), self.cold_block(), self.next_block());
        self.b.append_block_param(done, types::I64);
        self.branch(small, quick, slow);
        self.b.switch_to_block(quick);
        let object = self.character(number);
        self.jump(done, &[object]);
        self.b.switch_to_block(slow);
        let made = self.helper1(Helper::StrChr, &[number])?;
        let none = self.icmp_imm(IntCC::Equal, made, 0);
        self.guard_not(none)?;
        self.jump(done, &[made]);
        self.b.switch_to_block(done);
        Ok(self.b.block_params(done)[0])
    }

    pub(crate) fn str_cmp(&mut self, a: &[CV]) -> Result<CV, Error> {
        let op = self.imm_cmp()?;
        let cc = match op {
            CmpOp::Eq => return self.str_equal(a[0], a[1]),
            CmpOp::Ne => {
                let equal = self.str_equal(a[0], a[1])?;
                return Ok(self.b.ins().bxor_imm_u(equal, 1));
            }
            CmpOp::Lt => IntCC::SignedLessThan,
            CmpOp::Le => IntCC::SignedLessThanOrEqual,
            CmpOp::Gt => IntCC::SignedGreaterThan,
            CmpOp::Ge => IntCC::SignedGreaterThanOrEqual,
        };
        let order = self.helper1(Helper::StrOrder, a)?;
        Ok(self.icmp_imm(cc, order, 0))
    }

    /// The same object is equal, another length is not; nor is, among ASCII strings, another first character. The rest
    /// is looked at by a helper.
    fn str_equal(&mut self, x: CV, y: CV) -> Result<CV, Error> {
        let (other, lengths, look, done) =
            (self.b.create_block(), self.b.create_block(), self.b.create_block(), self.next_block());
        self.b.append_block_param(done, types::I8);
        let (no, yes) = (self.b.ins().iconst(types::I8, 0), self.b.ins().iconst(types::I8, 1));
        let same = self.icmp(IntCC::Equal, x, y);
        self.b.ins().brif(same, done, &[yes.into()], other, &[]);
        self.b.switch_to_block(other);
        let (m, n) = (self.load(x, self.req.abi.str_length), self.load(y, self.req.abi.str_length));
        let differ = self.icmp(IntCC::NotEqual, m, n);
        self.b.ins().brif(differ, done, &[no.into()], lengths, &[]);
        self.b.switch_to_block(lengths);
        let (p, q) = (self.ascii_bit(x), self.ascii_bit(y));
        let both = self.b.ins().band(p, q);
        let data = self.req.abi.str_ascii_data;
        let (first, second) = (self.load_as(types::I8, x, data), self.load_as(types::I8, y, data));
        let differ = self.icmp(IntCC::NotEqual, first, second);
        let ascii = self.icmp_imm(IntCC::NotEqual, both, 0);
        let unequal = self.b.ins().band(ascii, differ);
        self.b.ins().brif(unequal, done, &[no.into()], look, &[]);
        self.b.switch_to_block(look);
        let equal = self.helper1(Helper::StrEqual, &[x, y])?;
        let equal = self.icmp_imm(IntCC::NotEqual, equal, 0);
        self.jump(done, &[equal]);
        self.b.switch_to_block(done);
        Ok(self.b.block_params(done)[0])
    }

    /// Makes sure that the slot holds the string itself, and takes what it holds afterwards.
    pub(crate) fn str_append(&mut self, data: &InstData, a: &[CV]) -> Result<CV, Error> {
        let k = self.imm_index()?;
        let offset = self.slot_offset(k);
        let slot = self.add_imm(self.frame, i64::from(offset));
        let held = self.facts[k as usize];
        if !held.is_some_and(|f| f.exact && self.roots.reference(f.value) == self.roots.reference(data.args[0])) {
            self.helper(Helper::SyncRef, &[slot, a[0]]);
            // Where it fails the slot is empty: nothing is written there any more.
            self.facts[k as usize] = Some(slots::Fact { value: data.args[0], exact: true });
        }
        self.call_status(Helper::StrAppend, &[slot, a[1]])?;
        Ok(self.load(self.frame, offset))
    }
}
