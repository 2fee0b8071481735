//! The reference interpreter's operations on objects: references, guards, boxes, lists, tuples, iterators,
//! attributes, cells.

use super::heap::{Fault, Kind, Obj, Val};
use super::{Interp, Step, index};
use crate::func::{Imm, InstData};
use crate::ops::{CmpOp, Op};
use crate::types::Type;

/// How many attributes a fresh instance of the model has room for.
const FRESH_FIELDS: usize = 8;

fn done(v: Val) -> Result<Step, Fault> {
    Ok(Step::Value(Some(v)))
}

/// How many values a range has: how many whole steps fit before the stop, with both turned upwards.
fn range_len(start: i64, stop: i64, step: i64) -> Option<i64> {
    let (way, step) = (i128::from(stop) - i128::from(start), i128::from(step));
    if step == 0 {
        return None;
    }
    let n = ((way * step.signum() + step.abs() - 1).div_euclid(step.abs())).max(0);
    i64::try_from(n).ok()
}

fn item(items: &[Obj], at: i64) -> Result<Obj, Fault> {
    usize::try_from(at).ok().and_then(|i| items.get(i).copied()).ok_or_else(|| format!("position {at} of {}", items.len()))
}

impl Interp<'_> {
    pub(super) fn object_step(&mut self, data: &InstData, args: &[Val]) -> Result<Step, Fault> {
        match (data.op, args) {
            (Op::IncRef | Op::DecRef, [Val::Null]) => Ok(Step::Value(None)),
            (Op::IncRef, [Val::Ref(o)]) => self.heap.incref(*o).map(|()| Step::Value(None)),
            (Op::DecRef, [Val::Ref(o)]) => self.heap.decref(*o).map(|()| Step::Value(None)),
            (Op::GuardClass | Op::GuardVersion, [Val::Ref(o)]) => {
                let want = data.result.map(|r| self.func.ty(r));
                let holds = Some(self.heap.get(*o)?.ty()) == want;
                Ok(if holds { Step::Value(Some(args[0])) } else { Step::Leave })
            }
            // Models are not deep.
            (Op::GuardDepth, [_]) => Ok(Step::Value(None)),
            // A model's class does not change.
            (Op::GuardClassVersion | Op::GuardClassKeys, [Val::Ref(_)]) => Ok(Step::Value(None)),
            (Op::NewObject, [Val::Ref(_)]) => {
                let Imm::Int(version) = data.imm else { return Err("no version".to_owned()) };
                done(Val::Ref(self.heap.alloc(Kind::Instance(version as u32, vec![None; FRESH_FIELDS]))))
            }
            (Op::InitResult, [Val::Ref(o)]) => {
                if *self.heap.get(*o)? == Kind::None {
                    return Ok(Step::Value(None));
                }
                self.heap.decref(*o)?;
                Ok(Step::Raise)
            }
            (Op::GuardShapes, [Val::Ref(o), pairs @ ..]) => {
                let ty = self.heap.get(*o)?.ty();
                let holds = pairs.chunks(2).any(|p| matches!(p[0], Val::I64(v) if ty == Type::Heap(v as u32)));
                Ok(if holds { Step::Value(None) } else { Step::Leave })
            }
            (Op::VersionIs, [Val::Ref(o)]) => match data.imm {
                Imm::Int(v) => done(Val::I1(self.heap.get(*o)?.ty() == Type::Heap(v as u32))),
                _ => Err("needs a version".to_owned()),
            },
            (Op::VersionAssume, [Val::Ref(o)]) => match data.result.map(|r| self.func.ty(r)) {
                Some(want) if self.heap.get(*o)?.ty() == want => done(args[0]),
                _ => Err("the type has another version".to_owned()),
            },
            (Op::GuardIs, [a, b]) => Ok(if a == b { Step::Value(None) } else { Step::Leave }),
            (Op::GuardNotNull, [v]) => Ok(if *v == Val::Null { Step::Leave } else { Step::Value(Some(*v)) }),
            (Op::RefCast, [v]) => done(*v),
            (Op::ObjIs, [a, b]) => done(Val::I1(a == b)),
            (Op::IsNull, [v]) => done(Val::I1(*v == Val::Null)),
            (Op::BoxInt | Op::BoxFloat | Op::BoxBool, [v]) => {
                let v = self.heap.boxed(*v);
                done(v)
            }
            (Op::BoxUInt, [Val::I64(v)]) => {
                let kind = if *v < 0 { Kind::BigInt } else { Kind::Int(*v) };
                done(Val::Ref(self.heap.alloc(kind)))
            }
            (Op::IntLow, [Val::Ref(o)]) => match &*self.heap.get(*o)? {
                Kind::Int(i) => done(Val::I64(*i)),
                k => Err(format!("knows no bits of {k:?}")),
            },
            (Op::UnboxInt | Op::UnboxFloat | Op::UnboxBool, [Val::Ref(o)]) => match (data.op, &*self.heap.get(*o)?) {
                (Op::UnboxInt, Kind::Int(i)) => done(Val::I64(*i)),
                (Op::UnboxInt, Kind::BigInt) => Ok(Step::Leave),
                (Op::UnboxFloat, Kind::Float(f)) => done(Val::F64(*f)),
                (Op::UnboxBool, Kind::Bool(b)) => done(Val::I1(*b)),
                (_, k) => Err(format!("can't unbox {k:?}")),
            },
            (Op::VirtualObject, [_, rest @ ..]) => {
                let mut fields = vec![None; FRESH_FIELDS];
                for pair in rest.chunks(2) {
                    let [Val::I64(place), v] = pair else { return Err("no place".to_owned()) };
                    let k = usize::try_from(*place).map_err(|_| "a member".to_owned())?;
                    let Val::Ref(o) = self.heap.boxed(*v) else { return Err("NULL is no attribute".to_owned()) };
                    *fields.get_mut(k).ok_or("no such attribute")? = Some(o);
                }
                let Some(Type::Heap(version)) = data.result.map(|r| self.func.ty(r)) else { return Err("no version".to_owned()) };
                done(Val::Ref(self.heap.alloc_immortal(Kind::Instance(version, fields))))
            }
            (Op::VirtualTuple, _) => {
                // Nothing owns it and it owns nothing; it is here for exits to show.
                let items = args.iter().map(|a| match a {
                    Val::Ref(o) => Ok(*o),
                    Val::I64(i) => Ok(self.heap.alloc_immortal(Kind::Int(*i))),
                    Val::F64(f) => Ok(self.heap.alloc_immortal(Kind::Float(*f))),
                    Val::I1(b) => Ok(self.heap.alloc_immortal(Kind::Bool(*b))),
                    Val::Null => Err("NULL is no item".to_owned()),
                });
                let items = items.collect::<Result<Vec<_>, _>>()?;
                done(Val::Ref(self.heap.alloc_immortal(Kind::Tuple(items))))
            }
            // Of anything but numbers it leaves, which is always right.
            (Op::NumBinary | Op::NumCompare | Op::Equal, [Val::Ref(a), Val::Ref(b)]) => {
                let (a, b) = (self.heap.get(*a)?.clone(), self.heap.get(*b)?.clone());
                let Some(v) = super::arithmetic::numbers(data.imm, &a, &b) else { return Ok(Step::Leave) };
                let v = if data.op == Op::NumBinary { self.heap.boxed(v) } else { v };
                done(v)
            }
            (Op::NumToFloat, [Val::Ref(o)]) => match self.heap.get(*o)? {
                Kind::Float(f) => done(Val::F64(*f)),
                Kind::Int(i) if i.unsigned_abs() < 1 << 30 => done(Val::F64(*i as f64)),
                _ => Ok(Step::Leave),
            },
            (Op::BuildTuple | Op::BuildList, _) => {
                let items = args.iter().map(|a| match a {
                    Val::Ref(o) => Ok(*o),
                    v => Err(format!("{v:?} is no item")),
                });
                let items = items.collect::<Result<Vec<_>, _>>()?;
                let kind = if data.op == Op::BuildTuple { Kind::Tuple(items) } else { Kind::List(items) };
                done(Val::Ref(self.heap.alloc(kind)))
            }
            (Op::NewRangeIter, [Val::I64(start), Val::I64(stop), Val::I64(step)]) => match range_len(*start, *stop, *step) {
                Some(n) => done(Val::Ref(self.heap.alloc(Kind::RangeIter(*start, *step, n)))),
                None => Ok(Step::Leave),
            },
            (Op::RangeLen, [Val::I64(start), Val::I64(stop), Val::I64(step)]) => {
                range_len(*start, *stop, *step).map_or(Ok(Step::Leave), |n| done(Val::I64(n)))
            }
            (Op::VirtualRange, [Val::I64(next), Val::I64(step), Val::I64(bound)]) => {
                let Imm::Int(form) = data.imm else { return Err("no form".to_owned()) };
                let taken = form >> 1;
                let next = next.wrapping_add(step * taken);
                let left = if form & 1 != 0 { bound - taken } else { bound.saturating_sub(next).saturating_mul(*step).max(0) };
                done(Val::Ref(self.heap.alloc_immortal(Kind::RangeIter(next, *step, left))))
            }
            (Op::VirtualIter, [Val::I64(index), rest @ ..]) => {
                let of = rest.iter().map(|v| if let Val::Ref(o) = v { Ok(*o) } else { Err(format!("{v:?} is no sequence")) });
                let of = of.collect::<Result<Vec<_>, _>>()?;
                let kind = match of[..] {
                    [only] if data.imm == Imm::Int(0) => Kind::ListIter(Some(only), *index as usize),
                    _ => Kind::Tuple(of),
                };
                done(Val::Ref(self.heap.alloc_immortal(kind)))
            }
            (Op::GuardUnique, [Val::Ref(o)]) => Ok(if self.heap.is_unique(*o)? { Step::Value(None) } else { Step::Leave }),
            (
                Op::ArrayLoadInt | Op::ArrayLoadFloat | Op::ArrayStoreInt | Op::ArrayStoreFloat,
                [Val::I64(data_of), Val::I64(at), rest @ ..],
            ) => self.array_step(data, *data_of, *at, rest),
            (Op::StrOf, [Val::I64(i)]) => done(Val::Ref(self.heap.alloc(Kind::Str(i.to_string())))),
            (Op::Contains, [Val::Ref(item), Val::Ref(container)]) => {
                let among = match self.heap.get(*container)? {
                    Kind::List(items) | Kind::Tuple(items) => items.clone(),
                    k => return Err(format!("{k:?} is no container")),
                };
                let found = self.find(&among, 1, *item)?;
                done(Val::I1(found.is_some()))
            }
            (Op::DictFindTuple, [dict, items @ ..]) => {
                let items = items.iter().map(|v| match self.heap.boxed(*v) {
                    Val::Ref(o) => Ok(o),
                    v => Err(format!("{v:?} is no item")),
                });
                let items = items.collect::<Result<Vec<_>, _>>()?;
                let key = Val::Ref(self.heap.alloc_immortal(Kind::Tuple(items)));
                let Val::Ref(dict) = dict else { return Err("no dict".to_owned()) };
                self.dict_step(Op::DictFind, *dict, &[key])
            }
            (Op::DictFind | Op::DictLoad | Op::DictTake | Op::DictOr | Op::DictSet, [Val::Ref(dict), rest @ ..]) => {
                self.dict_step(data.op, *dict, rest)
            }
            (_, [Val::Ref(o), ..]) => self.container_step(data, *o, &args[1..]),
            _ => Err(format!("no rule for these operands: {args:?}")),
        }
    }

    /// Where an object like this one is, among every so many of them.
    fn find(&mut self, among: &[Obj], step: usize, wanted: Obj) -> Result<Option<usize>, Fault> {
        let like = self.heap.get(wanted)?.clone();
        for k in (0..among.len()).step_by(step) {
            if among[k] == wanted || *self.heap.get(among[k])? == like {
                return Ok(Some(k));
            }
        }
        Ok(None)
    }

    /// The model's place of a value is its position among keys and values.
    fn dict_step(&mut self, op: Op, dict: Obj, rest: &[Val]) -> Result<Step, Fault> {
        let Kind::Dict(items) = self.heap.get(dict)?.clone() else { return Err("no dict".to_owned()) };
        let at = |place: &i64| items.get(*place as usize).copied().ok_or("no such place");
        match (op, rest) {
            (Op::DictFind, [Val::Ref(key)]) => {
                let found = self.find(&items, 2, *key)?;
                done(Val::I64(found.map_or(0, |k| k as i64 + 1)))
            }
            (Op::DictLoad, [Val::I64(0)]) => Ok(Step::Leave),
            (Op::DictLoad, [Val::I64(place)]) => done(Val::Ref(at(place)?)),
            (Op::DictTake, [_, Val::I64(0)]) => Ok(Step::Raise),
            (Op::DictTake, [_, Val::I64(place)]) => {
                let value = at(place)?;
                self.heap.incref(value)?;
                done(Val::Ref(value))
            }
            (Op::DictOr, [Val::I64(0), Val::Null]) => done(Val::Ref(self.heap.alloc_immortal(Kind::None))),
            (Op::DictOr, [Val::I64(0), default]) => done(*default),
            (Op::DictOr, [Val::I64(place), _]) => done(Val::Ref(at(place)?)),
            (Op::DictSet, [Val::Ref(key), Val::Ref(new), Val::I64(place)]) => {
                self.heap.incref(*new)?;
                let Kind::Dict(items) = self.heap.get(dict)? else { return Err("no dict".to_owned()) };
                if *place == 0 {
                    items.extend([*key, *new]);
                    self.heap.incref(*key)?;
                } else {
                    let old = std::mem::replace(&mut items[*place as usize], *new);
                    self.heap.decref(old)?;
                }
                Ok(Step::Value(None))
            }
            _ => Err(format!("no rule for {rest:?}")),
        }
    }

    fn container_step(&mut self, data: &InstData, o: Obj, rest: &[Val]) -> Result<Step, Fault> {
        let kind = self.heap.get(o)?;
        match (data.op, kind, rest) {
            (Op::ListLen, Kind::List(items), _) | (Op::TupleLen, Kind::Tuple(items), _) => done(Val::I64(items.len() as i64)),
            (Op::StrItem, Kind::Str(s), [Val::I64(i)]) => {
                let c = s.chars().nth(*i as usize).ok_or("position out of range")?;
                done(Val::Ref(self.heap.alloc(Kind::Str(c.to_string()))))
            }
            (Op::StrOrd, Kind::Str(s), _) => match s.chars().collect::<Vec<_>>()[..] {
                [c] => done(Val::I64(u32::from(c).into())),
                _ => Ok(Step::Leave),
            },
            (Op::StrCmp | Op::StrIn, Kind::Str(s), [Val::Ref(other)]) => {
                let s = s.clone();
                let Kind::Str(t) = self.heap.get(*other)? else { return Err("no str".to_owned()) };
                done(Val::I1(match data.imm {
                    Imm::Cmp(CmpOp::Lt) => s < *t,
                    Imm::Cmp(CmpOp::Le) => s <= *t,
                    Imm::Cmp(CmpOp::Eq) => s == *t,
                    Imm::Cmp(CmpOp::Ne) => s != *t,
                    Imm::Cmp(CmpOp::Gt) => s > *t,
                    Imm::Cmp(CmpOp::Ge) => s >= *t,
                    _ => t.contains(s.as_str()),
                }))
            }
            (Op::ItemsLen, Kind::Dict(items), _) => done(Val::I64(items.len() as i64 / 2)),
            (Op::StrLen, Kind::Str(s), _) => done(Val::I64(s.chars().count() as i64)),
            (Op::ListItem, Kind::List(items), [Val::I64(i)]) | (Op::TupleItem, Kind::Tuple(items), [Val::I64(i)]) => {
                done(Val::Ref(item(items, *i)?))
            }
            // The model's address of the items is the list's number.
            (Op::ListData, Kind::List(_), _) => done(Val::I64(o.0.into())),
            (Op::ItemsData, Kind::List(items) | Kind::Tuple(items), _) => match data.imm {
                Imm::Int(n) if n == items.len() as i64 => done(Val::I64(o.0.into())),
                _ => Ok(Step::Leave),
            },
            (Op::ItemsData, _, _) => Ok(Step::Leave),
            (Op::ListLoad, Kind::List(items) | Kind::Tuple(items), [Val::I64(i), Val::I64(data_of)])
                if *data_of == i64::from(o.0) =>
            {
                done(Val::Ref(item(items, *i)?))
            }
            (Op::ListSwap, Kind::List(items), [Val::I64(i), Val::Ref(new)]) => {
                let old = item(items, *i)?;
                items[*i as usize] = *new;
                done(Val::Ref(old))
            }
            (Op::ListSetFloat | Op::ListSetInt, Kind::List(items), [Val::I64(i), v]) => {
                let old = item(items, *i)?;
                let new = self.overwrite(old, *v)?;
                if let (Some(new), Kind::List(items)) = (new, self.heap.get(o)?) {
                    items[*i as usize] = new;
                    self.heap.decref(old)?;
                }
                Ok(Step::Value(None))
            }
            (Op::ListAppend, Kind::List(items), [Val::Ref(new)]) => {
                items.push(*new);
                Ok(Step::Value(None))
            }
            (Op::ListSlice, Kind::List(items), [Val::I64(start), Val::I64(stop)]) => {
                let len = items.len() as i64;
                let place = |i: i64| if i < 0 { (i + len).max(0) } else { i.min(len) } as usize;
                let (start, stop) = (place(*start), place(*stop));
                let part = items.get(start..stop.max(start)).unwrap_or_default().to_vec();
                for o in &part {
                    self.heap.incref(*o)?;
                }
                done(Val::Ref(self.heap.alloc(Kind::List(part))))
            }
            (Op::ListPop, Kind::List(items), [Val::I64(at)]) => {
                let old = item(items, *at)?;
                items.remove(*at as usize);
                done(Val::Ref(old))
            }
            (Op::ListInsert, Kind::List(items), [Val::I64(at), Val::Ref(new)]) => {
                let len = items.len() as i64;
                let at = if *at < 0 { (at + len).max(0) } else { (*at).min(len) };
                items.insert(at as usize, *new);
                Ok(Step::Value(None))
            }
            (Op::ListReversePrefix, Kind::List(items), [Val::I64(last)]) => {
                match usize::try_from(*last).ok().and_then(|last| items.get_mut(..=last)) {
                    Some(prefix) => {
                        prefix.reverse();
                        Ok(Step::Value(None))
                    }
                    None => Ok(Step::Leave),
                }
            }
            (Op::ArrayLen, Kind::Array(_, items), _) => done(Val::I64(items.len() as i64)),
            // The model's address of the items is the array's number.
            (Op::ArrayData, Kind::Array(..), _) => done(Val::I64(o.0.into())),
            (Op::RangeIterLen, Kind::RangeIter(_, _, left), _) => done(Val::I64(*left)),
            (Op::RangeIterField, Kind::RangeIter(next, step, _), _) => {
                done(Val::I64(if data.imm == Imm::Int(0) { *next } else { *step }))
            }
            (Op::RangeIterNext, Kind::RangeIter(next, step, left), _) if *left > 0 => {
                let v = *next;
                *left -= 1;
                *next = next.wrapping_add(*step);
                done(Val::I64(v))
            }
            (Op::IterSequence, Kind::ListIter(of, _) | Kind::TupleIter(of, _), _) => {
                Ok(of.map_or(Step::Leave, |o| Step::Value(Some(Val::Ref(o)))))
            }
            (Op::IterIndex, Kind::ListIter(_, at) | Kind::TupleIter(_, at), _) => done(Val::I64(*at as i64)),
            (Op::ListIterNext, Kind::ListIter(..), _) | (Op::TupleIterNext, Kind::TupleIter(..), _) => self.next_item(o),
            (Op::LoadField | Op::SwapField | Op::InitField | Op::SetFieldFloat | Op::SetFieldInt, Kind::Instance(..), _) => {
                self.field_step(data, o, rest)
            }
            (Op::LoadCell, Kind::Cell(content), _) => Ok(content.map_or(Step::Leave, |c| Step::Value(Some(Val::Ref(c))))),
            (Op::SwapCell, Kind::Cell(content), [new]) => {
                let new = if let Val::Ref(o) = new { Some(*o) } else { None };
                done(std::mem::replace(content, new).map_or(Val::Null, Val::Ref))
            }
            (_, kind, _) => Err(format!("no rule for {kind:?} and {rest:?}")),
        }
    }

    fn array_step(&mut self, data: &InstData, array: i64, at: i64, rest: &[Val]) -> Result<Step, Fault> {
        let array = u32::try_from(array).map_err(|_| format!("{array} is no array's address"))?;
        let Imm::Int(code) = data.imm else { return Err("no typecode".to_owned()) };
        let Kind::Array(class, items) = self.heap.get(Obj(array))? else { return Err("no array".to_owned()) };
        let element = class.array_element().filter(|e| i64::from(e.code) == code).ok_or("another array's typecode")?;
        let item = usize::try_from(at).ok().and_then(|i| items.get_mut(i)).ok_or_else(|| format!("position {at}"))?;
        let (least, greatest) = element.range();
        match rest {
            [] => return done(*item),
            [Val::I64(new)] if !(least..=greatest).contains(new) => return Ok(Step::Leave),
            [Val::F64(new)] if element.bytes == 4 => *item = Val::F64(f64::from(*new as f32)),
            [new] => *item = *new,
            _ => return Err(format!("no rule for {rest:?}")),
        }
        Ok(Step::Value(None))
    }

    /// Overwrites a uniquely owned box of the same kind, or makes a new one.
    fn overwrite(&mut self, old: Obj, v: Val) -> Result<Option<Obj>, Fault> {
        let unique = self.heap.is_unique(old)?;
        match (self.heap.get(old)?, v) {
            (Kind::Float(f), Val::F64(new)) if unique => *f = new,
            (Kind::Int(i), Val::I64(new)) if unique => *i = new,
            _ => {
                let Val::Ref(new) = self.heap.boxed(v) else { return Err(format!("can't store {v:?}")) };
                return Ok(Some(new));
            }
        }
        Ok(None)
    }

    fn next_item(&mut self, iter: Obj) -> Result<Step, Fault> {
        let (items_of, at) = match self.heap.get(iter)? {
            Kind::ListIter(o, at) | Kind::TupleIter(o, at) => (*o, *at),
            k => return Err(format!("{k:?} is no iterator")),
        };
        let Some(of) = items_of else { return done(Val::Null) };
        let next = match self.heap.get(of)? {
            Kind::List(items) | Kind::Tuple(items) => items.get(at).copied(),
            k => return Err(format!("{k:?} is no sequence")),
        };
        if let Kind::ListIter(o, at) | Kind::TupleIter(o, at) = self.heap.get(iter)? {
            match next {
                Some(_) => *at += 1,
                None => *o = None,
            }
        }
        match next {
            Some(o) => done(Val::Ref(o)),
            None => {
                self.heap.decref(of)?;
                done(Val::Null)
            }
        }
    }

    fn field_step(&mut self, data: &InstData, o: Obj, rest: &[Val]) -> Result<Step, Fault> {
        debug_assert!(matches!(data.imm, Imm::Index(_)));
        let k = index(data)?;
        let Kind::Instance(_, fields) = self.heap.get(o)? else { return Err("no instance".to_owned()) };
        let old = *fields.get(k).ok_or_else(|| format!("no attribute {k}"))?;
        match (data.op, rest, old) {
            (Op::LoadField, _, None) => Ok(Step::Leave),
            (Op::InitField, [Val::Ref(new)], None) => {
                fields[k] = Some(*new);
                Ok(Step::Value(None))
            }
            (Op::InitField, _, _) => Err("it was set before".to_owned()),
            (Op::LoadField, _, Some(old)) => done(Val::Ref(old)),
            (Op::SwapField, [Val::Ref(new)], old) => {
                fields[k] = Some(*new);
                done(old.map_or(Val::Null, Val::Ref))
            }
            (_, [v], None) => {
                let new = self.heap.boxed(*v);
                if let (Val::Ref(new), Kind::Instance(_, fields)) = (new, self.heap.get(o)?) {
                    fields[k] = Some(new);
                }
                Ok(Step::Value(None))
            }
            (_, [v], Some(old)) => {
                let new = self.overwrite(old, *v)?;
                if let (Some(new), Kind::Instance(_, fields)) = (new, self.heap.get(o)?) {
                    fields[k] = Some(new);
                    self.heap.decref(old)?;
                }
                Ok(Step::Value(None))
            }
            _ => Err(format!("no rule for {rest:?}")),
        }
    }
}
