//! The specialising passes on functions like the front end's: generic operations with feedback, locals in slots,
//! references owned and borrowed. A host that computes like Python runs them before and after.

use stoop_ir::interp::heap::{Heap, Kind, Obj, Val};
use stoop_ir::interp::{Host, Outcome, Raised, Run, Setup, Trace, run};
use stoop_ir::{
    BinOp, Block, Class, CmpOp, ConstData, FrameState, Function, Hint, Imm, InstData, Op, StackEntry, State, Target, Type, Value,
};
use stoop_passes::{Options, PASSES, PassContext};

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

/// The small part of Python that the functions use.
struct Python;

fn kind(heap: &mut Heap, v: Val) -> Result<Kind, Raised> {
    match v {
        Val::Ref(o) => heap.get(o).map(|k| k.clone()).map_err(|_| Raised),
        _ => Err(Raised),
    }
}

fn as_float(k: &Kind) -> Result<f64, Raised> {
    match k {
        Kind::Int(i) => Ok(*i as f64),
        Kind::Float(f) => Ok(*f),
        Kind::Bool(b) => Ok(f64::from(u8::from(*b))),
        _ => Err(Raised),
    }
}

fn binary(op: BinOp, a: &Kind, b: &Kind) -> Result<Kind, Raised> {
    if let (Kind::Int(a), Kind::Int(b)) = (a, b) {
        let (a, b) = (i128::from(*a), i128::from(*b));
        let fits = |v: i128| Ok(i64::try_from(v).map_or(Kind::BigInt, Kind::Int));
        return match op {
            BinOp::Add => fits(a + b),
            BinOp::Sub => fits(a - b),
            BinOp::Mul => fits(a * b),
            BinOp::And => fits(a & b),
            BinOp::Or => fits(a | b),
            BinOp::Xor => fits(a ^ b),
            BinOp::FloorDiv if b != 0 => fits(if b > 0 { a.div_euclid(b) } else { (-a).div_euclid(-b) }),
            BinOp::Mod if b != 0 => fits(if b > 0 { a.rem_euclid(b) } else { -(-a).rem_euclid(-b) }),
            BinOp::TrueDiv if b != 0 => Ok(Kind::Float(a as f64 / b as f64)),
            _ => Err(Raised),
        };
    }
    let (a, b) = (as_float(a)?, as_float(b)?);
    match op {
        BinOp::Add => Ok(Kind::Float(a + b)),
        BinOp::Sub => Ok(Kind::Float(a - b)),
        BinOp::Mul => Ok(Kind::Float(a * b)),
        BinOp::TrueDiv if b != 0.0 => Ok(Kind::Float(a / b)),
        _ => Err(Raised),
    }
}

fn compare(op: CmpOp, a: &Kind, b: &Kind) -> Result<bool, Raised> {
    let order = match (a, b) {
        (Kind::Int(a), Kind::Int(b)) => Some(a.cmp(b)),
        _ => as_float(a)?.partial_cmp(&as_float(b)?),
    };
    Ok(match op {
        CmpOp::Lt => order.is_some_and(|o| o.is_lt()),
        CmpOp::Le => order.is_some_and(|o| o.is_le()),
        CmpOp::Eq => order.is_some_and(|o| o.is_eq()),
        CmpOp::Ne => !order.is_some_and(|o| o.is_eq()),
        CmpOp::Gt => order.is_some_and(|o| o.is_gt()),
        CmpOp::Ge => order.is_some_and(|o| o.is_ge()),
    })
}

fn position(heap: &mut Heap, list: Val, at: Val) -> Result<(Obj, usize), Raised> {
    let (Kind::List(items), Kind::Int(i), Val::Ref(l)) = (kind(heap, list)?, kind(heap, at)?, list) else { return Err(Raised) };
    let n = items.len() as i64;
    let i = if i < 0 { i + n } else { i };
    if (0..n).contains(&i) { Ok((l, i as usize)) } else { Err(Raised) }
}

impl Host for Python {
    fn python(&mut self, heap: &mut Heap, _: &Function, inst: &InstData, args: &[Val]) -> Result<Option<Val>, Raised> {
        match (inst.op, inst.imm) {
            (Op::PyBinary | Op::PyInplace, Imm::Bin(op)) => {
                let (a, b) = (kind(heap, args[0])?, kind(heap, args[1])?);
                let r = binary(op, &a, &b)?;
                Ok(Some(Val::Ref(heap.alloc(r))))
            }
            (Op::PyCompareBool, Imm::Cmp(op)) => {
                let (a, b) = (kind(heap, args[0])?, kind(heap, args[1])?);
                Ok(Some(Val::I1(compare(op, &a, &b)?)))
            }
            (Op::PyGetItem, _) if matches!(kind(heap, args[0])?, Kind::Tuple(_)) => {
                let (Kind::Tuple(items), Kind::Int(i)) = (kind(heap, args[0])?, kind(heap, args[1])?) else { return Err(Raised) };
                let o = usize::try_from(i).ok().and_then(|i| items.get(i).copied()).ok_or(Raised)?;
                heap.incref(o).map_err(|_| Raised)?;
                Ok(Some(Val::Ref(o)))
            }
            (Op::PyGetItem, _) => {
                let (l, i) = position(heap, args[0], args[1])?;
                let Ok(Kind::List(items)) = heap.get(l) else { return Err(Raised) };
                let o = items[i];
                heap.incref(o).map_err(|_| Raised)?;
                Ok(Some(Val::Ref(o)))
            }
            (Op::PySetItem, _) => {
                let (l, i) = position(heap, args[0], args[1])?;
                let Val::Ref(new) = args[2] else { return Err(Raised) };
                heap.incref(new).map_err(|_| Raised)?;
                let Ok(Kind::List(items)) = heap.get(l) else { return Err(Raised) };
                let old = std::mem::replace(&mut items[i], new);
                heap.decref(old).map_err(|_| Raised)?;
                Ok(None)
            }
            _ => Err(Raised),
        }
    }
}

/// Slots: a list, a counter for loops, then these variables.
const VARS: usize = 4;
const LIST: usize = 0;
const COUNT: usize = 1;

/// A value on the operand stack.
#[derive(Clone, Copy)]
struct Item {
    value: Value,
    owned: bool,
    class: Option<Class>,
}

struct Gen {
    rng: Random,
    f: Function,
    at: Block,
    slots: Vec<Value>,
    /// What the slots hold, as far as one can guess.
    classes: Vec<Option<Class>>,
    stack: Vec<Item>,
    unit: u32,
    budget: usize,
    looping: bool,
}

impl Gen {
    fn function(seed: u64) -> Function {
        let f = Function::new(format!("seed {seed}"));
        let at = f.entry();
        let classes = Vec::new();
        let rng = Random(seed * 0x9e37_79b9 + 88_172_645_463_325_252);
        let mut g = Gen { rng, f, at, slots: vec![], classes, stack: vec![], unit: 0, budget: 24, looping: false };
        for k in 0..2 + VARS {
            let v = g.f.push(at, Op::EntryLocal, &[], Imm::Index(k as u32), Type::Obj, None).unwrap();
            g.slots.push(v);
            g.classes.push(Some([Class::List, Class::Int, Class::Int, Class::Float, Class::Int, Class::Float][k]));
        }
        g.statements(2);
        // return (list, var…): everything is looked at.
        let mut items = Vec::new();
        for k in (0..2 + VARS).filter(|k| *k != COUNT) {
            let v = g.slots[k];
            g.void(Op::IncRef, &[v], Imm::None, None);
            items.push(v);
            g.stack.push(Item { value: v, owned: true, class: None });
        }
        let s = g.state();
        let t = g.f.push(g.at, Op::BuildTuple, &items, Imm::None, Type::Exact(Class::Tuple), Some(s)).unwrap();
        g.void(Op::Return, &[t], Imm::None, None);
        g.f
    }

    fn state(&mut self) -> State {
        self.unit += 1;
        let stack = self.stack.iter().map(|i| StackEntry { value: i.value, owned: i.owned }).collect();
        let locals = self.slots.iter().map(|v| Some(*v)).collect();
        self.f.add_state(FrameState { code: 0, unit: self.unit, locals, owned: vec![], stack, parent: None })
    }

    fn void(&mut self, op: Op, args: &[Value], imm: Imm, s: Option<State>) {
        self.f.push(self.at, op, args, imm, Type::Void, s);
    }

    fn check(&mut self, op: Op) {
        let s = self.state();
        self.void(op, &[], Imm::None, Some(s));
    }

    fn hint(&mut self, hint: Hint) {
        let i = *self.f.blocks[self.at.index()].insts.last().unwrap();
        self.f.inst_mut(i).hint = hint;
    }

    /// What the interpreter would have seen, mostly.
    fn feedback(&mut self, a: Option<Class>, b: Option<Class>) -> Hint {
        if self.rng.below(40) == 0 {
            return self.rng.pick(&[Hint::None, Hint::Class(Class::Int), Hint::Class(Class::Float), Hint::Generic]);
        }
        match (a, b) {
            (Some(a), Some(b)) if a == b => Hint::Class(a),
            // The interpreter does not specialise these.
            _ => Hint::None,
        }
    }

    fn push_constant(&mut self) {
        let (text, class) = self.rng.pick(&[("1", Class::Int), ("2", Class::Int), ("0.5", Class::Float), ("-3", Class::Int)]);
        let address = 0x1000 + 16 * text.len() as u64 + u64::from(text.as_bytes()[0]);
        let c = self.f.add_const(ConstData { address, text: text.to_owned(), class: Some(class) });
        let value = self.f.push(self.at, Op::ConstObj, &[], Imm::Const(c), Type::Exact(class), None).unwrap();
        self.stack.push(Item { value, owned: false, class: Some(class) });
    }

    fn push_slot(&mut self, k: usize) {
        self.stack.push(Item { value: self.slots[k], owned: false, class: self.classes[k] });
    }

    fn drop_item(&mut self, i: Item) {
        if i.owned {
            self.void(Op::DecRef, &[i.value], Imm::None, None);
        }
    }

    fn operand(&mut self, depth: usize) {
        match self.rng.below(6) {
            0 => self.push_constant(),
            1 if depth > 0 => self.arithmetic(depth - 1),
            2 if depth > 0 && self.rng.below(3) == 0 => self.pair_item(depth - 1),
            2 if depth > 0 => self.item(),
            _ => {
                let k = 2 + self.rng.below(VARS);
                self.push_slot(k);
            }
        }
    }

    fn arithmetic(&mut self, depth: usize) {
        self.operand(depth);
        self.operand(depth);
        let n = self.stack.len();
        let (a, b) = (self.stack[n - 2], self.stack[n - 1]);
        let ints = a.class == Some(Class::Int) && b.class == Some(Class::Int);
        let ops: &[BinOp] = if ints {
            &[BinOp::Add, BinOp::Sub, BinOp::Add, BinOp::And, BinOp::Xor, BinOp::FloorDiv, BinOp::Mod]
        } else {
            &[BinOp::Add, BinOp::Sub, BinOp::Mul, BinOp::TrueDiv, BinOp::Add]
        };
        let op = self.rng.pick(ops);
        let s = self.state();
        let py = self.rng.pick(&[Op::PyBinary, Op::PyInplace]);
        let value = self.f.push(self.at, py, &[a.value, b.value], Imm::Bin(op), Type::Obj, Some(s)).unwrap();
        let hint = if op == BinOp::TrueDiv && ints { Hint::None } else { self.feedback(a.class, b.class) };
        self.hint(hint);
        self.stack.truncate(n - 2);
        self.drop_item(a);
        self.drop_item(b);
        let class = if ints { Class::Int } else { Class::Float };
        self.stack.push(Item { value, owned: true, class: (a.class.is_some() && b.class.is_some()).then_some(class) });
        self.check(Op::Check);
    }

    fn index(&mut self) {
        let text = if self.rng.below(40) == 0 { "5" } else { self.rng.pick(&["0", "1", "2", "-1"]) };
        let address = 0x9000 + u64::from(text.as_bytes()[text.len() - 1]) + 4096 * text.len() as u64;
        let c = self.f.add_const(ConstData { address, text: text.to_owned(), class: Some(Class::Int) });
        let value = self.f.push(self.at, Op::ConstObj, &[], Imm::Const(c), Type::Exact(Class::Int), None).unwrap();
        self.stack.push(Item { value, owned: false, class: Some(Class::Int) });
    }

    fn item(&mut self) {
        self.push_slot(LIST);
        self.index();
        let n = self.stack.len();
        let (l, i) = (self.stack[n - 2], self.stack[n - 1]);
        let s = self.state();
        let value = self.f.push(self.at, Op::PyGetItem, &[l.value, i.value], Imm::None, Type::Obj, Some(s)).unwrap();
        self.hint(Hint::Classes(Class::List, Class::Int));
        self.stack.truncate(n - 2);
        self.stack.push(Item { value, owned: true, class: Some(Class::Float) });
        self.check(Op::Check);
    }

    /// `(x, y)[k]`, with something in between that may leave while the tuple is there.
    fn pair_item(&mut self, depth: usize) {
        self.operand(depth);
        self.operand(depth);
        let n = self.stack.len();
        let mut items = Vec::new();
        for k in n - 2..n {
            let i = self.stack[k];
            if !i.owned {
                self.void(Op::IncRef, &[i.value], Imm::None, None);
                self.stack[k].owned = true;
            }
            items.push(i);
        }
        let s = self.state();
        let args = [items[0].value, items[1].value];
        let t = self.f.push(self.at, Op::BuildTuple, &args, Imm::None, Type::Exact(Class::Tuple), Some(s)).unwrap();
        self.stack.truncate(n - 2);
        let tuple = Item { value: t, owned: true, class: Some(Class::Tuple) };
        self.stack.push(tuple);
        if self.rng.below(2) == 0 {
            self.operand(1);
            let i = self.stack.pop().unwrap();
            self.drop_item(i);
            self.check(Op::CheckValid);
        }
        let k = self.rng.below(2);
        self.push_int(["0", "1"][k], [0x5000, 0x5010][k]);
        let at = self.stack[self.stack.len() - 1];
        let s = self.state();
        let value = self.f.push(self.at, Op::PyGetItem, &[t, at.value], Imm::None, Type::Obj, Some(s)).unwrap();
        self.hint(Hint::Classes(Class::Tuple, Class::Int));
        self.stack.truncate(n - 2);
        self.drop_item(tuple);
        self.stack.push(Item { value, owned: true, class: items[k].class });
        self.check(Op::Check);
    }

    /// The top of the stack goes to a slot.
    fn store(&mut self, k: usize) {
        let top = self.stack.pop().unwrap();
        // Entries that borrow from the slot take a reference first.
        for i in 0..self.stack.len() {
            if self.stack[i].value == self.slots[k] && !self.stack[i].owned {
                self.void(Op::IncRef, &[self.slots[k]], Imm::None, None);
                self.stack[i].owned = true;
            }
        }
        if !top.owned {
            self.void(Op::IncRef, &[top.value], Imm::None, None);
        }
        let old = std::mem::replace(&mut self.slots[k], top.value);
        self.classes[k] = top.class;
        self.void(Op::StoreLocal, &[top.value, old], Imm::Index(k as u32), None);
        self.check(Op::CheckValid);
    }

    /// A variable for the top of the stack: usually one of its class.
    fn destination(&mut self) -> usize {
        let class = self.stack[self.stack.len() - 1].class;
        let k = 2 + self.rng.below(VARS);
        let fits = class == Some([Class::Int, Class::Float][k % 2]);
        if fits || self.rng.below(10) == 0 { k } else { 2 + (k - 1) % VARS }
    }

    fn set_item(&mut self) {
        self.operand(1);
        // Items stay floats, mostly.
        let last = self.stack[self.stack.len() - 1];
        if last.class != Some(Class::Float) && self.rng.below(10) > 0 {
            self.stack.pop();
            self.drop_item(last);
            let float = (2..2 + VARS).find(|k| self.classes[*k] == Some(Class::Float)).unwrap_or(3);
            self.push_slot(float);
        }
        self.push_slot(LIST);
        self.index();
        let n = self.stack.len();
        let (v, l, i) = (self.stack[n - 3], self.stack[n - 2], self.stack[n - 1]);
        let s = self.state();
        self.void(Op::PySetItem, &[l.value, i.value, v.value], Imm::None, Some(s));
        self.hint(Hint::Classes(Class::List, Class::Int));
        self.stack.truncate(n - 3);
        self.drop_item(v);
        self.check(Op::Check);
    }

    fn condition(&mut self) -> Value {
        self.operand(1);
        self.operand(0);
        let n = self.stack.len();
        let (a, b) = (self.stack[n - 2], self.stack[n - 1]);
        let op = Imm::Cmp(self.rng.pick(CmpOp::ALL));
        let s = self.state();
        let c = self.f.push(self.at, Op::PyCompareBool, &[a.value, b.value], op, Type::I1, Some(s)).unwrap();
        let hint = self.feedback(a.class, b.class);
        self.hint(hint);
        self.stack.truncate(n - 2);
        self.drop_item(a);
        self.drop_item(b);
        self.check(Op::Check);
        c
    }

    fn statements(&mut self, depth: usize) {
        for _ in 0..1 + self.rng.below(4) {
            if self.budget == 0 {
                return;
            }
            self.budget -= 1;
            match self.rng.below(if depth > 0 { 9 } else { 6 }) {
                0..=2 => {
                    self.arithmetic(2);
                    let k = self.destination();
                    self.store(k);
                }
                3 => {
                    self.operand(1);
                    let k = self.destination();
                    self.store(k);
                }
                4 | 5 => self.set_item(),
                6 | 7 => self.branch(depth - 1),
                _ if self.looping => self.branch(depth - 1),
                _ => self.repeat(depth - 1),
            }
        }
    }

    fn jump(&mut self, to: Block) {
        let (i, _) = self.f.make_inst(Op::Jump, &[], Imm::None, Type::Void, None);
        self.f.inst_mut(i).targets.push(Target { block: to, args: self.slots.clone() });
        self.f.blocks[self.at.index()].insts.push(i);
    }

    fn fork(&mut self, cond: Value) -> (Block, Block) {
        let (yes, no) = (self.f.add_block(), self.f.add_block());
        let (i, _) = self.f.make_inst(Op::Branch, &[cond], Imm::None, Type::Void, None);
        self.f.inst_mut(i).targets = vec![Target { block: yes, args: vec![] }, Target { block: no, args: vec![] }];
        self.f.blocks[self.at.index()].insts.push(i);
        (yes, no)
    }

    fn join(&mut self) -> (Block, Vec<Value>) {
        let b = self.f.add_block();
        let params = (0..self.slots.len()).map(|_| self.f.add_param(b, Type::Obj)).collect();
        (b, params)
    }

    fn enter(&mut self, b: Block, params: &[Value]) {
        self.at = b;
        self.slots = params.to_vec();
        let s = self.state();
        self.f.blocks[b.index()].entry_state = Some(s);
    }

    fn branch(&mut self, depth: usize) {
        let cond = self.condition();
        let (yes, no) = self.fork(cond);
        let (slots, classes) = (self.slots.clone(), self.classes.clone());
        let (join, params) = self.join();
        let mut seen = Vec::new();
        for arm in [yes, no] {
            self.at = arm;
            self.slots = slots.clone();
            self.classes = classes.clone();
            if arm == yes || self.rng.below(2) == 0 {
                self.statements(depth);
            }
            self.jump(join);
            seen.push(self.classes.clone());
        }
        self.enter(join, &params);
        self.classes = seen[0].iter().zip(&seen[1]).map(|(a, b)| if a == b { *a } else { None }).collect();
    }

    /// `count = 0` … `while count < n`: the counter is a variable like the others.
    fn repeat(&mut self, depth: usize) {
        self.looping = true;
        self.push_int("0", 0x5000);
        self.store(COUNT);
        let (head, params) = self.join();
        self.jump(head);
        self.enter(head, &params);
        self.push_slot(COUNT);
        let (text, address) = self.rng.pick(&[("1", 0x5010), ("2", 0x5020), ("4", 0x5040)]);
        self.push_int(text, address);
        let (b, a) = (self.stack.pop().unwrap(), self.stack.pop().unwrap());
        self.stack.extend([a, b]);
        let s = self.state();
        let c = self.f.push(self.at, Op::PyCompareBool, &[a.value, b.value], Imm::Cmp(CmpOp::Lt), Type::I1, Some(s)).unwrap();
        self.hint(Hint::Class(Class::Int));
        self.stack.clear();
        let (body, done) = self.fork(c);
        self.at = body;
        self.statements(depth);
        self.push_slot(COUNT);
        self.push_int("1", 0x5010);
        let (a, b) = (self.stack[0], self.stack[1]);
        let s = self.state();
        let value = self.f.push(self.at, Op::PyBinary, &[a.value, b.value], Imm::Bin(BinOp::Add), Type::Obj, Some(s)).unwrap();
        self.hint(Hint::Class(Class::Int));
        self.stack = vec![Item { value, owned: true, class: Some(Class::Int) }];
        self.store(COUNT);
        self.check(Op::Poll);
        self.jump(head);
        self.at = done;
        self.slots = params;
        self.classes = vec![None; self.slots.len()];
        self.classes[LIST] = Some(Class::List);
        self.looping = false;
    }

    fn push_int(&mut self, text: &str, address: u64) {
        let c = self.f.add_const(ConstData { address, text: text.to_owned(), class: Some(Class::Int) });
        let value = self.f.push(self.at, Op::ConstObj, &[], Imm::Const(c), Type::Exact(Class::Int), None).unwrap();
        self.stack.push(Item { value, owned: false, class: Some(Class::Int) });
    }
}

fn execute(f: &Function, seed: u64, trace: Trace) -> Run {
    let mut rng = Random(seed + 7);
    let mut setup = Setup::new(Vec::new());
    let odd = rng.below(12) == 0;
    let items = (0..3).map(|k| {
        let kind = if odd && k == 1 { Kind::Int(4) } else { Kind::Float(rng.pick(&[0.5, 1.0, -3.25, 1e9])) };
        setup.heap.alloc(kind)
    });
    let items = items.collect::<Vec<_>>();
    let mut slots = vec![setup.heap.alloc(Kind::List(items)), setup.heap.alloc(Kind::Int(0))];
    for k in 0..VARS {
        let int = (k % 2 == 0) != (rng.below(40) == 0);
        let kind = if int { Kind::Int(rng.pick(&[2, 1, 5, 1000, -7])) } else { Kind::Float(rng.pick(&[0.25, 2.5, -1.0])) };
        slots.push(setup.heap.alloc(kind));
    }
    // Often one object is in two slots, or in a slot and the list.
    if rng.below(2) == 0 {
        let from = 2 + rng.below(VARS);
        let to = if rng.below(8) == 0 { 2 + rng.below(VARS) } else { 2 + from % VARS };
        if from != to {
            setup.heap.incref(slots[from]).unwrap();
            setup.heap.decref(slots[to]).unwrap();
            slots[to] = slots[from];
        }
    }
    setup.locals = slots.into_iter().map(Some).collect();
    setup.trace = trace;
    run(f, setup, &mut Python).unwrap_or_else(|e| panic!("fault: {e}\n{f}"))
}

fn sound(f: &Function, what: &str) {
    let errors = stoop_ir::verify::verify(f);
    assert!(errors.is_empty(), "{what}: {errors:#?}\n{f}");
}

#[test]
fn specialised_functions_do_what_the_generic_ones_did() {
    let (mut same, mut left) = (0, 0);
    let mut ctx = PassContext::default();
    for seed in 1..400 {
        let f = Gen::function(seed);
        sound(&f, "generated");
        let before = execute(&f, seed, Trace::All);
        assert_eq!(before.leaked, 0, "the generator leaks\n{f}");
        let mut g = f.clone();
        for (row, pass) in PASSES.iter().enumerate() {
            let input = g.clone();
            (pass.run)(&mut g, &mut ctx);
            sound(&g, pass.name);
            let after = execute(&g, seed, Trace::Nothing);
            let what = format!("seed {seed}, row {row}: {}", pass.name);
            // Between unboxing parameters and sinking boxes, an exit may lose the box that its block made.
            let at_rest = row + 1 == PASSES.len() || matches!(after.outcome, Outcome::Returned(_));
            assert!(after.leaked == 0 || !at_rest, "{what} leaks\n{input}\n{g}");
            match &after.outcome {
                o if *o == before.outcome => same += 1,
                Outcome::Exited(p) if before.passed.contains(p) => left += 1,
                o => panic!("{what}: {:?} became {o:?}\n{input}\n{g}", before.outcome),
            }
        }
    }
    assert!(same > left, "most runs must end the same way: {same} did, {left} left");
    for c in [
        "operations_specialised",
        "params_unboxed",
        "boxes_sunk",
        "boxes_reused",
        "checks_removed",
        "guards_made_early",
        "tuples_taken_apart",
    ] {
        assert!(ctx.counter(c) > 20, "{c} did next to nothing: {:?}", ctx.counters);
    }
}

#[test]
fn any_pass_can_be_switched_off() {
    for seed in 1..60 {
        let f = Gen::function(seed);
        let before = execute(&f, seed, Trace::All);
        for off in PASSES {
            let mut g = f.clone();
            let mut options = Options { off: vec![off.name.to_owned()], verify: true, ..Options::default() };
            stoop_passes::run(&mut g, &mut PassContext::default(), &mut options);
            let after = execute(&g, seed, Trace::Nothing);
            assert_eq!(after.leaked, 0, "seed {seed} without {} leaks\n{g}", off.name);
            let same = after.outcome == before.outcome;
            let explained = same || matches!(&after.outcome, Outcome::Exited(p) if before.passed.contains(p));
            assert!(explained, "seed {seed} without {}: {:?} became {:?}\n{f}\n{g}", off.name, before.outcome, after.outcome);
        }
    }
}
