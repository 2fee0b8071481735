//! Lowering of the IR through Cranelift.
//!
//! `slots` finds out what the frame's slots hold, `lower` walks the blocks, one file a family of operations
//! does the work, `exits` builds what leaves compiled code.

mod arrays;
mod calls;
mod control;
mod emit;
pub mod entry;
mod exits;
mod floats;
mod frames;
mod hashed;
mod ints;
mod known;
mod lists;
mod lower;
mod natives;
mod objects;
mod slots;
mod strings;
mod stub;

use crate::disas;
use crate::unit::{Compiled, Error, Request};
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{self, AbiParam, Signature, UserFuncName, types};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Context, isa};
use cranelift_frontend::FunctionBuilderContext;
use std::cell::Cell;
use std::sync::OnceLock;

/// What is known of each slot.
pub(crate) type Facts = Vec<Option<slots::Fact>>;

thread_local! {
    /// Reused between compilations: their arenas are most of the cost of small functions.
    static SCRATCH: Cell<Option<Box<(Context, FunctionBuilderContext)>>> = const { Cell::new(None) };
}

/// Above this many values in frame states registers are given out in one pass. The better way takes time that grows with
/// the cube of what lives at once: half a second at this number, some minutes at ten times as many.
const MOST_NAMED: usize = 30_000;

/// Lends a thread's scratch, with an empty function of this signature.
///
/// It is kept only after success: a lowering that stopped half-way, or panicked, leaves the builder in a state it
/// cannot start from.
fn with_scratch<T>(
    signature: Signature,
    work: impl FnOnce(&mut Context, &mut FunctionBuilderContext) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut scratch = SCRATCH.take().unwrap_or_else(|| Box::new((Context::new(), FunctionBuilderContext::new())));
    let (context, builder) = &mut *scratch;
    context.clear();
    context.func = ir::Function::with_name_signature(UserFuncName::default(), signature);
    let out = work(context, builder)?;
    SCRATCH.set(Some(scratch));
    Ok(out)
}

/// Compiles one function to machine code. Runs no Python code and touches no Python object.
pub fn compile(request: &Request) -> Result<Compiled, Error> {
    let isa = target(request.optimise && request.func.named_by_states() <= MOST_NAMED)?;
    with_scratch(signature(), |context, builder| compile_with(request, &*isa, context, builder))
}

fn compile_with(
    request: &Request,
    isa: &dyn isa::TargetIsa,
    context: &mut Context,
    builder: &mut FunctionBuilderContext,
) -> Result<Compiled, Error> {
    let lowered = lower::lower(request, isa.frontend_config(), &mut context.func, builder)?;
    let clif = request.want_text.then(|| context.func.display().to_string());
    let code = context.compile(isa, &mut ControlPlane::default()).map_err(|e| Error::Backend(e.inner.to_string()))?;
    let mut unit_map: Vec<(u32, u32)> = Vec::new();
    for loc in code.buffer.get_srclocs_sorted() {
        if !loc.loc.is_default() && unit_map.last().is_none_or(|l| l.1 != loc.loc.bits()) {
            unit_map.push((loc.start, loc.loc.bits()));
        }
    }
    let mut bytes = code.code_buffer().to_vec();
    let before_stubs = bytes.len();
    if lowered.asks_overflow {
        disas::fuse_overflow_branches(&mut bytes);
    }
    if !lowered.stubs.is_empty() {
        let layout = code.buffer.frame_layout().ok_or_else(|| Error::Backend("no frame layout".to_owned()))?;
        let context = layout.stackslots[lowered.context].offset as i32 - layout.frame_to_fp_offset as i32;
        stub::append(&mut bytes, &lowered.stubs, lowered.uses_floats, context, code.buffer.relocs(), request)?;
    }
    let asm = request.want_text.then(|| disas::text(&bytes[..disas::code_size(&bytes[..before_stubs])], 0, &unit_map));
    Ok(Compiled {
        // The saved frame pointer lies above the frame.
        stack_size: code.buffer.frame_layout().map_or(0, |l| l.frame_to_fp_offset + 8),
        before_stubs,
        bytes,
        exits: lowered.exits,
        unit_map,
        clif,
        asm,
    })
}

/// `extern "C" fn(tstate, frame) -> result`.
fn signature() -> Signature {
    let mut s = Signature::new(CallConv::SystemV);
    s.params = vec![AbiParam::new(types::I64); 2];
    s.returns = vec![AbiParam::new(types::I64)];
    s
}

/// The machine the program runs on; looked at once.
fn target(optimise: bool) -> Result<OwnedTargetIsa, Error> {
    static TARGETS: [OnceLock<Result<OwnedTargetIsa, String>>; 2] = [OnceLock::new(), OnceLock::new()];
    TARGETS[usize::from(optimise)].get_or_init(|| make_target(optimise)).clone().map_err(Error::Backend)
}

fn make_target(optimise: bool) -> Result<OwnedTargetIsa, String> {
    let mut flags = settings::builder();
    let mut set = |name: &str, value: &str| flags.set(name, value).map_err(|e| format!("{name}: {e}"));
    // The IR's own passes have run. Cranelift's would float pure operations down to their uses, and once more
    // into each exit that names them: code then grows with the square of a function's length.
    set("opt_level", "none")?;
    set("regalloc_algorithm", if optimise { "backtracking" } else { "single_pass" })?;
    set("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" })?;
    // Profilers and faulthandler walk frame pointers.
    set("preserve_frame_pointers", "true")?;
    set("unwind_info", "false")?;
    cranelift_native::builder()?.finish(settings::Flags::new(flags)).map_err(|e| e.to_string())
}
