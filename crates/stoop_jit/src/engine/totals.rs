//! Process-wide counters.

use std::sync::Mutex;

/// Counters since the engine started.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Times the sampler looked.
    pub samples: u64,
    /// Microseconds the sampler held the GIL.
    pub sampling_us: u64,
    /// Regions compiled.
    pub compiled: u64,
    /// Regions that could not be compiled.
    pub refused: u64,
    /// Regions compiled anew.
    pub recompiled: u64,
    /// Regions dropped.
    pub dropped: u64,
    /// Microseconds of compiling.
    pub compile_us: u64,
    /// Bytes of machine code now.
    pub code_bytes: u64,
    /// Regions voided by a broken assumption.
    pub invalidations: u64,
    /// Exits of regions that are gone, by the reason's counter.
    pub past_exits: std::collections::BTreeMap<&'static str, u64>,
}

static TOTALS: Mutex<Option<Totals>> = Mutex::new(None);

/// Changes the counters.
pub fn count(f: impl FnOnce(&mut Totals)) {
    let mut t = TOTALS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    f(t.get_or_insert_default());
}

/// A copy of the counters.
pub fn get() -> Totals {
    TOTALS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone().unwrap_or_default()
}
