//! How long instructions of x86-64 are: as much of a decoder as finding their beginnings needs.
//!
//! `iced-x86` knows everything about instructions, and takes longer to unpack its tables than most functions take to be
//! compiled. This one knows what the code generator emits, and stops at anything else.

/// The length of one instruction, and how far from its end the memory lies that it names by that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Length {
    /// Bytes.
    pub(crate) bytes: usize,
    /// The distance, if it has one.
    pub(crate) distance: Option<i32>,
}

/// What follows an opcode.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Tail {
    modrm: bool,
    immediate: usize,
}

const fn tail(modrm: bool, immediate: usize) -> Option<Tail> {
    Some(Tail { modrm, immediate })
}

/// The length of the first instruction; `None` if it is not known here, or not whole.
pub(crate) fn length(code: &[u8]) -> Option<Length> {
    let byte = |at: usize| code.get(at).copied();
    let mut at = 0;
    // An operand of 16 bits has an immediate of two bytes.
    let mut word = 4;
    while let Some(prefix @ (0x66 | 0xf2 | 0xf3 | 0xf0 | 0x2e | 0x3e)) = byte(at) {
        if prefix == 0x66 {
            word = 2;
        }
        at += 1;
    }
    let mut wide = false;
    if let Some(rex @ 0x40..=0x4f) = byte(at) {
        wide = rex & 8 != 0;
        at += 1;
    }
    let opcode = byte(at)?;
    at += 1;
    let tail = match opcode {
        0x0f => match byte(at)? {
            0x38 => {
                at += 2;
                tail(true, 0)
            }
            0x3a => {
                at += 2;
                tail(true, 1)
            }
            second => {
                at += 1;
                second_map(second)
            }
        },
        // VEX and EVEX: the map, other fields, the opcode.
        0xc5 => {
            at += 2;
            second_map(byte(at - 1)?)
        }
        0xc4 | 0x62 => {
            let map = byte(at)? & 7;
            at += if opcode == 0xc4 { 3 } else { 4 };
            match map {
                1 => second_map(byte(at - 1)?),
                2 => tail(true, 0),
                3 => tail(true, 1),
                _ => None,
            }
        }
        0xb8..=0xbf if wide => tail(false, 8),
        0xb8..=0xbf => tail(false, word),
        0xf6 | 0xf7 => {
            let tests = byte(at)? & 0x38 <= 8;
            let immediate = if opcode == 0xf6 { 1 } else { word };
            tail(true, if tests { immediate } else { 0 })
        }
        _ => first_map(opcode, word),
    }?;
    let mut distance = None;
    if tail.modrm {
        let modrm = byte(at)?;
        at += 1;
        let (mode, register) = (modrm >> 6, modrm & 7);
        let mut displacement = [0, 1, 4, 0][usize::from(mode)];
        if mode != 3 && register == 4 {
            if mode == 0 && byte(at)? & 7 == 5 {
                displacement = 4;
            }
            at += 1;
        } else if mode == 0 && register == 5 {
            distance = Some(i32::from_le_bytes(code.get(at..at + 4)?.try_into().ok()?));
            displacement = 4;
        }
        at += displacement;
    }
    at += tail.immediate;
    (at <= code.len()).then_some(Length { bytes: at, distance })
}

/// Opcodes of one byte.
fn first_map(opcode: u8, word: usize) -> Option<Tail> {
    match opcode {
        0x00..=0x3f => match opcode & 7 {
            0..=3 => tail(true, 0),
            4 => tail(false, 1),
            5 => tail(false, word),
            _ => None,
        },
        0x50..=0x5f | 0x90..=0x99 | 0xc3 | 0xcc => tail(false, 0),
        0x63 | 0x84..=0x8b | 0x8d | 0x8f | 0xd0..=0xd3 | 0xfe | 0xff => tail(true, 0),
        0x69 | 0x81 | 0xc7 => tail(true, word),
        0x6b | 0x80 | 0x83 | 0xc0 | 0xc1 | 0xc6 => tail(true, 1),
        0x6a | 0x70..=0x7f | 0xa8 | 0xb0..=0xb7 | 0xeb => tail(false, 1),
        0x68 | 0xa9 => tail(false, word),
        0xe8 | 0xe9 => tail(false, 4),
        _ => None,
    }
}

/// Opcodes behind `0f`.
fn second_map(opcode: u8) -> Option<Tail> {
    match opcode {
        0x05 | 0x0b | 0x31 | 0x77 | 0xa2 | 0xc8..=0xcf => tail(false, 0),
        0x80..=0x8f => tail(false, 4),
        0x70..=0x73 | 0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6 => tail(true, 1),
        0x10..=0x1f | 0x28..=0x2f | 0x40..=0x6f | 0x74..=0x76 | 0x78..=0x7f | 0x90..=0x9f => tail(true, 0),
        0xa3 | 0xa5 | 0xab | 0xad..=0xb9 | 0xbb..=0xc1 | 0xc3 | 0xc7 | 0xd0..=0xfe => tail(true, 0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions};

    /// Whatever is known here must have the length that a whole decoder says.
    #[test]
    fn lengths_are_those_of_a_whole_decoder() {
        let (mut state, mut known) = (0x2545_f491_4f6c_dd1d_u64, 0);
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for round in 0..400_000 {
            let mut code: Vec<u8> = [random(), random()].iter().flat_map(|w| w.to_le_bytes()).collect();
            // Mostly instructions with a REX prefix, some behind 0f, some VEX and EVEX.
            code[0] = match round % 8 {
                0..=2 => 0x40 | code[0] & 15,
                3 => 0x0f,
                4 => 0xc5,
                5 => [0xc4, 0x62][round % 2],
                _ => code[0],
            };
            if round % 16 == 1 {
                code[1] = 0x0f;
            }
            let i = Decoder::new(64, &code, DecoderOptions::NONE).decode();
            if i.is_invalid() {
                continue;
            }
            let Some(found) = length(&code) else { continue };
            known += 1;
            assert_eq!(found.bytes, i.len(), "{code:02x?}: {i:?}");
            let address = found.distance.map(|d| (i.len() as u64).wrapping_add_signed(i64::from(d)));
            assert_eq!(address, i.is_ip_rel_memory_operand().then(|| i.ip_rel_memory_address()), "{code:02x?}: {i:?}");
        }
        assert!(known > 100_000, "{known}");
        assert_eq!(length(&[0x48]), None);
        assert_eq!(length(&[0x48, 0xb8, 1, 2, 3]), None);
    }
}
