//! The optimistic inference of types over a whole function.

use stoop_ir::{Class, Def, Flags, Function, InstData, Op, Type, Value};

use super::rules::{Rule, rule};

/// The inferred type of every value, in boxed terms.
pub(super) fn infer(f: &Function) -> Vec<Option<Type>> {
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
        Rule::NumBin(op) => {
            let class = |k: usize| ty(d.args[k]).and_then(Type::class);
            super::rules::numbers_yield(op, class(0), class(1)).map_or(declared, Type::Exact)
        }
        Rule::NumCmp(_) if declared.is_ref() => Type::Exact(Class::Bool),
        Rule::Math(_) | Rule::FloatExtreme(_) => Type::Exact(Class::Float),
        Rule::FloatBin(_) | Rule::IntTrueDiv | Rule::FloatNeg | Rule::FloatAbs | Rule::FloatSqrt | Rule::ToFloat => {
            Type::Exact(Class::Float)
        }
        Rule::Ord => Type::Exact(Class::Int),
        Rule::StrGet | Rule::Chr => Type::Exact(Class::Str),
        Rule::IntCmp(_) | Rule::FloatCmp(_) | Rule::StrCmp(_) | Rule::Equal(_) if declared.is_ref() => Type::Exact(Class::Bool),
        Rule::IsInstance(_) => Type::Exact(Class::Bool),
        Rule::ResultClass(c) | Rule::OfClasses(_, _, c) | Rule::Concat(c) => Type::Exact(c),
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

/// Gives parameters the types inferred for them.
pub(super) fn retype_params(f: &mut Function, types: &[Option<Type>]) {
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

/// The class of an array's items.
pub(super) fn item_class(array: Class) -> Class {
    if array.array_element().is_some_and(|e| e.is_float) { Class::Float } else { Class::Int }
}
