//! Lists, tuples and their iterators, by direct access.

use super::lower::Lower;
use crate::runtime::Helper;
use crate::unit::Error;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value as CV, types};
use stoop_ir::{Class, Imm, InstData, Type, Value};

impl Lower<'_> {
    /// A list of the operands; without any, with room for so many items as the immediate says.
    pub(crate) fn build_list(&mut self, data: &InstData, a: &[CV]) -> Result<CV, Error> {
        match data.imm {
            Imm::Int(room) if a.is_empty() => {
                let (nothing, room) = (self.iconst(0), self.iconst(-room));
                self.call_object(Helper::BuildList, &[nothing, room])
            }
            _ => self.build(Helper::BuildList, a),
        }
    }

    fn scaled(&mut self, base: CV, position: CV) -> CV {
        if let Some(bytes) = self.machine_constant(position).and_then(|i| i.checked_mul(8)) {
            return self.add_imm(base, bytes);
        }
        let bytes = self.b.ins().ishl_imm_u(position, 3);
        self.add(base, bytes)
    }

    /// The address of a list's items.
    pub(crate) fn list_data(&mut self, list: CV) -> CV {
        let key = self.key(list);
        self.known.array(key).unwrap_or_else(|| {
            let items = self.load(list, self.req.abi.list_items);
            self.known.set_array(key, items);
            items
        })
    }

    /// The address of the items of a list or tuple, whichever it is, that has so many.
    pub(crate) fn items_data(&mut self, data: &InstData, object: CV) -> Result<CV, Error> {
        let Imm::Int(count) = data.imm else { return Err(self.malformed("does not say how many items")) };
        let abi = self.req.abi;
        let ty = self.load(object, abi.ob_type);
        let [tuple, list] = [Class::Tuple, Class::List].map(|c| self.class_address(c));
        let (tuple, list) = (self.address(tuple?), self.address(list?));
        let is_tuple = self.icmp(IntCC::Equal, ty, tuple);
        let is_list = self.icmp(IntCC::Equal, ty, list);
        let either = self.b.ins().bor(is_tuple, is_list);
        self.guard(either)?;
        let size = self.load(object, abi.ob_size);
        let same = self.icmp_imm(IntCC::Equal, size, count);
        self.guard(same)?;
        // Where a list has the address of its items, a tuple has its first one: nothing is read there that is not.
        let (within, apart) = (self.add_imm(object, abi.tuple_items.into()), self.load(object, abi.list_items));
        Ok(self.b.ins().select(is_tuple, within, apart))
    }

    /// The address of a list's item.
    pub(crate) fn list_slot(&mut self, list: CV, position: CV) -> CV {
        let items = self.list_data(list);
        self.scaled(items, position)
    }

    pub(crate) fn list_item(&mut self, list: CV, position: CV) -> CV {
        if let Some(item) = self.known.item(self.key(list), self.key(position)) {
            return item;
        }
        let slot = self.list_slot(list, position);
        let item = self.load(slot, 0);
        self.known.set_item(self.key(list), self.key(position), item);
        item
    }

    pub(crate) fn tuple_item(&mut self, tuple: CV, position: CV) -> CV {
        let at = self.scaled(tuple, position);
        self.load(at, self.req.abi.tuple_items)
    }

    pub(crate) fn list_set_float(&mut self, a: &[CV]) -> Result<(), Error> {
        let former = self.list_item(a[0], a[1]);
        self.set_float(former, a[2], Helper::ListSetFloat, a)
    }

    pub(crate) fn list_set_int(&mut self, a: &[CV]) -> Result<(), Error> {
        let former = self.list_item(a[0], a[1]);
        let slot = self.list_slot(a[0], a[1]);
        self.set_int(slot, former, a[2], Helper::ListSetInt, a)
    }

    /// How many values a range has; leaves where CPython's plain iterator could not count them.
    pub(crate) fn range_len(&mut self, a: &[CV]) -> Result<CV, Error> {
        let len = self.helper1(Helper::RangeLen, a)?;
        let refused = self.icmp_imm(IntCC::SignedLessThan, len, 0);
        self.guard_not(refused)?;
        Ok(len)
    }

    /// Where an iterator has its index and its sequence.
    pub(crate) fn sequence_iterator(&self, v: Value) -> Result<[i32; 2], Error> {
        match self.f.ty(v) {
            Type::Exact(Class::ListIter) => Ok(self.req.abi.list_iter),
            Type::Exact(Class::TupleIter) => Ok(self.req.abi.tuple_iter),
            ty => Err(self.malformed(&format!("takes an iterator over a list or tuple, not {ty}"))),
        }
    }

    pub(crate) fn range_next(&mut self, it: CV) -> CV {
        let [start, step, len] = self.req.abi.range_iter;
        let value = self.load(it, start);
        let by = self.load(it, step);
        let next = self.add(value, by);
        self.store(next, it, start);
        let left = self.load(it, len);
        let left = self.add_imm(left, -1);
        self.store(left, it, len);
        value
    }

    /// The next item or NULL. At the end the list is let go, and the index says so: CPython 3.13 asks the
    /// index, 3.12 the reference.
    pub(crate) fn list_iter_next(&mut self, it: CV) -> Result<CV, Error> {
        let [index, seq] = self.req.abi.list_iter;
        let items = self.req.abi.list_items;
        self.sequence_next(it, index, seq, true, |l, sequence, i| {
            let items = l.load(sequence, items);
            let at = l.scaled(items, i);
            l.load(at, 0)
        })
    }

    /// The next item or NULL. At the end the tuple is let go.
    pub(crate) fn tuple_iter_next(&mut self, it: CV) -> Result<CV, Error> {
        let [index, seq] = self.req.abi.tuple_iter;
        self.sequence_next(it, index, seq, false, |l, sequence, i| l.tuple_item(sequence, i))
    }

    fn sequence_next(
        &mut self,
        it: CV,
        index: i32,
        seq: i32,
        mark: bool,
        item: impl Fn(&mut Self, CV, CV) -> CV,
    ) -> Result<CV, Error> {
        let done = self.b.create_block();
        let result = self.b.append_block_param(done, types::I64);
        let (exhausted, end) = (self.cold_block(), self.b.create_block());
        let sequence = self.load(it, seq);
        let detached = self.icmp_imm(IntCC::Equal, sequence, 0);
        self.branch_away(detached, exhausted);
        let i = self.load(it, index);
        let size = self.load(sequence, self.req.abi.ob_size);
        // Unsigned: an index of -1 is past every end.
        let more = self.icmp(IntCC::UnsignedLessThan, i, size);
        self.branch_unless(more, end);
        let next = self.add_imm(i, 1);
        self.store(next, it, index);
        let value = item(self, sequence, i);
        self.jump(done, &[value]);
        self.b.switch_to_block(end);
        if mark {
            let gone = self.iconst(-1);
            self.store(gone, it, index);
        }
        let null = self.iconst(0);
        self.store(null, it, seq);
        self.dec_ref(sequence, exhausted)?;
        let null = self.iconst(0);
        self.jump(done, &[null]);
        self.b.switch_to_block(done);
        Ok(result)
    }
}
