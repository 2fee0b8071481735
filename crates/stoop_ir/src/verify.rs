//! The verifier. Whoever breaks a rule is named with the instruction's text.
//!
//! 1. The entry has no parameters, and nothing branches to it.
//! 2. Each block ends in a terminator and has no other; each instruction is in one block, once.
//! 3. Operands are as many as the table says, and of the kind the operation takes: `i64`, `f64`, `i1` for
//!    unboxed arithmetic, references elsewhere.
//! 4. A result is there exactly when the table says so, and of its kind; constants and names exist, and the
//!    immediate operand is of the operation's kind.
//! 5. `jump` has one target, `branch` two, others none. Arguments match the parameters in number, and each is
//!    a subtype of its parameter (boxed and unboxed forms don't mix).
//! 6. Definitions dominate uses, in operands, branch arguments, frame states of instructions (and of their
//!    inlined parents) and in entry states. A virtual iterator counts there as its operands: it is no code.
//! 7. Operations that may leave or raise carry a state.
//!
//! Unreachable blocks are not looked at. That no reference is used after it was given away is not checked here;
//! the reference interpreter counts references.

use crate::cfg::Cfg;
use crate::func::{Block, Def, Function, Imm, Inst, InstData, State, Value};
use crate::ops::{Arity, Flags, MathFn, Op, Ret};
use crate::types::{Element, Type};

/// What an operand may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    /// An unboxed integer.
    I64,
    /// An unboxed double.
    F64,
    /// An unboxed truth value.
    I1,
    /// A reference (or NULL).
    Ref,
    /// Anything.
    Any,
}

/// What operand `i` of an operation is.
pub fn operand_kind(op: Op, i: usize) -> Operand {
    match op {
        Op::BoxInt
        | Op::IntAdd
        | Op::IntSub
        | Op::IntMul
        | Op::IntFloorDiv
        | Op::IntMod
        | Op::IntAnd
        | Op::IntOr
        | Op::IntXor
        | Op::IntShl
        | Op::IntShr
        | Op::IntPow
        | Op::IntNeg
        | Op::IntNot
        | Op::IntAbs
        | Op::IntCmp
        | Op::IntToFloat
        | Op::IntToFloatExact
        | Op::IntToBool
        | Op::Index
        | Op::ArrayLoadInt
        | Op::ArrayLoadFloat
        | Op::ArrayStoreInt
        | Op::GuardDepth
        | Op::IntAdvance
        | Op::IntMulWrap
        | Op::IntShrU
        | Op::BoxUInt
        | Op::RangeLen
        | Op::VirtualRange
        | Op::StrChr
        | Op::StrOf
        | Op::NewRangeIter => Operand::I64,
        Op::BoxFloat
        | Op::FloatAdd
        | Op::FloatSub
        | Op::FloatMul
        | Op::FloatDiv
        | Op::FloatFloorDiv
        | Op::FloatMod
        | Op::FloatPow
        | Op::FloatNeg
        | Op::FloatAbs
        | Op::FloatSqrt
        | Op::FloatFn
        | Op::FloatRound
        | Op::FloatCmp
        | Op::FloatToInt
        | Op::FloatToBool => Operand::F64,
        Op::BoxBool | Op::BoolNot | Op::BoolToInt | Op::Branch | Op::GuardTrue | Op::GuardFalse => Operand::I1,
        Op::IntSelect | Op::FloatSelect if i == 0 => Operand::I1,
        Op::IntSelect => Operand::I64,
        Op::FloatSelect => Operand::F64,
        // What a slot held may have been known unboxed only.
        Op::StoreLocal if i == 1 => Operand::Any,
        // Its items may be known unboxed.
        Op::VirtualTuple | Op::VirtualObject => Operand::Any,
        Op::ListItem | Op::TupleItem | Op::StrItem | Op::BytesItem | Op::ListSwap if i == 1 => Operand::I64,
        Op::VirtualIter if i == 0 => Operand::I64,
        Op::DictFindTuple if i > 0 => Operand::Any,
        Op::DictLoad | Op::DictOr if i == 1 => Operand::I64,
        Op::DictTake if i == 2 => Operand::I64,
        Op::DictSet if i == 3 => Operand::I64,
        Op::ListLoad if i > 0 => Operand::I64,
        Op::GuardShapes if i > 0 => Operand::I64,
        Op::ListSlice | Op::Slice | Op::ListReversePrefix if i > 0 => Operand::I64,
        Op::ListPop | Op::ListInsert if i == 1 => Operand::I64,
        Op::ArrayStoreFloat if i < 2 => Operand::I64,
        Op::ArrayStoreFloat => Operand::F64,
        Op::ListSetFloat | Op::ListSetInt if i == 1 => Operand::I64,
        Op::ListSetFloat if i == 2 => Operand::F64,
        Op::ListSetInt if i == 2 => Operand::I64,
        Op::SetFieldFloat | Op::SetSlotFloat if i == 1 => Operand::F64,
        Op::SetFieldInt | Op::SetSlotInt if i == 1 => Operand::I64,
        _ => Operand::Ref,
    }
}

/// Whether an immediate is the typecode of an array of floats, or of ints.
fn is_code(imm: Imm, float: bool) -> bool {
    matches!(imm, Imm::Int(c) if Element::from_code(c).is_some_and(|e| e.is_float == float))
}

fn imm_fits(op: Op, imm: Imm) -> bool {
    match op {
        Op::ConstInt
        | Op::ConstBool
        | Op::GlobalHome
        | Op::LoadSlot
        | Op::SwapSlot
        | Op::PyUnpack
        | Op::PyUnpackEx
        | Op::ItemsData
        | Op::PyMatchClass
        | Op::MatchKind
        | Op::Land
        | Op::PyConvert
        | Op::SetFunctionAttr => {
            matches!(imm, Imm::Int(_))
        }
        Op::ArrayLoadInt | Op::ArrayStoreInt => is_code(imm, false),
        Op::ArrayLoadFloat | Op::ArrayStoreFloat => is_code(imm, true),
        Op::ConstFloat => matches!(imm, Imm::Float(_)),
        Op::GuardBuiltin | Op::RangeIterField | Op::VirtualRange | Op::VirtualIter | Op::VersionIs => matches!(imm, Imm::Int(_)),
        Op::GuardDepth
        | Op::GuardClassVersion
        | Op::GuardClassKeys
        | Op::NewObject
        | Op::InitSlot
        | Op::SetSlotFloat
        | Op::SetSlotInt => {
            matches!(imm, Imm::Int(_))
        }
        Op::FloatFn => matches!(imm, Imm::Int(k) if usize::try_from(k).is_ok_and(|k| k < MathFn::ALL.len())),
        Op::ConstObj | Op::GuardFuncVersion => matches!(imm, Imm::Const(_)),
        Op::EntryLocal
        | Op::EntryStack
        | Op::StoreLocal
        | Op::StrAppend
        | Op::LoadField
        | Op::LoadDictEntry
        | Op::SwapField
        | Op::InitField
        | Op::SetFieldFloat
        | Op::SetFieldInt
        | Op::ClosureCell => matches!(imm, Imm::Index(_)),
        Op::PyLoadAttr
        | Op::PyLoadMethod
        | Op::PyStoreAttr
        | Op::PyDelAttr
        | Op::PyLoadGlobal
        | Op::PyStoreGlobal
        | Op::PyDelGlobal
        | Op::PyLoadName
        | Op::PyStoreName
        | Op::PySuperAttr
        | Op::PyImport
        | Op::PyImportFrom
        | Op::Exit => matches!(imm, Imm::Name(_)),
        Op::Yield => matches!(imm, Imm::Int(0 | 1)),
        Op::PyBinary | Op::PyInplace | Op::NumBinary => matches!(imm, Imm::Bin(_)),
        Op::StrCmp | Op::Equal => matches!(imm, Imm::Cmp(_)),
        Op::PyUnary => matches!(imm, Imm::Un(_)),
        Op::PyCompare | Op::PyCompareBool | Op::NumCompare | Op::IntCmp | Op::FloatCmp => matches!(imm, Imm::Cmp(_)),
        Op::PyCall => matches!(imm, Imm::None | Imm::Const(_)),
        // A few rows leave room for a detail that only the code generator knows.
        _ => true,
    }
}

struct Verifier<'a> {
    func: &'a Function,
    cfg: Cfg,
    /// Where each value is defined: its block, and its place there (0 for parameters).
    places: Vec<Option<(Block, u32)>>,
    errors: Vec<String>,
}

/// Checks a function against the rules; no errors, no strings.
pub fn verify(func: &Function) -> Vec<String> {
    if func.blocks.is_empty() {
        return vec!["the function has no block".to_owned()];
    }
    for b in (0..func.blocks.len() as u32).map(Block) {
        if let Some(t) = func.successors(b).find(|t| t.index() >= func.blocks.len()) {
            return vec![format!("b{} branches to b{}, which does not exist", b.0, t.0)];
        }
    }
    let cfg = Cfg::new(func);
    let mut v = Verifier { func, cfg, places: vec![None; func.values.len()], errors: Vec::new() };
    v.entry();
    let blocks = v.cfg.rpo().to_vec();
    for &b in &blocks {
        v.define(b);
    }
    for &b in &blocks {
        v.block(b);
    }
    v.errors
}

impl Verifier<'_> {
    fn inst_error(&mut self, i: Inst, message: &str) {
        let text = crate::print::inst_text(self.func, i);
        self.errors.push(format!("`{text}`: {message}"));
    }

    fn entry(&mut self) {
        let entry = self.func.entry();
        if !self.func.blocks[entry.index()].params.is_empty() {
            self.errors.push("the entry has parameters".to_owned());
        }
        if !self.cfg.preds(entry).is_empty() {
            self.errors.push("a block branches to the entry".to_owned());
        }
    }

    /// Records the definitions of a block (rules 2 and 6).
    fn define(&mut self, b: Block) {
        let data = &self.func.blocks[b.index()];
        for &p in &data.params {
            if self.func.values[p.index()].def != Def::Param(b) || self.places[p.index()].is_some() {
                self.errors.push(format!("v{} of b{} is defined elsewhere too", p.0, b.0));
            }
            self.places[p.index()] = Some((b, 0));
        }
        for (k, &i) in data.insts.iter().enumerate() {
            let inst = self.func.inst(i);
            if inst.op.is(Flags::TERM) != (k + 1 == data.insts.len()) {
                self.inst_error(i, "a block has one terminator, at its end");
            }
            if let Some(r) = inst.result {
                if self.func.values[r.index()].def != Def::Inst(i) || self.places[r.index()].is_some() {
                    self.inst_error(i, "its result is defined elsewhere too");
                }
                self.places[r.index()] = Some((b, k as u32 + 1));
            }
        }
        if data.insts.is_empty() {
            self.errors.push(format!("b{} is empty", b.0));
        }
    }

    fn block(&mut self, b: Block) {
        let data = &self.func.blocks[b.index()];
        if let Some(s) = data.entry_state {
            let mut bad = Vec::new();
            self.state_values(s, &mut |me, v| {
                if !me.at_entry(v, b) {
                    bad.push(v);
                }
            });
            for v in bad {
                self.errors.push(format!("b{}'s entry state uses v{} where it is not defined", b.0, v.0));
            }
        }
        for (k, &i) in data.insts.iter().enumerate() {
            self.inst(b, k as u32, i);
        }
    }

    fn inst(&mut self, b: Block, k: u32, i: Inst) {
        let func = self.func;
        let data = func.inst(i);
        let info = data.op.info();
        if let Arity::N(n) = info.arity
            && data.args.len() != n as usize
        {
            self.inst_error(i, &format!("takes {n} operands, has {}", data.args.len()));
            return;
        }
        for (j, &a) in data.args.iter().enumerate() {
            let ty = func.ty(a);
            let fits = match operand_kind(data.op, j) {
                Operand::I64 => ty == Type::I64,
                Operand::F64 => ty == Type::F64,
                Operand::I1 => ty == Type::I1,
                Operand::Ref => ty.is_ref(),
                Operand::Any => true,
            };
            if !fits {
                self.inst_error(i, &format!("operand {j} can't be {ty}"));
            }
        }
        self.result_and_imm(i, data);
        self.targets(i, data);
        let mut undefined = Vec::new();
        for &v in data.args.iter().chain(data.targets.iter().flat_map(|t| &t.args)) {
            if !self.available(v, b, k) {
                undefined.push(v);
            }
        }
        if let Some(s) = data.state {
            self.state_values(s, &mut |me, v| {
                if !me.available(v, b, k) {
                    undefined.push(v);
                }
            });
        } else if data.op.needs_state() {
            self.inst_error(i, "needs a frame state");
        }
        for v in undefined {
            self.inst_error(i, &format!("v{} is not defined there", v.0));
        }
    }

    fn result_and_imm(&mut self, i: Inst, data: &InstData) {
        let ty = data.result.map_or(Type::Void, |r| self.func.ty(r));
        let fits = match data.op.info().ret {
            Ret::Void => ty == Type::Void,
            Ret::I64 => ty == Type::I64,
            Ret::F64 => ty == Type::F64,
            Ret::I1 => ty == Type::I1,
            Ret::New | Ret::Borrowed => ty.is_ref(),
        };
        if !fits {
            self.inst_error(i, &format!("its result can't be {ty}"));
        }
        let exists = match data.imm {
            Imm::Const(c) => c.index() < self.func.consts.len(),
            Imm::Name(n) => n.index() < self.func.names.len(),
            _ => true,
        };
        if !exists || !imm_fits(data.op, data.imm) {
            self.inst_error(i, "its immediate operand does not fit");
        }
    }

    fn targets(&mut self, i: Inst, data: &InstData) {
        let n = match data.op {
            Op::Jump => 1,
            Op::Branch => 2,
            _ => 0,
        };
        if data.targets.len() != n {
            self.inst_error(i, &format!("has {n} targets, not {}", data.targets.len()));
        }
        for t in &data.targets {
            let params = &self.func.blocks[t.block.index()].params;
            if params.len() != t.args.len() {
                self.inst_error(i, &format!("b{} takes {} arguments, not {}", t.block.0, params.len(), t.args.len()));
            }
            for (p, a) in params.iter().zip(&t.args) {
                let (p_ty, a_ty) = (self.func.ty(*p), self.func.ty(*a));
                if !a_ty.is_subtype_of(p_ty) {
                    self.inst_error(i, &format!("v{} is {a_ty}, but b{}'s parameter v{} is {p_ty}", a.0, t.block.0, p.0));
                }
            }
        }
    }

    /// Whether a value is defined before instruction `k` of a block.
    /// Whether a block's entry state may name a value.
    fn at_entry(&self, v: Value, b: Block) -> bool {
        let described = self.func.values.get(v.index()).and_then(|d| match d.def {
            Def::Inst(i) if matches!(self.func.inst(i).op, Op::VirtualRange | Op::VirtualIter) => Some(&self.func.inst(i).args),
            _ => None,
        });
        self.available(v, b, 0) || described.is_some_and(|args| args.iter().all(|a| self.available(*a, b, 0)))
    }

    fn available(&self, v: Value, b: Block, k: u32) -> bool {
        match self.places.get(v.index()).copied().flatten() {
            Some((d, at)) if d == b => at <= k,
            Some((d, _)) => self.cfg.dominates(d, b),
            None => false,
        }
    }

    fn state_values(&mut self, s: State, use_value: &mut dyn FnMut(&Verifier<'_>, Value)) {
        let mut at = Some(s);
        // Inlining is never this deep: a longer chain is a cycle.
        for _ in 0..64 {
            let Some(s) = at else { return };
            let Some(state) = self.func.states.get(s.index()) else {
                self.errors.push(format!("s{} does not exist", s.0));
                return;
            };
            for v in state.locals.iter().flatten().copied().chain(state.stack.iter().map(|e| e.value)) {
                use_value(self, v);
            }
            at = state.parent;
        }
        self.errors.push(format!("s{} is its own ancestor", s.0));
    }
}

#[cfg(test)]
mod tests {
    use crate::parse::parse;

    /// The errors of a function made of these lines, after `func` and before a state `s0`.
    fn errors(body: &str) -> Vec<String> {
        let text = format!("func \"t\"\ns0 = code 0 unit 0 locals [] stack []\n{body}");
        super::verify(&parse(&text).unwrap())
    }

    fn one(body: &str, part: &str) {
        let e = errors(body);
        assert!(e.len() == 1 && e[0].contains(part), "{e:?}");
    }

    #[test]
    fn a_sound_function_has_no_errors() {
        let body = "b0:\n v0: i64 = const.int 1\n jump b1(v0)\nb1(v1: i64):\n v2: i64 = int.add v1, v0 state s0\n v3: i1 = int.cmp lt v2, v0\n branch v3, b1(v2), b2\nb2:\n v4: int = box.int v1\n return v4\n";
        assert_eq!(errors(body), Vec::<String>::new());
    }

    #[test]
    fn each_rule_is_checked() {
        one("b0:\n jump b1\nb1:\n jump b0\n", "branches to the entry");
        one("b0(v0: obj):\n return v0\n", "the entry has parameters");
        one("b0:\n v0: obj = const.null\n", "one terminator");
        one("b0:\n v0: obj = const.null\n return v0, v0\n", "takes 1 operands, has 2");
        one("b0:\n v0: i64 = const.int 1\n return v0\n", "operand 0 can't be i64");
        one("b0:\n v0: obj = const.null\n v1: i64 = int.not v0\n return v0\n", "operand 0 can't be obj");
        one("b0:\n v0: f64 = const.int 1\n exit \"x\" state s0\n", "its result can't be f64");
        one("b0:\n check\n exit \"x\" state s0\n", "needs a frame state");
        one("b0:\n v0: i64 = const.int 1.5\n exit \"x\" state s0\n", "immediate operand");
        one("b0:\n v0: obj = const.obj @3\n return v0\n", "immediate operand");
        one("b0:\n jump b1, b1\nb1:\n exit \"x\" state s0\n", "has 1 targets, not 2");
        one("b0:\n jump b1\nb1(v0: obj):\n return v0\n", "takes 1 arguments, not 0");
        one("b0:\n v0: obj = const.null\n jump b1(v0)\nb1(v1: int):\n return v1\n", "parameter v1 is int");
        one("b0:\n incref v0\n v0: obj = const.null\n return v0\n", "v0 is not defined there");
    }

    #[test]
    fn uses_in_states_must_be_dominated_too() {
        let diamond = |state: &str, entry: &str| {
            format!(
                "b0:\n v0: i1 = const.bool 1\n branch v0, b1, b2\nb1:\n v1: obj = const.null\n jump b3\nb2:\n jump b3\nb3{entry}:\n check state s1\n exit \"x\" state s0\ns1 = {state}\ns2 = code 0 unit 0 locals [v1] stack []\n"
            )
        };
        one(&diamond("code 0 unit 0 locals [v1] stack []", ""), "v1 is not defined there");
        one(&diamond("code 0 unit 0 locals [] stack [v1!]", ""), "v1 is not defined there");
        one(&diamond("code 0 unit 0 locals [] stack [] parent s2", ""), "v1 is not defined there");
        one(&diamond("code 0 unit 0 locals [v0] stack []", " entry s2"), "b3's entry state uses v1");
        assert_eq!(errors(&diamond("code 0 unit 0 locals [v0] stack []", "")), Vec::<String>::new());
    }
}
