//! CPython 3.12.

pub mod layout;
pub mod opcodes;
