//! Stoop: stoop_cpython.
