//! Compiling a region: prepare (GIL), optimise and lower (no GIL needed), install (GIL).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use stoop_codegen::abi::{Abi, Watch};
use stoop_codegen::cranelift::entry::EntryAbi;
use stoop_codegen::memory::Arena;
use stoop_codegen::unit::{Compiled, FrameImage, Native};
use stoop_cpython::capi::{self, Obj};
use stoop_cpython::decode::CodeInfo;
use stoop_cpython::frame;
use stoop_ir::Function;

use super::record::Record;
use super::{budget, registry};
use crate::frontend::Entry;
use crate::reasons::Refusal;

mod finish;
mod install;
mod prepare;

pub use finish::finish;
pub use install::install;
pub use prepare::{cannot_be_called, info, prepare, resumes};

/// What a compilation needs of the process; made once.
pub struct Shared {
    /// The interpreter's description.
    pub abi: Arc<Abi>,
    /// What entries need of that.
    pub entry_abi: EntryAbi,
    /// The safe points' watches.
    pub watches: Vec<Watch>,
    /// Executable memory.
    pub arena: Arena,
    /// Whether perf is told the names of compiled code.
    pub perf_map: bool,
    /// Directory for the jitdump file; empty: none is written.
    pub jitdump: String,
    /// The guard (counted from 1 in each region) that always leaves: for tests.
    pub force_exit: Option<u32>,
    /// Whether the IR is verified after each pass in release builds too.
    pub verify: bool,
    /// Passes that are switched off.
    pub passes_off: Vec<String>,
}

/// A region between its preparation and its installation.
pub struct Job {
    /// The code object, with a reference of our own.
    code: Obj,
    record: Box<Record>,
    /// Until it is optimised.
    func: Option<Function>,
    /// Function whose vectorcall asked for it (a reference of our own), or NULL.
    function: Obj,
    name_objects: Vec<u64>,
    /// Basic sizes of instances, by their classes' versions.
    sizes: HashMap<u32, i32>,
    /// Links of the functions it calls, by their addresses.
    links: HashMap<u64, u64>,
    /// C functions of the built-in functions and methods it calls, by the callables' addresses.
    natives: HashMap<u64, Native>,
    /// The function's frames.
    fresh: Option<frame::Fresh>,
    /// Those of inlined functions.
    images: Vec<FrameImage>,
    /// Whether the code may be large: somebody wants it whatever it costs.
    any_price: bool,
    units: Arc<CodeInfo>,
    /// How many operations it begins with.
    operations: usize,
    /// Nanoseconds of processor time that it has taken so far.
    spent: u64,
    /// How much more it is worth than other code: the budget is charged a part of its cost only.
    bargain: u64,
    /// What the budget keeps for it.
    reserved: u64,
    /// Whether turns of the loop are counted.
    counts_turns: bool,
    want_text: bool,
}

// SAFETY: while a job is away from the GIL only its IR and plain numbers are touched; its references are kept and
// dropped under the GIL.
unsafe impl Send for Job {}

/// Optimised and lowered.
pub struct Output {
    compiled: Result<Compiled, Unfinished>,
    call: Option<Vec<u8>>,
    func: Function,
    texts: Vec<(String, String)>,
}

/// Why a region was not compiled.
#[derive(Debug)]
pub enum Unfinished {
    /// It cannot be: a sentence.
    Refused(String),
    /// These functions should not have been inlined: it has to be built again.
    Again(BTreeSet<u64>),
}

impl From<String> for Unfinished {
    fn from(why: String) -> Unfinished {
        Unfinished::Refused(why)
    }
}

impl Output {
    /// The texts of the stages; an error where the last one failed.
    pub fn into_texts(self) -> Result<Vec<(String, String)>, Unfinished> {
        self.compiled?;
        Ok(self.texts)
    }
}

/// Runs a part of the compiler; a panic in it is a refusal.
fn catch<T>(part: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(part)).map_err(|_| Refusal::Bug.into())
}

impl Job {
    /// Its code object and where it is entered.
    pub fn region(&self) -> (Obj, Entry) {
        (self.code, self.record.entry)
    }

    /// Function whose vectorcall asked for it, or NULL.
    pub fn function(&self) -> Obj {
        self.function
    }

    /// Its decoded code object.
    pub fn info(&self) -> &CodeInfo {
        &self.units
    }

    /// How many operations it begins with.
    pub fn size(&self) -> usize {
        self.operations
    }

    /// Gives its references up. The GIL is held.
    pub fn abandon(self) {
        let Job { code, record, function, reserved, .. } = self;
        budget::settle(reserved);
        if let Some(s) = registry::find(code) {
            s.pending.remove(&record.entry.header());
        }
        registry::retire(Some(record));
        // SAFETY: taken in `prepare`.
        unsafe {
            capi::decref(code);
            capi::xdecref(function);
        }
    }
}
