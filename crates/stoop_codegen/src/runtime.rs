//! The table of runtime helpers: functions of the engine that compiled code calls.
//!
//! One row a helper: name and machine signature. Implementations live in the engine, which hands this
//! crate their addresses. Conventions:
//!
//! - `R` results: a new reference, NULL with an exception set on error (`IterNext`: 0 at the end, 1 on error).
//! - `I` results: 32-bit; negative with an exception set on error, else 0/1.
//! - `L` results: 64-bit; -1 with an exception set on error.
//! - Reference operands are borrowed unless the row's comment says "steals".
//! - Operands that are variadic come as pointer to an array, then count.
//! - `P` is a raw pointer (frame, thread state, array, slot), `R` a reference.

/// A machine-level parameter or result type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum M {
    /// No result.
    V,
    /// A reference to a Python object, or NULL.
    R,
    /// A raw pointer.
    P,
    /// A 32-bit integer.
    I,
    /// A 64-bit integer.
    L,
    /// A double.
    D,
}

macro_rules! helpers {
    ($($(#[$doc:meta])* $name:ident ($($p:ident)*) -> $r:ident;)*) => {
        /// A runtime helper.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Helper { $($(#[$doc])* $name,)* }
        impl Helper {
            /// Every helper, in table order.
            pub const ALL: &'static [Helper] = &[$(Helper::$name),*];
            /// Parameter types.
            pub fn params(self) -> &'static [M] { match self { $(Helper::$name => &[$(M::$p),*],)* } }
            /// Result type.
            pub fn result(self) -> M { match self { $(Helper::$name => M::$r,)* } }
            /// The name.
            pub fn name(self) -> &'static str { match self { $(Helper::$name => stringify!($name),)* } }
        }
    };
}

helpers! {
    /// (tstate, frame, values, record, exit index) Leave: rebuild the frame from the exit buffer and go on in
    /// the interpreter. The result is what compiled code must return at once.
    SideExit(P P P P I) -> R;
    /// (tstate, frame, values, record, exit index) As SideExit, but with an exception set at the state's instruction.
    RaiseExit(P P P P I) -> R;
    /// (tstate, frame) Serve the eval breaker: 0 go on, 1 leave (the interpreter must serve it), -1 exception set.
    Poll(P P) -> I;
    /// (tstate, frame, record) A safe point found something changed: whether compiled code must leave.
    Recheck(P P P) -> I;
    /// (tstate, frame) The first of the inlined functions' frames that stand above the frame.
    FirstInlined(P P) -> P;
    /// (tstate, bytes) Room for inlined functions' frames in a new chunk of the data stack.
    RoomForInlined(P L) -> P;
    /// (tstate, frame) Somebody may have looked at a frame of inlined functions, or it is the first one in its chunk:
    /// end those above the frame, unless somebody has them still.
    PopInlined(P P) -> V;
    /// (slot, value) Make a frame slot hold this int, reusing its box where uniquely owned.
    SyncInt(P L) -> V;
    /// (slot, value) Make a frame slot hold this float, reusing its box where uniquely owned.
    SyncFloat(P D) -> V;
    /// (slot, reference) Make a frame slot hold this object (takes its own reference), dropping the former value.
    SyncRef(P R) -> V;
    /// (home) Where the variable's value is; NULL if it has none.
    FindHome(P) -> P;
    /// (home) The same; the variable gets a value if it has none.
    MakeHome(P) -> P;
    /// (object) Destroy an object whose reference count has reached zero.
    Dealloc(R) -> V;
    /// (tstate) Enter the generators that wait for the running one: somebody may look.
    Reveal(P) -> V;
    /// (function, arguments, how many) Call a generator's or coroutine's function, all of whose parameters are given.
    PyNewGenerator(R P L) -> R;
    /// (object, whether it may be a coroutine) What `yield from` sends to.
    PyYieldFromIter(R L) -> R;
    /// (object, the argument of GET_AWAITABLE) What `await` sends to.
    PyAwaitable(R L) -> R;
    /// (object) The same; 1 if that may have run any code, 0 if it has certainly not.
    DeallocTold(R) -> I;
    /// Box an int.
    BoxInt(L) -> R;
    /// (bits) Box an int from 0 to 2**64 - 1.
    BoxUInt(L) -> R;
    /// (int object) The low 64 bits of an int that is not compact.
    IntLow(R) -> L;
    /// Box a float.
    BoxFloat(D) -> R;
    /// (int object, out) Unbox a non-compact int into *out: 1 if it fits 64 bits, else 0.
    UnboxInt(R P) -> I;
    /// (base, exponent, out) 1 and *out, or 0 on overflow or a negative exponent.
    IntPow(L L P) -> I;
    /// Python's float floor division; the divisor is not zero.
    FloatFloorDiv(D D) -> D;
    /// Python's float remainder; the divisor is not zero.
    FloatMod(D D) -> D;
    /// (base, exponent, out) 1 and *out, or 0 where Python raises or yields a complex.
    FloatPow(D D P) -> I;
    /// (op, a, b) of exact ints and floats; NULL without an exception where it leaves.
    NumBinary(I R R) -> R;
    /// (op, a, b) likewise: 0, 1, or -1 where it leaves.
    NumCompare(I R R) -> I;
    /// `math.sin`, as libm has it; the others likewise.
    MathSin(D) -> D;
    /// See above.
    MathCos(D) -> D;
    /// See above.
    MathTan(D) -> D;
    /// See above.
    MathAsin(D) -> D;
    /// See above.
    MathAcos(D) -> D;
    /// See above.
    MathAtan(D) -> D;
    /// See above.
    MathSinh(D) -> D;
    /// See above.
    MathCosh(D) -> D;
    /// See above.
    MathTanh(D) -> D;
    /// See above.
    MathExp(D) -> D;
    /// See above.
    MathLog(D) -> D;
    /// See above.
    MathLog2(D) -> D;
    /// See above.
    MathLog10(D) -> D;
    /// (list, position, value) In-place reuse failed: box, swap, drop the former item.
    ListSetFloat(R L D) -> V;
    /// (list, position, value) The same for ints.
    ListSetInt(R L L) -> V;
    /// (list, item) Append; steals item on success. 0 or -1.
    ListAppend(R R) -> I;
    /// (list, position) Take an item out; the position is in range.
    ListPop(R L) -> R;
    /// (list, place, item) Insert; steals item on success. 0 or -1.
    ListInsert(R L R) -> I;
    /// (list, start, stop) The items between; bounds as in a slice.
    ListSlice(R L L) -> R;
    /// (slot in the object, value) In-place reuse failed: box, swap, drop the former value.
    SlotSetFloat(P D) -> V;
    /// (slot in the object, value) The same for ints.
    SlotSetInt(P L) -> V;
    /// (class) A fresh instance, as `object` makes them.
    NewObject(R) -> R;
    /// (what `__init__` returned) Raises the TypeError for it.
    InitResult(R) -> V;
    /// (start, stop, step) A fresh range iterator; NULL without exception when it can't be made here.
    NewRangeIter(L L L) -> R;
    /// (start, stop, step) How many values a range has; -1 when its iterator can't be made here.
    RangeLen(L L L) -> L;
    /// (op, a, b) op is BinOp's table position.
    PyBinary(I R R) -> R;
    /// (op, a, b)
    PyInplace(I R R) -> R;
    /// (op, a) op is UnOp's table position.
    PyUnary(I R) -> R;
    /// (op, a, b) op is CmpOp's table position, which is Py_LT … Py_GE.
    PyCompare(I R R) -> R;
    /// (op, a, b)
    PyCompareBool(I R R) -> I;
    /// Truth.
    PyToBool(R) -> I;
    /// (item, container)
    PyContains(R R) -> I;
    /// (container, key)
    PyGetItem(R R) -> R;
    /// (container, key, value)
    PySetItem(R R R) -> I;
    /// (container, key)
    PyDelItem(R R) -> I;
    /// (container, start, stop)
    PyGetSlice(R R R) -> R;
    /// (container, start, stop, value)
    PySetSlice(R R R R) -> I;
    /// (object, name object)
    PyLoadAttr(R R) -> R;
    /// (object, interned name, default)
    PyGetAttrOr(R R R) -> R;
    /// (object, interned name)
    PyHasAttr(R R) -> I;
    /// (object, name object) see the op.
    PyLoadMethod(R R P) -> R;
    /// (object, name object) Whether an object with a dict of its own has nothing of that name there. Runs no Python code.
    NotInDict(R R) -> I;
    /// (object, name object, value)
    PyStoreAttr(R R R) -> I;
    /// (object, name object)
    PyDelAttr(R R) -> I;
    /// (frame, name object)
    PyLoadGlobal(P R) -> R;
    /// (frame, name object, value)
    PyStoreGlobal(P R R) -> I;
    /// (frame, name object)
    PyDelGlobal(P R) -> I;
    /// (frame, name object)
    PyLoadName(P R) -> R;
    /// (frame, name object, value)
    PyStoreName(P R R) -> I;
    /// (callable, arguments with one free place before, count, keyword names or NULL). Where self was NULL,
    /// the array starts at the first real argument.
    PyCall(R P L R) -> R;
    /// (callable, tuple, dict or NULL)
    PyCallEx(R R R) -> R;
    /// iter(obj)
    PyGetIter(R) -> R;
    /// (tstate, iterator) 0 at the end, 1 on error.
    PyIterNext(P R) -> R;
    /// (iterator) The same; 2 where compiled code must leave.
    IterNext(R) -> R;
    /// (sequence, count) A fresh tuple of exactly count items.
    PyUnpack(R L) -> R;
    /// (value, spec or NULL)
    PyFormat(R R) -> R;
    /// (kind 1 str, 2 repr, 3 ascii; value)
    PyConvert(I R) -> R;
    /// (tstate, frame, how many are being handled) Take the exception that is set, with a traceback entry for the frame.
    Land(P P I) -> R;
    /// (tstate, exception) Begin to handle it; what was handled before, or None.
    PushHandled(P R) -> R;
    /// (tstate, frame, previous) End it; steals previous.
    PopHandled(P P R) -> V;
    /// (frame) Let its object go if nobody else has it.
    ForgetFrame(P) -> V;
    /// (exception, class or tuple)
    ExcMatches(R R) -> I;
    /// (frame) Whether somebody may have written the locals since an exception was caught.
    IsHeld(P) -> I;
    /// (frame) Whether somebody may have written the locals, while compiled code had them in their slots.
    MayBeWritten(P) -> I;
    /// (sequence, before | after << 8) A fresh tuple of before + 1 + after items.
    PyUnpackEx(R L) -> R;
    /// (super, class, object, name object)
    PySuperAttr(R R R R) -> R;
    /// (context manager) A fresh tuple of its bound exit method and what entering yields.
    PyEnter(R) -> R;
    /// (exception, cause or NULL) Always raises: -1.
    PyRaise(R R) -> I;
    /// (str, position) The character there; NULL without exception if it can't be made.
    StrItem(R L) -> R;
    /// The number of a str's only character; -1 if there is not just one.
    StrOrd(R) -> L;
    /// The character of a number; NULL without exception if there is none.
    StrChr(L) -> R;
    /// Whether two strs are equal.
    StrEqual(R R) -> I;
    /// -1, 0 or 1: how two strs are ordered.
    StrOrder(R R) -> I;
    /// (part, whole)
    StrIn(R R) -> I;
    /// (a, b) of two strs, bytes objects, tuples or lists.
    Concat(R R) -> R;
    /// (a, b) 0 or 1; -1 without exception where that can't be told without Python code.
    Equal(R R) -> I;
    /// 0 or 1; -1 without exception where the object's class decides in a way of its own.
    Truth(R) -> I;
    /// An int in decimal.
    StrOf(L) -> R;
    /// (str, bytes or tuple, start, stop) The items between; bounds as in a slice.
    Slice(R L L) -> R;
    /// (object, class) 0 or 1; -1 without exception where that needs Python code.
    IsInstance(R R) -> I;
    /// (dict, key) Where its value lies; 0 if there is none, 1 where that needs Python code.
    DictFind(R R) -> L;
    /// (dict, items, how many and, from bit 8 on, which of them are unboxed ints) As DictFind.
    DictFindTuple(R P L) -> L;
    /// (key) Sets the KeyError for it.
    NoKey(R) -> V;
    /// (dict, key, value, place) The former value, a reference to be dropped, or 0 if there was none; -1 with an exception
    /// set; 1, with nothing done, where that needs Python code.
    DictSet(R R R L) -> L;
    /// (set, item) 0 or -1; 1, with nothing done, where that needs Python code.
    SetAdd(R R) -> I;
    /// (item, set, list or tuple) 0 or 1; -1 without exception where that needs Python code.
    Contains(R R) -> I;
    /// (dict, set or frozenset)
    ItemsLen(R) -> L;
    /// (callable, arguments with one free place before, count) Call something that runs no Python code.
    NativeCall(R P L) -> R;
    /// (result of a call of a C function) Serves the eval breaker; gives the result back, or NULL with an exception set.
    AfterCall(R) -> R;
    /// (slot, more) Append to the string in a frame slot. 0, or -1 with the slot empty.
    StrAppend(P R) -> I;
    /// (object, type flag) Whether the object's type has the flag.
    MatchKind(R L) -> I;
    /// (subject, class, positional parts, names) The parts' subjects, or None.
    MatchClass(R R L R) -> R;
    /// (subject, keys) Their values, or None.
    MatchKeys(R R) -> R;
    /// (frame) The builtins' `__build_class__`.
    LoadBuildClass(P) -> R;
    /// (dict, mapping, callable)
    PyDictMerge(R R R) -> I;
    /// (frame, name object, level, fromlist)
    PyImport(P R R R) -> R;
    /// (module, name object)
    PyImportFrom(R R) -> R;
    /// (array, count) steals the items.
    BuildTuple(P L) -> R;
    /// (array, count) steals the items.
    BuildList(P L) -> R;
    /// (array of key, value …, count of both together)
    BuildMap(P L) -> R;
    /// (array, count)
    BuildSet(P L) -> R;
    /// (array, count)
    BuildString(P L) -> R;
    /// (array of 2 or 3, count)
    BuildSlice(P L) -> R;
    /// (content or NULL)
    MakeCell(R) -> R;
    /// (frame, code)
    MakeFunction(P R) -> R;
    /// (function, which 1/2/4/8, value) steals value.
    SetFunctionAttr(R I R) -> V;
    /// (list, iterable)
    PyListExtend(R R) -> I;
    /// (set, item)
    PySetAdd(R R) -> I;
    /// (set, iterable)
    PySetUpdate(R R) -> I;
    /// (dict, key, value)
    PyMapAdd(R R R) -> I;
    /// (dict, mapping)
    PyDictUpdate(R R) -> I;
    /// (list)
    PyListToTuple(R) -> R;
    /// len(obj); -1 on error.
    PyLen(R) -> L;
}
