//! Rules about what containers and strings hold: items, lengths, membership, slices, iteration.

use stoop_ir::{Class, CmpOp, Element, Function, Imm, InstData, Op, State, Type, Value};

use super::Specialiser;
use super::rules::Rule;

impl Specialiser {
    pub(super) fn items(&mut self, f: &mut Function, d: &InstData, rule: Rule) {
        let st = d.state;
        let a = |k: usize| d.args[k];
        match rule {
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
            Rule::Concat(c) => {
                let (x, y) = (self.exact(f, a(0), c, st), self.exact(f, a(1), c, st));
                let v = self.val(f, Op::Concat, &[x, y], Type::Exact(c), st);
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
            Rule::AnyTruth
            | Rule::Equal(_)
            | Rule::BoolToInt
            | Rule::FloatAbs
            | Rule::FloatBin(_)
            | Rule::FloatCmp(_)
            | Rule::FloatExtreme(_)
            | Rule::FloatNeg
            | Rule::FloatRound
            | Rule::FloatSqrt
            | Rule::FloatToInt
            | Rule::Generic
            | Rule::InstanceOf
            | Rule::IntAbs
            | Rule::IntBin(_)
            | Rule::IntCmp(_)
            | Rule::IntExtreme(_)
            | Rule::IntNeg
            | Rule::IntTrueDiv
            | Rule::IsInstance(_)
            | Rule::LoadField(_, _)
            | Rule::LoadSlot(_, _)
            | Rule::Math(_)
            | Rule::NumBin(_)
            | Rule::NumCmp(_)
            | Rule::OfClasses(..)
            | Rule::ResultClass(_)
            | Rule::Same
            | Rule::StoreField(_, _)
            | Rule::StoreSlot(_, _)
            | Rule::StrItself(_)
            | Rule::StrOfInt(_)
            | Rule::ToFloat
            | Rule::Truth(_)
            | Rule::TypeOf => unreachable!("not about items"),
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
