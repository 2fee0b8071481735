//! Control flow of the bytecode: which instructions start blocks, what follows what, which locals live.

use std::collections::{BTreeMap, BTreeSet};

use stoop_cpython::decode::{CodeInfo, Instr};
use stoop_cpython::opcodes::Opcode;

/// A bytecode block: a run of instructions entered only at its first.
#[derive(Clone, Debug)]
pub struct BytecodeBlock {
    /// Index of the first instruction.
    pub first: usize,
    /// Index after the last instruction.
    pub end: usize,
    /// Code units where control may go next.
    pub successors: Vec<u32>,
    /// Those of them that are handlers: control gets there from the middle of the block.
    pub handlers: BTreeSet<u32>,
}

/// The reachable blocks of a code object, by their first code unit, from one entry.
#[derive(Debug)]
pub struct Blocks {
    /// By first code unit.
    pub by_unit: BTreeMap<u32, BytecodeBlock>,
    /// The entry's code unit.
    pub entry: u32,
    /// Units in reverse postorder.
    pub order: Vec<u32>,
    /// Units that some back edge goes to.
    pub headers: BTreeSet<u32>,
    /// Handlers of exceptions.
    pub handlers: BTreeSet<u32>,
    /// Locals that may be read before they are written, at each block's start (one bit a slot).
    pub live_in: BTreeMap<u32, Vec<bool>>,
}

/// Finds the blocks reachable from `entry`. `stops` tells instructions the front end leaves at, `catches` the handler
/// that is compiled for what an instruction raises.
pub fn find(
    code: &CodeInfo,
    entry: u32,
    stops: &dyn Fn(&Instr) -> bool,
    catches: &dyn Fn(&Instr) -> Option<u32>,
) -> Option<Blocks> {
    let index: BTreeMap<u32, usize> = {
        let mut m = BTreeMap::new();
        for (k, i) in code.instrs.iter().enumerate() {
            m.entry(i.unit).or_insert(k);
        }
        m
    };
    let mut leaders: BTreeSet<u32> = BTreeSet::from([entry]);
    let mut seen: BTreeSet<u32> = BTreeSet::new();
    let mut work = vec![entry];
    while let Some(u) = work.pop() {
        if !seen.insert(u) {
            continue;
        }
        let mut k = *index.get(&u)?;
        loop {
            let i = &code.instrs[k];
            if stops(i) {
                break;
            }
            if let Some(h) = catches(i)
                && leaders.insert(h)
            {
                work.push(h);
            }
            if let Some(t) = i.target {
                leaders.insert(t);
                work.push(t);
                if !i.op.ends_block() {
                    leaders.insert(i.next);
                    work.push(i.next);
                }
                break;
            }
            if i.op.ends_block() {
                break;
            }
            k += 1;
            if k >= code.instrs.len() {
                return None;
            }
            if code.instrs[k].half == 0 && leaders.contains(&code.instrs[k].unit) {
                work.push(code.instrs[k].unit);
                break;
            }
        }
    }
    let mut by_unit = BTreeMap::new();
    for &u in &leaders {
        let &first = index.get(&u)?;
        let mut k = first;
        let mut successors = Vec::new();
        let mut handlers = BTreeSet::new();
        loop {
            let i = &code.instrs[k];
            k += 1;
            if stops(i) {
                break;
            }
            handlers.extend(catches(i));
            if let Some(t) = i.target {
                if !i.op.ends_block() {
                    successors.push(i.next);
                }
                successors.push(t);
                break;
            }
            if i.op.ends_block() {
                break;
            }
            if k >= code.instrs.len() {
                return None;
            }
            let next = code.instrs[k].unit;
            if code.instrs[k].half == 0 && leaders.contains(&next) {
                successors.push(next);
                break;
            }
        }
        successors.extend(&handlers);
        by_unit.insert(u, BytecodeBlock { first, end: k, successors, handlers });
    }
    let handlers = by_unit.values().flat_map(|b| b.handlers.iter().copied()).collect();
    let mut blocks = Blocks { by_unit, entry, order: Vec::new(), headers: BTreeSet::new(), handlers, live_in: BTreeMap::new() };
    blocks.sort();
    blocks.liveness(code);
    Some(blocks)
}

impl Blocks {
    /// Depth-first search from the entry: reverse postorder, and targets of retreating edges.
    fn sort(&mut self) {
        let mut state: BTreeMap<u32, u8> = BTreeMap::new();
        let mut post = Vec::new();
        let mut stack: Vec<(u32, usize)> = vec![(self.entry, 0)];
        state.insert(self.entry, 1);
        while let Some(top) = stack.last_mut() {
            let succ = &self.by_unit[&top.0].successors;
            if top.1 < succ.len() {
                let s = succ[top.1];
                top.1 += 1;
                match state.get(&s) {
                    None => {
                        state.insert(s, 1);
                        stack.push((s, 0));
                    }
                    Some(1) => {
                        self.headers.insert(s);
                    }
                    _ => {}
                }
            } else {
                state.insert(top.0, 2);
                post.push(top.0);
                stack.pop();
            }
        }
        post.reverse();
        self.order = post;
        let reachable: BTreeSet<u32> = self.order.iter().copied().collect();
        self.by_unit.retain(|u, _| reachable.contains(u));
    }

    fn liveness(&mut self, code: &CodeInfo) {
        let n = code.nlocalsplus as usize;
        for u in &self.order {
            self.live_in.insert(*u, vec![false; n]);
        }
        loop {
            let mut changed = false;
            for u in self.order.iter().rev() {
                let b = &self.by_unit[u];
                let mut live = vec![false; n];
                for s in &b.successors {
                    if let Some(l) = self.live_in.get(s) {
                        for (a, x) in live.iter_mut().zip(l) {
                            *a |= *x;
                        }
                    }
                }
                for i in code.instrs[b.first..b.end].iter().rev() {
                    let k = i.arg as usize;
                    match i.op {
                        Opcode::StoreFast | Opcode::DeleteFast => live[k] = false,
                        Opcode::LoadFast
                        | Opcode::LoadFastCheck
                        | Opcode::LoadFastAndClear
                        | Opcode::LoadDeref
                        | Opcode::StoreDeref => live[k] = true,
                        _ => {}
                    }
                }
                // What a handler reads may be what the block found, not what it stores.
                for h in &b.handlers {
                    if let Some(l) = self.live_in.get(h) {
                        for (a, x) in live.iter_mut().zip(l) {
                            *a |= *x;
                        }
                    }
                }
                if self.live_in[u] != live {
                    self.live_in.insert(*u, live);
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
    }
}
