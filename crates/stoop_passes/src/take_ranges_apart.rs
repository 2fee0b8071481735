//! Take ranges apart: a loop over a range counts in a register, and its iterator is never made.
//!
//! An iterator that is made here (or that the loop's entry has found to be nobody else's) and used by nothing but
//! its length, its next value, and frame states' operand stacks becomes values: what comes next, and where it stops
//! (for steps of 1 and -1) or how many are left. Blocks where ways with different values meet get parameters. Frame
//! states name a `virtual.range`, from which an exit makes an iterator that stands where this one would. Sound
//! because nobody else has the iterator: only the operand stack holds it, where no program looks.

use std::collections::HashMap;

use stoop_ir::cfg::Cfg;
use stoop_ir::{Block, Class, CmpOp, Function, Imm, Inst, InstData, Op, State, Type, Value};

use crate::pipeline::PassContext;
use crate::util::{FastMap, const_int, root};

/// Bit 0 of the form: the bound is how many values are left.
const COUNTED: i64 = 1;
/// Bit 1 of the form: the present value was taken.
const TAKEN: i64 = 2;

/// Runs the pass.
pub fn run(f: &mut Function, ctx: &mut PassContext) {
    let iterators = find(f);
    if iterators.is_empty() {
        return;
    }
    let cfg = Cfg::new(f);
    let mut replace: Vec<Option<Value>> = vec![None; f.values.len()];
    let n = iterators.len();
    for it in iterators {
        Apart::new(f, &cfg, it, &mut replace).run();
    }
    f.replace_uses(&replace);
    ctx.count("ranges_taken_apart", n);
}

/// An iterator that can be taken apart.
struct Iterator {
    /// What makes it: `rangeiter.new`, or the guard that it is nobody else's.
    by: Inst,
    at: Block,
    root: Value,
    /// Whether its lengths are only asked whether they are zero.
    compared: bool,
}

fn is_name(op: Op) -> bool {
    matches!(op, Op::RefCast | Op::GuardClass | Op::GuardNotNull)
}

fn find(f: &Function) -> Vec<Iterator> {
    let mut found: Vec<Iterator> = Vec::new();
    for (b, data) in f.blocks.iter().enumerate() {
        for &i in &data.insts {
            let d = f.inst(i);
            let root = match d.op {
                Op::NewRangeIter => d.result.expect("an iterator"),
                Op::GuardUnique if f.ty(d.args[0]) == Type::Exact(Class::RangeIter) => root(f, d.args[0]),
                _ => continue,
            };
            found.push(Iterator { by: i, at: Block(b as u32), root, compared: true });
        }
    }
    if found.is_empty() {
        return found;
    }
    let number: FastMap<Value, usize> = found.iter().enumerate().map(|(k, it)| (it.root, k)).collect();
    let of = |v: Value| if f.ty(v).is_ref() { number.get(&root(f, v)).copied() } else { None };
    let mut fine = vec![true; found.len()];
    let mut lengths: FastMap<Value, usize> = FastMap::default();
    for (i, next) in f.blocks.iter().flat_map(|b| b.insts.iter().zip(b.insts[1..].iter().chain(b.insts.last()))) {
        let d = f.inst(*i);
        for a in d.targets.iter().flat_map(|t| &t.args) {
            if let Some(k) = of(*a) {
                fine[k] = false;
            }
        }
        for a in &d.args {
            let Some(k) = of(*a) else { continue };
            match d.op {
                Op::RangeIterLen => {
                    lengths.insert(d.result.expect("a length"), k);
                }
                Op::RangeIterNext | Op::DecRef | Op::GuardUnique => {}
                // A second reference, dropped at once.
                Op::IncRef if f.inst(*next).op == Op::DecRef && of(f.inst(*next).args[0]) == Some(k) => {}
                op if is_name(op) => {}
                _ => fine[k] = false,
            }
        }
    }
    for &i in f.blocks.iter().flat_map(|b| &b.insts) {
        let d = f.inst(i);
        for a in d.args.iter().chain(d.targets.iter().flat_map(|t| &t.args)) {
            if let Some(k) = lengths.get(a)
                && !is_zero_test(f, i)
            {
                found[*k].compared = false;
            }
        }
    }
    // One frame state speaks of an iterator once, in its operand stack.
    for s in &f.states {
        let mut seen: Vec<usize> = Vec::new();
        for v in s.locals.iter().flatten() {
            if let Some(k) = of(*v) {
                fine[k] = false;
            }
        }
        for k in s.stack.iter().filter_map(|e| of(e.value)) {
            fine[k] &= !seen.contains(&k);
            seen.push(k);
        }
    }
    found.into_iter().zip(fine).filter_map(|(it, fine)| fine.then_some(it)).collect()
}

/// Whether an instruction is `int.cmp le length, 0`.
fn is_zero_test(f: &Function, i: Inst) -> bool {
    let d = f.inst(i);
    d.op == Op::IntCmp && d.imm == Imm::Cmp(CmpOp::Le) && const_int(f, d.args[1]) == Some(0)
}

/// Where an iterator stands.
#[derive(Clone, Copy)]
struct Position {
    next: Value,
    bound: Value,
    /// Whether `next` was taken: the iterator stands one step further on.
    taken: bool,
    /// What frame states name.
    shown: Value,
}

struct Apart<'a> {
    f: &'a mut Function,
    cfg: &'a Cfg,
    it: Iterator,
    replace: &'a mut Vec<Option<Value>>,
    step: Value,
    /// -1, for counting what is left down.
    one: Value,
    /// The step, if the bound is where the values stop.
    counting: Option<i64>,
    params: HashMap<Block, Vec<Value>>,
    ends: HashMap<Block, Position>,
    /// The value that a state names the iterator by, once it was rewritten, and its copies.
    states: HashMap<State, Value>,
    copies: HashMap<(State, Value), State>,
    /// Counting: what lengths were asked for when the next value and the stop were these.
    lengths: HashMap<Value, (Value, Value)>,
    out: Vec<Inst>,
}

impl<'a> Apart<'a> {
    fn new(f: &'a mut Function, cfg: &'a Cfg, it: Iterator, replace: &'a mut Vec<Option<Value>>) -> Apart<'a> {
        let d = f.inst(it.by);
        let step = if d.op == Op::NewRangeIter { d.args[2] } else { it.root };
        let counting = (d.op == Op::NewRangeIter && it.compared).then(|| const_int(f, step)).flatten().filter(|s| s.abs() == 1);
        Apart {
            f,
            cfg,
            one: step,
            step,
            counting,
            it,
            replace,
            params: HashMap::new(),
            ends: HashMap::new(),
            states: HashMap::new(),
            copies: HashMap::new(),
            lengths: HashMap::new(),
            out: Vec::new(),
        }
    }

    fn run(&mut self) {
        let blocks: Vec<Block> = self.cfg.rpo().iter().copied().filter(|b| self.cfg.dominates(self.it.at, *b)).collect();
        self.add_params(&blocks);
        for b in blocks {
            let insts = std::mem::take(&mut self.f.blocks[b.index()].insts);
            self.out = Vec::with_capacity(insts.len() + 4);
            let mut now = self.start(b);
            if let (Some(p), Some(s), true) = (now, self.f.blocks[b.index()].entry_state, b != self.it.at) {
                let s = self.rename(s, p.shown);
                self.f.blocks[b.index()].entry_state = Some(s);
            }
            for i in insts {
                self.inst(i, &mut now);
            }
            self.f.blocks[b.index()].insts = std::mem::take(&mut self.out);
            if let Some(p) = now {
                self.ends.insert(b, p);
            }
        }
        self.add_arguments();
    }

    /// Gives a parameter to the blocks where positions meet and something asks for one later.
    fn add_params(&mut self, blocks: &[Block]) {
        let mut wanted = vec![false; self.f.blocks.len()];
        let mut work: Vec<Block> = Vec::new();
        for &b in blocks.iter().filter(|b| **b != self.it.at) {
            let data = &self.f.blocks[b.index()];
            let uses = |i: &Inst| {
                let d = self.f.inst(*i);
                d.args.iter().any(|a| self.is_it(*a)) || d.state.is_some_and(|s| self.names_it(s))
            };
            if data.entry_state.is_some_and(|s| self.names_it(s)) || data.insts.iter().any(uses) {
                work.push(b);
            }
        }
        while let Some(b) = work.pop() {
            if b != self.it.at && !std::mem::replace(&mut wanted[b.index()], true) {
                work.extend_from_slice(self.cfg.preds(b));
            }
        }
        for &b in blocks {
            if wanted[b.index()] && self.cfg.preds(b).len() > 1 {
                let n = if self.counting.is_some() { 1 } else { 2 };
                let params = (0..n).map(|_| self.f.add_param(b, Type::I64)).collect();
                self.params.insert(b, params);
            }
        }
    }

    fn is_it(&self, v: Value) -> bool {
        self.f.ty(v) != Type::I64 && root(self.f, v) == self.it.root
    }

    fn names_it(&self, s: State) -> bool {
        let state = &self.f.states[s.index()];
        state.stack.iter().any(|e| self.is_it(e.value)) || state.parent.is_some_and(|p| self.names_it(p))
    }

    /// The position at a block's start.
    fn start(&mut self, b: Block) -> Option<Position> {
        if b == self.it.at {
            return None;
        }
        if let Some(params) = self.params.get(&b).cloned() {
            let bound = params.get(1).copied();
            let bound = bound.unwrap_or_else(|| self.ends[&self.it.at].bound);
            return Some(self.position(params[0], bound, false));
        }
        match self.cfg.preds(b) {
            [p] => self.ends.get(p).copied(),
            _ => None,
        }
    }

    fn emit(&mut self, op: Op, args: &[Value], imm: Imm, ty: Type, state: Option<State>) -> Value {
        let (i, v) = self.f.make_inst(op, args, imm, ty, state);
        self.out.push(i);
        v.expect("a value")
    }

    fn position(&mut self, next: Value, bound: Value, taken: bool) -> Position {
        let form = if self.counting.is_some() { 0 } else { COUNTED } | if taken { TAKEN } else { 0 };
        let args = [next, self.step, bound];
        let shown = self.emit(Op::VirtualRange, &args, Imm::Int(form), Type::Exact(Class::RangeIter), None);
        Position { next, bound, taken, shown }
    }

    /// The position as it stands, with nothing taken in advance.
    fn settled(&mut self, p: Position) -> Position {
        if !p.taken {
            return p;
        }
        let next = self.emit(Op::IntAdvance, &[p.next, self.step], Imm::None, Type::I64, None);
        let bound = if self.counting.is_some() {
            p.bound
        } else {
            self.emit(Op::IntAdvance, &[p.bound, self.one], Imm::None, Type::I64, None)
        };
        Position { next, bound, taken: false, shown: p.shown }
    }

    fn inst(&mut self, i: Inst, now: &mut Option<Position>) {
        let d = self.f.inst(i).clone();
        if i == self.it.by {
            let p = self.make(i, &d);
            *now = Some(p);
            return;
        }
        let Some(p) = *now else {
            // Before it is taken apart.
            self.out.push(i);
            return;
        };
        if let Some(s) = d.state {
            let s = self.rename(s, p.shown);
            self.f.inst_mut(i).state = Some(s);
        }
        let asks = d.args.first().is_some_and(|a| self.is_it(*a));
        match d.op {
            Op::RangeIterNext if asks => {
                let p = self.settled(p);
                self.replace_by(d.result.expect("a value"), p.next);
                let p = self.position(p.next, p.bound, true);
                *now = Some(p);
            }
            Op::RangeIterLen if asks => {
                let p = self.settled(p);
                *now = Some(p);
                let length = d.result.expect("a length");
                if self.counting.is_some() {
                    self.lengths.insert(length, (p.next, p.bound));
                } else {
                    self.replace_by(length, p.bound);
                }
            }
            Op::IntCmp if self.lengths.contains_key(&d.args[0]) => {
                let (next, stop) = self.lengths[&d.args[0]];
                let op = if self.counting == Some(1) { CmpOp::Ge } else { CmpOp::Le };
                let data = self.f.inst_mut(i);
                data.args = vec![next, stop];
                data.imm = Imm::Cmp(op);
                self.out.push(i);
            }
            Op::IncRef | Op::DecRef if asks => {}
            op if asks && is_name(op) => {}
            _ => {
                if d.targets.iter().any(|t| self.params.contains_key(&t.block)) {
                    let p = self.settled(p);
                    *now = Some(p);
                }
                self.out.push(i);
            }
        }
    }

    fn replace_by(&mut self, old: Value, new: Value) {
        if self.replace.len() <= old.index() {
            self.replace.resize(self.f.values.len(), None);
        }
        self.replace[old.index()] = Some(new);
    }

    /// Where an iterator stands that is made, or was found, here.
    fn make(&mut self, i: Inst, d: &InstData) -> Position {
        if d.op == Op::NewRangeIter {
            let (start, stop) = (d.args[0], d.args[1]);
            if self.counting.is_some() {
                return self.position(start, stop, false);
            }
            let left = self.emit(Op::RangeLen, &d.args, Imm::None, Type::I64, d.state);
            self.one = self.emit(Op::ConstInt, &[], Imm::Int(-1), Type::I64, None);
            return self.position(start, left, false);
        }
        self.out.push(i);
        let it = d.args[0];
        let next = self.emit(Op::RangeIterField, &[it], Imm::Int(0), Type::I64, None);
        self.step = self.emit(Op::RangeIterField, &[it], Imm::Int(1), Type::I64, None);
        let left = self.emit(Op::RangeIterLen, &[it], Imm::None, Type::I64, None);
        self.one = self.emit(Op::ConstInt, &[], Imm::Int(-1), Type::I64, None);
        let (drop, _) = self.f.make_inst(Op::DecRef, &[it], Imm::None, Type::Void, None);
        self.out.push(drop);
        self.position(next, left, false)
    }

    /// The state in which the iterator goes by this name: the same one, or a copy if it is another's too.
    fn rename(&mut self, s: State, shown: Value) -> State {
        if let Some(c) = self.copies.get(&(s, shown)) {
            return *c;
        }
        let present = self.states.get(&s).copied();
        if present == Some(shown) || present.is_none() && !self.names_it(s) {
            return s;
        }
        let mut data = self.f.states[s.index()].clone();
        for e in &mut data.stack {
            if present.map_or_else(|| self.is_it(e.value), |p| p == e.value) {
                e.value = shown;
            }
        }
        data.parent = data.parent.map(|p| self.rename(p, shown));
        // What goes before the entry's guard speaks of the iterator as it was found.
        let found_here = self.f.inst(self.it.by).op != Op::NewRangeIter;
        if present.is_none() && !found_here {
            self.f.states[s.index()] = data;
            self.states.insert(s, shown);
            return s;
        }
        let copy = self.f.add_state(data);
        self.states.insert(copy, shown);
        self.copies.insert((s, shown), copy);
        copy
    }

    fn add_arguments(&mut self) {
        for (b, params) in &self.params {
            let mut preds = self.cfg.preds(*b).to_vec();
            preds.dedup();
            for p in preds {
                let end = self.ends[&p];
                let args = [end.next, end.bound];
                let Some(t) = self.f.terminator(p) else { continue };
                for t in self.f.inst_mut(t).targets.iter_mut().filter(|t| t.block == *b) {
                    t.args.extend_from_slice(&args[..params.len()]);
                }
            }
        }
    }
}
