//! CPython's insides, known in one place.
//!
//! The only crate with raw layouts and version conditions. [`check::check`] comes first: it picks the
//! [`layout::Layout`] of the running interpreter after probing that it holds. Everything else reads through it.
//!
//! # Safety
//! Unless a function says otherwise it needs the GIL, live objects, and a successful check.

pub mod capi;
pub mod check;
mod data_stack;
pub mod decode;
pub mod exceptions;
pub mod extra;
pub mod feedback;
pub mod frame;
pub mod fresh_generator;
pub mod garbage;
pub mod generator;
pub mod handled;
pub mod hashed;
mod in_place;
pub mod inspect;
pub mod instances;
pub mod kept;
pub mod layout;
pub mod monitoring;
pub mod natives;
pub mod objects;
pub mod opcodes;
mod probe;
pub mod quiet;
pub mod thread;
mod v3_12;
mod v3_13;
pub mod watch;
