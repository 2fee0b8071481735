//! Generator expressions given to a builtin that takes all they yield: `sum(x * y for x, y in zip(a, b))`.
//!
//! The expression's body is translated in place of the builtin's call, as an inlined function is, and what it yields goes to
//! what stands for the builtin. There is no generator. An exit makes one that stands where this one would, lets it run to
//! its next `yield`, and goes on as the builtin would with what has come in so far (`engine/consumed.rs`): that lies on
//! the caller's operand stack, in place of the builtin and its argument.
//!
//! Where something in the expression may run Python code, it has to have a frame: it is left as it is then.

use stoop_cpython::decode::{CodeInfo, Instr};
use stoop_cpython::feedback::Feedback;
use stoop_cpython::opcodes::Opcode;
use stoop_ir::{BinOp, Class, CmpOp, FrameState, Hint, Imm, Op, StackEntry, State, Target, Type, Value};

use super::blocks;
use super::builder::{BuildError, Builder, Entry, Inlined, Item, Kind};
use super::calls::callee_name;
use super::inline::Role;
use super::level::Level;
use super::operators::{binary_op, truth};

/// What is done with what a generator yields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consumer {
    /// `any`.
    Any,
    /// `all`.
    All,
    /// `sum` of ints that fit a register, so far.
    Ints,
    /// `sum` of floats, so far.
    Floats,
    /// `max`, or `min`: of ints that fit a register, of floats, or of other objects.
    Extreme {
        /// Whether it is `max`.
        greatest: bool,
        /// The class of the numbers.
        of: Option<Class>,
    },
    /// `tuple`.
    Tuple,
    /// `set`.
    Set,
    /// `list`, or `sorted`.
    List {
        /// Whether it is `sorted`.
        sorts: bool,
    },
    /// `dict`, of pairs that the expression makes.
    Dict,
    /// `str.join`, which makes a list first.
    Join,
}

impl Consumer {
    /// How many values it keeps on the caller's stack above the generator's function: the sum; for floats the sum, its
    /// compensation, and whether there has been any; the greatest number, and whether there has been any; the greatest
    /// object, or NULL; the container.
    pub fn kept(self) -> usize {
        match self {
            Consumer::Any | Consumer::All => 0,
            Consumer::Ints | Consumer::Tuple | Consumer::Set | Consumer::Join | Consumer::List { .. } | Consumer::Dict => 1,
            Consumer::Extreme { of: None, .. } => 1,
            Consumer::Extreme { of: Some(_), .. } => 2,
            Consumer::Floats => 3,
        }
    }

    /// Whether the callee stays on the stack, below the function: it is called in the end, or its work not done yet.
    pub fn calls(self) -> bool {
        matches!(self, Consumer::Join | Consumer::List { sorts: true })
    }

    /// The type of what it yields.
    fn result(self) -> Type {
        match self {
            Consumer::Any | Consumer::All => Type::I1,
            Consumer::Ints => Type::I64,
            Consumer::Floats | Consumer::Extreme { .. } => Type::Obj,
            Consumer::Tuple => Type::Exact(Class::Tuple),
            Consumer::Set => Type::Exact(Class::Set),
            Consumer::Dict => Type::Exact(Class::Dict),
            Consumer::Join | Consumer::List { .. } => Type::Exact(Class::List),
        }
    }
}

/// What consumes a generator under a builtin's name, if it yields what is likely.
fn named(name: &str, likely: Option<Class>) -> Option<Consumer> {
    let of = likely.filter(|c| matches!(c, Class::Int | Class::Float));
    Some(match name {
        "builtins.any" => Consumer::Any,
        "builtins.all" => Consumer::All,
        "builtins.sum" if likely == Some(Class::Float) => Consumer::Floats,
        "builtins.sum" => Consumer::Ints,
        "builtins.max" => Consumer::Extreme { greatest: true, of: Some(of?) },
        "builtins.min" => Consumer::Extreme { greatest: false, of: Some(of?) },
        "builtins.tuple" => Consumer::Tuple,
        "builtins.set" => Consumer::Set,
        "builtins.list" => Consumer::List { sorts: false },
        "builtins.sorted" => Consumer::List { sorts: true },
        "builtins.dict" if likely == Some(Class::Tuple) => Consumer::Dict,
        "str.join" => Consumer::Join,
        _ => return None,
    })
}

/// A function made here, of which nobody else knows.
#[derive(Clone)]
pub(super) struct Made {
    /// Its code object.
    pub(super) code: u64,
    /// The tuple of its cells.
    pub(super) closure: Option<Value>,
}

/// A generator being translated in place of what consumes it.
pub(super) struct Consumed {
    consumer: Consumer,
    /// The caller's state, but for what the consumer keeps.
    caller: FrameState,
    /// The generator's function.
    function: Item,
}

/// Which call is to be replaced.
struct Plan {
    consumer: Consumer,
    made: Made,
    /// What the interpreter saw the expression iterate over.
    seen: Feedback,
}

/// The position of a generator expression's first FOR_ITER, if the code begins as all of them do.
fn first_loop(info: &CodeInfo) -> Option<usize> {
    let at = info.instrs.iter().position(|i| i.op == Opcode::ReturnGenerator)?;
    let next = |n: usize, op: Opcode| info.instrs.get(at + n).is_some_and(|i| i.op == op);
    let begins = next(1, Opcode::PopTop) && next(2, Opcode::Resume) && next(3, Opcode::LoadFast) && next(4, Opcode::ForIter);
    let made = info.instrs[..at].iter().all(|i| i.op == Opcode::CopyFreeVars);
    (begins && made && info.instrs[at + 3].arg == 0).then_some(at + 4)
}

/// What a generator expression most likely yields, as far as the instruction before its `yield` tells.
fn likely(info: &CodeInfo, b: &mut Builder<'_>, sums: bool) -> Option<Class> {
    let mut yields = info.instrs.iter().enumerate().filter(|(_, i)| i.op == Opcode::YieldValue);
    let (Some((k, i)), None) = (yields.next(), yields.next()) else { return None };
    let before = &info.instrs[k - 1];
    // It was told otherwise once.
    if b.env.is_mixed(i.unit) {
        let floats = b.env.classes_met(i.unit).contains(&Class::Float);
        return (sums && floats).then_some(Class::Float);
    }
    match (before.op, before.feedback) {
        (Opcode::BinaryOp, Feedback::Float) => Some(Class::Float),
        (Opcode::BinaryOp, Feedback::Int) => Some(Class::Int),
        (Opcode::BinaryOp, Feedback::None) if matches!(binary_op(before).0, BinOp::TrueDiv) => Some(Class::Float),
        (Opcode::LoadConst, _) => b.env.constant(before.arg).class,
        (Opcode::BuildTuple, _) if before.arg == 2 => Some(Class::Tuple),
        (Opcode::Call, _) => Some(Class::Int),
        _ => None,
    }
}

/// What is to be done at a call without arguments of a function made here, if a builtin consumes the generator that it
/// makes. The builtin lies on the stack, below so many operands that are not the function.
fn plan(b: &mut Builder<'_>, k: usize, function: Value, above: usize) -> Option<Plan> {
    let made = b.made_functions.get(&function)?.clone();
    let (call, then) = (*b.lv.code.instrs.get(k)?, *b.lv.code.instrs.get(k + 1)?);
    let calls = call.op == Opcode::Call && call.arg == 0 && then.op == Opcode::Call && then.arg == 1 && then.kwnames.is_none();
    let own = !b.lv.is_inlined() && b.lv.handling == 0;
    let generic = b.env.is_generic(call.unit) || b.env.is_generic(then.unit);
    if !calls || !own || generic || b.lv.blocks.by_unit.contains_key(&then.unit) {
        return None;
    }
    let at = b.lv.stack.len().checked_sub(above + 2)?;
    let (lower, upper) = (b.lv.stack[at], b.lv.stack[at + 1]);
    // 3.12 pushes NULL below a callable; a method lies below its self.
    let callable = if b.is_null(lower) { upper } else { lower };
    let is_method = !b.is_null(lower) && !b.is_null(upper);
    let name = callee_name(b, callable.value).filter(|name| !callable.owned && (&**name == "str.join") == is_method)?;
    let info = b.env.enter_expression(made.code)?;
    let likely = likely(&info, b, &*name == "builtins.sum");
    let consumer = named(&name, likely);
    let guesses = |op| matches!(op, Opcode::YieldValue | Opcode::ReturnValue | Opcode::ReturnConst);
    // Guesses about what it yields, or that it does, have failed too often.
    let given_up = info.instrs.iter().any(|i| guesses(i.op) && b.env.is_generic(i.unit));
    b.env.leave();
    let first = first_loop(&info)?;
    if given_up || info.nfree > 0 && cells(b, &made, info.nfree as usize).is_none() {
        return None;
    }
    Some(Plan { consumer: consumer?, made, seen: info.instrs[first].feedback })
}

/// The cells in the closure of a function made here.
fn cells(b: &Builder<'_>, made: &Made, count: usize) -> Option<Vec<Value>> {
    let tuple = b.f.inst(b.f.def_inst(made.closure?)?);
    (tuple.op == Op::BuildTuple && tuple.args.len() == count).then(|| tuple.args.clone())
}

/// Whether the instruction at `k` calls a generator expression that is going to be translated in place; its function and
/// then the callee lie below the topmost operands, `above` of them. What the interpreter saw it iterate over.
pub(super) fn follows(b: &mut Builder<'_>, k: usize, above: usize) -> Option<Feedback> {
    let at = b.lv.stack.len().checked_sub(above + 1)?;
    let function = b.lv.stack[at].value;
    plan(b, k, function, above + 1).map(|p| p.seen)
}

/// The call of a generator expression's function, whose generator the next instruction gives to a builtin: both calls are
/// translated. Whether it was that.
pub(super) fn call(b: &mut Builder<'_>, k: usize, i: &Instr, function: Item, iterator: Item) -> Result<bool, BuildError> {
    if b.is_null(iterator) || !iterator.owned || !function.owned {
        return Ok(false);
    }
    let Some(plan) = plan(b, k, function.value, 0) else { return Ok(false) };
    b.catch();
    let then = b.lv.code.instrs[k + 1];
    b.guard_depth(i.unit);
    let info = b.env.enter_expression(plan.made.code).expect("it was there when this was planned");
    let first = first_loop(&info).expect("it was there when this was planned");
    let entry = Entry::Resume { unit: info.instrs[first].unit, depth: 1 };
    let stops = |i: &Instr| i.op != Opcode::YieldValue && super::instrs::ends(i, entry);
    let found = blocks::find(&info, info.instrs[first].unit, &stops, &|_| None);
    let Some(blocks) = found else {
        b.env.leave();
        return Err(BuildError::BadFlow);
    };
    let callee = b.pop_n(2);
    let kept = start(b, plan.consumer, i);
    if plan.consumer.calls() {
        b.lv.stack.extend(&callee);
    }
    let mut caller = b.frame_state(then.unit, &b.lv.locals.clone(), &b.lv.stack.clone());
    caller.stack.push(StackEntry { value: function.value, owned: true });
    b.functions.push(Inlined { function: plan.made.code, code: info.clone(), role: Role::Consumed(plan.consumer) });
    let number = b.functions.len() as u32;
    let after = b.f.add_block();
    let result = b.f.add_param(after, plan.consumer.result());
    let peel =
        b.peel.iter().filter(|(u, _)| **u >> UNIT_BITS == number).map(|(u, when)| (u & ((1 << UNIT_BITS) - 1), *when)).collect();
    let mut level = Level::new(info.clone(), number, entry, blocks, &peel);
    level.returns = Some((after, Some(result)));
    level.role = Role::Consumed(plan.consumer);
    level.outer = b.lv.variables_by_name();
    level.locals = vec![b.null; info.nlocalsplus as usize];
    let free = cells(b, &plan.made, info.nfree as usize).unwrap_or_default();
    for (slot, cell) in level.locals.iter_mut().rev().zip(free.into_iter().rev()) {
        *slot = cell;
    }
    level.keep(kept);
    level.stack.push(Item { slot: None, ..iterator });
    level.consumed = Some(Consumed { consumer: plan.consumer, caller, function });
    let ran = std::mem::take(&mut b.ran_python);
    let dropped = std::mem::take(&mut b.dropped);
    let own = std::mem::replace(&mut b.lv, level);
    b.lv.parent = Some(b.caller_state(&b.lv.locals.clone()));
    b.depth += 1;
    b.go(info.instrs[first].unit);
    let done = b.translate();
    b.depth -= 1;
    b.lv = own;
    b.env.leave();
    done?;
    b.cur = after;
    (b.ran_python, b.dropped) = (ran, dropped);
    b.lv.stack.push(Item { value: result, owned: b.f.ty(result).is_ref(), slot: None });
    // A list is what the builtin is called with.
    let goes_on = if plan.consumer.calls() { then.unit } else { then.next };
    let resumed = b.state(goes_on);
    b.f.blocks[after.index()].entry_state = Some(resumed);
    b.pop();
    match b.f.ty(result) {
        Type::I1 => super::operators::push_bool(b, result),
        Type::I64 => {
            let v = b.op(Op::BoxInt, &[result], Imm::None, Type::Exact(Class::Int), None);
            b.push_owned(v);
        }
        _ => b.push_owned(result),
    }
    b.dropped = true;
    b.safe_point(goes_on);
    if plan.consumer == (Consumer::List { sorts: true }) {
        sort(b, &then);
    }
    if plan.consumer != Consumer::Join {
        b.lv.done_before = k + 2;
    }
    Ok(true)
}

/// Sorts the list on the stack, and leaves it there in place of the callee as well.
fn sort(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let list = b.pop();
    let sort = b.env.list_sort();
    let sort = b.known(sort);
    let none = b.op(Op::PyCall, &[sort, list.value], Imm::None, Type::Obj, Some(st));
    b.void(Op::DecRef, &[none], Imm::None, None);
    b.ran_python = true;
    b.pop_n(2);
    b.lv.stack.push(list);
    b.safe_point(i.next);
}

/// Above the bits of a header's unit, in a set of headers to peel, is the number of the generator's code.
pub(super) const UNIT_BITS: u32 = 20;

/// How many items `list` makes room for before it asks an iterator that cannot tell.
const ROOM: i64 = 8;

/// What a consumer begins with.
fn start(b: &mut Builder<'_>, consumer: Consumer, i: &Instr) -> Vec<Value> {
    let st = b.before(i.unit);
    match consumer {
        Consumer::Tuple | Consumer::Join => vec![b.op(Op::BuildList, &[], Imm::None, Type::Exact(Class::List), Some(st))],
        Consumer::List { .. } => {
            vec![b.op(Op::BuildList, &[], Imm::Int(ROOM), Type::Exact(Class::List), Some(st))]
        }
        Consumer::Dict => vec![b.op(Op::BuildMap, &[], Imm::None, Type::Exact(Class::Dict), Some(st))],
        Consumer::Set => vec![b.op(Op::BuildSet, &[], Imm::None, Type::Exact(Class::Set), Some(st))],
        Consumer::Extreme { of: None, .. } => vec![b.null],
        Consumer::Extreme { of: Some(Class::Float), .. } => vec![float(b, 0.0), truth_value(b, false)],
        Consumer::Extreme { .. } => {
            let zero = b.op(Op::ConstInt, &[], Imm::Int(0), Type::I64, None);
            vec![zero, truth_value(b, false)]
        }
        Consumer::Any | Consumer::All => Vec::new(),
        Consumer::Ints => vec![b.op(Op::ConstInt, &[], Imm::Int(0), Type::I64, None)],
        Consumer::Floats => {
            let zero = float(b, 0.0);
            vec![zero, zero, truth_value(b, false)]
        }
    }
}

fn float(b: &mut Builder<'_>, x: f64) -> Value {
    b.op(Op::ConstFloat, &[], Imm::Float(x.to_bits()), Type::F64, None)
}

fn truth_value(b: &mut Builder<'_>, v: bool) -> Value {
    b.op(Op::ConstBool, &[], Imm::Int(v.into()), Type::I1, None)
}

impl Builder<'_> {
    /// In a generator that is consumed: the caller's state, with what the consumer keeps among these locals.
    pub(super) fn caller_state(&mut self, locals: &[Value]) -> State {
        let c = self.lv.consumed.as_ref().expect("a generator that is consumed");
        let mut state = c.caller.clone();
        let kept = &locals[self.lv.code.nlocalsplus as usize..];
        state.stack.extend(kept.iter().map(|v| StackEntry { value: *v, owned: self.f.ty(*v).is_ref() }));
        self.f.add_state(state)
    }
}

/// YIELD_VALUE, in a generator that is consumed. What it is sent then is None.
pub(super) fn item(b: &mut Builder<'_>, i: &Instr) {
    let consumer = b.lv.consumed.as_ref().expect("a generator that is consumed").consumer;
    match consumer {
        Consumer::Any | Consumer::All => search(b, i, consumer == Consumer::Any),
        Consumer::Ints => add_int(b, i),
        Consumer::Floats => add_float(b, i),
        Consumer::Extreme { greatest, of } => {
            let op = if greatest { CmpOp::Gt } else { CmpOp::Lt };
            match of {
                Some(c) => pick_number(b, i, op, c),
                None => pick(b, i, op),
            }
        }
        Consumer::Dict => put(b, i),
        Consumer::Tuple | Consumer::Join | Consumer::List { .. } => {
            let st = b.state(i.unit);
            let x = b.pop();
            let v = b.own(x);
            let list = kept(b, 0);
            b.void(Op::ListAppend, &[list, v], Imm::None, Some(st));
        }
        Consumer::Set => {
            let st = b.state(i.unit);
            let x = b.pop();
            let set = kept(b, 0);
            b.void(Op::SetAdd, &[set, x.value], Imm::None, Some(st));
            b.drop_item(x);
        }
    }
    let none = b.env.none();
    let none = b.known(none);
    b.push_const(none);
}

/// Ends with `wanted` if that is the item's truth value.
fn search(b: &mut Builder<'_>, i: &Instr, wanted: bool) {
    let c = truth(b, i);
    b.catch();
    let (found, go_on) = (b.f.add_block(), b.f.add_block());
    let ways = if wanted { [found, go_on] } else { [go_on, found] };
    let (branch, _) = b.f.make_inst(Op::Branch, &[c], Imm::None, Type::Void, None);
    b.f.inst_mut(branch).targets = ways.map(|block| Target { block, args: Vec::new() }).to_vec();
    b.f.blocks[b.cur.index()].insts.push(branch);
    let (stack, ran, dropped) = (b.lv.stack.clone(), b.ran_python, b.dropped);
    b.cur = found;
    let v = truth_value(b, wanted);
    leave(b, v);
    b.cur = go_on;
    b.lv.stack = stack;
    (b.ran_python, b.dropped) = (ran, dropped);
}

fn kept(b: &Builder<'_>, n: usize) -> Value {
    b.lv.locals[b.lv.code.nlocalsplus as usize + n]
}

fn keep(b: &mut Builder<'_>, values: &[Value]) {
    let first = b.lv.code.nlocalsplus as usize;
    b.lv.locals[first..].copy_from_slice(values);
}

/// Whether what is yielded most likely is a bool.
fn is_bool(b: &mut Builder<'_>, i: &Instr, v: Value) -> bool {
    let code = b.lv.code.clone();
    let before = code.index_of(i.unit).and_then(|k| code.instrs.get(k.checked_sub(1)?));
    let tells = |i: &Instr| matches!(i.op, Opcode::CompareOp | Opcode::ContainsOp | Opcode::IsOp | Opcode::UnaryNot);
    let met = b.env.classes_met(i.unit).contains(&Class::Bool);
    met || b.f.ty(v) == Type::Exact(Class::Bool) || before.is_some_and(tells)
}

fn add_int(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let x = b.peek(0);
    let n = if is_bool(b, i, x.value) {
        let g = b.op(Op::GuardClass, &[x.value], Imm::None, Type::Exact(Class::Bool), Some(st));
        let truth = b.op(Op::UnboxBool, &[g], Imm::None, Type::I1, None);
        b.op(Op::BoolToInt, &[truth], Imm::None, Type::I64, None)
    } else {
        let g = b.op(Op::GuardClass, &[x.value], Imm::None, Type::Exact(Class::Int), Some(st));
        b.op(Op::UnboxInt, &[g], Imm::None, Type::I64, Some(st))
    };
    let sum = kept(b, 0);
    let sum = b.op(Op::IntAdd, &[sum, n], Imm::None, Type::I64, Some(st));
    keep(b, &[sum]);
    b.pop();
    b.drop_item(x);
}

/// A step of Neumaier's summation, as CPython makes it.
fn add_float(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let item = b.peek(0);
    let g = b.op(Op::GuardClass, &[item.value], Imm::None, Type::Exact(Class::Float), Some(st));
    let x = b.op(Op::UnboxFloat, &[g], Imm::None, Type::F64, None);
    let (sum, lost) = (kept(b, 0), kept(b, 1));
    let two = |b: &mut Builder<'_>, op: Op, x: Value, y: Value| b.op(op, &[x, y], Imm::None, Type::F64, None);
    let next = two(b, Op::FloatAdd, sum, x);
    let (size, other) =
        (b.op(Op::FloatAbs, &[sum], Imm::None, Type::F64, None), b.op(Op::FloatAbs, &[x], Imm::None, Type::F64, None));
    let larger = b.op(Op::FloatCmp, &[size, other], Imm::Cmp(CmpOp::Ge), Type::I1, None);
    let of_x = two(b, Op::FloatSub, sum, next);
    let of_x = two(b, Op::FloatAdd, of_x, x);
    let of_sum = two(b, Op::FloatSub, x, next);
    let of_sum = two(b, Op::FloatAdd, of_sum, sum);
    let error = b.op(Op::FloatSelect, &[larger, of_x, of_sum], Imm::None, Type::F64, None);
    let lost = two(b, Op::FloatAdd, lost, error);
    let any = truth_value(b, true);
    keep(b, &[next, lost, any]);
    b.pop();
    b.drop_item(item);
}

/// Puts a pair into a dict.
fn put(b: &mut Builder<'_>, i: &Instr) {
    let st = b.state(i.unit);
    let x = b.pop();
    let pair = b.op(Op::GuardClass, &[x.value], Imm::None, Type::Exact(Class::Tuple), Some(st));
    let made = b.f.def_inst(x.value).map(|d| b.f.inst(d)).filter(|d| d.op == Op::BuildTuple && d.args.len() == 2);
    let [key, value] = match made.map(|d| [d.args[0], d.args[1]]) {
        Some(pair) => pair,
        None => [0, 1].map(|n| {
            let at = b.op(Op::ConstInt, &[], Imm::Int(n), Type::I64, None);
            b.op(Op::TupleItem, &[pair, at], Imm::None, Type::Obj, None)
        }),
    };
    let dict = kept(b, 0);
    b.void(Op::PySetItem, &[dict, key, value], Imm::None, Some(st));
    b.set_hint(Hint::Class(Class::Dict));
    b.ran_python = true;
    b.drop_item(x);
}

/// A list as `list` makes it of few items: it lets go of room that it does not need.
fn trimmed(b: &mut Builder<'_>, i: &Instr) -> Value {
    let st = b.state(i.unit);
    let list = kept(b, 0);
    let len = b.op(Op::ListLen, &[list], Imm::None, Type::I64, None);
    let mut test = |b: &mut Builder<'_>, k: usize| {
        let n = b.op(Op::ConstInt, &[], Imm::Int(2 - k as i64), Type::I64, None);
        b.op(Op::IntCmp, &[len, n], Imm::Cmp(if k == 0 { CmpOp::Ge } else { CmpOp::Lt }), Type::I1, None)
    };
    let mut arm = |b: &mut Builder<'_>, k: usize| {
        if k == 0 {
            return Ok(list);
        }
        let short = b.op(Op::BuildList, &[], Imm::None, Type::Exact(Class::List), Some(st));
        if k == 2 {
            let first = b.op(Op::ConstInt, &[], Imm::Int(0), Type::I64, None);
            let item = b.op(Op::ListItem, &[list, first], Imm::None, Type::Obj, None);
            b.void(Op::IncRef, &[item], Imm::None, None);
            b.void(Op::ListAppend, &[short, item], Imm::None, Some(st));
        }
        b.void(Op::DecRef, &[list], Imm::None, None);
        Ok(short)
    };
    b.cases(3, Type::Exact(Class::List), &mut test, &mut arm).expect("no way fails")
}

/// Keeps the greater one of two numbers, or the less.
fn pick_number(b: &mut Builder<'_>, i: &Instr, op: CmpOp, class: Class) {
    let st = b.state(i.unit);
    let item = b.peek(0);
    let g = b.op(Op::GuardClass, &[item.value], Imm::None, Type::Exact(class), Some(st));
    let (best, any) = (kept(b, 0), kept(b, 1));
    let is_float = class == Class::Float;
    let (x, compare, select) = match is_float {
        true => (b.op(Op::UnboxFloat, &[g], Imm::None, Type::F64, None), Op::FloatCmp, Op::FloatSelect),
        false => (b.op(Op::UnboxInt, &[g], Imm::None, Type::I64, Some(st)), Op::IntCmp, Op::IntSelect),
    };
    let ty = b.f.ty(x);
    let better = b.op(compare, &[x, best], Imm::Cmp(op), Type::I1, None);
    let chosen = b.op(select, &[better, x, best], Imm::None, ty, None);
    let chosen = b.op(select, &[any, chosen, x], Imm::None, ty, None);
    let any = truth_value(b, true);
    keep(b, &[chosen, any]);
    b.pop();
    b.drop_item(item);
}

/// Keeps the greater one of two objects, or the less.
fn pick(b: &mut Builder<'_>, i: &Instr, op: CmpOp) {
    let st = b.state(i.unit);
    let x = b.peek(0);
    let best = kept(b, 0);
    let hint = match b.kind_of(x.value) {
        Some(Kind::Exact(Class::Str)) => Hint::Class(Class::Str),
        Some(Kind::Class(_)) => Hint::None,
        _ => Hint::Numbers,
    };
    b.pop();
    let is_first = b.op(Op::IsNull, &[best], Imm::None, Type::I1, None);
    let mut first = |_: &mut Builder<'_>, _: usize| is_first;
    let mut arm = |b: &mut Builder<'_>, k: usize| {
        if k == 0 {
            return Ok(b.own(x));
        }
        let best = b.op(Op::RefCast, &[best], Imm::None, Type::Obj, None);
        let better = b.op(Op::PyCompareBool, &[x.value, best], Imm::Cmp(op), Type::I1, Some(st));
        b.set_hint(hint);
        b.ran_python = true;
        let mut is_better = |_: &mut Builder<'_>, _: usize| better;
        let mut chosen = |b: &mut Builder<'_>, k: usize| {
            if k > 0 {
                b.drop_item(x);
                return Ok(best);
            }
            let v = b.own(x);
            b.void(Op::DecRef, &[best], Imm::None, None);
            b.dropped = true;
            Ok(v)
        };
        b.cases(2, Type::Obj, &mut is_better, &mut chosen)
    };
    let v = b.cases(2, Type::MaybeNull, &mut first, &mut arm).expect("neither way fails");
    keep(b, &[v]);
}

/// The greatest or least, if there was one.
fn picked(b: &mut Builder<'_>, i: &Instr, of: Option<Class>) -> Value {
    let st = b.state(i.unit);
    let best = kept(b, 0);
    match of {
        None => b.op(Op::GuardNotNull, &[best], Imm::None, Type::Obj, Some(st)),
        Some(c) => {
            let any = kept(b, 1);
            b.void(Op::GuardTrue, &[any], Imm::None, Some(st));
            let op = if c == Class::Float { Op::BoxFloat } else { Op::BoxInt };
            b.op(op, &[best], Imm::None, Type::Exact(c), None)
        }
    }
}

/// The generator returns: nothing more comes.
pub(super) fn end(b: &mut Builder<'_>, i: &Instr) {
    let consumer = b.lv.consumed.as_ref().expect("a generator that is consumed").consumer;
    let v = match consumer {
        Consumer::Any | Consumer::All => truth_value(b, consumer == Consumer::All),
        Consumer::Ints => kept(b, 0),
        Consumer::Floats => sum_of_floats(b),
        // The interpreter raises where there was none.
        Consumer::Extreme { of, .. } => picked(b, i, of),
        Consumer::Set | Consumer::Join | Consumer::Dict => kept(b, 0),
        Consumer::List { .. } => trimmed(b, i),
        Consumer::Tuple => {
            let st = b.state(i.unit);
            let list = kept(b, 0);
            let tuple = b.op(Op::PyListToTuple, &[list], Imm::None, Type::Exact(Class::Tuple), Some(st));
            b.void(Op::DecRef, &[list], Imm::None, None);
            tuple
        }
    };
    leave(b, v);
}

/// The sum with its compensation, where that is a number; the int 0 if there was nothing to add.
fn sum_of_floats(b: &mut Builder<'_>) -> Value {
    let (sum, lost, any) = (kept(b, 0), kept(b, 1), kept(b, 2));
    let zero = float(b, 0.0);
    let mut test = |_: &mut Builder<'_>, _: usize| any;
    let mut arm = |b: &mut Builder<'_>, k: usize| {
        if k == 1 {
            let none = b.op(Op::ConstInt, &[], Imm::Int(0), Type::I64, None);
            return Ok(b.op(Op::BoxInt, &[none], Imm::None, Type::Exact(Class::Int), None));
        }
        let difference = b.op(Op::FloatSub, &[lost, lost], Imm::None, Type::F64, None);
        let finite = b.op(Op::FloatCmp, &[difference, zero], Imm::Cmp(CmpOp::Eq), Type::I1, None);
        let exact = b.op(Op::FloatCmp, &[lost, zero], Imm::Cmp(CmpOp::Eq), Type::I1, None);
        let more = b.op(Op::FloatAdd, &[sum, lost], Imm::None, Type::F64, None);
        let more = b.op(Op::FloatSelect, &[finite, more, sum], Imm::None, Type::F64, None);
        let total = b.op(Op::FloatSelect, &[exact, sum, more], Imm::None, Type::F64, None);
        Ok(b.op(Op::BoxFloat, &[total], Imm::None, Type::Exact(Class::Float), None))
    };
    b.cases(2, Type::Obj, &mut test, &mut arm).expect("neither way fails")
}

/// Goes on in the caller: what the generator has is dropped.
fn leave(b: &mut Builder<'_>, v: Value) {
    for n in 0..b.lv.code.nlocalsplus as usize {
        let local = b.lv.locals[n];
        if b.lv.owns[n] && local != b.null {
            b.void(Op::DecRef, &[local], Imm::None, None);
        }
    }
    while let Some(x) = b.lv.stack.pop() {
        b.drop_item(x);
    }
    let function = b.lv.consumed.as_ref().expect("a generator that is consumed").function;
    b.drop_item(function);
    b.catch();
    let (block, _) = b.lv.returns.expect("there is a place to go on");
    let (i, _) = b.f.make_inst(Op::Jump, &[], Imm::None, Type::Void, None);
    b.f.inst_mut(i).targets = vec![Target { block, args: vec![v] }];
    b.f.blocks[b.cur.index()].insts.push(i);
}
