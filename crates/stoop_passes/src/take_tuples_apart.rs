//! Take tuples apart: a tuple that is only looked into is never made.
//!
//! A tuple built here and used by nothing but item loads at constant positions, its length, reference counts, look-ups in
//! dicts and frame states becomes a `virtual.tuple`, which is no code at all: loads yield the items, each count of the tuple
//! becomes one of each item, and an exit that needs the tuple builds it. Sound because a tuple's items never change,
//! and nobody else has seen it; only its identity could tell, and nothing here asks for that.

use stoop_ir::{Class, Flags, Function, Imm, Inst, Op, Type, Value};

use crate::pipeline::PassContext;
use crate::util::{const_int, frames_show};

/// The longest tuple that is looked up in a dict without being made.
const KEY: i64 = 8;

/// Runs the pass.
pub fn run(f: &mut Function, ctx: &mut PassContext) {
    let n = f.values.len();
    // The tuple that a value is a name of.
    let mut tuple: Vec<Option<Value>> = vec![None; n];
    let mut alive = vec![true; n];
    for b in &f.blocks {
        for &i in &b.insts {
            let d = f.inst(i);
            if let (Op::BuildTuple, Some(r)) = (d.op, d.result) {
                tuple[r.index()] = Some(r);
            }
        }
    }
    // Names of names: definitions come before uses only along dominators, so go on until nothing is new.
    loop {
        let mut changed = false;
        for b in &f.blocks {
            for &i in &b.insts {
                let d = f.inst(i);
                if let (Op::RefCast | Op::GuardClass | Op::GuardNotNull, Some(r)) = (d.op, d.result)
                    && tuple[r.index()].is_none()
                    && let Some(t) = tuple[d.args[0].index()]
                    && matches!(f.ty(r), Type::Obj | Type::MaybeNull | Type::Exact(Class::Tuple))
                {
                    tuple[r.index()] = Some(t);
                    changed = true;
                }
            }
        }
        if !changed {
            break;
        }
    }
    let size = |f: &Function, t: Value| f.def_inst(t).map_or(0, |i| f.inst(i).args.len()) as i64;
    for b in &f.blocks {
        for &i in &b.insts {
            let d = f.inst(i);
            for (k, a) in d.args.iter().enumerate() {
                let Some(t) = tuple[a.index()] else { continue };
                let fine = match d.op {
                    Op::RefCast | Op::GuardClass | Op::GuardNotNull => d.result.is_some_and(|r| tuple[r.index()] == Some(t)),
                    Op::TupleLen | Op::IncRef | Op::DecRef => true,
                    Op::DictFind => k == 1 && size(f, t) <= KEY,
                    Op::TupleItem if k == 0 => const_int(f, d.args[1]).is_some_and(|c| (0..size(f, t)).contains(&c)),
                    _ => false,
                };
                alive[t.index()] &= fine;
            }
            for a in d.targets.iter().flat_map(|t| &t.args) {
                if let Some(t) = tuple[a.index()] {
                    alive[t.index()] = false;
                }
            }
            if let (true, Some(s)) = (d.op.is(Flags::PY), d.state) {
                for v in frames_show(f, s) {
                    if let Some(t) = tuple[v.index()] {
                        alive[t.index()] = false;
                    }
                }
            }
        }
    }
    let chosen = |v: Value| tuple.get(v.index()).copied().flatten().filter(|t| alive[t.index()]);
    let mut replace: Vec<Option<Value>> = vec![None; n];
    let mut count = 0;
    for b in 0..f.blocks.len() {
        let insts = std::mem::take(&mut f.blocks[b].insts);
        let mut out: Vec<Inst> = Vec::with_capacity(insts.len());
        for i in insts {
            let d = f.inst(i).clone();
            let of = d.args.first().and_then(|a| chosen(*a));
            match (d.op, of) {
                (Op::BuildTuple, _) if d.result.is_some_and(|r| chosen(r) == Some(r)) => {
                    let data = f.inst_mut(i);
                    data.op = Op::VirtualTuple;
                    data.state = None;
                    out.push(i);
                    count += 1;
                }
                (Op::RefCast | Op::GuardClass | Op::GuardNotNull, Some(t)) => {
                    replace[d.result.expect("another name").index()] = Some(t);
                }
                (Op::TupleItem, Some(t)) => {
                    let k = const_int(f, d.args[1]).expect("checked") as usize;
                    replace[d.result.expect("an item").index()] = Some(item(f, t, k));
                }
                (Op::TupleLen, Some(t)) => {
                    let data = f.inst_mut(i);
                    data.op = Op::ConstInt;
                    data.args = Vec::new();
                    let len = size(f, t);
                    f.inst_mut(i).imm = Imm::Int(len);
                    out.push(i);
                }
                (Op::DictFind, _) if chosen(d.args[1]).is_some() => {
                    let t = chosen(d.args[1]).expect("just asked");
                    let items = (0..size(f, t) as usize).map(|k| item(f, t, k));
                    let args = std::iter::once(d.args[0]).chain(items).collect();
                    let data = f.inst_mut(i);
                    (data.op, data.args) = (Op::DictFindTuple, args);
                    unbox(f, i);
                    out.push(i);
                }
                (Op::DictFindTuple, _) => {
                    unbox(f, i);
                    out.push(i);
                }
                (Op::IncRef | Op::DecRef, Some(t)) => {
                    for k in 0..size(f, t) as usize {
                        let v = item(f, t, k);
                        let (j, _) = f.make_inst(d.op, &[v], Imm::None, Type::Void, None);
                        out.push(j);
                    }
                }
                _ => out.push(i),
            }
        }
        f.blocks[b].insts = out;
    }
    if count > 0 {
        f.replace_uses(&replace);
    }
    ctx.count("tuples_taken_apart", count);
}

/// Gives a look-up the ints themselves instead of their boxes.
fn unbox(f: &mut Function, i: Inst) {
    for k in 1..f.inst(i).args.len() {
        if let Some(b) = f.def_inst(f.inst(i).args[k])
            && f.inst(b).op == Op::BoxInt
        {
            f.inst_mut(i).args[k] = f.inst(b).args[0];
        }
    }
}

fn item(f: &Function, t: Value, k: usize) -> Value {
    f.inst(f.def_inst(t).expect("a built tuple")).args[k]
}
