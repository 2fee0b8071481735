//! The ordered table of passes, and what runs it.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use stoop_ir::{Const, Function};

/// A constant object's value, where it has one that compiled code can compute with.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ConstValue {
    /// An `int` that fits.
    Int(i64),
    /// A `float`.
    Float(f64),
    /// A `bool`.
    Bool(bool),
}

/// What passes know beside the function, and what they tell.
#[derive(Default)]
pub struct PassContext {
    /// Values of number constants, from the front end.
    pub const_values: HashMap<Const, ConstValue>,
    /// Named counters: what the passes did.
    pub counters: BTreeMap<&'static str, u64>,
    /// Time spent, by row of the table, in its order.
    pub timings: Vec<(&'static str, Duration)>,
}

impl PassContext {
    /// Adds to a counter.
    pub fn count(&mut self, counter: &'static str, n: usize) {
        if n > 0 {
            *self.counters.entry(counter).or_insert(0) += n as u64;
        }
    }
    /// A counter's value.
    pub fn counter(&self, counter: &str) -> u64 {
        self.counters.get(counter).copied().unwrap_or(0)
    }
}

/// A row of the table.
#[derive(Clone, Copy)]
pub struct Pass {
    /// Its name: what dumps and off switches call it.
    pub name: &'static str,
    /// One line on what it does.
    pub doc: &'static str,
    /// The pass.
    pub run: fn(&mut Function, &mut PassContext),
}

/// Called after a pass with its name and the function.
pub type Dump<'a> = dyn FnMut(&str, &Function) + 'a;

/// How to run the table.
#[derive(Default)]
pub struct Options<'a> {
    /// Names of passes that are switched off. A name switches off all rows that have it.
    pub off: Vec<String>,
    /// Shown the function before the first pass (as `build`) and after each.
    pub dump: Option<&'a mut Dump<'a>>,
    /// Verify after each pass. Debug builds always do.
    pub verify: bool,
    /// Asked once it is settled which operations may run Python code: whether to go on.
    pub goes_on: Option<&'a dyn Fn(&Function) -> bool>,
}

/// Names of rows that are needed for correctness: the code generator relies on them.
const ALWAYS: &[&str] = &["forget_entry_states"];

/// The row that settles which operations may run Python code, the first one of its name: later ones move, split and
/// remove others.
const SETTLES: &str = "fold_constants";

/// The passes, in order. Cleanup passes have several rows: each makes work for the others.
pub static PASSES: &[Pass] = &[
    Pass {
        name: "specialise",
        doc: "Generic operations become typed ones under guards, where feedback or types say so.",
        run: |f, c| {
            let n = crate::specialise::run(f);
            c.count("operations_specialised", n);
        },
    },
    LANDINGS,
    TUPLES,
    Pass {
        name: "guard_early",
        doc: "What will be used as a number is guarded and unboxed where it is loaded.",
        run: crate::guard_early::run,
    },
    Pass {
        name: "unbox_params",
        doc: "Numbers that flow through block parameters stay unboxed.",
        run: |f, c| {
            let n = crate::unbox_params::run(f);
            c.count("params_unboxed", n);
        },
    },
    FOLD,
    TUPLES,
    CSE,
    GUARDS,
    Pass {
        name: "take_ranges_apart",
        doc: "Loops over ranges count in registers; their iterators are made by exits alone.",
        run: crate::take_ranges_apart::run,
    },
    FOLD,
    Pass {
        name: "take_objects_apart",
        doc: "An instance that only its attributes are wanted of is never made.",
        run: crate::take_objects_apart::run,
    },
    Pass {
        name: "initialise_fresh",
        doc: "The first store to each attribute of a fresh instance asks nothing.",
        run: crate::initialise_fresh::run,
    },
    Pass {
        name: "reuse_boxes",
        doc: "Fresh number boxes that replace an item or attribute are stored by value, in place.",
        run: |f, c| {
            let n = crate::reuse_boxes::run(f);
            c.count("boxes_reused", n);
        },
    },
    Pass {
        name: "sink_boxes",
        doc: "A number box that nobody looks at is never made.",
        run: |f, c| {
            let n = crate::sink_boxes::run(f);
            c.count("boxes_sunk", n);
        },
    },
    Pass {
        name: "drop_depths",
        doc: "Functions compiled in place in which nothing may run Python code do not ask for the recursion limit.",
        run: crate::drop_depths::run,
    },
    PAIRS,
    CHECKS,
    DEAD,
    Pass {
        name: "leave_at_drops",
        doc: "A drop that runs code leaves, so that what was known before it is known behind it.",
        run: crate::leave_at_drops::run,
    },
    GUARDS,
    CSE,
    Pass {
        name: "address_lists",
        doc: "Loads from lists are split into the address of the items and the load, for the address may leave a loop.",
        run: crate::address_lists::run,
    },
    Pass {
        name: "split_polls",
        doc: "Serving the eval breaker leads out of the loop, so that the loop itself writes what it writes.",
        run: crate::split_polls::run,
    },
    Pass {
        name: "hoist_invariants",
        doc: "What is the same in each iteration of a loop is computed before it.",
        run: crate::hoist_invariants::run,
    },
    Pass {
        name: "forget_entry_states",
        doc: "States at blocks' starts are dropped: no later pass moves exits, and they keep values alive.",
        run: |f, _| f.blocks.iter_mut().for_each(|b| b.entry_state = None),
    },
    CSE,
    GUARDS,
    LANDINGS,
    FOLD,
    PAIRS,
    CHECKS,
    DEAD,
];

const LANDINGS: Pass = Pass {
    name: "drop_landings",
    doc: "Where nothing is left that could raise, nobody asks whether it did.",
    run: crate::drop_landings::run,
};

const FOLD: Pass = Pass {
    name: "fold_constants",
    doc: "Constants are computed; boxes cancel unboxings; blocks and parameters that do nothing go.",
    run: crate::fold_constants::run,
};
const CSE: Pass = Pass {
    name: "eliminate_common_subexpressions",
    doc: "What was computed on the way already is not computed again.",
    run: crate::eliminate_common_subexpressions::run,
};
const TUPLES: Pass = Pass {
    name: "take_tuples_apart",
    doc: "A tuple that is only looked into is never made.",
    run: crate::take_tuples_apart::run,
};
const GUARDS: Pass =
    Pass { name: "eliminate_guards", doc: "Guards whose outcome is known are removed.", run: crate::eliminate_guards::run };
const PAIRS: Pass = Pass {
    name: "remove_refcount_pairs",
    doc: "A reference that is taken and dropped with nothing in between that needs it is not taken.",
    run: crate::remove_refcount_pairs::run,
};
const CHECKS: Pass = Pass {
    name: "remove_checks",
    doc: "Safe points that follow nothing that could have run Python code are dropped.",
    run: crate::remove_checks::run,
};
const DEAD: Pass = Pass {
    name: "eliminate_dead_code",
    doc: "What no answer, exit or effect depends on is removed.",
    run: crate::eliminate_dead_code::run,
};

/// The row with this name (the first, where there are several: all have the same function).
pub fn pass(name: &str) -> Option<&'static Pass> {
    PASSES.iter().find(|p| p.name == name)
}

/// Runs the table on a function.
///
/// # Panics
///
/// With the function's text, if a pass breaks a rule of the verifier (debug builds, or on demand): always a bug in
/// that pass, or in the front end if it happens at `build`.
pub fn run(func: &mut Function, ctx: &mut PassContext, options: &mut Options<'_>) {
    let verify = options.verify || cfg!(debug_assertions);
    after("build", func, verify, options);
    let settled = PASSES.iter().position(|p| p.name == SETTLES);
    for (row, pass) in PASSES.iter().enumerate() {
        if settled.is_some_and(|s| row == s + 1) && options.goes_on.is_some_and(|goes_on| !goes_on(func)) {
            return;
        }
        if options.off.iter().any(|o| o == pass.name) && !ALWAYS.contains(&pass.name) {
            continue;
        }
        let start = Instant::now();
        (pass.run)(func, ctx);
        ctx.timings.push((pass.name, start.elapsed()));
        after(pass.name, func, verify, options);
    }
}

fn after(name: &str, func: &Function, verify: bool, options: &mut Options<'_>) {
    if verify {
        let errors = stoop_ir::verify::verify(func);
        assert!(errors.is_empty(), "after {name}:\n{}\n{func}", errors.join("\n"));
    }
    if let Some(dump) = &mut options.dump {
        dump(name, func);
    }
}
