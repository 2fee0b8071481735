//! Calls of a compiled function: machine code that checks, pushes the frame, runs the function and pops the frame.
//!
//! One for each function, so that everything about its frame is a constant. It is a vectorcall with a fifth
//! argument, the thread state: compiled callers have it at hand, and a thunk passes NULL for all others.
//! Whatever is not plain goes on to [`EntryRequest::slow`], which does the whole call.

use super::{target, with_scratch};
use crate::abi::{Expected, Place, Watch};
use crate::unit::Error;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, AbiParam, InstBuilder, MemFlagsData, Signature, Value as CV, types};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

/// Byte offsets that an entry needs.
#[derive(Clone, Debug)]
pub struct EntryAbi {
    /// `ob_refcnt` (see [`crate::abi::Abi::ob_refcnt`]).
    pub ob_refcnt: i32,
    /// In the thread state, the pointer to the record that holds the current frame, if it is not there itself.
    pub current_record: Option<i32>,
    /// The current frame, in that record or in the thread state.
    pub current_frame: i32,
    /// `py_recursion_remaining` in the thread state (32 bits).
    pub py_recursion: i32,
    /// `c_recursion_remaining` in the thread state (32 bits).
    pub c_recursion: i32,
    /// Entries happen only while this many C-recursion units are left.
    pub c_recursion_reserve: i32,
    /// Top of the thread's frame stack.
    pub stack_top: i32,
    /// Limit of its present chunk.
    pub stack_limit: i32,
    /// That chunk.
    pub stack_chunk: i32,
    /// First frame in a chunk.
    pub chunk_data: i32,
    /// `previous` in the frame.
    pub frame_previous: i32,
    /// `f_funcobj` in the frame.
    pub frame_function: i32,
    /// `frame_obj` in the frame.
    pub frame_object: i32,
    /// `localsplus` in the frame.
    pub frame_locals: i32,
}

/// Where the thread that ran last has its machine stack: three words.
#[derive(Clone, Copy, Debug)]
pub struct StackBounds {
    /// Address of a word: its thread state.
    pub thread: u64,
    /// Address of a word: the lowest address compiled code may start at.
    pub floor: u64,
    /// Address of a word: bytes from there to the stack's end.
    pub span: u64,
}

/// An entry to make.
#[derive(Debug)]
pub struct EntryRequest<'a> {
    /// Offsets.
    pub abi: &'a EntryAbi,
    /// What must hold, besides the bounds and counts: no frame is at hand yet.
    pub watches: &'a [Watch],
    /// The machine stack.
    pub bounds: StackBounds,
    /// The words of a fresh frame up to its locals, by offset, but for the function and the previous frame.
    pub words: &'a [(i32, u64)],
    /// The code object, of which the frame owns a reference; `None` if it is immortal.
    pub code: Option<u64>,
    /// Bytes of a frame.
    pub frame_size: u32,
    /// How many positional arguments there must be; they fill the first locals.
    pub arguments: u32,
    /// How many locals there are.
    pub locals: u32,
    /// Address of a word: the function's machine code.
    pub native: u64,
    /// Address of a word: how often it was entered.
    pub entries: u64,
    /// Address of a word: activations running now.
    pub active: u64,
    /// The record that `slow` gets.
    pub record: u64,
    /// `extern "C" fn(callable, arguments, count, names, record) -> object`: a call in every form.
    pub slow: u64,
    /// `extern "C" fn(tstate, frame)`: ends a frame that somebody has looked at, or that was first in its chunk.
    pub pop: u64,
    /// `extern "C" fn() -> tstate`.
    pub thread: u64,
    /// `extern "C" fn(object)`.
    pub dealloc: u64,
}

/// More locals than this are better cleared by a loop, which is the slow call's.
pub const MOST_LOCALS: u32 = 20;

/// Accesses to live objects never trap and are naturally aligned.
const TRUSTED: MemFlagsData = MemFlagsData::trusted();

/// Compiles an entry. Its code holds absolute addresses only and may be copied anywhere.
///
/// # Errors
/// Cranelift's.
pub fn compile_entry(request: &EntryRequest) -> Result<Vec<u8>, Error> {
    let isa = target(true)?;
    with_scratch(signature(5, true), |context, builder| {
        build(request, isa.frontend_config(), &mut context.func, builder);
        let code = context.compile(&*isa, &mut ControlPlane::default()).map_err(|e| Error::Backend(e.inner.to_string()))?;
        if code.buffer.relocs().is_empty() {
            Ok(code.code_buffer().to_vec())
        } else {
            Err(Error::Backend("an entry with relocations".to_owned()))
        }
    })
}

/// `params` words to a word, or to nothing.
fn signature(params: usize, result: bool) -> Signature {
    let mut s = Signature::new(CallConv::SystemV);
    s.params = vec![AbiParam::new(types::I64); params];
    s.returns = vec![AbiParam::new(types::I64); usize::from(result)];
    s
}

struct Entry<'a> {
    r: &'a EntryRequest<'a>,
    b: FunctionBuilder<'a>,
    slow: ir::Block,
    ts: CV,
}

fn build(r: &EntryRequest, config: TargetFrontendConfig, into: &mut ir::Function, context: &mut FunctionBuilderContext) {
    let mut b = FunctionBuilder::new(into, context);
    let (first, slow) = (b.create_block(), b.create_block());
    b.set_cold_block(slow);
    b.append_block_params_for_function_params(first);
    b.switch_to_block(first);
    let params = b.block_params(first).to_vec();
    let [callable, arguments, count, names, ts] = params[..] else { unreachable!("the signature has five") };
    let mut e = Entry { r, b, slow, ts };
    e.find_thread();
    e.check(count, names);
    let frame = e.push(callable, arguments);
    let result = e.run(frame);
    e.pop(frame, callable);
    e.leave(result);
    e.b.switch_to_block(slow);
    // The slow call may find the function's code void and let it go: it comes back to it nevertheless.
    e.count(r.active, 1);
    let record = e.word(r.record);
    let result = e.call(r.slow, &[callable, arguments, count, names, record], true)[0];
    e.leave(result);
    e.b.seal_all_blocks();
    e.b.finalize(config);
}

impl Entry<'_> {
    fn word(&mut self, w: u64) -> CV {
        self.b.ins().iconst(types::I64, w as i64)
    }

    fn load(&mut self, base: CV, offset: i32) -> CV {
        self.b.ins().load(types::I64, TRUSTED, base, offset)
    }

    fn load32(&mut self, base: CV, offset: i32) -> CV {
        self.b.ins().load(types::I32, TRUSTED, base, offset)
    }

    fn store(&mut self, value: CV, base: CV, offset: i32) {
        self.b.ins().store(TRUSTED, value, base, offset);
    }

    fn add(&mut self, value: CV, by: i64) -> CV {
        self.b.ins().iadd_imm_s(value, by)
    }

    fn compare(&mut self, cc: IntCC, value: CV, with: i64) -> CV {
        self.b.ins().icmp_imm_s(cc, value, with)
    }

    fn call(&mut self, target: u64, args: &[CV], result: bool) -> Vec<CV> {
        let callee = self.word(target);
        let s = self.b.import_signature(signature(args.len(), result));
        let call = self.b.ins().call_indirect(s, callee, args);
        self.b.inst_results(call).to_vec()
    }

    /// Goes on in a new block unless `cond` holds.
    fn unless(&mut self, cond: CV, away: ir::Block) {
        let go_on = self.b.create_block();
        self.b.ins().brif(cond, away, &[], go_on, &[]);
        self.b.switch_to_block(go_on);
    }

    fn cold(&mut self) -> ir::Block {
        let block = self.b.create_block();
        self.b.set_cold_block(block);
        block
    }

    /// Asks for the thread state where the caller brought none.
    fn find_thread(&mut self) {
        let (ask, known) = (self.b.create_block(), self.b.create_block());
        let found = self.b.append_block_param(known, types::I64);
        let (given, thread) = (self.ts, self.r.thread);
        self.b.ins().brif(given, known, &[given.into()], ask, &[]);
        self.b.switch_to_block(ask);
        let asked = self.call(thread, &[], true)[0];
        self.b.ins().jump(known, &[asked.into()]);
        self.b.switch_to_block(known);
        self.ts = found;
    }

    fn check(&mut self, count: CV, names: CV) {
        let (r, slow, ts) = (self.r, self.slow, self.ts);
        self.unless(names, slow);
        // The highest bit says something else.
        let twice = self.b.ins().ishl_imm_u(count, 1);
        let other = self.compare(IntCC::NotEqual, twice, 2 * i64::from(r.arguments));
        self.unless(other, slow);
        for w in r.watches {
            let fails = self.watch_fails(w);
            self.unless(fails, slow);
        }
        let mut other_thread = self.word(r.bounds.thread);
        other_thread = self.load(other_thread, 0);
        let differs = self.b.ins().icmp(IntCC::NotEqual, other_thread, ts);
        self.unless(differs, slow);
        let here = self.b.ins().get_stack_pointer(types::I64);
        let floor = self.word(r.bounds.floor);
        let floor = self.load(floor, 0);
        let above = self.b.ins().isub(here, floor);
        let span = self.word(r.bounds.span);
        let span = self.load(span, 0);
        let outside = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, above, span);
        self.unless(outside, slow);
        let left = self.load32(ts, r.abi.c_recursion);
        let low = self.compare(IntCC::SignedLessThan, left, i64::from(r.abi.c_recursion_reserve));
        self.unless(low, slow);
    }

    fn watch_fails(&mut self, w: &Watch) -> CV {
        let (base, offset) = match w.place {
            Place::Absolute(a) => (self.word(a), 0),
            Place::ThreadState(o) => (self.ts, o),
            Place::Frame(_) => unreachable!("an entry has no frame to watch"),
        };
        let found = match w.width {
            1 => {
                let v = self.b.ins().load(types::I8, TRUSTED, base, offset);
                self.b.ins().uextend(types::I64, v)
            }
            4 => {
                let v = self.load32(base, offset);
                self.b.ins().uextend(types::I64, v)
            }
            _ => self.load(base, offset),
        };
        let found = if w.mask == u64::MAX { found } else { self.b.ins().band_imm_u(found, w.mask as i64) };
        let expected = match w.expected {
            Expected::Const(c) => self.word(c),
            Expected::Memory(a) => {
                let a = self.word(a);
                self.load(a, 0)
            }
        };
        self.b.ins().icmp(IntCC::NotEqual, found, expected)
    }

    /// Pushes, fills and links the frame.
    fn push(&mut self, callable: CV, arguments: CV) -> CV {
        let (r, slow, ts) = (self.r, self.slow, self.ts);
        let left = self.load32(ts, r.abi.py_recursion);
        let none = self.compare(IntCC::SignedLessThanOrEqual, left, 0);
        self.unless(none, slow);
        let frame = self.load(ts, r.abi.stack_top);
        let top = self.add(frame, i64::from(r.frame_size));
        let limit = self.load(ts, r.abi.stack_limit);
        // Both are NULL before the first use.
        let full = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, top, limit);
        self.unless(full, slow);
        let less = self.add(left, -1);
        self.store(less, ts, r.abi.py_recursion);
        self.store(top, ts, r.abi.stack_top);
        self.take(callable);
        self.store(callable, frame, r.abi.frame_function);
        if let Some(code) = r.code {
            let code = self.word(code);
            let count = self.load32(code, r.abi.ob_refcnt);
            let more = self.add(count, 1);
            self.store(more, code, r.abi.ob_refcnt);
        }
        for &(offset, w) in r.words {
            let w = self.word(w);
            self.store(w, frame, offset);
        }
        for k in 0..r.arguments as i32 {
            let a = self.load(arguments, 8 * k);
            self.take(a);
            self.store(a, frame, r.abi.frame_locals + 8 * k);
        }
        let null = self.word(0);
        for k in r.arguments as i32..r.locals as i32 {
            self.store(null, frame, r.abi.frame_locals + 8 * k);
        }
        let holder = self.holder();
        let current = self.load(holder, r.abi.current_frame);
        self.store(current, frame, r.abi.frame_previous);
        self.store(frame, holder, r.abi.current_frame);
        frame
    }

    /// What holds the thread's current frame.
    fn holder(&mut self) -> CV {
        match self.r.abi.current_record {
            Some(offset) => self.load(self.ts, offset),
            None => self.ts,
        }
    }

    /// Runs the function. Goes on where it returned with the frame still to be popped.
    fn run(&mut self, frame: CV) -> CV {
        let r = self.r;
        self.count(r.entries, 1);
        self.count(r.active, 1);
        let native = self.word(r.native);
        let native = self.load(native, 0);
        let s = self.b.import_signature(signature(2, true));
        let call = self.b.ins().call_indirect(s, native, &[self.ts, frame]);
        let result = self.b.inst_results(call)[0];
        // The interpreter has ended the frame, if bit 0 is clear.
        let gone = self.cold();
        let here = self.b.ins().band_imm_u(result, 1);
        let go_on = self.b.create_block();
        self.b.ins().brif(here, go_on, &[], gone, &[]);
        self.b.switch_to_block(gone);
        self.leave(result);
        self.b.switch_to_block(go_on);
        self.b.ins().bxor_imm_u(result, 1)
    }

    /// The last thing an activation does: from here on its code may be freed.
    fn leave(&mut self, result: CV) {
        self.count(self.r.active, -1);
        self.b.ins().return_(&[result]);
    }

    fn count(&mut self, address: u64, by: i64) {
        let address = self.word(address);
        let n = self.load(address, 0);
        let n = self.add(n, by);
        self.store(n, address, 0);
    }

    /// Ends the frame: unlinks it, then drops what it owns, then gives its memory back. In this order, because
    /// finalisers look at the chain, and push frames above it.
    fn pop(&mut self, frame: CV, callable: CV) {
        let (r, ts) = (self.r, self.ts);
        let left = self.load32(ts, r.abi.py_recursion);
        let more = self.add(left, 1);
        self.store(more, ts, r.abi.py_recursion);
        let (slow, done) = (self.cold(), self.b.create_block());
        let object = self.load(frame, r.abi.frame_object);
        self.unless(object, slow);
        let chunk = self.load(ts, r.abi.stack_chunk);
        let data = self.add(chunk, i64::from(r.abi.chunk_data));
        let first = self.b.ins().icmp(IntCC::Equal, data, frame);
        self.unless(first, slow);
        let previous = self.load(frame, r.abi.frame_previous);
        let holder = self.holder();
        self.store(previous, holder, r.abi.current_frame);
        for k in 0..r.locals as i32 {
            let v = self.load(frame, r.abi.frame_locals + 8 * k);
            let next = self.b.create_block();
            self.unless_null(v, next);
            self.drop(v, next);
        }
        let next = self.b.create_block();
        self.drop(callable, next);
        if let Some(code) = r.code {
            let (code, next) = (self.word(code), self.b.create_block());
            self.drop(code, next);
        }
        self.store(frame, ts, r.abi.stack_top);
        self.b.ins().jump(done, &[]);
        self.b.switch_to_block(slow);
        self.call(r.pop, &[ts, frame], false);
        self.b.ins().jump(done, &[]);
        self.b.switch_to_block(done);
    }

    fn unless_null(&mut self, v: CV, away: ir::Block) {
        let go_on = self.b.create_block();
        self.b.ins().brif(v, go_on, &[], away, &[]);
        self.b.switch_to_block(go_on);
    }

    /// Takes a reference. An immortal object's low half is all ones.
    fn take(&mut self, object: CV) {
        let done = self.b.create_block();
        let count = self.load32(object, self.r.abi.ob_refcnt);
        let more = self.add(count, 1);
        let immortal = self.compare(IntCC::Equal, more, 0);
        self.unless(immortal, done);
        self.store(more, object, self.r.abi.ob_refcnt);
        self.b.ins().jump(done, &[]);
        self.b.switch_to_block(done);
    }

    /// Drops a reference, then goes on in `done`.
    fn drop(&mut self, object: CV, done: ir::Block) {
        let count = self.load32(object, self.r.abi.ob_refcnt);
        let immortal = self.compare(IntCC::SignedLessThan, count, 0);
        self.unless(immortal, done);
        let less = self.add(count, -1);
        self.store(less, object, self.r.abi.ob_refcnt);
        let dead = self.compare(IntCC::Equal, less, 0);
        let destroy = self.cold();
        self.b.ins().brif(dead, destroy, &[], done, &[]);
        self.b.switch_to_block(destroy);
        self.call(self.r.dealloc, &[object], false);
        self.b.ins().jump(done, &[]);
        self.b.switch_to_block(done);
    }
}
