//! Rows into documents: the way back.

use crate::element::Type;
use crate::op::width;
use crate::schema::{Field, Kind, RowPlace, Schema, Unit};

/// A row that cannot become a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError {
    /// Its number, from 0.
    pub row: usize,
    /// The field, with dots.
    pub path: String,
    /// What is wrong, as a sentence without its end.
    pub problem: String,
}

/// What fields of the kind [`Kind::Object`] hold: for each row `None` (null), or a type byte and a value.
pub type Objects = Vec<Vec<Option<(u8, Vec<u8>)>>>;

/// Rows as they lie in memory.
pub struct Input<'a> {
    /// The rows, back to back.
    pub data: &'a [u8],
    /// The size of one.
    pub itemsize: usize,
    /// Bytes that say of a row's items whether they are masked; empty for none.
    pub mask: &'a [u8],
    /// The size of a row of the mask.
    pub mask_itemsize: usize,
    /// How many there are.
    pub rows: usize,
    /// The values of object fields, in the order of the schema.
    pub objects: &'a Objects,
}

/// Fields as documents nest them.
enum Node<'a> {
    Leaf(&'a Field, Option<usize>),
    Document(Vec<(&'a str, Node<'a>)>),
}

/// Encodes rows as documents, back to back.
pub fn encode(schema: &Schema, input: &Input<'_>) -> Result<Vec<u8>, EncodeError> {
    let schema_error = |path: &str, problem: &str| EncodeError { row: 0, path: path.to_owned(), problem: problem.to_owned() };
    let mut objects = 0;
    let tree = tree(&schema.fields, &mut objects).map_err(|path| schema_error(&path, "the field is there twice"))?;
    let fits = |size: usize, bytes: &[u8]| size.checked_mul(input.rows).is_some_and(|size| size <= bytes.len());
    if !fits(input.itemsize, input.data) || !input.mask.is_empty() && !fits(input.mask_itemsize, input.mask) {
        return Err(schema_error("", "the memory has fewer rows than it should"));
    }
    if objects > input.objects.len() || input.objects.iter().any(|column| column.len() < input.rows) {
        return Err(schema_error("", "there are fewer objects than rows"));
    }
    let mut out = Vec::new();
    for row in 0..input.rows {
        let data = &input.data[row * input.itemsize..][..input.itemsize];
        let mask = if input.mask.is_empty() { &[] } else { &input.mask[row * input.mask_itemsize..][..input.mask_itemsize] };
        let mut writer = Writer { out: &mut out, objects: input.objects, row, path: Vec::new() };
        writer.document(&tree, data, mask).map_err(|problem| EncodeError { row, path: writer.path.join("."), problem })?;
        if row == 0 {
            // Most rows are as long as the first.
            out.reserve_exact(out.len().saturating_mul(input.rows - 1));
        }
    }
    Ok(out)
}

/// The fields below a level, grouped by the documents they are in; an `Err` is a path that is there twice.
fn tree<'a>(fields: &'a [Field], objects: &mut usize) -> Result<Vec<(&'a str, Node<'a>)>, String> {
    let mut root = Vec::new();
    for field in fields {
        let object = matches!(field.kind, Kind::Object).then(|| {
            *objects += 1;
            *objects - 1
        });
        insert(&mut root, &field.path, Node::Leaf(field, object)).map_err(|()| field.path.join("."))?;
    }
    Ok(root)
}

fn insert<'a>(level: &mut Vec<(&'a str, Node<'a>)>, path: &'a [String], leaf: Node<'a>) -> Result<(), ()> {
    let [name, below @ ..] = path else { return Err(()) };
    let there = level.iter().position(|(other, _)| other == name);
    if below.is_empty() {
        if there.is_some() {
            return Err(());
        }
        level.push((name, leaf));
        return Ok(());
    }
    let place = there.unwrap_or_else(|| {
        level.push((name, Node::Document(Vec::new())));
        level.len() - 1
    });
    match &mut level[place].1 {
        Node::Document(children) => insert(children, below, leaf),
        Node::Leaf(..) => Err(()),
    }
}

/// Writes one document.
pub(crate) struct Writer<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) objects: &'a Objects,
    pub(crate) row: usize,
    /// Where the writer is; of use when it stops.
    pub(crate) path: Vec<String>,
}

impl Writer<'_> {
    fn document(&mut self, fields: &[(&str, Node<'_>)], data: &[u8], mask: &[u8]) -> Result<(), String> {
        let start = self.open();
        for (name, node) in fields {
            self.path.push((*name).to_owned());
            match node {
                Node::Document(children) => {
                    self.name(Type::DOCUMENT, name);
                    self.document(children, data, mask)?;
                }
                Node::Leaf(field, object) => {
                    let place = field.place.unwrap_or_default();
                    if place.mask.and_then(|at| mask.get(at)).is_none_or(|&masked| masked == 0) || is_array(field) {
                        self.value(name, field, *object, place, data, mask)?;
                    }
                }
            }
            self.path.pop();
        }
        self.close(start)
    }

    pub(crate) fn open(&mut self) -> usize {
        self.out.extend([0; 4]);
        self.out.len() - 4
    }

    pub(crate) fn close(&mut self, start: usize) -> Result<(), String> {
        self.out.push(0);
        let size = i32::try_from(self.out.len() - start).map_err(|_| "a document of more than 2 GB".to_owned())?;
        self.out[start..start + 4].copy_from_slice(&size.to_le_bytes());
        Ok(())
    }

    pub(crate) fn name(&mut self, ty: Type, name: &str) {
        self.out.push(ty.0);
        self.out.extend(name.as_bytes());
        self.out.push(0);
    }

    pub(crate) fn put(&mut self, ty: Type, name: &str, value: &[u8]) {
        self.name(ty, name);
        self.out.extend(value);
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.name(Type::STRING, name);
        self.out.extend((text.len() as i32 + 1).to_le_bytes());
        self.out.extend(text.as_bytes());
        self.out.push(0);
    }

    fn value(
        &mut self,
        name: &str,
        field: &Field,
        object: Option<usize>,
        place: RowPlace,
        data: &[u8],
        mask: &[u8],
    ) -> Result<(), String> {
        let width = width(&field.kind).unwrap_or(0);
        let short = || "the field lies beyond its row".to_owned();
        let bytes = match &field.kind {
            Kind::Array(..) | Kind::Struct(_) | Kind::Object => data,
            _ => data.get(place.offset..).and_then(|rest| rest.get(..width)).ok_or_else(short)?,
        };
        match &field.kind {
            Kind::F64 => self.put(Type::DOUBLE, name, bytes),
            Kind::F32 => {
                let number = f32::from_le_bytes(bytes.try_into().map_err(|_| short())?);
                self.put(Type::DOUBLE, name, &f64::from(number).to_le_bytes());
            }
            Kind::Int(8) => self.put(Type::INT64, name, bytes),
            Kind::Int(_) => {
                let negative = bytes.last().is_some_and(|&byte| byte & 0x80 != 0);
                let mut wide = if negative { [0xFF; 4] } else { [0; 4] };
                wide[..width].copy_from_slice(bytes);
                self.put(Type::INT32, name, &wide);
            }
            Kind::Uint(size) => {
                let mut wide = [0; 8];
                wide[..width].copy_from_slice(bytes);
                if *size < 4 {
                    self.put(Type::INT32, name, &wide[..4]);
                } else if wide[7] & 0x80 != 0 {
                    return Err(format!("{} is too large for BSON's int64", u64::from_le_bytes(wide)));
                } else {
                    self.put(Type::INT64, name, &wide);
                }
            }
            Kind::Bool => self.put(Type::BOOL, name, &[u8::from(bytes[0] != 0)]),
            Kind::Datetime(unit) => {
                let ticks = i64::from_le_bytes(bytes.try_into().map_err(|_| short())?);
                match milliseconds(ticks, *unit)? {
                    Some(time) => self.put(Type::DATETIME, name, &time.to_le_bytes()),
                    None => self.put(Type::NULL, name, &[]),
                }
            }
            Kind::ObjectId => self.put(Type::OBJECT_ID, name, bytes),
            Kind::ObjectIdHex => {
                self.put(Type::OBJECT_ID, name, &hex_id(bytes)?);
            }
            Kind::FixedText(_) => {
                let text = utf8(bytes)?;
                self.text(name, &text);
            }
            Kind::FixedBytes(_) => {
                let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                let text = std::str::from_utf8(&bytes[..end])
                    .map_err(|_| "bytes that are no UTF-8 text; say that the field is \"binary\"".to_owned())?;
                self.text(name, text);
            }
            Kind::FixedBinary(_, subtype) => self.binary(name, subtype.unwrap_or(0), bytes),
            Kind::Uuid(subtype) => self.binary(name, *subtype, bytes),
            Kind::Decimal => self.put(Type::DECIMAL128, name, bytes),
            Kind::Timestamp => self.put(Type::TIMESTAMP, name, bytes),
            Kind::Object => {
                let objects = self.objects;
                match object.and_then(|column| objects[column][self.row].as_ref()) {
                    Some((ty, value)) => self.put(Type(*ty), name, value),
                    None => self.put(Type::NULL, name, &[]),
                }
            }
            Kind::Struct(fields) => {
                self.name(Type::DOCUMENT, name);
                let below = tree(fields, &mut 0).map_err(|path| format!("the field {path} is there twice"))?;
                let item = data.get(place.offset..).ok_or_else(short)?;
                self.document(&below, item, &[])?;
            }
            Kind::Array(item, count) => {
                self.name(Type::ARRAY, name);
                let start = self.open();
                let (step, mask_step) = (extent(item, place.stride), extent(item, place.mask_stride));
                for index in 0..*count {
                    let at = place.offset + index * step;
                    let masked_at = place.mask.map(|at| at + index * mask_step);
                    let item_place = RowPlace { offset: at, mask: masked_at, ..place };
                    self.path.push(index.to_string());
                    let key = index.to_string();
                    if !is_array(item) && masked_at.and_then(|at| mask.get(at)).is_some_and(|&masked| masked != 0) {
                        // An array keeps its places: what is masked is null.
                        self.put(Type::NULL, &key, &[]);
                    } else {
                        self.value(&key, item, None, item_place, data, mask)?;
                    }
                    self.path.pop();
                }
                self.close(start)?;
            }
            Kind::Text | Kind::Binary(_) | Kind::ScaledDecimal { .. } | Kind::Raw | Kind::Null | Kind::List(_) => {
                return Err("the field's kind does not lie in rows".to_owned());
            }
        }
        Ok(())
    }

    pub(crate) fn binary(&mut self, name: &str, subtype: u8, bytes: &[u8]) {
        self.name(Type::BINARY, name);
        // The old subtype has a length of its own inside.
        let old = subtype == 2;
        self.out.extend((bytes.len() as i32 + if old { 4 } else { 0 }).to_le_bytes());
        self.out.push(subtype);
        if old {
            self.out.extend((bytes.len() as i32).to_le_bytes());
        }
        self.out.extend(bytes);
    }
}

fn is_array(field: &Field) -> bool {
    matches!(field.kind, Kind::Array(..))
}

/// The distance of an array's items, when the innermost are `stride` apart.
fn extent(item: &Field, stride: usize) -> usize {
    match &item.kind {
        Kind::Array(inner, count) => count * extent(inner, stride),
        // Plain items without a stride lie next to each other.
        kind if stride == 0 => width(kind).unwrap_or(0),
        _ => stride,
    }
}

/// UTF-32 without the zeros at its end, as UTF-8.
fn utf8(bytes: &[u8]) -> Result<String, String> {
    let mut text = String::with_capacity(bytes.len() / 4);
    let mut zeros = 0;
    for word in bytes.chunks_exact(4) {
        let code = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        if code == 0 {
            zeros += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut zeros) {
            text.push('\0');
        }
        text.push(char::from_u32(code).ok_or_else(|| format!("U+{code:04X} is no character that UTF-8 has"))?);
    }
    Ok(text)
}

/// The bytes of an ObjectId in digits.
pub(crate) fn hex_id(digits: &[u8]) -> Result<[u8; 12], String> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut id = [0; 12];
    let pairs = digits.chunks_exact(2).zip(&mut id).map(|(pair, byte)| {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        Some(())
    });
    if digits.len() == 24 && pairs.collect::<Option<Vec<()>>>().is_some() {
        return Ok(id);
    }
    Err(format!("{:?} is no ObjectId of 24 hexadecimal digits", String::from_utf8_lossy(digits)))
}

/// Ticks of a unit as BSON's milliseconds; `None` is NaT.
pub(crate) fn milliseconds(ticks: i64, unit: Unit) -> Result<Option<i64>, String> {
    if ticks == i64::MIN {
        return Ok(None);
    }
    let ratio = unit.ratio();
    if ratio > 0 {
        let time = ticks.checked_mul(ratio).ok_or_else(|| "a date beyond BSON's milliseconds".to_owned())?;
        return Ok(Some(time));
    }
    if ticks % -ratio != 0 {
        let unit = unit.name();
        return Err(format!(
            "a date of {ticks} {unit} since 1970, which BSON's milliseconds cannot hold exactly; round it to datetime64[ms]"
        ));
    }
    Ok(Some(ticks / -ratio))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Policy;

    fn leaf(path: &str, kind: Kind, offset: usize, mask: Option<usize>) -> Field {
        Field {
            path: path.split('.').map(str::to_owned).collect(),
            name: String::new(),
            zone: String::new(),
            large: false,
            kind,
            policy: Policy::default(),
            place: Some(RowPlace { offset, mask, stride: 0, mask_stride: 1 }),
        }
    }

    fn one(fields: Vec<Field>, data: &[u8], mask: &[u8]) -> Result<Vec<u8>, EncodeError> {
        let input = Input { data, itemsize: data.len(), mask, mask_itemsize: mask.len(), rows: 1, objects: &Objects::new() };
        encode(&Schema { fields }, &input)
    }

    #[test]
    fn leaves_are_grouped_into_documents() {
        let fields = vec![leaf("a.x", Kind::Int(1), 0, None), leaf("b", Kind::Bool, 1, None), leaf("a.y", Kind::Int(2), 2, None)];
        let bytes = one(fields, &[0xFF, 1, 5, 0], &[]).unwrap();
        let inner = b"\x13\0\0\0\x10x\0\xFF\xFF\xFF\xFF\x10y\0\x05\0\0\0\0";
        let whole = [&b"\x1F\0\0\0\x03a\0"[..], inner, b"\x08b\0\x01\0"].concat();
        assert_eq!(bytes, whole);
    }

    #[test]
    fn masked_items_are_left_out_and_null_in_arrays() {
        let array = Kind::Array(Box::new(leaf("l", Kind::Uint(1), 0, Some(0))), 2);
        let fields = vec![leaf("x", Kind::Bool, 0, Some(0)), leaf("l", array, 1, Some(1))];
        let bytes = one(fields, &[1, 7, 8], &[1, 0, 1]).unwrap();
        let inner = b"\x0F\0\0\0\x100\0\x07\0\0\0\x0A1\0\0";
        assert_eq!(bytes, [&b"\x17\0\0\0\x04l\0"[..], inner, b"\0"].concat());
    }

    #[test]
    fn what_bson_cannot_hold_is_refused() {
        let problem = |kind: Kind, data: &[u8]| one(vec![leaf("f", kind, 0, None)], data, &[]).unwrap_err().problem;
        assert!(problem(Kind::Uint(8), &[0xFF; 8]).contains("too large"));
        assert!(problem(Kind::Datetime(Unit::Microseconds), &1500i64.to_le_bytes()).contains("exactly"));
        assert!(problem(Kind::Datetime(Unit::Days), &i64::MAX.to_le_bytes()).contains("beyond"));
        assert!(problem(Kind::FixedBytes(2), &[0xFF, 0]).contains("UTF-8"));
        assert!(problem(Kind::FixedText(1), &0xD800u32.to_le_bytes()).contains("U+D800"));
        assert!(problem(Kind::F64, &[0; 4]).contains("beyond its row"));
        assert_eq!(milliseconds(i64::MIN, Unit::Days), Ok(None));
        assert_eq!(milliseconds(-5_000_000, Unit::Nanoseconds), Ok(Some(-5)));
    }
}
