//! The version-neutral instruction set, and the shape of a version's opcode table.
//!
//! The numbers of each version are in `v3_NN/opcodes.rs`. What differs between versions is normalised by
//! [`crate::decode`]; the few differences that the stack shows are in [`Quirks`].

macro_rules! opcodes {
    ($($name:ident $text:literal $doc:literal;)*) => {
        /// A version-neutral instruction.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum Opcode { $(#[doc = $doc] $name,)* }
        impl Opcode {
            /// Every opcode.
            pub const ALL: &'static [Opcode] = &[$(Opcode::$name),*];
            /// CPython's name of the opcode.
            pub fn name(self) -> &'static str { match self { $(Opcode::$name => $text,)* } }
        }
    };
}

opcodes! {
    BeforeAsyncWith "BEFORE_ASYNC_WITH" "CPython's BEFORE_ASYNC_WITH.";
    BeforeWith "BEFORE_WITH" "CPython's BEFORE_WITH.";
    BinaryOp "BINARY_OP" "`arg`: 0..12 in the order + & // << @ * % | ** >> - / ^; `flag`: in place.";
    BinarySlice "BINARY_SLICE" "CPython's BINARY_SLICE.";
    BinarySubscr "BINARY_SUBSCR" "CPython's BINARY_SUBSCR.";
    BuildConstKeyMap "BUILD_CONST_KEY_MAP" "CPython's BUILD_CONST_KEY_MAP.";
    BuildList "BUILD_LIST" "CPython's BUILD_LIST.";
    BuildMap "BUILD_MAP" "CPython's BUILD_MAP.";
    BuildSet "BUILD_SET" "CPython's BUILD_SET.";
    BuildSlice "BUILD_SLICE" "CPython's BUILD_SLICE.";
    BuildString "BUILD_STRING" "CPython's BUILD_STRING.";
    BuildTuple "BUILD_TUPLE" "CPython's BUILD_TUPLE.";
    Call "CALL" "`arg`: arguments without self; `kwnames`: constant index of the keyword names (3.12).";
    CallFunctionEx "CALL_FUNCTION_EX" "`flag`: a dict of keywords is on the stack's top.";
    CallIntrinsic1 "CALL_INTRINSIC_1" "CPython's CALL_INTRINSIC_1.";
    CallIntrinsic2 "CALL_INTRINSIC_2" "CPython's CALL_INTRINSIC_2.";
    CallKw "CALL_KW" "`arg`: arguments without self; the names are on the stack's top (3.13).";
    CheckEgMatch "CHECK_EG_MATCH" "CPython's CHECK_EG_MATCH.";
    CheckExcMatch "CHECK_EXC_MATCH" "CPython's CHECK_EXC_MATCH.";
    CleanupThrow "CLEANUP_THROW" "CPython's CLEANUP_THROW.";
    CompareOp "COMPARE_OP" "`arg`: 0..5 for < <= == != > >=; `flag`: the result is turned into a bool (3.13).";
    ContainsOp "CONTAINS_OP" "`flag`: negated.";
    ConvertValue "CONVERT_VALUE" "`arg`: 1 str, 2 repr, 3 ascii.";
    Copy "COPY" "CPython's COPY.";
    CopyFreeVars "COPY_FREE_VARS" "CPython's COPY_FREE_VARS.";
    DeleteAttr "DELETE_ATTR" "CPython's DELETE_ATTR.";
    DeleteDeref "DELETE_DEREF" "CPython's DELETE_DEREF.";
    DeleteFast "DELETE_FAST" "CPython's DELETE_FAST.";
    DeleteGlobal "DELETE_GLOBAL" "CPython's DELETE_GLOBAL.";
    DeleteName "DELETE_NAME" "CPython's DELETE_NAME.";
    DeleteSubscr "DELETE_SUBSCR" "CPython's DELETE_SUBSCR.";
    DictMerge "DICT_MERGE" "CPython's DICT_MERGE.";
    DictUpdate "DICT_UPDATE" "CPython's DICT_UPDATE.";
    EndAsyncFor "END_ASYNC_FOR" "CPython's END_ASYNC_FOR.";
    EndFor "END_FOR" "Never reached by the normalised [`Opcode::ForIter`].";
    EndSend "END_SEND" "CPython's END_SEND.";
    EnterExecutor "ENTER_EXECUTOR" "CPython's ENTER_EXECUTOR.";
    ExitInitCheck "EXIT_INIT_CHECK" "CPython's EXIT_INIT_CHECK.";
    FormatValue "FORMAT_VALUE" "`arg`: conversion before (0 none, 1 str, 2 repr, 3 ascii); `flag`: the spec is on the stack's top.";
    ForIter "FOR_ITER" "`target`: where the loop is left with the iterator popped, past END_FOR (and 3.13's POP_TOP).";
    GetAiter "GET_AITER" "CPython's GET_AITER.";
    GetAnext "GET_ANEXT" "CPython's GET_ANEXT.";
    GetAwaitable "GET_AWAITABLE" "CPython's GET_AWAITABLE.";
    GetIter "GET_ITER" "CPython's GET_ITER.";
    GetLen "GET_LEN" "CPython's GET_LEN.";
    GetYieldFromIter "GET_YIELD_FROM_ITER" "CPython's GET_YIELD_FROM_ITER.";
    ImportFrom "IMPORT_FROM" "CPython's IMPORT_FROM.";
    ImportName "IMPORT_NAME" "CPython's IMPORT_NAME.";
    InterpreterExit "INTERPRETER_EXIT" "CPython's INTERPRETER_EXIT.";
    IsOp "IS_OP" "`flag`: negated.";
    JumpBackward "JUMP_BACKWARD" "CPython's JUMP_BACKWARD.";
    JumpBackwardNoInterrupt "JUMP_BACKWARD_NO_INTERRUPT" "CPython's JUMP_BACKWARD_NO_INTERRUPT.";
    JumpForward "JUMP_FORWARD" "CPython's JUMP_FORWARD.";
    ListAppend "LIST_APPEND" "CPython's LIST_APPEND.";
    ListExtend "LIST_EXTEND" "CPython's LIST_EXTEND.";
    LoadAssertionError "LOAD_ASSERTION_ERROR" "CPython's LOAD_ASSERTION_ERROR.";
    LoadAttr "LOAD_ATTR" "`arg`: name; `flag`: method form, pushes two (see [`Quirks::null_below_callable`]).";
    LoadBuildClass "LOAD_BUILD_CLASS" "CPython's LOAD_BUILD_CLASS.";
    LoadConst "LOAD_CONST" "CPython's LOAD_CONST.";
    LoadDeref "LOAD_DEREF" "CPython's LOAD_DEREF.";
    LoadFast "LOAD_FAST" "`arg`: local (3.12's LOAD_CLOSURE too). Never unbound.";
    LoadFastAndClear "LOAD_FAST_AND_CLEAR" "CPython's LOAD_FAST_AND_CLEAR.";
    LoadFastCheck "LOAD_FAST_CHECK" "CPython's LOAD_FAST_CHECK.";
    LoadFromDictOrDeref "LOAD_FROM_DICT_OR_DEREF" "CPython's LOAD_FROM_DICT_OR_DEREF.";
    LoadFromDictOrGlobals "LOAD_FROM_DICT_OR_GLOBALS" "CPython's LOAD_FROM_DICT_OR_GLOBALS.";
    LoadGlobal "LOAD_GLOBAL" "`arg`: name; `flag`: a NULL is pushed too (below on 3.12, above on 3.13).";
    LoadLocals "LOAD_LOCALS" "CPython's LOAD_LOCALS.";
    LoadName "LOAD_NAME" "CPython's LOAD_NAME.";
    LoadSuperAttr "LOAD_SUPER_ATTR" "`arg`: name; `flag`: method form; `flag2`: two-argument `super`.";
    MakeCell "MAKE_CELL" "CPython's MAKE_CELL.";
    MakeFunction "MAKE_FUNCTION" "`arg`: 1 defaults, 2 keyword defaults, 4 annotations, 8 closure are on the stack below the code (3.12; 0 on 3.13).";
    MapAdd "MAP_ADD" "CPython's MAP_ADD.";
    MatchClass "MATCH_CLASS" "CPython's MATCH_CLASS.";
    MatchKeys "MATCH_KEYS" "CPython's MATCH_KEYS.";
    MatchMapping "MATCH_MAPPING" "CPython's MATCH_MAPPING.";
    MatchSequence "MATCH_SEQUENCE" "CPython's MATCH_SEQUENCE.";
    Nop "NOP" "CPython's NOP.";
    PopExcept "POP_EXCEPT" "CPython's POP_EXCEPT.";
    PopJumpIfFalse "POP_JUMP_IF_FALSE" "Tests truth of any object on 3.12; on 3.13 always an exact bool.";
    PopJumpIfNone "POP_JUMP_IF_NONE" "CPython's POP_JUMP_IF_NONE.";
    PopJumpIfNotNone "POP_JUMP_IF_NOT_NONE" "CPython's POP_JUMP_IF_NOT_NONE.";
    PopJumpIfTrue "POP_JUMP_IF_TRUE" "Tests truth of any object on 3.12; on 3.13 always an exact bool.";
    PopTop "POP_TOP" "CPython's POP_TOP.";
    PushExcInfo "PUSH_EXC_INFO" "CPython's PUSH_EXC_INFO.";
    PushNull "PUSH_NULL" "CPython's PUSH_NULL.";
    RaiseVarargs "RAISE_VARARGS" "CPython's RAISE_VARARGS.";
    Reraise "RERAISE" "`arg`: non-zero if the operand under the exception (at that depth) holds the unit to restore.";
    Resume "RESUME" "`arg & 3`: 0 function start, 1 after yield, 2 after yield from, 3 after await.";
    ReturnConst "RETURN_CONST" "CPython's RETURN_CONST.";
    ReturnGenerator "RETURN_GENERATOR" "CPython's RETURN_GENERATOR.";
    ReturnValue "RETURN_VALUE" "CPython's RETURN_VALUE.";
    Send "SEND" "`target`: the END_SEND.";
    SetupAnnotations "SETUP_ANNOTATIONS" "CPython's SETUP_ANNOTATIONS.";
    SetAdd "SET_ADD" "CPython's SET_ADD.";
    SetFunctionAttribute "SET_FUNCTION_ATTRIBUTE" "`arg`: 1 defaults, 2 keyword defaults, 4 annotations, 8 closure; stack: value, function (3.13).";
    SetUpdate "SET_UPDATE" "CPython's SET_UPDATE.";
    StoreAttr "STORE_ATTR" "CPython's STORE_ATTR.";
    StoreDeref "STORE_DEREF" "CPython's STORE_DEREF.";
    StoreFast "STORE_FAST" "CPython's STORE_FAST.";
    StoreGlobal "STORE_GLOBAL" "CPython's STORE_GLOBAL.";
    StoreName "STORE_NAME" "CPython's STORE_NAME.";
    StoreSlice "STORE_SLICE" "CPython's STORE_SLICE.";
    StoreSubscr "STORE_SUBSCR" "CPython's STORE_SUBSCR.";
    Swap "SWAP" "CPython's SWAP.";
    ToBool "TO_BOOL" "3.13 only.";
    UnaryInvert "UNARY_INVERT" "CPython's UNARY_INVERT.";
    UnaryNegative "UNARY_NEGATIVE" "CPython's UNARY_NEGATIVE.";
    UnaryNot "UNARY_NOT" "Any object on 3.12; on 3.13 always an exact bool.";
    UnpackEx "UNPACK_EX" "CPython's UNPACK_EX.";
    UnpackSequence "UNPACK_SEQUENCE" "CPython's UNPACK_SEQUENCE.";
    WithExceptStart "WITH_EXCEPT_START" "CPython's WITH_EXCEPT_START.";
    YieldValue "YIELD_VALUE" "`arg`: depth of the exception stack entry (see CPython).";
}

impl Opcode {
    /// How many there are.
    pub const COUNT: usize = Opcode::ALL.len();

    /// Whether control never goes on to the next unit.
    pub fn ends_block(self) -> bool {
        matches!(
            self,
            Opcode::JumpBackward
                | Opcode::JumpBackwardNoInterrupt
                | Opcode::JumpForward
                | Opcode::RaiseVarargs
                | Opcode::Reraise
                | Opcode::ReturnConst
                | Opcode::ReturnValue
                | Opcode::InterpreterExit
        )
    }

    /// Whether `target` is the conditional or unconditional goal of a jump.
    pub fn jumps(self) -> bool {
        matches!(
            self,
            Opcode::ForIter
                | Opcode::JumpBackward
                | Opcode::JumpBackwardNoInterrupt
                | Opcode::JumpForward
                | Opcode::PopJumpIfFalse
                | Opcode::PopJumpIfNone
                | Opcode::PopJumpIfNotNone
                | Opcode::PopJumpIfTrue
                | Opcode::Send
        )
    }
}

/// What a specialised opcode says, before its caches are read into a [`crate::feedback::Feedback`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "each stands for the Feedback of the same name, documented there")]
pub enum Hint {
    AllocInit,
    BoundMethodExact,
    BoundMethodGeneral,
    BuiltinClass,
    BuiltinFast,
    BuiltinFastKeywords,
    BuiltinO,
    CallIsinstance,
    CallLen,
    CallListAppend,
    CallStr1,
    CallTuple1,
    CallType1,
    ClassAttr,
    ContainsDict,
    ContainsSet,
    DictGet,
    DictSet,
    Float,
    GetAttributeOverridden,
    GetItemFunction,
    GlobalBuiltin,
    GlobalModule,
    InstanceValue,
    Int,
    IterGen,
    IterList,
    IterRange,
    IterTuple,
    ListInt,
    ListSetInt,
    MethodFast,
    MethodFastKeywords,
    MethodLazyDict,
    MethodNoArgs,
    MethodNoDict,
    MethodO,
    MethodWithValues,
    ModuleAttr,
    NonDescriptorNoDict,
    NonDescriptorWithValues,
    NonPyGeneral,
    Property,
    PyCallExact,
    PyCallGeneral,
    PyCallWithDefaults,
    SendGen,
    Slot,
    Str,
    StrInPlace,
    StrInt,
    SuperAttr,
    SuperMethod,
    ToBoolAlwaysTrue,
    ToBoolBool,
    ToBoolInt,
    ToBoolList,
    ToBoolNone,
    ToBoolStr,
    TupleInt,
    UnpackList,
    UnpackTuple,
    UnpackTwoTuple,
    WithHint,
}

/// What an opcode number means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// Nothing: the table and the bytecode disagree.
    Unknown,
    /// An inline cache unit.
    Cache,
    /// A prefix of the argument.
    ExtendedArg,
    /// 3.12: names of keyword arguments for the CALL that follows.
    KwNames,
    /// An instruction.
    Plain(Opcode),
    /// A specialised form of an instruction.
    Special(Opcode, Hint),
    /// Two instructions whose 4-bit arguments share a byte (the first has the high bits).
    Pair(Opcode, Opcode),
    /// 3.13's FORMAT_SIMPLE.
    FormatSimple,
    /// 3.13's FORMAT_WITH_SPEC.
    FormatWithSpec,
    /// An instrumented form of the opcode with this number.
    Instrumented(u8),
    /// The original is in the line table of the monitoring data.
    InstrumentedLine,
    /// The original is in the per-instruction table of the monitoring data.
    InstrumentedInstruction,
}

impl Entry {
    /// Whether a Python function that runs while this instruction does was called by C code: a built-in function that was
    /// given it, or the slot of an operator. `names`: whether it was called with keyword arguments.
    pub fn calls_from_c(self, names: bool) -> bool {
        use Hint as H;
        use Opcode as O;
        match self {
            Entry::Special(O::Call, hint) => matches!(
                hint,
                H::BuiltinClass
                    | H::BuiltinFast
                    | H::BuiltinFastKeywords
                    | H::BuiltinO
                    | H::CallLen
                    | H::CallStr1
                    | H::CallTuple1
                    | H::MethodFast
                    | H::MethodFastKeywords
                    | H::MethodNoArgs
                    | H::MethodO
                    // Callables that are neither Python functions nor their methods.
                    | H::NonPyGeneral
            ),
            // The interpreter's own call hands the names on.
            Entry::Plain(O::CallKw) => !names,
            Entry::Plain(op) | Entry::Special(op, _) => {
                matches!(op, O::BinaryOp | O::CompareOp | O::ContainsOp | O::ForIter | O::GetIter | O::StoreSubscr | O::ToBool)
            }
            _ => false,
        }
    }
}

/// Differences between versions that the operand stack or calls show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quirks {
    /// Call sequences are `[NULL or method, callable or self, args…]` (3.12), not `[callable, self or NULL, args…]`.
    /// So: the NULL of PUSH_NULL and LOAD_GLOBAL lies below the callable; the method forms of LOAD_ATTR and
    /// LOAD_SUPER_ATTR push `[method, self]` in both, else `[NULL, attribute]` (3.12) or `[attribute, NULL]` (3.13).
    pub null_below_callable: bool,
    /// Conditional jumps and UNARY_NOT take any object (3.12).
    pub jumps_test_truth: bool,
    /// Calls of classes specialised to enter `__init__` ignore a replaced vectorcall of it (3.13).
    pub init_bypasses_vectorcall: bool,
}

/// One version's opcodes.
#[derive(Debug)]
pub struct OpcodeTable {
    /// By number.
    pub entries: [Entry; 256],
    /// Inline cache units, by [`Opcode`].
    pub caches: [u8; Opcode::COUNT],
    /// COMPARE_OP: where the operator starts in the argument.
    pub compare_shift: u8,
    /// COMPARE_OP: the argument's "make it a bool" bit (0: none).
    pub compare_bool: u32,
    /// Units that FOR_ITER skips at its target.
    pub for_iter_skip: u8,
    /// LOAD_GLOBAL: unit of the cached index.
    pub global_index: u8,
    /// LOAD_GLOBAL: unit of the globals' keys version.
    pub global_module: u8,
    /// LOAD_GLOBAL: unit of the builtins' keys version.
    pub global_builtin: u8,
    /// Conditional jumps keep a history of their 16 last outcomes in their cache.
    pub branch_history: bool,
    /// See there.
    pub quirks: Quirks,
}

impl OpcodeTable {
    /// Spreads rows over the 256 numbers.
    pub const fn entries(rows: &[(u8, Entry)]) -> [Entry; 256] {
        let mut table = [Entry::Unknown; 256];
        let mut i = 0;
        while i < rows.len() {
            table[rows[i].0 as usize] = rows[i].1;
            i += 1;
        }
        table
    }

    /// Spreads cache sizes over the opcodes.
    pub const fn caches(rows: &[(Opcode, u8)]) -> [u8; Opcode::COUNT] {
        let mut table = [0; Opcode::COUNT];
        let mut i = 0;
        while i < rows.len() {
            table[rows[i].0 as usize] = rows[i].1;
            i += 1;
        }
        table
    }
}
