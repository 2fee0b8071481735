//! Building a region: which of its loops get a copy of their first iteration is known once it has been built without.

use std::sync::Arc;

use stoop_cpython::decode::CodeInfo;

use super::environment::Live;
use crate::frontend::{self, Copies, Entry, Peel};

/// How often a region is built to find the loops worth peeling.
const PEEL_ROUNDS: usize = 4;
/// Above this many instructions no iteration is peeled.
const PEEL_LIMIT: usize = 8000;

/// Builds a region, peeling what needs it: what one loop's variables settle to decides what another's do.
pub fn build(info: &Arc<CodeInfo>, entry: Entry, live: &mut Live<'_>) -> Result<frontend::Built, frontend::BuildError> {
    let mut peel = Peel::new();
    let mut built = frontend::build(&frontend::Request { code: info, entry, peel: &peel }, live)?;
    for _ in 0..PEEL_ROUNDS {
        let unstable = stoop_passes::specialise::unstable_headers(&built.func, &built.headers, &built.back_edges);
        let more = |u: &u32| match peel.get(u) {
            None => Some((*u, Copies::Once)),
            Some(Copies::Once) => Some((*u, Copies::EachTime)),
            Some(Copies::EachTime) => None,
        };
        let more: Vec<_> = unstable.iter().filter_map(more).collect();
        if more.is_empty() || built.func.insts.len() > PEEL_LIMIT {
            break;
        }
        peel.extend(more);
        built = frontend::build(&frontend::Request { code: info, entry, peel: &peel }, live)?;
    }
    Ok(built)
}
