//! `array.array` by direct access, and what works on whole lists.

use super::lower::Lower;
use crate::unit::Error;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, Value as CV, types};
use stoop_ir::{Class, Element};

impl Lower<'_> {
    /// Leaves unless the object is an exact array of the class's typecode.
    pub(crate) fn guard_array(&mut self, class: Class, object: CV) -> Result<(), Error> {
        let abi = self.req.abi;
        let descriptor = abi.arrays.descriptor(class);
        let descriptor = descriptor.ok_or_else(|| self.unsupported(&format!("no {class} was met")))?;
        let ty = self.load(object, abi.ob_type);
        let wanted = self.address(abi.arrays.type_address());
        let same = self.icmp(IntCC::Equal, ty, wanted);
        self.guard(same)?;
        let found = self.load(object, abi.array_descr);
        let wanted = self.address(descriptor);
        let same = self.icmp(IntCC::Equal, found, wanted);
        self.guard(same)
    }

    fn element(&self) -> Result<Element, Error> {
        Element::from_code(self.imm_int()?).ok_or_else(|| self.malformed("unknown typecode"))
    }

    fn element_address(&mut self, element: Element, data: CV, position: CV) -> CV {
        let shift = i64::from(element.bytes.trailing_zeros());
        let offset = if shift == 0 { position } else { self.b.ins().ishl_imm_u(position, shift) };
        self.add(data, offset)
    }

    fn int_type(element: Element) -> ir::Type {
        match element.bytes {
            1 => types::I8,
            2 => types::I16,
            4 => types::I32,
            _ => types::I64,
        }
    }

    fn widen(&mut self, element: Element, narrow: CV) -> CV {
        match (element.bytes, element.is_unsigned) {
            (8, _) => narrow,
            (_, true) => self.b.ins().uextend(types::I64, narrow),
            (_, false) => self.b.ins().sextend(types::I64, narrow),
        }
    }

    pub(crate) fn array_load_int(&mut self, a: &[CV]) -> Result<CV, Error> {
        let element = self.element()?;
        let at = self.element_address(element, a[0], a[1]);
        let narrow = self.load_as(Self::int_type(element), at, 0);
        Ok(self.widen(element, narrow))
    }

    pub(crate) fn array_load_float(&mut self, a: &[CV]) -> Result<CV, Error> {
        let element = self.element()?;
        let at = self.element_address(element, a[0], a[1]);
        if element.bytes == 8 {
            return Ok(self.load_as(types::F64, at, 0));
        }
        let narrow = self.load_as(types::F32, at, 0);
        Ok(self.b.ins().fpromote(types::F64, narrow))
    }

    pub(crate) fn array_store_int(&mut self, a: &[CV]) -> Result<(), Error> {
        let element = self.element()?;
        let narrow = if element.bytes == 8 {
            a[2]
        } else {
            let narrow = self.b.ins().ireduce(Self::int_type(element), a[2]);
            let wide = self.widen(element, narrow);
            let fits = self.icmp(IntCC::Equal, wide, a[2]);
            self.guard(fits)?;
            narrow
        };
        let at = self.element_address(element, a[0], a[1]);
        self.store(narrow, at, 0);
        Ok(())
    }

    pub(crate) fn array_store_float(&mut self, a: &[CV]) -> Result<(), Error> {
        let element = self.element()?;
        let at = self.element_address(element, a[0], a[1]);
        let value = if element.bytes == 8 { a[2] } else { self.b.ins().fdemote(types::F32, a[2]) };
        self.store(value, at, 0);
        Ok(())
    }

    /// Turns a list's items up to a position round. References only change places: nothing is counted.
    pub(crate) fn list_reverse_prefix(&mut self, list: CV, last: CV) -> Result<(), Error> {
        const ITEM: i64 = 8;
        let size = self.load(list, self.req.abi.ob_size);
        // Unsigned: negative positions count from the end, which the interpreter sees to.
        let inside = self.icmp(IntCC::UnsignedLessThan, last, size);
        self.guard(inside)?;
        let items = self.load(list, self.req.abi.list_items);
        let end = self.list_slot(list, last);
        let (header, body, done) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let low = self.b.append_block_param(header, types::I64);
        let high = self.b.append_block_param(header, types::I64);
        self.jump(header, &[items, end]);
        self.b.switch_to_block(header);
        let more = self.icmp(IntCC::UnsignedLessThan, low, high);
        self.branch(more, body, done);
        self.b.switch_to_block(body);
        let (x, y) = (self.load(low, 0), self.load(high, 0));
        self.store(y, low, 0);
        self.store(x, high, 0);
        let (low, high) = (self.add_imm(low, ITEM), self.add_imm(high, -ITEM));
        self.jump(header, &[low, high]);
        self.b.switch_to_block(done);
        Ok(())
    }
}
