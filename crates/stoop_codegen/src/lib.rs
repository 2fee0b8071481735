//! From IR to machine code with Cranelift. Knows the IR and an ABI description, no Python.

pub mod abi;
pub mod runtime;
