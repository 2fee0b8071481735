//! Text of machine code, and the one rewrite of it that needs a decoder.

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Formatter, Instruction, Mnemonic, NasmFormatter, OpKind};

/// Disassembles code, naming the code unit where it changes. `base` is the address to show.
pub fn text(code: &[u8], base: u64, unit_map: &[(u32, u32)]) -> String {
    if !cfg!(target_arch = "x86_64") {
        return format!("; {} bytes; no disassembler for this machine\n", code.len());
    }
    let mut out = String::new();
    let mut formatter = NasmFormatter::new();
    let mut units = unit_map.iter().peekable();
    for instruction in &mut Decoder::with_ip(64, code, base, DecoderOptions::NONE) {
        let offset = instruction.ip() - base;
        let mut unit = None;
        while let Some(u) = units.next_if(|u| u64::from(u.0) <= offset) {
            unit = Some(u.1);
        }
        if let Some(u) = unit {
            out.push_str(&format!("; unit {u}\n"));
        }
        out.push_str(&format!("{:08x}  ", instruction.ip()));
        formatter.format(&instruction, &mut out);
        out.push('\n');
    }
    out
}

/// How many of the bytes are instructions; the floating-point constants they refer to follow them.
pub(crate) fn code_size(bytes: &[u8]) -> usize {
    if !cfg!(target_arch = "x86_64") {
        return bytes.len();
    }
    let (mut constants, mut end) = (bytes.len() as u64, 0);
    let mut decoder = Decoder::new(64, bytes, DecoderOptions::NONE);
    let mut i = Instruction::default();
    while decoder.can_decode() && decoder.ip() < constants {
        decoder.decode_out(&mut i);
        if i.is_ip_rel_memory_operand() {
            constants = constants.min(i.ip_rel_memory_address());
        }
        // Code ends with one of these; what lies between it and the constants is padding.
        if matches!(i.flow_control(), FlowControl::Return | FlowControl::UnconditionalBranch | FlowControl::Exception) {
            end = i.next_ip();
        }
    }
    end as usize
}

/// Lets overflow checks jump on the overflow flag itself: `seto r; test r, r; jne L` becomes `jo L` of the same
/// length, padded with the prefixes that assemblers pad branches with, and a no-op.
///
/// Nothing else reads `r`: the lowering uses an overflow bit for its branch only, at once.
pub(crate) fn fuse_overflow_branches(code: &mut [u8]) {
    /// More prefixes than this slow decoders down.
    const MOST_PREFIXES: usize = 5;
    const NEAR_JUMP: usize = 6;
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let mut found = Vec::new();
    let mut window = [Instruction::default(); 3];
    for i in &mut Decoder::new(64, code, DecoderOptions::NONE) {
        window = [window[1], window[2], i];
        let [set, test, jump] = &window;
        let pattern = set.mnemonic() == Mnemonic::Seto
            && set.op0_kind() == OpKind::Register
            && test.code() == Code::Test_rm8_r8
            && test.op0_kind() == OpKind::Register
            && test.op0_register() == set.op0_register()
            && test.op1_register() == set.op0_register()
            && jump.len() == NEAR_JUMP
            && matches!(jump.code(), Code::Jne_rel32_64 | Code::Je_rel32_64);
        if pattern {
            found.push((set.ip() as usize, jump.ip() as usize, jump.code() == Code::Jne_rel32_64));
        }
    }
    for (start, jump, on_overflow) in found {
        let mut padding = jump - start;
        if padding > MOST_PREFIXES {
            let nop: &[u8] = match padding - MOST_PREFIXES {
                1 => &[0x90],
                2 => &[0x66, 0x90],
                3 => &[0x0f, 0x1f, 0x00],
                _ => continue,
            };
            code[start..start + nop.len()].copy_from_slice(nop);
            padding -= nop.len();
        }
        code[jump - padding..jump].fill(0x2e);
        // 0f 80 is jo, 0f 81 jno; the displacement counts from the unchanged end.
        code[jump + 1] = if on_overflow { 0x80 } else { 0x81 };
    }
}
