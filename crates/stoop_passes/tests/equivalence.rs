//! Passes don't change what functions do: generated functions run in the reference interpreter before and after
//! each pass, and reference counts must come out even.

use stoop_ir::interp::heap::Kind;
use stoop_ir::interp::{NoPython, Outcome, Run, Setup, Trace, run};
use stoop_ir::{Block, Class, CmpOp, FrameState, Function, Imm, Op, StackEntry, State, Target, Type, Value};
use stoop_passes::{PASSES, PassContext};

/// xorshift: the same sequence everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const INTS: usize = 3;
const FLOATS: usize = 2;

/// Builds a function over three ints, two floats (in local slots 1 …) and a list of three floats (in slot 0).
struct Gen {
    rng: Random,
    f: Function,
    at: Block,
    vars: Vec<Value>,
    list: Value,
    unit: u32,
    budget: usize,
    /// Conditions that were branched on around here.
    conds: Vec<Value>,
}

impl Gen {
    fn function(seed: u64) -> Function {
        let mut f = Function::new(format!("seed {seed}"));
        let at = f.entry();
        let list = f.push(at, Op::EntryLocal, &[], Imm::Index(0), Type::Obj, None).unwrap();
        let mut g = Gen {
            rng: Random(seed * 2654435761 + 88172645463325252),
            f,
            at,
            vars: Vec::new(),
            list,
            unit: 0,
            budget: 30,
            conds: Vec::new(),
        };
        for k in 0..INTS + FLOATS {
            let class = if k < INTS { Class::Int } else { Class::Float };
            let o = g.op(Op::EntryLocal, &[], Imm::Index(k as u32 + 1), Type::Obj);
            // The state before the variables are there names none of them.
            let s =
                g.f.add_state(FrameState { code: 0, unit: 0, locals: vec![None; 6], owned: vec![], stack: vec![], parent: None });
            let o = g.f.push(g.at, Op::GuardClass, &[o], Imm::None, Type::Exact(class), Some(s)).unwrap();
            let (op, ty) = if k < INTS { (Op::UnboxInt, Type::I64) } else { (Op::UnboxFloat, Type::F64) };
            let v = g.f.push(g.at, op, &[o], Imm::None, ty, op.needs_state().then_some(s)).unwrap();
            g.vars.push(v);
        }
        g.statements(3);
        let s = g.state(&[]);
        let boxed: Vec<Value> = (0..INTS + FLOATS).map(|k| g.boxed(k)).collect();
        let t = g.f.push(g.at, Op::BuildTuple, &boxed, Imm::None, Type::Exact(Class::Tuple), Some(s)).unwrap();
        g.f.push(g.at, Op::Return, &[t], Imm::None, Type::Void, None);
        g.f
    }

    fn state(&mut self, stack: &[StackEntry]) -> State {
        self.unit += 1;
        let locals = std::iter::once(None).chain(self.vars.iter().map(|v| Some(*v))).collect();
        self.f.add_state(FrameState { code: 0, unit: self.unit, locals, owned: vec![], stack: stack.to_vec(), parent: None })
    }

    fn op(&mut self, op: Op, args: &[Value], imm: Imm, ty: Type) -> Value {
        let s = op.needs_state().then(|| self.state(&[]));
        self.f.push(self.at, op, args, imm, ty, s).expect("a result")
    }

    fn void(&mut self, op: Op, args: &[Value], s: Option<State>) {
        self.f.push(self.at, op, args, Imm::None, Type::Void, s);
    }

    fn int(&mut self, i: i64) -> Value {
        self.op(Op::ConstInt, &[], Imm::Int(i), Type::I64)
    }

    fn boxed(&mut self, k: usize) -> Value {
        let v = self.vars[k];
        if k < INTS {
            self.op(Op::BoxInt, &[v], Imm::None, Type::Exact(Class::Int))
        } else {
            self.op(Op::BoxFloat, &[v], Imm::None, Type::Exact(Class::Float))
        }
    }

    fn int_operand(&mut self) -> Value {
        match self.rng.below(3) {
            0 => {
                let i = self.rng.pick(&[0, 1, -1, 2, 3, 7, 255]);
                self.int(i)
            }
            _ => self.vars[self.rng.below(INTS)],
        }
    }

    fn float_operand(&mut self) -> Value {
        match self.rng.below(4) {
            0 => {
                let f = self.rng.pick(&[0.0, -0.0, 1.0, 0.5, -2.0, f64::INFINITY]);
                self.op(Op::ConstFloat, &[], Imm::Float(f.to_bits()), Type::F64)
            }
            1 => {
                let i = self.int_operand();
                self.op(Op::IntToFloat, &[i], Imm::None, Type::F64)
            }
            _ => self.vars[INTS + self.rng.below(FLOATS)],
        }
    }

    fn condition(&mut self) -> Value {
        if !self.conds.is_empty() && self.rng.below(3) == 0 {
            let k = self.rng.below(self.conds.len());
            return self.conds[k];
        }
        let cmp = Imm::Cmp(self.rng.pick(CmpOp::ALL));
        let c = if self.rng.below(2) == 0 {
            let (a, b) = (self.int_operand(), self.int_operand());
            self.op(Op::IntCmp, &[a, b], cmp, Type::I1)
        } else {
            let (a, b) = (self.float_operand(), self.float_operand());
            self.op(Op::FloatCmp, &[a, b], cmp, Type::I1)
        };
        if self.rng.below(3) == 0 { self.op(Op::BoolNot, &[c], Imm::None, Type::I1) } else { c }
    }

    fn statements(&mut self, depth: usize) {
        for _ in 0..1 + self.rng.below(5) {
            if self.budget == 0 {
                return;
            }
            self.budget -= 1;
            match self.rng.below(if depth > 0 { 12 } else { 9 }) {
                0 | 1 => self.assign_int(),
                2 | 3 => self.assign_float(),
                4 => self.through_box(),
                5 => self.guard(),
                6 | 7 => self.list_item(),
                8 => self.counted_list_item(),
                9 | 10 => self.branch(depth - 1),
                _ => self.repeat(depth - 1),
            }
        }
    }

    fn assign_int(&mut self) {
        use Op::{IntAdd, IntAnd, IntFloorDiv, IntMod, IntMul, IntNeg, IntOr, IntShr, IntSub, IntXor};
        let op = self.rng.pick(&[IntAdd, IntAdd, IntSub, IntMul, IntAnd, IntOr, IntXor, IntFloorDiv, IntMod, IntShr, IntNeg]);
        let a = self.int_operand();
        let r = match op {
            IntNeg => self.op(op, &[a], Imm::None, Type::I64),
            // Mostly by a constant: a zero divisor ends the run.
            IntFloorDiv | IntMod | IntShr if self.rng.below(4) > 0 => {
                let b = self.rng.pick(&[1, 2, 3, 5]);
                let b = self.int(b);
                self.op(op, &[a, b], Imm::None, Type::I64)
            }
            _ => {
                let b = self.int_operand();
                self.op(op, &[a, b], Imm::None, Type::I64)
            }
        };
        // Kept small, so that overflow is the exception.
        let mask = self.int(0xffff);
        let k = self.rng.below(INTS);
        self.vars[k] = self.op(IntAnd, &[r, mask], Imm::None, Type::I64);
    }

    fn assign_float(&mut self) {
        let op = self.rng.pick(&[Op::FloatAdd, Op::FloatSub, Op::FloatMul, Op::FloatNeg, Op::FloatAbs, Op::FloatAdd]);
        let a = self.float_operand();
        let r = if matches!(op, Op::FloatNeg | Op::FloatAbs) {
            self.op(op, &[a], Imm::None, Type::F64)
        } else {
            let b = self.float_operand();
            self.op(op, &[a, b], Imm::None, Type::F64)
        };
        let k = INTS + self.rng.below(FLOATS);
        self.vars[k] = r;
    }

    /// Boxes a variable, maybe takes another reference for a while, and unboxes it again.
    fn through_box(&mut self) {
        let k = self.rng.below(INTS + FLOATS);
        let o = self.boxed(k);
        let extra = self.rng.below(2) == 0;
        let mut stack = vec![StackEntry { value: o, owned: true }];
        if extra {
            self.void(Op::IncRef, &[o], None);
            stack.push(StackEntry { value: o, owned: true });
        }
        let s = self.state(&stack);
        let t = self.op(Op::ConstBool, &[], Imm::Int(1), Type::I1);
        self.void(Op::GuardTrue, &[t], Some(s));
        let (op, ty) = if k < INTS { (Op::UnboxInt, Type::I64) } else { (Op::UnboxFloat, Type::F64) };
        let v = self.f.push(self.at, op, &[o], Imm::None, ty, op.needs_state().then_some(s)).unwrap();
        if extra {
            self.void(Op::DecRef, &[o], None);
        }
        self.void(Op::DecRef, &[o], None);
        let back = if k < INTS { self.rng.below(INTS) } else { INTS + self.rng.below(FLOATS) };
        self.vars[back] = v;
    }

    fn guard(&mut self) {
        // A guard that never fails, one that may.
        if self.rng.below(3) > 0 {
            let v = self.vars[self.rng.below(INTS)];
            let c = self.op(Op::IntCmp, &[v, v], Imm::Cmp(CmpOp::Le), Type::I1);
            let s = self.state(&[]);
            self.void(Op::GuardTrue, &[c], Some(s));
        } else {
            let c = self.condition();
            let s = self.state(&[]);
            let op = self.rng.pick(&[Op::GuardTrue, Op::GuardFalse]);
            self.void(op, &[c], Some(s));
        }
    }

    /// `list[i]` at a position that may be out of range, then maybe a store in place.
    fn list_item(&mut self) {
        let s = self.state(&[]);
        let l = self.f.push(self.at, Op::GuardClass, &[self.list], Imm::None, Type::Exact(Class::List), Some(s)).unwrap();
        let n = self.op(Op::ListLen, &[l], Imm::None, Type::I64);
        let i = self.rng.pick(&[0, 1, 2, -1, -3, 0, 1, 2, 3]);
        let i = self.int(i);
        let at = self.op(Op::Index, &[i, n], Imm::None, Type::I64);
        let o = self.op(Op::ListItem, &[l, at], Imm::None, Type::Obj);
        let owned = self.rng.below(2) == 0;
        let mut stack = Vec::new();
        if owned {
            self.void(Op::IncRef, &[o], None);
            stack.push(StackEntry { value: o, owned: true });
        }
        let s = self.state(&stack);
        let o = self.f.push(self.at, Op::GuardClass, &[o], Imm::None, Type::Exact(Class::Float), Some(s)).unwrap();
        let v = self.op_with(Op::UnboxFloat, &[o], Type::F64, s);
        if self.rng.below(2) == 0 {
            // With an owned reference the box is shared, and the item replaced.
            let new = self.vars[INTS + self.rng.below(FLOATS)];
            self.void(Op::ListSetFloat, &[l, at, new], None);
        }
        if owned {
            self.void(Op::DecRef, &[o], None);
        }
        let k = INTS + self.rng.below(FLOATS);
        self.vars[k] = v;
    }

    fn op_with(&mut self, op: Op, args: &[Value], ty: Type, s: State) -> Value {
        self.f.push(self.at, op, args, Imm::None, ty, op.needs_state().then_some(s)).unwrap()
    }

    /// Swaps an item out and drops it.
    fn counted_list_item(&mut self) {
        let s = self.state(&[]);
        let l = self.op_with(Op::GuardClass, &[self.list], Type::Exact(Class::List), s);
        let n = self.op(Op::ListLen, &[l], Imm::None, Type::I64);
        let i = self.int(1);
        let at = self.op(Op::Index, &[i, n], Imm::None, Type::I64);
        let new = self.boxed(INTS + 1);
        let old = self.op(Op::ListSwap, &[l, at, new], Imm::None, Type::Obj);
        self.void(Op::DecRef, &[old], None);
    }

    fn jump(&mut self, from: Block, to: Block, args: Vec<Value>) {
        let (i, _) = self.f.make_inst(Op::Jump, &[], Imm::None, Type::Void, None);
        self.f.inst_mut(i).targets.push(Target { block: to, args });
        self.f.blocks[from.index()].insts.push(i);
    }

    fn fork(&mut self, cond: Value, yes: Block, no: Block) {
        let (i, _) = self.f.make_inst(Op::Branch, &[cond], Imm::None, Type::Void, None);
        self.f.inst_mut(i).targets = vec![Target { block: yes, args: vec![] }, Target { block: no, args: vec![] }];
        self.f.blocks[self.at.index()].insts.push(i);
    }

    /// A block with a parameter for each variable, entered here.
    fn join(&mut self) -> (Block, Vec<Value>) {
        let b = self.f.add_block();
        let types: Vec<Type> = self.vars.iter().map(|v| self.f.ty(*v)).collect();
        let params = types.into_iter().map(|t| self.f.add_param(b, t)).collect();
        (b, params)
    }

    fn branch(&mut self, depth: usize) {
        let cond = self.condition();
        let (yes, no) = (self.f.add_block(), self.f.add_block());
        self.fork(cond, yes, no);
        let before = self.vars.clone();
        let (join, params) = self.join();
        self.conds.push(cond);
        for arm in [yes, no] {
            self.at = arm;
            self.vars = before.clone();
            if arm == yes || self.rng.below(2) == 0 {
                self.statements(depth);
            }
            self.jump(self.at, join, self.vars.clone());
        }
        self.conds.pop();
        self.at = join;
        self.vars = params;
    }

    fn repeat(&mut self, depth: usize) {
        let zero = self.int(0);
        let times = self.rng.pick(&[0, 1, 2, 3, 5]);
        let (head, params) = self.join();
        let counter = self.f.add_param(head, Type::I64);
        let mut args = std::mem::replace(&mut self.vars, params.clone());
        args.push(zero);
        self.jump(self.at, head, args);
        self.at = head;
        let entry = self.state(&[StackEntry { value: counter, owned: false }]);
        self.f.blocks[head.index()].entry_state = Some(entry);
        let n = self.int(times);
        let more = self.op(Op::IntCmp, &[counter, n], Imm::Cmp(CmpOp::Lt), Type::I1);
        let (body, done) = (self.f.add_block(), self.f.add_block());
        self.fork(more, body, done);
        self.at = body;
        self.statements(depth);
        let one = self.int(1);
        let s = self.state(&[]);
        let next = self.op_with(Op::IntAdd, &[counter, one], Type::I64, s);
        let mut args = self.vars.clone();
        args.push(next);
        self.jump(self.at, head, args);
        self.at = done;
        self.vars = params;
    }
}

fn execute(f: &Function, seed: u64) -> Run {
    let mut rng = Random(seed + 99);
    let mut setup = Setup::new(Vec::new());
    let items = (0..3).map(|_| setup.heap.alloc(Kind::Float(rng.pick(&[0.5, 1.0, -3.25, 1e9])))).collect();
    setup.locals.push(Some(setup.heap.alloc(Kind::List(items))));
    for k in 0..INTS + FLOATS {
        let kind = if k < INTS { Kind::Int(rng.pick(&[0, 1, 5, 1000, -7])) } else { Kind::Float(rng.pick(&[0.0, 2.5, -1.0])) };
        setup.locals.push(Some(setup.heap.alloc(kind)));
    }
    setup.trace = Trace::All;
    run(f, setup, &mut NoPython).unwrap_or_else(|e| panic!("fault: {e}\n{f}"))
}

#[derive(Default, Debug)]
struct Tally {
    same: usize,
    earlier: usize,
    later: usize,
}

fn compare(what: &str, before: &Run, after: &Run, texts: (&Function, &Function), tally: &mut Tally) {
    assert_eq!((before.leaked, after.leaked), (0, 0), "{what} leaks\n{}\n{}", texts.0, texts.1);
    if before.outcome == after.outcome {
        tally.same += 1;
        return;
    }
    let explained = match (&before.outcome, &after.outcome) {
        // Moved guards leave where the interpreter would have come through with the same values.
        (_, Outcome::Exited(p)) if before.passed.contains(p) => {
            tally.earlier += 1;
            true
        }
        // Arithmetic that nobody looks at left for want of bits; it is gone.
        (Outcome::Exited(_), _) if what.contains("eliminate_dead_code") || what.contains("all") => {
            tally.later += 1;
            true
        }
        _ => false,
    };
    assert!(explained, "{what}: {:?} became {:?}\n{}\n{}", before.outcome, after.outcome, texts.0, texts.1);
}

/// The passes that work on functions without feedback.
fn general() -> Vec<&'static stoop_passes::Pass> {
    let special = ["specialise", "unbox_params"];
    PASSES.iter().filter(|p| !special.contains(&p.name)).collect()
}

fn check(f: &Function, what: &str) {
    let errors = stoop_ir::verify::verify(f);
    assert!(errors.is_empty(), "{what}: {errors:#?}\n{f}");
}

#[test]
fn passes_keep_the_meaning_of_generated_functions() {
    let mut tally = Tally::default();
    let mut counters = PassContext::default();
    for seed in 1..400 {
        let f = Gen::function(seed);
        check(&f, "generated");
        let text = f.to_string();
        assert_eq!(stoop_ir::parse::parse(&text).unwrap().to_string(), text, "seed {seed} does not round-trip");
        let before = execute(&f, seed);
        let mut all = f.clone();
        for pass in general() {
            let mut one = f.clone();
            (pass.run)(&mut one, &mut counters);
            check(&one, pass.name);
            let what = format!("seed {seed}, {} alone", pass.name);
            compare(&what, &before, &execute(&one, seed), (&f, &one), &mut tally);

            let input = all.clone();
            (pass.run)(&mut all, &mut counters);
            check(&all, pass.name);
            let what = format!("seed {seed}, all up to {}", pass.name);
            compare(&what, &before, &execute(&all, seed), (&input, &all), &mut tally);
        }
    }
    let total = tally.same + tally.earlier + tally.later;
    assert!(tally.same * 10 > total * 9, "most runs must end the same way: {tally:?}");
    assert!(tally.earlier > 0, "no hoisted guard ever left: {tally:?}");
    for c in [
        "folded",
        "subexpressions_shared",
        "guards_removed",
        "refcount_pairs_removed",
        "invariants_hoisted",
        "instructions_removed",
    ] {
        assert!(counters.counter(c) > 50, "{c} did next to nothing: {:?}", counters.counters);
    }
}
