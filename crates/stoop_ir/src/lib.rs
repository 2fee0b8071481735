//! The intermediate representation of Stoop: SSA over blocks with parameters, entities in arenas,
//! one declarative op table, frame states for side exits, a text form, a verifier and a reference interpreter.
//!
//! The crate knows no Python and has no unsafe code.
#![forbid(unsafe_code)]

mod table;

pub mod cfg;
pub mod func;
pub mod interp;
pub mod ops;
pub mod parse;
pub mod print;
pub mod types;
pub mod verify;

pub use func::{
    Block, BlockData, Const, ConstData, Def, FrameState, Function, Hint, Imm, Inst, InstData, Name, StackEntry, State, Target,
    Value, ValueData,
};
pub use ops::{Arity, BinOp, CmpOp, Flags, MathFn, Mem, Op, OpInfo, Ret, UnOp};
pub use types::{Class, Element, Type};
