//! Rows: structured arrays in memory that a caller gives, a mask beside them, and objects apart.

use crate::order::{Found, Put, Puts};
use crate::plan::{Items, Leaf, NO_MASK, Slot};
use crate::sink::{Copies, Moved, Output, Place, Sink};

/// Values of any type for one field, in row order.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Type byte (0 for an absent value), then the value.
    data: Vec<u8>,
    /// Row and start of each; the last of a row counts.
    starts: Vec<(usize, usize)>,
}

impl Objects {
    /// The type byte and the value of each row that has one, by row.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Option<(u8, &[u8])>)> {
        self.starts.iter().enumerate().map(|(number, &(row, start))| {
            let end = self.starts.get(number + 1).map_or(self.data.len(), |next| next.1);
            let value = &self.data[start..end];
            (row, (value[0] != 0).then(|| (value[0], &value[1..])))
        })
    }

    /// Adds the values of rows that follow, the first of which is `base`.
    pub fn append(&mut self, next: &Objects, base: usize) {
        let start = self.data.len();
        self.data.extend_from_slice(&next.data);
        self.starts.extend(next.starts.iter().map(|&(row, at)| (row + base, at + start)));
    }

    fn forget(&mut self, row: usize) {
        if let Some(&(last, start)) = self.starts.last()
            && last == row
        {
            self.data.truncate(start);
            self.starts.pop();
        }
    }

    fn push(&mut self, row: usize, kind: u8, value: &[u8]) {
        self.forget(row);
        self.starts.push((row, self.data.len()));
        self.data.push(kind);
        self.data.extend_from_slice(value);
    }
}

/// A piece of the output: whole rows, and the mask's rows.
#[derive(Debug)]
pub struct Rows<'a> {
    /// The rows.
    pub out: &'a mut [u8],
    /// Their masks; empty if there are none.
    pub mask: &'a mut [u8],
    /// Bytes a row.
    pub size: usize,
    /// Bytes a row of the mask.
    pub mask_size: usize,
    /// Objects by number.
    pub objects: Vec<Objects>,
}

impl Rows<'_> {
    #[inline(always)]
    fn set_mask(&mut self, slot: Slot, place: Place, masked: bool) {
        if slot.mask != NO_MASK {
            self.mask[place.mask + slot.mask] = masked.into();
        }
    }
}

#[inline(always)]
fn copy<const N: usize>(copies: &[Moved], from: &[u8], row: &mut [u8]) {
    for copy in copies {
        let (from_at, to) = (copy.from as usize, copy.to as usize);
        row[to..to + N].copy_from_slice(&from[from_at..from_at + N]);
    }
}

/// Puts values of one size; their first bytes combined.
#[inline(always)]
fn put<const N: usize, const ALL: bool>(puts: &[Put], found: Found, row: &mut [u8], mask: &mut [u8]) -> u8 {
    let mut first = 0;
    for put in puts {
        let (value, there) = found.value::<N, ALL>(put);
        let at = put.at as usize;
        row[at..at + N].copy_from_slice(&value);
        first |= value[0];
        // Without a mask this is outside.
        if !ALL && let Some(mask) = mask.get_mut(put.mask as usize) {
            *mask = (!there).into();
        }
    }
    first
}

#[inline(always)]
fn put_all<const ALL: bool>(puts: &Puts, found: Found, row: &mut [u8], mask: &mut [u8]) -> bool {
    put::<8, ALL>(&puts.eight, found, row, mask);
    put::<4, ALL>(&puts.four, found, row, mask);
    put::<12, ALL>(&puts.twelve, found, row, mask);
    put::<16, ALL>(&puts.sixteen, found, row, mask);
    put::<1, ALL>(&puts.one, found, row, mask) <= 1
}

impl Sink for Rows<'_> {
    #[inline(always)]
    fn bytes(&mut self, slot: Slot, place: Place, width: usize) -> &mut [u8] {
        let at = place.at + slot.at;
        &mut self.out[at..at + width]
    }

    #[inline(always)]
    fn copy(&mut self, copies: &Copies, from: &[u8], place: Place) {
        let row = &mut self.out[place.at..place.at + self.size];
        copy::<8>(&copies.eight, from, row);
        copy::<4>(&copies.four, from, row);
        copy::<12>(&copies.twelve, from, row);
    }

    fn variable(&mut self, slot: Slot, place: Place, kind: Option<u8>, value: &[u8]) {
        let row = place.at / self.size.max(1);
        self.objects[slot.at].push(row, kind.unwrap_or(0), value);
    }

    #[inline(always)]
    fn mask(&mut self, slot: Slot, place: Place, masked: bool) {
        self.set_mask(slot, place, masked);
    }

    fn absent(&mut self, leaf: &Leaf, place: Place, mask: bool) {
        if leaf.variable {
            self.variable(leaf.slot, place, None, &[]);
        } else {
            let bytes = self.bytes(leaf.slot, place, leaf.width);
            if leaf.policy.fill.is_empty() {
                bytes.fill(0);
            } else {
                bytes.copy_from_slice(&leaf.policy.fill);
            }
        }
        if mask {
            self.set_mask(leaf.slot, place, true);
        }
    }

    fn mark(&mut self, _slot: Slot, _place: Place, _mask: bool) {}

    fn item(&mut self, items: &Items, place: Place, index: usize) -> Place {
        let mask = if items.slot.mask == NO_MASK { 0 } else { items.slot.mask };
        Place { at: place.at + items.slot.at + index * items.stride, mask: place.mask + mask + index * items.mask_stride }
    }

    fn begin_list(&mut self, _items: &Items, _place: Place) {}

    fn end_list(&mut self, _items: &Items, _place: Place, _count: usize) {}
}

impl Output for Rows<'_> {
    fn room(&self) -> usize {
        let masked = self.mask.len().checked_div(self.mask_size).unwrap_or(usize::MAX);
        self.out.len().checked_div(self.size).unwrap_or(usize::MAX).min(masked)
    }

    #[inline(always)]
    fn place(&self, row: usize) -> Place {
        Place { at: row * self.size, mask: row * self.mask_size }
    }

    #[inline(always)]
    fn put(&mut self, puts: &Puts, found: Found, place: Place) -> bool {
        let row = &mut self.out[place.at..place.at + self.size];
        let mask = &mut self.mask[place.mask..place.mask + self.mask_size];
        if puts.all { put_all::<true>(puts, found, row, mask) } else { put_all::<false>(puts, found, row, mask) }
    }

    #[cold]
    fn forget(&mut self, row: usize) {
        if !self.mask.is_empty() {
            self.mask[row * self.mask_size..][..self.mask_size].fill(0);
        }
        for objects in &mut self.objects {
            objects.forget(row);
        }
    }
}
