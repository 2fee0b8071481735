//! Specialise: turn operations on any object into unboxed and direct ones.
//!
//! Types are inferred optimistically over the whole function (a loop's parameter starts out as what enters it),
//! from constants, guards at the entry, earlier results, and the interpreter's type feedback (`Hint`). Where a
//! rule applies, the operation becomes guards, unboxings, a typed operation, and a box. Sound because each assumed
//! operand class is either inferred (every definition yields it) or guarded with the operation's own frame state,
//! which resumes before the operation.
//!
//! Boxes and unboxings are left adjacent; `fold_constants` cancels them, `unbox_params` carries them over loops.

use std::collections::BTreeSet;

mod infer;
mod items;
mod modular;
pub mod rules;

use stoop_ir::{BinOp, Block, Class, CmpOp, Flags, Function, Hint, Imm, Inst, InstData, Op, State, Type, Value};

use self::infer::{infer, retype_params};
use self::rules::{Rule, rule};

/// Runs the pass; returns the number of operations specialised.
pub fn run(f: &mut Function) -> usize {
    let types = infer(f);
    let plan = modular::plan(f, &types);
    let mut s = Specialiser {
        types,
        plan,
        out: Vec::new(),
        replace: vec![None; f.values.len()],
        unpacked: Vec::new(),
        is_caught: false,
        count: 0,
    };
    for b in 0..f.blocks.len() {
        let insts = std::mem::take(&mut f.blocks[b].insts);
        s.out = Vec::with_capacity(insts.len() * 2);
        for (k, &i) in insts.iter().enumerate() {
            s.is_caught = insts.get(k + 1).is_some_and(|next| f.inst(*next).op == Op::Caught);
            s.inst(f, i);
        }
        f.blocks[b].insts = std::mem::take(&mut s.out);
    }
    f.replace_uses(&s.replace);
    retype_params(f, &s.types);
    crate::remove_checks::remove(f);
    s.count
}

/// Loop headers (by code unit) with a number that enters as something else than what goes round: one iteration of
/// those is worth a copy of its own. `back` lists the blocks whose jump to a header is a back edge.
pub fn unstable_headers(f: &Function, headers: &[(Block, u32)], back: &BTreeSet<(Block, Block)>) -> BTreeSet<u32> {
    let types = infer(f);
    let mut out = BTreeSet::new();
    for (header, unit) in headers {
        let params = &f.blocks[header.index()].params;
        let mut entering: Vec<Option<Type>> = vec![None; params.len()];
        let mut around: Vec<Option<Type>> = vec![None; params.len()];
        for (b, data) in f.blocks.iter().enumerate() {
            let from = Block(b as u32);
            for t in data.insts.iter().flat_map(|i| &f.inst(*i).targets).filter(|t| t.block == *header) {
                let into = if back.contains(&(from, *header)) { &mut around } else { &mut entering };
                for (slot, a) in into.iter_mut().zip(&t.args) {
                    if let Some(ty) = types[a.index()] {
                        *slot = Some(slot.map_or(ty, |s| s.join(ty)));
                    }
                }
            }
        }
        let unstable = entering.iter().zip(&around).any(|(e, a)| match (e, a) {
            (Some(e), Some(a)) => a.class().is_some_and(|c| Type::unboxed(c).is_some()) && e.boxed() != a.boxed(),
            _ => false,
        });
        if unstable {
            out.insert(*unit);
        }
    }
    out
}

struct Specialiser {
    types: Vec<Option<Type>>,
    /// What is computed modulo 2**64.
    plan: modular::Plan,
    out: Vec<Inst>,
    replace: Vec<Option<Value>>,
    /// Tuples that unpacking would have made, and the lists that stand for them.
    unpacked: Vec<(Value, Value)>,
    /// Whether what the present instruction raises is caught.
    is_caught: bool,
    count: usize,
}

impl Specialiser {
    fn ty(&self, f: &Function, v: Value) -> Type {
        self.types.get(v.index()).copied().flatten().unwrap_or_else(|| f.ty(v))
    }

    fn emit(&mut self, f: &mut Function, op: Op, args: &[Value], imm: Imm, ty: Type, state: Option<State>) -> Option<Value> {
        let state = if op.needs_state() { state } else { None };
        let (i, r) = f.make_inst(op, args, imm, ty, state);
        self.out.push(i);
        r
    }

    fn val(&mut self, f: &mut Function, op: Op, args: &[Value], ty: Type, state: Option<State>) -> Value {
        self.emit(f, op, args, Imm::None, ty, state).expect("the operation has a result")
    }

    /// The operand as an exact instance of `class`, guarded unless known.
    fn exact(&mut self, f: &mut Function, v: Value, class: Class, st: Option<State>) -> Value {
        if self.ty(f, v).class() == Some(class) {
            return v;
        }
        self.val(f, Op::GuardClass, &[v], Type::Exact(class), st)
    }

    fn int(&mut self, f: &mut Function, v: Value, st: Option<State>) -> Value {
        if let Some(n) = constant(f, v, Class::Int).and_then(|t| t.parse::<i64>().ok()) {
            return self.emit(f, Op::ConstInt, &[], Imm::Int(n), Type::I64, None).expect("a constant");
        }
        match self.ty(f, v) {
            Type::I64 => v,
            Type::Exact(Class::Bool) => {
                let b = self.val(f, Op::UnboxBool, &[v], Type::I1, st);
                self.val(f, Op::BoolToInt, &[b], Type::I64, st)
            }
            _ => {
                let g = self.exact(f, v, Class::Int, st);
                self.val(f, Op::UnboxInt, &[g], Type::I64, st)
            }
        }
    }

    /// The operand as a double. Ints are converted; `exact` leaves where that would lose bits.
    fn float(&mut self, f: &mut Function, v: Value, exact: bool, st: Option<State>) -> Value {
        if let Some(x) = constant(f, v, Class::Float).and_then(|t| t.parse::<f64>().ok()) {
            return self.emit(f, Op::ConstFloat, &[], Imm::Float(x.to_bits()), Type::F64, None).expect("a constant");
        }
        if let Some(n) = constant(f, v, Class::Int).and_then(|t| t.parse::<i64>().ok())
            && n.unsigned_abs() <= 1 << 53
        {
            let bits = (n as f64).to_bits();
            return self.emit(f, Op::ConstFloat, &[], Imm::Float(bits), Type::F64, None).expect("a constant");
        }
        match self.ty(f, v).class() {
            Some(Class::Int | Class::Bool) => {
                let i = self.int(f, v, st);
                let op = if exact { Op::IntToFloatExact } else { Op::IntToFloat };
                self.val(f, op, &[i], Type::F64, st)
            }
            _ => {
                let g = self.exact(f, v, Class::Float, st);
                self.val(f, Op::UnboxFloat, &[g], Type::F64, st)
            }
        }
    }

    /// Operand `k` as a double. Where nothing is known of it but that the interpreter did not see floats only, floats and
    /// small ints are taken alike.
    fn float_operand(&mut self, f: &mut Function, d: &InstData, k: usize, exact: bool) -> Value {
        let v = d.args[k];
        let floats = match (d.hint, k) {
            (Hint::Class(c), _) | (Hint::Classes(c, _), 0) | (Hint::Classes(_, c), 1) => c == Class::Float,
            _ => false,
        };
        // Beside an int, an int would yield an int.
        let other = d.args.get(1 - k).and_then(|v| self.ty(f, *v).class());
        if !floats && self.ty(f, v).class().is_none() && (other == Some(Class::Float) || d.imm == Imm::Bin(BinOp::TrueDiv)) {
            return self.val(f, Op::NumToFloat, &[v], Type::F64, d.state);
        }
        self.float(f, v, exact, d.state)
    }

    /// A float or an int, as a double; either, where nothing is known.
    fn number(&mut self, f: &mut Function, v: Value, st: Option<State>) -> Value {
        if self.ty(f, v).class().is_none() {
            return self.val(f, Op::NumToFloat, &[v], Type::F64, st);
        }
        self.float(f, v, false, st)
    }

    /// Gives the old result's uses to `v`, boxing it if the old result was a reference.
    fn yields(&mut self, f: &mut Function, d: &InstData, v: Value) {
        let Some(old) = d.result else { return };
        let new = match (f.ty(old).is_ref(), f.ty(v)) {
            (true, Type::I64) => self.val(f, Op::BoxInt, &[v], Type::Exact(Class::Int), None),
            (true, Type::F64) => self.val(f, Op::BoxFloat, &[v], Type::Exact(Class::Float), None),
            (true, Type::I1) => self.val(f, Op::BoxBool, &[v], Type::Exact(Class::Bool), None),
            _ => v,
        };
        self.replace[old.index()] = Some(new);
        self.count += 1;
    }

    /// As `yields`, for a borrowed reference that must become an owned one.
    fn yields_borrowed(&mut self, f: &mut Function, d: &InstData, v: Value) {
        self.emit(f, Op::IncRef, &[v], Imm::None, Type::Void, None);
        self.yields(f, d, v);
    }

    fn inst(&mut self, f: &mut Function, i: Inst) {
        let d = f.inst(i).clone();
        if self.modular(f, i, &d) {
            return;
        }
        match d.op {
            Op::RefCast => return self.cast(f, i, &d),
            Op::TupleItem => {
                if let Some(&(_, list)) = self.unpacked.iter().find(|(t, _)| *t == d.args[0]) {
                    let v = self.val(f, Op::ListItem, &[list, d.args[1]], Type::Obj, None);
                    self.replace[d.result.expect("an item").index()] = Some(v);
                    return;
                }
            }
            Op::GuardClass => {
                if let (Some(r), Some(c)) = (d.result, self.ty(f, d.args[0]).class())
                    && f.ty(r) == Type::Exact(c)
                {
                    self.replace[r.index()] = Some(d.args[0]);
                    return;
                }
            }
            Op::DecRef if self.unpacked.iter().any(|(t, _)| *t == d.args[0]) => return,
            _ => {}
        }
        if let Some(r) = d.result
            && let Some(t) = self.types[r.index()]
            && f.ty(r).is_ref()
            && t.is_ref()
        {
            f.values[r.index()].ty = t;
        }
        let rule = if d.op.is(Flags::PY) { rule(f, &self.types, &d) } else { Rule::Generic };
        self.apply(f, i, &d, rule);
    }

    fn cast(&mut self, f: &mut Function, i: Inst, d: &InstData) {
        let src = d.args[0];
        let old = d.result.expect("a cast has a result");
        if let Some(def) = f.def_inst(src) {
            match f.inst(def).op {
                // Rewritten below to a length test; the value is taken here, on the path where there is one.
                Op::RangeIterLen => unreachable!("the length is not a reference"),
                Op::PyIterNext => {
                    let it = f.inst(def).args[0];
                    match rule(f, &self.types, f.inst(def)) {
                        Rule::RangeNext => {
                            let v = self.val(f, Op::RangeIterNext, &[it], Type::I64, None);
                            return self.yields(f, &InstData { result: Some(old), ..d.clone() }, v);
                        }
                        Rule::SeqNext(_) => {
                            self.out.push(i);
                            self.emit(f, Op::IncRef, &[old], Imm::None, Type::Void, None);
                            return;
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        let is_known = !matches!(self.ty(f, src), Type::MaybeNull | Type::Null);
        // What a comprehension puts aside is cast the other way: nothing is lost by knowing more.
        if is_known && f.ty(old) == Type::Obj || f.ty(old) == Type::MaybeNull {
            self.replace[old.index()] = Some(src);
            return;
        }
        self.out.push(i);
    }

    fn apply(&mut self, f: &mut Function, i: Inst, d: &InstData, rule: Rule) {
        let st = d.state;
        let a = |k: usize| d.args[k];
        match rule {
            Rule::Same if d.op == Op::PyGetIter => {
                self.emit(f, Op::IncRef, &[a(0)], Imm::None, Type::Void, None);
                self.yields(f, d, a(0));
            }
            Rule::Generic | Rule::ResultClass(_) | Rule::Same => self.out.push(i),
            Rule::OfClasses(x, y, _) => {
                f.inst_mut(i).args = vec![self.exact(f, a(0), x, st), self.exact(f, a(1), y, st)];
                self.out.push(i);
            }
            Rule::IntBin(op) => {
                let (x, y) = (self.int(f, a(0), st), self.int(f, a(1), st));
                let v = self.val(f, int_op(op), &[x, y], Type::I64, st);
                self.yields(f, d, v);
            }
            Rule::IntTrueDiv => {
                let (x, y) = (self.float(f, a(0), true, st), self.float(f, a(1), true, st));
                let v = self.val(f, Op::FloatDiv, &[x, y], Type::F64, st);
                self.yields(f, d, v);
            }
            Rule::FloatBin(op) => {
                // An unknown operand that turns out to be an int makes this a division of ints, which rounds once only.
                let exact = op == BinOp::TrueDiv && d.args.iter().any(|v| self.ty(f, *v).class().is_none());
                let (x, y) = (self.float_operand(f, d, 0, exact), self.float_operand(f, d, 1, exact));
                let v = self.val(f, float_op(op), &[x, y], Type::F64, st);
                self.yields(f, d, v);
            }
            Rule::IntCmp(c) => {
                let (x, y) = (self.int(f, a(0), st), self.int(f, a(1), st));
                let v = self.emit(f, Op::IntCmp, &[x, y], Imm::Cmp(c), Type::I1, None).expect("a truth value");
                self.yields(f, d, v);
            }
            Rule::FloatCmp(c) => {
                let (x, y) = (self.float_operand(f, d, 0, true), self.float_operand(f, d, 1, true));
                let v = self.emit(f, Op::FloatCmp, &[x, y], Imm::Cmp(c), Type::I1, None).expect("a truth value");
                self.yields(f, d, v);
            }
            Rule::IntNeg | Rule::IntAbs => {
                let x = self.int(f, a(d.args.len() - 1), st);
                let v = self.val(f, if rule == Rule::IntNeg { Op::IntNeg } else { Op::IntAbs }, &[x], Type::I64, st);
                self.yields(f, d, v);
            }
            Rule::NumBin(op) => {
                let class = |k: usize| self.ty(f, a(k)).class();
                let ty = rules::numbers_yield(op, class(0), class(1)).map_or(Type::Obj, Type::Exact);
                let v = self.emit(f, Op::NumBinary, &[a(0), a(1)], Imm::Bin(op), ty, st).expect("a number");
                if rules::masks(f, op, &d.args) {
                    let n = self.val(f, Op::UnboxInt, &[v], Type::I64, st);
                    self.emit(f, Op::DecRef, &[v], Imm::None, Type::Void, None);
                    self.yields(f, d, n);
                    return;
                }
                self.yields(f, d, v);
            }
            Rule::NumCmp(c) => {
                let v = self.emit(f, Op::NumCompare, &[a(0), a(1)], Imm::Cmp(c), Type::I1, st).expect("a truth value");
                self.yields(f, d, v);
            }
            Rule::Math(m) => {
                let x = self.number(f, a(2), st);
                let v = self.emit(f, Op::FloatFn, &[x], Imm::Int(m as i64), Type::F64, st).expect("a number");
                self.yields(f, d, v);
            }
            Rule::FloatRound => {
                let x = self.float(f, a(2), false, st);
                let x = self.val(f, Op::FloatRound, &[x], Type::F64, None);
                let v = self.val(f, Op::FloatToInt, &[x], Type::I64, st);
                self.yields(f, d, v);
            }
            // Each takes the place of the one before only if it is really less, or greater.
            Rule::IntExtreme(max) => {
                let cmp = if max { CmpOp::Gt } else { CmpOp::Lt };
                let all: Vec<Value> = d.args[2..].iter().map(|v| self.int(f, *v, st)).collect();
                let v = all.into_iter().reduce(|x, y| {
                    let c = self.emit(f, Op::IntCmp, &[y, x], Imm::Cmp(cmp), Type::I1, None).expect("a truth value");
                    self.val(f, Op::IntSelect, &[c, y, x], Type::I64, None)
                });
                self.yields(f, d, v.expect("of at least two"));
            }
            Rule::FloatExtreme(max) => {
                let cmp = if max { CmpOp::Gt } else { CmpOp::Lt };
                let all: Vec<Value> = d.args[2..].iter().map(|v| self.float(f, *v, false, st)).collect();
                let v = all.into_iter().reduce(|x, y| {
                    let c = self.emit(f, Op::FloatCmp, &[y, x], Imm::Cmp(cmp), Type::I1, None).expect("a truth value");
                    self.val(f, Op::FloatSelect, &[c, y, x], Type::F64, None)
                });
                self.yields(f, d, v.expect("of at least two"));
            }
            Rule::FloatNeg | Rule::FloatAbs | Rule::FloatSqrt => {
                let x = if rule == Rule::FloatSqrt {
                    self.number(f, a(2), st)
                } else {
                    self.float(f, a(d.args.len() - 1), false, st)
                };
                let op = match rule {
                    Rule::FloatNeg => Op::FloatNeg,
                    Rule::FloatAbs => Op::FloatAbs,
                    _ => Op::FloatSqrt,
                };
                let v = self.val(f, op, &[x], Type::F64, st);
                self.yields(f, d, v);
            }
            Rule::ToFloat => {
                let v = self.float(f, a(d.args.len() - 1), false, st);
                self.yields(f, d, v);
            }
            Rule::FloatToInt => {
                let x = self.float(f, a(d.args.len() - 1), false, st);
                let v = self.val(f, Op::FloatToInt, &[x], Type::I64, st);
                self.yields(f, d, v);
            }
            Rule::BoolToInt => {
                let v = self.int(f, a(d.args.len() - 1), st);
                self.yields(f, d, v);
            }
            Rule::IsInstance(is) => {
                let v = self.emit(f, Op::ConstBool, &[], Imm::Int(is.into()), Type::I1, None).expect("a constant");
                self.yields(f, d, v);
            }
            Rule::Truth(c) => self.truth(f, d, c),
            Rule::Equal(op) => {
                let v = self.emit(f, Op::Equal, &[a(0), a(1)], Imm::Cmp(op), Type::I1, st).expect("a truth value");
                self.yields(f, d, v);
            }
            Rule::AnyTruth => {
                let v = self.val(f, Op::Truth, &[a(0)], Type::I1, st);
                self.yields(f, d, v);
            }
            Rule::TypeOf => {
                let v = self.val(f, Op::TypeOf, &[a(2)], Type::Obj, None);
                self.yields_borrowed(f, d, v);
            }
            Rule::InstanceOf => {
                let mut args = vec![a(2)];
                args.extend(self::rules::classes_of(f, a(3)).expect("the rule asked for it"));
                let v = self.val(f, Op::IsInstance, &args, Type::I1, st);
                self.yields(f, d, v);
            }
            Rule::StrOfInt(k) => {
                let n = self.int(f, a(k), st);
                let v = self.val(f, Op::StrOf, &[n], Type::Exact(Class::Str), st);
                self.yields(f, d, v);
            }
            Rule::StrItself(k) => self.yields_borrowed(f, d, a(k)),
            Rule::LoadField(version, index) => {
                let o = self.val(f, Op::GuardVersion, &[a(0)], Type::Heap(version), st);
                let v = self.emit(f, Op::LoadField, &[o], Imm::Index(index), Type::Obj, st).expect("a value");
                self.yields_borrowed(f, d, v);
            }
            Rule::StoreField(version, index) => {
                let o = self.val(f, Op::GuardVersion, &[a(0)], Type::Heap(version), st);
                let old = self.emit(f, Op::SwapField, &[o, a(1)], Imm::Index(index), Type::MaybeNull, st).expect("a value");
                // After the swap, which may leave: an exit must not find a reference too many.
                self.emit(f, Op::IncRef, &[a(1)], Imm::None, Type::Void, None);
                self.emit(f, Op::DecRef, &[old], Imm::None, Type::Void, None);
                self.count += 1;
            }
            Rule::LoadSlot(version, offset) => {
                let o = self.val(f, Op::GuardVersion, &[a(0)], Type::Heap(version), st);
                let v = self.emit(f, Op::LoadSlot, &[o], Imm::Int(offset.into()), Type::Obj, st).expect("a value");
                self.yields_borrowed(f, d, v);
            }
            Rule::StoreSlot(version, offset) => {
                let o = self.val(f, Op::GuardVersion, &[a(0)], Type::Heap(version), st);
                let old =
                    self.emit(f, Op::SwapSlot, &[o, a(1)], Imm::Int(offset.into()), Type::MaybeNull, None).expect("a value");
                self.emit(f, Op::IncRef, &[a(1)], Imm::None, Type::Void, None);
                self.emit(f, Op::DecRef, &[old], Imm::None, Type::Void, None);
                self.count += 1;
            }
            _ => self.items(f, d, rule),
        }
    }

    fn truth(&mut self, f: &mut Function, d: &InstData, c: Class) {
        let (st, x) = (d.state, d.args[0]);
        let v = match c {
            Class::Bool => {
                let g = self.exact(f, x, c, st);
                self.val(f, Op::UnboxBool, &[g], Type::I1, None)
            }
            Class::Int => {
                let n = self.int(f, x, st);
                self.val(f, Op::IntToBool, &[n], Type::I1, None)
            }
            Class::Float => {
                let n = self.float(f, x, false, st);
                self.val(f, Op::FloatToBool, &[n], Type::I1, None)
            }
            Class::NoneType => {
                self.exact(f, x, c, st);
                self.emit(f, Op::ConstBool, &[], Imm::Int(0), Type::I1, None).expect("a constant")
            }
            _ => {
                let g = self.exact(f, x, c, st);
                let op = match c {
                    Class::List => Op::ListLen,
                    Class::Tuple | Class::Bytes => Op::TupleLen,
                    Class::Dict | Class::Set | Class::FrozenSet => Op::ItemsLen,
                    _ => Op::StrLen,
                };
                let n = self.val(f, op, &[g], Type::I64, None);
                self.val(f, Op::IntToBool, &[n], Type::I1, None)
            }
        };
        self.yields(f, d, v);
    }
}

/// The text of a constant of this class: its exact repr, for numbers.
fn constant(f: &Function, v: Value, class: Class) -> Option<&str> {
    let d = f.inst(f.def_inst(v)?);
    match (d.op, d.imm) {
        (Op::ConstObj, Imm::Const(c)) if f.consts[c.index()].class == Some(class) => Some(f.consts[c.index()].text.as_str()),
        _ => None,
    }
}

fn int_op(op: BinOp) -> Op {
    match op {
        BinOp::Add => Op::IntAdd,
        BinOp::Sub => Op::IntSub,
        BinOp::Mul => Op::IntMul,
        BinOp::FloorDiv => Op::IntFloorDiv,
        BinOp::Mod => Op::IntMod,
        BinOp::Pow => Op::IntPow,
        BinOp::And => Op::IntAnd,
        BinOp::Or => Op::IntOr,
        BinOp::Xor => Op::IntXor,
        BinOp::Shl => Op::IntShl,
        BinOp::Shr => Op::IntShr,
        BinOp::TrueDiv | BinOp::MatMul => unreachable!("no rule yields these on ints"),
    }
}

fn float_op(op: BinOp) -> Op {
    match op {
        BinOp::Add => Op::FloatAdd,
        BinOp::Sub => Op::FloatSub,
        BinOp::Mul => Op::FloatMul,
        BinOp::TrueDiv => Op::FloatDiv,
        BinOp::FloorDiv => Op::FloatFloorDiv,
        BinOp::Mod => Op::FloatMod,
        BinOp::Pow => Op::FloatPow,
        _ => unreachable!("no rule yields this on floats"),
    }
}
