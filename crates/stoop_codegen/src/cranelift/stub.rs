//! Stubs: pieces of machine code at a unit's end that change no register but where they say so.
//!
//! The system's calling convention keeps few registers across calls and no vector register. A call in a cold block
//! would make the register allocator hold what the code around it needs in memory; through a stub it does not. A
//! stub is also one instruction for the compiler, where what it does in place would be dozens. Each unit has copies
//! of its own, so that code stays free of outside references.
//!
//! They are written by hand: Cranelift would take longer for them than for the code that calls them.

use super::lower::Lower;
use crate::abi::{Expected, Place, Watch};
use crate::runtime::{Helper, M};
use crate::unit::{Error, Request};
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::ir::{self, AbiParam, InstBuilder, Signature, UserExternalName, Value as CV, types};
use cranelift_codegen::isa::CallConv;
use cranelift_codegen::{FinalizedMachReloc, FinalizedRelocTarget};

/// What a stub does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stub {
    /// Calls a helper.
    Helper(Helper),
    /// (object) Destroys it; whether an assumption fell, or somebody may have written the locals.
    Destroy,
    /// (object) The same, and 1 if that may have run any code.
    DestroyOrLeave,
    /// Serves the eval breaker: the helper's result.
    Poll,
    /// The same, and 1 if an assumption fell.
    PollAndCheck,
    /// Whether what a safe point asks for fails.
    Check,
    /// The same while an exception is handled.
    CheckHandling,
}

/// What stubs find by the frame pointer: a slot with the thread state, the interpreter's frame, and room for results.
pub(crate) mod context {
    /// Byte offset of the thread state.
    pub(crate) const TSTATE: i32 = 0;
    /// Byte offset of the frame.
    pub(crate) const FRAME: i32 = 8;
    /// Byte offset of the place for results.
    pub(crate) const RESULT: i32 = 16;
    /// Size of the slot.
    pub(crate) const SIZE: u32 = 24;
}

/// The stubs that a unit uses; calls name them by their positions.
#[derive(Default)]
pub(crate) struct Stubs(Vec<(Stub, ir::FuncRef)>);

impl Stubs {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether a helper can be called through a stub. Nothing is kept from those that end the activation.
pub(crate) fn takes(h: Helper) -> bool {
    const WORDS: usize = 6;
    let words = h.params().iter().filter(|m| **m != M::D).count();
    h.result() != M::D && words <= WORDS && !matches!(h, Helper::SideExit | Helper::RaiseExit)
}

impl Lower<'_> {
    /// Calls a stub. `params` are the types of its operands.
    pub(crate) fn call_stub(&mut self, stub: Stub, operands: &[CV]) {
        let known = self.stubs.0.iter().find(|s| s.0 == stub).map(|s| s.1);
        let callee = known.unwrap_or_else(|| {
            let params: Vec<_> = operands.iter().map(|v| self.b.func.dfg.value_type(*v)).collect();
            let signature = self.b.import_signature(signature(&params));
            let index = self.stubs.0.len() as u32;
            let name = self.b.func.declare_imported_user_function(UserExternalName { namespace: 0, index });
            let name = ir::ExternalName::user(name);
            let callee = self.b.import_function(ir::ExtFuncData { name, signature, colocated: true, patchable: false });
            self.stubs.0.push((stub, callee));
            callee
        });
        self.b.ins().call(callee, operands);
    }

    /// Calls a stub that has a result, of 64 bits if it is `wide`, else of 32.
    pub(crate) fn stub_result(&mut self, stub: Stub, operands: &[CV], wide: bool) -> CV {
        self.call_stub(stub, operands);
        let ty = if wide { types::I64 } else { types::I32 };
        self.load_as(ty, self.context_address, context::RESULT)
    }
}

fn signature(params: &[ir::Type]) -> Signature {
    let mut s = Signature::new(CallConv::PreserveAll);
    s.params = params.iter().map(|t| AbiParam::new(*t)).collect();
    s
}

/// Appends a unit's stubs and directs the calls to them. The context lies at a distance from the unit's frame pointer.
pub(crate) fn append(
    bytes: &mut Vec<u8>,
    stubs: &Stubs,
    keep_floats: bool,
    context: i32,
    calls: &[FinalizedMachReloc],
    request: &Request,
) -> Result<(), Error> {
    if !cfg!(target_arch = "x86_64") {
        return Err(Error::Backend("no stubs for this processor".to_owned()));
    }
    bytes.resize(bytes.len().next_multiple_of(16), 0xcc);
    let mut a = Assembler { bytes, keep_floats, context, common: [None; 2] };
    let starts: Vec<usize> = stubs.0.iter().map(|(stub, _)| a.stub(*stub, request)).collect();
    for call in calls {
        let FinalizedRelocTarget::ExternalName(ir::ExternalName::User(name)) = call.target else {
            return Err(Error::Backend(format!("unexpected relocation {call:?}")));
        };
        // Names are declared for stubs alone, in their order.
        let start = starts.get(name.as_u32() as usize).filter(|_| call.kind == Reloc::X86CallPCRel4);
        let start = *start.ok_or_else(|| Error::Backend(format!("unexpected relocation {call:?}")))? as i64;
        let distance = start + call.addend - i64::from(call.offset);
        a.patch(call.offset as usize, distance)?;
    }
    Ok(())
}

/// What a stub passes on by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operand {
    TState,
    Frame,
    Record,
}

struct Assembler<'a> {
    bytes: &'a mut Vec<u8>,
    keep_floats: bool,
    context: i32,
    /// Where the common part of helpers' stubs begins: without and with a result.
    common: [Option<usize>; 2],
}

/// That the frame has no object.
fn frame_object(request: &Request) -> Watch {
    Watch { place: Place::Frame(request.abi.frame_object), width: 8, mask: u64::MAX, expected: Expected::Const(0) }
}

/// Vector registers.
const VECTORS: u8 = 16;

impl Assembler<'_> {
    fn put(&mut self, code: &[u8]) {
        self.bytes.extend_from_slice(code);
    }

    fn put_u32(&mut self, word: u32) {
        self.put(&word.to_le_bytes());
    }

    fn put_u64(&mut self, word: u64) {
        self.put(&word.to_le_bytes());
    }

    fn patch(&mut self, at: usize, distance: i64) -> Result<(), Error> {
        let distance = i32::try_from(distance).map_err(|_| Error::Backend("code too large".to_owned()))?;
        self.bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        Ok(())
    }

    /// A distance of 32 bits to code that is there already, from the end of the field.
    fn put_distance(&mut self, to: usize) {
        let from = self.bytes.len() + 4;
        self.put_u32((to as i64 - from as i64) as i32 as u32);
    }

    /// Directs jumps, by the places of their distances, to here.
    fn land(&mut self, jumps: &[usize]) {
        for &at in jumps {
            let distance = (self.bytes.len() - at - 4) as u32;
            self.bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        }
    }

    fn stub(&mut self, stub: Stub, request: &Request) -> usize {
        let all: Vec<Watch> = std::iter::once(request.valid).chain(request.watches.iter().copied()).collect();
        match stub {
            Stub::Helper(h) => self.helper(h, &[], request),
            Stub::Destroy => {
                let destroy = self.helper(Helper::Dealloc, &[], request);
                let slow = self.helper(Helper::MayBeWritten, &[Operand::Frame], request);
                self.and_check(destroy, false, &[frame_object(request)], &request.valid, Some(slow))
            }
            Stub::Poll => self.helper(Helper::Poll, &[Operand::TState, Operand::Frame], request),
            Stub::DestroyOrLeave => {
                let destroy = self.helper(Helper::DeallocTold, &[], request);
                let slow = self.helper(Helper::MayBeWritten, &[Operand::Frame], request);
                self.and_check(destroy, true, &[frame_object(request)], &request.valid, Some(slow))
            }
            Stub::PollAndCheck => {
                let poll = self.helper(Helper::Poll, &[Operand::TState, Operand::Frame], request);
                self.and_check(poll, true, &[], &request.valid, None)
            }
            Stub::Check => {
                let slow = self.helper(Helper::Recheck, &[Operand::TState, Operand::Frame, Operand::Record], request);
                self.check(&all, &[], Some(slow))
            }
            Stub::CheckHandling => {
                let slow = self.helper(Helper::IsHeld, &[Operand::Frame], request);
                let object = frame_object(request);
                let leave: Vec<Watch> = all.into_iter().filter(|w| w.place != object.place).collect();
                self.check(&[object], &leave, Some(slow))
            }
        }
    }

    /// Does what a stub does. The result is its one, if it has one and that is not 0; else as of `check`.
    fn and_check(&mut self, stub: usize, has_result: bool, ask: &[Watch], valid: &Watch, slow: Option<usize>) -> usize {
        let start = self.bytes.len();
        self.put(&[0x48, 0x83, 0xec, 0x08]); // sub rsp, 8
        self.put(&[0xe8]); // call
        self.put_distance(stub);
        self.put(&[0x48, 0x83, 0xc4, 0x08]); // add rsp, 8
        if has_result {
            self.put(&[0x83, 0xbd]); // cmp dword [rbp + …], 0
            self.put_u32((self.context + context::RESULT) as u32);
            // je over the return
            self.put(&[0x00, 0x74, 0x01, 0xc3]);
        }
        self.check(ask, std::slice::from_ref(valid), slow);
        start
    }

    /// The result is 1 if one of `leave` fails, what the stub `slow` says if one of `ask` fails, else 0.
    fn check(&mut self, ask: &[Watch], leave: &[Watch], slow: Option<usize>) -> usize {
        let start = self.bytes.len();
        self.put(&[0x50, 0x51]); // push rax; push rcx
        let leaving: Vec<usize> = leave.iter().map(|w| self.jump_unless(w)).collect();
        let asking: Vec<usize> = ask.iter().map(|w| self.jump_unless(w)).collect();
        self.end_check(0);
        if !leaving.is_empty() {
            self.land(&leaving);
            self.end_check(1);
        }
        if let Some(slow) = slow {
            self.land(&asking);
            // pop rcx; pop rax; jmp
            self.put(&[0x59, 0x58, 0xe9]);
            self.put_distance(slow);
        }
        start
    }

    fn end_check(&mut self, result: u32) {
        // mov qword [rbp + …], result; pop rcx; pop rax; ret
        self.put(&[0x48, 0xc7, 0x85]);
        self.put_u32((self.context + context::RESULT) as u32);
        self.put_u32(result);
        self.put(&[0x59, 0x58, 0xc3]);
    }

    /// A jump that is taken if a watch fails; uses rax and rcx. Yields the place of its distance.
    fn jump_unless(&mut self, w: &Watch) -> usize {
        // mov rax, address of the base; then [rax + offset].
        let offset = match w.place {
            Place::Absolute(address) => {
                self.put(&[0x48, 0xb8]);
                self.put_u64(address);
                0
            }
            Place::ThreadState(offset) => {
                self.put(&[0x48, 0x8b, 0x85]);
                self.put_u32((self.context + context::TSTATE) as u32);
                offset
            }
            Place::Frame(offset) => {
                self.put(&[0x48, 0x8b, 0x85]);
                self.put_u32((self.context + context::FRAME) as u32);
                offset
            }
        };
        let load: &[u8] = match w.width {
            1 => &[0x0f, 0xb6, 0x80], // movzx eax, byte
            4 => &[0x8b, 0x80],       // mov eax, dword
            _ => &[0x48, 0x8b, 0x80], // mov rax, qword
        };
        self.put(load);
        self.put_u32(offset as u32);
        let whole = u64::MAX >> (64 - 8 * u32::from(w.width));
        if w.mask & whole != whole {
            self.put(&[0x48, 0xb9]); // mov rcx, mask
            self.put_u64(w.mask);
            self.put(&[0x48, 0x21, 0xc8]); // and rax, rcx
        }
        match w.expected {
            Expected::Const(0) => self.put(&[0x48, 0x85, 0xc0]), // test rax, rax
            Expected::Const(c) => {
                self.put(&[0x48, 0xb9]); // mov rcx, c
                self.put_u64(c);
                self.put(&[0x48, 0x39, 0xc8]); // cmp rax, rcx
            }
            Expected::Memory(address) => {
                self.put(&[0x48, 0xb9]); // mov rcx, address
                self.put_u64(address);
                self.put(&[0x48, 0x3b, 0x01]); // cmp rax, [rcx]
            }
        }
        self.put(&[0x0f, 0x85]); // jne
        self.put_u32(0);
        self.bytes.len() - 4
    }

    /// Calls a helper and keeps all registers. Without `operands` the helper's are where the system's convention says.
    fn helper(&mut self, h: Helper, operands: &[Operand], request: &Request) -> usize {
        let result = h.result() != M::V;
        let common = match self.common[usize::from(result)] {
            Some(at) => at,
            None => self.common_part(result),
        };
        let start = self.bytes.len();
        // push rbp; mov rbp, rsp; then in the order in which the common part takes them back:
        self.put(&[0x55, 0x48, 0x89, 0xe5]);
        // push rax, rdi, rsi, rdx
        self.put(&[0x50, 0x57, 0x56, 0x52]);
        for (k, operand) in operands.iter().enumerate() {
            let offset = match operand {
                Operand::TState => context::TSTATE,
                Operand::Frame => context::FRAME,
                Operand::Record => {
                    // mov rdx, record: it is the third.
                    self.put(&[0x48, 0xba]);
                    self.put_u64(request.record);
                    continue;
                }
            };
            // mov rax, [rbp]; mov rdi or rsi, [rax + …]
            self.put(&[0x48, 0x8b, 0x45, 0x00, 0x48, 0x8b, if k == 0 { 0xb8 } else { 0xb0 }]);
            self.put_u32((self.context + offset) as u32);
        }
        // mov rax, helper; jmp
        self.put(&[0x48, 0xb8]);
        self.put_u64((request.helpers)(h));
        self.put(&[0xe9]);
        self.put_distance(common);
        start
    }

    fn common_part(&mut self, result: bool) -> usize {
        let start = self.bytes.len();
        self.common[usize::from(result)] = Some(start);
        // push rcx, r8, r9, r10, r11: with the other five and the return address 8 bytes off.
        self.put(&[0x51, 0x41, 0x50, 0x41, 0x51, 0x41, 0x52, 0x41, 0x53]);
        let room = 8 + if self.keep_floats { 16 * u32::from(VECTORS) } else { 0 };
        self.put(&[0x48, 0x81, 0xec]); // sub rsp, room
        self.put_u32(room);
        if self.keep_floats {
            self.move_vectors(0x11);
        }
        self.put(&[0xff, 0xd0]); // call rax
        if result {
            // mov rcx, [rbp]; mov [rcx + …], rax
            self.put(&[0x48, 0x8b, 0x4d, 0x00, 0x48, 0x89, 0x81]);
            self.put_u32((self.context + context::RESULT) as u32);
        }
        if self.keep_floats {
            self.move_vectors(0x10);
        }
        self.put(&[0x48, 0x81, 0xc4]); // add rsp, room
        self.put_u32(room);
        // pop r11, r10, r9, r8, rcx, rdx, rsi, rdi, rax, rbp; ret
        self.put(&[0x41, 0x5b, 0x41, 0x5a, 0x41, 0x59, 0x41, 0x58, 0x59, 0x5a, 0x5e, 0x5f, 0x58, 0x5d, 0xc3]);
        start
    }

    /// Saves (`movups [rsp + …], xmm`: 0x11) or restores (0x10) the vector registers.
    fn move_vectors(&mut self, opcode: u8) {
        for k in 0..VECTORS {
            if k >= 8 {
                self.put(&[0x44]);
            }
            self.put(&[0x0f, opcode, 0x84 | (k & 7) << 3, 0x24]);
            self.put_u32(16 * u32::from(k));
        }
    }
}
