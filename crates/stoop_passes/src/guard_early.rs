//! Guard early: an item that will be used as a number is guarded, and taken out of its box, where it is loaded.
//!
//! `x = list.item …` whose class a later guard in the same block asks for is guarded right after the load instead,
//! if a frame state that resumes before the load is at hand: that of an operation before it, with nothing in between
//! that the interpreter would do twice. Loads are brought together first, so that references are taken after the
//! last of them. From there on the value is known to be a number: it can stay unboxed, and the local it is stored to
//! need not be written (`sink_boxes`). Sound because a guard that fails earlier only leaves earlier.

use stoop_ir::{Class, Function, Imm, Inst, Op, State, Type, Value};

use crate::pipeline::PassContext;

/// Runs the pass.
pub fn run(f: &mut Function, ctx: &mut PassContext) {
    let wanted = wanted_classes(f);
    let mut replace: Vec<Option<Value>> = vec![None; f.values.len()];
    let mut count = 0;
    for b in 0..f.blocks.len() {
        let insts = std::mem::take(&mut f.blocks[b].insts);
        let mut out: Vec<Inst> = Vec::with_capacity(insts.len() + 8);
        let mut state: Option<State> = None;
        // Counts taken since `state`: they move behind the next guard.
        let mut held: Vec<Inst> = Vec::new();
        for i in insts {
            let d = f.inst(i).clone();
            let load = matches!(d.op, Op::ListItem | Op::TupleItem);
            if d.op == Op::IncRef && state.is_some() {
                held.push(i);
                continue;
            }
            if !load && d.op != Op::ConstInt {
                out.append(&mut held);
            }
            out.push(i);
            if load
                && let (Some(st), Some(r)) = (state, d.result)
                && let Some((c, asked)) = wanted[r.index()]
            {
                let (g, v) = f.make_inst(Op::GuardClass, &[r], asked, Type::Exact(c), Some(st));
                out.push(g);
                let unboxed = Type::unboxed(c).expect("only numbers are wanted");
                let v0 = v.expect("a guard has a result");
                let (u, _) = match c {
                    Class::Float => f.make_inst(Op::UnboxFloat, &[v0], Imm::None, unboxed, None),
                    _ => f.make_inst(Op::UnboxInt, &[v0], asked, unboxed, Some(st)),
                };
                out.push(u);
                replace[r.index()] = v;
                count += 1;
                continue;
            }
            state = match d.op {
                // These resume before their instruction, and do nothing that counts.
                Op::GuardClass | Op::GuardTrue | Op::GuardVersion | Op::Index => d.state,
                Op::ListItem | Op::TupleItem | Op::ListLen | Op::TupleLen | Op::ConstInt | Op::IntCmp | Op::ConstObj => state,
                _ => None,
            };
        }
        out.append(&mut held);
        f.blocks[b].insts = out;
    }
    if count > 0 {
        apply(f, &replace);
    }
    ctx.count("guards_made_early", count);
}

/// The number class that a later guard in the block of its load asks of each value, and where: code object and code unit
/// in one immediate. A guard that fails is that place's doing, not that of the load.
fn wanted_classes(f: &Function) -> Vec<Option<(Class, Imm)>> {
    let mut loaded = vec![usize::MAX; f.values.len()];
    let mut wanted = vec![None; f.values.len()];
    for (b, data) in f.blocks.iter().enumerate() {
        for &i in &data.insts {
            let d = f.inst(i);
            match d.op {
                Op::ListItem | Op::TupleItem => {
                    if let Some(r) = d.result {
                        loaded[r.index()] = b;
                    }
                }
                Op::GuardClass if loaded[d.args[0].index()] == b => {
                    let class = d.result.and_then(|r| f.ty(r).class());
                    if let (Some(c @ (Class::Int | Class::Float)), Some(s)) = (class, d.state) {
                        let s = &f.states[s.index()];
                        wanted[d.args[0].index()] = Some((c, Imm::Int(i64::from(s.code) << 32 | i64::from(s.unit))));
                    }
                }
                _ => {}
            }
        }
    }
    wanted
}

/// Uses of a load become uses of its guard, but for the guard itself.
fn apply(f: &mut Function, replace: &[Option<Value>]) {
    let guards: Vec<(Inst, Value)> = (0..f.insts.len())
        .map(|k| Inst(k as u32))
        .filter_map(|i| {
            let d = f.inst(i);
            let r = d.result?;
            (d.op == Op::GuardClass && replace.get(d.args[0].index()).copied().flatten() == Some(r)).then(|| (i, d.args[0]))
        })
        .collect();
    f.replace_uses(replace);
    for (i, v) in guards {
        f.inst_mut(i).args[0] = v;
    }
}
