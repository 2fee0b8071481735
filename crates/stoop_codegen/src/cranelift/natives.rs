//! Calls of C functions that constants stand for, without going through the object.

use super::lower::Lower;
use super::slots::Root;
use crate::runtime::Helper;
use crate::unit::{Convention, Error, Native};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, InstBuilder, Signature, Value as CV, types};
use cranelift_codegen::isa::CallConv;
use stoop_ir::{InstData, Type};

/// A call whose arguments fit the C function's convention.
pub(crate) struct Direct {
    native: Native,
    /// The function's self.
    receiver: CV,
    /// What has to be asked of self first, if anything: that it is an instance of this type.
    owner: Option<u64>,
    /// The arguments behind self, and the first one's entry in the argument array.
    args: Vec<CV>,
    first: u32,
}

impl Lower<'_> {
    /// The C function that an operation (callable, self or NULL, arguments…) calls, if it can be called directly.
    pub(crate) fn direct(&mut self, data: &InstData, a: &[CV]) -> Option<Direct> {
        let Root::Object(callable) = self.roots.reference(data.args[0]) else { return None };
        let native = (self.req.native)(callable)?;
        // With NULL for self, a method's is the first argument; a function has none, or one of its own.
        let has_self = !self.nullness(data.args[1])?;
        let (at, first) = match (native.owner != 0, has_self) {
            (true, true) => (Some(1), 2),
            (true, false) => (Some(2), 3),
            (false, false) => (None, 2),
            (false, true) => (None, 1),
        };
        if first > a.len() {
            return None;
        }
        let args = a[first..].to_vec();
        let fits = match native.convention {
            Convention::Nothing => args.is_empty(),
            Convention::One => args.len() == 1,
            Convention::Array | Convention::ArrayAndNames => true,
        };
        if !fits {
            return None;
        }
        let receiver = match at {
            Some(k) => a[k],
            None => self.address(native.bound),
        };
        let owner = at.map(|_| native.owner).filter(|owner| match self.f.ty(data.args[at.unwrap_or(1)]) {
            Type::Exact(class) => self.class_address(class).ok() != Some(*owner),
            _ => true,
        });
        Some(Direct { native, receiver, owner, args, first: first as u32 })
    }

    /// The call itself.
    fn call_function(&mut self, call: &Direct) -> CV {
        let mut args = vec![call.receiver];
        match call.native.convention {
            Convention::Nothing => args.push(self.iconst(0)),
            Convention::One => args.push(call.args[0]),
            Convention::Array | Convention::ArrayAndNames => {
                args.push(self.stack_address(self.arguments, 8 * call.first as i32));
                args.push(self.iconst(call.args.len() as i64));
                if call.native.convention == Convention::ArrayAndNames {
                    args.push(self.iconst(0));
                }
            }
        }
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params = vec![AbiParam::new(types::I64); args.len()];
        signature.returns = vec![AbiParam::new(types::I64)];
        let signature = self.b.import_signature(signature);
        let function = self.address(call.native.function);
        let called = self.b.ins().call_indirect(signature, function, &args);
        self.b.inst_results(called)[0]
    }

    /// A call of anything, whose arguments lie in the array: as the interpreter calls such a function, with its recursion
    /// check and the eval breaker after it. What does not pass the checks is called through the object.
    pub(crate) fn call_directly(&mut self, call: &Direct, callable: CV, array: CV, count: CV) -> Result<CV, Error> {
        let (slow, done) = (self.cold_block(), self.next_block());
        self.b.append_block_param(done, types::I64);
        if let Some(owner) = call.owner {
            let ty = self.load(call.receiver, self.req.abi.ob_type);
            let wanted = self.address(owner);
            let same = self.icmp(IntCC::Equal, ty, wanted);
            self.branch_unless(same, slow);
        }
        // Those that take an array are not counted: the interpreter does not, either.
        let counted = matches!(call.native.convention, Convention::Nothing | Convention::One);
        let remaining = self.req.abi.c_recursion;
        if counted {
            let left = self.load_as(types::I32, self.tstate, remaining);
            let none = self.icmp_imm(IntCC::SignedLessThanOrEqual, left, 0);
            self.branch_away(none, slow);
            let less = self.add_imm(left, -1);
            self.store(less, self.tstate, remaining);
        }
        let result = self.call_function(call);
        if counted {
            let left = self.load_as(types::I32, self.tstate, remaining);
            let more = self.add_imm(left, 1);
            self.store(more, self.tstate, remaining);
        }
        self.raise_unless(result)?;
        let due = self.watch_fails(&self.req.abi.eval_breaker);
        let serve = self.cold_block();
        self.b.ins().brif(due, serve, &[], done, &[result.into()]);
        self.b.switch_to_block(serve);
        let served = self.call_object(Helper::AfterCall, &[result])?;
        self.jump(done, &[served]);
        self.b.switch_to_block(slow);
        let names = self.iconst(0);
        let called = self.call_object(Helper::PyCall, &[callable, array, count, names])?;
        self.jump(done, &[called]);
        self.b.switch_to_block(done);
        Ok(self.b.block_params(done)[0])
    }

    /// A call of a function that runs no Python code: nothing has to be asked before or after.
    pub(crate) fn native_call(&mut self, data: &InstData, a: &[CV]) -> Result<CV, Error> {
        if a.len() < 2 {
            return Err(self.malformed("needs a callable and self or NULL"));
        }
        self.put_arguments(1, &a[1..]);
        let result = match self.direct(data, a) {
            Some(call) if call.owner.is_none() => self.call_function(&call),
            // Its arguments have to be put into a tuple.
            _ => {
                let has_self = !self.nullness(data.args[1]).ok_or_else(|| self.malformed("may have a self or not"))?;
                let first = if has_self { 1 } else { 2 };
                let array = self.stack_address(self.arguments, 8 * first);
                let count = self.iconst(a.len() as i64 - i64::from(first));
                self.helper1(Helper::NativeCall, &[a[0], array, count])?
            }
        };
        self.raise_unless(result)?;
        Ok(result)
    }
}
