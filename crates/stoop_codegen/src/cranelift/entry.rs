//! Calls of a compiled function: machine code that checks, pushes the frame, runs the function and pops the frame.
//!
//! One for each function, so that everything about its frame is a constant. It is a vectorcall with a fifth
//! argument, the thread state: compiled callers have it at hand, and a thunk passes NULL for all others.
//! Whatever is not plain goes on to [`EntryRequest::slow`], which does the whole call.
//!
//! Written by hand: each is the same but for its constants, and Cranelift took half a millisecond for it.

use crate::abi::{Expected, Place, Watch};
use crate::unit::Error;

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

/// Registers by their numbers.
mod reg {
    pub(super) const RAX: u8 = 0;
    pub(super) const RCX: u8 = 1;
    pub(super) const RDX: u8 = 2;
    pub(super) const RSI: u8 = 6;
    pub(super) const RDI: u8 = 7;
    pub(super) const R8: u8 = 8;
    pub(super) const R9: u8 = 9;
    pub(super) const R10: u8 = 10;
    /// These are kept over calls.
    pub(super) const FRAME: u8 = 3;
    pub(super) const RESULT: u8 = 12;
    pub(super) const THREAD: u8 = 13;
    pub(super) const CALLABLE: u8 = 14;
}
use reg::{CALLABLE, FRAME, R8, R9, R10, RAX, RCX, RDI, RDX, RESULT, RSI, THREAD};

/// Conditions of jumps, by their numbers.
mod cc {
    pub(super) const ABOVE_OR_EQUAL: u8 = 3;
    pub(super) const EQUAL: u8 = 4;
    pub(super) const NOT_EQUAL: u8 = 5;
    pub(super) const NEGATIVE: u8 = 8;
    pub(super) const LESS: u8 = 12;
    pub(super) const LESS_OR_EQUAL: u8 = 14;
}

/// Operations on a register and memory, or two registers.
mod op {
    pub(super) const ADD: &[u8] = &[0x03];
    pub(super) const AND: &[u8] = &[0x23];
    pub(super) const SUB: &[u8] = &[0x2b];
    pub(super) const COMPARE: &[u8] = &[0x3b];
    pub(super) const LOAD: &[u8] = &[0x8b];
    pub(super) const LOAD_BYTE: &[u8] = &[0x0f, 0xb6];
    pub(super) const STORE: &[u8] = &[0x89];
    pub(super) const ADDRESS: &[u8] = &[0x8d];
    pub(super) const TEST: &[u8] = &[0x85];
    /// With 0 or 1 in the register's place.
    pub(super) const STEP: &[u8] = &[0xff];
    /// With 2 in the register's place.
    pub(super) const CALL: &[u8] = &[0xff];
}
const UP: u8 = 0;
const DOWN: u8 = 1;

/// Makes an entry. Its code holds absolute addresses only and may be copied anywhere.
///
/// # Errors
/// There are none for this processor.
pub fn compile_entry(r: &EntryRequest) -> Result<Vec<u8>, Error> {
    if !cfg!(all(target_arch = "x86_64", unix)) {
        return Err(Error::Backend("no entries for this processor".to_owned()));
    }
    let mut e = Entry { r, bytes: Vec::with_capacity(1024), slow: Vec::new(), destroy: Vec::new() };
    // push rbp; mov rbp, rsp; push the four registers that are kept. The stack is aligned then.
    e.put(&[0x55, 0x48, 0x89, 0xe5, 0x53, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56]);
    e.registers(op::TEST, R8, R8);
    let ask = e.jump_if(cc::EQUAL);
    let known = e.bytes.len();
    e.check();
    e.push();
    let gone = e.run();
    let looked_at = e.pop();
    let done = e.bytes.len();
    // The result without its mark: and rax, -2
    e.registers(op::LOAD, RAX, RESULT);
    e.put(&[0x48, 0x83, 0xe0, 0xfe]);
    e.land(&[gone]);
    let leave = e.bytes.len();
    // The last thing an activation does: from here on its code may be freed.
    e.count(r.active, DOWN, RCX);
    // pop what was pushed; ret
    e.put(&[0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5b, 0x5d, 0xc3]);

    e.land(&looked_at);
    e.registers(op::LOAD, RDI, THREAD);
    e.registers(op::LOAD, RSI, FRAME);
    e.call(r.pop);
    e.jump_back(done);

    let slow = std::mem::take(&mut e.slow);
    e.land(&slow);
    // The slow call may find the function's code void and let it go: it comes back to it nevertheless.
    e.count(r.active, UP, RAX);
    e.word(R8, r.record);
    e.call(r.slow);
    e.jump_back(leave);

    e.land(&[ask]);
    // push and pop rdi, rsi, rdx, rcx
    e.put(&[0x57, 0x56, 0x52, 0x51]);
    e.call(r.thread);
    e.put(&[0x59, 0x5a, 0x5e, 0x5f]);
    e.registers(op::LOAD, R8, RAX);
    e.jump_back(known);

    let destroy = std::mem::take(&mut e.destroy);
    e.land(&destroy);
    e.word(RAX, r.dealloc);
    // jmp rax
    e.put(&[0xff, 0xe0]);
    Ok(e.bytes)
}

struct Entry<'a> {
    r: &'a EntryRequest<'a>,
    bytes: Vec<u8>,
    /// Jumps to the slow call, and calls of what destroys: the places of their distances.
    slow: Vec<usize>,
    destroy: Vec<usize>,
}

impl Entry<'_> {
    fn put(&mut self, code: &[u8]) {
        self.bytes.extend_from_slice(code);
    }

    fn operation(&mut self, wide: bool, op: &[u8], register: u8, other: u8) {
        self.put(&[0x40 | u8::from(wide) << 3 | register >> 3 << 2 | other >> 3]);
        self.put(op);
    }

    /// `op register, [base + offset]`, of 64 bits if it is `wide`, else of 32.
    fn memory(&mut self, wide: bool, op: &[u8], register: u8, base: u8, offset: i32) {
        debug_assert!(base & 7 != 4, "this base takes another form");
        self.operation(wide, op, register, base);
        self.put(&[0x80 | (register & 7) << 3 | base & 7]);
        self.put(&offset.to_le_bytes());
    }

    /// `op register, other`, of 64 bits.
    fn registers(&mut self, op: &[u8], register: u8, other: u8) {
        self.operation(true, op, register, other);
        self.put(&[0xc0 | (register & 7) << 3 | other & 7]);
    }

    fn load(&mut self, register: u8, base: u8, offset: i32) {
        self.memory(true, op::LOAD, register, base, offset);
    }

    fn store(&mut self, register: u8, base: u8, offset: i32) {
        self.memory(true, op::STORE, register, base, offset);
    }

    /// A constant to a register.
    fn word(&mut self, register: u8, w: u64) {
        let (rex, code) = (0x40 | register >> 3, 0xb8 | register & 7);
        if let Ok(short) = u32::try_from(w) {
            self.put(&[rex, code]);
            self.put(&short.to_le_bytes());
        } else {
            self.put(&[rex | 8, code]);
            self.put(&w.to_le_bytes());
        }
    }

    /// `cmp [base + offset], with`, a signed number of 32 bits.
    fn compare(&mut self, wide: bool, base: u8, offset: i32, with: i32) {
        self.memory(wide, &[0x81], 7, base, offset);
        self.put(&with.to_le_bytes());
    }

    /// Changes a word in memory by one.
    fn count(&mut self, address: u64, step: u8, scratch: u8) {
        self.word(scratch, address);
        self.memory(true, op::STEP, step, scratch, 0);
    }

    fn call(&mut self, target: u64) {
        self.word(RAX, target);
        // call rax
        self.put(&[0xff, 0xd0]);
    }

    /// A jump forward; yields the place of its distance.
    fn jump_if(&mut self, cc: u8) -> usize {
        self.put(&[0x0f, 0x80 | cc, 0, 0, 0, 0]);
        self.bytes.len() - 4
    }

    fn slow_if(&mut self, cc: u8) {
        let jump = self.jump_if(cc);
        self.slow.push(jump);
    }

    fn jump_back(&mut self, to: usize) {
        let from = self.bytes.len() + 5;
        self.put(&[0xe9]);
        self.put(&(to as i32 - from as i32).to_le_bytes());
    }

    /// Directs jumps to here.
    fn land(&mut self, jumps: &[usize]) {
        for &at in jumps {
            let distance = (self.bytes.len() - at - 4) as u32;
            self.bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        }
    }

    /// Whether the call is plain. Changes none of its arguments, and leaves the new frame's address, the room after it
    /// in `rax` and what is left for recursion in `r10`.
    fn check(&mut self) {
        let r = self.r;
        self.registers(op::TEST, RCX, RCX);
        self.slow_if(cc::NOT_EQUAL);
        // The highest bit says something else.
        self.registers(op::LOAD, RAX, RDX);
        self.registers(op::ADD, RAX, RAX);
        // cmp rax, …
        self.put(&[0x48, 0x3d]);
        self.put(&(2 * r.arguments).to_le_bytes());
        self.slow_if(cc::NOT_EQUAL);
        for w in r.watches {
            self.watch(w);
        }
        self.word(RAX, r.bounds.thread);
        self.memory(true, op::COMPARE, R8, RAX, 0);
        self.slow_if(cc::NOT_EQUAL);
        // mov r9, rsp
        self.put(&[0x49, 0x89, 0xe1]);
        self.word(RAX, r.bounds.floor);
        self.memory(true, op::SUB, R9, RAX, 0);
        self.word(RAX, r.bounds.span);
        self.memory(true, op::COMPARE, R9, RAX, 0);
        self.slow_if(cc::ABOVE_OR_EQUAL);
        self.compare(false, R8, r.abi.c_recursion, r.abi.c_recursion_reserve);
        self.slow_if(cc::LESS);
        self.memory(false, op::LOAD, R10, R8, r.abi.py_recursion);
        // test r10d, r10d
        self.put(&[0x45, 0x85, 0xd2]);
        self.slow_if(cc::LESS_OR_EQUAL);
        self.load(FRAME, R8, r.abi.stack_top);
        self.memory(true, op::ADDRESS, RAX, FRAME, r.frame_size as i32);
        // Both are NULL before the first use.
        self.memory(true, op::COMPARE, RAX, R8, r.abi.stack_limit);
        self.slow_if(cc::ABOVE_OR_EQUAL);
    }

    fn watch(&mut self, w: &Watch) {
        let (base, offset) = match w.place {
            Place::Absolute(a) => {
                self.word(RAX, a);
                (RAX, 0)
            }
            Place::ThreadState(o) => (R8, o),
            Place::Frame(_) => unreachable!("an entry has no frame to watch"),
        };
        match w.width {
            1 => self.memory(false, op::LOAD_BYTE, R9, base, offset),
            4 => self.memory(false, op::LOAD, R9, base, offset),
            _ => self.load(R9, base, offset),
        }
        let whole = u64::MAX >> (64 - 8 * u32::from(w.width));
        if w.mask & whole != whole {
            self.word(R10, w.mask);
            self.registers(op::AND, R9, R10);
        }
        match w.expected {
            Expected::Const(0) => self.registers(op::TEST, R9, R9),
            Expected::Const(c) => {
                self.word(R10, c);
                self.registers(op::COMPARE, R9, R10);
            }
            Expected::Memory(a) => {
                self.word(R10, a);
                self.memory(true, op::COMPARE, R9, R10, 0);
            }
        }
        self.slow_if(cc::NOT_EQUAL);
    }

    /// Pushes, fills and links the frame.
    fn push(&mut self) {
        let r = self.r;
        // dec r10d
        self.put(&[0x41, 0xff, 0xca]);
        self.memory(false, op::STORE, R10, R8, r.abi.py_recursion);
        self.store(RAX, R8, r.abi.stack_top);
        self.registers(op::LOAD, THREAD, R8);
        self.registers(op::LOAD, CALLABLE, RDI);
        self.take(RDI);
        self.store(RDI, FRAME, r.abi.frame_function);
        if let Some(code) = r.code {
            self.word(RAX, code);
            self.memory(false, op::STEP, UP, RAX, r.abi.ob_refcnt);
        }
        for &(offset, w) in r.words {
            self.word(RAX, w);
            self.store(RAX, FRAME, offset);
        }
        for k in 0..r.arguments as i32 {
            self.load(RAX, RSI, 8 * k);
            self.take(RAX);
            self.store(RAX, FRAME, r.abi.frame_locals + 8 * k);
        }
        self.word(RAX, 0);
        for k in r.arguments as i32..r.locals as i32 {
            self.store(RAX, FRAME, r.abi.frame_locals + 8 * k);
        }
        let holder = self.holder();
        self.load(RAX, holder, r.abi.current_frame);
        self.store(RAX, FRAME, r.abi.frame_previous);
        self.store(FRAME, holder, r.abi.current_frame);
    }

    /// What holds the thread's current frame.
    fn holder(&mut self) -> u8 {
        let Some(offset) = self.r.abi.current_record else { return THREAD };
        self.load(RCX, THREAD, offset);
        RCX
    }

    /// Runs the function. Yields the jump that is taken where the interpreter has ended the frame: bit 0 is clear then.
    fn run(&mut self) -> usize {
        let r = self.r;
        self.count(r.entries, UP, RAX);
        self.count(r.active, UP, RAX);
        self.registers(op::LOAD, RDI, THREAD);
        self.registers(op::LOAD, RSI, FRAME);
        self.word(RAX, r.native);
        self.memory(true, op::CALL, 2, RAX, 0);
        // test al, 1
        self.put(&[0xa8, 0x01]);
        let gone = self.jump_if(cc::EQUAL);
        self.registers(op::LOAD, RESULT, RAX);
        gone
    }

    /// Ends the frame: unlinks it, then drops what it owns, then gives its memory back. In this order, because
    /// finalisers look at the chain, and push frames above it. Yields the jumps that are taken where it is not plain.
    fn pop(&mut self) -> Vec<usize> {
        let r = self.r;
        self.memory(false, op::STEP, UP, THREAD, r.abi.py_recursion);
        self.compare(true, FRAME, r.abi.frame_object, 0);
        let looked_at = self.jump_if(cc::NOT_EQUAL);
        self.load(RAX, THREAD, r.abi.stack_chunk);
        self.memory(true, op::ADDRESS, RAX, RAX, r.abi.chunk_data);
        self.registers(op::COMPARE, RAX, FRAME);
        let first = self.jump_if(cc::EQUAL);
        self.load(RAX, FRAME, r.abi.frame_previous);
        let holder = self.holder();
        self.store(RAX, holder, r.abi.current_frame);
        for k in 0..r.locals as i32 {
            self.load(RDI, FRAME, r.abi.frame_locals + 8 * k);
            self.registers(op::TEST, RDI, RDI);
            let none = self.jump_if(cc::EQUAL);
            self.drop();
            self.land(&[none]);
        }
        self.registers(op::LOAD, RDI, CALLABLE);
        self.drop();
        if let Some(code) = r.code {
            self.word(RDI, code);
            self.drop();
        }
        self.store(FRAME, THREAD, r.abi.stack_top);
        vec![looked_at, first]
    }

    /// Takes a reference. An immortal object's low half is all ones. Uses `r9`.
    fn take(&mut self, object: u8) {
        self.memory(false, op::LOAD, R9, object, self.r.abi.ob_refcnt);
        // inc r9d
        self.put(&[0x41, 0xff, 0xc1]);
        let immortal = self.jump_if(cc::EQUAL);
        self.memory(false, op::STORE, R9, object, self.r.abi.ob_refcnt);
        self.land(&[immortal]);
    }

    /// Drops the reference in `rdi`.
    fn drop(&mut self) {
        self.memory(false, op::LOAD, RAX, RDI, self.r.abi.ob_refcnt);
        // test eax, eax
        self.put(&[0x85, 0xc0]);
        let immortal = self.jump_if(cc::NEGATIVE);
        // dec eax
        self.put(&[0xff, 0xc8]);
        self.memory(false, op::STORE, RAX, RDI, self.r.abi.ob_refcnt);
        let alive = self.jump_if(cc::NOT_EQUAL);
        self.put(&[0xe8, 0, 0, 0, 0]);
        self.destroy.push(self.bytes.len() - 4);
        self.land(&[immortal, alive]);
    }
}
