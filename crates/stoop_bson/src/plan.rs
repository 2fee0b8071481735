//! A schema made ready for decoding: tables of names, operations and places.

use crate::keys::Keys;
use crate::op::{self, Ops};
use crate::schema::{Absent, Field, Kind, Policy, RowPlace, Schema};
use crate::stage;

/// Where values of a leaf go; what the numbers mean is the sink's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Bytes from the row's start, or the column's number.
    pub at: usize,
    /// Bytes from the mask row's start; [`NO_MASK`] for none.
    pub mask: usize,
}

/// A field without a mask.
pub const NO_MASK: usize = usize::MAX;

/// A field whose values are no documents and no arrays.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Where its values go.
    pub slot: Slot,
    /// What they become.
    pub kind: Kind,
    /// What is done with each type.
    pub ops: Ops,
    /// Bytes a value takes, 0 where that varies.
    pub width: usize,
    /// Values of any length.
    pub variable: bool,
    /// Absent values, conversions.
    pub policy: Policy,
}

/// An array's items.
#[derive(Clone, Debug)]
pub struct Items {
    /// How many there must be; `None` for lists.
    pub count: Option<usize>,
    /// The column of the list; rows: from the place to the first item's.
    pub slot: Slot,
    /// Rows: the distance of items.
    pub stride: usize,
    /// Rows: their distance in the mask.
    pub mask_stride: usize,
    /// What an item is.
    pub item: Target,
    /// Absent arrays.
    pub policy: Policy,
}

/// Where a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A leaf's number.
    Leaf(usize),
    /// An embedded document of the same row: a node's number.
    Node(usize),
    /// An array's number.
    Items(usize),
    /// A document that is an item: a scope's number.
    Scope(usize),
}

/// A field of a document.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its place among the bits of its scope.
    pub bit: usize,
    /// Where its value goes.
    pub target: Target,
}

/// A document of which some fields are wanted.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The wanted fields by name.
    pub keys: Keys,
    /// The wanted fields.
    pub entries: Vec<Entry>,
    /// Where its own values go, if it is a column of its own.
    pub column: Option<(Slot, Policy)>,
    /// The bits of everything in it.
    pub inner: std::ops::Range<usize>,
}

/// What is known of a bit: the field it stands for.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The names from the scope's document inwards, with dots.
    pub path: String,
    /// Where values go.
    pub target: Target,
}

/// A document with all that is embedded in it, except through arrays: what makes up one row or one item.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The document.
    pub root: usize,
    /// The first of its bits among those of the plan.
    pub first_bit: usize,
    /// The fields in the order of their bits; an embedded document comes before what is in it.
    pub units: Vec<Unit>,
    /// The bits that must be seen, one word for 64.
    pub wanted: Vec<u64>,
}

/// A schema made ready for decoding.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Documents.
    pub nodes: Vec<Node>,
    /// Plain fields.
    pub leaves: Vec<Leaf>,
    /// Arrays.
    pub items: Vec<Items>,
    /// Rows and items that are documents; the last is the row's.
    pub scopes: Vec<Scope>,
    /// Bits of all scopes; a multiple of 64 for each.
    pub bits: usize,
    /// Rows have no documents, no arrays and no values but small ones of fixed size.
    pub plain_rows: bool,
    /// Check all of each document, not only what is asked for.
    pub validate: bool,
}

/// A field on its way into the tree.
struct Draft<'a> {
    name: &'a str,
    field: Option<&'a Field>,
    children: Vec<Draft<'a>>,
}

/// Decides where things go: in rows the schema says it, columns are numbered.
pub trait Places {
    /// The place of a leaf, an array or a column of documents.
    fn slot(&mut self, field: &Field, width: Option<usize>) -> Result<Slot, String>;

    /// The place of a column of documents; rows have none: the documents' fields have places.
    fn document(&mut self, field: &Field) -> Result<Option<Slot>, String>;
}

/// Places as the schema says; objects are numbered.
#[derive(Default)]
pub struct InRows {
    /// The paths of the fields that are objects.
    pub objects: Vec<Vec<String>>,
}

impl Places for InRows {
    fn slot(&mut self, field: &Field, _width: Option<usize>) -> Result<Slot, String> {
        if field.kind == Kind::Object {
            self.objects.push(field.path.clone());
            return Ok(Slot { at: self.objects.len() - 1, mask: field.place.and_then(|place| place.mask).unwrap_or(NO_MASK) });
        }
        if op::width(&field.kind).is_none() && !matches!(field.kind, Kind::Array(..)) {
            return Err(format!("field {:?}: rows hold no values of any length but objects", field.path.join(".")));
        }
        let Some(place) = field.place else {
            return Err(format!("field {:?} has no offset", field.path.join(".")));
        };
        Ok(Slot { at: place.offset, mask: place.mask.unwrap_or(NO_MASK) })
    }

    fn document(&mut self, _field: &Field) -> Result<Option<Slot>, String> {
        Ok(None)
    }
}

impl InRows {
    /// Whether all places lie inside rows of these sizes; an `Err` names a field that does not.
    pub fn check(schema: &Schema, size: usize, mask_size: usize) -> Result<(), String> {
        for field in &schema.fields {
            let (end, mask_end) = extent(field).ok_or_else(|| format!("field {:?} is too large", field.path.join(".")))?;
            if end > size || mask_end > mask_size {
                return Err(format!("field {:?} does not lie inside a row of {size} bytes", field.path.join(".")));
            }
        }
        Ok(())
    }
}

/// Where a field ends in a row and in the mask, counted from where it is relative to.
fn extent(field: &Field) -> Option<(usize, usize)> {
    let place = field.place.unwrap_or_default();
    let (mut items, mut item) = (1usize, field);
    while let Kind::Array(inner, count) = &item.kind {
        (items, item) = (items.checked_mul(*count)?, inner);
    }
    let (inner, inner_mask) = match &item.kind {
        Kind::Struct(fields) => fields.iter().try_fold((0, 0), |(end, mask_end), field| {
            let (field_end, field_mask) = extent(field)?;
            Some((end.max(field_end), mask_end.max(field_mask)))
        })?,
        kind => (op::width(kind).unwrap_or(0), usize::from(place.mask.is_some())),
    };
    if !matches!(field.kind, Kind::Array(..)) {
        let is_document = matches!(field.kind, Kind::Struct(_));
        let own = if is_document { 0 } else { place.offset };
        let mask = if is_document { 0 } else { place.mask.unwrap_or(0) };
        return Some((own.checked_add(inner)?, mask.checked_add(inner_mask)?));
    }
    let steps = items.saturating_sub(1);
    let end = place.offset.checked_add(steps.checked_mul(place.stride)?)?.checked_add(inner)?;
    let mask_end = match place.mask {
        Some(mask) => mask.checked_add(steps.checked_mul(place.mask_stride)?)?.checked_add(inner_mask)?,
        None => 0,
    };
    Some((end, mask_end))
}

impl Plan {
    /// The plan of a schema; an `Err` says what is wrong with the schema.
    pub fn new(schema: &Schema, places: &mut dyn Places) -> Result<Plan, String> {
        let mut plan = Plan::default();
        let row = plan.scope(&schema.fields, places)?;
        let units = &plan.scopes[row].units;
        plan.plain_rows = units.len() <= stage::MOST_FIELDS
            && units.iter().all(|unit| matches!(unit.target, Target::Leaf(leaf) if stage::is_plain(&plan.leaves[leaf])));
        Ok(plan)
    }

    /// The scope of a row.
    pub fn row(&self) -> usize {
        self.scopes.len() - 1
    }

    fn scope(&mut self, fields: &[Field], places: &mut dyn Places) -> Result<usize, String> {
        let mut units = Vec::new();
        let root = self.node(&tree(fields)?, "", &mut units, places)?;
        let mut wanted = vec![0; units.len().div_ceil(64)];
        for (bit, unit) in units.iter().enumerate() {
            let bare_document = matches!(unit.target, Target::Node(node) if self.nodes[node].column.is_none());
            if !bare_document {
                wanted[bit / 64] |= 1u64 << (bit % 64);
            }
        }
        let first_bit = self.bits;
        self.bits += wanted.len() * 64;
        self.scopes.push(Scope { root, first_bit, units, wanted });
        Ok(self.scopes.len() - 1)
    }

    fn node(&mut self, drafts: &[Draft], path: &str, units: &mut Vec<Unit>, places: &mut dyn Places) -> Result<usize, String> {
        let number = self.nodes.len();
        self.nodes.push(Node::default());
        let first = units.len();
        let mut entries = Vec::new();
        for draft in drafts {
            let bit = units.len();
            let path = if path.is_empty() { draft.name.to_owned() } else { format!("{path}.{}", draft.name) };
            units.push(Unit { path: path.clone(), target: Target::Leaf(usize::MAX) });
            let target = match draft.field {
                Some(field @ Field { kind: Kind::Struct(fields), policy, .. }) => {
                    let column = places.document(field)?;
                    let node = self.node(&tree(fields)?, &path, units, places)?;
                    self.nodes[node].column = column.map(|slot| (slot, policy.clone()));
                    Target::Node(node)
                }
                Some(field) => self.target(field, places)?,
                None => Target::Node(self.node(&draft.children, &path, units, places)?),
            };
            units[bit].target = target;
            entries.push(Entry { bit, target });
        }
        let keys = Keys::new(drafts.iter().map(|draft| draft.name.as_bytes().into()).collect());
        self.nodes[number] = Node { keys, entries, column: None, inner: first..units.len() };
        Ok(number)
    }

    /// Where values of a field go that is no embedded document.
    fn target(&mut self, field: &Field, places: &mut dyn Places) -> Result<Target, String> {
        let name = || field.path.join(".");
        let (item, count) = match &field.kind {
            Kind::Array(item, count) => (item, Some(*count)),
            Kind::List(item) => (item, None),
            Kind::Struct(fields) => {
                let column = places.document(field)?;
                let scope = self.scope(fields, places)?;
                let root = self.scopes[scope].root;
                self.nodes[root].column = column.map(|slot| (slot, field.policy.clone()));
                return Ok(Target::Scope(scope));
            }
            kind => {
                let width = op::width(kind);
                let fill = field.policy.fill.len();
                if fill != 0 && width.is_some_and(|width| width != fill) {
                    return Err(format!("field {:?}: the fill value has {fill} bytes, not {}", name(), width.unwrap_or(0)));
                }
                let slot = places.slot(field, width)?;
                let ops = op::ops(kind, field.policy.convert);
                let (kind, policy) = (kind.clone(), field.policy.clone());
                let (variable, width) = (width.is_none(), width.unwrap_or(0));
                self.leaves.push(Leaf { slot, kind, ops, width, variable, policy });
                return Ok(Target::Leaf(self.leaves.len() - 1));
            }
        };
        let slot = places.slot(field, None)?;
        let target = self.target(item, places)?;
        let (mut stride, mut mask_stride) = field.place.map_or((0, 0), |place: RowPlace| (place.stride, place.mask_stride));
        // An array of arrays: what lies between its items is a whole inner array.
        let mut inner = &item.kind;
        while let Kind::Array(item, count) = inner {
            stride *= count;
            mask_stride *= count;
            inner = &item.kind;
        }
        let policy = field.policy.clone();
        self.items.push(Items { count, slot, stride, mask_stride, item: target, policy });
        Ok(Target::Items(self.items.len() - 1))
    }

    /// Whether an absent value of anything in a place is written as masked.
    pub fn missing(&self, target: Target) -> Absent {
        match target {
            Target::Leaf(leaf) => self.leaves[leaf].policy.missing,
            Target::Items(items) => self.items[items].policy.missing,
            Target::Node(node) => self.nodes[node].column.as_ref().map_or(Absent::Mask, |(_, policy)| policy.missing),
            Target::Scope(_) => Absent::Mask,
        }
    }
}

/// Fields by their paths as a tree.
fn tree(fields: &[Field]) -> Result<Vec<Draft<'_>>, String> {
    let mut roots = Vec::new();
    for field in fields {
        let name = || field.path.join(".");
        let Some((last, parents)) = field.path.split_last() else {
            return Err("a field has no name".into());
        };
        if field.path.iter().any(|part| part.contains('\0')) {
            return Err(format!("the name {:?} contains NUL, which no BSON name can", name()));
        }
        let mut level: &mut Vec<Draft> = &mut roots;
        for parent in parents {
            let at = level.iter().position(|draft| draft.name == parent).unwrap_or_else(|| {
                level.push(Draft { name: parent, field: None, children: Vec::new() });
                level.len() - 1
            });
            if level[at].field.is_some() {
                return Err(format!("field {:?} lies inside another field of the schema", name()));
            }
            level = &mut level[at].children;
        }
        if level.iter().any(|draft| draft.name == last) {
            return Err(format!("field {:?} is listed twice, or has others inside", name()));
        }
        level.push(Draft { name: last, field: Some(field), children: Vec::new() });
    }
    Ok(roots)
}
