//! Stoop: stoop_jit.

pub mod engine;
pub mod frontend;
pub mod helpers;
