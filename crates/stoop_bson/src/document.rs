//! One document to one row, field by field.

use crate::cache::{Cache, Header};
use crate::element::{self, Type, dense, int32};
use crate::error::{Fallible, Fault, describe};
use crate::keys::read_key;
use crate::op::{Op, expected};
use crate::order::{LANES, Order, Walk};
use crate::plan::{Entry, Leaf, Plan, Scope, Target};
use crate::schema::{Absent, Policy};
use crate::sink::{Output, Place, Sink};
use crate::stage::Stage;
use crate::template::{self, Followed, SIZES, Templates};
use crate::value;

/// What decoding needs beside a plan and a sink; made once, used for all documents.
#[derive(Clone, Debug)]
pub struct Reader<'p> {
    fields: Fields<'p>,
    templates: Templates,
    /// Where the documents end that a template has opened.
    ends: Vec<usize>,
    /// For rows of plain values.
    stage: Option<Stage>,
    order: Order,
    walk: Box<Walk>,
}

impl<'p> Reader<'p> {
    /// A reader by a plan.
    pub fn new(plan: &'p Plan) -> Reader<'p> {
        let fields = Fields { plan, seen: vec![0; plan.bits / 64], cache: Cache::default() };
        Reader {
            fields,
            templates: Templates::new(plan.plain_rows),
            ends: Vec::new(),
            stage: None,
            order: Order::default(),
            walk: Box::default(),
        }
    }

    /// The plan.
    pub fn plan(&self) -> &'p Plan {
        self.fields.plan
    }

    /// Decodes the document of `size` bytes at the start of `bytes`; what lies behind it is not looked at.
    #[inline(always)]
    pub fn row<S: Sink>(&mut self, bytes: &[u8], size: usize, sink: &mut S, place: Place) -> Fallible<()> {
        if !self.templates.awake() {
            return self.strange_row(bytes, size, sink, place);
        }
        let likely = self.templates.by_size[size % SIZES].into();
        if self.follow(likely, bytes, size, sink, place) {
            self.templates.hit(likely, size);
            return Ok(());
        }
        self.other_row(bytes, size, sink, place)
    }

    /// Decodes documents as long as they look like the one before in all but their values, at most so many; how
    /// many, and how many bytes. They need no other checks: what is not the same is not looked at.
    #[inline(always)]
    pub fn run(&mut self, bytes: &[u8], sink: &mut impl Output, row: usize, most: usize) -> (usize, usize) {
        if self.templates.asleep != 0 {
            return self.strange_run(bytes, sink, row, most);
        }
        let Some(template) = self.templates.list.get(self.templates.last) else { return (0, 0) };
        let (done, size) = template.run(self.fields.plan, bytes, sink, row, most);
        self.templates.hits(done);
        (done, size)
    }

    /// Decodes documents that do not look like each other, as long as they consist of known fields.
    #[inline(never)]
    fn strange_run(&mut self, bytes: &[u8], sink: &mut impl Output, row: usize, most: usize) -> (usize, usize) {
        let (mut done, mut rest) = (0, bytes);
        let most = most.min(self.templates.asleep as usize);
        let Reader { fields, stage: Some(stage), order, walk, .. } = self else { return (0, 0) };
        while done + LANES <= most
            && let Some(starts) = several(rest)
        {
            let mut rows = if order.is_known() { order.rows(walk, rest, &starts, sink, row + done) } else { 0 };
            order.hits(rows);
            if rows == 0 {
                rows = stage.rows(&fields.cache, walk, rest, &starts, sink, row + done);
                if !order.hopeless {
                    // Nulls are learnt from documents that only the ordinary way can decode.
                    order.miss(fields.plan, rest, starts[1]);
                }
            }
            if rows == 0 {
                break;
            }
            done += rows;
            rest = &rest[starts[rows]..];
        }
        self.templates.asleep -= done as u32;
        (done, bytes.len() - rest.len())
    }

    /// A document among many that do not look like each other.
    #[inline(never)]
    fn strange_row<S: Sink>(&mut self, bytes: &[u8], size: usize, sink: &mut S, place: Place) -> Fallible<()> {
        if !self.fields.cache.is_open() {
            self.fields.cache.open();
            self.stage = Stage::new(self.fields.plan);
        }
        self.fields.scope(self.fields.plan.row(), bytes, size, sink, place)
    }

    /// A document that does not look like the one before.
    #[inline(never)]
    fn other_row<S: Sink>(&mut self, bytes: &[u8], size: usize, sink: &mut S, place: Place) -> Fallible<()> {
        let tried = usize::from(self.templates.by_size[size % SIZES]);
        for number in 0..self.templates.list.len() {
            if number != tried && self.templates.list[number].may_be(size) && self.follow(number, bytes, size, sink, place) {
                self.templates.hit(number, size);
                return Ok(());
            }
        }
        let plan = self.fields.plan;
        self.fields.scope(plan.row(), bytes, size, sink, place)?;
        if self.templates.miss()
            && let Some(template) = template::record(plan, &bytes[..size])
        {
            self.templates.list.push(template);
        }
        Ok(())
    }

    #[inline(always)]
    fn follow<S: Sink>(&mut self, number: usize, bytes: &[u8], size: usize, sink: &mut S, place: Place) -> bool {
        let Some(template) = self.templates.list.get(number) else { return false };
        let fields = &mut self.fields;
        let plan = fields.plan;
        let followed = template.follow(plan, bytes, size, sink, place, &mut self.ends, |target, value, size, sink| {
            fields.value(target, Type::ARRAY.0, value, size, sink, place).is_ok()
        });
        match followed {
            Followed::No => false,
            Followed::Done => true,
            Followed::Missing(seen) => fields.fill_up(seen, sink, place),
        }
    }
}

/// Decoding field by field.
#[derive(Clone, Debug)]
struct Fields<'p> {
    plan: &'p Plan,
    /// A bit a field: seen in the current row or item of its scope.
    seen: Vec<u64>,
    cache: Cache,
}

impl Fields<'_> {
    /// What a row lacks that has these fields; whether that is allowed.
    fn fill_up(&mut self, seen: &[u64], sink: &mut impl Sink, place: Place) -> bool {
        let scope = &self.plan.scopes[self.plan.row()];
        let first = scope.first_bit / 64;
        self.seen[first..first + seen.len()].copy_from_slice(seen);
        self.missing(scope, sink, place).is_ok()
    }

    fn scope(&mut self, number: usize, bytes: &[u8], size: usize, sink: &mut impl Sink, place: Place) -> Fallible<()> {
        let plan = self.plan;
        let scope = &plan.scopes[number];
        let first = scope.first_bit / 64;
        self.seen[first..first + scope.wanted.len()].fill(0);
        self.node(scope, scope.root, bytes, size, sink, place)?;
        for (word, wanted) in scope.wanted.iter().enumerate() {
            if self.seen[first + word] & wanted != *wanted {
                return self.missing(scope, sink, place);
            }
        }
        Ok(())
    }

    /// The fields of a document of `size` bytes at the start of `bytes`.
    fn node(
        &mut self,
        scope: &Scope,
        number: usize,
        bytes: &[u8],
        size: usize,
        sink: &mut impl Sink,
        place: Place,
    ) -> Fallible<()> {
        let plan = self.plan;
        let node = &plan.nodes[number];
        let end = size - 1;
        let mut at = 4;
        while at < end {
            let mut header = None;
            if self.cache.is_open() {
                at = self.cache.run(plan, number, &mut self.seen, bytes, at, end, sink, place);
                if at >= end {
                    break;
                }
                header = Header::read(&bytes[at..]);
            }
            let ty = bytes[at];
            let Some((key_end, word)) = read_key(bytes, at + 1).filter(|(key_end, _)| *key_end < end) else {
                return Err(Fault::malformed("", "a field name that runs past the end of its document"));
            };
            let key = &bytes[at + 1..key_end];
            at = key_end + 1;
            let found = node.keys.find(word, key);
            let value_size = match element::value_size(ty, &bytes[at..end]) {
                Ok(value_size) => value_size,
                Err(problem) => return Err(bad_value(key, ty, problem)),
            };
            if let Some(header) = header {
                match found.map(|found| node.entries[found]) {
                    Some(Entry { bit, target: Target::Leaf(leaf) }) => {
                        self.cache.put(header, number, Some((leaf, &plan.leaves[leaf], scope.first_bit + bit)));
                    }
                    None => self.cache.put(header, number, None),
                    _ => {}
                }
            }
            if let Some(found) = found {
                let entry = node.entries[found];
                let bit = scope.first_bit + entry.bit;
                let again = self.seen[bit / 64] >> (bit % 64) & 1 != 0;
                self.seen[bit / 64] |= 1 << (bit % 64);
                if again {
                    self.again(scope, entry.target, sink, place);
                }
                let value = &bytes[at..];
                let done = match entry.target {
                    Target::Leaf(leaf) => value::store(&plan.leaves[leaf], ty, &value[..value_size], sink, place),
                    Target::Node(inner) => self.embedded(scope, inner, ty, value, value_size, sink, place),
                    target => self.value(target, ty, value, value_size, sink, place),
                };
                if let Err(fault) = done
                    && (fault.is_malformed() || !comes_again(key, &bytes[..end], at + value_size))
                {
                    return Err(fault.within(&String::from_utf8_lossy(key)));
                }
            }
            at += value_size;
        }
        if at == end { Ok(()) } else { Err(Fault::malformed("", "elements that run past the end of their document")) }
    }

    /// An embedded document whose fields belong to the same scope.
    #[expect(clippy::too_many_arguments, reason = "a value and its surroundings")]
    fn embedded(
        &mut self,
        scope: &Scope,
        number: usize,
        ty: u8,
        value: &[u8],
        size: usize,
        sink: &mut impl Sink,
        place: Place,
    ) -> Fallible<()> {
        let column = &self.plan.nodes[number].column;
        match Type(ty) {
            Type::DOCUMENT => {
                if let Some((slot, _)) = column {
                    sink.mark(*slot, place, false);
                }
                self.node(scope, number, value, size, sink, place)
            }
            Type::NULL | Type::UNDEFINED => {
                let policy = column.as_ref().map(|(_, policy)| policy.null);
                self.no_document(scope, number, policy, |policy| policy.null, "null", sink, place)
            }
            _ => Err(Fault::new("", "document", describe(ty, &value[..size]))),
        }
    }

    /// Everything in a document that is null or missing becomes absent.
    #[expect(clippy::too_many_arguments, reason = "a document and its surroundings")]
    fn no_document(
        &mut self,
        scope: &Scope,
        number: usize,
        policy: Option<Absent>,
        of: fn(&Policy) -> Absent,
        found: &str,
        sink: &mut impl Sink,
        place: Place,
    ) -> Fallible<()> {
        let node = &self.plan.nodes[number];
        if policy == Some(Absent::Error) {
            return Err(Fault::new("", "document", found));
        }
        if let Some((slot, _)) = node.column {
            sink.mark(slot, place, policy == Some(Absent::Mask));
        }
        for entry in node.entries.iter() {
            let bit = scope.first_bit + entry.bit;
            self.seen[bit / 64] |= 1 << (bit % 64);
            let name = || scope.units[entry.bit].path.rsplit('.').next().unwrap_or("").to_owned();
            // What is below a masked document is masked; below a path, each field has its own policy.
            let action = |own: Absent| policy.unwrap_or(own);
            match entry.target {
                Target::Node(inner) => {
                    let own = policy.or(self.plan.nodes[inner].column.as_ref().map(|(_, policy)| of(policy)));
                    self.no_document(scope, inner, own, of, found, sink, place).map_err(|fault| fault.within(&name()))?;
                }
                target => {
                    let own = match target {
                        Target::Leaf(leaf) => of(&self.plan.leaves[leaf].policy),
                        Target::Items(items) => of(&self.plan.items[items].policy),
                        _ => Absent::Mask,
                    };
                    self.absent(target, action(own), found, sink, place).map_err(|fault| fault.within(&name()))?;
                }
            }
        }
        Ok(())
    }

    /// A value that is no part of an embedded document of the row: an array, or an item.
    fn value(&mut self, target: Target, ty: u8, value: &[u8], size: usize, sink: &mut impl Sink, place: Place) -> Fallible<()> {
        let is_null = matches!(Type(ty), Type::NULL | Type::UNDEFINED);
        match target {
            Target::Leaf(leaf) => value::store(&self.plan.leaves[leaf], ty, &value[..size], sink, place),
            Target::Items(items) if is_null => self.absent(target, self.plan.items[items].policy.null, "null", sink, place),
            Target::Items(items) if Type(ty) == Type::ARRAY => self.items(items, value, size, sink, place),
            Target::Scope(scope) if Type(ty) == Type::DOCUMENT => {
                if let Some((slot, _)) = &self.plan.nodes[self.plan.scopes[scope].root].column {
                    sink.mark(*slot, place, false);
                }
                self.scope(scope, value, size, sink, place)
            }
            Target::Scope(scope) if is_null => self.no_item(scope, |policy| policy.null, "null", sink, place),
            Target::Items(_) => Err(Fault::new("", "array", describe(ty, &value[..size]))),
            _ => Err(Fault::new("", "document", describe(ty, &value[..size]))),
        }
    }

    fn items(&mut self, number: usize, bytes: &[u8], size: usize, sink: &mut impl Sink, place: Place) -> Fallible<()> {
        let plan = self.plan;
        let items = &plan.items[number];
        if items.count.is_none() {
            sink.begin_list(items, place);
        }
        let end = size - 1;
        let (mut at, mut index) = (4, 0);
        while at < end {
            let ty = bytes[at];
            // The names of items are their numbers; as everybody does, they are not looked at.
            let key_end = element::find_nul(bytes, at + 1).filter(|key_end| *key_end < end);
            let Some(key_end) = key_end else {
                return Err(Fault::malformed("", "an array's index that runs past its end"));
            };
            at = key_end + 1;
            let value_size =
                element::value_size(ty, &bytes[at..end]).map_err(|problem| Fault::malformed(&index.to_string(), problem))?;
            if items.count.is_none_or(|count| index < count) {
                let inner = sink.item(items, place, index);
                self.value(items.item, ty, &bytes[at..], value_size, sink, inner)
                    .map_err(|fault| fault.within(&index.to_string()))?;
            }
            index += 1;
            at += value_size;
        }
        if at != end {
            return Err(Fault::malformed("", "items that run past the end of their array"));
        }
        let Some(count) = items.count else {
            sink.end_list(items, place, index);
            return Ok(());
        };
        sink.mark(items.slot, place, false);
        if index > count || (index < count && !items.policy.pad) {
            return Err(Fault::new("", format!("array of {count} items"), format!("array of {index} items")));
        }
        for index in index..count {
            let inner = sink.item(items, place, index);
            let done = match items.item {
                Target::Scope(scope) => self.no_item(scope, |policy| policy.missing, NO_ITEM, sink, inner),
                item => self.absent(item, self.plan.missing(item), NO_ITEM, sink, inner),
            };
            done.map_err(|fault| fault.within(&index.to_string()))?;
        }
        Ok(())
    }

    /// What a policy says of a value that is not there.
    fn absent(&mut self, target: Target, action: Absent, found: &str, sink: &mut impl Sink, place: Place) -> Fallible<()> {
        let plan = self.plan;
        let masked = action == Absent::Mask;
        match target {
            Target::Leaf(leaf) => absent_leaf(&plan.leaves[leaf], action, found, sink, place),
            Target::Items(number) => {
                let items = &plan.items[number];
                match items.count {
                    _ if action == Absent::Error => Err(Fault::new("", "array", found)),
                    None => {
                        sink.begin_list(items, place);
                        sink.end_list(items, place, 0);
                        sink.mark(items.slot, place, masked);
                        Ok(())
                    }
                    Some(count) => {
                        for index in 0..count {
                            let inner = sink.item(items, place, index);
                            self.absent(items.item, action, found, sink, inner)?;
                        }
                        sink.mark(items.slot, place, masked);
                        Ok(())
                    }
                }
            }
            Target::Scope(number) => {
                let scope = &plan.scopes[number];
                self.no_document(scope, scope.root, Some(action), |policy| policy.null, found, sink, place)
            }
            Target::Node(_) => unreachable!("documents of a row are dealt with by their scope"),
        }
    }

    /// An item that should be a document, and is null or missing.
    fn no_item(
        &mut self,
        number: usize,
        of: fn(&Policy) -> Absent,
        found: &str,
        sink: &mut impl Sink,
        place: Place,
    ) -> Fallible<()> {
        let scope = &self.plan.scopes[number];
        let own = self.plan.nodes[scope.root].column.as_ref().map(|(_, policy)| of(policy));
        self.no_document(scope, scope.root, own, of, found, sink, place)
    }

    /// A name came again: the last one wins, and nothing of the earlier value may stay.
    #[cold]
    fn again(&mut self, scope: &Scope, target: Target, sink: &mut impl Sink, place: Place) {
        let plan = self.plan;
        match target {
            Target::Leaf(leaf) => sink.mask(plan.leaves[leaf].slot, place, false),
            Target::Items(number) => {
                let items = &plan.items[number];
                sink.mark(items.slot, place, false);
                if let Some(count) = items.count {
                    for index in 0..count {
                        let inner = sink.item(items, place, index);
                        self.again(scope, items.item, sink, inner);
                    }
                }
            }
            Target::Node(number) => {
                for bit in plan.nodes[number].inner.clone() {
                    let target = scope.units[bit].target;
                    let bit = scope.first_bit + bit;
                    self.seen[bit / 64] &= !(1 << (bit % 64));
                    if !matches!(target, Target::Node(_)) {
                        self.again(scope, target, sink, place);
                    }
                }
            }
            Target::Scope(number) => self.again(&plan.scopes[number], Target::Node(plan.scopes[number].root), sink, place),
        }
    }

    /// The fields that a document does not have.
    #[cold]
    #[inline(never)]
    fn missing(&mut self, scope: &Scope, sink: &mut impl Sink, place: Place) -> Fallible<()> {
        let first = scope.first_bit / 64;
        for word in 0..scope.wanted.len() {
            loop {
                let unseen = scope.wanted[word] & !self.seen[first + word];
                if unseen == 0 {
                    break;
                }
                let bit = unseen.trailing_zeros() as usize;
                self.seen[first + word] |= 1 << bit;
                let unit = &scope.units[word * 64 + bit];
                let done = match unit.target {
                    Target::Leaf(leaf) => {
                        let leaf = &self.plan.leaves[leaf];
                        absent_leaf(leaf, leaf.policy.missing, NOT_THERE, sink, place)
                    }
                    Target::Node(node) => {
                        let policy = self.plan.nodes[node].column.as_ref().map(|(_, policy)| policy.missing);
                        self.no_document(scope, node, policy, |policy| policy.missing, NOT_THERE, sink, place)
                    }
                    target => self.absent(target, self.plan.missing(target), NOT_THERE, sink, place),
                };
                done.map_err(|fault| fault.within(&unit.path))?;
            }
        }
        Ok(())
    }
}

/// Whether a document has a field of this name from `at` on: then what the one before holds does not matter.
#[cold]
#[inline(never)]
fn comes_again(key: &[u8], bytes: &[u8], mut at: usize) -> bool {
    while at < bytes.len() {
        let Some((key_end, _)) = read_key(bytes, at + 1) else { return false };
        if &bytes[at + 1..key_end] == key {
            return true;
        }
        let Ok(size) = element::value_size(bytes[at], &bytes[key_end + 1..]) else { return false };
        at = key_end + 1 + size;
    }
    false
}

const NOT_THERE: &str = "no such field";
const NO_ITEM: &str = "no such item";

/// What a policy says of a plain value that is not there.
#[inline]
pub fn absent_leaf(leaf: &Leaf, action: Absent, found: &str, sink: &mut impl Sink, place: Place) -> Fallible<()> {
    if action == Absent::Error {
        return Err(Fault::new("", expected(&leaf.kind), found));
    }
    sink.absent(leaf, place, action == Absent::Mask);
    Ok(())
}

#[cold]
fn bad_value(key: &[u8], ty: u8, problem: &str) -> Box<Fault> {
    let name = String::from_utf8_lossy(key);
    if Type(ty).extent() == element::Extent::Unknown {
        return Fault::malformed(&name, format!("an element of unknown type 0x{ty:02x}"));
    }
    Fault::malformed(&name, format!("{} with {problem}", Type(ty).name()))
}

/// The size of the document at the start of `bytes`; an `Err` says what is wrong.
#[inline(always)]
pub fn document_size(bytes: &[u8]) -> Result<usize, String> {
    match int32(bytes, 0) {
        Some(size) if size >= 5 && size as usize <= bytes.len() && bytes[size as usize - 1] == 0 => Ok(size as usize),
        size => Err(bad_size(bytes, size)),
    }
}

/// Where some documents at the start of `bytes` begin, and where the last ends.
#[inline(always)]
fn several(bytes: &[u8]) -> Option<[usize; LANES + 1]> {
    let mut starts = [0; LANES + 1];
    for lane in 0..LANES {
        let start = starts[lane];
        starts[lane + 1] = start + document_size(&bytes[start..]).ok()?;
    }
    // Places in them have 32 bits.
    (starts[LANES] <= u32::MAX as usize).then_some(starts)
}

#[cold]
fn bad_size(bytes: &[u8], size: Option<i32>) -> String {
    match size {
        None => format!("only {} bytes of a document, not even its length", bytes.len()),
        Some(size) if size < 5 => format!("a document of length {size}"),
        Some(size) if size as usize > bytes.len() => {
            format!("a document cut off: its length is {size}, and {} bytes are left", bytes.len())
        }
        Some(size) => format!("a document of length {size} whose last byte is {}, not 0", bytes[size as usize - 1]),
    }
}

/// The operation on a value of a leaf.
#[inline(always)]
pub fn op_of(leaf: &Leaf, ty: u8) -> Op {
    leaf.ops[dense(ty)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::InRows;
    use crate::rows::Rows;
    use crate::schema::{Field, Kind, Policy, RowPlace, Schema};

    fn document(names: &[&str]) -> Vec<u8> {
        typed(&names.iter().map(|name| (1, *name)).collect::<Vec<_>>())
    }

    fn typed(fields: &[(u8, &str)]) -> Vec<u8> {
        let mut bytes = vec![0; 4];
        for (ty, name) in fields {
            bytes.push(*ty);
            bytes.extend(name.as_bytes());
            bytes.push(0);
            if *ty == 1 {
                bytes.extend(2.5f64.to_le_bytes());
            }
        }
        bytes.push(0);
        bytes[0] = bytes.len() as u8;
        bytes
    }

    fn plan() -> Plan {
        let field = |(number, name): (usize, &str)| Field {
            path: vec![name.to_owned()],
            name: name.to_owned(),
            zone: String::new(),
            large: false,
            kind: Kind::F64,
            policy: Policy::default(),
            place: Some(RowPlace { offset: number * 8, ..RowPlace::default() }),
        };
        let fields = ["x", "y"].into_iter().enumerate().map(field).collect();
        Plan::new(&Schema { fields }, &mut InRows::default()).expect("a good schema")
    }

    #[test]
    fn documents_alike_are_decoded_in_one_run() {
        let plan = plan();
        let (mut out, mut mask) = (vec![0; 160], []);
        let mut sink = Rows { out: &mut out, mask: &mut mask, size: 16, mask_size: 0, objects: Vec::new() };
        let bytes = [document(&["x", "y"]).repeat(9), document(&["y", "x"])].concat();
        let size = bytes.len() / 10;
        let mut reader = Reader::new(&plan);
        assert_eq!(reader.run(&bytes, &mut sink, 0, 10).0, 0);
        let place = sink.place(0);
        assert_eq!(reader.row(&bytes, size, &mut sink, place), Ok(()));
        // The last lacks bytes behind it, and its order is another one.
        assert_eq!(reader.run(&bytes[size..], &mut sink, 1, 9), (8, 8 * size));
    }

    /// Documents that lack half of their fields, or have null there, in as many layouts as there are, in bulk.
    #[test]
    fn rows_with_gaps_follow_an_order() {
        let mut field = |(number, name): (usize, &str)| Field {
            path: vec![name.to_owned()],
            name: name.to_owned(),
            zone: String::new(),
            large: false,
            kind: Kind::F64,
            policy: Policy { missing: Absent::Fill, null: Absent::Fill, ..Policy::default() },
            place: Some(RowPlace { offset: number * 8, ..RowPlace::default() }),
        };
        let names = ["a", "b", "c", "d", "e"];
        let fields = names.into_iter().enumerate().map(&mut field).collect();
        let plan = Plan::new(&Schema { fields }, &mut InRows::default()).expect("a good schema");
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for number in 0..4000usize {
            let bits = number.wrapping_mul(2654435761) >> 7;
            let is_null = |bit: usize| number > 2000 && bits >> (8 + bit) & 1 != 0;
            let some = (0..5).filter(|&bit| bits >> bit & 1 != 0 || is_null(bit));
            let some: Vec<_> = some.map(|bit| (if bits >> bit & 1 != 0 { 1 } else { 10 }, names[bit])).collect();
            bytes.extend(typed(&some));
            expected.extend((0..5).flat_map(|bit| if bits >> bit & 1 != 0 { 2.5f64 } else { 0.0 }.to_le_bytes()));
        }
        let (mut out, mut mask) = (vec![1; expected.len()], []);
        let mut sink = Rows { out: &mut out, mask: &mut mask, size: 40, mask_size: 0, objects: Vec::new() };
        let mut reader = Reader::new(&plan);
        let (mut row, mut at) = (0, 0);
        while at < bytes.len() {
            let (rows, size) = reader.run(&bytes[at..], &mut sink, row, 4000 - row);
            (row, at) = (row + rows, at + size);
            if let Ok(size) = document_size(&bytes[at..]) {
                let place = sink.place(row);
                assert_eq!(reader.row(&bytes[at..], size, &mut sink, place), Ok(()));
                (row, at) = (row + 1, at + size);
            }
        }
        assert!(reader.order.is_known());
        assert!(out == expected);
        // Nulls are nothing strange any more.
        let some = typed(&[(10, "a"), (1, "c"), (10, "e")]);
        let mut sink = Rows { out: &mut out, mask: &mut mask, size: 40, mask_size: 0, objects: Vec::new() };
        let two = [&some[..], &some, &[0; 64]].concat();
        let starts = std::array::from_fn(|lane| lane * some.len());
        assert_eq!(reader.order.rows(&mut reader.walk, &two, &starts, &mut sink, 0), 2);
        // Another order: there is none any more.
        let strange = document(&["b", "a"]);
        reader.order.miss(&plan, &[&strange[..], &[0; 32]].concat(), strange.len());
        assert!(reader.order.hopeless && !reader.order.is_known());
    }

    #[test]
    fn fields_in_ever_new_orders_are_remembered() {
        let plan = plan();
        let (mut out, mut mask) = (vec![0; 16], []);
        let mut sink = Rows { out: &mut out, mask: &mut mask, size: 16, mask_size: 0, objects: Vec::new() };
        let mut fields = Reader::new(&plan).fields;
        fields.cache.open();
        let bytes = document(&["y", "x"]);
        let end = bytes.len() - 1;
        let place = sink.place(0);
        let run = |fields: &mut Fields, sink: &mut Rows| {
            let mut seen = vec![0; fields.seen.len()];
            fields.cache.run(&plan, 0, &mut seen, &[&bytes[..], &[0; 16]].concat(), 4, end, sink, place)
        };
        assert_eq!(run(&mut fields, &mut sink), 4);
        assert_eq!(fields.scope(plan.row(), &bytes, bytes.len(), &mut sink, place), Ok(()));
        assert_eq!(run(&mut fields, &mut sink), end);
        assert_eq!(sink.out, [2.5f64.to_le_bytes(), 2.5f64.to_le_bytes()].concat());
    }
}
