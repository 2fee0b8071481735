//! A stub that calls a helper and changes no register.
//!
//! The system's calling convention keeps no vector register across calls. A call in a cold block would make the
//! register allocator hold every float of the loop around it in memory; through this stub it does not. Each
//! unit that needs the stub has a copy at its end, so that code stays free of outside references.

use crate::unit::Error;
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{self, AbiParam, InstBuilder, MemFlagsData, Signature, UserFuncName, types};
use cranelift_codegen::isa::{CallConv, TargetIsa};
use cranelift_codegen::{Context, FinalizedMachReloc, FinalizedRelocTarget};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use std::sync::OnceLock;

/// Whether this machine's stub exists.
pub(crate) const EXISTS: bool = cfg!(target_arch = "x86_64");
/// What calls name it by.
pub(crate) const INDEX: u32 = 0;

/// A call's signature: helper, where to put its result, then any leading part of three words, and a double.
pub(crate) fn signature(params: &[ir::Type]) -> Signature {
    let mut s = Signature::new(CallConv::PreserveAll);
    s.params = params.iter().map(|t| AbiParam::new(*t)).collect();
    s
}

/// Appends the stub, if anything calls it, and directs the calls to it.
pub(crate) fn append(bytes: &mut Vec<u8>, calls: &[FinalizedMachReloc], isa: &dyn TargetIsa) -> Result<(), Error> {
    if calls.is_empty() {
        return Ok(());
    }
    static CODE: OnceLock<Result<Vec<u8>, String>> = OnceLock::new();
    let code = CODE.get_or_init(|| make(isa)).as_ref().map_err(|e| Error::Backend(e.clone()))?;
    bytes.resize(bytes.len().next_multiple_of(16), 0xcc);
    let start = bytes.len() as i64;
    bytes.extend_from_slice(code);
    for call in calls {
        let known = matches!(call.target, FinalizedRelocTarget::ExternalName(ir::ExternalName::User(_)));
        if call.kind != Reloc::X86CallPCRel4 || !known {
            return Err(Error::Backend(format!("unexpected relocation {call:?}")));
        }
        let at = call.offset as usize;
        let distance = start + call.addend - i64::from(call.offset);
        let distance = i32::try_from(distance).map_err(|_| Error::Backend("code too large".to_owned()))?;
        bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
    }
    Ok(())
}

fn make(isa: &dyn TargetIsa) -> Result<Vec<u8>, String> {
    let word = types::I64;
    let mut func =
        ir::Function::with_name_signature(UserFuncName::default(), signature(&[word, word, word, word, word, types::F64]));
    let mut context = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut func, &mut context);
    let block = b.create_block();
    b.append_block_params_for_function_params(block);
    b.switch_to_block(block);
    let params = b.block_params(block).to_vec();
    let mut plain = Signature::new(CallConv::SystemV);
    plain.params = [word, word, word, types::F64].map(AbiParam::new).to_vec();
    plain.returns = vec![AbiParam::new(word)];
    let plain = b.import_signature(plain);
    // A call that passes less leaves the rest to chance, here as in the registers it came in.
    let call = b.ins().call_indirect(plain, params[0], &params[2..]);
    let result = b.inst_results(call)[0];
    b.ins().store(MemFlagsData::trusted(), result, params[1], 0);
    b.ins().return_(&[]);
    b.seal_all_blocks();
    b.finalize(isa.frontend_config());
    let mut context = Context::for_function(func);
    let code = context.compile(isa, &mut ControlPlane::default()).map_err(|e| e.inner.to_string())?;
    if code.buffer.relocs().is_empty() { Ok(code.code_buffer().to_vec()) } else { Err("a stub with relocations".to_owned()) }
}
