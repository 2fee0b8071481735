//! Machine code as a file for other tools.

use stoop_codegen::object;
use stoop_cpython::capi::Obj;

use crate::engine::record::Record;
use crate::engine::registry;

/// An ELF object file of a code object's machine code: its function entry's, else its first loop's.
///
/// # Errors
/// A sentence where there is no machine code.
///
/// # Safety
/// The GIL is held.
pub unsafe fn object_file(code: Obj) -> Result<Vec<u8>, String> {
    let known = registry::find(code);
    let region = known.as_ref().and_then(|s| s.function.iter().chain(s.loops.values()).find(|r| r.memory.is_some()));
    let Some(record) = region else {
        return Err("it has no machine code: see stoop.info".to_owned());
    };
    // SAFETY: the region's memory lives while the GIL is held: freeing takes it.
    let bytes = unsafe { machine_code(record) };
    object::object_file(&symbol(record), bytes).map_err(|e| e.to_string())
}

/// # Safety
/// A region with memory, which stays while the slice lives.
unsafe fn machine_code(record: &Record) -> &[u8] {
    record.memory.as_ref().map_or(&[], |memory| {
        // SAFETY: code memory is readable for its whole length.
        unsafe { std::slice::from_raw_parts(memory.address() as *const u8, memory.len()) }
    })
}

/// A name for disassemblers: `function` or `function:line` for a loop.
fn symbol(record: &Record) -> String {
    match record.unit() {
        0 => record.info.qualname.clone(),
        _ => format!("{}:{}", record.info.qualname, record.line),
    }
}
