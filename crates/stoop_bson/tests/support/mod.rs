//! Documents made by hand and by chance, schemas, and short ways to decode.
#![allow(dead_code, reason = "each test program uses a part")]

use stoop_bson::arrow::{self, ArrowArray, Buffer};
use stoop_bson::batch::{Index, OnError, Origin, Outcome};
use stoop_bson::columns::{self, InColumns};
use stoop_bson::parallel::{self, Options};
use stoop_bson::plan::{InRows, Plan};
use stoop_bson::rows::Rows;
use stoop_bson::schema::{Absent, Convert, Field, Kind, Policy, RowPlace, Schema, Unit};

/// Numbers by chance, the same in every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 29
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

/// A document on its way.
#[derive(Clone, Default)]
pub struct Doc(pub Vec<u8>);

impl Doc {
    pub fn raw(mut self, ty: u8, name: &str, value: &[u8]) -> Doc {
        self.0.push(ty);
        self.0.extend(name.as_bytes());
        self.0.push(0);
        self.0.extend(value);
        self
    }

    pub fn f64(self, name: &str, value: f64) -> Doc {
        self.raw(1, name, &value.to_le_bytes())
    }

    pub fn i32(self, name: &str, value: i32) -> Doc {
        self.raw(0x10, name, &value.to_le_bytes())
    }

    pub fn i64(self, name: &str, value: i64) -> Doc {
        self.raw(0x12, name, &value.to_le_bytes())
    }

    pub fn bool(self, name: &str, value: bool) -> Doc {
        self.raw(8, name, &[value.into()])
    }

    pub fn null(self, name: &str) -> Doc {
        self.raw(10, name, &[])
    }

    pub fn text(self, name: &str, value: &str) -> Doc {
        let mut bytes = (value.len() as i32 + 1).to_le_bytes().to_vec();
        bytes.extend(value.as_bytes());
        bytes.push(0);
        self.raw(2, name, &bytes)
    }

    pub fn binary(self, name: &str, subtype: u8, value: &[u8]) -> Doc {
        let mut bytes = (value.len() as i32).to_le_bytes().to_vec();
        bytes.push(subtype);
        bytes.extend(value);
        self.raw(5, name, &bytes)
    }

    pub fn doc(self, name: &str, value: Doc) -> Doc {
        let value = value.bytes();
        self.raw(3, name, &value)
    }

    pub fn array(self, name: &str, value: Doc) -> Doc {
        let value = value.bytes();
        self.raw(4, name, &value)
    }

    /// With the length in front and the terminator behind.
    pub fn bytes(self) -> Vec<u8> {
        let mut all = (self.0.len() as i32 + 5).to_le_bytes().to_vec();
        all.extend(self.0);
        all.push(0);
        all
    }
}

/// An array of numbers.
pub fn numbers(values: &[i32]) -> Doc {
    values.iter().enumerate().fold(Doc::default(), |doc, (index, value)| doc.i32(&index.to_string(), *value))
}

pub fn field(path: &str, kind: Kind) -> Field {
    let path: Vec<String> = path.split('.').map(str::to_owned).collect();
    Field { name: path.join("."), path, zone: "UTC".into(), large: false, kind, policy: Policy::default(), place: None }
}

pub fn masked(path: &str, kind: Kind) -> Field {
    let mut field = field(path, kind);
    (field.policy.missing, field.policy.null) = (Absent::Mask, Absent::Mask);
    field
}

pub fn filled(path: &str, kind: Kind, fill: &[u8]) -> Field {
    let mut field = field(path, kind);
    (field.policy.missing, field.policy.null) = (Absent::Fill, Absent::Fill);
    field.policy.fill = fill.to_vec();
    field
}

/// Rows decoded, beside their masks.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    pub out: Vec<u8>,
    pub mask: Vec<u8>,
    pub rows: usize,
    pub errors: Vec<String>,
}

/// A schema laid out in rows.
pub struct Laid {
    pub plan: Plan,
    pub size: usize,
    pub mask_size: usize,
}

/// Puts fields one behind the other.
pub fn lay(mut fields: Vec<Field>) -> Laid {
    let (mut size, mut mask_size) = (0, 0);
    for field in &mut fields {
        let (count, kind) = match &field.kind {
            Kind::Array(item, count) => (*count, &item.kind),
            kind => (1, kind),
        };
        let width = stoop_bson::op::width(kind).expect("a fixed width");
        let is_masked = field.policy.missing == Absent::Mask || field.policy.null == Absent::Mask;
        let place = RowPlace { offset: size, mask: is_masked.then_some(mask_size), stride: width, mask_stride: 1 };
        if let Kind::Array(item, _) = &mut field.kind {
            item.place = Some(RowPlace { offset: 0, mask: is_masked.then_some(0), ..place });
        }
        field.place = Some(place);
        size += width * count;
        mask_size += if is_masked { count } else { 0 };
    }
    let schema = Schema { fields };
    InRows::check(&schema, size, mask_size).expect("places inside rows");
    let plan = Plan::new(&schema, &mut InRows::default()).expect("a good schema");
    Laid { plan, size, mask_size }
}

/// Decodes into rows.
pub fn rows(laid: &Laid, bytes: &[u8], on_error: OnError, threads: usize) -> Decoded {
    rows_over(0xEE, laid, bytes, on_error, threads)
}

/// Decodes into rows, in memory full of a byte.
pub fn rows_over(before: u8, laid: &Laid, bytes: &[u8], on_error: OnError, threads: usize) -> Decoded {
    let room = Index::of(bytes).documents;
    let mut out = vec![before; room * laid.size];
    let mut mask = vec![0; room * laid.mask_size];
    let mut sink = Rows { out: &mut out, mask: &mut mask, size: laid.size, mask_size: laid.mask_size, objects: Vec::new() };
    let options = Options { on_error, threads, origin: Origin::default() };
    let Outcome { rows, errors, .. } = parallel::rows(&laid.plan, bytes, &mut sink, options);
    out.truncate(rows * laid.size);
    mask.truncate(rows * laid.mask_size);
    Decoded { out, mask, rows, errors: errors.iter().map(ToString::to_string).collect() }
}

/// Decodes into columns, as Arrow has them.
pub fn columns(fields: Vec<Field>, bytes: &[u8], on_error: OnError) -> (Vec<ArrowArray>, Vec<String>) {
    let mut schema = Schema { fields };
    let specs = columns::number(&mut schema);
    let plan = Plan::new(&schema, &mut InColumns).expect("a good schema");
    let options = Options { on_error, threads: 1, origin: Origin::default() };
    let (batches, outcome) = parallel::columns(&plan, &specs, bytes, options);
    let arrays = batches.into_iter().map(|(columns, rows)| arrow::batch(columns, rows)).collect();
    (arrays, outcome.errors.iter().map(ToString::to_string).collect())
}

/// The schemas that chance tests go through; `true` for those that rows hold.
pub fn schemas() -> Vec<(Vec<Field>, bool)> {
    let with = |mut field: Field, convert| {
        field.policy.convert = convert;
        field
    };
    let mut truncated = masked("s", Kind::FixedText(5));
    truncated.policy.truncate = true;
    let mut padded = masked("l", Kind::Array(Box::new(masked("l", Kind::Int(4))), 3));
    padded.policy.pad = true;
    let list = |item| Kind::List(Box::new(masked("", item)));
    vec![
        (vec![field("x", Kind::F64), field("y", Kind::F64), field("k", Kind::Int(4))], true),
        (vec![masked("x", Kind::F64), masked("y", Kind::F64), masked("k", Kind::Int(8)), masked("b", Kind::Bool)], true),
        (
            vec![
                field("k", Kind::Int(4)),
                filled("x", Kind::F64, &7.5f64.to_le_bytes()),
                filled("id", Kind::ObjectId, &[5; 12]),
                filled("dec", Kind::Decimal, &[6; 16]),
                masked("b", Kind::Bool),
                filled("other", Kind::Int(4), &[]),
                masked("not there", Kind::F64),
            ],
            true,
        ),
        (
            vec![
                with(masked("x", Kind::Int(2)), Convert::Lossy),
                with(masked("k", Kind::F32), Convert::Lossy),
                with(masked("y", Kind::Uint(8)), Convert::Exact),
            ],
            true,
        ),
        (
            vec![
                masked("d.x", Kind::F64),
                masked("d.e.s", Kind::FixedBytes(16)),
                masked("s", Kind::FixedText(12)),
                masked("a long name of a field", Kind::Int(4)),
            ],
            true,
        ),
        (
            vec![
                masked("id", Kind::ObjectId),
                masked("t", Kind::Datetime(Unit::Seconds)),
                masked("u", Kind::Uuid(4)),
                masked("dec", Kind::ScaledDecimal { precision: 10, scale: 2 }),
                truncated,
                padded,
            ],
            true,
        ),
        (
            vec![
                masked("s", Kind::Text),
                masked("u", Kind::Binary(None)),
                masked("l", list(Kind::Int(8))),
                masked("d", Kind::Struct(vec![masked("x", Kind::F64), masked("e.s", Kind::Text)])),
                masked("ds", list(Kind::Struct(vec![masked("x", Kind::F64), masked("l", list(Kind::Text))]))),
                masked("b", Kind::Raw),
            ],
            false,
        ),
    ]
}

/// A document by chance, with most of the names that [`schemas`] ask for.
pub fn document(random: &mut Random) -> Vec<u8> {
    let mut doc = Doc::default();
    let mut names = ["x", "y", "k", "b", "s", "d", "l", "ds", "t", "u", "id", "dec", "a long name of a field", "other"];
    if random.one_in(3) {
        for place in (1..names.len()).rev() {
            names.swap(place, random.below(place + 1));
        }
    }
    let plain = !random.one_in(4);
    for name in names {
        if !plain && random.one_in(3) {
            continue;
        }
        doc = value(doc, name, random, plain);
        // The same name again, now and then.
        if !plain && random.one_in(12) {
            doc = value(doc, name, random, false);
        }
    }
    doc.bytes()
}

/// A document of plain values that mostly come in one order, many of them missing or null; one in `odd` is not like
/// that, or none if it is 0.
pub fn sparse(random: &mut Random, odd: usize) -> Vec<u8> {
    let mut names = ["k", "x", "other", "id", "a name of 15 b.", "dec", "y", "b", "t"];
    let is_odd = odd != 0 && random.one_in(odd);
    if is_odd {
        let (one, two) = (random.below(names.len()), random.below(names.len()));
        names.swap(one, two);
    }
    let mut doc = Doc::default();
    for name in names {
        doc = match random.below(8) {
            0 if name != "k" => doc.null(name),
            1 | 2 if name != "k" => doc,
            _ => value(doc, name, random, !is_odd),
        };
    }
    doc.bytes()
}

fn word(random: &mut Random) -> &'static str {
    const WORDS: [&str; 7] = ["", "a", "cash", "a longer text, more than sixteen", "héllo", "no\0", "日本語"];
    WORDS[random.below(WORDS.len())]
}

fn value(doc: Doc, name: &str, random: &mut Random, plain: bool) -> Doc {
    if !plain && random.one_in(6) {
        return match random.below(5) {
            0 => doc.null(name),
            1 => doc.f64(name, 1.5),
            2 => doc.text(name, word(random)),
            3 => doc.raw(0x0B, name, b"a\0i\0"),
            _ => doc.i64(name, random.next() as i64),
        };
    }
    match name {
        "x" | "y" => match random.below(if plain { 1 } else { 4 }) {
            0 => doc.f64(name, random.below(1000) as f64),
            1 => doc.i32(name, 7),
            2 => doc.i64(name, 1 << 60),
            _ => doc.f64(name, f64::NAN),
        },
        "k" => doc.i32(name, random.next() as i32),
        "b" => doc.bool(name, random.one_in(2)),
        "s" => doc.text(name, word(random)),
        "d" => {
            let inner = Doc::default().text("s", word(random)).bool("o", true);
            doc.doc(name, Doc::default().f64("x", 0.5).doc("e", inner).text("z", word(random)))
        }
        "l" => {
            let items: Vec<i32> = (0..if plain { 3 } else { random.below(6) as i32 }).collect();
            doc.array(name, numbers(&items))
        }
        "ds" => {
            let mut items = Doc::default();
            for index in 0..random.below(4) {
                let list = Doc::default().text("0", word(random)).null("1");
                let item = Doc::default().f64("x", 2.5).array("l", list);
                items = if random.one_in(5) { items.null(&index.to_string()) } else { items.doc(&index.to_string(), item) };
            }
            doc.array(name, items)
        }
        "t" => doc.raw(9, name, &(random.below(1 << 40) as i64 / 1000 * 1000).to_le_bytes()),
        "u" => doc.binary(name, 4, &[7; 16]),
        "id" => doc.raw(7, name, &[9; 12]),
        "dec" => {
            let bits: u128 = (6176 - 2) << 113 | random.below(100_000) as u128;
            doc.raw(0x13, name, &bits.to_le_bytes())
        }
        _ => doc.i32(name, 3),
    }
}

/// What must hold of every Arrow array, whatever was decoded.
pub fn check_array(array: &ArrowArray, is_text: &dyn Fn(&ArrowArray) -> bool) {
    if let Some(Buffer::Bytes(bits)) = array.buffers.first() {
        assert!(bits.len() >= array.length.div_ceil(8));
        let valid = (0..array.length).filter(|row| bits[row / 8] >> (row % 8) & 1 != 0).count();
        assert_eq!(valid + array.nulls, array.length);
    }
    if let Some(Buffer::Offsets(offsets)) = array.buffers.get(1) {
        assert_eq!(offsets.len(), array.length + 1);
        assert_eq!(offsets[0], 0);
        assert!(offsets.is_sorted());
        let end = *offsets.last().expect("not empty") as usize;
        match array.buffers.get(2) {
            Some(Buffer::Bytes(bytes)) => {
                assert_eq!(bytes.len(), end);
                if is_text(array) {
                    for pair in offsets.windows(2) {
                        assert!(std::str::from_utf8(&bytes[pair[0] as usize..pair[1] as usize]).is_ok());
                    }
                }
            }
            _ => assert_eq!(array.children[0].length, end),
        }
    }
    for child in &array.children {
        check_array(child, is_text);
    }
}

fn is_null(array: &ArrowArray, row: usize) -> bool {
    matches!(&array.buffers[0], Buffer::Bytes(bits) if bits[row / 8] >> (row % 8) & 1 == 0)
}

/// Everything the crate does with bytes, whatever they are: nothing may panic, and the fast ways must agree with
/// decoding each document by itself.
pub fn exercise(bytes: &[u8], which: usize) {
    let index = Index::of(bytes);
    assert!(index.consumed <= bytes.len());
    let _ = stoop_bson::batch::split(bytes);
    let _ = stoop_bson::batch::count(bytes, true);
    let _ = stoop_bson::validate::validate_all(bytes);
    let mut all = schemas();
    let number = which % all.len();
    let (fields, in_rows) = all.swap_remove(number);
    let starts = stoop_bson::batch::split(&bytes[..index.consumed]).expect("the index has looked");
    if in_rows {
        let laid = lay(fields.clone());
        let all = rows(&laid, bytes, OnError::Collect, 1);
        let mut one_by_one = Decoded { out: Vec::new(), mask: Vec::new(), rows: 0, errors: Vec::new() };
        for pair in starts.windows(2) {
            let one = rows(&laid, &bytes[pair[0]..pair[1]], OnError::Collect, 1);
            one_by_one.out.extend(one.out);
            one_by_one.mask.extend(one.mask);
            one_by_one.rows += one.rows;
        }
        assert_eq!(all.rows, one_by_one.rows);
        assert!(all.mask == one_by_one.mask, "masks differ, schema {number}");
        for (row, (bulk, alone)) in all.out.chunks(laid.size).zip(one_by_one.out.chunks(laid.size)).enumerate() {
            assert_eq!(bulk, alone, "row {row}, schema {number}");
        }
        // Where nothing is written the memory's old contents would show.
        let again = rows_over(0x11, &laid, bytes, OnError::Collect, 1);
        assert!(all.out == again.out, "unwritten bytes, schema {number}");
    }
    let columns_fit = |field: &Field| !matches!(field.kind, Kind::FixedText(_) | Kind::Array(..));
    let fields: Vec<Field> = fields.into_iter().filter(columns_fit).collect();
    let (batches, errors) = columns(fields.clone(), bytes, OnError::Collect);
    let rows: usize = batches.iter().map(|batch| batch.length).sum();
    assert_eq!(rows + errors.len(), starts.len() - 1 + usize::from(index.broken.is_some()));
    for batch in &batches {
        for (field, child) in fields.iter().zip(&batch.children) {
            check_array(child, &|_| field.kind == Kind::Text);
        }
    }
    // Documents by themselves have no template to follow.
    let mut alone = Vec::new();
    for pair in starts.windows(2) {
        alone.extend(columns(fields.clone(), &bytes[pair[0]..pair[1]], OnError::Collect).0);
    }
    assert_eq!(alone.iter().map(|batch| batch.length).sum::<usize>(), rows);
    if let Some(batch) = batches.first() {
        for (number, child) in batch.children.iter().enumerate() {
            let single: usize = alone.iter().map(|one| one.children[number].nulls).sum();
            assert_eq!(child.nulls, single, "nulls of {:?}", fields[number].path);
            if let [_, Buffer::Bytes(bytes)] = &child.buffers[..]
                && fields[number].kind != Kind::Bool
            {
                let single = alone.iter().flat_map(|one| {
                    let one = &one.children[number];
                    let Buffer::Bytes(bytes) = &one.buffers[1] else { unreachable!("the same column") };
                    if one.nulls == 0 { bytes.clone() } else { vec![0; bytes.len()] }
                });
                let width = bytes.len() / child.length.max(1);
                let bulk = bytes
                    .chunks(width.max(1))
                    .enumerate()
                    .flat_map(|(row, value)| if is_null(child, row) { vec![0; value.len()] } else { value.to_vec() });
                assert!(bulk.eq(single), "values of {:?}", fields[number].path);
            }
            if let [_, Buffer::Offsets(_), Buffer::Bytes(bytes)] = &child.buffers[..] {
                let single: Vec<u8> = alone
                    .iter()
                    .flat_map(|one| match &one.children[number].buffers[2] {
                        Buffer::Bytes(bytes) => bytes.clone(),
                        _ => Vec::new(),
                    })
                    .collect();
                assert!(*bytes == single, "texts of {:?}", fields[number].path);
            }
        }
    }
}
