//! From IR to machine code with Cranelift. Knows the IR and an ABI description, no Python.

pub mod abi;
pub mod cranelift;
pub mod disas;
mod lengths;
pub mod memory;
pub mod object;
pub mod runtime;
pub mod thunk;
pub mod unit;

pub use cranelift::compile;
pub use unit::{Compiled, Error, ExitDesc, ExitFrame, ExitKind, Recipe, Request};
