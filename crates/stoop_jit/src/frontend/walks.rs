//! Walks: loops over lists, tuples, strs and bytes objects, alone, numbered (`enumerate`) or side by side (`zip`), that count in registers.
//!
//! The iterator that CPython keeps on the operand stack is never made: nobody but the loop has it. The abstract stack
//! names a `virtual.iter`, from which exits make one that stands where this one would; compiled code owns a
//! reference to each sequence meanwhile.

use stoop_cpython::decode::Instr;
use stoop_cpython::feedback::Feedback;
use stoop_cpython::opcodes::Opcode;
use stoop_ir::{Block, Class, CmpOp, Imm, Op, State, Type, Value};

use super::builder::{Builder, Item};
use super::flow::target;
use super::instrs::EMPTY_LOOP;

/// What each turn of the loop gets. The numbers are [`Op::VirtualIter`]'s.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The item.
    Items = 0,
    /// Its position and the item.
    Numbered = 1,
    /// The items of several sequences.
    Together = 2,
}

/// Where a loop stands.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    pub(super) kind: Kind,
    /// The number of the first item, where they are numbered.
    start: i64,
    /// The position of the next item.
    pub(super) index: Value,
    /// Exact lists, tuples, strs and bytes objects, or instances of classes that iterate as lists do.
    pub(super) of: Vec<Value>,
    /// What each of them is iterated over as.
    pub(super) classes: Vec<Class>,
    /// What the sequences hold, for example.
    elements: Vec<Option<u64>>,
}

/// Emits the description of a walk into a block, and remembers it by that.
pub(super) fn show(b: &mut Builder<'_>, block: Block, walk: Walk) -> Value {
    let mut args = vec![walk.index];
    args.extend_from_slice(&walk.of);
    let form = walk.kind as i64 + (walk.start << 8);
    let shown = b.f.push(block, Op::VirtualIter, &args, Imm::Int(form), Type::Obj, None).expect("an iterator");
    b.walks.insert(shown, walk);
    shown
}

fn show_here(b: &mut Builder<'_>, walk: Walk) -> Value {
    b.catch();
    show(b, b.cur, walk)
}

/// The class of a sequence, as far as it is known or likely.
fn sequence_class(b: &Builder<'_>, x: Item) -> Option<Class> {
    let known = b.f.ty(x.value).class();
    let class = known.or_else(|| b.examples.get(&x.value).and_then(|o| b.env.example_class(*o)));
    class.filter(|c| matches!(c, Class::List | Class::Tuple | Class::Str | Class::Bytes))
}

/// Whether nothing tells what an object is.
fn is_unknown(b: &Builder<'_>, x: Item) -> bool {
    b.f.ty(x.value) == Type::Obj && !b.examples.contains_key(&x.value)
}

/// A constant int that is not negative.
fn constant_number(b: &Builder<'_>, v: Value) -> Option<u32> {
    let d = b.f.inst(b.f.def_inst(v)?);
    let Imm::Const(c) = d.imm else { return None };
    let c = Some(&b.f.consts[c.index()]).filter(|c| d.op == Op::ConstObj && c.class == Some(Class::Int))?;
    c.text.parse().ok()
}

/// What `begin` walks over: what it is taken for, and for an instance of a class that derives from `list` that class's version.
type Sequence = (Item, Class, Option<u32>);

/// Makes a walk of what was popped off the stack, whose references it takes over, and pushes it.
fn begin(b: &mut Builder<'_>, kind: Kind, start: i64, of: &[Sequence], st: State) {
    let guarded: Vec<Item> = of
        .iter()
        .map(|(x, c, version)| {
            if let Some(version) = version {
                let o = b.op(Op::GuardVersion, &[x.value], Imm::None, Type::Heap(*version), Some(st));
                b.same_example(x.value, o);
                // It stays a list whatever becomes of the class.
                let value = b.op(Op::RefCast, &[o], Imm::None, Type::Obj, None);
                b.same_example(o, value);
                return Item { value, ..*x };
            }
            let exact = Type::Exact(*c);
            if b.f.ty(x.value) == exact {
                return *x;
            }
            let value = b.op(Op::GuardClass, &[x.value], Imm::None, exact, Some(st));
            b.same_example(x.value, value);
            Item { value, ..*x }
        })
        .collect();
    let elements = guarded.iter().map(|x| b.examples.get(&x.value).and_then(|o| b.env.example_item(*o, 0))).collect();
    let classes = of.iter().map(|(_, c, _)| *c).collect();
    let of = guarded.into_iter().map(|x| b.own(x)).collect();
    let index = b.op(Op::ConstInt, &[], Imm::Int(0), Type::I64, None);
    let shown = show_here(b, Walk { kind, start, index, of, classes, elements });
    b.push_owned(shown);
}

/// GET_ITER of a sequence for a loop. Whether it was translated.
pub(super) fn get_iter(b: &mut Builder<'_>, k: usize, i: &Instr) -> bool {
    let x = b.peek(0);
    if b.walks.contains_key(&x.value) {
        return true;
    }
    let next = b.lv.code.instrs.get(k + 1).cloned();
    let loops = |n: &Instr| n.op == Opcode::ForIter || n.op == Opcode::Call && n.arg == 0;
    let Some(next) = next.filter(|n| loops(n) && !b.env.is_generic(i.unit)) else { return false };
    let seen = match next.op {
        Opcode::ForIter if yields_within(b, &next) => return false,
        Opcode::ForIter => next.feedback,
        _ => match super::consumers::follows(b, k + 1, 1) {
            Some(seen) => seen,
            None => return false,
        },
    };
    let seen = match seen {
        Feedback::IterList => Some(Class::List),
        Feedback::IterTuple => Some(Class::Tuple),
        _ => None,
    };
    let derived = b.class_of(x.value).and_then(|c| b.env.derived_list(c)).filter(|(_, ways)| ways.iterates);
    let (class, version) = match derived {
        Some((version, _)) => (Class::List, Some(version)),
        None => match sequence_class(b, x).or_else(|| seen.filter(|_| b.f.ty(x.value) == Type::Obj)) {
            Some(class) => (class, None),
            None => return false,
        },
    };
    let st = b.state(i.unit);
    b.pop();
    begin(b, Kind::Items, 0, &[(x, class, version)], st);
    true
}

/// Whether a loop, told by its FOR_ITER, yields: its iterator is needed in the frame then.
fn yields_within(b: &Builder<'_>, i: &Instr) -> bool {
    if b.lv.consumed.is_some() {
        return false;
    }
    let within = |x: &&Instr| x.unit > i.unit && x.unit < i.target.unwrap_or(0);
    b.lv.code.instrs.iter().filter(within).any(|x| x.op == Opcode::YieldValue)
}

/// A call of `enumerate` or `zip` over sequences whose result is looped over at once. Whether it was translated;
/// the arguments are consumed then.
pub(super) fn call(b: &mut Builder<'_>, k: usize, i: &Instr, name: &str, args: &[Item], st: State) -> bool {
    let (kind, start, args) = match (name, args) {
        ("builtins.enumerate", [_]) => (Kind::Numbered, 0, args),
        ("builtins.enumerate", [_, first]) => match constant_number(b, first.value) {
            Some(n) => (Kind::Numbered, n.into(), &args[..1]),
            None => return false,
        },
        ("builtins.zip", [_, ..]) if args.len() <= 4 => (Kind::Together, 0, args),
        _ => return false,
    };
    let then = |n: usize, op: Opcode| b.lv.code.instrs.get(k + n).is_some_and(|x| x.op == op);
    if !then(1, Opcode::GetIter) || b.lv.blocks.by_unit.contains_key(&i.next) {
        return false;
    }
    let Some(loops) = b.lv.code.instrs.get(k + 2).copied() else { return false };
    let iterates = match loops.op {
        Opcode::ForIter => !yields_within(b, &loops),
        _ => super::consumers::follows(b, k + 2, 0).is_some(),
    };
    if !iterates {
        return false;
    }
    // Of what nothing is known, a list is most likely.
    let likely = |x: &Item| sequence_class(b, *x).or_else(|| is_unknown(b, *x).then_some(Class::List));
    let of: Option<Vec<Sequence>> = args.iter().map(|x| Some((*x, likely(x)?, None))).collect();
    let Some(of) = of else { return false };
    begin(b, kind, start, &of, st);
    true
}

/// Looks into an iterator on the operand stack of a loop entry that is to become a walk: nobody else may have it.
pub(super) fn found(b: &mut Builder<'_>, it: Value, element: Option<u64>, class: Class, is_exact: bool, st: State) -> Walk {
    b.void(Op::GuardUnique, &[it], Imm::None, Some(st));
    let of = b.op(Op::IterSequence, &[it], Imm::None, Type::Obj, Some(st));
    let sequence = if class == Class::ListIter { Class::List } else { Class::Tuple };
    // A list's iterator may be one of an instance of a class that derives from `list`, and does not mind. An iteration that
    // begins in compiled code has the same type.
    let of = match is_exact {
        false if sequence == Class::List => of,
        _ => b.op(Op::GuardClass, &[of], Imm::None, Type::Exact(sequence), Some(st)),
    };
    let index = b.op(Op::IterIndex, &[it], Imm::None, Type::I64, None);
    Walk { kind: Kind::Items, start: 0, index, of: vec![of], classes: vec![sequence], elements: vec![element] }
}

/// Lets the iterator go, once nothing leaves to where it stood any more.
pub(super) fn take_over(b: &mut Builder<'_>, it: Value, walk: Walk) -> Value {
    for of in &walk.of {
        b.void(Op::IncRef, &[*of], Imm::None, None);
    }
    b.void(Op::DecRef, &[it], Imm::None, None);
    show_here(b, walk)
}

/// The parameters for a walk of a block where ways meet.
pub(super) fn meet(b: &mut Builder<'_>, block: Block, shown: Value) -> Option<Walk> {
    let walk = b.walks.get(&shown)?.clone();
    let index = b.f.add_param(block, Type::I64);
    let of = walk.of.iter().map(|v| b.f.add_param(block, b.f.ty(*v))).collect();
    Some(Walk { index, of, ..walk })
}

/// FOR_ITER over a walk.
pub(super) fn next(b: &mut Builder<'_>, i: &Instr, walk: &Walk) {
    let st = b.state(i.unit);
    more(b, i, walk, 0, st);
}

/// Asks the k-th sequence whether it has one more, then the others.
fn more(b: &mut Builder<'_>, i: &Instr, walk: &Walk, k: usize, st: State) {
    let Some(&of) = walk.of.get(k) else { return turn(b, i, walk, st) };
    let op = match walk.classes[k] {
        Class::List => Op::ListLen,
        Class::Str => Op::StrLen,
        _ => Op::TupleLen,
    };
    let len = b.op(op, &[of], Imm::None, Type::I64, None);
    let end = b.op(Op::IntCmp, &[walk.index, len], Imm::Cmp(CmpOp::Ge), Type::I1, None);
    let mut done = |b: &mut Builder<'_>| finish(b, i);
    let mut go_on = |b: &mut Builder<'_>| more(b, i, walk, k + 1, st);
    b.branch(end, [&mut done, &mut go_on]);
}

fn finish(b: &mut Builder<'_>, i: &Instr) {
    // As for any loop: see `flow::for_iter`.
    if b.in_first_iteration() && !b.env.is_generic(i.unit) {
        b.exit(i.unit, EMPTY_LOOP);
        return;
    }
    let it = b.pop();
    b.drop_item(it);
    b.safe_point(target(i));
    b.go(target(i));
}

/// A turn: the items go onto the stack.
fn turn(b: &mut Builder<'_>, i: &Instr, walk: &Walk, st: State) {
    let mut items: Vec<Value> = Vec::new();
    for ((of, class), element) in walk.of.iter().zip(&walk.classes).zip(&walk.elements) {
        let op = match class {
            Class::List => Op::ListItem,
            Class::Tuple => Op::TupleItem,
            // Made below, once nothing is guarded any more.
            _ => {
                items.push(*of);
                continue;
            }
        };
        let mut v = b.op(op, &[*of, walk.index], Imm::None, Type::Obj, None);
        let class = element.and_then(|o| b.env.example_class(o)).filter(|_| !b.env.is_generic(i.unit));
        // Guarded before anything has happened, a number can stay out of its box.
        if let Some(c @ (Class::Float | Class::Int)) = class {
            v = b.op(Op::GuardClass, &[v], Imm::None, Type::Exact(c), Some(st));
            let op = if c == Class::Float { Op::UnboxFloat } else { Op::UnboxInt };
            b.op(op, &[v], Imm::None, Type::unboxed(c).expect("a number"), (c == Class::Int).then_some(st));
        }
        b.examples.extend(element.map(|o| (v, o)));
        items.push(v);
    }
    for (((of, class), element), v) in walk.of.iter().zip(&walk.classes).zip(&walk.elements).zip(&mut items) {
        match class {
            Class::Str => *v = b.op(Op::StrItem, &[*of, walk.index], Imm::None, Type::Exact(Class::Str), Some(st)),
            Class::Bytes => {
                let byte = b.op(Op::BytesItem, &[*of, walk.index], Imm::None, Type::I64, None);
                *v = b.op(Op::BoxInt, &[byte], Imm::None, Type::Exact(Class::Int), None);
            }
            _ => b.void(Op::IncRef, &[*v], Imm::None, None),
        }
        b.examples.extend(element.map(|o| (*v, o)));
    }
    let value = if walk.kind == Kind::Items {
        items[0]
    } else {
        if walk.kind == Kind::Numbered {
            let mut number = walk.index;
            if walk.start != 0 {
                let start = b.op(Op::ConstInt, &[], Imm::Int(walk.start), Type::I64, None);
                number = b.op(Op::IntAdvance, &[number, start], Imm::None, Type::I64, None);
            }
            items.insert(0, b.op(Op::BoxInt, &[number], Imm::None, Type::Exact(Class::Int), None));
        }
        b.op(Op::BuildTuple, &items, Imm::None, Type::Exact(Class::Tuple), Some(st))
    };
    let one = b.op(Op::ConstInt, &[], Imm::Int(1), Type::I64, None);
    let index = b.op(Op::IntAdvance, &[walk.index, one], Imm::None, Type::I64, None);
    b.pop();
    let shown = show_here(b, Walk { index, ..walk.clone() });
    b.push_owned(shown);
    b.push_owned(value);
    b.safe_point(i.next);
    b.go(i.next);
}
