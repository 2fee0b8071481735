//! Columns in the layout of Arrow: values, offsets and validity, each in a buffer of its own.

use crate::op;
use crate::order::{Found, Put, Puts};
use crate::plan::{Items, Leaf, Places, Slot};
use crate::schema::{Field, Kind, RowPlace, Schema, Unit};
use crate::sink::{Copies, Moved, Output, Place, SHORT_TEXT, Sink};

/// What a column is, apart from its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The name; dots where a path goes through documents that are no columns.
    pub name: String,
    /// The time zone of times.
    pub zone: String,
    /// Its offsets have 64 bits when it is finished.
    pub large: bool,
    /// What its values are.
    pub kind: Kind,
    /// The columns inside: a document's fields, an array's items.
    pub children: Vec<usize>,
    /// Whether it lies in no other.
    pub root: bool,
}

/// Numbers the columns of a schema, in the places of its fields; says what they are.
pub fn number(schema: &mut Schema) -> Vec<Spec> {
    let mut specs = Vec::new();
    for field in &mut schema.fields {
        number_field(field, true, &mut specs);
    }
    specs
}

fn number_field(field: &mut Field, root: bool, specs: &mut Vec<Spec>) -> usize {
    let number = specs.len();
    field.place = Some(RowPlace { offset: number, ..RowPlace::default() });
    let (name, zone, kind) = (field.name.clone(), field.zone.clone(), field.kind.clone());
    specs.push(Spec { name, zone, large: field.large, kind, children: Vec::new(), root });
    let children = match &mut field.kind {
        Kind::Struct(fields) => fields.iter_mut().map(|field| number_field(field, false, specs)).collect(),
        Kind::Array(item, _) | Kind::List(item) => vec![number_field(item, false, specs)],
        _ => Vec::new(),
    };
    specs[number].children = children;
    number
}

/// Places as [`number`] gave them.
#[derive(Debug)]
pub struct InColumns;

impl Places for InColumns {
    fn slot(&mut self, field: &Field, _width: Option<usize>) -> Result<Slot, String> {
        if let Kind::Object | Kind::FixedText(_) | Kind::Datetime(Unit::Days | Unit::Hours | Unit::Minutes) = field.kind {
            let expected = op::expected(&field.kind);
            return Err(format!("field {:?}: Arrow has no columns of {expected}", field.path.join(".")));
        }
        let place = field.place.unwrap_or_default();
        Ok(Slot { at: place.offset, mask: place.offset })
    }

    fn document(&mut self, field: &Field) -> Result<Option<Slot>, String> {
        self.slot(field, None).map(Some)
    }
}

/// The values of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Bytes of one width.
    Fixed(usize, Vec<u8>),
    /// Where each value starts and the last ends, and their bytes.
    Variable(Vec<i32>, Vec<u8>),
    /// Where each list starts and the last ends, among the items.
    List(Vec<i32>),
    /// Nothing of its own: documents, fixed arrays, nulls.
    Bare,
}

/// A column on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its values.
    pub data: Data,
    /// A byte a row, 1 where there is no value; shorter than the column if there is a value in all the rest.
    pub nulls: Vec<u8>,
}

/// A batch of columns on its way.
#[derive(Clone, Debug)]
pub struct Columns<'s> {
    /// What they are.
    pub specs: &'s [Spec],
    /// By number.
    pub columns: Vec<Column>,
    /// More bytes or items than offsets of 32 bits reach.
    pub overflow: bool,
}

impl<'s> Columns<'s> {
    /// Empty columns, with room for so many rows.
    pub fn new(specs: &'s [Spec], rows: usize) -> Columns<'s> {
        let mut columns: Vec<Column> = specs.iter().map(Column::new).collect();
        for (number, spec) in specs.iter().enumerate() {
            if spec.root {
                reserve(specs, number, rows, &mut columns);
            }
        }
        Columns { specs, columns, overflow: false }
    }

    /// Cuts the columns to so many rows: what a failed document left behind, and spare room, goes.
    pub fn finish(&mut self, rows: usize) {
        for (number, spec) in self.specs.iter().enumerate() {
            if spec.root {
                cut(self.specs, number, rows, &mut self.columns);
            }
        }
    }

    /// Forgets which values are null from a row on; those of a list's items go when it is begun anew.
    fn cut_nulls(&mut self, number: usize, rows: usize) {
        self.columns[number].nulls.truncate(rows);
        let spec = &self.specs[number];
        let inner = match spec.kind {
            Kind::List(_) => return,
            Kind::Array(_, count) => rows * count,
            _ => rows,
        };
        for &child in &spec.children {
            self.cut_nulls(child, inner);
        }
    }

    #[inline(always)]
    fn copy_some<const N: usize>(&mut self, copies: &[Moved], from: &[u8], place: Place) {
        for copy in copies {
            let slot = Slot { at: copy.to as usize, mask: 0 };
            let at = copy.from as usize;
            self.bytes(slot, place, N).copy_from_slice(&from[at..at + N]);
        }
    }

    /// Puts values of one size; their first bytes combined.
    #[inline(always)]
    fn put_some<const N: usize>(&mut self, puts: &[Put], found: Found, place: Place) -> u8 {
        let mut first = 0;
        for put in puts {
            let (value, there) = found.value::<N, false>(put);
            self.bytes(Slot { at: put.at as usize, mask: 0 }, place, N).copy_from_slice(&value);
            first |= value[0];
            if let Some(column) = self.columns.get_mut(put.mask as usize) {
                if column.nulls.len() <= place.at {
                    // Many at once; what is over is cut off in the end.
                    column.nulls.resize((place.at + 1).next_multiple_of(4096), 0);
                }
                column.nulls[place.at] = (!there).into();
            }
        }
        first
    }

    fn variable_column(&mut self, slot: Slot) -> (&mut Vec<i32>, &mut Vec<u8>) {
        match &mut self.columns[slot.at].data {
            Data::Variable(offsets, bytes) => (offsets, bytes),
            _ => unreachable!("the plan knows which columns have values of any length"),
        }
    }

    fn list_column(&mut self, slot: Slot) -> &mut Vec<i32> {
        match &mut self.columns[slot.at].data {
            Data::List(offsets) => offsets,
            _ => unreachable!("the plan knows which columns are lists"),
        }
    }
}

fn reserve(specs: &[Spec], number: usize, rows: usize, columns: &mut [Column]) {
    match &mut columns[number].data {
        Data::Fixed(width, bytes) => *bytes = vec![0; rows * *width],
        Data::Variable(offsets, _) | Data::List(offsets) => offsets.reserve_exact(rows),
        Data::Bare => {}
    }
    let inner = match specs[number].kind {
        Kind::Array(_, count) => rows.saturating_mul(count),
        Kind::List(_) => 0,
        _ => rows,
    };
    for &child in &specs[number].children {
        reserve(specs, child, inner, columns);
    }
}

fn cut(specs: &[Spec], number: usize, rows: usize, columns: &mut [Column]) {
    let column = &mut columns[number];
    column.nulls.truncate(rows);
    let inner = match (&mut column.data, &specs[number].kind) {
        (Data::Fixed(width, bytes), _) => {
            bytes.resize(rows * *width, 0);
            rows
        }
        (Data::Variable(offsets, bytes), _) => {
            offsets.truncate(rows + 1);
            bytes.truncate(*offsets.last().unwrap_or(&0) as usize);
            rows
        }
        (Data::List(offsets), _) => {
            offsets.truncate(rows + 1);
            *offsets.last().unwrap_or(&0) as usize
        }
        (Data::Bare, Kind::Array(_, count)) => rows * count,
        (Data::Bare, _) => rows,
    };
    for &child in &specs[number].children {
        cut(specs, child, inner, columns);
    }
}

impl Column {
    fn new(spec: &Spec) -> Column {
        let data = match &spec.kind {
            Kind::List(_) => Data::List(vec![0]),
            Kind::Struct(_) | Kind::Array(..) | Kind::Null => Data::Bare,
            kind => match op::width(kind) {
                Some(width) => Data::Fixed(width, Vec::new()),
                None => Data::Variable(vec![0], Vec::new()),
            },
        };
        Column { data, nulls: Vec::new() }
    }

    fn mark(&mut self, at: usize, null: bool) {
        if at >= self.nulls.len() {
            if !null {
                return;
            }
            self.nulls.resize(at + 1, 0);
        }
        self.nulls[at] = null.into();
    }

    /// The validity of so many rows, a bit each, and how many are null; no bitmap if none is.
    pub fn validity(&self, rows: usize) -> (Option<Vec<u8>>, usize) {
        let known = &self.nulls[..self.nulls.len().min(rows)];
        let nulls = known.iter().map(|&null| usize::from(null)).sum();
        if nulls == 0 {
            return (None, 0);
        }
        let mut bits = pack_bits(known);
        bits.resize(rows.div_ceil(8), 0);
        bits.iter_mut().for_each(|byte| *byte = !*byte);
        (Some(bits), nulls)
    }
}

/// Bytes that are 0 or 1 as bits.
pub fn pack_bits(bytes: &[u8]) -> Vec<u8> {
    // Each factor moves one of the eight bytes' lowest bits to its place in the highest byte.
    let pack = |bytes: &[u8; 8]| (u64::from_le_bytes(*bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
    let (eights, rest) = bytes.as_chunks::<8>();
    let mut bits: Vec<u8> = eights.iter().map(pack).collect();
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        bits.push(pack(&last));
    }
    bits
}

impl Sink for Columns<'_> {
    #[inline(always)]
    fn bytes(&mut self, slot: Slot, place: Place, width: usize) -> &mut [u8] {
        let Data::Fixed(_, bytes) = &mut self.columns[slot.at].data else {
            unreachable!("the plan knows which columns have a width")
        };
        let start = place.at * width;
        if bytes.len() < start + width {
            bytes.resize((start + width).max(bytes.len() * 2), 0);
        }
        &mut bytes[start..start + width]
    }

    #[inline(always)]
    fn copy(&mut self, copies: &Copies, from: &[u8], place: Place) {
        self.copy_some::<8>(&copies.eight, from, place);
        self.copy_some::<4>(&copies.four, from, place);
        self.copy_some::<12>(&copies.twelve, from, place);
    }

    fn variable(&mut self, slot: Slot, place: Place, kind: Option<u8>, value: &[u8]) {
        let (offsets, bytes) = self.variable_column(slot);
        offsets.truncate(place.at + 1);
        bytes.truncate(*offsets.last().unwrap_or(&0) as usize);
        let room = i32::MAX as usize - bytes.len();
        if value.len() >= room {
            offsets.push(bytes.len() as i32);
            self.overflow = true;
            return;
        }
        bytes.extend(kind);
        bytes.extend_from_slice(value);
        offsets.push(bytes.len() as i32);
    }

    #[inline(always)]
    fn short_text(&mut self, slot: Slot, place: Place, text: &[u8; SHORT_TEXT], length: usize) -> bool {
        let (offsets, bytes) = self.variable_column(slot);
        let end = bytes.len() + length;
        // A row that is written again is one for the ordinary way.
        if offsets.len() != place.at + 1 || end + SHORT_TEXT > i32::MAX as usize {
            return false;
        }
        // All of it, as a copy of a known size is several times as fast.
        bytes.extend_from_slice(text);
        bytes.truncate(end);
        offsets.push(end as i32);
        true
    }

    fn mask(&mut self, slot: Slot, place: Place, masked: bool) {
        self.columns[slot.mask].mark(place.at, masked);
    }

    fn absent(&mut self, leaf: &Leaf, place: Place, mask: bool) {
        let fill: &[u8] = if mask { &[] } else { &leaf.policy.fill };
        if leaf.variable {
            self.variable(leaf.slot, place, None, fill);
        } else if leaf.width > 0 {
            let bytes = self.bytes(leaf.slot, place, leaf.width);
            if fill.is_empty() {
                bytes.fill(0);
            } else {
                bytes.copy_from_slice(fill);
            }
        }
        if mask {
            self.columns[leaf.slot.mask].mark(place.at, true);
        }
    }

    fn mark(&mut self, slot: Slot, place: Place, mask: bool) {
        self.columns[slot.mask].mark(place.at, mask);
    }

    fn item(&mut self, items: &Items, place: Place, index: usize) -> Place {
        let at = match items.count {
            Some(count) => place.at * count + index,
            None => self.list_column(items.slot).last().map_or(0, |&start| start as usize) + index,
        };
        Place { at, mask: 0 }
    }

    fn begin_list(&mut self, items: &Items, place: Place) {
        let offsets = self.list_column(items.slot);
        offsets.truncate(place.at + 1);
        let start = offsets.last().map_or(0, |&start| start as usize);
        self.mark(items.slot, place, false);
        let child = self.specs[items.slot.at].children[0];
        self.cut_nulls(child, start);
    }

    fn end_list(&mut self, items: &Items, _place: Place, count: usize) {
        let offsets = self.list_column(items.slot);
        let start = offsets.last().map_or(0, |&start| start as usize);
        match i32::try_from(start + count) {
            Ok(end) => offsets.push(end),
            Err(_) => {
                offsets.push(start as i32);
                self.overflow = true;
            }
        }
    }
}

impl Output for Columns<'_> {
    fn room(&self) -> usize {
        usize::MAX
    }

    fn place(&self, row: usize) -> Place {
        Place { at: row, mask: 0 }
    }

    fn put(&mut self, puts: &Puts, found: Found, place: Place) -> bool {
        self.put_some::<8>(&puts.eight, found, place);
        self.put_some::<4>(&puts.four, found, place);
        self.put_some::<12>(&puts.twelve, found, place);
        self.put_some::<16>(&puts.sixteen, found, place);
        self.put_some::<1>(&puts.one, found, place) <= 1
    }

    fn forget(&mut self, row: usize) {
        for number in 0..self.specs.len() {
            if self.specs[number].root {
                self.cut_nulls(number, row);
            }
        }
    }
}
