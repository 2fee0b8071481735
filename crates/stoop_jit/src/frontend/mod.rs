//! The front end: bytecode to SSA.
//!
//! An abstract stack is run over the reachable blocks from one entry. Values on it remember whether compiled code
//! owns their reference; a value read from a local is borrowed from the local's slot and gets its own reference only
//! when the slot is about to change or a block ends. Every instruction that may leave or raise carries the frame
//! state of its instruction; instructions that may have run Python code are followed by a safe point.
//!
//! Never runs Python code: what it must know of the running program it asks of an [`Environment`].

pub mod blocks;
mod builder;
mod calls;
mod instrs;

pub use builder::{BuildError, Built, Entry, Request, build};
pub use instrs::{EMPTY_LOOP, NEVER_RAN};

use stoop_ir::Class;

/// An object known while compiling, which the engine keeps alive for the compiled code.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its address.
    pub address: u64,
    /// Its exact built-in class, if one of the known ones.
    pub class: Option<Class>,
    /// For ints and floats their exact repr; for well-known builtins their qualified name; else a description.
    pub text: String,
}

/// What the front end may ask of the running program. No answer may run Python code.
pub trait Environment {
    /// The value of a global or builtin that compiled code may rely on (the engine watches it).
    fn global(&mut self, name_index: u32) -> Option<Known>;
    /// A constant of the code object.
    fn constant(&mut self, index: u32) -> Known;
    /// The value of a module's attribute that compiled code may rely on.
    fn module_attribute(&mut self, module: u64, name_index: u32) -> Option<Known>;
    /// `None`.
    fn none(&mut self) -> Known;
    /// Describes any object, keeping it alive.
    fn describe(&mut self, address: u64) -> Known;
    /// Whether speculation at this code unit has failed too often.
    fn is_generic(&self, unit: u32) -> bool;
    /// The class of what a local slot holds at the entry, if worth assuming; `Some(None)` when it is unbound.
    fn entry_local(&self, slot: u32) -> Option<Option<Class>>;
    /// Name and definition of the well-known built-in method that a local slot holds, bound, at the entry.
    fn entry_method(&self, slot: u32) -> Option<(&'static str, u64)>;
    /// The class of what a stack slot holds at a loop entry, if worth assuming; `Some(None)` when it is NULL.
    fn entry_stack(&self, depth: u32) -> Option<Option<Class>>;
}
