//! Eliminate common subexpressions: what was computed on the way already is not computed again.
//!
//! Walks the dominator tree with a table of what is available. Sound because the earlier instruction dominates the
//! later one, has the same operands, and sees the same version of the memory it reads; an operation that did not
//! leave the first time does not leave the second time, so the two may carry different states. Operations that yield
//! a new reference are never shared: each result owns one.

use stoop_ir::cfg::Cfg;
use stoop_ir::{Block, Flags, Function, Imm, Inst, Mem, Op, Ret, Type, Value};

use crate::memory::{Effects, Versions, reads};
use crate::pipeline::PassContext;
use crate::util::{FastMap, Replacements, remove_insts};

/// What makes two instructions the same.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    op: u32,
    imm: (u8, u64),
    args: [u32; 2],
    ty: Type,
    memory: u32,
}

/// Runs the pass.
pub fn run(func: &mut Function, ctx: &mut PassContext) {
    let cfg = Cfg::new(func);
    let effects = Effects::new(func);
    let mut versions = Versions::new(func, &cfg, &effects);
    let mut replace = Replacements::new(func);
    let mut dead = vec![false; func.insts.len()];
    // An entry whose block does not dominate the present one belongs to a finished part of the tree.
    let mut table: FastMap<Key, (Block, Option<Value>)> = FastMap::default();
    let mut removed = 0;
    for b in cfg.dom_preorder() {
        versions.enter(&cfg, b);
        for &i in &func.blocks[b.index()].insts {
            let d = func.inst(i);
            if is_shareable(d.op, d.args.len()) {
                let key = key(func, i, &mut replace, &versions);
                match table.get(&key) {
                    Some((at, earlier)) if cfg.dominates(*at, b) => {
                        if let (Some(r), Some(e)) = (d.result, earlier) {
                            replace.set(r, *e);
                        }
                        dead[i.index()] = true;
                        removed += 1;
                    }
                    _ => {
                        table.insert(key, (b, d.result));
                    }
                }
            }
            versions.write(effects.writes(i));
        }
        versions.leave(b);
    }
    if removed > 0 {
        replace.apply(func);
        remove_insts(func, |i| dead[i.index()]);
    }
    ctx.count("subexpressions_shared", removed);
}

fn is_shareable(op: Op, args: usize) -> bool {
    let info = op.info();
    let excluded = [Flags::PINNED, Flags::TERM, Flags::PY, Flags::RAISE];
    info.writes == Mem::NONE && info.ret != Ret::New && args <= 2 && !excluded.iter().any(|f| info.flags.has(*f))
}

fn key(func: &Function, i: Inst, replace: &mut Replacements, versions: &Versions) -> Key {
    let d = func.inst(i);
    let mut args = [u32::MAX; 2];
    for (k, a) in d.args.iter().enumerate() {
        args[k] = replace.find(*a).0;
    }
    // Float sums and products are left as they are: which operand's NaN survives depends on the order.
    if matches!(d.op, Op::IntAdd | Op::IntMul | Op::IntAnd | Op::IntOr | Op::IntXor | Op::ObjIs | Op::GuardIs) {
        args.sort_unstable();
    }
    let ty = d.result.map_or(Type::Void, |r| func.ty(r));
    Key { op: d.op as u32, imm: imm_key(d.imm), args, ty, memory: versions.of(reads(func, i)) }
}

fn imm_key(imm: Imm) -> (u8, u64) {
    match imm {
        Imm::None => (0, 0),
        Imm::Int(i) => (1, i as u64),
        Imm::Float(bits) => (2, bits),
        Imm::Const(c) => (3, c.0.into()),
        Imm::Index(i) => (4, i.into()),
        Imm::Name(n) => (5, n.0.into()),
        Imm::Bin(o) => (6, o as u64),
        Imm::Un(o) => (7, o as u64),
        Imm::Cmp(o) => (8, o as u64),
    }
}
