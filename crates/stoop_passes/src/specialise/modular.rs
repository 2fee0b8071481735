//! Arithmetic modulo 2**64: `(a * x + c) & 0xFFFFFFFFFFFFFFFF` and the like.
//!
//! The low bits of a sum, difference, product, shift to the left or bitwise operator are told by the low bits of its
//! operands, whatever their size. So where a mask, or a remainder by a power of two, throws all others away, nothing wider
//! than a register is made: the operators below it, whose results nobody else sees, become a *tree* that is computed where
//! its root stands. Sound because in between only references to its own operands are dropped, which is put off: a guard of
//! an operand leaves by the state of the tree's first operator.
//!
//! A result below 2**64 that does not fit a register with a sign is boxed (`box.uint`), but known by its bits: shifts to
//! the right and bitwise operators of such values are computed on those. So are variables of loops that are nothing else.

use std::collections::{HashMap, HashSet};

use stoop_ir::{BinOp, Class, Function, Hint, Imm, Inst, InstData, Op, State, Type, Value};

use super::{Specialiser, constant};
use crate::util::root;

/// An operator whose tree is computed in one go.
#[derive(Clone, Debug)]
struct Root {
    /// The state of the first of its operators.
    first: Option<State>,
    /// Drops that stood between the operators.
    after: Vec<Inst>,
}

/// What is computed modulo 2**64.
#[derive(Default)]
pub(super) struct Plan {
    roots: HashMap<Inst, Root>,
    /// Operators within trees, by their results.
    members: HashMap<Value, Inst>,
    /// What goes: operators within trees, what drops their results, safe points between them.
    gone: HashSet<Inst>,
    /// Values that are known to be ints from 0 to 2**64 - 1.
    narrow: HashSet<Value>,
    /// The bits of results, once they are computed.
    bits: HashMap<Value, Value>,
}

/// What finding trees needs to know of a function.
struct Finder<'f> {
    f: &'f Function,
    types: &'f [Option<Type>],
    uses: Vec<u32>,
    drops: HashMap<Value, Vec<Inst>>,
    plan: Plan,
}

/// A constant int.
fn number(f: &Function, v: Value) -> Option<i128> {
    constant(f, root(f, v), Class::Int).and_then(|text| text.parse().ok())
}

fn unsigned(n: i128) -> Option<u64> {
    u64::try_from(n).ok()
}

/// An operator on two objects.
fn operator(d: &InstData) -> Option<BinOp> {
    match (d.op, d.imm) {
        (Op::PyBinary | Op::PyInplace, Imm::Bin(op)) => Some(op),
        _ => None,
    }
}

/// The bits that an operator with a constant leaves: a mask on either side, or a power of two to divide by.
fn mask(f: &Function, d: &InstData) -> Option<u64> {
    match operator(d)? {
        BinOp::And => match [0, 1].map(|k| number(f, d.args[k])) {
            [Some(n), None] | [None, Some(n)] => unsigned(n),
            _ => None,
        },
        BinOp::Mod => number(f, d.args[1]).filter(|n| *n > 0 && n & (n - 1) == 0).and_then(|n| unsigned(n - 1)),
        _ => None,
    }
}

/// A shift by a constant that leaves something of a register.
fn shift(f: &Function, d: &InstData) -> Option<u32> {
    number(f, d.args[1]).and_then(|n| u32::try_from(n).ok()).filter(|n| *n < 64)
}

/// What is computed modulo 2**64 in a function.
pub(super) fn plan(f: &Function, types: &[Option<Type>]) -> Plan {
    if !f.insts.iter().any(|d| mask(f, d).is_some()) {
        return Plan::default();
    }
    let mut assumed: HashSet<Value> = f.blocks.iter().flat_map(|b| &b.params).copied().collect();
    loop {
        let found = Finder::new(f, types, assumed.clone()).run();
        let targets = f.blocks.iter().flat_map(|b| &b.insts).flat_map(|i| &f.inst(*i).targets);
        let mut wrong: HashSet<Value> = f.blocks[f.entry().index()].params.iter().copied().collect();
        for t in targets {
            let params = f.blocks[t.block.index()].params.iter();
            let fits = |v: Value| found.narrow.contains(&root(f, v)) || number(f, v).and_then(unsigned).is_some();
            wrong.extend(params.zip(&t.args).filter(|(_, a)| !fits(**a)).map(|(p, _)| *p));
        }
        let before = assumed.len();
        assumed.retain(|p| !wrong.contains(p));
        if assumed.len() == before {
            return found;
        }
    }
}

impl<'f> Finder<'f> {
    fn new(f: &'f Function, types: &'f [Option<Type>], narrow: HashSet<Value>) -> Finder<'f> {
        let mut uses = vec![0; f.values.len()];
        let mut drops: HashMap<Value, Vec<Inst>> = HashMap::new();
        for i in f.blocks.iter().flat_map(|b| &b.insts) {
            let d = f.inst(*i);
            if d.op == Op::DecRef {
                drops.entry(d.args[0]).or_default().push(*i);
                continue;
            }
            d.args.iter().chain(d.targets.iter().flat_map(|t| &t.args)).for_each(|v| uses[v.index()] += 1);
        }
        Finder { f, types, uses, drops, plan: Plan { narrow, ..Plan::default() } }
    }

    fn run(mut self) -> Plan {
        for b in &self.f.blocks {
            for (k, i) in b.insts.iter().enumerate() {
                let d = self.f.inst(*i);
                if operator(d).is_some() && !self.plan.gone.contains(i) {
                    self.root(&b.insts[..k], *i, d);
                }
            }
        }
        self.plan
    }

    fn class(&self, v: Value) -> Option<Class> {
        self.types.get(v.index()).copied().flatten().and_then(Type::class)
    }

    /// Whether operand `k` is an int, or is worth a guard that asks for one.
    fn is_int(&self, d: &InstData, k: usize) -> bool {
        let v = d.args[k];
        match (self.class(v), self.types.get(v.index()).copied().flatten()) {
            (Some(c), _) => c == Class::Int,
            (None, Some(Type::Obj) | None) => match d.hint {
                Hint::Class(c) => c == Class::Int,
                Hint::Mixed => true,
                Hint::None => self.class(d.args[1 - k]) == Some(Class::Int),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether a value is an int from 0 to 2**64 - 1, `within` a tree.
    fn is_narrow(&self, v: Value, within: &HashMap<Value, Inst>) -> bool {
        if self.plan.narrow.contains(&root(self.f, v)) || number(self.f, v).and_then(unsigned).is_some() {
            return true;
        }
        let Some(d) = within.get(&v).map(|i| self.f.inst(*i)) else { return false };
        self.yields_narrow(d, within)
    }

    fn yields_narrow(&self, d: &InstData, within: &HashMap<Value, Inst>) -> bool {
        let mut narrow = d.args.iter().map(|v| self.is_narrow(*v, within));
        match operator(d) {
            Some(BinOp::And) => narrow.any(|n| n),
            Some(BinOp::Or | BinOp::Xor) => narrow.all(|n| n),
            Some(BinOp::Shr) => shift(self.f, d).is_some() && narrow.next() == Some(true),
            _ => false,
        }
    }

    /// Whether an operator's low bits are told by its operands' ones.
    fn has_low_bits(&self, d: &InstData, within: &HashMap<Value, Inst>) -> bool {
        let ints = (0..2).all(|k| self.is_int(d, k) || within.contains_key(&d.args[k]));
        ints && match operator(d) {
            Some(BinOp::Add | BinOp::Sub | BinOp::Mul | BinOp::And | BinOp::Or | BinOp::Xor) => true,
            Some(BinOp::Shl) => shift(self.f, d).is_some(),
            Some(BinOp::Shr) => self.yields_narrow(d, within),
            _ => false,
        }
    }

    /// Looks for the tree of an operator, behind these instructions of its block.
    fn root(&mut self, before: &[Inst], i: Inst, d: &InstData) {
        let f = self.f;
        let Some(result) = d.result else { return };
        let mut members: HashMap<Value, Inst> = HashMap::new();
        let mut start = before.len();
        // Results that the operators behind want; nobody else does.
        let mut wanted: Vec<Value> = d.args.clone();
        let (mut gone, mut after) = (Vec::new(), Vec::new());
        let (mut between, mut pending): (Vec<Inst>, Vec<Inst>) = (Vec::new(), Vec::new());
        for (k, &j) in before.iter().enumerate().rev() {
            let dj = f.inst(j);
            match (dj.op, dj.result) {
                (Op::ConstObj, _) => {}
                (Op::Check | Op::CheckValid, _) => between.push(j),
                (Op::DecRef, _) => pending.push(j),
                (Op::PyBinary | Op::PyInplace, Some(r)) if wanted.contains(&r) && self.belongs(dj, r) => {
                    members.insert(r, j);
                    wanted.extend(&dj.args);
                    gone.push(j);
                    gone.append(&mut between);
                    after.append(&mut pending);
                    start = k;
                }
                _ => break,
            }
        }
        // From the leaves on: what is within a tree must have its low bits told.
        let sound = |s: &Self| members.values().all(|j| s.has_low_bits(f.inst(*j), &members));
        let is_root = match mask(f, d) {
            Some(_) => (0..2).all(|k| self.is_int(d, k) || members.contains_key(&d.args[k])),
            None => self.has_low_bits(d, &members) && self.yields_narrow(d, &members),
        };
        if !is_root || !sound(self) {
            return;
        }
        let all = || gone.iter().map(|j| f.inst(*j)).filter(|d| operator(d).is_some()).chain([d]);
        let operand = |v: &Value| !members.contains_key(v);
        let drops_own = after.iter().all(|j| {
            let v = f.inst(*j).args[0];
            members.contains_key(&v) || all().any(|d| d.args.contains(&v))
        });
        let is_wide = all().any(|d| {
            matches!(d.hint, Hint::Mixed | Hint::Generic)
                || d.args.iter().any(|v| number(f, *v).is_some_and(|n| i64::try_from(n).is_err()))
        });
        let from_bits = all().flat_map(|d| &d.args).filter(|v| operand(v)).any(|v| self.plan.narrow.contains(&root(f, *v)));
        if !drops_own || !(is_wide || from_bits) || members.is_empty() && !from_bits {
            return;
        }
        let first = if start == before.len() { d.state } else { f.inst(before[start]).state };
        for r in members.keys() {
            gone.extend(self.drops.get(r).into_iter().flatten());
        }
        after.retain(|j| !gone.contains(j));
        after.reverse();
        self.plan.gone.extend(gone);
        self.plan.gone.extend(&after);
        self.plan.members.extend(members);
        self.plan.narrow.insert(result);
        self.plan.roots.insert(i, Root { first, after });
    }

    /// Whether an operator's result goes to one other operator only, and what stands between can wait.
    fn belongs(&self, d: &InstData, result: Value) -> bool {
        let dropped = self.drops.get(&result).map_or(0, Vec::len);
        self.uses[result.index()] == 1 && dropped <= 1 && !self.plan.narrow.contains(&result) && operator(d).is_some()
    }
}

impl Specialiser {
    /// An instruction of a tree. Whether it was one: then it is done.
    pub(super) fn modular(&mut self, f: &mut Function, i: Inst, d: &InstData) -> bool {
        if self.plan.gone.contains(&i) {
            return true;
        }
        let Some(root) = self.plan.roots.get(&i).cloned() else { return false };
        let result = d.result.expect("a root has a result");
        let (v, fits) = match mask(f, d) {
            Some(mask) => {
                let of = if number(f, d.args[1]).is_some() { d.args[0] } else { d.args[1] };
                let mut v = self.low_bits(f, of, root.first);
                if mask != u64::MAX {
                    let mask = self.bits_constant(f, mask);
                    v = self.val(f, Op::IntAnd, &[v, mask], Type::I64, None);
                }
                (v, mask <= i64::MAX as u64)
            }
            None => {
                let v = self.operator_bits(f, d, root.first);
                (v, operator(d) == Some(BinOp::Shr) && shift(f, d) != Some(0))
            }
        };
        self.plan.bits.insert(result, v);
        if fits {
            self.yields(f, d, v);
        } else {
            let boxed = self.val(f, Op::BoxUInt, &[v], Type::Exact(Class::Int), None);
            self.replace[result.index()] = Some(boxed);
            self.count += 1;
        }
        for j in root.after {
            self.out.push(j);
        }
        true
    }

    fn bits_constant(&mut self, f: &mut Function, bits: u64) -> Value {
        self.emit(f, Op::ConstInt, &[], Imm::Int(bits as i64), Type::I64, None).expect("a constant")
    }

    /// The low bits of a value.
    fn low_bits(&mut self, f: &mut Function, v: Value, first: Option<State>) -> Value {
        if let Some(n) = number(f, v) {
            return self.bits_constant(f, n as u64);
        }
        if let Some(bits) = self.plan.bits.get(&root(f, v)) {
            return *bits;
        }
        if let Some(i) = self.plan.members.get(&v) {
            let d = f.inst(*i).clone();
            return self.operator_bits(f, &d, first);
        }
        let v = self.exact(f, v, Class::Int, first);
        self.val(f, Op::IntLow, &[v], Type::I64, None)
    }

    fn operator_bits(&mut self, f: &mut Function, d: &InstData, first: Option<State>) -> Value {
        let op = operator(d).expect("an operator");
        let a = self.low_bits(f, d.args[0], first);
        if let BinOp::Shl | BinOp::Shr = op {
            let by = shift(f, d).expect("a constant shift");
            let (op, by) = if op == BinOp::Shl { (Op::IntMulWrap, 1 << by) } else { (Op::IntShrU, by.into()) };
            let by = self.bits_constant(f, by);
            return self.val(f, op, &[a, by], Type::I64, None);
        }
        let mut b = self.low_bits(f, d.args[1], first);
        let op = match op {
            BinOp::Add => Op::IntAdvance,
            BinOp::Sub => {
                // a - b is a + ~b + 1.
                let inverted = self.val(f, Op::IntNot, &[b], Type::I64, None);
                let one = self.bits_constant(f, 1);
                b = self.val(f, Op::IntAdvance, &[inverted, one], Type::I64, None);
                Op::IntAdvance
            }
            BinOp::Mul => Op::IntMulWrap,
            BinOp::And => Op::IntAnd,
            BinOp::Or => Op::IntOr,
            _ => Op::IntXor,
        };
        self.val(f, op, &[a, b], Type::I64, None)
    }
}
