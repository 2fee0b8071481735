//! The rules of `specialise`: which typed form an operation takes, given operand types and feedback.
//!
//! One function, used by inference and by rewriting alike, so that both always agree.

use stoop_ir::{BinOp, Class, CmpOp, Flags, Function, Hint, Imm, InstData, MathFn, Op, Type, UnOp, Value};

/// The typed form of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// As it is.
    Generic,
    /// As it is, but the result is an exact instance of this class.
    ResultClass(Class),
    /// As it is, with operands of these classes; the result is an instance of the third.
    OfClasses(Class, Class, Class),
    /// As it is; the result is of the last operand's type.
    Same,
    /// Both ints.
    IntBin(BinOp),
    /// True division of ints.
    IntTrueDiv,
    /// Floats, or a float and an int.
    FloatBin(BinOp),
    /// Both ints.
    IntCmp(CmpOp),
    /// Floats, or a float and an int.
    FloatCmp(CmpOp),
    /// Ints and floats, boxed.
    NumBin(BinOp),
    /// The same.
    NumCmp(CmpOp),
    /// `-int`
    IntNeg,
    /// `abs(int)`
    IntAbs,
    /// `-float`
    FloatNeg,
    /// `abs(float)`
    FloatAbs,
    /// `math.sqrt`
    FloatSqrt,
    /// Another function of `math`.
    Math(MathFn),
    /// `min` or `max` (true) of some ints.
    IntExtreme(bool),
    /// The same of some floats.
    FloatExtreme(bool),
    /// `round(float)`
    FloatRound,
    /// `float(int or float)`
    ToFloat,
    /// `int(float)`
    FloatToInt,
    /// `int(int or bool)`
    BoolToInt,
    /// `isinstance(instance of a known class, known class)`
    IsInstance(bool),
    /// Truth of an instance of the class.
    Truth(Class),
    /// Truth of anything.
    AnyTruth,
    /// `==` or `!=` of any two objects.
    Equal(CmpOp),
    /// `a + b` of two instances of the class.
    Concat(Class),
    /// `list[int]`
    ListGet,
    /// `tuple[int]`
    TupleGet,
    /// `str[int]`
    StrGet,
    /// Both strs.
    StrCmp(CmpOp),
    /// `str in str`
    StrIn,
    /// `ord(str)`
    Ord,
    /// `chr(int)`
    Chr,
    /// `bytes[int]`
    BytesGet,
    /// `bytearray[int]`
    ByteArrayGet,
    /// `bytearray[int] = value`
    ByteArraySet,
    /// `dict[key]`
    DictGet,
    /// `dict.get(key)`, or with a default.
    DictGetOr,
    /// `dict[key] = value`
    DictSet,
    /// `item in container`, an instance of the class.
    Contains(Class),
    /// A part of a str, bytes object or tuple.
    Slice(Class),
    /// A call of a function that runs no Python code: its row.
    Native(u16),
    /// `type(x)`
    TypeOf,
    /// `isinstance(x, class)`
    InstanceOf,
    /// `str(int)`, `f"{int}"`: the operand.
    StrOfInt(usize),
    /// A str as a str: the operand.
    StrItself(usize),
    /// `list[int] = value`
    ListSet,
    /// `list[start:stop]`, each bound an int or None.
    ListSlice,
    /// `array[int]`
    ArrayGet(Class),
    /// `array[int] = value`, the value a number that such an item can be, or unknown.
    ArraySet(Class),
    /// `len(instance of the class)`
    Len(Class),
    /// Unpack an exact list or tuple.
    Unpack(Class),
    /// Next of a range iterator.
    RangeNext,
    /// Next of a list or tuple iterator.
    SeqNext(Class),
    /// Inline attribute value: type version, index.
    LoadField(u32, u32),
    /// The same, written.
    StoreField(u32, u32),
    /// `__slots__` member: type version, byte offset.
    LoadSlot(u32, u32),
    /// The same, written.
    StoreSlot(u32, u32),
}

/// The class of operand `k`: inferred, else what the feedback says.
fn class_of(types: &[Option<Type>], d: &InstData, k: usize) -> Option<Class> {
    match types.get(d.args[k].index()).copied().flatten() {
        Some(t) if t.class().is_some() => t.class(),
        Some(Type::Heap(_)) => None,
        _ => match (d.hint, k) {
            (Hint::Class(c), _) | (Hint::Classes(c, _), 0) | (Hint::Classes(_, c), 1) => Some(c),
            _ => None,
        },
    }
}

/// The rule that applies to an operation.
pub fn rule(f: &Function, types: &[Option<Type>], d: &InstData) -> Rule {
    if !d.op.is(Flags::PY) || d.hint == Hint::Generic && !d.args.iter().all(|a| known(types, *a)) {
        return Rule::Generic;
    }
    let class = |k| class_of(types, d, k);
    match d.op {
        Op::PyBinary | Op::PyInplace => {
            let Imm::Bin(op) = d.imm else { return Rule::Generic };
            match binary(op, class(0), class(1), width(f, types, d)) {
                // `+=` extends the list.
                Rule::Concat(Class::List) if d.op == Op::PyInplace => Rule::Generic,
                rule => rule,
            }
        }
        Op::PyCompare | Op::PyCompareBool => {
            let Imm::Cmp(op) = d.imm else { return Rule::Generic };
            // The interpreter does not specialise comparisons with ints of several digits.
            let guess =
                |k: usize| class(k).or_else(|| (d.hint == Hint::None && is_large(f, d.args[1 - k])).then_some(Class::Int));
            let is_wide = is_int_of(types, d) && d.args.iter().any(|v| wide(f, types, *v, CHAIN).is_some());
            match compare(op, guess(0), guess(1), if is_wide { Hint::Mixed } else { d.hint }) {
                Rule::Generic if d.hint == Hint::None && matches!(op, CmpOp::Eq | CmpOp::Ne) => Rule::Equal(op),
                rule => rule,
            }
        }
        Op::PyUnary => {
            let Imm::Un(op) = d.imm else { return Rule::Generic };
            match unary_rule(op, class(0)) {
                Rule::IntNeg if d.hint == Hint::Generic => Rule::ResultClass(Class::Int),
                rule => rule,
            }
        }
        Op::PyToBool => match class(0) {
            // Of any size.
            Some(Class::Int) if d.hint == Hint::Generic || wide(f, types, d.args[0], CHAIN).is_some() => Rule::AnyTruth,
            Some(c @ (Class::Bool | Class::Int | Class::Float | Class::NoneType | Class::List | Class::Tuple | Class::Str)) => {
                Rule::Truth(c)
            }
            Some(c @ (Class::Dict | Class::Set | Class::FrozenSet | Class::Bytes)) => Rule::Truth(c),
            _ if d.hint != Hint::Generic => Rule::AnyTruth,
            _ => Rule::Generic,
        },
        Op::PyGetItem => match (class(0), class(1)) {
            (Some(Class::List), Some(Class::Int)) => Rule::ListGet,
            (Some(Class::Tuple), Some(Class::Int)) => Rule::TupleGet,
            (Some(Class::Str), Some(Class::Int)) => Rule::StrGet,
            (Some(Class::Bytes), Some(Class::Int)) => Rule::BytesGet,
            (Some(Class::ByteArray), Some(Class::Int)) => Rule::ByteArrayGet,
            (Some(Class::Dict), _) if d.hint != Hint::Generic => Rule::DictGet,
            (Some(c), Some(Class::Int)) if c.array_element().is_some() => Rule::ArrayGet(c),
            _ => Rule::Generic,
        },
        Op::PyContains if class(0) == Some(Class::Str) && class(1) == Some(Class::Str) => Rule::StrIn,
        Op::PyContains => match class(1) {
            Some(c @ (Class::Dict | Class::Set | Class::FrozenSet | Class::List | Class::Tuple)) if d.hint != Hint::Generic => {
                Rule::Contains(c)
            }
            _ => Rule::Generic,
        },
        Op::PySetItem => match (class(0), class(1)) {
            (Some(Class::List), Some(Class::Int)) => Rule::ListSet,
            (Some(Class::Dict), _) if d.hint != Hint::Generic => Rule::DictSet,
            (Some(Class::ByteArray), Some(Class::Int)) if known_class(types, d.args[2]).is_none_or(is_int) => Rule::ByteArraySet,
            (Some(c), Some(Class::Int)) if array_takes(c, known_class(types, d.args[2])) => Rule::ArraySet(c),
            _ => Rule::Generic,
        },
        Op::PyLen => match class(0) {
            Some(c @ (Class::List | Class::Tuple | Class::Str | Class::Bytes | Class::ByteArray)) => Rule::Len(c),
            Some(c @ (Class::Dict | Class::Set | Class::FrozenSet)) => Rule::Len(c),
            Some(c) if c.array_element().is_some() => Rule::Len(c),
            _ => Rule::Generic,
        },
        Op::PyUnpack => match class(0) {
            Some(c @ (Class::List | Class::Tuple)) => Rule::Unpack(c),
            _ => Rule::Generic,
        },
        Op::PyIterNext => match class(0) {
            Some(Class::RangeIter) => Rule::RangeNext,
            Some(c @ (Class::ListIter | Class::TupleIter)) => Rule::SeqNext(c),
            _ => Rule::Generic,
        },
        Op::PyGetIter => match known_class(types, d.args[0]) {
            Some(Class::List) => Rule::ResultClass(Class::ListIter),
            Some(Class::Tuple) => Rule::ResultClass(Class::TupleIter),
            Some(Class::Range) => Rule::ResultClass(Class::RangeIter),
            Some(Class::ListIter | Class::TupleIter | Class::RangeIter) => Rule::Same,
            _ => Rule::Generic,
        },
        Op::PyGetSlice if is_list_slice(types, d) => Rule::ListSlice,
        Op::PyGetSlice if let Some(c) = sliced(types, d) => Rule::Slice(c),
        Op::PyGetSlice => match known_class(types, d.args[0]) {
            Some(c @ (Class::List | Class::Str | Class::Tuple)) => Rule::ResultClass(c),
            _ => Rule::Generic,
        },
        Op::PyLoadAttr => match d.hint {
            Hint::Field(v, i) => Rule::LoadField(v, i),
            Hint::Slot(v, o) => Rule::LoadSlot(v, o),
            _ => Rule::Generic,
        },
        Op::PyStoreAttr => match d.hint {
            Hint::Field(v, i) => Rule::StoreField(v, i),
            Hint::Slot(v, o) => Rule::StoreSlot(v, o),
            _ => Rule::Generic,
        },
        Op::PyCall => call(f, types, d),
        Op::BuildMap => Rule::ResultClass(Class::Dict),
        Op::BuildSet => Rule::ResultClass(Class::Set),
        Op::PyFormat if f.ty(d.args[1]) != Type::Null => Rule::Generic,
        Op::PyFormat | Op::PyConvert => match (known_class(types, d.args[0]), d.imm) {
            (Some(Class::Int), _) => Rule::StrOfInt(0),
            (Some(Class::Str), Imm::None | Imm::Int(1)) => Rule::StrItself(0),
            _ => Rule::Generic,
        },
        _ => Rule::Generic,
    }
}

fn known(types: &[Option<Type>], v: Value) -> bool {
    known_class(types, v).is_some()
}

fn known_class(types: &[Option<Type>], v: Value) -> Option<Class> {
    types.get(v.index()).copied().flatten().and_then(Type::class)
}

/// Whether an array's item can be set to an instance of the class: `None` is a guess that is guarded.
fn array_takes(array: Class, value: Option<Class>) -> bool {
    array.array_element().is_some_and(|e| match value {
        None => true,
        Some(Class::Float) => e.is_float,
        Some(c) => is_int(c),
    })
}

fn is_list_slice(types: &[Option<Type>], d: &InstData) -> bool {
    let bound = |k: usize| matches!(known_class(types, d.args[k]), Some(Class::Int | Class::NoneType));
    known_class(types, d.args[0]) == Some(Class::List) && bound(1) && bound(2)
}

/// The class of a str, bytes object or tuple that a slice is taken of, with bounds that are ints or None. What is not known
/// may be guessed.
fn sliced(types: &[Option<Type>], d: &InstData) -> Option<Class> {
    let guess = matches!(d.hint, Hint::Classes(_, Class::Int));
    let bound = |k: usize| match known_class(types, d.args[k]) {
        Some(c) => matches!(c, Class::Int | Class::NoneType),
        None => guess,
    };
    let class = class_of(types, d, 0).filter(|c| matches!(c, Class::Str | Class::Bytes | Class::Tuple))?;
    (d.hint != Hint::Generic && bound(1) && bound(2)).then_some(class)
}

fn is_int(c: Class) -> bool {
    matches!(c, Class::Int | Class::Bool)
}

fn float_can(op: BinOp) -> bool {
    matches!(op, BinOp::Add | BinOp::Sub | BinOp::Mul | BinOp::TrueDiv | BinOp::FloorDiv | BinOp::Mod | BinOp::Pow)
}

fn binary(op: BinOp, a: Option<Class>, b: Option<Class>, hint: Hint) -> Rule {
    let numbers = matches!(hint, Hint::Numbers | Hint::Mixed);
    use Class::{Bytes, Float, Int, List, Str, Tuple};
    match (a, b) {
        (Some(Class::Bool), Some(Class::Bool)) if matches!(op, BinOp::And | BinOp::Or | BinOp::Xor) => {
            Rule::OfClasses(Class::Bool, Class::Bool, Class::Bool)
        }
        (Some(x), Some(y)) if is_int(x) && is_int(y) => match (op, hint) {
            (BinOp::MatMul, _) => Rule::Generic,
            // Too wide for a register, as experience or the operands tell: boxed ones of a few digits, then any.
            (BinOp::TrueDiv, Hint::Generic) => Rule::ResultClass(Float),
            (BinOp::Pow, Hint::Mixed | Hint::Generic) => Rule::Generic,
            (_, Hint::Mixed | Hint::Generic) if x != y => Rule::Generic,
            (_, Hint::Mixed) if x == Int => Rule::NumBin(op),
            (_, Hint::Generic) if x == Int => Rule::ResultClass(Int),
            (BinOp::TrueDiv, _) => Rule::IntTrueDiv,
            _ => Rule::IntBin(op),
        },
        (Some(Float), Some(y)) if (is_int(y) || y == Float) && float_can(op) => Rule::FloatBin(op),
        (Some(x), Some(Float)) if is_int(x) && float_can(op) => Rule::FloatBin(op),
        // The interpreter does not specialise mixed operands: beside a number, an unknown one is most often a float.
        (Some(Float | Int), None) | (None, Some(Float | Int)) if hint == Hint::None && mixed_can(op, a, b) => Rule::FloatBin(op),
        (Some(Float), None) | (None, Some(Float)) if numbers && float_can(op) => Rule::FloatBin(op),
        (None | Some(Int), None | Some(Int)) if numbers && (numbers_can(op) || ints_have(op)) => Rule::NumBin(op),
        (Some(c @ (Str | List | Tuple | Bytes)), Some(d)) if c == d && op == BinOp::Add => Rule::Concat(c),
        (Some(c @ (List | Str | Tuple)), Some(Int)) if op == BinOp::Mul => Rule::OfClasses(c, Int, c),
        // Nor does it specialise these: beside an int, an unknown operand is most often an int.
        (Some(Int), None) | (None, Some(Int)) if hint == Hint::None && ints_have(op) => Rule::IntBin(op),
        // A truth value is counted.
        (Some(Class::Bool), None) | (None, Some(Class::Bool))
            if hint == Hint::None && (ints_have(op) || matches!(op, BinOp::Add | BinOp::Sub)) =>
        {
            Rule::IntBin(op)
        }
        (None, None) if hint == Hint::None && matches!(op, BinOp::Shl | BinOp::Shr) => Rule::IntBin(op),
        _ => Rule::Generic,
    }
}

/// Whether guessing a float beside a known number makes sense: never for an int on the right of `*` (sequences
/// repeat), nor where a known float alone decides nothing.
fn mixed_can(op: BinOp, a: Option<Class>, b: Option<Class>) -> bool {
    let float_known = a == Some(Class::Float) || b == Some(Class::Float);
    float_can(op) && (float_known || matches!(op, BinOp::Sub | BinOp::TrueDiv | BinOp::Pow))
}

/// Whether mostly ints have the operator. (`%` with a str on its left is known by that.)
fn ints_have(op: BinOp) -> bool {
    matches!(op, BinOp::And | BinOp::Or | BinOp::Xor | BinOp::Shl | BinOp::Shr | BinOp::Mod | BinOp::FloorDiv)
}

/// Whether a value is a constant int that the interpreter keeps in several digits.
fn is_large(f: &Function, v: Value) -> bool {
    let text = super::constant(f, v, Class::Int);
    text.and_then(|t| t.parse::<i64>().ok()).is_some_and(|n| n.unsigned_abs() >= 1 << 30)
}

/// How far back the operands of a chain of operators are asked whether they are wide.
const CHAIN: usize = 4;

fn is_int_of(types: &[Option<Type>], d: &InstData) -> bool {
    d.args.iter().all(|v| known_class(types, *v) == Some(Class::Int))
}

/// The hint of an operator, whose operands may be known to be ints too wide for a register: what is asked next of those.
fn width(f: &Function, types: &[Option<Type>], d: &InstData) -> Hint {
    if matches!(d.hint, Hint::Mixed | Hint::Generic) {
        return d.hint;
    }
    if !is_int_of(types, d) {
        return if d.args.iter().any(|v| is_wide_constant(f, *v)) { Hint::Mixed } else { d.hint };
    }
    d.args.iter().filter_map(|v| wide(f, types, *v, CHAIN)).fold(d.hint, |hint, w| match (hint, w) {
        (Hint::Generic, _) => hint,
        (_, w) => w,
    })
}

/// Whether an operator on wide ints mostly yields wide ones.
pub(crate) fn widens(op: BinOp) -> bool {
    !matches!(op, BinOp::Shr | BinOp::FloorDiv | BinOp::Mod)
}

/// Whether an operator's result is sure to fit a register: one of the operands is a constant mask that does.
pub(crate) fn masks(f: &Function, op: BinOp, args: &[Value]) -> bool {
    let is_mask = |v: &Value| super::constant(f, *v, Class::Int).is_some_and(|text| text.parse::<i64>().is_ok_and(|n| n >= 0));
    op == BinOp::And && args.iter().any(is_mask)
}

fn is_wide_constant(f: &Function, v: Value) -> bool {
    super::constant(f, v, Class::Int).is_some_and(|text| text.parse::<i64>().is_err())
}

/// Whether a value is an int that mostly does not fit a register: the hint with which it is made.
fn wide(f: &Function, types: &[Option<Type>], v: Value, chain: usize) -> Option<Hint> {
    let d = f.inst(f.def_inst(v)?);
    match (d.op, d.imm) {
        (Op::ConstObj, _) => is_wide_constant(f, v).then_some(Hint::Mixed),
        (Op::PyBinary | Op::PyInplace, Imm::Bin(op)) if chain > 0 && is_int_of(types, d) => {
            if !widens(op) || masks(f, op, &d.args) {
                return None;
            }
            match d.hint {
                Hint::Mixed | Hint::Generic => Some(d.hint),
                _ => d.args.iter().find_map(|v| wide(f, types, *v, chain - 1)),
            }
        }
        _ => None,
    }
}

/// The class of what boxed numbers yield, as far as the operands' classes tell: only ints have some operators.
pub(crate) fn numbers_yield(op: BinOp, a: Option<Class>, b: Option<Class>) -> Option<Class> {
    let ints = a == Some(Class::Int) && b == Some(Class::Int);
    let of_ints = matches!(op, BinOp::And | BinOp::Or | BinOp::Xor | BinOp::Shl | BinOp::Shr);
    match op {
        BinOp::TrueDiv => Some(Class::Float),
        _ => (ints || of_ints).then_some(Class::Int),
    }
}

/// Whether boxed numbers of any kind have the operator.
pub(crate) fn numbers_can(op: BinOp) -> bool {
    matches!(op, BinOp::Add | BinOp::Sub | BinOp::Mul | BinOp::TrueDiv)
}

fn compare(op: CmpOp, a: Option<Class>, b: Option<Class>, hint: Hint) -> Rule {
    let numbers = matches!(hint, Hint::Numbers | Hint::Mixed);
    use Class::Float;
    match (a, b) {
        (Some(Class::Int), Some(Class::Int)) if matches!(hint, Hint::Mixed | Hint::Generic) => Rule::NumCmp(op),
        (Some(x), Some(y)) if is_int(x) && is_int(y) && hint != Hint::Generic => Rule::IntCmp(op),
        (Some(Float), Some(y)) if is_int(y) || y == Float => Rule::FloatCmp(op),
        (Some(x), Some(Float)) if is_int(x) => Rule::FloatCmp(op),
        (Some(Float), None) | (None, Some(Float)) if hint == Hint::None && !matches!(op, CmpOp::Eq | CmpOp::Ne) => {
            Rule::FloatCmp(op)
        }
        (Some(Float), None) | (None, Some(Float)) if numbers => Rule::FloatCmp(op),
        (None | Some(Class::Int), None | Some(Class::Int)) if numbers => Rule::NumCmp(op),
        (Some(Class::Int), None) | (None, Some(Class::Int)) if hint == Hint::None && !matches!(op, CmpOp::Eq | CmpOp::Ne) => {
            Rule::NumCmp(op)
        }
        (Some(Class::Str), Some(Class::Str)) => Rule::StrCmp(op),
        _ => Rule::Generic,
    }
}

/// Calls of builtins whose meaning is known. The front end names a constant so only when it is that very object.
fn call(f: &Function, types: &[Option<Type>], d: &InstData) -> Rule {
    let constant = |v: Value| match f.inst(f.def_inst(v)?) {
        InstData { op: Op::ConstObj, imm: Imm::Const(c), .. } => {
            Some(&f.consts[c.index()]).filter(|c| c.class != Some(Class::Str))
        }
        _ => None,
    };
    let Some(callee) = constant(d.args[0]).filter(|_| matches!(d.imm, Imm::None)) else { return Rule::Generic };
    let constant = |v: Value| constant(v).map(|c| c.text.as_str());
    let name = callee.text.as_str();
    let is_method = match f.ty(d.args[1]) {
        Type::Null => false,
        Type::MaybeNull => return Rule::Generic,
        _ => true,
    };
    let args = &d.args[if is_method { 1 } else { 2 }..];
    let speculate = d.hint != Hint::Generic;
    if is_method
        && speculate
        && name == "dict.get"
        && matches!(args.len(), 2 | 3)
        && known_class(types, args[0]) == Some(Class::Dict)
    {
        return Rule::DictGetOr;
    }
    let classes: Vec<Option<Class>> = args.iter().map(|v| known_class(types, *v)).collect();
    let unguessable = args.iter().any(|v| matches!(types.get(v.index()).copied().flatten(), Some(Type::Heap(_))));
    if let Some(k) = crate::natives::find(name, &classes, is_method && speculate && !unguessable) {
        return Rule::Native(k);
    }
    match name {
        "builtins.sorted" => return Rule::ResultClass(Class::List),
        "list.index" | "list.count" | "tuple.index" | "tuple.count" => return Rule::ResultClass(Class::Int),
        _ => {}
    }
    if !is_method && matches!(name, "builtins.min" | "builtins.max") && (2..=EXTREME_OF).contains(&args.len()) {
        return match alike(d.hint, &classes) {
            Some(Class::Int) => Rule::IntExtreme(name == "builtins.max"),
            Some(Class::Float) => Rule::FloatExtreme(name == "builtins.max"),
            _ => Rule::Generic,
        };
    }
    if is_method || !matches!(d.args.len(), 3 | 4) {
        return Rule::Generic;
    }
    let arg = known_class(types, d.args[2]);
    if let [_, _, _, class] = d.args[..] {
        return match (name, arg, constant(class)) {
            ("builtins.isinstance", Some(c), _) if let Some(is) = is_instance_of_one(f, c, class) => Rule::IsInstance(is),
            ("builtins.isinstance", ..) if speculate && classes_of(f, class).is_some() => Rule::InstanceOf,
            _ => Rule::Generic,
        };
    }
    match (name, arg) {
        ("builtins.ord", Some(Class::Str)) => Rule::Ord,
        ("builtins.chr", Some(Class::Int)) => Rule::Chr,
        ("builtins.abs", Some(Class::Int)) => Rule::IntAbs,
        ("builtins.abs", Some(Class::Float)) => Rule::FloatAbs,
        // Only numbers have one; which, is a guess where nothing is known.
        ("math.sqrt", Some(Class::Float | Class::Int) | None) => Rule::FloatSqrt,
        ("builtins.round", Some(Class::Float)) => Rule::FloatRound,
        (name, Some(Class::Float | Class::Int) | None) if name.starts_with("math.") => {
            MathFn::ALL.iter().find(|m| m.text() == &name[5..]).map_or(Rule::Generic, |m| Rule::Math(*m))
        }
        ("builtins.float", Some(Class::Float | Class::Int | Class::Bool)) => Rule::ToFloat,
        ("builtins.int", Some(Class::Float)) => Rule::FloatToInt,
        ("builtins.int", Some(Class::Int | Class::Bool)) => Rule::BoolToInt,
        ("builtins.list", _) => Rule::ResultClass(Class::List),
        ("builtins.tuple", _) => Rule::ResultClass(Class::Tuple),
        ("builtins.range", Some(Class::Int)) => Rule::ResultClass(Class::Range),
        ("builtins.str", Some(Class::Int)) => Rule::StrOfInt(2),
        ("builtins.str", Some(Class::Str)) => Rule::StrItself(2),
        ("builtins.type", _) => Rule::TypeOf,
        _ => Rule::Generic,
    }
}

/// Of how many arguments `min` and `max` are computed in place.
const EXTREME_OF: usize = 4;

/// The class that all arguments have, where some of them may be guessed from the others, or all from the hint.
fn alike(hint: Hint, classes: &[Option<Class>]) -> Option<Class> {
    let likely = match (classes.iter().flatten().next(), hint) {
        (Some(Class::Int), Hint::Generic) => return None,
        (Some(c), _) => *c,
        (None, Hint::Class(c)) => c,
        _ => return None,
    };
    let fits = |c: &Option<Class>| c.map_or(hint != Hint::Generic, |c| c == likely);
    classes.iter().all(fits).then_some(likely)
}

/// The classes that a value names: a constant class, or a tuple of such that is made here. All are instances of `type`
/// itself.
pub(crate) fn classes_of(f: &Function, v: Value) -> Option<Vec<Value>> {
    let is_class = |v: Value| match f.def_inst(v).map(|i| f.inst(i)) {
        Some(InstData { op: Op::ConstObj, imm: Imm::Const(c), .. }) => f.consts[c.index()].class == Some(Class::Type),
        _ => false,
    };
    if is_class(v) {
        return Some(vec![v]);
    }
    match f.inst(f.def_inst(v)?) {
        InstData { op: Op::BuildTuple, args, .. } if args.iter().all(|v| is_class(*v)) => Some(args.clone()),
        _ => None,
    }
}

/// Whether exact instances of a class are instances of one of those that a value names, where all are known ones.
fn is_instance_of_one(f: &Function, of: Class, v: Value) -> Option<bool> {
    let name = |v: Value| match f.inst(f.def_inst(v)?).imm {
        Imm::Const(c) => Some(f.consts[c.index()].text.as_str()),
        _ => None,
    };
    let each: Option<Vec<bool>> = classes_of(f, v)?.into_iter().map(|v| is_instance(of, name(v)?)).collect();
    each.map(|is| is.contains(&true))
}

/// Whether exact instances of a class are instances of the built-in type of that name, if that is a known one.
fn is_instance(of: Class, name: &str) -> Option<bool> {
    let class = match name {
        "builtins.int" => Class::Int,
        "builtins.float" => Class::Float,
        "builtins.str" => Class::Str,
        "builtins.list" => Class::List,
        "builtins.tuple" => Class::Tuple,
        _ => return None,
    };
    Some(of == class || of == Class::Bool && class == Class::Int)
}

fn unary_rule(op: UnOp, class: Option<Class>) -> Rule {
    match (op, class) {
        (UnOp::Neg, Some(Class::Int)) => Rule::IntNeg,
        (UnOp::Neg, Some(Class::Float)) => Rule::FloatNeg,
        _ => Rule::Generic,
    }
}
