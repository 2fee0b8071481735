//! Stoop: stoop_jit.

pub mod dump;
pub mod engine;
pub mod frontend;
pub mod helpers;
pub mod options;
pub mod reasons;
pub mod stats;
