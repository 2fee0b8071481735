//! Any bytes through the whole of `stoop_bson`: `cargo +nightly fuzz run decode`.
//!
//! The first byte chooses the schema. The same checks run on stable, on documents damaged by chance, in
//! `crates/stoop_bson/tests/chance.rs`.
#![no_main]

#[path = "../../crates/stoop_bson/tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let [which, bytes @ ..] = data {
        support::exercise(bytes, usize::from(*which));
    }
});
