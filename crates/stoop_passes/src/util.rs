//! What several passes need: replacement maps, aliases, constants, a fast hash.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use stoop_ir::{Block, FrameState, Function, Imm, Inst, Op, State, Value};

/// A map that replaces values by values, applied to a function in one go.
pub struct Replacements {
    map: Vec<Option<Value>>,
    count: usize,
}

impl Replacements {
    /// An empty map.
    pub fn new(func: &Function) -> Replacements {
        Replacements { map: vec![None; func.values.len()], count: 0 }
    }
    /// What stands for `v` now.
    pub fn find(&mut self, mut v: Value) -> Value {
        while let Some(Some(w)) = self.map.get(v.index()).copied() {
            // Halve the path: chains stay short however often they are walked.
            if let Some(Some(x)) = self.map.get(w.index()).copied() {
                self.map[v.index()] = Some(x);
            }
            v = w;
        }
        v
    }
    /// Replaces `v` by `w`.
    pub fn set(&mut self, v: Value, w: Value) {
        let w = self.find(w);
        debug_assert_ne!(v, w, "a value replaced by itself");
        if self.map.len() <= v.index() {
            self.map.resize(v.index() + 1, None);
        }
        self.map[v.index()] = Some(w);
        self.count += 1;
    }
    /// Whether `v` is replaced.
    pub fn has(&self, v: Value) -> bool {
        self.map.get(v.index()).is_some_and(Option::is_some)
    }
    /// Rewrites all uses and empties the map; says how many values were replaced.
    pub fn apply(&mut self, func: &mut Function) -> usize {
        let n = std::mem::take(&mut self.count);
        if n > 0 {
            func.replace_uses(&self.map);
            self.map.fill(None);
        }
        n
    }
}

/// The reference that `v` is a better-typed name of: guards and casts yield their operand.
pub fn root(func: &Function, mut v: Value) -> Value {
    while let Some(i) = func.def_inst(v) {
        match func.inst(i).op {
            Op::GuardClass | Op::GuardVersion | Op::GuardNotNull | Op::RefCast | Op::VersionAssume => v = func.inst(i).args[0],
            _ => break,
        }
    }
    v
}

/// The integer that a value is, if it is a constant.
pub fn const_int(func: &Function, v: Value) -> Option<i64> {
    match func.inst(func.def_inst(v)?) {
        d if d.op == Op::ConstInt => match d.imm {
            Imm::Int(i) => Some(i),
            _ => None,
        },
        _ => None,
    }
}

/// The double that a value is, if it is a constant.
pub fn const_float(func: &Function, v: Value) -> Option<f64> {
    match func.inst(func.def_inst(v)?) {
        d if d.op == Op::ConstFloat => match d.imm {
            Imm::Float(bits) => Some(f64::from_bits(bits)),
            _ => None,
        },
        _ => None,
    }
}

/// The truth value that a value is, if it is a constant.
pub fn const_bool(func: &Function, v: Value) -> Option<bool> {
    match func.inst(func.def_inst(v)?) {
        d if d.op == Op::ConstBool => match d.imm {
            Imm::Int(i) => Some(i != 0),
            _ => None,
        },
        _ => None,
    }
}

/// Removes instructions from all blocks.
pub fn remove_insts(func: &mut Function, dead: impl Fn(Inst) -> bool) {
    for b in &mut func.blocks {
        b.insts.retain(|i| !dead(*i));
    }
}

/// What the locals of inlined functions hold while an operation with this state runs Python code: their frames are then
/// there to be looked at.
pub fn frames_show(func: &Function, state: State) -> impl Iterator<Item = Value> {
    let inlined = |s: &State| func.states[s.index()].parent.is_some();
    let chain = std::iter::successors(Some(state), |s| func.states[s.index()].parent).take_while(inlined);
    chain.flat_map(|s| func.states[s.index()].locals.iter().flatten().copied())
}

/// Calls `f` with each value a frame state names, its inlined parents' included.
pub fn state_values(func: &Function, state: State, mut f: impl FnMut(Value)) {
    let mut at = Some(state);
    while let Some(s) = at {
        let s = &func.states[s.index()];
        s.locals.iter().flatten().for_each(|v| f(*v));
        s.stack.iter().for_each(|e| f(e.value));
        at = s.parent;
    }
}

/// A copy of a block's entry state (or of its parents) with parameters replaced by arguments. Iterators that are
/// only described get descriptions of their own, in `shown`.
pub(crate) fn substitute(func: &mut Function, state: State, block: Block, args: &[Value], shown: &mut Vec<Inst>) -> State {
    let params = func.blocks[block.index()].params.clone();
    let with = |v: &mut Value| {
        if let Some(k) = params.iter().position(|p| p == v) {
            *v = args[k];
        }
    };
    let mut s: FrameState = func.states[state.index()].clone();
    s.locals.iter_mut().flatten().for_each(with);
    for e in &mut s.stack {
        with(&mut e.value);
        let iterator = func.def_inst(e.value).filter(|i| matches!(func.inst(*i).op, Op::VirtualRange | Op::VirtualIter));
        if let Some(i) = iterator {
            let mut d = func.inst(i).clone();
            d.args.iter_mut().for_each(with);
            let (copy, v) = func.make_inst(d.op, &d.args, d.imm, func.ty(e.value), None);
            shown.push(copy);
            e.value = v.expect("an iterator");
        }
    }
    s.parent = s.parent.map(|p| substitute(func, p, block, args, shown));
    func.add_state(s)
}

/// A hash for small keys that nobody chooses with malice.
#[derive(Default)]
pub struct FastHasher(u64);

impl Hasher for FastHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.write_u64(u64::from(*b));
        }
    }
    fn write_u8(&mut self, v: u8) {
        self.write_u64(u64::from(v));
    }
    fn write_u32(&mut self, v: u32) {
        self.write_u64(u64::from(v));
    }
    fn write_usize(&mut self, v: usize) {
        self.write_u64(v as u64);
    }
    fn write_u64(&mut self, v: u64) {
        self.0 = (self.0.rotate_left(5) ^ v).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// A map with [`FastHasher`].
pub type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<FastHasher>>;
