//! Unboxed integers and truth values.

use super::lower::Lower;
use crate::runtime::Helper;
use crate::unit::Error;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, Value as CV, types};
use stoop_ir::{CmpOp, InstData};

/// Factor and shift that divide signed 64-bit integers by `d` (2 to 2**63 - 1), after Granlund and Montgomery:
/// the high word of the product by the factor, shifted right, is the quotient, less one if negative.
fn reciprocal(d: u64) -> (u64, u32) {
    let d = u128::from(d);
    // The largest dividend that leaves the remainder d - 1.
    let most = (1 << 63) - 1 - (1 << 63) % d;
    let mut shift = 0;
    loop {
        let power = 1u128 << (64 + shift);
        let missing = d - power % d;
        if power > most * missing {
            return (((power + missing) / d) as u64, shift);
        }
        shift += 1;
    }
}

impl Lower<'_> {
    // The overflow flag passes through a register here; `disas::fuse_overflow_branches` takes it out again.

    pub(crate) fn int_add(&mut self, a: &[CV]) -> Result<CV, Error> {
        let (sum, overflow) = self.b.ins().sadd_overflow(a[0], a[1]);
        self.guard_not(overflow)?;
        Ok(sum)
    }

    pub(crate) fn int_sub(&mut self, a: &[CV]) -> Result<CV, Error> {
        let (difference, overflow) = self.b.ins().ssub_overflow(a[0], a[1]);
        self.guard_not(overflow)?;
        Ok(difference)
    }

    pub(crate) fn int_mul(&mut self, a: &[CV]) -> Result<CV, Error> {
        let (product, overflow) = self.b.ins().smul_overflow(a[0], a[1]);
        self.guard_not(overflow)?;
        Ok(product)
    }

    /// Leaves where the machine's division would fault or Python's raises.
    fn guard_divisor(&mut self, data: &InstData, a: &[CV], overflow_leaves: bool) -> Result<(), Error> {
        let known = self.known_int(data.args[1]);
        if known.is_none_or(|y| y == 0) {
            let zero = self.icmp_imm(IntCC::Equal, a[1], 0);
            self.guard_not(zero)?;
        }
        let dividend = self.known_int(data.args[0]);
        if overflow_leaves && known.is_none_or(|y| y == -1) && dividend.is_none_or(|x| x == i64::MIN) {
            let least = self.icmp_imm(IntCC::Equal, a[0], i64::MIN);
            let minus_one = self.icmp_imm(IntCC::Equal, a[1], -1);
            let both = self.b.ins().band(least, minus_one);
            self.guard_not(both)?;
        }
        Ok(())
    }

    pub(crate) fn int_floor_div(&mut self, data: &InstData, a: &[CV]) -> Result<CV, Error> {
        if let Some(y) = self.known_int(data.args[1])
            && y > 0
            && (y as u64).is_power_of_two()
        {
            return Ok(self.b.ins().sshr_imm_u(a[0], i64::from(y.trailing_zeros())));
        }
        if let Some((quotient, remainder)) = self.divide_by_constant(data, a) {
            let below = self.b.ins().sshr_imm_u(remainder, 63);
            return Ok(self.add(quotient, below));
        }
        self.guard_divisor(data, a, true)?;
        let quotient = self.b.ins().sdiv(a[0], a[1]);
        let product = self.b.ins().imul(quotient, a[1]);
        let remainder = self.b.ins().isub(a[0], product);
        let wrong = self.signs_differ(remainder, a[1]);
        let wrong = self.b.ins().uextend(types::I64, wrong);
        Ok(self.b.ins().isub(quotient, wrong))
    }

    pub(crate) fn int_mod(&mut self, data: &InstData, a: &[CV]) -> Result<CV, Error> {
        if let Some(y) = self.known_int(data.args[1])
            && y > 0
            && (y as u64).is_power_of_two()
        {
            return Ok(self.b.ins().band_imm_s(a[0], y - 1));
        }
        if let Some((_, remainder)) = self.divide_by_constant(data, a) {
            let below = self.b.ins().sshr_imm_u(remainder, 63);
            let shift = self.b.ins().band(below, a[1]);
            return Ok(self.add(remainder, shift));
        }
        // The remainder by -1 is 0 for every dividend, and Cranelift's `srem` says so.
        self.guard_divisor(data, a, false)?;
        let remainder = self.b.ins().srem(a[0], a[1]);
        let wrong = self.signs_differ(remainder, a[1]);
        let shifted = self.add(remainder, a[1]);
        Ok(self.b.ins().select(wrong, shifted, remainder))
    }

    /// Truncated quotient and remainder by a known divisor above 2, without dividing.
    fn divide_by_constant(&mut self, data: &InstData, a: &[CV]) -> Option<(CV, CV)> {
        let divisor = self.known_int(data.args[1]).filter(|d| *d > 2)?;
        let (factor, shift) = reciprocal(divisor as u64);
        let x = a[0];
        let f = self.iconst(factor as i64);
        let mut high = self.b.ins().smulhi(x, f);
        if factor as i64 <= 0 {
            // The factor was meant unsigned.
            high = self.add(high, x);
        }
        let quotient = self.b.ins().sshr_imm_u(high, i64::from(shift));
        let negative = self.b.ins().ushr_imm_u(x, 63);
        let quotient = self.add(quotient, negative);
        let product = self.b.ins().imul(quotient, a[1]);
        Some((quotient, self.b.ins().isub(x, product)))
    }

    /// Whether a truncated remainder is not zero and has another sign than the divisor.
    fn signs_differ(&mut self, remainder: CV, divisor: CV) -> CV {
        let mixed = self.b.ins().bxor(remainder, divisor);
        let mixed = self.icmp_imm(IntCC::SignedLessThan, mixed, 0);
        let some = self.icmp_imm(IntCC::NotEqual, remainder, 0);
        self.b.ins().band(mixed, some)
    }

    pub(crate) fn int_shl(&mut self, data: &InstData, a: &[CV]) -> Result<CV, Error> {
        if !self.known_int(data.args[1]).is_some_and(|c| (0..64).contains(&c)) {
            let bad = self.icmp_imm(IntCC::UnsignedGreaterThan, a[1], 63);
            self.guard_not(bad)?;
        }
        let shifted = self.b.ins().ishl(a[0], a[1]);
        let back = self.b.ins().sshr(shifted, a[1]);
        let same = self.icmp(IntCC::Equal, back, a[0]);
        self.guard(same)?;
        Ok(shifted)
    }

    pub(crate) fn int_shr(&mut self, data: &InstData, a: &[CV]) -> Result<CV, Error> {
        match self.known_int(data.args[1]) {
            Some(c) if c >= 0 => Ok(self.b.ins().sshr_imm_u(a[0], c.min(63))),
            _ => {
                let negative = self.icmp_imm(IntCC::SignedLessThan, a[1], 0);
                self.guard_not(negative)?;
                let most = self.iconst(63);
                let count = self.b.ins().umin(a[1], most);
                Ok(self.b.ins().sshr(a[0], count))
            }
        }
    }

    pub(crate) fn int_neg(&mut self, x: CV) -> Result<CV, Error> {
        let least = self.icmp_imm(IntCC::Equal, x, i64::MIN);
        self.guard_not(least)?;
        Ok(self.b.ins().ineg(x))
    }

    pub(crate) fn int_abs(&mut self, x: CV) -> Result<CV, Error> {
        let least = self.icmp_imm(IntCC::Equal, x, i64::MIN);
        self.guard_not(least)?;
        Ok(self.b.ins().iabs(x))
    }

    pub(crate) fn int_cmp(&mut self, a: &[CV]) -> Result<CV, Error> {
        let cc = match self.imm_cmp()? {
            CmpOp::Lt => IntCC::SignedLessThan,
            CmpOp::Le => IntCC::SignedLessThanOrEqual,
            CmpOp::Eq => IntCC::Equal,
            CmpOp::Ne => IntCC::NotEqual,
            CmpOp::Gt => IntCC::SignedGreaterThan,
            CmpOp::Ge => IntCC::SignedGreaterThanOrEqual,
        };
        Ok(self.icmp(cc, a[0], a[1]))
    }

    pub(crate) fn int_to_float_exact(&mut self, x: CV) -> Result<CV, Error> {
        const LIMIT: i64 = 1 << 53;
        let shifted = self.add_imm(x, LIMIT);
        let beyond = self.icmp_imm(IntCC::UnsignedGreaterThan, shifted, 2 * LIMIT);
        self.guard_not(beyond)?;
        Ok(self.b.ins().fcvt_from_sint(types::F64, x))
    }

    /// Calls a helper `(a, b, out) -> done?` and yields what it wrote; leaves when it did not.
    pub(crate) fn out_parameter(&mut self, h: Helper, a: &[CV], ty: ir::Type) -> Result<CV, Error> {
        let out = self.stack_address(self.scratch, 0);
        let done = self.helper1(h, &[a[0], a[1], out])?;
        self.guard(done)?;
        Ok(self.load_as(ty, self.scratch_address, 0))
    }

    /// The position an index stands for.
    pub(crate) fn index(&mut self, data: &InstData, a: &[CV]) -> Result<CV, Error> {
        let (i, len) = (a[0], a[1]);
        match self.known_int(data.args[0]) {
            Some(c) if c >= 0 => {
                let inside = self.icmp(IntCC::UnsignedLessThan, i, len);
                self.guard(inside)?;
                Ok(i)
            }
            Some(_) => self.index_from_end(i, len),
            None => {
                let (end, done) = (self.cold_block(), self.b.create_block());
                let position = self.b.append_block_param(done, types::I64);
                let inside = self.icmp(IntCC::UnsignedLessThan, i, len);
                self.b.ins().brif(inside, done, &[i.into()], end, &[]);
                self.b.switch_to_block(end);
                let p = self.index_from_end(i, len)?;
                self.jump(done, &[p]);
                self.b.switch_to_block(done);
                Ok(position)
            }
        }
    }

    /// An index at or beyond the end stays so: `i + len` does not wrap, and is not below `len` for `i >= 0`.
    fn index_from_end(&mut self, i: CV, len: CV) -> Result<CV, Error> {
        let p = self.add(i, len);
        let inside = self.icmp(IntCC::UnsignedLessThan, p, len);
        self.guard(inside)?;
        Ok(p)
    }
}
