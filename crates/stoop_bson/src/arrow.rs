//! Columns as Arrow arrays: formats and buffers, ready to be lent through the C data interface.

use crate::columns::{Column, Columns, Data, Spec, pack_bits};
use crate::schema::{Kind, Unit};

/// What Arrow's C data interface says of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrowType {
    /// The format string.
    pub format: String,
    /// The column's name.
    pub name: String,
    /// Whether there may be nulls.
    pub nullable: bool,
    /// The columns inside.
    pub children: Vec<ArrowType>,
}

/// A buffer of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Buffer {
    /// None: all values are valid.
    Absent,
    /// Bits or values.
    Bytes(Vec<u8>),
    /// Offsets.
    Offsets(Vec<i32>),
    /// Offsets of large types. No batch is that large; what is made of several may be.
    LargeOffsets(Vec<i64>),
}

/// An array: buffers in the order of its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrowArray {
    /// Values.
    pub length: usize,
    /// Those that are null.
    pub nulls: usize,
    /// Validity first, except for nulls' own type.
    pub buffers: Vec<Buffer>,
    /// The arrays inside.
    pub children: Vec<ArrowArray>,
}

/// The type of a batch: a struct of all columns.
pub fn batch_type(specs: &[Spec]) -> ArrowType {
    let roots = (0..specs.len()).filter(|&number| specs[number].root);
    let children = roots.map(|number| column_type(specs, number)).collect();
    ArrowType { format: "+s".into(), name: String::new(), nullable: false, children }
}

fn column_type(specs: &[Spec], number: usize) -> ArrowType {
    let spec = &specs[number];
    let children = spec.children.iter().map(|&child| column_type(specs, child)).collect();
    let is_item = matches!(spec.kind, Kind::List(_) | Kind::Array(..));
    let mut column = ArrowType { format: format(spec), name: spec.name.clone(), nullable: true, children };
    if is_item {
        column.children[0].name = "item".into();
    }
    column
}

fn format(spec: &Spec) -> String {
    match &spec.kind {
        Kind::F64 => "g".into(),
        Kind::F32 => "f".into(),
        Kind::Int(size) => ["c", "s", "i", "l"][size.trailing_zeros() as usize].into(),
        Kind::Uint(size) => ["C", "S", "I", "L"][size.trailing_zeros() as usize].into(),
        Kind::Bool => "b".into(),
        Kind::Datetime(unit) => {
            let letter = match unit {
                Unit::Milliseconds => 'm',
                Unit::Microseconds => 'u',
                Unit::Nanoseconds => 'n',
                // Longer units are refused with the schema.
                Unit::Seconds | Unit::Minutes | Unit::Hours | Unit::Days => 's',
            };
            format!("ts{letter}:{}", spec.zone)
        }
        Kind::ObjectId => "w:12".into(),
        Kind::ObjectIdHex | Kind::Text if spec.large => "U".into(),
        Kind::ObjectIdHex | Kind::Text => "u".into(),
        Kind::FixedText(characters) => format!("w:{}", characters * 4),
        Kind::FixedBytes(size) | Kind::FixedBinary(size, _) => format!("w:{size}"),
        Kind::Binary(_) | Kind::Raw | Kind::Object if spec.large => "Z".into(),
        Kind::Binary(_) | Kind::Raw | Kind::Object => "z".into(),
        Kind::Uuid(_) | Kind::Decimal => "w:16".into(),
        Kind::ScaledDecimal { precision, scale } => format!("d:{precision},{scale}"),
        Kind::Timestamp => "L".into(),
        Kind::Null => "n".into(),
        Kind::Struct(_) => "+s".into(),
        Kind::Array(_, count) => format!("+w:{count}"),
        Kind::List(_) if spec.large => "+L".into(),
        Kind::List(_) => "+l".into(),
    }
}

/// A batch of finished columns as one array of structs.
pub fn batch(columns: Columns, rows: usize) -> ArrowArray {
    let specs = columns.specs;
    let mut columns: Vec<Option<Column>> = columns.columns.into_iter().map(Some).collect();
    let roots = (0..specs.len()).filter(|&number| specs[number].root);
    let children = roots.map(|number| array(specs, number, rows, &mut columns)).collect();
    ArrowArray { length: rows, nulls: 0, buffers: vec![Buffer::Absent], children }
}

fn array(specs: &[Spec], number: usize, rows: usize, columns: &mut [Option<Column>]) -> ArrowArray {
    let spec = &specs[number];
    let Some(column) = columns[number].take() else { unreachable!("a column lies in one other only") };
    let (validity, mut nulls) = column.validity(rows);
    let mut buffers = vec![validity.map_or(Buffer::Absent, Buffer::Bytes)];
    let mut inner = rows;
    match column.data {
        Data::Fixed(_, bytes) if spec.kind == Kind::Bool => buffers.push(Buffer::Bytes(pack_bits(&bytes))),
        Data::Fixed(width, bytes) if spec.kind == Kind::ObjectIdHex => {
            let offsets = (0..=rows).map(|row| (row * width) as i32).collect();
            buffers.extend([Buffer::Offsets(offsets), Buffer::Bytes(bytes)]);
        }
        Data::Fixed(_, bytes) => buffers.push(Buffer::Bytes(bytes)),
        Data::Variable(offsets, bytes) => buffers.extend([Buffer::Offsets(offsets), Buffer::Bytes(bytes)]),
        Data::List(offsets) => {
            inner = offsets.last().map_or(0, |&end| end as usize);
            buffers.push(Buffer::Offsets(offsets));
        }
        Data::Bare => match spec.kind {
            Kind::Null => {
                buffers.clear();
                nulls = rows;
            }
            Kind::Array(_, count) => inner = rows * count,
            _ => {}
        },
    }
    if spec.large
        && let Some(Buffer::Offsets(offsets)) = buffers.get(1)
    {
        buffers[1] = Buffer::LargeOffsets(offsets.iter().map(|&offset| offset.into()).collect());
    }
    let children = spec.children.iter().map(|&child| array(specs, child, inner, columns)).collect();
    ArrowArray { length: rows, nulls, buffers, children }
}
