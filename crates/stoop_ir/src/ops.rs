//! The table of operations: one row an operation.
//!
//! Enum, printed name, arity, result, effects and reference behaviour all derive from [`ops!`].
//! A new operation touches this table, its lowering, its rule in the reference interpreter, and a test.

use crate::table::text_enum;

/// How many operands an operation takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arity {
    /// Exactly this many.
    N(u8),
    /// Any number (calls, displays).
    Any,
}

/// What an operation yields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ret {
    /// Nothing.
    Void,
    /// An unboxed integer.
    I64,
    /// An unboxed double.
    F64,
    /// An unboxed truth value.
    I1,
    /// A new reference, owned by the code that follows. Never NULL unless the result's type is `MaybeNull`.
    New,
    /// A reference owned by something else (a local's slot, a container, the constant table).
    Borrowed,
}

/// A set of abstract memory regions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mem(pub u16);

impl Mem {
    /// No memory.
    pub const NONE: Mem = Mem(0);
    /// The interpreter frame's slots.
    pub const FRAME: Mem = Mem(1);
    /// Lists: items and sizes.
    pub const LIST: Mem = Mem(2);
    /// Dictionaries and sets.
    pub const DICT: Mem = Mem(4);
    /// Instance attributes and slots.
    pub const ATTR: Mem = Mem(8);
    /// Cells.
    pub const CELL: Mem = Mem(16);
    /// Iterators' positions.
    pub const ITER: Mem = Mem(32);
    /// Values of float and int boxes (written only by in-place reuse of a unique box).
    pub const BOX: Mem = Mem(64);
    /// Reference counts.
    pub const REFS: Mem = Mem(128);
    /// Items of `array.array`. Whatever else comes to look into such memory directly must name it too.
    pub const ARRAY: Mem = Mem(256);
    /// Sizes and item addresses of `array.array`: only what runs Python code changes them.
    pub const ARRAY_SHAPE: Mem = Mem(512);
    /// Everything: what an operation that runs Python code may read and write.
    pub const ALL: Mem = Mem(0xffff);

    /// The union.
    pub const fn or(self, other: Mem) -> Mem {
        Mem(self.0 | other.0)
    }
    /// Whether the two sets share a region.
    pub const fn meets(self, other: Mem) -> bool {
        self.0 & other.0 != 0
    }
}

/// Properties of an operation beside its memory effects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flags(pub u16);

impl Flags {
    /// None.
    pub const NONE: Flags = Flags(0);
    /// May leave by a side exit; carries the frame state to resume at.
    pub const EXIT: Flags = Flags(1);
    /// May raise; carries the frame state of its instruction.
    pub const RAISE: Flags = Flags(2);
    /// May run Python code (implies reading and writing all memory).
    pub const PY: Flags = Flags(4);
    /// Ends a block.
    pub const TERM: Flags = Flags(8);
    /// May neither be removed when unused nor duplicated, whatever its effects say.
    pub const PINNED: Flags = Flags(16);

    /// The union.
    pub const fn or(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
    /// Whether all of `other` is in here.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

const PYF: Flags = Flags::PY.or(Flags::RAISE);
const G: Flags = Flags::EXIT;
const N: Flags = Flags::NONE;
const NO: Mem = Mem::NONE;
const ALL: Mem = Mem::ALL;
const REFS: Mem = Mem::REFS;
/// What looking into a dict or a set reads: an instance's dict is its attributes; a key may be a box.
const HASHED: Mem = Mem::DICT.or(Mem::ATTR).or(Mem::BOX);

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct OpInfo {
    /// The printed name.
    pub text: &'static str,
    /// The number of operands.
    pub arity: Arity,
    /// The result.
    pub ret: Ret,
    /// Memory that is read.
    pub reads: Mem,
    /// Memory that is written.
    pub writes: Mem,
    /// Other properties.
    pub flags: Flags,
    /// Bit i set: operand i's reference is taken over by the operation. `0xff`: all operands'.
    pub steals: u8,
    /// One line on what it does.
    pub doc: &'static str,
}

macro_rules! ops {
    ($($variant:ident $text:literal $arity:expr => $ret:ident, $reads:expr, $writes:expr, $flags:expr, $steals:literal, $doc:literal;)*) => {
        text_enum! {
            /// An operation of the IR. See [`Op::info`].
            pub enum Op { $(#[doc = $doc] $variant = $text,)* }
        }
        static INFO: &[OpInfo] = &[$(OpInfo {
            text: $text, arity: $arity, ret: Ret::$ret, reads: $reads, writes: $writes,
            flags: $flags, steals: $steals, doc: $doc,
        }),*];
    };
}

const fn n(k: u8) -> Arity {
    Arity::N(k)
}

ops! {
    // --- constants and entry values ------------------------------------------------------------
    ConstObj "const.obj" n(0) => Borrowed, NO, NO, N, 0, "A constant object (imm: const); the compiled code keeps it alive.";
    ConstInt "const.int" n(0) => I64, NO, NO, N, 0, "An integer (imm: int).";
    ConstFloat "const.float" n(0) => F64, NO, NO, N, 0, "A double (imm: float).";
    ConstBool "const.bool" n(0) => I1, NO, NO, N, 0, "A truth value (imm: int 0 or 1).";
    ConstNull "const.null" n(0) => Borrowed, NO, NO, N, 0, "The interpreter's NULL stack entry.";
    EntryLocal "entry.local" n(0) => Borrowed, Mem::FRAME, NO, Flags::PINNED, 0, "What local slot (imm: index) holds at entry; the slot owns it; NULL when unbound.";
    EntryStack "entry.stack" n(0) => New, Mem::FRAME, NO, Flags::PINNED, 0, "What stack slot (imm: index) holds at a loop entry; ownership moves to compiled code.";
    FrameGlobals "frame.globals" n(0) => Borrowed, NO, NO, N, 0, "The frame's globals dict.";
    FrameLocals "frame.locals" n(0) => Borrowed, NO, NO, N, 0, "The frame's f_locals mapping (module and class bodies); NULL in functions.";
    FrameFunction "frame.function" n(0) => Borrowed, NO, NO, N, 0, "The frame's function object (for its closure).";

    // --- frame slots, references, safe points -----------------------------------------------------
    StoreLocal "store.local" n(2) => Void, NO, Mem::FRAME.or(REFS), Flags::PINNED, 1, "(new, old) Put new into local slot (imm: index), taking its reference, and drop old, the slot's former value. Type of new may be null (del).";
    IncRef "incref" n(1) => Void, NO, REFS, Flags::PINNED, 0, "Take a reference.";
    DecRef "decref" n(1) => Void, NO, REFS, Flags::PINNED, 1, "Drop a reference; the last one destroys the object.";
    Check "check" n(0) => Void, ALL, NO, G.or(Flags::PINNED), 0, "After something that may have run Python: leave (state: after the instruction) if an assumption fell, a tool is watching, or somebody holds the frame.";
    CheckValid "check.valid" n(0) => Void, ALL, NO, G.or(Flags::PINNED), 0, "After a drop that may have run a finaliser: leave if an assumption fell. With an immediate of 1, only the instruction right before it may have.";
    CheckHandling "check.handling" n(0) => Void, ALL, NO, G.or(Flags::PINNED), 0, "As Check, while an exception is being handled that was raised in this frame: its traceback may hold the frame, as long as nobody asked for the locals.";
    Poll "poll" n(0) => Void, ALL, ALL, G.or(PYF).or(Flags::PINNED), 0, "At a back edge: serve the eval breaker (GIL requests, signals, pending calls), leaving if it needs the interpreter.";

    PollDue "poll.due" n(0) => I1, NO, NO, Flags::PINNED, 0, "Whether the eval breaker asks: a poll is then due.";

    // --- guards: leave by `state` unless the condition holds -----------------------------------
    GuardClass "guard.class" n(1) => Borrowed, NO, NO, G, 0, "Exact built-in class (result type); the result is the same reference, better typed.";
    GuardVersion "guard.version" n(1) => Borrowed, NO, NO, G, 0, "The object's type has this version tag (result type heap:N).";
    GuardClassVersion "guard.classversion" n(1) => Void, NO, NO, G, 0, "The operand, a class, has this version (imm: int).";
    GuardShapes "guard.shapes" Arity::Any => Void, NO, NO, G, 0, "(obj, version, keys, version, keys …) The object's type has one of these version tags, and (keys not 0) shared attribute keys of the version beside it with the object's attributes inline.";
    VersionIs "version.is" n(1) => I1, Mem::ATTR, NO, N, 0, "Whether the object's type has this version tag (imm: int).";
    VersionAssume "version.assume" n(1) => Borrowed, NO, NO, Flags::PINNED, 0, "The same reference, where a branch has just found out that its type has this version tag (result type heap:N).";
    GuardIs "guard.is" n(2) => Void, NO, NO, G, 0, "Both references are the same object.";
    GuardNotNull "guard.notnull" n(1) => Borrowed, NO, NO, G, 0, "Not NULL: the result is the same reference as obj.";
    GuardUnique "guard.unique" n(1) => Void, REFS, NO, G.or(Flags::PINNED), 0, "The object has one reference only: ours.";
    GuardTrue "guard.true" n(1) => Void, NO, NO, G, 0, "The truth value is true.";
    GuardFalse "guard.false" n(1) => Void, NO, NO, G, 0, "The truth value is false.";
    GuardKeys "guard.keys" n(1) => Void, Mem::ATTR, NO, G, 0, "The object's type has shared attribute keys of this version (imm: int), and the object's attributes are inline: it shadows no method.";
    GuardNoDict "guard.nodict" n(1) => Void, Mem::ATTR, NO, G, 0, "The object has no dict yet where its class has the place for one (imm: int, the byte offset).";
    GuardClassKeys "guard.classkeys" n(1) => Void, Mem::ATTR, NO, G, 0, "Instances of the operand, a class, have shared attribute keys of this version (imm: int).";
    GuardBuiltin "guard.builtin" n(1) => Void, NO, NO, G, 0, "The operand, an exact built-in, has this definition (imm: int, its address).";
    GuardDepth "guard.depth" n(1) => Void, NO, NO, G, 0, "(levels) So many more calls are within the recursion limit: those of the inlined function (imm: int, its code number) and of the ones it is inlined into.";
    GuardFuncVersion "guard.funcversion" n(1) => Void, NO, NO, G, 0, "The function's code object is (imm: const); the operand is an exact function.";

    // --- boxes ------------------------------------------------------------------------------------
    BoxInt "box.int" n(1) => New, NO, NO, N, 0, "A Python int.";
    BoxFloat "box.float" n(1) => New, NO, NO, N, 0, "A Python float.";
    BoxBool "box.bool" n(1) => Borrowed, NO, NO, N, 0, "True or False (immortal).";
    UnboxInt "unbox.int" n(1) => I64, NO, NO, G, 0, "The value of an exact int; leaves if it does not fit 64 bits.";
    BoxUInt "box.uint" n(1) => New, NO, NO, N, 0, "A Python int from 0 to 2**64 - 1, of these bits.";
    IntLow "int.low" n(1) => I64, Mem::BOX, NO, N, 0, "The low 64 bits of an exact int of any size, in two's complement.";
    UnboxFloat "unbox.float" n(1) => F64, Mem::BOX, NO, N, 0, "The value of an exact float.";
    NumBinary "num.binary" n(2) => New, Mem::BOX, NO, G, 0, "(a, b) a OP b (imm: binop) of exact ints of up to four digits and floats; leaves for anything else, and where Python raises or the result is wider.";
    NumCompare "num.compare" n(2) => I1, Mem::BOX, NO, G, 0, "(a, b) The truth of a OP b (imm: cmp) of exact ints and floats; leaves for anything else.";
    NumToFloat "num.tofloat" n(1) => F64, Mem::BOX, NO, G, 0, "The value of an exact float, or of an exact int of one digit; leaves otherwise.";
    UnboxBool "unbox.bool" n(1) => I1, NO, NO, N, 0, "The value of an exact bool.";

    // --- unboxed integers ---------------------------------------------------------------------------
    IntAdd "int.add" n(2) => I64, NO, NO, G, 0, "Sum; leaves on overflow.";
    IntSub "int.sub" n(2) => I64, NO, NO, G, 0, "Difference; leaves on overflow.";
    IntMul "int.mul" n(2) => I64, NO, NO, G, 0, "Product; leaves on overflow.";
    IntFloorDiv "int.floordiv" n(2) => I64, NO, NO, G, 0, "Floor quotient; leaves on a zero divisor or overflow.";
    IntMod "int.mod" n(2) => I64, NO, NO, G, 0, "Remainder with the divisor's sign; leaves on a zero divisor.";
    IntAnd "int.and" n(2) => I64, NO, NO, N, 0, "Bitwise and.";
    IntOr "int.or" n(2) => I64, NO, NO, N, 0, "Bitwise or.";
    IntXor "int.xor" n(2) => I64, NO, NO, N, 0, "Bitwise exclusive or.";
    IntShl "int.shl" n(2) => I64, NO, NO, G, 0, "Left shift; leaves when bits are lost or the count is negative or over 63.";
    IntShr "int.shr" n(2) => I64, NO, NO, G, 0, "Arithmetic right shift (counts over 63 act as 63); leaves when the count is negative.";
    IntPow "int.pow" n(2) => I64, NO, NO, G, 0, "Power; leaves on overflow or a negative exponent.";
    IntNeg "int.neg" n(1) => I64, NO, NO, G, 0, "Negation; leaves on overflow.";
    IntNot "int.not" n(1) => I64, NO, NO, N, 0, "Bitwise complement.";
    IntAbs "int.abs" n(1) => I64, NO, NO, G, 0, "Magnitude; leaves on overflow.";
    IntAdvance "int.advance" n(2) => I64, NO, NO, N, 0, "Sum modulo 2**64: a range's next value, of which nobody asks whether it is in the range.";
    IntMulWrap "int.mulwrap" n(2) => I64, NO, NO, N, 0, "Product modulo 2**64.";
    IntShrU "int.shru" n(2) => I64, NO, NO, N, 0, "Right shift of 64 bits without a sign; the count is from 0 to 63.";
    IntCmp "int.cmp" n(2) => I1, NO, NO, N, 0, "Signed comparison (imm: cmp).";
    IntSelect "int.select" n(3) => I64, NO, NO, N, 0, "(cond, x, y) x if the truth value is true, else y.";
    IntToFloat "int.tofloat" n(1) => F64, NO, NO, N, 0, "Nearest double, ties to even.";
    IntToFloatExact "int.tofloat.exact" n(1) => F64, NO, NO, G, 0, "The same value as a double; leaves beyond 2**53.";
    IntToBool "int.tobool" n(1) => I1, NO, NO, N, 0, "Not zero.";

    // --- unboxed floats -----------------------------------------------------------------------------
    FloatAdd "float.add" n(2) => F64, NO, NO, N, 0, "Sum.";
    FloatSub "float.sub" n(2) => F64, NO, NO, N, 0, "Difference.";
    FloatMul "float.mul" n(2) => F64, NO, NO, N, 0, "Product.";
    FloatDiv "float.div" n(2) => F64, NO, NO, G, 0, "Quotient; leaves on a zero divisor.";
    FloatFloorDiv "float.floordiv" n(2) => F64, NO, NO, G, 0, "Python's floor quotient; leaves on a zero divisor.";
    FloatMod "float.mod" n(2) => F64, NO, NO, G, 0, "Python's remainder; leaves on a zero divisor.";
    FloatPow "float.pow" n(2) => F64, NO, NO, G, 0, "Power with libm's bits; leaves where Python raises or yields a complex.";
    FloatNeg "float.neg" n(1) => F64, NO, NO, N, 0, "Negation.";
    FloatAbs "float.abs" n(1) => F64, NO, NO, N, 0, "Magnitude.";
    FloatSqrt "float.sqrt" n(1) => F64, NO, NO, G, 0, "Square root; leaves below zero.";
    FloatFn "float.fn" n(1) => F64, NO, NO, G, 0, "A function of `math` (imm: int, its place in the table): leaves where the result is not finite.";
    FloatRound "float.round" n(1) => F64, NO, NO, N, 0, "The nearest integral value, ties to even.";
    FloatSelect "float.select" n(3) => F64, NO, NO, N, 0, "(cond, x, y) x if the truth value is true, else y.";
    FloatCmp "float.cmp" n(2) => I1, NO, NO, N, 0, "Ordered comparison, IEEE rules (imm: cmp).";
    FloatToInt "float.toint" n(1) => I64, NO, NO, G, 0, "Truncation; leaves when not finite or beyond 64 bits.";
    FloatToBool "float.tobool" n(1) => I1, NO, NO, N, 0, "Not zero.";

    // --- truth values -------------------------------------------------------------------------------
    BoolNot "bool.not" n(1) => I1, NO, NO, N, 0, "Logical not.";
    BoolToInt "bool.toint" n(1) => I64, NO, NO, N, 0, "0 or 1.";
    ObjIs "obj.is" n(2) => I1, NO, NO, N, 0, "Identity of references (either may be NULL).";
    IsNull "obj.isnull" n(1) => I1, NO, NO, N, 0, "Whether the reference is NULL.";
    RefCast "ref.cast" n(1) => Borrowed, NO, NO, N, 0, "The same reference at another type that is known to hold.";

    // --- lists, tuples, iterators: direct memory ----------------------------------------------------
    ListLen "list.len" n(1) => I64, Mem::LIST, NO, N, 0, "Size of an exact list.";
    TupleLen "tuple.len" n(1) => I64, NO, NO, N, 0, "Size of an exact tuple or bytes.";
    StrLen "str.len" n(1) => I64, NO, NO, N, 0, "Length of an exact str in code points.";
    StrItem "str.item" n(2) => New, NO, NO, G, 0, "(str, position) The character there, as a str. Position is in range.";
    StrOrd "str.ord" n(1) => I64, NO, NO, G, 0, "The number of a str's only character; leaves if there is not just one.";
    StrChr "str.chr" n(1) => New, NO, NO, G, 0, "The character of that number, as a str; leaves if there is none.";
    StrCmp "str.cmp" n(2) => I1, NO, NO, N, 0, "Comparison of exact strs (imm: cmp).";
    StrIn "str.in" n(2) => I1, NO, NO, Flags::RAISE, 0, "(part, whole) Whether the one str is in the other.";
    StrAppend "str.append" n(2) => Borrowed, Mem::FRAME, Mem::FRAME.or(REFS).or(Mem::BOX), Flags::PINNED.or(Flags::RAISE), 0, "(str, more) slot += more, for the local slot (imm: index) that holds str, in place where the slot is its only owner: nobody else may use str afterwards. The result is what the slot holds then.";
    Concat "concat" n(2) => New, Mem::LIST, NO, Flags::RAISE, 0, "(a, b) a + b of two exact strs, bytes objects, tuples or lists.";
    StrOf "str.ofint" n(1) => New, NO, NO, Flags::RAISE, 0, "An int in decimal, as a str.";
    BytesItem "bytes.item" n(2) => I64, NO, NO, N, 0, "(bytes, position) The byte there. Position is in range.";
    Slice "slice" n(3) => New, NO, NO, Flags::RAISE, 0, "(str, bytes or tuple, start, stop) Those items; bounds as in a slice.";
    TypeOf "type.of" n(1) => Borrowed, Mem::ATTR, NO, N, 0, "An object's class.";
    Equal "equal" n(2) => I1, Mem::BOX, NO, G, 0, "Whether a == b (imm: cmp eq) or a != b (ne); leaves where that can't be told without Python code.";
    Truth "truth" n(1) => I1, ALL, NO, G, 0, "Whether an object counts as true; leaves where its class decides that in a way of its own.";
    IsInstance "isinstance" Arity::Any => I1, Mem::ATTR, NO, G, 0, "(obj, class…) Whether obj is an instance of one of the classes, all of them instances of `type` itself; leaves where that needs Python code.";
    DictFind "dict.find" n(2) => I64, HASHED, NO, G, 0, "(dict, key) Where the key's value lies, as long as the dict does not change; 0 if there is none; leaves if that can't be told without Python code.";
    DictFindTuple "dict.findtuple" Arity::Any => I64, HASHED, NO, G, 0, "(dict, item…) As dict.find, for a tuple of the items as key, which may be unboxed ints.";
    DictLoad "dict.load" n(2) => Borrowed, Mem::DICT.or(Mem::ATTR), NO, G, 0, "(dict, place) The value at a place that dict.find told; the dict owns it; leaves if that is 0.";
    DictTake "dict.take" n(3) => New, Mem::DICT.or(Mem::ATTR), NO, Flags::PINNED.or(Flags::RAISE), 0, "(dict, key, place) The value at a place that dict.find told; raises KeyError if that is 0.";
    DictOr "dict.or" n(3) => Borrowed, Mem::DICT.or(Mem::ATTR), NO, N, 0, "(dict, place, default) The value there, or the default if the place is 0, where NULL stands for None.";
    DictSet "dict.set" n(4) => Void, HASHED, HASHED.or(REFS), G.or(Flags::PINNED).or(Flags::RAISE), 0, "(dict, key, new, place) Set an item, dropping the former value; the place is what dict.find tells; leaves, having done nothing, where watchers are to be told.";
    SetAdd "set.add" n(2) => Void, HASHED, Mem::DICT, G.or(Flags::PINNED).or(Flags::RAISE), 0, "(set, item) Add; leaves, having done nothing, where that needs Python code.";
    Contains "contains" n(2) => I1, HASHED.or(Mem::LIST), NO, G, 0, "(item, container) Whether it is in the exact set, frozenset, list or tuple; leaves if that can't be told without Python code.";
    ItemsLen "items.len" n(1) => I64, Mem::DICT.or(Mem::ATTR), NO, N, 0, "How many items an exact dict, set or frozenset has.";
    MatchKind "match.kind" n(1) => I1, ALL, NO, N, 0, "Whether patterns take the object's type for a mapping or sequence (imm: int, the type flag).";
    Index "index" n(2) => I64, NO, NO, G, 0, "(i, len) The position i stands for (negative from the end); leaves when out of range.";
    ListItem "list.item" n(2) => Borrowed, Mem::LIST, NO, N, 0, "(list, position) The item; the list owns it. Position is in range.";
    ListData "list.data" n(1) => I64, Mem::LIST, NO, N, 0, "Address of a list's first item: good until something may resize it.";
    ListLoad "list.load" n(3) => Borrowed, Mem::LIST, NO, N, 0, "(list, position, data) As list.item, from the list's data.";
    ItemsData "items.data" n(1) => I64, Mem::LIST, NO, G, 0, "Address of the first item of an exact list or tuple that has (imm: int) items, for list.load; leaves for anything else.";
    TupleItem "tuple.item" n(2) => Borrowed, NO, NO, N, 0, "(tuple, position) The item; the tuple owns it. Position is in range.";
    ListSwap "list.swap" n(3) => New, NO, Mem::LIST, Flags::PINNED, 4, "(list, position, new) Put new in, taking its reference; yields the former item.";
    ListSetFloat "list.setfloat" n(3) => Void, Mem::LIST, Mem::LIST.or(Mem::BOX).or(REFS), Flags::PINNED, 0, "(list, position, f64) Store a float: overwrite a uniquely owned float box, else box, swap and drop the former item.";
    ListSetInt "list.setint" n(3) => Void, Mem::LIST, Mem::LIST.or(Mem::BOX).or(REFS), Flags::PINNED, 0, "(list, position, i64) Store an int the same way.";
    ListAppend "list.append" n(2) => Void, Mem::LIST, Mem::LIST, Flags::PINNED.or(Flags::RAISE), 2, "(list, new) Append, taking new's reference.";
    ListSlice "list.slice" n(3) => New, Mem::LIST, NO, Flags::RAISE, 0, "(list, start, stop) A list of those items; bounds as in a slice.";
    ListReversePrefix "list.reverseprefix" n(2) => Void, Mem::LIST, Mem::LIST, G.or(Flags::PINNED), 0, "(list, last) list[:last+1] = list[last::-1], in place; leaves unless last is a position.";
    ListPop "list.pop" n(2) => New, Mem::LIST, Mem::LIST, Flags::PINNED.or(Flags::RAISE), 0, "(list, position) Take the item out of the list. Position is in range.";
    ListInsert "list.insert" n(3) => Void, Mem::LIST, Mem::LIST, Flags::PINNED.or(Flags::RAISE), 4, "(list, place, new) Insert before the place, which counts as in a slice; takes new's reference.";
    ArrayLen "array.len" n(1) => I64, Mem::ARRAY_SHAPE, NO, N, 0, "Size of an exact array.array or bytearray.";
    ArrayData "array.data" n(1) => I64, Mem::ARRAY_SHAPE, NO, N, 0, "Address of the first item of an array.array or bytearray: good until something may resize it.";
    ArrayLoadInt "array.loadint" n(2) => I64, Mem::ARRAY, NO, N, 0, "(data, position) The item (imm: int, the typecode). Position is in range.";
    ArrayLoadFloat "array.loadfloat" n(2) => F64, Mem::ARRAY, NO, N, 0, "(data, position) The item (imm: int, the typecode). Position is in range.";
    ArrayStoreInt "array.storeint" n(3) => Void, NO, Mem::ARRAY, G.or(Flags::PINNED), 0, "(data, position, i64) Set the item (imm: int, the typecode); leaves when it does not fit.";
    ArrayStoreFloat "array.storefloat" n(3) => Void, NO, Mem::ARRAY, Flags::PINNED, 0, "(data, position, f64) Set the item (imm: int, the typecode).";
    RangeIterLen "rangeiter.len" n(1) => I64, Mem::ITER, NO, N, 0, "Values left.";
    RangeIterNext "rangeiter.next" n(1) => I64, Mem::ITER, Mem::ITER, Flags::PINNED, 0, "The next value; at least one is left. Advances the iterator.";
    RangeIterField "rangeiter.field" n(1) => I64, Mem::ITER, NO, N, 0, "The next value (imm: int 0), or the step (1).";
    RangeLen "range.len" n(3) => I64, NO, NO, G, 0, "(start, stop, step) How many values a range has; leaves when step is 0 or CPython's plain iterator could not count them.";
    VirtualRange "virtual.range" n(3) => Borrowed, NO, NO, N, 0, "(next, step, bound) No code: what an exit makes a range iterator from. Only frame states use it. imm: int; bit 0: bound is how many values are left, else where they stop (step is 1 or -1 then); bit 1: `next` was taken, one step further on is what comes next.";
    IterSequence "iter.sequence" n(1) => Borrowed, Mem::ITER, NO, G, 0, "What an exact list or tuple iterator goes over; leaves if it has come to the end.";
    IterIndex "iter.index" n(1) => I64, Mem::ITER, NO, N, 0, "The position of the next item of an exact list or tuple iterator.";
    VirtualIter "virtual.iter" Arity::Any => Borrowed, NO, NO, N, 0, "(index, list, tuple, str or bytes object …) No code: what an exit makes an iterator from that stands at the index. Only frame states use it; its reference stands for one of each sequence. imm: int; 0 over one sequence, 1 with numbers (enumerate), and 256 times the first of these, 2 over several at once (zip).";
    ListIterNext "listiter.next" n(1) => Borrowed, Mem::ITER.or(Mem::LIST), Mem::ITER, Flags::PINNED, 0, "The next item (the list owns it) or NULL at the end; advances, and at the end detaches the list.";
    TupleIterNext "tupleiter.next" n(1) => Borrowed, Mem::ITER, Mem::ITER, Flags::PINNED, 0, "The next item (the tuple owns it) or NULL at the end.";
    NewRangeIter "rangeiter.new" n(3) => New, NO, NO, G, 0, "(start, stop, step) A fresh range iterator over unboxed bounds; leaves when step is 0 or the length overflows.";

    BuiltinSelf "builtin.self" n(1) => Borrowed, NO, NO, N, 0, "What an exact built-in method is bound to.";

    // --- attributes, cells: direct memory -----------------------------------------------------------
    LoadField "field.load" n(1) => Borrowed, Mem::ATTR, NO, G, 0, "Inline attribute value (imm: index); leaves if the object has a materialised dict or the value is NULL.";
    LoadDictEntry "dictentry.load" n(2) => Borrowed, Mem::ATTR.or(Mem::DICT), NO, G, 0, "(obj, name) The value of the entry at this place (imm: index) of the object's dict; leaves unless there is a dict with a table of its own and that key there.";
    GuardNotInDict "guard.notindict" n(2) => Void, Mem::ATTR.or(Mem::DICT), NO, G, 0, "(obj, name) The object, whose class keeps attributes in a dict, has none of that name there.";
    SwapField "field.swap" n(2) => New, Mem::ATTR, Mem::ATTR, G.or(Flags::PINNED), 2, "(obj, new) Put new into inline value (imm: index), taking its reference; yields the former value (MaybeNull); leaves if the values are not inline, or if the slot is NULL and the object has a dict too.";
    SetFieldFloat "field.setfloat" n(2) => Void, Mem::ATTR, Mem::ATTR.or(Mem::BOX).or(REFS), G.or(Flags::PINNED), 0, "(obj, f64) Store a float into inline value (imm: index), overwriting a uniquely owned float box where there is one.";
    SetFieldInt "field.setint" n(2) => Void, Mem::ATTR, Mem::ATTR.or(Mem::BOX).or(REFS), G.or(Flags::PINNED), 0, "(obj, i64) Store an int the same way.";
    LoadSlot "slot.load" n(1) => Borrowed, Mem::ATTR, NO, G, 0, "The __slots__ member at byte offset (imm: int); leaves if unset.";
    SwapSlot "slot.swap" n(2) => New, Mem::ATTR, Mem::ATTR, Flags::PINNED, 2, "(obj, new) Put new into the member at byte offset (imm: int); yields the former value (MaybeNull).";
    SetSlotFloat "slot.setfloat" n(2) => Void, Mem::ATTR, Mem::ATTR.or(Mem::BOX).or(REFS), Flags::PINNED, 0, "(obj, f64) Store a float into the member at byte offset (imm: int), overwriting a uniquely owned float box where there is one.";
    SetSlotInt "slot.setint" n(2) => Void, Mem::ATTR, Mem::ATTR.or(Mem::BOX).or(REFS), Flags::PINNED, 0, "(obj, i64) Store an int the same way.";
    GlobalHome "global.home" n(0) => Borrowed, Mem::DICT, NO, G, 0, "Where a module's variable lives (imm: int, the address of its home): no object, but what slot operations at offset 0 take for one. Leaves if the name has no value.";
    InitField "field.init" n(2) => Void, NO, Mem::ATTR, Flags::PINNED, 2, "(obj, new) Put new into inline value (imm: index) of a fresh instance, taking its reference: the value was never set.";
    InitSlot "slot.init" n(2) => Void, NO, Mem::ATTR, Flags::PINNED, 2, "(obj, new) Put new into the member at byte offset (imm: int) of a fresh instance likewise.";
    NewObject "object.new" n(1) => New, NO, NO, Flags::RAISE, 0, "(class) A fresh instance of a class that makes its instances as `object` does and has this version (imm: int).";
    InitResult "init.result" n(1) => Void, NO, NO, Flags::RAISE.or(Flags::PINNED), 0, "What `__init__` returned: unless it is None, drops it and raises TypeError.";
    LoadCell "cell.load" n(1) => Borrowed, Mem::CELL, NO, G, 0, "A cell's content; leaves if empty.";
    SwapCell "cell.swap" n(2) => New, Mem::CELL, Mem::CELL, Flags::PINNED, 2, "(cell, new) Put new in, taking its reference; yields the former content (MaybeNull).";
    ClosureCell "closure.cell" n(0) => Borrowed, NO, NO, N, 0, "The cell (imm: index) of the frame's function's closure.";

    // --- anything: through the object's own protocols (may run Python, may raise) -------------------
    PyBinary "py.binary" n(2) => New, ALL, ALL, PYF, 0, "a OP b (imm: binop).";
    PyInplace "py.inplace" n(2) => New, ALL, ALL, PYF, 0, "a OP= b (imm: binop).";
    PyUnary "py.unary" n(1) => New, ALL, ALL, PYF, 0, "OP a (imm: unop).";
    PyCompare "py.compare" n(2) => New, ALL, ALL, PYF, 0, "a OP b (imm: cmp).";
    PyCompareBool "py.compare.bool" n(2) => I1, ALL, ALL, PYF, 0, "Truth of a OP b (imm: cmp).";
    PyToBool "py.tobool" n(1) => I1, ALL, ALL, PYF, 0, "Truth of an object.";
    PyContains "py.contains" n(2) => I1, ALL, ALL, PYF, 0, "(item, container) item in container.";
    PyGetItem "py.getitem" n(2) => New, ALL, ALL, PYF, 0, "(container, key) container[key].";
    PySetItem "py.setitem" n(3) => Void, ALL, ALL, PYF, 0, "(container, key, value) container[key] = value.";
    PyDelItem "py.delitem" n(2) => Void, ALL, ALL, PYF, 0, "(container, key) del container[key].";
    PyGetSlice "py.getslice" n(3) => New, ALL, ALL, PYF, 0, "(container, start, stop) container[start:stop].";
    PySetSlice "py.setslice" n(4) => Void, ALL, ALL, PYF, 0, "(container, start, stop, value) container[start:stop] = value.";
    PyLoadAttr "py.loadattr" n(1) => New, ALL, ALL, PYF, 0, "obj.name (imm: name).";
    PyGetAttrOr "py.getattror" n(3) => New, ALL, ALL, PYF, 0, "(obj, name, default) getattr(obj, name, default); the name is an interned str.";
    PyHasAttr "py.hasattr" n(2) => I1, ALL, ALL, PYF, 0, "(obj, name) hasattr(obj, name); the name is an interned str.";
    PyLoadMethod "py.loadmethod" n(1) => New, ALL, ALL, PYF, 0, "The unbound method if obj.name (imm: name) is one found on the type, else the bound attribute; see PyMethodSelf.";
    PyMethodSelf "py.methodself" n(2) => Borrowed, NO, NO, N, 0, "(method, obj) obj if the preceding PyLoadMethod found an unbound method, else NULL.";
    PyStoreAttr "py.storeattr" n(2) => Void, ALL, ALL, PYF, 0, "(obj, value) obj.name = value (imm: name).";
    PyDelAttr "py.delattr" n(1) => Void, ALL, ALL, PYF, 0, "del obj.name (imm: name).";
    PyLoadGlobal "py.loadglobal" n(0) => New, ALL, ALL, PYF, 0, "The global or builtin of that name (imm: name).";
    PyStoreGlobal "py.storeglobal" n(1) => Void, ALL, ALL, PYF, 0, "Set a global (imm: name).";
    PyDelGlobal "py.delglobal" n(0) => Void, ALL, ALL, PYF, 0, "Delete a global (imm: name).";
    PyLoadName "py.loadname" n(0) => New, ALL, ALL, PYF, 0, "f_locals, then globals, then builtins (imm: name).";
    PyStoreName "py.storename" n(1) => Void, ALL, ALL, PYF, 0, "Set in f_locals (imm: name).";
    PyCall "py.call" Arity::Any => New, ALL, ALL, PYF, 0, "(callable, self_or_null, args…) Call through vectorcall; imm: const holds the tuple of keyword names, if any.";
    NativeCall "native.call" Arity::Any => New, ALL, NO, Flags::RAISE.or(Flags::PINNED), 0, "(callable, self_or_null, args…) Call a constant built-in function, or method of an exact built-in class, that is known to run no Python code and to change nothing, given these arguments.";
    PyNewGenerator "py.newgenerator" Arity::Any => New, ALL, ALL, PYF, 0, "(function, args…) What a call of a generator's or coroutine's function, all of whose parameters are given, yields.";
    PyCallEx "py.callex" n(3) => New, ALL, ALL, PYF, 0, "(callable, tuple, dict_or_null) callable(*tuple, **dict).";
    PyGetIter "py.getiter" n(1) => New, ALL, ALL, PYF, 0, "iter(obj).";
    PyYieldFromIter "py.yieldfromiter" n(1) => New, ALL, ALL, PYF, 0, "What `yield from` sends to: a generator itself, else iter(obj). imm: int; 1 where that may be a coroutine.";
    PyAwaitable "py.awaitable" n(1) => New, ALL, ALL, PYF, 0, "What `await` sends to. imm: int, the argument of GET_AWAITABLE.";
    IterNext "iter.next" n(1) => New, ALL, NO, G.or(Flags::PINNED).or(Flags::RAISE), 0, "next(it), or NULL when exhausted (result maybe), of an iterator over a dict or set; leaves, having done nothing, for any other, and where the end of this one would be the end of what it iterates over.";
    PyIterNext "py.iternext" n(1) => New, ALL, ALL, PYF, 0, "next(it), or NULL when exhausted (result maybe).";
    PyUnpack "py.unpack" n(1) => New, ALL, ALL, PYF, 0, "A fresh tuple of exactly (imm: int) items; raises Python's ValueError/TypeError otherwise.";
    PyFormat "py.format" n(2) => New, ALL, ALL, PYF, 0, "(value, spec_or_null) format(value, spec).";
    PyConvert "py.convert" n(1) => New, ALL, ALL, PYF, 0, "str(), repr() or ascii() (imm: int 1, 2, 3).";
    PyUnpackEx "py.unpackex" n(1) => New, ALL, ALL, PYF, 0, "A fresh tuple: items, a list of those in the middle, items (imm: int, how many before it and 256 times how many after).";
    PyMatchClass "py.matchclass" n(3) => New, ALL, ALL, PYF, 0, "(subject, class, names) A class pattern (imm: int, how many positional parts it has): a tuple of the parts' subjects, or None.";
    PyMatchKeys "py.matchkeys" n(2) => New, ALL, ALL, PYF, 0, "(subject, keys) A mapping pattern: a tuple of the keys' values, or None.";
    PyBuildClass "py.buildclass" n(0) => New, ALL, ALL, PYF, 0, "The builtins' `__build_class__`.";
    PySuperAttr "py.superattr" n(3) => New, ALL, ALL, PYF, 0, "(super, class, obj) super(class, obj).name (imm: name).";
    PyEnter "py.enter" n(1) => New, ALL, ALL, PYF, 0, "Enter a context manager: a fresh tuple of its bound exit method and what entering yields.";
    PyRaise "py.raise" n(2) => Void, ALL, ALL, PYF, 0, "(exception, cause or NULL) raise exception from cause: always raises.";
    PyImport "py.import" n(2) => New, ALL, ALL, PYF, 0, "(level, fromlist) Import (imm: name).";
    PyImportFrom "py.importfrom" n(1) => New, ALL, ALL, PYF, 0, "from module import (imm: name).";
    BuildTuple "build.tuple" Arity::Any => New, NO, NO, Flags::RAISE, 0xff, "A tuple of the operands, taking their references.";
    VirtualTuple "virtual.tuple" Arity::Any => Borrowed, NO, NO, N, 0, "No code: what an exit makes a tuple of the operands from. Only frame states use it; each of its references stands for one of each operand.";
    VirtualObject "virtual.object" Arity::Any => Borrowed, NO, NO, N, 0, "(class, place, value, …) No code: what an exit makes an instance from, with these attributes: a place is the index of an inline value, or the offset of a member, negative. Only frame states use it; each of its references stands for one of each value.";
    BuildList "build.list" Arity::Any => New, NO, NO, Flags::RAISE, 0xff, "A list of the operands, taking their references (imm: int, room for so many items, where there are none).";
    BuildMap "build.map" Arity::Any => New, ALL, ALL, PYF, 0, "A dict of key, value, key, value …";
    BuildSet "build.set" Arity::Any => New, ALL, ALL, PYF, 0, "A set of the operands.";
    BuildString "build.string" Arity::Any => New, NO, NO, Flags::RAISE, 0, "Concatenation of exact strings.";
    BuildSlice "build.slice" Arity::Any => New, NO, NO, Flags::RAISE, 0, "(start, stop[, step]) A slice.";
    MakeCell "build.cell" n(1) => New, NO, NO, Flags::RAISE, 0, "(content, may be NULL) A new cell.";
    MakeFunction "build.function" n(1) => New, NO, NO, Flags::RAISE, 0, "(code) A function over the frame's globals.";
    SetFunctionAttr "function.setattr" n(2) => Void, NO, NO, Flags::PINNED, 2, "(function, value) Set defaults, kwdefaults, annotations or closure (imm: int 1, 2, 4, 8) of a fresh function.";
    PyListExtend "py.listextend" n(2) => Void, ALL, ALL, PYF, 0, "(list, iterable) Extend a list.";
    PySetAdd "py.setadd" n(2) => Void, ALL, ALL, PYF, 0, "(set, item) Add.";
    PySetUpdate "py.setupdate" n(2) => Void, ALL, ALL, PYF, 0, "(set, iterable) Update.";
    PyMapAdd "py.mapadd" n(3) => Void, ALL, ALL, PYF, 0, "(dict, key, value) Set an item.";
    PyDictUpdate "py.dictupdate" n(2) => Void, ALL, ALL, PYF, 0, "(dict, mapping) Update; raises TypeError when not a mapping.";
    PyDictMerge "py.dictmerge" n(3) => Void, ALL, ALL, PYF, 0, "(dict, mapping, callable) Add keyword arguments for the callable, which errors name; raises on a keyword given twice.";
    PyListToTuple "list.totuple" n(1) => New, Mem::LIST, NO, Flags::RAISE, 0, "A tuple of a list's items.";
    PyLen "py.len" n(1) => I64, ALL, ALL, PYF, 0, "len(obj).";

    // --- exceptions ---------------------------------------------------------------------------------
    Caught "caught" n(0) => I1, ALL, NO, Flags::PINNED, 0, "Whether the operation just before raised; false if it can't. Right before the branch on it; the operation's result is not used where it did.";
    Land "exc.land" n(0) => New, ALL, ALL, Flags::PINNED, 0, "Where a raise was caught: take the exception, with a traceback entry for this frame (imm: int, how many are being handled already).";
    PushHandled "exc.push" n(1) => New, ALL, ALL, Flags::PINNED, 0, "Handling of the exception begins; yields the one handled before, or None.";
    PopHandled "exc.pop" n(1) => Void, ALL, ALL, PYF, 1, "Handling ends; the operand is handled again.";
    ForgetFrame "exc.forget" n(0) => Void, NO, NO, Flags::PINNED, 0, "Handling is over: let the frame's object go if nobody else has it.";
    ExcMatches "exc.matches" n(2) => I1, ALL, NO, Flags::RAISE, 0, "(exception, class or tuple) Whether a handler for it is in charge.";

    // --- control ------------------------------------------------------------------------------------
    Jump "jump" n(0) => Void, NO, NO, Flags::TERM, 0, "Go on at the target.";
    Branch "branch" n(1) => Void, NO, NO, Flags::TERM, 0, "First target if the truth value is true, else the second.";
    Return "return" n(1) => Void, Mem::FRAME, Mem::FRAME, Flags::TERM, 1, "Leave the function with this result, giving its reference away.";
    Yield "yield" Arity::Any => Void, ALL, ALL, G.or(Flags::TERM), 0xff, "(value, operand …) Suspend the generator with its operand stack; it goes on at the state's unit, whose locals its frame has then. imm: int; 1 where the value is not yielded but sent to the last operand, at the SEND there.";
    Exit "exit" n(0) => Void, ALL, ALL, G.or(Flags::TERM), 0, "Always go on in the interpreter at the state (imm: name tells why).";
}

impl Op {
    /// The operation's row.
    pub fn info(self) -> &'static OpInfo {
        &INFO[self as usize]
    }
    /// Whether the operation has a property.
    pub fn is(self, f: Flags) -> bool {
        self.info().flags.has(f)
    }
    /// Whether the operation must carry a frame state.
    pub fn needs_state(self) -> bool {
        self.is(Flags::EXIT) || self.is(Flags::RAISE)
    }
    /// Whether operand `i`'s reference is taken over.
    pub fn steals(self, i: usize) -> bool {
        let s = self.info().steals;
        s == 0xff || (i < 8 && s & (1 << i) != 0)
    }
    /// Whether an unused result makes the operation removable.
    pub fn is_removable(self) -> bool {
        let i = self.info();
        i.writes == Mem::NONE && !i.flags.has(Flags::PINNED) && !i.flags.has(Flags::TERM) && !i.flags.has(Flags::PY)
    }
}

text_enum! {
    /// A binary operator.
    pub enum BinOp {
        /// `+`
        Add = "add",
        /// `-`
        Sub = "sub",
        /// `*`
        Mul = "mul",
        /// `/`
        TrueDiv = "truediv",
        /// `//`
        FloorDiv = "floordiv",
        /// `%`
        Mod = "mod",
        /// `**`
        Pow = "pow",
        /// `&`
        And = "and",
        /// `|`
        Or = "or",
        /// `^`
        Xor = "xor",
        /// `<<`
        Shl = "shl",
        /// `>>`
        Shr = "shr",
        /// `@`
        MatMul = "matmul",
    }
}

text_enum! {
    /// A unary operator.
    pub enum UnOp {
        /// `-`
        Neg = "neg",
        /// `+`
        Pos = "pos",
        /// `~`
        Invert = "invert",
        /// `not`
        Not = "not",
    }
}

text_enum! {
    /// A function of one double, with the bits that libm gives.
    pub enum MathFn {
        /// `math.sin`
        Sin = "sin",
        /// `math.cos`
        Cos = "cos",
        /// `math.tan`
        Tan = "tan",
        /// `math.asin`
        Asin = "asin",
        /// `math.acos`
        Acos = "acos",
        /// `math.atan`
        Atan = "atan",
        /// `math.sinh`
        Sinh = "sinh",
        /// `math.cosh`
        Cosh = "cosh",
        /// `math.tanh`
        Tanh = "tanh",
        /// `math.exp`
        Exp = "exp",
        /// `math.log` of one argument
        Log = "log",
        /// `math.log2`
        Log2 = "log2",
        /// `math.log10`
        Log10 = "log10",
    }
}

text_enum! {
    /// A comparison, in the order of CPython's `Py_LT` … `Py_GE`.
    pub enum CmpOp {
        /// `<`
        Lt = "lt",
        /// `<=`
        Le = "le",
        /// `==`
        Eq = "eq",
        /// `!=`
        Ne = "ne",
        /// `>`
        Gt = "gt",
        /// `>=`
        Ge = "ge",
    }
}

impl CmpOp {
    /// Whether it holds (IEEE rules for doubles).
    pub fn holds<T: PartialOrd>(self, a: &T, b: &T) -> bool {
        match self {
            CmpOp::Lt => a < b,
            CmpOp::Le => a <= b,
            CmpOp::Eq => a == b,
            CmpOp::Ne => a != b,
            CmpOp::Gt => a > b,
            CmpOp::Ge => a >= b,
        }
    }
}
