//! Fold constants: constants are computed; boxes cancel unboxings; blocks and parameters that do nothing go.
//!
//! Sound because a rule applies only where the result is what the operation would yield to the last bit and the
//! operation would not leave. A parameter that is the same value on all ways in is that value, which dominates the
//! block then; edges through empty blocks carry the arguments along.

use stoop_ir::cfg::remove_unreachable_blocks;
use stoop_ir::{Block, Class, CmpOp, Const, Function, Imm, Inst, InstData, Op, State, Target, Type, Value};

use crate::arithmetic;
use crate::pipeline::{ConstValue, PassContext};
use crate::util::{Replacements, const_bool, const_int, remove_insts, root};

/// Each round can make work for the next; more than this many never paid.
const ROUNDS: usize = 4;

/// Runs the pass.
pub fn run(func: &mut Function, ctx: &mut PassContext) {
    remove_unreachable_blocks(func);
    for _ in 0..ROUNDS {
        let mut changed = simplify(func, ctx);
        if changed > 0 {
            // A loop that a folded branch has cut off goes before blocks are merged: its parameters name each other.
            remove_unreachable_blocks(func);
        }
        changed += remove_same_params(func);
        changed += thread_jumps(func);
        changed += merge_blocks(func);
        remove_unreachable_blocks(func);
        ctx.count("folded", changed);
        if changed == 0 {
            break;
        }
    }
}

/// What becomes of an instruction.
enum Fold {
    Keep,
    /// Its result is this value.
    Value(Value),
    /// It becomes another instruction with the same result.
    Inst(Op, Vec<Value>, Imm),
    /// It yields its operand, with a reference of its own.
    Itself,
    /// It does nothing.
    Remove,
}

fn simplify(func: &mut Function, ctx: &PassContext) -> usize {
    let mut replace = Replacements::new(func);
    let mut dead = vec![false; func.insts.len()];
    let mut changed = 0;
    let order = stoop_ir::cfg::Cfg::new(func).rpo().to_vec();
    for b in order {
        for k in 0..func.blocks[b.index()].insts.len() {
            let i = func.blocks[b.index()].insts[k];
            // Operands are rewritten on the way, so that rules see through what was folded before.
            for a in 0..func.insts[i.index()].args.len() {
                func.insts[i.index()].args[a] = replace.find(func.insts[i.index()].args[a]);
            }
            match fold(func, ctx, i) {
                Fold::Keep => continue,
                Fold::Value(v) => {
                    if let Some(r) = func.inst(i).result {
                        replace.set(r, v);
                    }
                    dead[i.index()] = true;
                }
                Fold::Inst(op, args, imm) => {
                    let d = func.inst_mut(i);
                    *d = InstData { op, args, imm, hint: stoop_ir::Hint::None, ..d.clone() };
                    if !op.needs_state() {
                        d.state = None;
                    }
                }
                Fold::Itself => {
                    let d = func.inst_mut(i);
                    let result = d.result.take();
                    *d = InstData { op: Op::IncRef, state: None, hint: stoop_ir::Hint::None, ..d.clone() };
                    if let Some(r) = result {
                        replace.set(r, func.inst(i).args[0]);
                    }
                }
                Fold::Remove => dead[i.index()] = true,
            }
            changed += 1;
        }
        changed += usize::from(fold_branch(func, b, &mut replace));
    }
    if changed > 0 {
        replace.apply(func);
        remove_insts(func, |i| dead[i.index()]);
    }
    changed
}

fn int(i: i64) -> Fold {
    Fold::Inst(Op::ConstInt, Vec::new(), Imm::Int(i))
}

fn bool(b: bool) -> Fold {
    Fold::Inst(Op::ConstBool, Vec::new(), Imm::Int(b.into()))
}

fn float(f: f64) -> Fold {
    // Which bits a NaN has is the machine's business.
    if f.is_nan() { Fold::Keep } else { Fold::Inst(Op::ConstFloat, Vec::new(), Imm::Float(f.to_bits())) }
}

fn fold(func: &Function, ctx: &PassContext, i: Inst) -> Fold {
    let d = func.inst(i);
    match d.op {
        Op::GuardClass | Op::RefCast | Op::GuardNotNull => fold_cast(func, d),
        Op::UnboxInt | Op::UnboxFloat | Op::UnboxBool => fold_unbox(func, ctx, d),
        Op::IntLow => match producer(func, root(func, d.args[0])) {
            Some(p) if matches!(p.op, Op::BoxInt | Op::BoxUInt) => Fold::Value(p.args[0]),
            _ => Fold::Keep,
        },
        Op::NumToFloat => match (func.ty(d.args[0]).class(), producer(func, root(func, d.args[0]))) {
            (Some(Class::Float), _) => Fold::Inst(Op::UnboxFloat, d.args.clone(), Imm::None),
            (_, Some(p)) if p.op == Op::BoxInt => Fold::Inst(Op::IntToFloatExact, p.args.clone(), Imm::None),
            _ => Fold::Keep,
        },
        Op::GuardTrue | Op::GuardFalse => fold_truth_guard(func, d),
        Op::GuardIs if root(func, d.args[0]) == root(func, d.args[1]) => Fold::Remove,
        Op::IsNull => match func.ty(d.args[0]) {
            Type::Null => bool(true),
            Type::MaybeNull => Fold::Keep,
            _ => bool(false),
        },
        Op::ObjIs => fold_identity(func, d.args[0], d.args[1]),
        Op::BoolNot => fold_not(func, d.args[0]),
        Op::BoolToInt => const_bool(func, d.args[0]).map_or(Fold::Keep, |b| int(b.into())),
        Op::IntToBool => match producer(func, d.args[0]) {
            Some(p) if p.op == Op::BoolToInt => Fold::Value(p.args[0]),
            _ => const_int(func, d.args[0]).map_or(Fold::Keep, |v| bool(v != 0)),
        },
        Op::IntAdd | Op::IntSub | Op::IntMul | Op::IntAnd | Op::IntOr | Op::IntXor | Op::IntShl | Op::IntShr => fold_int(func, d),
        Op::IntFloorDiv | Op::IntMod | Op::IntPow => fold_int(func, d),
        Op::Index => fold_index(func, d),
        Op::TupleLen => match producer(func, root(func, d.args[0])) {
            Some(p) if p.op == Op::BuildTuple => int(p.args.len() as i64),
            _ => Fold::Keep,
        },
        Op::IntNeg | Op::IntNot | Op::IntAbs => {
            const_int(func, d.args[0]).and_then(|v| arithmetic::int_unary(d.op, v)).map_or(Fold::Keep, int)
        }
        Op::IntCmp => fold_int_cmp(func, d),
        Op::IntToFloat => const_int(func, d.args[0]).map_or(Fold::Keep, |v| float(v as f64)),
        Op::IntToFloatExact => match const_int(func, d.args[0]) {
            Some(v) if v.unsigned_abs() <= 1 << 53 => float(v as f64),
            _ => Fold::Keep,
        },
        Op::FloatAdd | Op::FloatSub | Op::FloatMul | Op::FloatDiv | Op::FloatCmp => fold_float(func, d),
        Op::FloatNeg => match producer(func, d.args[0]) {
            Some(p) if p.op == Op::FloatNeg => Fold::Value(p.args[0]),
            _ => crate::util::const_float(func, d.args[0]).map_or(Fold::Keep, |v| float(-v)),
        },
        Op::FloatAbs => crate::util::const_float(func, d.args[0]).map_or(Fold::Keep, |v| float(v.abs())),
        // Iterators are their own iterators.
        Op::PyGetIter => match func.ty(d.args[0]) {
            Type::Exact(Class::RangeIter | Class::ListIter | Class::TupleIter) => Fold::Itself,
            _ => Fold::Keep,
        },
        Op::FloatToBool => crate::util::const_float(func, d.args[0]).map_or(Fold::Keep, |v| bool(v != 0.0)),
        _ => Fold::Keep,
    }
}

fn producer(func: &Function, v: Value) -> Option<&InstData> {
    func.def_inst(v).map(|i| func.inst(i))
}

fn fold_cast(func: &Function, d: &InstData) -> Fold {
    let (Some(r), x) = (d.result, d.args[0]) else { return Fold::Keep };
    if func.ty(x).is_subtype_of(func.ty(r)) {
        return Fold::Value(x);
    }
    match producer(func, x) {
        Some(p) if d.op == Op::RefCast && p.op == Op::RefCast => Fold::Inst(Op::RefCast, p.args.clone(), Imm::None),
        _ => Fold::Keep,
    }
}

fn fold_unbox(func: &Function, ctx: &PassContext, d: &InstData) -> Fold {
    let Some(p) = producer(func, root(func, d.args[0])) else { return Fold::Keep };
    match (d.op, p.op, p.imm) {
        (Op::UnboxInt, Op::BoxInt, _) | (Op::UnboxFloat, Op::BoxFloat, _) | (Op::UnboxBool, Op::BoxBool, _) => {
            Fold::Value(p.args[0])
        }
        (_, Op::ConstObj, Imm::Const(c)) => match (d.op, const_value(func, ctx, c)) {
            (Op::UnboxInt, Some(ConstValue::Int(v))) => int(v),
            (Op::UnboxFloat, Some(ConstValue::Float(v))) => float(v),
            (Op::UnboxBool, Some(ConstValue::Bool(v))) => bool(v),
            _ => Fold::Keep,
        },
        _ => Fold::Keep,
    }
}

/// A number constant's value. The front end describes numbers by their exact `repr`.
fn const_value(func: &Function, ctx: &PassContext, c: Const) -> Option<ConstValue> {
    let data = &func.consts[c.index()];
    let described = || match data.class? {
        Class::Int => data.text.parse().ok().map(ConstValue::Int),
        Class::Float => data.text.parse().ok().map(ConstValue::Float),
        Class::Bool => match data.text.as_str() {
            "True" => Some(ConstValue::Bool(true)),
            "False" => Some(ConstValue::Bool(false)),
            _ => None,
        },
        _ => None,
    };
    ctx.const_values.get(&c).copied().or_else(described)
}

fn fold_truth_guard(func: &Function, d: &InstData) -> Fold {
    let want = d.op == Op::GuardTrue;
    if const_bool(func, d.args[0]) == Some(want) {
        return Fold::Remove;
    }
    match producer(func, d.args[0]) {
        Some(p) if p.op == Op::BoolNot => {
            Fold::Inst(if want { Op::GuardFalse } else { Op::GuardTrue }, p.args.clone(), Imm::None)
        }
        _ => Fold::Keep,
    }
}

fn fold_identity(func: &Function, a: Value, b: Value) -> Fold {
    let (a, b) = (root(func, a), root(func, b));
    if a == b {
        return bool(true);
    }
    match (func.ty(a), func.ty(b)) {
        (Type::Exact(x), Type::Exact(y)) if x != y => return bool(false),
        (Type::Null, Type::Null) => return bool(true),
        (Type::Null, Type::Obj | Type::Exact(_) | Type::Heap(_)) => return bool(false),
        (Type::Obj | Type::Exact(_) | Type::Heap(_), Type::Null) => return bool(false),
        _ => {}
    }
    let constant = |v: Value| match producer(func, v) {
        Some(InstData { op: Op::ConstObj, imm: Imm::Const(c), .. }) => Some(*c),
        _ => None,
    };
    match (constant(a), constant(b)) {
        (Some(x), Some(y)) if x == y => bool(true),
        (Some(x), Some(y)) => {
            let (x, y) = (func.consts[x.index()].address, func.consts[y.index()].address);
            if x != 0 && y != 0 { bool(x == y) } else { Fold::Keep }
        }
        _ => Fold::Keep,
    }
}

fn fold_not(func: &Function, a: Value) -> Fold {
    if let Some(b) = const_bool(func, a) {
        return bool(!b);
    }
    match producer(func, a) {
        Some(p) if p.op == Op::BoolNot => Fold::Value(p.args[0]),
        Some(InstData { op: Op::IntCmp, args, imm: Imm::Cmp(c), .. }) => {
            let inverse = match c {
                CmpOp::Lt => CmpOp::Ge,
                CmpOp::Le => CmpOp::Gt,
                CmpOp::Eq => CmpOp::Ne,
                CmpOp::Ne => CmpOp::Eq,
                CmpOp::Gt => CmpOp::Le,
                CmpOp::Ge => CmpOp::Lt,
            };
            Fold::Inst(Op::IntCmp, args.clone(), Imm::Cmp(inverse))
        }
        // Only equality has an inverse among the floats: each order is false of a NaN.
        Some(InstData { op: Op::FloatCmp, args, imm: Imm::Cmp(c @ (CmpOp::Eq | CmpOp::Ne)), .. }) => {
            let inverse = if *c == CmpOp::Eq { CmpOp::Ne } else { CmpOp::Eq };
            Fold::Inst(Op::FloatCmp, args.clone(), Imm::Cmp(inverse))
        }
        _ => Fold::Keep,
    }
}

fn fold_int(func: &Function, d: &InstData) -> Fold {
    let (a, b) = (const_int(func, d.args[0]), const_int(func, d.args[1]));
    if let (Some(a), Some(b)) = (a, b) {
        return arithmetic::int_binary(d.op, a, b).map_or(Fold::Keep, int);
    }
    match (d.op, a, b) {
        (Op::IntAdd | Op::IntOr | Op::IntXor, Some(0), _) | (Op::IntMul, Some(1), _) | (Op::IntAnd, Some(-1), _) => {
            Fold::Value(d.args[1])
        }
        (Op::IntAdd | Op::IntSub | Op::IntOr | Op::IntXor | Op::IntShl | Op::IntShr, _, Some(0)) => Fold::Value(d.args[0]),
        (Op::IntMul | Op::IntFloorDiv, _, Some(1)) | (Op::IntAnd, _, Some(-1)) => Fold::Value(d.args[0]),
        (Op::IntMul | Op::IntAnd, Some(0), _) | (Op::IntMul | Op::IntAnd, _, Some(0)) | (Op::IntMod, _, Some(1)) => int(0),
        (Op::IntAnd | Op::IntOr, _, _) if d.args[0] == d.args[1] => Fold::Value(d.args[0]),
        (Op::IntSub | Op::IntXor, _, _) if d.args[0] == d.args[1] => int(0),
        _ => Fold::Keep,
    }
}

fn fold_index(func: &Function, d: &InstData) -> Fold {
    let (Some(i), Some(len)) = (const_int(func, d.args[0]), const_int(func, d.args[1])) else { return Fold::Keep };
    let at = if i < 0 { i.saturating_add(len) } else { i };
    if (0..len).contains(&at) { int(at) } else { Fold::Keep }
}

fn fold_int_cmp(func: &Function, d: &InstData) -> Fold {
    let Imm::Cmp(op) = d.imm else { return Fold::Keep };
    if d.args[0] == d.args[1] {
        return bool(op.holds(&0, &0));
    }
    match (const_int(func, d.args[0]), const_int(func, d.args[1])) {
        (Some(a), Some(b)) => bool(op.holds(&a, &b)),
        _ => Fold::Keep,
    }
}

fn fold_float(func: &Function, d: &InstData) -> Fold {
    let constant = |k: usize| crate::util::const_float(func, d.args[k]);
    let (Some(a), Some(b)) = (constant(0), constant(1)) else { return Fold::Keep };
    match (d.op, d.imm) {
        (Op::FloatAdd, _) => float(a + b),
        (Op::FloatSub, _) => float(a - b),
        (Op::FloatMul, _) => float(a * b),
        (Op::FloatDiv, _) if b != 0.0 => float(a / b),
        (Op::FloatCmp, Imm::Cmp(op)) => bool(op.holds(&a, &b)),
        _ => Fold::Keep,
    }
}

/// Simplifies a block's branch; says whether it did.
fn fold_branch(func: &mut Function, b: Block, replace: &mut Replacements) -> bool {
    let Some(t) = func.terminator(b).filter(|t| func.inst(*t).op == Op::Branch) else { return false };
    let cond = replace.find(func.inst(t).args[0]);
    let known = const_bool(func, cond);
    let same = func.inst(t).targets[0] == func.inst(t).targets[1];
    if same || known.is_some() {
        let d = func.inst_mut(t);
        d.targets.swap_remove(usize::from(known == Some(true)));
        d.targets.truncate(1);
        d.op = Op::Jump;
        d.args.clear();
        return true;
    }
    let inner = producer(func, cond).filter(|p| p.op == Op::BoolNot).map(|p| p.args[0]);
    if let Some(inner) = inner {
        let d = func.inst_mut(t);
        d.args[0] = inner;
        d.targets.swap(0, 1);
    }
    inner.is_some()
}

/// The one value that flows into a parameter, beside itself.
#[derive(Clone, Copy, PartialEq)]
enum Incoming {
    None,
    One(Value),
    Many,
}

fn remove_same_params(func: &mut Function) -> usize {
    let mut incoming = vec![Incoming::None; func.values.len()];
    for b in &func.blocks {
        let Some(t) = b.insts.last() else { continue };
        for t in &func.inst(*t).targets {
            for (&p, &a) in func.blocks[t.block.index()].params.iter().zip(&t.args) {
                // A better-typed name of the parameter itself brings nothing new.
                if root(func, a) != p {
                    let slot = &mut incoming[p.index()];
                    *slot = match *slot {
                        Incoming::None => Incoming::One(a),
                        Incoming::One(w) if w == a => *slot,
                        _ => Incoming::Many,
                    };
                }
            }
        }
    }
    let mut replace = Replacements::new(func);
    for b in &func.blocks {
        for &p in &b.params {
            if let Incoming::One(w) = incoming[p.index()] {
                let w = replace.find(w);
                if w != p {
                    replace.set(p, w);
                }
            }
        }
    }
    let gone: Vec<bool> = (0..func.values.len() as u32).map(|v| replace.has(Value(v))).collect();
    let n = replace.apply(func);
    if n > 0 {
        remove_params(func, &gone);
    }
    n
}

fn remove_params(func: &mut Function, gone: &[bool]) {
    let keep: Vec<Vec<bool>> = func.blocks.iter().map(|b| b.params.iter().map(|p| !gone[p.index()]).collect()).collect();
    for b in 0..func.blocks.len() {
        func.blocks[b].params.retain(|p| !gone[p.index()]);
        let Some(t) = func.blocks[b].insts.last().copied() else { continue };
        for t in &mut func.insts[t.index()].targets {
            let mut k = keep[t.block.index()].iter();
            t.args.retain(|_| *k.next().unwrap_or(&true));
        }
    }
}

/// Lets edges to blocks that only jump on go to where these jump.
fn thread_jumps(func: &mut Function) -> usize {
    let onward: Vec<Option<Target>> = {
        let uses = count_uses(func);
        (0..func.blocks.len()).map(|b| jump_of_empty(func, Block(b as u32), &uses)).collect()
    };
    if onward.iter().all(Option::is_none) {
        return 0;
    }
    let mut changed = 0;
    for b in 0..func.blocks.len() {
        let Some(t) = func.terminator(Block(b as u32)) else { continue };
        for k in 0..func.inst(t).targets.len() {
            // A cycle of empty blocks ends somewhere.
            for _ in 0..8 {
                let at = func.inst(t).targets[k].block;
                let Some(next) = onward[at.index()].as_ref().filter(|n| n.block != at) else { break };
                let params = &func.blocks[at.index()].params;
                let given = &func.inst(t).targets[k].args;
                let args = next.args.iter().map(|a| params.iter().position(|p| p == a).map_or(*a, |i| given[i])).collect();
                func.inst_mut(t).targets[k] = Target { block: next.block, args };
                changed += 1;
            }
        }
    }
    changed
}

/// Where a block jumps that does nothing else and whose parameters nobody else uses.
fn jump_of_empty(func: &Function, b: Block, uses: &[u32]) -> Option<Target> {
    let data = &func.blocks[b.index()];
    let [only] = data.insts[..] else { return None };
    let d = func.inst(only);
    if d.op != Op::Jump || b == func.entry() {
        return None;
    }
    let target = &d.targets[0];
    let own = |p: &Value| target.args.iter().filter(|a| *a == p).count() as u32;
    data.params.iter().all(|p| uses[p.index()] == own(p)).then(|| target.clone())
}

/// Counts uses, but not those in the entry states of blocks that only jump: such a state goes with its block.
fn count_uses(func: &Function) -> Vec<u32> {
    let mut uses = vec![0; func.values.len()];
    let mut seen = vec![false; func.states.len()];
    let mut state = |uses: &mut Vec<u32>, s: State| {
        let mut at = Some(s);
        while let Some(s) = at.filter(|s| !std::mem::replace(&mut seen[s.index()], true)) {
            let s = &func.states[s.index()];
            s.locals.iter().flatten().for_each(|v| uses[v.index()] += 1);
            s.stack.iter().for_each(|e| uses[e.value.index()] += 1);
            at = s.parent;
        }
    };
    for b in &func.blocks {
        if let (Some(s), true) = (b.entry_state, b.insts.len() > 1) {
            state(&mut uses, s);
        }
        for &i in &b.insts {
            let d = func.inst(i);
            d.args.iter().chain(d.targets.iter().flat_map(|t| &t.args)).for_each(|a| uses[a.index()] += 1);
            if let Some(s) = d.state {
                state(&mut uses, s);
            }
        }
    }
    uses
}

/// Appends blocks to the one block that jumps to them.
fn merge_blocks(func: &mut Function) -> usize {
    let mut edges = vec![0u32; func.blocks.len()];
    for b in 0..func.blocks.len() {
        for s in func.successors(Block(b as u32)) {
            edges[s.index()] += 1;
        }
    }
    let mut replace = Replacements::new(func);
    let mut merged = 0;
    for b in 0..func.blocks.len() {
        while let Some(t) = func.terminator(Block(b as u32)).filter(|t| func.inst(*t).op == Op::Jump) {
            let target = func.inst(t).targets[0].clone();
            let c = target.block;
            if c.index() == b || c == func.entry() || edges[c.index()] != 1 {
                break;
            }
            for (p, a) in std::mem::take(&mut func.blocks[c.index()].params).into_iter().zip(target.args) {
                replace.set(p, a);
            }
            let insts = std::mem::take(&mut func.blocks[c.index()].insts);
            func.blocks[b].insts.pop();
            func.blocks[b].insts.extend(insts);
            merged += 1;
        }
    }
    replace.apply(func);
    merged
}
