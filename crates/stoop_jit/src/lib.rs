//! Stoop: stoop_jit.

pub mod helpers;
