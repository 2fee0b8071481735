//! Control flow: the edges between blocks, and the blocks they begin.

use stoop_ir::{Block, Imm, Op, Target, Type, Value};

use super::builder::{BuildError, Builder};
use super::consumers::UNIT_BITS;
use super::level::{Item, Key, Start};
use super::walks;

impl Builder<'_> {
    /// Ends the current block with a jump to the block at `unit`.
    pub(super) fn go(&mut self, unit: u32) {
        self.catch();
        let (block, args) = self.edge(unit);
        let (i, _) = self.f.make_inst(Op::Jump, &[], Imm::None, Type::Void, None);
        self.f.inst_mut(i).targets = vec![Target { block, args }];
        self.f.blocks[self.cur.index()].insts.push(i);
    }

    /// Ends the current block with a two-way branch; `edges` run with the new block current and must end it.
    pub(super) fn branch(&mut self, cond: Value, edges: [&mut dyn FnMut(&mut Self); 2]) {
        self.catch();
        let from = self.cur;
        let (locals, stack) = (self.lv.locals.clone(), self.lv.stack.clone());
        let (ran, dropped) = (self.ran_python, self.dropped);
        let mut targets = Vec::new();
        for edge in edges {
            let block = self.f.add_block();
            targets.push(Target { block, args: Vec::new() });
            self.cur = block;
            self.lv.locals = locals.clone();
            self.lv.stack = stack.clone();
            self.ran_python = ran;
            self.dropped = dropped;
            edge(self);
        }
        let (i, _) = self.f.make_inst(Op::Branch, &[cond], Imm::None, Type::Void, None);
        self.f.inst_mut(i).targets = targets;
        self.f.blocks[from.index()].insts.push(i);
        self.ran_python = false;
        self.dropped = false;
    }

    /// One way for each of `count` cases, which come together again: `test` says whether it is that case (never asked
    /// for the last one), `arm` does what is to be done and yields a value of type `ty`. Arms leave the stack alike.
    pub(super) fn cases(
        &mut self,
        count: usize,
        ty: Type,
        test: &mut dyn FnMut(&mut Self, usize) -> Value,
        arm: &mut dyn FnMut(&mut Self, usize) -> Result<Value, BuildError>,
    ) -> Result<Value, BuildError> {
        self.catch();
        let merge = self.f.add_block();
        let result = self.f.add_param(merge, ty);
        let stack = self.lv.stack.clone();
        let before = (self.ran_python, self.dropped);
        let mut after = before;
        for k in 0..count {
            let mut other = None;
            if k + 1 < count {
                let cond = test(self, k);
                let (yes, no) = (self.f.add_block(), self.f.add_block());
                let (i, _) = self.f.make_inst(Op::Branch, &[cond], Imm::None, Type::Void, None);
                self.f.inst_mut(i).targets = [yes, no].map(|block| Target { block, args: Vec::new() }).to_vec();
                self.f.blocks[self.cur.index()].insts.push(i);
                self.cur = yes;
                other = Some(no);
            }
            self.lv.stack.clone_from(&stack);
            (self.ran_python, self.dropped) = before;
            let v = arm(self, k)?;
            self.catch();
            after = (after.0 | self.ran_python, after.1 | self.dropped);
            let (i, _) = self.f.make_inst(Op::Jump, &[], Imm::None, Type::Void, None);
            self.f.inst_mut(i).targets = vec![Target { block: merge, args: vec![v] }];
            self.f.blocks[self.cur.index()].insts.push(i);
            self.cur = other.unwrap_or(merge);
        }
        (self.ran_python, self.dropped) = after;
        Ok(result)
    }

    /// The block for `unit` as reached from here, and the arguments for its parameters.
    pub(super) fn edge(&mut self, unit: u32) -> (Block, Vec<Value>) {
        let inside = self.lv.loops.get(&unit).copied().unwrap_or(0);
        let mut steady = self.lv.steady & inside;
        if let Some(bit) = self.lv.peel.iter().position(|h| *h == unit) {
            // A back edge comes from a block that is in the loop already. Past the first iteration of a loop around it the
            // loop has run before.
            let around = steady & !(1 << bit) != 0 && self.lv.each_time & 1 << bit == 0;
            if around || self.arrived_by_back_edge(unit) {
                steady |= 1 << bit;
            } else {
                steady &= !(1 << bit);
            }
        }
        let key = Key { unit, steady };
        let merges = self.lv.preds.get(&unit).copied().unwrap_or(0) > 1
            || self.lv.blocks.headers.contains(&unit)
            || self.lv.blocks.handlers.contains(&unit)
            || !self.lv.peel.is_empty() && self.crosses(unit);
        if !self.lv.starts.contains_key(&key) {
            self.begin(key, merges);
        }
        let block = self.lv.starts[&key].block;
        if !merges {
            return (block, Vec::new());
        }
        if !self.fits(&key) {
            let from = self.cur;
            self.cur = self.f.add_block();
            self.exit(unit, "stack");
            return (std::mem::replace(&mut self.cur, from), Vec::new());
        }
        if self.lv.position.get(&self.lv.here).is_some_and(|h| *h >= self.lv.position[&unit]) {
            self.back_edges.insert((self.cur, block));
        }
        let mut args: Vec<Value> = (0..self.lv.locals.len()).filter(|k| self.varies(*k)).map(|k| self.lv.locals[k]).collect();
        for k in 0..self.lv.stack.len() {
            let i = self.lv.stack[k];
            if let Some(walk) = self.walks.get(&i.value) {
                args.push(walk.index);
                args.extend_from_slice(&walk.of);
            } else if !self.is_null(i) {
                args.push(self.own(i));
            }
        }
        (block, args)
    }

    /// Whether a block's parameters can take the present stack: where the one has NULL, so has the other.
    fn fits(&self, key: &Key) -> bool {
        let there = &self.lv.starts[key].stack;
        let one = |(a, b): (&Item, &Item)| {
            let may_be_null = self.f.ty(a.value) == Type::MaybeNull;
            let walk = |i: &Item| {
                self.walks
                    .get(&i.value)
                    .map(|w| (w.kind, w.of.iter().zip(&w.classes).map(|(v, c)| (self.f.ty(*v), *c)).collect::<Vec<_>>()))
            };
            if walk(a) != walk(b) {
                return false;
            }
            self.is_null(*a) == self.is_null(*b) && (may_be_null || self.is_null(*a) || self.f.ty(b.value) != Type::MaybeNull)
        };
        there.len() == self.lv.stack.len() && there.iter().zip(&self.lv.stack).all(one)
    }

    /// Whether the block being translated is the header of a peeled loop, in the copy for the first iteration. Not in a
    /// generator that is consumed, which is hardly ever worth an exit.
    pub(super) fn in_first_iteration(&self) -> bool {
        self.lv.consumed.is_none()
            && self.lv.peel.iter().position(|h| *h == self.lv.here).is_some_and(|bit| self.lv.steady & (1 << bit) == 0)
    }

    fn current_unit_loops(&self) -> u32 {
        self.lv.loops.get(&self.lv.here).copied().unwrap_or(0)
    }

    fn arrived_by_back_edge(&self, header: u32) -> bool {
        let bit = self.lv.peel.iter().position(|h| *h == header).map_or(0, |b| 1 << b);
        self.current_unit_loops() & bit != 0
    }

    fn crosses(&self, unit: u32) -> bool {
        self.current_unit_loops() != self.lv.loops.get(&unit).copied().unwrap_or(0)
    }

    /// Whether a local may differ between the ways a block is reached: an inlined function's argument that it never
    /// writes does not.
    pub(super) fn varies(&self, slot: usize) -> bool {
        !self.lv.is_inlined() || self.lv.written[slot]
    }

    pub(super) fn begin(&mut self, key: Key, merges: bool) {
        let block = self.f.add_block();
        let (mut locals, mut stack) = (self.lv.locals.clone(), self.lv.stack.clone());
        if merges {
            for (k, v) in locals.iter_mut().enumerate() {
                if self.varies(k) {
                    let ty = if k < self.lv.code.nlocalsplus as usize || self.lv.consumed.is_none() {
                        Type::MaybeNull
                    } else {
                        maybe_null(self.f.ty(*v))
                    };
                    let from = std::mem::replace(v, self.f.add_param(block, ty));
                    self.same_example(from, *v);
                }
            }
            for i in &mut stack {
                if let Some(walk) = walks::meet(self, block, i.value) {
                    let value = walks::show(self, block, walk);
                    *i = Item { value, owned: true, slot: None };
                } else if i.value != self.null {
                    // Only what a comprehension has put aside may be NULL without being the constant.
                    let ty = if self.f.ty(i.value) == Type::MaybeNull { Type::MaybeNull } else { Type::Obj };
                    let element = self.elements.get(&i.value).copied();
                    let methods = self.methods.get(&i.value).cloned();
                    let from = std::mem::replace(i, Item { value: self.f.add_param(block, ty), owned: true, slot: None });
                    self.same_example(from.value, i.value);
                    self.elements.extend(element.map(|o| (i.value, o)));
                    self.methods.extend(methods.map(|m| (i.value, m)));
                }
            }
        }
        let entry = self.frame_state(key.unit, &locals, &stack);
        let st = self.f.add_state(entry);
        self.f.blocks[block.index()].entry_state = Some(st);
        if self.lv.blocks.headers.contains(&key.unit) {
            self.headers.push((block, self.lv.number << UNIT_BITS | key.unit));
        }
        self.lv.starts.insert(key, Start { block, locals, stack, handling: self.lv.handling });
        self.lv.work.push(key);
    }
}

/// The type of a parameter that begins as a value of this one.
fn maybe_null(ty: Type) -> Type {
    if ty == Type::Null { Type::MaybeNull } else { ty }
}
