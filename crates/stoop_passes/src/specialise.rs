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

use stoop_ir::{
    BinOp, Block, Class, CmpOp, Def, Element, Flags, Function, Hint, Imm, Inst, InstData, Op, State, Type, UnOp, Value,
};

use crate::specialise_rules::{Rule, rule};

/// Runs the pass; returns the number of operations specialised.
pub fn run(f: &mut Function) -> usize {
    let types = infer(f);
    let mut s = Specialiser {
        types,
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

/// The inferred type of every value, in boxed terms.
fn infer(f: &Function) -> Vec<Option<Type>> {
    let mut types: Vec<Option<Type>> = vec![None; f.values.len()];
    loop {
        let mut changed = false;
        for b in &f.blocks {
            for &i in &b.insts {
                let data = f.inst(i);
                if let Some(r) = data.result {
                    let t = result_type(f, &types, data, f.ty(r));
                    changed |= raise(&mut types, r, t);
                }
                for t in &data.targets {
                    for (p, a) in f.blocks[t.block.index()].params.iter().zip(&t.args) {
                        if let Some(ty) = types[a.index()] {
                            // What the front end counts in registers stays there.
                            let ty = if f.ty(*p).is_ref() { ty.boxed() } else { ty };
                            changed |= raise(&mut types, *p, Some(ty));
                        }
                    }
                }
            }
        }
        if !changed {
            return types;
        }
    }
}

/// Moves a value's type up the lattice; whether it changed.
fn raise(types: &mut [Option<Type>], v: Value, t: Option<Type>) -> bool {
    let Some(t) = t else { return false };
    let new = match types[v.index()] {
        None => t,
        Some(old) => old.join(t),
    };
    if types[v.index()] == Some(new) {
        return false;
    }
    types[v.index()] = Some(new);
    true
}

/// The type of an operation's result once specialised; `None` while an operand's is not known yet.
fn result_type(f: &Function, types: &[Option<Type>], d: &InstData, declared: Type) -> Option<Type> {
    let ty = |v: Value| types[v.index()];
    if matches!(d.op, Op::RefCast) {
        let a = ty(d.args[0])?;
        if let Def::Inst(i) = f.values[d.args[0].index()].def
            && f.inst(i).op == Op::PyIterNext
        {
            return match rule(f, types, f.inst(i)) {
                Rule::RangeNext => Some(Type::Exact(Class::Int)),
                _ => Some(declared),
            };
        }
        return Some(narrow(a, declared));
    }
    if matches!(d.op, Op::GuardNotNull) {
        return Some(narrow(ty(d.args[0])?, declared));
    }
    let is_ruled = d.op.is(Flags::PY) && d.op != Op::Poll;
    if !is_ruled {
        return Some(declared);
    }
    // An operand that nothing has reached yet: wait, so that loops start optimistic.
    if d.args.iter().any(|a| ty(*a).is_none()) {
        return None;
    }
    Some(match rule(f, types, d) {
        Rule::IntBin(_) | Rule::IntNeg | Rule::IntAbs | Rule::FloatToInt | Rule::BoolToInt => Type::Exact(Class::Int),
        Rule::IntExtreme(_) | Rule::FloatRound => Type::Exact(Class::Int),
        Rule::NumBin(BinOp::TrueDiv) => Type::Exact(Class::Float),
        Rule::NumCmp(_) if declared.is_ref() => Type::Exact(Class::Bool),
        Rule::Math(_) | Rule::FloatExtreme(_) => Type::Exact(Class::Float),
        Rule::FloatBin(_) | Rule::IntTrueDiv | Rule::FloatNeg | Rule::FloatAbs | Rule::FloatSqrt | Rule::ToFloat => {
            Type::Exact(Class::Float)
        }
        Rule::Ord => Type::Exact(Class::Int),
        Rule::StrGet | Rule::Chr => Type::Exact(Class::Str),
        Rule::IntCmp(_) | Rule::FloatCmp(_) | Rule::StrCmp(_) if declared.is_ref() => Type::Exact(Class::Bool),
        Rule::IsInstance(_) => Type::Exact(Class::Bool),
        Rule::ResultClass(c) => Type::Exact(c),
        Rule::ListSlice => Type::Exact(Class::List),
        Rule::Slice(c) => Type::Exact(c),
        Rule::BytesGet | Rule::ByteArrayGet => Type::Exact(Class::Int),
        Rule::StrOfInt(_) | Rule::StrItself(_) => Type::Exact(Class::Str),
        Rule::InstanceOf => Type::Exact(Class::Bool),
        Rule::Native(k) => crate::natives::row(k).result.map_or(declared, Type::Exact),
        Rule::ArrayGet(c) => Type::Exact(item_class(c)),
        Rule::Same => ty(d.args[d.args.len() - 1])?,
        _ => declared,
    })
}

/// What a cast or a null check tells, added to what is known.
fn narrow(known: Type, declared: Type) -> Type {
    match known {
        Type::MaybeNull | Type::Null => declared,
        t => t,
    }
}

struct Specialiser {
    types: Vec<Option<Type>>,
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
                let ty = if op == BinOp::TrueDiv { Type::Exact(Class::Float) } else { Type::Obj };
                let v = self.emit(f, Op::NumBinary, &[a(0), a(1)], Imm::Bin(op), ty, st).expect("a number");
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
            // The second takes the first's place only if it is really less, or greater.
            Rule::IntExtreme(max) => {
                let (x, y) = (self.int(f, a(2), st), self.int(f, a(3), st));
                let cmp = if max { CmpOp::Gt } else { CmpOp::Lt };
                let c = self.emit(f, Op::IntCmp, &[y, x], Imm::Cmp(cmp), Type::I1, None).expect("a truth value");
                let v = self.val(f, Op::IntSelect, &[c, y, x], Type::I64, None);
                self.yields(f, d, v);
            }
            Rule::FloatExtreme(max) => {
                let (x, y) = (self.float(f, a(2), false, st), self.float(f, a(3), false, st));
                let cmp = if max { CmpOp::Gt } else { CmpOp::Lt };
                let c = self.emit(f, Op::FloatCmp, &[y, x], Imm::Cmp(cmp), Type::I1, None).expect("a truth value");
                let v = self.val(f, Op::FloatSelect, &[c, y, x], Type::F64, None);
                self.yields(f, d, v);
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
            Rule::ListGet | Rule::TupleGet => self.get_item(f, d, rule == Rule::ListGet),
            Rule::StrGet => {
                let s = self.exact(f, a(0), Class::Str, st);
                let k = self.int(f, a(1), st);
                let len = self.val(f, Op::StrLen, &[s], Type::I64, None);
                let pos = self.val(f, Op::Index, &[k, len], Type::I64, st);
                let v = self.val(f, Op::StrItem, &[s, pos], Type::Exact(Class::Str), st);
                self.yields(f, d, v);
            }
            Rule::StrCmp(c) => {
                let (x, y) = (self.exact(f, a(0), Class::Str, st), self.exact(f, a(1), Class::Str, st));
                let v = self.emit(f, Op::StrCmp, &[x, y], Imm::Cmp(c), Type::I1, None).expect("a truth value");
                self.yields(f, d, v);
            }
            Rule::StrIn => {
                let (x, y) = (self.exact(f, a(0), Class::Str, st), self.exact(f, a(1), Class::Str, st));
                let v = self.val(f, Op::StrIn, &[x, y], Type::I1, st);
                self.yields(f, d, v);
            }
            Rule::Ord => {
                let s = self.exact(f, a(2), Class::Str, st);
                let v = self.val(f, Op::StrOrd, &[s], Type::I64, st);
                self.yields(f, d, v);
            }
            Rule::Chr => {
                let n = self.int(f, a(2), st);
                let v = self.val(f, Op::StrChr, &[n], Type::Exact(Class::Str), st);
                self.yields(f, d, v);
            }
            Rule::ListSet => {
                let list = self.exact(f, a(0), Class::List, st);
                let k = self.int(f, a(1), st);
                let len = self.val(f, Op::ListLen, &[list], Type::I64, None);
                let pos = self.val(f, Op::Index, &[k, len], Type::I64, st);
                let old = self.val(f, Op::ListSwap, &[list, pos, a(2)], Type::Obj, None);
                self.emit(f, Op::IncRef, &[a(2)], Imm::None, Type::Void, None);
                self.emit(f, Op::DecRef, &[old], Imm::None, Type::Void, None);
                self.count += 1;
            }
            Rule::Len(c) => {
                let x = self.exact(f, a(0), c, st);
                let op = match c {
                    Class::List => Op::ListLen,
                    Class::Tuple => Op::TupleLen,
                    Class::Str => Op::StrLen,
                    Class::Bytes => Op::TupleLen,
                    Class::Dict | Class::Set | Class::FrozenSet => Op::ItemsLen,
                    _ => Op::ArrayLen,
                };
                let v = self.val(f, op, &[x], Type::I64, None);
                self.yields(f, d, v);
            }
            Rule::ListSlice => {
                let start = self.bound(f, a(1), 0, st);
                let stop = self.bound(f, a(2), i64::MAX, st);
                let v = self.val(f, Op::ListSlice, &[a(0), start, stop], Type::Exact(Class::List), st);
                self.yields(f, d, v);
            }
            Rule::ArrayGet(c) => {
                let (data, pos, element) = self.array_place(f, d, c);
                let (op, ty) = if element.is_float { (Op::ArrayLoadFloat, Type::F64) } else { (Op::ArrayLoadInt, Type::I64) };
                let v = self.emit(f, op, &[data, pos], Imm::Int(element.code.into()), ty, None).expect("an item");
                self.yields(f, d, v);
            }
            Rule::ArraySet(c) => {
                let (data, pos, element) = self.array_place(f, d, c);
                let (op, x) = if element.is_float {
                    let unknown = self.ty(f, a(2)).class().is_none();
                    let x = if unknown {
                        self.val(f, Op::NumToFloat, &[a(2)], Type::F64, st)
                    } else {
                        self.float(f, a(2), false, st)
                    };
                    (Op::ArrayStoreFloat, x)
                } else {
                    (Op::ArrayStoreInt, self.int(f, a(2), st))
                };
                self.emit(f, op, &[data, pos, x], Imm::Int(element.code.into()), Type::Void, st);
                self.count += 1;
            }
            Rule::BytesGet => {
                let b = self.exact(f, a(0), Class::Bytes, st);
                let k = self.int(f, a(1), st);
                let len = self.val(f, Op::TupleLen, &[b], Type::I64, None);
                let pos = self.val(f, Op::Index, &[k, len], Type::I64, st);
                let v = self.val(f, Op::BytesItem, &[b, pos], Type::I64, None);
                self.yields(f, d, v);
            }
            Rule::ByteArrayGet | Rule::ByteArraySet => {
                let (data, pos) = self.place(f, d, Class::ByteArray);
                let code = Imm::Int(b'B'.into());
                if rule == Rule::ByteArrayGet {
                    let v = self.emit(f, Op::ArrayLoadInt, &[data, pos], code, Type::I64, None).expect("an item");
                    self.yields(f, d, v);
                } else {
                    let x = self.int(f, a(2), st);
                    self.emit(f, Op::ArrayStoreInt, &[data, pos, x], code, Type::Void, st);
                    self.count += 1;
                }
            }
            Rule::DictGet => {
                let dict = self.exact(f, a(0), Class::Dict, st);
                let place = self.val(f, Op::DictFind, &[dict, a(1)], Type::I64, st);
                if self.is_caught {
                    // A missing key is nothing out of the ordinary. Right before the question whether it raised.
                    let v = self.val(f, Op::DictTake, &[dict, a(1), place], Type::Obj, st);
                    self.yields(f, d, v);
                } else {
                    let v = self.val(f, Op::DictLoad, &[dict, place], Type::Obj, st);
                    self.yields_borrowed(f, d, v);
                }
            }
            Rule::DictGetOr => {
                let default = match d.args.get(3) {
                    Some(v) => *v,
                    None => self.val(f, Op::ConstNull, &[], Type::Null, None),
                };
                let place = self.val(f, Op::DictFind, &[a(1), a(2)], Type::I64, st);
                let v = self.val(f, Op::DictOr, &[a(1), place, default], Type::Obj, None);
                self.yields_borrowed(f, d, v);
            }
            Rule::DictSet => {
                let dict = self.exact(f, a(0), Class::Dict, st);
                let place = self.val(f, Op::DictFind, &[dict, a(1)], Type::I64, st);
                self.emit(f, Op::DictSet, &[dict, a(1), a(2), place], Imm::None, Type::Void, st);
                self.count += 1;
            }
            Rule::Contains(Class::Dict) => {
                let dict = self.exact(f, a(1), Class::Dict, st);
                let place = self.val(f, Op::DictFind, &[dict, a(0)], Type::I64, st);
                let zero = self.emit(f, Op::ConstInt, &[], Imm::Int(0), Type::I64, None).expect("a constant");
                let v = self.emit(f, Op::IntCmp, &[place, zero], Imm::Cmp(CmpOp::Ne), Type::I1, None).expect("a truth value");
                self.yields(f, d, v);
            }
            Rule::Contains(c) => {
                let container = self.exact(f, a(1), c, st);
                let v = self.val(f, Op::Contains, &[a(0), container], Type::I1, st);
                self.yields(f, d, v);
            }
            Rule::Slice(c) => {
                let of = self.exact(f, a(0), c, st);
                let start = self.bound(f, a(1), 0, st);
                let stop = self.bound(f, a(2), i64::MAX, st);
                let v = self.val(f, Op::Slice, &[of, start, stop], Type::Exact(c), st);
                self.yields(f, d, v);
            }
            Rule::Native(k) => {
                let row = crate::natives::row(k);
                let first = if f.ty(a(1)) == Type::Null { 2 } else { 1 };
                let mut args = d.args.clone();
                for (k, v) in args[first..].iter_mut().enumerate() {
                    if let Some(c) = row.class(k) {
                        *v = self.exact(f, *v, c, st);
                    }
                }
                let ty = row.result.map_or(Type::Obj, Type::Exact);
                let v = self.val(f, Op::NativeCall, &args, ty, st);
                self.yields(f, d, v);
            }
            Rule::TypeOf => {
                let v = self.val(f, Op::TypeOf, &[a(2)], Type::Obj, None);
                self.yields_borrowed(f, d, v);
            }
            Rule::InstanceOf => {
                let mut args = vec![a(2)];
                args.extend(crate::specialise_rules::classes_of(f, a(3)).expect("the rule asked for it"));
                let v = self.val(f, Op::IsInstance, &args, Type::I1, st);
                self.yields(f, d, v);
            }
            Rule::StrOfInt(k) => {
                let n = self.int(f, a(k), st);
                let v = self.val(f, Op::StrOf, &[n], Type::Exact(Class::Str), st);
                self.yields(f, d, v);
            }
            Rule::StrItself(k) => self.yields_borrowed(f, d, a(k)),
            Rule::Unpack(c) => self.unpack(f, d, c),
            Rule::RangeNext => {
                // The value itself is taken at the cast on the non-empty path.
                let it = self.exact(f, a(0), Class::RangeIter, st);
                let len = self.val(f, Op::RangeIterLen, &[it], Type::I64, None);
                self.replace_null_test(f, d, len);
                self.count += 1;
            }
            Rule::SeqNext(c) => {
                let it = self.exact(f, a(0), c, st);
                let op = if c == Class::ListIter { Op::ListIterNext } else { Op::TupleIterNext };
                let v = self.val(f, op, &[it], Type::MaybeNull, None);
                self.replace[d.result.expect("an item").index()] = Some(v);
                self.count += 1;
            }
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
        }
    }

    /// The null test of an iterator's result becomes a test of the length. It follows in the same block.
    fn replace_null_test(&mut self, f: &mut Function, d: &InstData, len: Value) {
        let result = d.result.expect("an item");
        let zero = self.emit(f, Op::ConstInt, &[], Imm::Int(0), Type::I64, None).expect("a constant");
        let test = self.emit(f, Op::IntCmp, &[len, zero], Imm::Cmp(CmpOp::Le), Type::I1, None).expect("a truth value");
        for k in 0..f.insts.len() {
            if f.insts[k].op == Op::IsNull && f.insts[k].args[0] == result {
                let old = f.insts[k].result.expect("a truth value");
                self.replace[old.index()] = Some(test);
                // Nothing reads it any more; a constant keeps the instruction well formed until it is removed.
                f.insts[k] = InstData { op: Op::ConstBool, args: Vec::new(), imm: Imm::Int(0), ..f.insts[k].clone() };
            }
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

    fn get_item(&mut self, f: &mut Function, d: &InstData, list: bool) {
        let st = d.state;
        let (class, len_op, item_op) =
            if list { (Class::List, Op::ListLen, Op::ListItem) } else { (Class::Tuple, Op::TupleLen, Op::TupleItem) };
        let c = self.exact(f, d.args[0], class, st);
        let k = self.int(f, d.args[1], st);
        let len = self.val(f, len_op, &[c], Type::I64, None);
        let pos = self.val(f, Op::Index, &[k, len], Type::I64, st);
        let v = self.val(f, item_op, &[c, pos], Type::Obj, None);
        self.yields_borrowed(f, d, v);
    }

    /// A slice's bound, where None stands for `none`.
    fn bound(&mut self, f: &mut Function, v: Value, none: i64, st: Option<State>) -> Value {
        if self.ty(f, v).class() == Some(Class::NoneType) {
            return self.emit(f, Op::ConstInt, &[], Imm::Int(none), Type::I64, None).expect("a constant");
        }
        self.int(f, v, st)
    }

    /// Address of an array's items, the position a subscript stands for, what items are.
    fn array_place(&mut self, f: &mut Function, d: &InstData, class: Class) -> (Value, Value, Element) {
        let (data, pos) = self.place(f, d, class);
        (data, pos, class.array_element().expect("the rule is for arrays"))
    }

    fn place(&mut self, f: &mut Function, d: &InstData, class: Class) -> (Value, Value) {
        let st = d.state;
        let array = self.exact(f, d.args[0], class, st);
        let k = self.int(f, d.args[1], st);
        let len = self.val(f, Op::ArrayLen, &[array], Type::I64, None);
        let pos = self.val(f, Op::Index, &[k, len], Type::I64, st);
        let data = self.val(f, Op::ArrayData, &[array], Type::I64, None);
        (data, pos)
    }

    fn unpack(&mut self, f: &mut Function, d: &InstData, c: Class) {
        let st = d.state;
        let Imm::Int(n) = d.imm else { unreachable!("unpacking has a count") };
        let seq = self.exact(f, d.args[0], c, st);
        let len = self.val(f, if c == Class::List { Op::ListLen } else { Op::TupleLen }, &[seq], Type::I64, None);
        let want = self.emit(f, Op::ConstInt, &[], Imm::Int(n), Type::I64, None).expect("a constant");
        let same = self.emit(f, Op::IntCmp, &[len, want], Imm::Cmp(CmpOp::Eq), Type::I1, None).expect("a truth value");
        self.emit(f, Op::GuardTrue, &[same], Imm::None, Type::Void, st);
        let t = d.result.expect("a tuple");
        if c == Class::List {
            self.unpacked.push((t, seq));
            self.count += 1;
        } else {
            self.yields_borrowed(f, d, seq);
        }
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

/// The class of an array's items.
fn item_class(array: Class) -> Class {
    if array.array_element().is_some_and(|e| e.is_float) { Class::Float } else { Class::Int }
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

/// Gives parameters the types inferred for them.
fn retype_params(f: &mut Function, types: &[Option<Type>]) {
    for b in &f.blocks {
        for p in &b.params {
            if let Some(t) = types.get(p.index()).copied().flatten()
                && f.values[p.index()].ty.is_ref()
            {
                f.values[p.index()].ty = t;
            }
        }
    }
}

// Referenced by the rules; kept here so that one file names every unary rule.
pub(crate) fn unary_rule(op: UnOp, class: Option<Class>) -> Rule {
    match (op, class) {
        (UnOp::Neg, Some(Class::Int)) => Rule::IntNeg,
        (UnOp::Neg, Some(Class::Float)) => Rule::FloatNeg,
        _ => Rule::Generic,
    }
}
