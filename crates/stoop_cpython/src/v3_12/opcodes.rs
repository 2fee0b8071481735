//! Opcode numbers of CPython 3.12, from the headers of 3.12.1.

use crate::opcodes::{Entry, Hint, Opcode, OpcodeTable, Quirks};

/// What each number means.
const ROWS: &[(u8, Entry)] = &[
    (0, Entry::Cache),                                                    // CACHE
    (1, Entry::Plain(Opcode::PopTop)),                                    // POP_TOP
    (2, Entry::Plain(Opcode::PushNull)),                                  // PUSH_NULL
    (3, Entry::Plain(Opcode::InterpreterExit)),                           // INTERPRETER_EXIT
    (4, Entry::Plain(Opcode::EndFor)),                                    // END_FOR
    (5, Entry::Plain(Opcode::EndSend)),                                   // END_SEND
    (6, Entry::Special(Opcode::BinaryOp, Hint::Float)),                   // BINARY_OP_ADD_FLOAT
    (7, Entry::Special(Opcode::BinaryOp, Hint::Int)),                     // BINARY_OP_ADD_INT
    (8, Entry::Special(Opcode::BinaryOp, Hint::Str)),                     // BINARY_OP_ADD_UNICODE
    (9, Entry::Plain(Opcode::Nop)),                                       // NOP
    (10, Entry::Special(Opcode::BinaryOp, Hint::StrInPlace)),             // BINARY_OP_INPLACE_ADD_UNICODE
    (11, Entry::Plain(Opcode::UnaryNegative)),                            // UNARY_NEGATIVE
    (12, Entry::Plain(Opcode::UnaryNot)),                                 // UNARY_NOT
    (13, Entry::Special(Opcode::BinaryOp, Hint::Float)),                  // BINARY_OP_MULTIPLY_FLOAT
    (14, Entry::Special(Opcode::BinaryOp, Hint::Int)),                    // BINARY_OP_MULTIPLY_INT
    (15, Entry::Plain(Opcode::UnaryInvert)),                              // UNARY_INVERT
    (16, Entry::Special(Opcode::BinaryOp, Hint::Float)),                  // BINARY_OP_SUBTRACT_FLOAT
    (18, Entry::Special(Opcode::BinaryOp, Hint::Int)),                    // BINARY_OP_SUBTRACT_INT
    (19, Entry::Special(Opcode::BinarySubscr, Hint::DictGet)),            // BINARY_SUBSCR_DICT
    (20, Entry::Special(Opcode::BinarySubscr, Hint::GetItemFunction)),    // BINARY_SUBSCR_GETITEM
    (21, Entry::Special(Opcode::BinarySubscr, Hint::ListInt)),            // BINARY_SUBSCR_LIST_INT
    (22, Entry::Special(Opcode::BinarySubscr, Hint::TupleInt)),           // BINARY_SUBSCR_TUPLE_INT
    (23, Entry::Special(Opcode::Call, Hint::PyCallExact)),                // CALL_PY_EXACT_ARGS
    (24, Entry::Special(Opcode::Call, Hint::PyCallWithDefaults)),         // CALL_PY_WITH_DEFAULTS
    (25, Entry::Plain(Opcode::BinarySubscr)),                             // BINARY_SUBSCR
    (26, Entry::Plain(Opcode::BinarySlice)),                              // BINARY_SLICE
    (27, Entry::Plain(Opcode::StoreSlice)),                               // STORE_SLICE
    (28, Entry::Special(Opcode::Call, Hint::BoundMethodExact)),           // CALL_BOUND_METHOD_EXACT_ARGS
    (29, Entry::Special(Opcode::Call, Hint::BuiltinClass)),               // CALL_BUILTIN_CLASS
    (30, Entry::Plain(Opcode::GetLen)),                                   // GET_LEN
    (31, Entry::Plain(Opcode::MatchMapping)),                             // MATCH_MAPPING
    (32, Entry::Plain(Opcode::MatchSequence)),                            // MATCH_SEQUENCE
    (33, Entry::Plain(Opcode::MatchKeys)),                                // MATCH_KEYS
    (34, Entry::Special(Opcode::Call, Hint::BuiltinFastKeywords)),        // CALL_BUILTIN_FAST_WITH_KEYWORDS
    (35, Entry::Plain(Opcode::PushExcInfo)),                              // PUSH_EXC_INFO
    (36, Entry::Plain(Opcode::CheckExcMatch)),                            // CHECK_EXC_MATCH
    (37, Entry::Plain(Opcode::CheckEgMatch)),                             // CHECK_EG_MATCH
    (38, Entry::Special(Opcode::Call, Hint::MethodFastKeywords)),         // CALL_METHOD_DESCRIPTOR_FAST_WITH_KEYWORDS
    (39, Entry::Special(Opcode::Call, Hint::BuiltinFast)),                // CALL_NO_KW_BUILTIN_FAST
    (40, Entry::Special(Opcode::Call, Hint::BuiltinO)),                   // CALL_NO_KW_BUILTIN_O
    (41, Entry::Special(Opcode::Call, Hint::CallIsinstance)),             // CALL_NO_KW_ISINSTANCE
    (42, Entry::Special(Opcode::Call, Hint::CallLen)),                    // CALL_NO_KW_LEN
    (43, Entry::Special(Opcode::Call, Hint::CallListAppend)),             // CALL_NO_KW_LIST_APPEND
    (44, Entry::Special(Opcode::Call, Hint::MethodFast)),                 // CALL_NO_KW_METHOD_DESCRIPTOR_FAST
    (45, Entry::Special(Opcode::Call, Hint::MethodNoArgs)),               // CALL_NO_KW_METHOD_DESCRIPTOR_NOARGS
    (46, Entry::Special(Opcode::Call, Hint::MethodO)),                    // CALL_NO_KW_METHOD_DESCRIPTOR_O
    (47, Entry::Special(Opcode::Call, Hint::CallStr1)),                   // CALL_NO_KW_STR_1
    (48, Entry::Special(Opcode::Call, Hint::CallTuple1)),                 // CALL_NO_KW_TUPLE_1
    (49, Entry::Plain(Opcode::WithExceptStart)),                          // WITH_EXCEPT_START
    (50, Entry::Plain(Opcode::GetAiter)),                                 // GET_AITER
    (51, Entry::Plain(Opcode::GetAnext)),                                 // GET_ANEXT
    (52, Entry::Plain(Opcode::BeforeAsyncWith)),                          // BEFORE_ASYNC_WITH
    (53, Entry::Plain(Opcode::BeforeWith)),                               // BEFORE_WITH
    (54, Entry::Plain(Opcode::EndAsyncFor)),                              // END_ASYNC_FOR
    (55, Entry::Plain(Opcode::CleanupThrow)),                             // CLEANUP_THROW
    (56, Entry::Special(Opcode::Call, Hint::CallType1)),                  // CALL_NO_KW_TYPE_1
    (57, Entry::Special(Opcode::CompareOp, Hint::Float)),                 // COMPARE_OP_FLOAT
    (58, Entry::Special(Opcode::CompareOp, Hint::Int)),                   // COMPARE_OP_INT
    (59, Entry::Special(Opcode::CompareOp, Hint::Str)),                   // COMPARE_OP_STR
    (60, Entry::Plain(Opcode::StoreSubscr)),                              // STORE_SUBSCR
    (61, Entry::Plain(Opcode::DeleteSubscr)),                             // DELETE_SUBSCR
    (62, Entry::Special(Opcode::ForIter, Hint::IterList)),                // FOR_ITER_LIST
    (63, Entry::Special(Opcode::ForIter, Hint::IterTuple)),               // FOR_ITER_TUPLE
    (64, Entry::Special(Opcode::ForIter, Hint::IterRange)),               // FOR_ITER_RANGE
    (65, Entry::Special(Opcode::ForIter, Hint::IterGen)),                 // FOR_ITER_GEN
    (66, Entry::Special(Opcode::LoadSuperAttr, Hint::SuperAttr)),         // LOAD_SUPER_ATTR_ATTR
    (67, Entry::Special(Opcode::LoadSuperAttr, Hint::SuperMethod)),       // LOAD_SUPER_ATTR_METHOD
    (68, Entry::Plain(Opcode::GetIter)),                                  // GET_ITER
    (69, Entry::Plain(Opcode::GetYieldFromIter)),                         // GET_YIELD_FROM_ITER
    (70, Entry::Special(Opcode::LoadAttr, Hint::ClassAttr)),              // LOAD_ATTR_CLASS
    (71, Entry::Plain(Opcode::LoadBuildClass)),                           // LOAD_BUILD_CLASS
    (72, Entry::Special(Opcode::LoadAttr, Hint::GetAttributeOverridden)), // LOAD_ATTR_GETATTRIBUTE_OVERRIDDEN
    (73, Entry::Special(Opcode::LoadAttr, Hint::InstanceValue)),          // LOAD_ATTR_INSTANCE_VALUE
    (74, Entry::Plain(Opcode::LoadAssertionError)),                       // LOAD_ASSERTION_ERROR
    (75, Entry::Plain(Opcode::ReturnGenerator)),                          // RETURN_GENERATOR
    (76, Entry::Special(Opcode::LoadAttr, Hint::ModuleAttr)),             // LOAD_ATTR_MODULE
    (77, Entry::Special(Opcode::LoadAttr, Hint::Property)),               // LOAD_ATTR_PROPERTY
    (78, Entry::Special(Opcode::LoadAttr, Hint::Slot)),                   // LOAD_ATTR_SLOT
    (79, Entry::Special(Opcode::LoadAttr, Hint::WithHint)),               // LOAD_ATTR_WITH_HINT
    (80, Entry::Special(Opcode::LoadAttr, Hint::MethodLazyDict)),         // LOAD_ATTR_METHOD_LAZY_DICT
    (81, Entry::Special(Opcode::LoadAttr, Hint::MethodNoDict)),           // LOAD_ATTR_METHOD_NO_DICT
    (82, Entry::Special(Opcode::LoadAttr, Hint::MethodWithValues)),       // LOAD_ATTR_METHOD_WITH_VALUES
    (83, Entry::Plain(Opcode::ReturnValue)),                              // RETURN_VALUE
    (84, Entry::Plain(Opcode::LoadConst)),                                // LOAD_CONST__LOAD_FAST
    (85, Entry::Plain(Opcode::SetupAnnotations)),                         // SETUP_ANNOTATIONS
    (86, Entry::Plain(Opcode::LoadFast)),                                 // LOAD_FAST__LOAD_CONST
    (87, Entry::Plain(Opcode::LoadLocals)),                               // LOAD_LOCALS
    (88, Entry::Plain(Opcode::LoadFast)),                                 // LOAD_FAST__LOAD_FAST
    (89, Entry::Plain(Opcode::PopExcept)),                                // POP_EXCEPT
    (90, Entry::Plain(Opcode::StoreName)),                                // STORE_NAME
    (91, Entry::Plain(Opcode::DeleteName)),                               // DELETE_NAME
    (92, Entry::Plain(Opcode::UnpackSequence)),                           // UNPACK_SEQUENCE
    (93, Entry::Plain(Opcode::ForIter)),                                  // FOR_ITER
    (94, Entry::Plain(Opcode::UnpackEx)),                                 // UNPACK_EX
    (95, Entry::Plain(Opcode::StoreAttr)),                                // STORE_ATTR
    (96, Entry::Plain(Opcode::DeleteAttr)),                               // DELETE_ATTR
    (97, Entry::Plain(Opcode::StoreGlobal)),                              // STORE_GLOBAL
    (98, Entry::Plain(Opcode::DeleteGlobal)),                             // DELETE_GLOBAL
    (99, Entry::Plain(Opcode::Swap)),                                     // SWAP
    (100, Entry::Plain(Opcode::LoadConst)),                               // LOAD_CONST
    (101, Entry::Plain(Opcode::LoadName)),                                // LOAD_NAME
    (102, Entry::Plain(Opcode::BuildTuple)),                              // BUILD_TUPLE
    (103, Entry::Plain(Opcode::BuildList)),                               // BUILD_LIST
    (104, Entry::Plain(Opcode::BuildSet)),                                // BUILD_SET
    (105, Entry::Plain(Opcode::BuildMap)),                                // BUILD_MAP
    (106, Entry::Plain(Opcode::LoadAttr)),                                // LOAD_ATTR
    (107, Entry::Plain(Opcode::CompareOp)),                               // COMPARE_OP
    (108, Entry::Plain(Opcode::ImportName)),                              // IMPORT_NAME
    (109, Entry::Plain(Opcode::ImportFrom)),                              // IMPORT_FROM
    (110, Entry::Plain(Opcode::JumpForward)),                             // JUMP_FORWARD
    (111, Entry::Special(Opcode::LoadGlobal, Hint::GlobalBuiltin)),       // LOAD_GLOBAL_BUILTIN
    (112, Entry::Special(Opcode::LoadGlobal, Hint::GlobalModule)),        // LOAD_GLOBAL_MODULE
    (113, Entry::Special(Opcode::StoreAttr, Hint::InstanceValue)),        // STORE_ATTR_INSTANCE_VALUE
    (114, Entry::Plain(Opcode::PopJumpIfFalse)),                          // POP_JUMP_IF_FALSE
    (115, Entry::Plain(Opcode::PopJumpIfTrue)),                           // POP_JUMP_IF_TRUE
    (116, Entry::Plain(Opcode::LoadGlobal)),                              // LOAD_GLOBAL
    (117, Entry::Plain(Opcode::IsOp)),                                    // IS_OP
    (118, Entry::Plain(Opcode::ContainsOp)),                              // CONTAINS_OP
    (119, Entry::Plain(Opcode::Reraise)),                                 // RERAISE
    (120, Entry::Plain(Opcode::Copy)),                                    // COPY
    (121, Entry::Plain(Opcode::ReturnConst)),                             // RETURN_CONST
    (122, Entry::Plain(Opcode::BinaryOp)),                                // BINARY_OP
    (123, Entry::Plain(Opcode::Send)),                                    // SEND
    (124, Entry::Plain(Opcode::LoadFast)),                                // LOAD_FAST
    (125, Entry::Plain(Opcode::StoreFast)),                               // STORE_FAST
    (126, Entry::Plain(Opcode::DeleteFast)),                              // DELETE_FAST
    (127, Entry::Plain(Opcode::LoadFastCheck)),                           // LOAD_FAST_CHECK
    (128, Entry::Plain(Opcode::PopJumpIfNotNone)),                        // POP_JUMP_IF_NOT_NONE
    (129, Entry::Plain(Opcode::PopJumpIfNone)),                           // POP_JUMP_IF_NONE
    (130, Entry::Plain(Opcode::RaiseVarargs)),                            // RAISE_VARARGS
    (131, Entry::Plain(Opcode::GetAwaitable)),                            // GET_AWAITABLE
    (132, Entry::Plain(Opcode::MakeFunction)),                            // MAKE_FUNCTION
    (133, Entry::Plain(Opcode::BuildSlice)),                              // BUILD_SLICE
    (134, Entry::Plain(Opcode::JumpBackwardNoInterrupt)),                 // JUMP_BACKWARD_NO_INTERRUPT
    (135, Entry::Plain(Opcode::MakeCell)),                                // MAKE_CELL
    (136, Entry::Plain(Opcode::LoadFast)),                                // LOAD_CLOSURE
    (137, Entry::Plain(Opcode::LoadDeref)),                               // LOAD_DEREF
    (138, Entry::Plain(Opcode::StoreDeref)),                              // STORE_DEREF
    (139, Entry::Plain(Opcode::DeleteDeref)),                             // DELETE_DEREF
    (140, Entry::Plain(Opcode::JumpBackward)),                            // JUMP_BACKWARD
    (141, Entry::Plain(Opcode::LoadSuperAttr)),                           // LOAD_SUPER_ATTR
    (142, Entry::Plain(Opcode::CallFunctionEx)),                          // CALL_FUNCTION_EX
    (143, Entry::Plain(Opcode::LoadFastAndClear)),                        // LOAD_FAST_AND_CLEAR
    (144, Entry::ExtendedArg),                                            // EXTENDED_ARG
    (145, Entry::Plain(Opcode::ListAppend)),                              // LIST_APPEND
    (146, Entry::Plain(Opcode::SetAdd)),                                  // SET_ADD
    (147, Entry::Plain(Opcode::MapAdd)),                                  // MAP_ADD
    (148, Entry::Special(Opcode::StoreAttr, Hint::Slot)),                 // STORE_ATTR_SLOT
    (149, Entry::Plain(Opcode::CopyFreeVars)),                            // COPY_FREE_VARS
    (150, Entry::Plain(Opcode::YieldValue)),                              // YIELD_VALUE
    (151, Entry::Plain(Opcode::Resume)),                                  // RESUME
    (152, Entry::Plain(Opcode::MatchClass)),                              // MATCH_CLASS
    (153, Entry::Special(Opcode::StoreAttr, Hint::WithHint)),             // STORE_ATTR_WITH_HINT
    (154, Entry::Plain(Opcode::StoreFast)),                               // STORE_FAST__LOAD_FAST
    (155, Entry::Plain(Opcode::FormatValue)),                             // FORMAT_VALUE
    (156, Entry::Plain(Opcode::BuildConstKeyMap)),                        // BUILD_CONST_KEY_MAP
    (157, Entry::Plain(Opcode::BuildString)),                             // BUILD_STRING
    (158, Entry::Plain(Opcode::StoreFast)),                               // STORE_FAST__STORE_FAST
    (159, Entry::Special(Opcode::StoreSubscr, Hint::DictSet)),            // STORE_SUBSCR_DICT
    (160, Entry::Special(Opcode::StoreSubscr, Hint::ListSetInt)),         // STORE_SUBSCR_LIST_INT
    (161, Entry::Special(Opcode::UnpackSequence, Hint::UnpackList)),      // UNPACK_SEQUENCE_LIST
    (162, Entry::Plain(Opcode::ListExtend)),                              // LIST_EXTEND
    (163, Entry::Plain(Opcode::SetUpdate)),                               // SET_UPDATE
    (164, Entry::Plain(Opcode::DictMerge)),                               // DICT_MERGE
    (165, Entry::Plain(Opcode::DictUpdate)),                              // DICT_UPDATE
    (166, Entry::Special(Opcode::UnpackSequence, Hint::UnpackTuple)),     // UNPACK_SEQUENCE_TUPLE
    (167, Entry::Special(Opcode::UnpackSequence, Hint::UnpackTwoTuple)),  // UNPACK_SEQUENCE_TWO_TUPLE
    (168, Entry::Special(Opcode::Send, Hint::SendGen)),                   // SEND_GEN
    (171, Entry::Plain(Opcode::Call)),                                    // CALL
    (172, Entry::KwNames),                                                // KW_NAMES
    (173, Entry::Plain(Opcode::CallIntrinsic1)),                          // CALL_INTRINSIC_1
    (174, Entry::Plain(Opcode::CallIntrinsic2)),                          // CALL_INTRINSIC_2
    (175, Entry::Plain(Opcode::LoadFromDictOrGlobals)),                   // LOAD_FROM_DICT_OR_GLOBALS
    (176, Entry::Plain(Opcode::LoadFromDictOrDeref)),                     // LOAD_FROM_DICT_OR_DEREF
    (237, Entry::Instrumented(141)),                                      // INSTRUMENTED_LOAD_SUPER_ATTR
    (238, Entry::Instrumented(129)),                                      // INSTRUMENTED_POP_JUMP_IF_NONE
    (239, Entry::Instrumented(128)),                                      // INSTRUMENTED_POP_JUMP_IF_NOT_NONE
    (240, Entry::Instrumented(151)),                                      // INSTRUMENTED_RESUME
    (241, Entry::Instrumented(171)),                                      // INSTRUMENTED_CALL
    (242, Entry::Instrumented(83)),                                       // INSTRUMENTED_RETURN_VALUE
    (243, Entry::Instrumented(150)),                                      // INSTRUMENTED_YIELD_VALUE
    (244, Entry::Instrumented(142)),                                      // INSTRUMENTED_CALL_FUNCTION_EX
    (245, Entry::Instrumented(110)),                                      // INSTRUMENTED_JUMP_FORWARD
    (246, Entry::Instrumented(140)),                                      // INSTRUMENTED_JUMP_BACKWARD
    (247, Entry::Instrumented(121)),                                      // INSTRUMENTED_RETURN_CONST
    (248, Entry::Instrumented(93)),                                       // INSTRUMENTED_FOR_ITER
    (249, Entry::Instrumented(114)),                                      // INSTRUMENTED_POP_JUMP_IF_FALSE
    (250, Entry::Instrumented(115)),                                      // INSTRUMENTED_POP_JUMP_IF_TRUE
    (251, Entry::Instrumented(4)),                                        // INSTRUMENTED_END_FOR
    (252, Entry::Instrumented(5)),                                        // INSTRUMENTED_END_SEND
    (253, Entry::InstrumentedInstruction),                                // INSTRUMENTED_INSTRUCTION
    (254, Entry::InstrumentedLine),                                       // INSTRUMENTED_LINE
];

/// Inline cache units after an opcode.
const CACHES: &[(Opcode, u8)] = &[
    (Opcode::LoadGlobal, 4),
    (Opcode::BinaryOp, 1),
    (Opcode::UnpackSequence, 1),
    (Opcode::CompareOp, 1),
    (Opcode::BinarySubscr, 1),
    (Opcode::ForIter, 1),
    (Opcode::LoadSuperAttr, 1),
    (Opcode::LoadAttr, 9),
    (Opcode::StoreAttr, 4),
    (Opcode::Call, 3),
    (Opcode::StoreSubscr, 1),
    (Opcode::Send, 1),
];

/// The opcodes of CPython 3.12.
pub static TABLE: OpcodeTable = OpcodeTable {
    entries: OpcodeTable::entries(ROWS),
    caches: OpcodeTable::caches(CACHES),
    compare_shift: 4,
    compare_bool: 0,
    for_iter_skip: 1,
    global_index: 2,
    global_module: 3,
    global_builtin: 4,
    branch_history: false,
    quirks: Quirks { null_below_callable: true, jumps_test_truth: true, init_bypasses_vectorcall: false },
};
