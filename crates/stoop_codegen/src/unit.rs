//! What goes into a compilation and what comes out: requests, compiled code, exits and their recipes.

use crate::abi::{Abi, Watch};
use crate::cranelift::entry::EntryAbi;
use crate::runtime::Helper;
use stoop_ir::{Function, Imm, Inst, Name, Op, State};

/// One function to compile.
pub struct Request<'a> {
    /// The function.
    pub func: &'a Function,
    /// The interpreter it will run in.
    pub abi: &'a Abi,
    /// Addresses of the runtime helpers.
    pub helpers: &'a dyn Fn(Helper) -> u64,
    /// An opaque pointer handed to the exit helpers.
    pub record: u64,
    /// What `Check` compares, besides `valid`.
    pub watches: &'a [Watch],
    /// What `CheckValid` (and `Check`) compares: every assumption of this function still stands.
    pub valid: Watch,
    /// The value to store as the frame's saved instruction pointer: (code index, code unit).
    pub unit_address: &'a dyn Fn(u32, u32) -> u64,
    /// The same for the instruction that stands before a code unit.
    pub unit_before: &'a dyn Fn(u32, u32) -> u64,
    /// The interned str object of a name.
    pub name_address: &'a dyn Fn(Name) -> u64,
    /// `tp_basicsize` of the type with this version tag, if known: saves two loads at each inline attribute.
    pub basicsize: &'a dyn Fn(u32) -> Option<i32>,
    /// Address of a word through which a function at a constant address is called: it holds a vectorcall that
    /// takes the thread state as a fifth argument.
    pub link: &'a dyn Fn(u64) -> Option<u64>,
    /// Homes of module variables that the region keeps as locals: those behind the frame's own. A home is a word that
    /// holds the address of the variable's value, or 0: then `FindHome` or `MakeHome` is asked.
    pub homes: &'a [u64],
    /// The C function behind a built-in function or method descriptor at a constant address.
    pub native: &'a dyn Fn(u64) -> Option<Native>,
    /// What frames of inlined functions are made of; `None` where nothing in them may run Python code.
    pub frames: Option<InlinedFrames<'a>>,
    /// The address of a word, and polls that add one to it: turns of a loop are counted.
    pub turns: Option<(u64, &'a [Inst])>,
    /// The address of a word that is not 0 where generators wait for the one whose region this is, and nobody may look
    /// before `Reveal` has been called.
    pub hidden: Option<u64>,
    /// Whether to spend time on better code.
    pub optimise: bool,
    /// Whether to keep Cranelift's IR and the disassembly as text.
    pub want_text: bool,
}

/// A C function that a constant stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Native {
    /// Its address.
    pub function: u64,
    /// How it takes its arguments.
    pub convention: Convention,
    /// What it is a method of: the type whose instances, subclasses' included, it takes as self; 0 if it is a function.
    pub owner: u64,
    /// A function's self, or NULL.
    pub bound: u64,
}

/// How a C function takes what comes after self.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Convention {
    /// NULL: there is nothing.
    Nothing,
    /// One object.
    One,
    /// An array and its length.
    Array,
    /// An array, its length, and the names of those that are given by name, or NULL.
    ArrayAndNames,
}

/// How frames of inlined functions are pushed.
#[derive(Clone, Copy, Debug)]
pub struct InlinedFrames<'a> {
    /// Offsets in thread states and frames.
    pub abi: &'a EntryAbi,
    /// By code number less one, as in [`stoop_ir::FrameState::code`].
    pub images: &'a [FrameImage],
}

/// A fresh frame of an inlined function.
#[derive(Clone, Debug)]
pub struct FrameImage {
    /// The function, which the compiled code keeps alive.
    pub function: u64,
    /// The words up to the locals, by offset, but for the function and the previous frame.
    pub words: Vec<(i32, u64)>,
    /// Bytes of a frame.
    pub size: u32,
    /// How many locals there are.
    pub locals: u32,
}

/// Machine code and what the engine must know to place it and to serve its exits.
///
/// The code holds absolute addresses only and may be copied anywhere.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// The code, entry first, followed by its floating-point constants and a stub for its rare calls.
    pub bytes: Vec<u8>,
    /// How many of the bytes come before the stubs.
    pub(crate) before_stubs: usize,
    /// Bytes of machine stack an activation takes, without the return address.
    pub stack_size: u32,
    /// The exits, by the index handed to the exit helpers.
    pub exits: Vec<ExitDesc>,
    /// (code offset, code unit), ascending: from this offset on, code belongs to that unit of code object 0.
    pub unit_map: Vec<(u32, u32)>,
    /// Cranelift's IR as lowered (with `want_text`).
    pub clif: Option<String>,
    /// The disassembly (with `want_text`).
    pub asm: Option<String>,
}

impl Compiled {
    /// How many of the bytes are the function's own instructions. Decodes all of them.
    pub fn code_size(&self) -> usize {
        crate::disas::code_size(&self.bytes[..self.before_stubs])
    }
}

/// Which helper an exit calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExitKind {
    /// `SideExit`: go on in the interpreter.
    Leave,
    /// `RaiseExit`: an exception is set.
    Raise,
}

/// How an exit finds the object of a local slot or stack entry. `usize` is an index into the exit buffer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Recipe {
    /// Box the 64-bit integer in the buffer.
    Int(usize),
    /// Box the double whose bits are in the buffer.
    Float(usize),
    /// True if the buffer's entry is not zero, else False.
    Bool(usize),
    /// The reference in the buffer, which the exit takes over.
    Owned(usize),
    /// The reference in the buffer (or NULL); the exit takes one of its own.
    Borrowed(usize),
    /// NULL.
    Null,
    /// The object at this address; the exit takes a reference of its own.
    Const(u64),
    /// The object at this address with the reference that compiled code has, which the exit takes over.
    OwnedConst(u64),
    /// Box this integer.
    ConstInt(i64),
    /// Box the double with these bits.
    ConstFloat(u64),
    /// True or False.
    ConstBool(bool),
    /// A tuple of so many recipes from this position in [`ExitDesc::parts`].
    Tuple(usize, usize),
    /// A range iterator of three recipes of ints from this position in [`ExitDesc::parts`], and the form of
    /// [`stoop_ir::Op::VirtualRange`].
    Range(usize, i64),
    /// An iterator of so many recipes from this position in [`ExitDesc::parts`]: the index, then sequences; the last
    /// is its kind as in [`stoop_ir::Op::VirtualIter`].
    Iter(usize, usize, i64),
}

/// One exit of a compiled function.
#[derive(Clone, Debug)]
pub struct ExitDesc {
    /// Which helper it calls.
    pub kind: ExitKind,
    /// The operation that leaves.
    pub op: Op,
    /// Its instruction.
    pub inst: Inst,
    /// Its immediate operand (`Exit`'s reason, a guard's constant).
    pub imm: Imm,
    /// The guarded object, for guards of references: what was met instead. Borrowed.
    pub met: Option<Recipe>,
    /// The frame state.
    pub state: State,
    /// The innermost frame's code object, as in [`stoop_ir::FrameState::code`].
    pub code: u32,
    /// Where its interpreter goes on, in code units.
    pub unit: u32,
    /// See [`stoop_ir::InstData::asked`].
    pub asked: Option<(u32, u32)>,
    /// Local slots to write, with their new values; slots not listed already hold what they should.
    pub locals: Vec<(u32, Recipe)>,
    /// The operand stack, bottom first.
    pub stack: Vec<Recipe>,
    /// The recipes of tuples' items.
    pub parts: Vec<Recipe>,
    /// Instances that the exit makes before anything else.
    pub objects: Vec<ObjectRecipe>,
    /// Callers of an inlined innermost frame, innermost first; the last one is the real frame. Empty when
    /// nothing is inlined. Frames but the real one have every local listed.
    pub parents: Vec<ExitFrame>,
}

/// An instance that an exit makes: see [`stoop_ir::Op::VirtualObject`].
#[derive(Clone, Debug)]
pub struct ObjectRecipe {
    /// Where it goes in the buffer; the recipes of locals and stack find it there.
    pub slot: usize,
    /// Its class, whose instances are made as `object` does.
    pub class: u64,
    /// Its attributes: index of an inline value or, negative, offset of a member, and what is there.
    pub fields: Vec<(i64, Recipe)>,
    /// How many of those recipes take a reference over. For each, compiled code holds one of each attribute.
    pub owned: usize,
}

/// A caller's frame of an exit inside inlined code.
#[derive(Clone, Debug)]
pub struct ExitFrame {
    /// The frame state.
    pub state: State,
    /// The code object, as in [`stoop_ir::FrameState::code`].
    pub code: u32,
    /// The call's position, in code units.
    pub unit: u32,
    /// As in [`ExitDesc::locals`].
    pub locals: Vec<(u32, Recipe)>,
    /// As in [`ExitDesc::stack`].
    pub stack: Vec<Recipe>,
}

/// Why a function was not compiled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// The IR is right, but its lowering does not exist.
    Unsupported(String),
    /// The IR breaks its own rules: a bug in the front end or a pass.
    Malformed(String),
    /// Cranelift refused.
    Backend(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Unsupported(s) => write!(f, "cannot be lowered: {s}"),
            Error::Malformed(s) => write!(f, "malformed IR: {s}"),
            Error::Backend(s) => write!(f, "code generator: {s}"),
        }
    }
}

impl std::error::Error for Error {}
