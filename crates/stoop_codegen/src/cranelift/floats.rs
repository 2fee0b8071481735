//! Unboxed floats.

use super::lower::Lower;
use crate::runtime::Helper;
use crate::unit::Error;
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value as CV, types};
use stoop_ir::{CmpOp, MathFn};

impl Lower<'_> {
    fn float(&mut self, x: f64) -> CV {
        self.b.ins().f64const(x)
    }

    fn guard_nonzero(&mut self, x: CV) -> Result<(), Error> {
        let zero = self.float(0.0);
        let is_zero = self.b.ins().fcmp(FloatCC::Equal, x, zero);
        self.guard_not(is_zero)
    }

    pub(crate) fn float_div(&mut self, a: &[CV]) -> Result<CV, Error> {
        self.guard_nonzero(a[1])?;
        Ok(self.b.ins().fdiv(a[0], a[1]))
    }

    pub(crate) fn float_divide_by_helper(&mut self, h: Helper, a: &[CV]) -> Result<CV, Error> {
        self.guard_nonzero(a[1])?;
        self.helper1(h, a)
    }

    pub(crate) fn float_sqrt(&mut self, x: CV) -> Result<CV, Error> {
        let zero = self.float(0.0);
        let negative = self.b.ins().fcmp(FloatCC::LessThan, x, zero);
        self.guard_not(negative)?;
        Ok(self.b.ins().sqrt(x))
    }

    pub(crate) fn float_fn(&mut self, x: CV) -> Result<CV, Error> {
        let row = usize::try_from(self.imm_int()?).ok().and_then(|k| MathFn::ALL.get(k));
        let helper = match row.ok_or_else(|| self.malformed("names no function"))? {
            MathFn::Sin => Helper::MathSin,
            MathFn::Cos => Helper::MathCos,
            MathFn::Tan => Helper::MathTan,
            MathFn::Asin => Helper::MathAsin,
            MathFn::Acos => Helper::MathAcos,
            MathFn::Atan => Helper::MathAtan,
            MathFn::Sinh => Helper::MathSinh,
            MathFn::Cosh => Helper::MathCosh,
            MathFn::Tanh => Helper::MathTanh,
            MathFn::Exp => Helper::MathExp,
            MathFn::Log => Helper::MathLog,
            MathFn::Log2 => Helper::MathLog2,
            MathFn::Log10 => Helper::MathLog10,
        };
        let y = self.helper1(helper, &[x])?;
        // Neither NaN nor infinite.
        let magnitude = self.b.ins().fabs(y);
        let greatest = self.float(f64::MAX);
        let finite = self.b.ins().fcmp(FloatCC::LessThanOrEqual, magnitude, greatest);
        self.guard(finite)?;
        Ok(y)
    }

    /// Every comparison with a NaN is false, but for "not equal".
    pub(crate) fn float_cmp(&mut self, a: &[CV]) -> Result<CV, Error> {
        let cc = match self.imm_cmp()? {
            CmpOp::Lt => FloatCC::LessThan,
            CmpOp::Le => FloatCC::LessThanOrEqual,
            CmpOp::Eq => FloatCC::Equal,
            CmpOp::Ne => FloatCC::NotEqual,
            CmpOp::Gt => FloatCC::GreaterThan,
            CmpOp::Ge => FloatCC::GreaterThanOrEqual,
        };
        Ok(self.b.ins().fcmp(cc, a[0], a[1]))
    }

    pub(crate) fn float_to_bool(&mut self, x: CV) -> CV {
        let zero = self.float(0.0);
        self.b.ins().fcmp(FloatCC::NotEqual, x, zero)
    }

    pub(crate) fn float_to_int(&mut self, x: CV) -> Result<CV, Error> {
        // Both bounds are exact doubles, and both comparisons fail for a NaN.
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        let (least, beyond) = (self.float(-LIMIT), self.float(LIMIT));
        let from = self.b.ins().fcmp(FloatCC::GreaterThanOrEqual, x, least);
        self.guard(from)?;
        let to = self.b.ins().fcmp(FloatCC::LessThan, x, beyond);
        self.guard(to)?;
        Ok(self.b.ins().fcvt_to_sint(types::I64, x))
    }
}
