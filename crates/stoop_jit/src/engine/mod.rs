//! The engine: finds hot code, compiles it, enters and leaves it, keeps what it relies on true.

mod abi;
mod addresses;
mod bind;
mod breadth;
pub mod breaker;
mod budget;
pub(crate) mod chains;
mod choose;
mod classes;
pub mod compile;
mod eager;
mod entry;
mod environment;
mod exits;
mod framed;
pub(crate) mod generators;
pub mod homes;
mod invariants;
pub(crate) mod jitdump;
mod journal;
mod keepers;
pub mod links;
mod nested;
mod perf;
mod policy;
pub mod record;
pub mod registry;
pub mod sampler;
mod sends;
mod stack;
pub mod totals;
pub mod trial;
pub mod turns;
pub mod types;
mod well_known;

pub mod api;
