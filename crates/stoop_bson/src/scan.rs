//! What documents hold: the fields, their types and widths, of a sample or of all.

use std::collections::HashMap;

use crate::batch::Origin;
use crate::decimal::Decimal;
use crate::document::document_size;
use crate::element::{DENSE, TYPES, Type, dense, find_nul, first, value_size};
use crate::error::{DecodeError, Fallible, Fault};
use crate::text;
use crate::validate::MAX_DEPTH;

/// Fields that a scan tells apart. Documents with keys that are data (a name for each user, say) have no schema.
pub const MAX_FIELDS: usize = 10_000;

/// The smallest and the largest of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range<T> {
    /// Smallest.
    pub min: T,
    /// Largest.
    pub max: T,
}

fn widen<T: Ord + Copy>(range: &mut Option<Range<T>>, value: T) {
    *range = Some(match *range {
        None => Range { min: value, max: value },
        Some(Range { min, max }) => Range { min: min.min(value), max: max.max(value) },
    });
}

/// What was seen of one field.
#[derive(Clone, Debug, Default)]
pub struct Field {
    /// From the outermost document inwards; the items of an array have the name `[]`.
    pub path: Vec<String>,
    /// In how many documents it is, at least once.
    pub present: u64,
    /// Values by type, indexed by [`dense`].
    pub types: [u64; DENSE],
    /// Characters of strings.
    pub characters: Option<Range<u64>>,
    /// Strings that end with NUL, which a fixed width cannot tell from its padding.
    pub end_with_nul: u64,
    /// Bytes of strings and of binaries.
    pub bytes: Option<Range<u64>>,
    /// Values of int32 and int64.
    pub integers: Option<Range<i64>>,
    /// Items of arrays.
    pub items: Option<Range<u64>>,
    /// Digits before the point, and after it, of finite decimals.
    pub decimals: Option<(u32, u32)>,
    /// Doubles that are no whole number.
    pub fractions: u64,
    /// Infinite decimals, and those that are no number.
    pub not_finite: u64,
    /// Which subtypes binaries have.
    pub subtypes: Vec<u8>,
    /// The last document that had it.
    last: Option<u64>,
}

impl Field {
    /// The types that were seen, with their counts.
    pub fn seen(&self) -> impl Iterator<Item = (Type, u64)> {
        TYPES.iter().map(|&ty| (ty, self.types[dense(ty.0)])).filter(|&(_, count)| count > 0)
    }
}

/// A level of the tree of fields.
#[derive(Default)]
struct Node {
    field: usize,
    /// What lies here are the items of arrays, which are one field whatever their number: the only child.
    is_array: bool,
    children: Vec<usize>,
    by_name: HashMap<Vec<u8>, usize>,
}

/// What was seen so far. Documents may be added buffer by buffer.
pub struct Scan {
    /// Documents looked at.
    pub documents: u64,
    /// Fields in the order of their first sight, parents before children.
    pub fields: Vec<Field>,
    nodes: Vec<Node>,
}

impl Default for Scan {
    fn default() -> Scan {
        Scan { documents: 0, fields: Vec::new(), nodes: vec![Node::default()] }
    }
}

impl Scan {
    /// Looks at the documents of a buffer, at most `limit`; how many bytes those were.
    pub fn add(&mut self, bytes: &[u8], limit: u64, origin: Origin) -> Result<usize, DecodeError> {
        let mut at = 0;
        let mut number = 0;
        while at < bytes.len() && number < limit {
            let rest = &bytes[at..];
            let size = document_size(rest).map_err(|found| Fault::malformed("", found));
            let scanned = size.and_then(|size| self.elements(0, &rest[..size], 0).map(|_| size));
            let place = |fault: Box<Fault>| DecodeError {
                document: origin.document + number,
                offset: origin.offset + at as u64,
                fault: *fault,
            };
            at += scanned.map_err(place)?;
            self.documents += 1;
            number += 1;
        }
        Ok(at)
    }

    /// Looks at the elements of a document or an array; how many there are.
    fn elements(&mut self, node: usize, bytes: &[u8], depth: usize) -> Fallible<u64> {
        if depth >= MAX_DEPTH {
            return Err(Fault::malformed("", format!("documents nested more than {MAX_DEPTH} deep")));
        }
        let items = self.nodes[node].is_array.then(|| self.nodes[node].children[0]);
        let end = bytes.len() - 1;
        let (mut at, mut number) = (4, 0);
        while at < end {
            let name_end = match find_nul(bytes, at + 1) {
                Some(nul) if nul < end => nul,
                _ => return Err(Fault::malformed("", "a field name without an end")),
            };
            let name = &bytes[at + 1..name_end];
            let value = &bytes[name_end + 1..end];
            let named = |fault: Box<Fault>| fault.within(&String::from_utf8_lossy(name));
            let size = value_size(bytes[at], value).map_err(|found| named(Fault::malformed("", found)))?;
            let child = match items {
                Some(items) => items,
                None => self.child(node, name, number)?,
            };
            self.value(child, bytes[at], &value[..size], depth).map_err(named)?;
            at = name_end + 1 + size;
            number += 1;
        }
        Ok(number as u64)
    }

    /// The node of a field; fields mostly come in the order of last time.
    fn child(&mut self, node: usize, name: &[u8], number: usize) -> Fallible<usize> {
        if let Some(&child) = self.nodes[node].children.get(number)
            && self.fields[self.nodes[child].field].path.last().is_some_and(|last| last.as_bytes() == name)
        {
            return Ok(child);
        }
        if let Some(&child) = self.nodes[node].by_name.get(name) {
            return Ok(child);
        }
        let mut path = if node == 0 { Vec::new() } else { self.fields[self.nodes[node].field].path.clone() };
        path.push(String::from_utf8_lossy(name).into_owned());
        let child = self.field(path)?;
        self.nodes[node].children.push(child);
        self.nodes[node].by_name.insert(name.to_vec(), child);
        Ok(child)
    }

    /// A new field, and its node.
    fn field(&mut self, path: Vec<String>) -> Fallible<usize> {
        if self.fields.len() >= MAX_FIELDS {
            return Err(Fault::new(
                "",
                format!("documents of at most {MAX_FIELDS} different fields"),
                "more: the names of fields seem to be data",
            ));
        }
        self.nodes.push(Node { field: self.fields.len(), ..Node::default() });
        self.fields.push(Field { path, ..Field::default() });
        Ok(self.nodes.len() - 1)
    }

    fn value(&mut self, node: usize, ty: u8, value: &[u8], depth: usize) -> Fallible<()> {
        let document = self.documents;
        let field = &mut self.fields[self.nodes[node].field];
        if field.last != Some(document) {
            field.last = Some(document);
            field.present += 1;
        }
        field.types[dense(ty)] += 1;
        match Type(ty) {
            Type::DOUBLE => {
                let number = f64::from_le_bytes(first(value));
                field.fractions += u64::from(number.fract() != 0.0);
            }
            Type::INT32 => widen(&mut field.integers, i32::from_le_bytes(first(value)).into()),
            Type::INT64 => widen(&mut field.integers, i64::from_le_bytes(first(value))),
            Type::STRING | Type::CODE | Type::SYMBOL => {
                let text = &value[4..value.len() - 1];
                // Bytes that continue a character have 10 in their high bits.
                let characters = text.iter().filter(|&&byte| byte & 0xC0 != 0x80).count();
                widen(&mut field.characters, characters as u64);
                field.end_with_nul += u64::from(text.last() == Some(&0));
                widen(&mut field.bytes, text.len() as u64);
            }
            Type::BINARY => {
                let (subtype, bytes) = text::binary(value).map_err(|problem| Fault::malformed("", problem))?;
                widen(&mut field.bytes, bytes.len() as u64);
                if !field.subtypes.contains(&subtype) {
                    field.subtypes.push(subtype);
                }
            }
            Type::DECIMAL128 => match Decimal::of(first(value)) {
                Decimal::Finite(_, coefficient, exponent) => {
                    let (before, after) = digits(coefficient, exponent);
                    let (widest, longest) = field.decimals.unwrap_or((0, 0));
                    field.decimals = Some((widest.max(before), longest.max(after)));
                }
                _ => field.not_finite += 1,
            },
            Type::DOCUMENT => {
                self.elements(node, value, depth + 1)?;
            }
            Type::ARRAY => {
                // Items are one field together, under a node of their own: the same field may hold documents too.
                let items = self.items_node(node)?;
                let number = self.elements(items, value, depth + 1)?;
                widen(&mut self.fields[self.nodes[node].field].items, number);
            }
            _ => {}
        }
        Ok(())
    }

    /// The node above the items of a field's arrays: it has one child, the items.
    fn items_node(&mut self, node: usize) -> Fallible<usize> {
        // A name no document can have: names end at their first NUL.
        const ARRAY: &[u8] = b"\0array";
        if let Some(&items) = self.nodes[node].by_name.get(ARRAY) {
            return Ok(items);
        }
        let field = self.nodes[node].field;
        let mut path = self.fields[field].path.clone();
        path.push(ITEMS.to_owned());
        let child = self.field(path)?;
        self.nodes.push(Node { field, is_array: true, children: vec![child], ..Node::default() });
        let items = self.nodes.len() - 1;
        self.nodes[node].by_name.insert(ARRAY.to_vec(), items);
        Ok(items)
    }
}

/// What stands for the items of an array in paths.
pub const ITEMS: &str = "[]";

/// Digits before and after the decimal point, without zeros at the end.
fn digits(mut coefficient: u128, mut exponent: i32) -> (u32, u32) {
    if coefficient == 0 {
        return (1, 0);
    }
    while exponent < 0 && coefficient.is_multiple_of(10) {
        coefficient /= 10;
        exponent += 1;
    }
    let all = coefficient.ilog10() as i32 + 1;
    ((all + exponent).max(1) as u32, (-exponent).max(0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(elements: &[u8]) -> Vec<u8> {
        let mut bytes = (elements.len() as i32 + 5).to_le_bytes().to_vec();
        bytes.extend(elements);
        bytes.push(0);
        bytes
    }

    fn find<'a>(scan: &'a Scan, path: &[&str]) -> &'a Field {
        scan.fields.iter().find(|field| field.path == path).unwrap_or_else(|| panic!("no field {path:?}"))
    }

    #[test]
    fn fields_are_counted_once_a_document() {
        let items = wrap(b"\x100\0\x05\0\0\0\x101\0\xFF\xFF\xFF\xFF");
        let one = wrap(&[b"\x02s\0\x04\0\0\0\xC3\xA4b\0\x04l\0".as_slice(), &items].concat());
        let two = wrap(&[b"\x0As\0\x04l\0".as_slice(), &wrap(b""), b"\x10[]\0\x01\0\0\0"].concat());
        let mut scan = Scan::default();
        let bytes = [one, two].concat();
        assert_eq!(scan.add(&bytes, u64::MAX, Origin::default()), Ok(bytes.len()));
        assert_eq!(scan.documents, 2);
        let text = find(&scan, &["s"]);
        assert_eq!(text.present, 2);
        assert_eq!(text.characters, Some(Range { min: 2, max: 2 }));
        assert_eq!(text.seen().collect::<Vec<_>>(), [(Type::STRING, 1), (Type::NULL, 1)]);
        let items = find(&scan, &["l", "[]"]);
        assert_eq!((items.present, items.integers), (1, Some(Range { min: -1, max: 5 })));
        assert_eq!(find(&scan, &["l"]).items, Some(Range { min: 0, max: 2 }));
        assert_eq!(find(&scan, &["[]"]).present, 1);
    }

    #[test]
    fn names_that_are_data_are_refused() {
        let mut bytes = Vec::new();
        for number in 0..=MAX_FIELDS {
            bytes.extend(wrap(format!("\x0A{number}\0").as_bytes()));
        }
        let error = Scan::default().add(&bytes, u64::MAX, Origin::default()).unwrap_err();
        assert_eq!(error.document, MAX_FIELDS as u64);
        assert!(error.to_string().contains("names of fields seem to be data"), "{error}");
    }

    #[test]
    fn decimal_digits() {
        assert_eq!(digits(0, -5), (1, 0));
        assert_eq!(digits(12_300, -3), (2, 1));
        assert_eq!(digits(5, -3), (1, 3));
        assert_eq!(digits(5, 4), (5, 0));
    }

    #[test]
    fn depth_is_limited() {
        let mut bytes = wrap(b"");
        for _ in 0..5000 {
            bytes = wrap(&[b"\x04a\0".as_slice(), &bytes].concat());
        }
        assert!(Scan::default().add(&bytes, 1, Origin::default()).is_err());
    }
}
