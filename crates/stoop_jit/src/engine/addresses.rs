//! Looking things up by address, quickly: most functions that a program makes are of no concern to the engine, and
//! it hears of every one.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

/// A hash of an address: its bits spread by one multiplication.
#[derive(Default, Debug)]
pub struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = (self.0 ^ u64::from(*b)).wrapping_mul(SPREAD);
        }
    }
    fn write_usize(&mut self, address: usize) {
        // The table takes low bits and the highest seven.
        let spread = (address as u64).wrapping_mul(SPREAD);
        self.0 = spread ^ (spread >> 32);
    }
}

const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A table by address.
pub type AddressMap<T> = HashMap<usize, T, BuildHasherDefault<AddressHasher>>;

const WORDS: usize = 256;

/// Addresses that something is known of, as bits of their hashes. Bits stay set: an answer "no" is certain.
pub struct Known([AtomicU64; WORDS]);

/// Functions that the engine has anything to do with.
pub static FUNCTIONS: Known = Known([const { AtomicU64::new(0) }; WORDS]);
/// Code objects that have compiled code.
pub static CODES: Known = Known([const { AtomicU64::new(0) }; WORDS]);

impl Known {
    fn place(address: usize) -> (usize, u64) {
        let spread = (address as u64).wrapping_mul(SPREAD) >> 50;
        (spread as usize / 64 % WORDS, 1 << (spread % 64))
    }

    /// Something is known of this address.
    pub fn note(&self, address: usize) {
        let (word, bit) = Known::place(address);
        self.0[word].fetch_or(bit, Ordering::Relaxed);
    }

    /// Whether something may be known of this address.
    #[inline]
    pub fn may_have(&self, address: usize) -> bool {
        let (word, bit) = Known::place(address);
        self.0[word].load(Ordering::Relaxed) & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_found() {
        static SOME: Known = Known([const { AtomicU64::new(0) }; WORDS]);
        for k in 0..1000 {
            SOME.note(0x7f00_0000_0000 + k * 144);
        }
        assert!((0..1000).all(|k| SOME.may_have(0x7f00_0000_0000 + k * 144)));
        let others = (0..1000).filter(|k| SOME.may_have(0x7f11_0000_0000 + k * 144)).count();
        assert!(others < 150, "{others} of 1000 addresses that nobody noted");
    }

    #[test]
    fn addresses_spread() {
        let mut map = AddressMap::default();
        for k in 0..10_000_usize {
            map.insert(k << 4, k);
        }
        assert!((0..10_000).all(|k| map[&(k << 4)] == k));
    }
}
