//! Frames of functions compiled in place: what they are made of, and for which functions they are worth it.

use std::collections::BTreeSet;

use stoop_codegen::unit::FrameImage;
use stoop_cpython::capi::Obj;
use stoop_cpython::decode::CodeInfo;
use stoop_cpython::{frame, inspect};
use stoop_ir::{Flags, Function, Op};

use crate::frontend::{self, Role};

/// What frames of an inlined function are made of.
///
/// # Safety
/// The function is alive; the GIL is held.
pub unsafe fn image(inlined: &frontend::Inlined) -> FrameImage {
    if matches!(inlined.role, Role::Consumed(_)) {
        // A generator's frame is never pushed.
        return FrameImage { function: 0, words: Vec::new(), size: 0, locals: 0 };
    }
    let f = inlined.function as Obj;
    // SAFETY: as documented.
    unsafe {
        let mut fresh = frame::fresh(inlined.code.code, inspect::function_globals(f), inspect::function_builtins(f));
        frame::in_place(&mut fresh.words);
        FrameImage { function: inlined.function, words: fresh.words, size: fresh.size, locals: fresh.locals }
    }
}

/// For which inlined functions frames are pushed.
struct Framed {
    /// How many operations that may run Python code one may have left after optimising: each pushes a frame and pops it,
    /// which costs about a third of what a call costs.
    pushes: usize,
    /// Its instructions: the call is a small part of what larger ones cost, and copies of them make code grow.
    instructions: usize,
    /// Frames pushed in the whole region.
    frames: usize,
}

/// Where compiling has to pay for itself: for recursive functions only, of which calls are the larger part. What others
/// would gain is less than what larger regions cost, and what they keep from being compiled.
const FRAMED: Framed = Framed { pushes: 2, instructions: 25, frames: 6 };
/// Where its cost does not matter.
const FRAMED_AT_ANY_PRICE: Framed = Framed { pushes: 3, instructions: 40, frames: 16 };

/// Functions that should not have been inlined: too often a frame would have to be pushed for them, or what they do
/// needs a frame of their own all the time.
pub fn too_dear(f: &Function, info: &CodeInfo, inlined: &[frontend::Inlined], any_price: bool) -> BTreeSet<u64> {
    let most = if any_price { FRAMED_AT_ANY_PRICE } else { FRAMED };
    let mut pushes = vec![0; inlined.len()];
    let mut frames = 0;
    let (mut out, mut all) = (BTreeSet::new(), BTreeSet::new());
    for i in f.blocks.iter().flat_map(|b| &b.insts) {
        let d = f.inst(*i);
        let Some(s) = d.state.map(|s| &f.states[s.index()]).filter(|s| s.parent.is_some()) else { continue };
        let at = s.code as usize - 1;
        if d.op == Op::Poll {
            continue;
        }
        if let Some(generator) = consumed_around(f, inlined, s).filter(|_| d.op.is(Flags::PY)) {
            out.insert(generator);
            continue;
        }
        if d.op.is(Flags::PY) {
            pushes[at] += 1;
            let other = !any_price && inlined[at].code.code != info.code;
            let large = other || inlined[at].code.instrs.len() > most.instructions;
            if pushes[at] > most.pushes || large || is_caught(f, info, s) {
                out.insert(inlined[at].function);
            }
            let mut s = s;
            while let Some(caller) = s.parent {
                frames += 1;
                // The callers of what is left out would be left out next.
                if other {
                    out.insert(inlined[s.code as usize - 1].function);
                }
                all.insert(inlined[s.code as usize - 1].function);
                s = &f.states[caller.index()];
            }
        }
        if d.op == Op::MakeFunction {
            out.insert(inlined[at].function);
        }
    }
    if frames > most.frames { &out | &all } else { out }
}

/// The generator's code in which a state is, if what it yields is consumed in place.
fn consumed_around(f: &Function, inlined: &[frontend::Inlined], state: &stoop_ir::FrameState) -> Option<u64> {
    let mut at = state;
    while let Some(p) = at.parent {
        let function = &inlined[at.code as usize - 1];
        if matches!(function.role, Role::Consumed(_)) {
            return Some(function.function);
        }
        at = &f.states[p.index()];
    }
    None
}

/// Whether what is raised in an inlined function is caught by the region's own: compiled code goes on at a handler after
/// a call, but leaves with frames that stand.
fn is_caught(f: &Function, info: &CodeInfo, state: &stoop_ir::FrameState) -> bool {
    let mut real = state;
    while let Some(p) = real.parent {
        real = &f.states[p.index()];
    }
    let op_unit = info.index_of(real.unit).map_or(real.unit, |k| info.instrs[k].op_unit);
    info.handler(op_unit).is_some()
}
