//! A vectorcall entry with memory: it passes one more argument on to a shared target.

/// Bytes of a thunk.
pub const SIZE: usize = 23;

/// Machine code that jumps to `target` with `record` as a fifth argument, leaving the four that a vectorcall
/// brings alone. None on machines it is not written for.
pub fn thunk(record: u64, target: u64) -> Option<[u8; SIZE]> {
    if !cfg!(all(target_arch = "x86_64", unix)) {
        return None;
    }
    let mut code = [0; SIZE];
    // mov r8, record
    code[..2].copy_from_slice(&[0x49, 0xb8]);
    code[2..10].copy_from_slice(&record.to_le_bytes());
    // mov rax, target
    code[10..12].copy_from_slice(&[0x48, 0xb8]);
    code[12..20].copy_from_slice(&target.to_le_bytes());
    // jmp rax, and a trap that nothing reaches
    code[20..].copy_from_slice(&[0xff, 0xe0, 0xcc]);
    Some(code)
}
