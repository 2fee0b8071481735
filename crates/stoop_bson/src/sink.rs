//! Where decoded values go.

use crate::order::{Found, Puts};
use crate::plan::{Items, Leaf, Slot};

/// A row, or an item of an array: what places of fields are relative to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Rows: bytes from the start of the output; columns: the index.
    pub at: usize,
    /// Rows: bytes from the start of the mask.
    pub mask: usize,
}

/// A value that is copied as it is: from a place in a document to the slot's.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// Bytes from the start of what is copied from.
    pub from: u32,
    /// The slot.
    pub to: u32,
}

/// Values that are copied as they are, by their size.
#[derive(Clone, Debug, Default)]
pub struct Copies {
    /// Of four bytes.
    pub four: Vec<Moved>,
    /// Of eight bytes.
    pub eight: Vec<Moved>,
    /// Of twelve bytes.
    pub twelve: Vec<Moved>,
}

/// The longest of short texts.
pub const SHORT_TEXT: usize = 32;

/// Rows or columns. Writing to a place again overwrites what was there.
pub trait Sink {
    /// The bytes of a value of fixed width.
    fn bytes(&mut self, slot: Slot, place: Place, width: usize) -> &mut [u8];

    /// Copies values.
    fn copy(&mut self, copies: &Copies, from: &[u8], place: Place);

    /// A value of any length; `kind` is the type byte that precedes it, for those that keep it.
    fn variable(&mut self, slot: Slot, place: Place, kind: Option<u8>, value: &[u8]);

    /// A text of any length that is short, at the start of these bytes; whether it could be put.
    fn short_text(&mut self, _slot: Slot, _place: Place, _text: &[u8; SHORT_TEXT], _length: usize) -> bool {
        false
    }

    /// Masks a value of a leaf, or takes its mask off.
    fn mask(&mut self, slot: Slot, place: Place, masked: bool);

    /// A value that is not there: what stands for it, and the mask if it is asked for.
    fn absent(&mut self, leaf: &Leaf, place: Place, mask: bool);

    /// Masks or unmasks a document that is a column of its own, or a list.
    fn mark(&mut self, slot: Slot, place: Place, mask: bool);

    /// The place of an array's item; for lists they are asked for in order.
    fn item(&mut self, items: &Items, place: Place, index: usize) -> Place;

    /// Begins a list, forgetting what was there.
    fn begin_list(&mut self, items: &Items, place: Place);

    /// Ends a list of so many items.
    fn end_list(&mut self, items: &Items, place: Place, count: usize);
}

/// A sink of whole rows.
pub trait Output: Sink {
    /// How many rows there is room for.
    fn room(&self) -> usize;

    /// The place of a row.
    fn place(&self, row: usize) -> Place;

    /// Puts the values of a document that follows an [`Order`](crate::order::Order), or what stands for them; whether
    /// all of one byte are bools.
    fn put(&mut self, puts: &Puts, found: Found, place: Place) -> bool;

    /// Takes back what the document of a row that failed has masked.
    fn forget(&mut self, row: usize);
}
