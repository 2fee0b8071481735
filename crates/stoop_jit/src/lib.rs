//! Stoop: stoop_jit.

pub mod engine;
pub mod frontend;
pub mod helpers;
pub mod options;
pub mod reasons;
pub mod stats;
