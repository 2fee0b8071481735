//! From the name of a field to its number: a hash table over the first bytes as one word.

use crate::element::zero_bytes;

/// The fields of one document by name.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    slots: Vec<Slot>,
    shift: u32,
    names: Vec<Box<[u8]>>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The first eight bytes, padded with zeros.
    word: u64,
    length: u32,
    /// The field's number plus one; 0 for an empty slot.
    entry: u32,
}

const EMPTY: Slot = Slot { word: 0, length: 0, entry: 0 };

impl Keys {
    /// The table of these names, numbered in this order.
    pub fn new(names: Vec<Box<[u8]>>) -> Keys {
        let size = (names.len() * 4).next_power_of_two().max(4);
        let mut keys = Keys { slots: vec![EMPTY; size], shift: 64 - size.trailing_zeros(), names: Vec::new() };
        for (entry, name) in names.iter().enumerate() {
            let (word, length) = (first_word(name), name.len() as u32);
            let mut at = keys.bucket(word, length);
            while keys.slots[at].entry != 0 {
                at = (at + 1) & (size - 1);
            }
            keys.slots[at] = Slot { word, length, entry: entry as u32 + 1 };
        }
        keys.names = names;
        keys
    }

    /// The number of the field whose name is `key`, with `word` its first eight bytes.
    #[inline(always)]
    pub fn find(&self, word: u64, key: &[u8]) -> Option<usize> {
        let mut at = self.bucket(word, key.len() as u32);
        loop {
            let slot = self.slots.get(at)?;
            if slot.entry == 0 {
                return None;
            }
            if slot.word == word && slot.length as usize == key.len() {
                let entry = slot.entry as usize - 1;
                if key.len() <= 8 || *self.names[entry] == *key {
                    return Some(entry);
                }
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    #[inline(always)]
    fn bucket(&self, word: u64, length: u32) -> usize {
        let mixed = (word ^ u64::from(length).wrapping_mul(0xC2B2_AE3D_27D4_EB4F)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> self.shift) as usize
    }
}

/// The first eight bytes of a name as a word, padded with zeros.
pub fn first_word(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = name.len().min(8);
    bytes[..length].copy_from_slice(&name[..length]);
    u64::from_le_bytes(bytes)
}

/// Where the name that starts at `at` ends, and its first eight bytes.
///
/// `bytes` may go on after the document: what lies there is read, never used.
#[inline(always)]
pub fn read_key(bytes: &[u8], at: usize) -> Option<(usize, u64)> {
    if let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*head);
        let zeros = zero_bytes(word);
        if zeros != 0 {
            let bits = zeros.trailing_zeros() & !7;
            return Some((at + (bits / 8) as usize, word & ((1u64 << bits) - 1)));
        }
        return Some((crate::element::find_nul(bytes, at + 8)?, word));
    }
    let end = crate::element::find_nul(bytes, at)?;
    Some((end, first_word(&bytes[at..end])))
}
