//! Opcode numbers of CPython 3.13, from the headers of 3.13.0.

use crate::opcodes::{Entry, Hint, Opcode, OpcodeTable, Quirks};

/// What each number means.
const ROWS: &[(u8, Entry)] = &[
    (0, Entry::Cache),                                                      // CACHE
    (1, Entry::Plain(Opcode::BeforeAsyncWith)),                             // BEFORE_ASYNC_WITH
    (2, Entry::Plain(Opcode::BeforeWith)),                                  // BEFORE_WITH
    (3, Entry::Special(Opcode::BinaryOp, Hint::StrInPlace)),                // BINARY_OP_INPLACE_ADD_UNICODE
    (4, Entry::Plain(Opcode::BinarySlice)),                                 // BINARY_SLICE
    (5, Entry::Plain(Opcode::BinarySubscr)),                                // BINARY_SUBSCR
    (6, Entry::Plain(Opcode::CheckEgMatch)),                                // CHECK_EG_MATCH
    (7, Entry::Plain(Opcode::CheckExcMatch)),                               // CHECK_EXC_MATCH
    (8, Entry::Plain(Opcode::CleanupThrow)),                                // CLEANUP_THROW
    (9, Entry::Plain(Opcode::DeleteSubscr)),                                // DELETE_SUBSCR
    (10, Entry::Plain(Opcode::EndAsyncFor)),                                // END_ASYNC_FOR
    (11, Entry::Plain(Opcode::EndFor)),                                     // END_FOR
    (12, Entry::Plain(Opcode::EndSend)),                                    // END_SEND
    (13, Entry::Plain(Opcode::ExitInitCheck)),                              // EXIT_INIT_CHECK
    (14, Entry::FormatSimple),                                              // FORMAT_SIMPLE
    (15, Entry::FormatWithSpec),                                            // FORMAT_WITH_SPEC
    (16, Entry::Plain(Opcode::GetAiter)),                                   // GET_AITER
    (18, Entry::Plain(Opcode::GetAnext)),                                   // GET_ANEXT
    (19, Entry::Plain(Opcode::GetIter)),                                    // GET_ITER
    (20, Entry::Plain(Opcode::GetLen)),                                     // GET_LEN
    (21, Entry::Plain(Opcode::GetYieldFromIter)),                           // GET_YIELD_FROM_ITER
    (22, Entry::Plain(Opcode::InterpreterExit)),                            // INTERPRETER_EXIT
    (23, Entry::Plain(Opcode::LoadAssertionError)),                         // LOAD_ASSERTION_ERROR
    (24, Entry::Plain(Opcode::LoadBuildClass)),                             // LOAD_BUILD_CLASS
    (25, Entry::Plain(Opcode::LoadLocals)),                                 // LOAD_LOCALS
    (26, Entry::Plain(Opcode::MakeFunction)),                               // MAKE_FUNCTION
    (27, Entry::Plain(Opcode::MatchKeys)),                                  // MATCH_KEYS
    (28, Entry::Plain(Opcode::MatchMapping)),                               // MATCH_MAPPING
    (29, Entry::Plain(Opcode::MatchSequence)),                              // MATCH_SEQUENCE
    (30, Entry::Plain(Opcode::Nop)),                                        // NOP
    (31, Entry::Plain(Opcode::PopExcept)),                                  // POP_EXCEPT
    (32, Entry::Plain(Opcode::PopTop)),                                     // POP_TOP
    (33, Entry::Plain(Opcode::PushExcInfo)),                                // PUSH_EXC_INFO
    (34, Entry::Plain(Opcode::PushNull)),                                   // PUSH_NULL
    (35, Entry::Plain(Opcode::ReturnGenerator)),                            // RETURN_GENERATOR
    (36, Entry::Plain(Opcode::ReturnValue)),                                // RETURN_VALUE
    (37, Entry::Plain(Opcode::SetupAnnotations)),                           // SETUP_ANNOTATIONS
    (38, Entry::Plain(Opcode::StoreSlice)),                                 // STORE_SLICE
    (39, Entry::Plain(Opcode::StoreSubscr)),                                // STORE_SUBSCR
    (40, Entry::Plain(Opcode::ToBool)),                                     // TO_BOOL
    (41, Entry::Plain(Opcode::UnaryInvert)),                                // UNARY_INVERT
    (42, Entry::Plain(Opcode::UnaryNegative)),                              // UNARY_NEGATIVE
    (43, Entry::Plain(Opcode::UnaryNot)),                                   // UNARY_NOT
    (44, Entry::Plain(Opcode::WithExceptStart)),                            // WITH_EXCEPT_START
    (45, Entry::Plain(Opcode::BinaryOp)),                                   // BINARY_OP
    (46, Entry::Plain(Opcode::BuildConstKeyMap)),                           // BUILD_CONST_KEY_MAP
    (47, Entry::Plain(Opcode::BuildList)),                                  // BUILD_LIST
    (48, Entry::Plain(Opcode::BuildMap)),                                   // BUILD_MAP
    (49, Entry::Plain(Opcode::BuildSet)),                                   // BUILD_SET
    (50, Entry::Plain(Opcode::BuildSlice)),                                 // BUILD_SLICE
    (51, Entry::Plain(Opcode::BuildString)),                                // BUILD_STRING
    (52, Entry::Plain(Opcode::BuildTuple)),                                 // BUILD_TUPLE
    (53, Entry::Plain(Opcode::Call)),                                       // CALL
    (54, Entry::Plain(Opcode::CallFunctionEx)),                             // CALL_FUNCTION_EX
    (55, Entry::Plain(Opcode::CallIntrinsic1)),                             // CALL_INTRINSIC_1
    (56, Entry::Plain(Opcode::CallIntrinsic2)),                             // CALL_INTRINSIC_2
    (57, Entry::Plain(Opcode::CallKw)),                                     // CALL_KW
    (58, Entry::Plain(Opcode::CompareOp)),                                  // COMPARE_OP
    (59, Entry::Plain(Opcode::ContainsOp)),                                 // CONTAINS_OP
    (60, Entry::Plain(Opcode::ConvertValue)),                               // CONVERT_VALUE
    (61, Entry::Plain(Opcode::Copy)),                                       // COPY
    (62, Entry::Plain(Opcode::CopyFreeVars)),                               // COPY_FREE_VARS
    (63, Entry::Plain(Opcode::DeleteAttr)),                                 // DELETE_ATTR
    (64, Entry::Plain(Opcode::DeleteDeref)),                                // DELETE_DEREF
    (65, Entry::Plain(Opcode::DeleteFast)),                                 // DELETE_FAST
    (66, Entry::Plain(Opcode::DeleteGlobal)),                               // DELETE_GLOBAL
    (67, Entry::Plain(Opcode::DeleteName)),                                 // DELETE_NAME
    (68, Entry::Plain(Opcode::DictMerge)),                                  // DICT_MERGE
    (69, Entry::Plain(Opcode::DictUpdate)),                                 // DICT_UPDATE
    (70, Entry::Plain(Opcode::EnterExecutor)),                              // ENTER_EXECUTOR
    (71, Entry::ExtendedArg),                                               // EXTENDED_ARG
    (72, Entry::Plain(Opcode::ForIter)),                                    // FOR_ITER
    (73, Entry::Plain(Opcode::GetAwaitable)),                               // GET_AWAITABLE
    (74, Entry::Plain(Opcode::ImportFrom)),                                 // IMPORT_FROM
    (75, Entry::Plain(Opcode::ImportName)),                                 // IMPORT_NAME
    (76, Entry::Plain(Opcode::IsOp)),                                       // IS_OP
    (77, Entry::Plain(Opcode::JumpBackward)),                               // JUMP_BACKWARD
    (78, Entry::Plain(Opcode::JumpBackwardNoInterrupt)),                    // JUMP_BACKWARD_NO_INTERRUPT
    (79, Entry::Plain(Opcode::JumpForward)),                                // JUMP_FORWARD
    (80, Entry::Plain(Opcode::ListAppend)),                                 // LIST_APPEND
    (81, Entry::Plain(Opcode::ListExtend)),                                 // LIST_EXTEND
    (82, Entry::Plain(Opcode::LoadAttr)),                                   // LOAD_ATTR
    (83, Entry::Plain(Opcode::LoadConst)),                                  // LOAD_CONST
    (84, Entry::Plain(Opcode::LoadDeref)),                                  // LOAD_DEREF
    (85, Entry::Plain(Opcode::LoadFast)),                                   // LOAD_FAST
    (86, Entry::Plain(Opcode::LoadFastAndClear)),                           // LOAD_FAST_AND_CLEAR
    (87, Entry::Plain(Opcode::LoadFastCheck)),                              // LOAD_FAST_CHECK
    (88, Entry::Pair(Opcode::LoadFast, Opcode::LoadFast)),                  // LOAD_FAST_LOAD_FAST
    (89, Entry::Plain(Opcode::LoadFromDictOrDeref)),                        // LOAD_FROM_DICT_OR_DEREF
    (90, Entry::Plain(Opcode::LoadFromDictOrGlobals)),                      // LOAD_FROM_DICT_OR_GLOBALS
    (91, Entry::Plain(Opcode::LoadGlobal)),                                 // LOAD_GLOBAL
    (92, Entry::Plain(Opcode::LoadName)),                                   // LOAD_NAME
    (93, Entry::Plain(Opcode::LoadSuperAttr)),                              // LOAD_SUPER_ATTR
    (94, Entry::Plain(Opcode::MakeCell)),                                   // MAKE_CELL
    (95, Entry::Plain(Opcode::MapAdd)),                                     // MAP_ADD
    (96, Entry::Plain(Opcode::MatchClass)),                                 // MATCH_CLASS
    (97, Entry::Plain(Opcode::PopJumpIfFalse)),                             // POP_JUMP_IF_FALSE
    (98, Entry::Plain(Opcode::PopJumpIfNone)),                              // POP_JUMP_IF_NONE
    (99, Entry::Plain(Opcode::PopJumpIfNotNone)),                           // POP_JUMP_IF_NOT_NONE
    (100, Entry::Plain(Opcode::PopJumpIfTrue)),                             // POP_JUMP_IF_TRUE
    (101, Entry::Plain(Opcode::RaiseVarargs)),                              // RAISE_VARARGS
    (102, Entry::Plain(Opcode::Reraise)),                                   // RERAISE
    (103, Entry::Plain(Opcode::ReturnConst)),                               // RETURN_CONST
    (104, Entry::Plain(Opcode::Send)),                                      // SEND
    (105, Entry::Plain(Opcode::SetAdd)),                                    // SET_ADD
    (106, Entry::Plain(Opcode::SetFunctionAttribute)),                      // SET_FUNCTION_ATTRIBUTE
    (107, Entry::Plain(Opcode::SetUpdate)),                                 // SET_UPDATE
    (108, Entry::Plain(Opcode::StoreAttr)),                                 // STORE_ATTR
    (109, Entry::Plain(Opcode::StoreDeref)),                                // STORE_DEREF
    (110, Entry::Plain(Opcode::StoreFast)),                                 // STORE_FAST
    (111, Entry::Pair(Opcode::StoreFast, Opcode::LoadFast)),                // STORE_FAST_LOAD_FAST
    (112, Entry::Pair(Opcode::StoreFast, Opcode::StoreFast)),               // STORE_FAST_STORE_FAST
    (113, Entry::Plain(Opcode::StoreGlobal)),                               // STORE_GLOBAL
    (114, Entry::Plain(Opcode::StoreName)),                                 // STORE_NAME
    (115, Entry::Plain(Opcode::Swap)),                                      // SWAP
    (116, Entry::Plain(Opcode::UnpackEx)),                                  // UNPACK_EX
    (117, Entry::Plain(Opcode::UnpackSequence)),                            // UNPACK_SEQUENCE
    (118, Entry::Plain(Opcode::YieldValue)),                                // YIELD_VALUE
    (149, Entry::Plain(Opcode::Resume)),                                    // RESUME
    (150, Entry::Special(Opcode::BinaryOp, Hint::Float)),                   // BINARY_OP_ADD_FLOAT
    (151, Entry::Special(Opcode::BinaryOp, Hint::Int)),                     // BINARY_OP_ADD_INT
    (152, Entry::Special(Opcode::BinaryOp, Hint::Str)),                     // BINARY_OP_ADD_UNICODE
    (153, Entry::Special(Opcode::BinaryOp, Hint::Float)),                   // BINARY_OP_MULTIPLY_FLOAT
    (154, Entry::Special(Opcode::BinaryOp, Hint::Int)),                     // BINARY_OP_MULTIPLY_INT
    (155, Entry::Special(Opcode::BinaryOp, Hint::Float)),                   // BINARY_OP_SUBTRACT_FLOAT
    (156, Entry::Special(Opcode::BinaryOp, Hint::Int)),                     // BINARY_OP_SUBTRACT_INT
    (157, Entry::Special(Opcode::BinarySubscr, Hint::DictGet)),             // BINARY_SUBSCR_DICT
    (158, Entry::Special(Opcode::BinarySubscr, Hint::GetItemFunction)),     // BINARY_SUBSCR_GETITEM
    (159, Entry::Special(Opcode::BinarySubscr, Hint::ListInt)),             // BINARY_SUBSCR_LIST_INT
    (160, Entry::Special(Opcode::BinarySubscr, Hint::StrInt)),              // BINARY_SUBSCR_STR_INT
    (161, Entry::Special(Opcode::BinarySubscr, Hint::TupleInt)),            // BINARY_SUBSCR_TUPLE_INT
    (162, Entry::Special(Opcode::Call, Hint::AllocInit)),                   // CALL_ALLOC_AND_ENTER_INIT
    (163, Entry::Special(Opcode::Call, Hint::BoundMethodExact)),            // CALL_BOUND_METHOD_EXACT_ARGS
    (164, Entry::Special(Opcode::Call, Hint::BoundMethodGeneral)),          // CALL_BOUND_METHOD_GENERAL
    (165, Entry::Special(Opcode::Call, Hint::BuiltinClass)),                // CALL_BUILTIN_CLASS
    (166, Entry::Special(Opcode::Call, Hint::BuiltinFast)),                 // CALL_BUILTIN_FAST
    (167, Entry::Special(Opcode::Call, Hint::BuiltinFastKeywords)),         // CALL_BUILTIN_FAST_WITH_KEYWORDS
    (168, Entry::Special(Opcode::Call, Hint::BuiltinO)),                    // CALL_BUILTIN_O
    (169, Entry::Special(Opcode::Call, Hint::CallIsinstance)),              // CALL_ISINSTANCE
    (170, Entry::Special(Opcode::Call, Hint::CallLen)),                     // CALL_LEN
    (171, Entry::Special(Opcode::Call, Hint::CallListAppend)),              // CALL_LIST_APPEND
    (172, Entry::Special(Opcode::Call, Hint::MethodFast)),                  // CALL_METHOD_DESCRIPTOR_FAST
    (173, Entry::Special(Opcode::Call, Hint::MethodFastKeywords)),          // CALL_METHOD_DESCRIPTOR_FAST_WITH_KEYWORDS
    (174, Entry::Special(Opcode::Call, Hint::MethodNoArgs)),                // CALL_METHOD_DESCRIPTOR_NOARGS
    (175, Entry::Special(Opcode::Call, Hint::MethodO)),                     // CALL_METHOD_DESCRIPTOR_O
    (176, Entry::Special(Opcode::Call, Hint::NonPyGeneral)),                // CALL_NON_PY_GENERAL
    (177, Entry::Special(Opcode::Call, Hint::PyCallExact)),                 // CALL_PY_EXACT_ARGS
    (178, Entry::Special(Opcode::Call, Hint::PyCallGeneral)),               // CALL_PY_GENERAL
    (179, Entry::Special(Opcode::Call, Hint::CallStr1)),                    // CALL_STR_1
    (180, Entry::Special(Opcode::Call, Hint::CallTuple1)),                  // CALL_TUPLE_1
    (181, Entry::Special(Opcode::Call, Hint::CallType1)),                   // CALL_TYPE_1
    (182, Entry::Special(Opcode::CompareOp, Hint::Float)),                  // COMPARE_OP_FLOAT
    (183, Entry::Special(Opcode::CompareOp, Hint::Int)),                    // COMPARE_OP_INT
    (184, Entry::Special(Opcode::CompareOp, Hint::Str)),                    // COMPARE_OP_STR
    (185, Entry::Special(Opcode::ContainsOp, Hint::ContainsDict)),          // CONTAINS_OP_DICT
    (186, Entry::Special(Opcode::ContainsOp, Hint::ContainsSet)),           // CONTAINS_OP_SET
    (187, Entry::Special(Opcode::ForIter, Hint::IterGen)),                  // FOR_ITER_GEN
    (188, Entry::Special(Opcode::ForIter, Hint::IterList)),                 // FOR_ITER_LIST
    (189, Entry::Special(Opcode::ForIter, Hint::IterRange)),                // FOR_ITER_RANGE
    (190, Entry::Special(Opcode::ForIter, Hint::IterTuple)),                // FOR_ITER_TUPLE
    (191, Entry::Special(Opcode::LoadAttr, Hint::ClassAttr)),               // LOAD_ATTR_CLASS
    (192, Entry::Special(Opcode::LoadAttr, Hint::GetAttributeOverridden)),  // LOAD_ATTR_GETATTRIBUTE_OVERRIDDEN
    (193, Entry::Special(Opcode::LoadAttr, Hint::InstanceValue)),           // LOAD_ATTR_INSTANCE_VALUE
    (194, Entry::Special(Opcode::LoadAttr, Hint::MethodLazyDict)),          // LOAD_ATTR_METHOD_LAZY_DICT
    (195, Entry::Special(Opcode::LoadAttr, Hint::MethodNoDict)),            // LOAD_ATTR_METHOD_NO_DICT
    (196, Entry::Special(Opcode::LoadAttr, Hint::MethodWithValues)),        // LOAD_ATTR_METHOD_WITH_VALUES
    (197, Entry::Special(Opcode::LoadAttr, Hint::ModuleAttr)),              // LOAD_ATTR_MODULE
    (198, Entry::Special(Opcode::LoadAttr, Hint::NonDescriptorNoDict)),     // LOAD_ATTR_NONDESCRIPTOR_NO_DICT
    (199, Entry::Special(Opcode::LoadAttr, Hint::NonDescriptorWithValues)), // LOAD_ATTR_NONDESCRIPTOR_WITH_VALUES
    (200, Entry::Special(Opcode::LoadAttr, Hint::Property)),                // LOAD_ATTR_PROPERTY
    (201, Entry::Special(Opcode::LoadAttr, Hint::Slot)),                    // LOAD_ATTR_SLOT
    (202, Entry::Special(Opcode::LoadAttr, Hint::WithHint)),                // LOAD_ATTR_WITH_HINT
    (203, Entry::Special(Opcode::LoadGlobal, Hint::GlobalBuiltin)),         // LOAD_GLOBAL_BUILTIN
    (204, Entry::Special(Opcode::LoadGlobal, Hint::GlobalModule)),          // LOAD_GLOBAL_MODULE
    (205, Entry::Special(Opcode::LoadSuperAttr, Hint::SuperAttr)),          // LOAD_SUPER_ATTR_ATTR
    (206, Entry::Special(Opcode::LoadSuperAttr, Hint::SuperMethod)),        // LOAD_SUPER_ATTR_METHOD
    (207, Entry::Plain(Opcode::Resume)),                                    // RESUME_CHECK
    (208, Entry::Special(Opcode::Send, Hint::SendGen)),                     // SEND_GEN
    (209, Entry::Special(Opcode::StoreAttr, Hint::InstanceValue)),          // STORE_ATTR_INSTANCE_VALUE
    (210, Entry::Special(Opcode::StoreAttr, Hint::Slot)),                   // STORE_ATTR_SLOT
    (211, Entry::Special(Opcode::StoreAttr, Hint::WithHint)),               // STORE_ATTR_WITH_HINT
    (212, Entry::Special(Opcode::StoreSubscr, Hint::DictSet)),              // STORE_SUBSCR_DICT
    (213, Entry::Special(Opcode::StoreSubscr, Hint::ListSetInt)),           // STORE_SUBSCR_LIST_INT
    (214, Entry::Special(Opcode::ToBool, Hint::ToBoolAlwaysTrue)),          // TO_BOOL_ALWAYS_TRUE
    (215, Entry::Special(Opcode::ToBool, Hint::ToBoolBool)),                // TO_BOOL_BOOL
    (216, Entry::Special(Opcode::ToBool, Hint::ToBoolInt)),                 // TO_BOOL_INT
    (217, Entry::Special(Opcode::ToBool, Hint::ToBoolList)),                // TO_BOOL_LIST
    (218, Entry::Special(Opcode::ToBool, Hint::ToBoolNone)),                // TO_BOOL_NONE
    (219, Entry::Special(Opcode::ToBool, Hint::ToBoolStr)),                 // TO_BOOL_STR
    (220, Entry::Special(Opcode::UnpackSequence, Hint::UnpackList)),        // UNPACK_SEQUENCE_LIST
    (221, Entry::Special(Opcode::UnpackSequence, Hint::UnpackTuple)),       // UNPACK_SEQUENCE_TUPLE
    (222, Entry::Special(Opcode::UnpackSequence, Hint::UnpackTwoTuple)),    // UNPACK_SEQUENCE_TWO_TUPLE
    (236, Entry::Instrumented(149)),                                        // INSTRUMENTED_RESUME
    (237, Entry::Instrumented(11)),                                         // INSTRUMENTED_END_FOR
    (238, Entry::Instrumented(12)),                                         // INSTRUMENTED_END_SEND
    (239, Entry::Instrumented(36)),                                         // INSTRUMENTED_RETURN_VALUE
    (240, Entry::Instrumented(103)),                                        // INSTRUMENTED_RETURN_CONST
    (241, Entry::Instrumented(118)),                                        // INSTRUMENTED_YIELD_VALUE
    (242, Entry::Instrumented(93)),                                         // INSTRUMENTED_LOAD_SUPER_ATTR
    (243, Entry::Instrumented(72)),                                         // INSTRUMENTED_FOR_ITER
    (244, Entry::Instrumented(53)),                                         // INSTRUMENTED_CALL
    (245, Entry::Instrumented(57)),                                         // INSTRUMENTED_CALL_KW
    (246, Entry::Instrumented(54)),                                         // INSTRUMENTED_CALL_FUNCTION_EX
    (247, Entry::InstrumentedInstruction),                                  // INSTRUMENTED_INSTRUCTION
    (248, Entry::Instrumented(79)),                                         // INSTRUMENTED_JUMP_FORWARD
    (249, Entry::Instrumented(77)),                                         // INSTRUMENTED_JUMP_BACKWARD
    (250, Entry::Instrumented(100)),                                        // INSTRUMENTED_POP_JUMP_IF_TRUE
    (251, Entry::Instrumented(97)),                                         // INSTRUMENTED_POP_JUMP_IF_FALSE
    (252, Entry::Instrumented(98)),                                         // INSTRUMENTED_POP_JUMP_IF_NONE
    (253, Entry::Instrumented(99)),                                         // INSTRUMENTED_POP_JUMP_IF_NOT_NONE
    (254, Entry::InstrumentedLine),                                         // INSTRUMENTED_LINE
];

/// Inline cache units after an opcode.
const CACHES: &[(Opcode, u8)] = &[
    (Opcode::JumpBackward, 1),
    (Opcode::ToBool, 3),
    (Opcode::BinarySubscr, 1),
    (Opcode::StoreSubscr, 1),
    (Opcode::Send, 1),
    (Opcode::UnpackSequence, 1),
    (Opcode::StoreAttr, 4),
    (Opcode::LoadGlobal, 4),
    (Opcode::LoadSuperAttr, 1),
    (Opcode::LoadAttr, 9),
    (Opcode::CompareOp, 1),
    (Opcode::ContainsOp, 1),
    (Opcode::PopJumpIfTrue, 1),
    (Opcode::PopJumpIfFalse, 1),
    (Opcode::PopJumpIfNone, 1),
    (Opcode::PopJumpIfNotNone, 1),
    (Opcode::ForIter, 1),
    (Opcode::Call, 3),
    (Opcode::BinaryOp, 1),
];

/// The opcodes of CPython 3.13.
pub static TABLE: OpcodeTable = OpcodeTable {
    entries: OpcodeTable::entries(ROWS),
    caches: OpcodeTable::caches(CACHES),
    compare_shift: 5,
    compare_bool: 16,
    for_iter_skip: 2,
    global_index: 4,
    global_module: 2,
    global_builtin: 3,
    branch_history: true,
    quirks: Quirks { null_below_callable: false, jumps_test_truth: false, init_bypasses_vectorcall: true },
};
