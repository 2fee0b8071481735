//! The engine: a front end from bytecode to IR, and what finds, compiles, enters and leaves hot code.
#![allow(clippy::needless_borrow, reason = "references to fields behind raw pointers are made explicitly, as rustc asks")]
#![allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the engine's functions take live objects under the GIL: that is their contract"
)]
#![allow(clippy::vec_box, reason = "machine code names a record's address: it must not move")]
#![allow(
    clippy::arc_with_non_send_sync,
    reason = "decoded code goes to the sampler's thread as a whole; its pointers are used under the GIL only"
)]

pub mod dump;
pub mod engine;
pub mod frontend;
pub mod heap;
pub mod helpers;
pub mod options;
pub mod reasons;
pub mod stats;
