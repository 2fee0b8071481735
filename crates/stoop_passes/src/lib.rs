//! Stoop: stoop_passes.
