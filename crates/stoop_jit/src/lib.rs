//! Stoop: stoop_jit.
