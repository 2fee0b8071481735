//! Text of machine code, and the one rewrite of it.

use crate::lengths::{self, Length};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Formatter, Instruction, NasmFormatter};

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
/// length, padded with the prefixes that assemblers pad branches with, and a no-op. The floating-point constants
/// behind the code are left alone.
///
/// Nothing else reads `r`: the lowering uses an overflow bit for its branch only, at once.
pub(crate) fn fuse_overflow_branches(code: &mut [u8]) {
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let (mut at, mut constants) = (0, code.len());
    // Where the last two instructions begin.
    let mut before = [0; 2];
    while at < constants {
        let Some(Length { bytes, distance }) = lengths::length(&code[at..]) else { break };
        let next = at + bytes;
        if let Some(distance) = distance {
            constants = constants.min(next.saturating_add_signed(distance as isize));
        }
        let [set, test] = before;
        if let Some(on_overflow) = asks_overflow(&code[set..test], &code[test..at], &code[at..next]) {
            jump_on_overflow(&mut code[set..next], on_overflow);
        }
        before = [test, at];
        at = next;
    }
}

/// Whether these three instructions are `seto r; test r, r; jne` (true) or `je` (false).
fn asks_overflow(set: &[u8], test: &[u8], jump: &[u8]) -> Option<bool> {
    /// An instruction's REX prefix, or one that says nothing.
    fn rex(i: &[u8]) -> (u8, &[u8]) {
        match i {
            [rex @ 0x40..=0x4f, rest @ ..] => (*rex, rest),
            _ => (0x40, i),
        }
    }
    let (set_rex, [0x0f, 0x90, set @ 0xc0..=0xc7]) = rex(set) else { return None };
    let (test_rex, [0x84, test @ 0xc0..=0xff]) = rex(test) else { return None };
    let r = set & 7 | (set_rex & 1) << 3;
    let (first, second) = (test & 7 | (test_rex & 1) << 3, test >> 3 & 7 | (test_rex & 4) << 1);
    match jump {
        [0x0f, condition @ (0x84 | 0x85), _, _, _, _] if (first, second) == (r, r) => Some(*condition == 0x85),
        _ => None,
    }
}

/// Makes the three instructions one.
fn jump_on_overflow(code: &mut [u8], on_overflow: bool) {
    /// More prefixes than this slow decoders down.
    const MOST_PREFIXES: usize = 5;
    const NEAR_JUMP: usize = 6;
    let jump = code.len() - NEAR_JUMP;
    let mut padding = jump;
    if padding > MOST_PREFIXES {
        let nop: &[u8] = match padding - MOST_PREFIXES {
            1 => &[0x90],
            2 => &[0x66, 0x90],
            3 => &[0x0f, 0x1f, 0x00],
            _ => return,
        };
        code[..nop.len()].copy_from_slice(nop);
        padding -= nop.len();
    }
    code[jump - padding..jump].fill(0x2e);
    // 0f 80 is jo, 0f 81 jno; the displacement counts from the unchanged end.
    code[jump + 1] = if on_overflow { 0x80 } else { 0x81 };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflow_is_asked_by_the_jump() {
        let asked = |code: &[u8]| {
            let mut code = code.to_vec();
            fuse_overflow_branches(&mut code);
            text(&code, 0, &[])
        };
        // add rax, rcx; seto dl; test dl, dl; jne +0; ret
        let plain = asked(&[0x48, 0x01, 0xc8, 0x0f, 0x90, 0xc2, 0x84, 0xd2, 0x0f, 0x85, 0, 0, 0, 0, 0xc3]);
        assert!(plain.contains("jo ") && !plain.contains("seto"), "{plain}");
        // seto r10b; test r10b, r10b; je: one byte more than there may be prefixes.
        let rex = asked(&[0x41, 0x0f, 0x90, 0xc2, 0x45, 0x84, 0xd2, 0x0f, 0x84, 0, 0, 0, 0, 0xc3]);
        assert!(rex.contains("jno ") && !rex.contains("seto"), "{rex}");
        // Another register is asked; a constant looks like it; a number behind the code does.
        for other in [
            &[0x41, 0x0f, 0x90, 0xc2, 0x84, 0xd2, 0x0f, 0x85, 0, 0, 0, 0, 0xc3][..],
            &[0x48, 0xb8, 0x0f, 0x90, 0xc2, 0x84, 0xd2, 0x0f, 0x85, 0, 0xc3],
            &[0xf2, 0x0f, 0x10, 0x05, 1, 0, 0, 0, 0xc3, 0x0f, 0x90, 0xc2, 0x84, 0xd2, 0x0f, 0x85, 0, 0, 0, 0],
        ] {
            let mut code = other.to_vec();
            fuse_overflow_branches(&mut code);
            assert_eq!(code, other);
        }
    }
}
