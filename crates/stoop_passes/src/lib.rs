//! The optimising passes: one file each, and [`pipeline`] with the ordered table of them.
//!
//! A pass's header says what it does and why that is sound.
#![forbid(unsafe_code)]

pub mod address_lists;
pub mod arithmetic;
pub mod drop_depths;
pub mod drop_landings;
pub mod eliminate_common_subexpressions;
pub mod eliminate_dead_code;
pub mod eliminate_guards;
pub mod fold_constants;
pub mod guard_early;
pub mod hoist_invariants;
pub mod initialise_fresh;
pub mod leave_at_drops;
pub mod memory;
mod natives;
pub mod pipeline;
pub mod remove_checks;
pub mod remove_refcount_pairs;
pub mod reuse_boxes;
pub mod sink_boxes;
pub mod specialise;
pub mod split_polls;
pub mod take_objects_apart;
pub mod take_ranges_apart;
pub mod take_tuples_apart;
pub mod unbox_params;
pub mod util;

pub use pipeline::{ConstValue, Options, PASSES, Pass, PassContext, run};
