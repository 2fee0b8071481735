//! Type feedback, read from specialised opcodes and their inline caches.
//!
//! It tells what the interpreter saw last, so it is a guess: whoever relies on it guards it.

use crate::capi::Obj;
use crate::decode::Units;
use crate::opcodes::{Hint, Opcode, OpcodeTable};

/// What a specialised instruction says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Feedback {
    /// Nothing.
    None,
    /// Both operands are exact compact ints (COMPARE_OP) or exact ints.
    Int,
    /// Both operands are exact floats.
    Float,
    /// Both operands are exact strs.
    Str,
    /// `a += b` on strs, stored into the local that held the left operand.
    StrInPlace,
    /// `list[int]`.
    ListInt,
    /// `tuple[int]`.
    TupleInt,
    /// `str[int]`.
    StrInt,
    /// `dict[key]`.
    DictGet,
    /// A class's Python `__getitem__`.
    GetItemFunction,
    /// `list[int] = value`.
    ListSetInt,
    /// `dict[key] = value`.
    DictSet,
    /// Over a list.
    IterList,
    /// Over a tuple.
    IterTuple,
    /// Over a range.
    IterRange,
    /// Over a generator.
    IterGen,
    /// Sends into a generator or coroutine.
    SendGen,
    /// An inline value of an instance.
    InstanceValue {
        /// Version of the type.
        type_version: u32,
        /// Index into the inline values.
        index: u32,
    },
    /// A slot of an instance.
    Slot {
        /// Version of the type.
        type_version: u32,
        /// Byte offset from the object.
        offset: u32,
    },
    /// An entry of an instance's dict.
    WithHint {
        /// Version of the type.
        type_version: u32,
        /// Likely entry.
        hint: u32,
    },
    /// A module's attribute.
    ModuleAttr {
        /// Version of the module dict's keys.
        keys_version: u32,
        /// Entry in them.
        index: u32,
    },
    /// An attribute of a class.
    ClassAttr {
        /// Version of the class itself.
        type_version: u32,
        /// The value (borrowed).
        value: Obj,
    },
    /// A property with a Python getter.
    Property {
        /// Version of the type.
        type_version: u32,
        /// Version of the getter.
        func_version: u32,
        /// The getter (borrowed).
        getter: Obj,
    },
    /// A Python `__getattribute__`.
    GetAttributeOverridden {
        /// Version of the type.
        type_version: u32,
        /// Version of the function.
        func_version: u32,
        /// The function (borrowed).
        function: Obj,
    },
    /// A method, of an instance with inline values.
    MethodWithValues {
        /// Version of the type.
        type_version: u32,
        /// Version of the type's shared keys: the instance cannot hide the method.
        keys_version: u32,
        /// The function or descriptor (borrowed).
        descr: Obj,
    },
    /// A method, of an instance without a dict.
    MethodNoDict {
        /// Version of the type.
        type_version: u32,
        /// The function or descriptor (borrowed).
        descr: Obj,
    },
    /// A method, of an instance whose dict was never made.
    MethodLazyDict {
        /// Version of the type.
        type_version: u32,
        /// The function or descriptor (borrowed).
        descr: Obj,
    },
    /// A class's plain value read through an instance without a dict.
    NonDescriptorNoDict {
        /// Version of the type.
        type_version: u32,
        /// The value (borrowed).
        value: Obj,
    },
    /// A class's plain value read through an instance with inline values.
    NonDescriptorWithValues {
        /// Version of the type.
        type_version: u32,
        /// Version of the type's shared keys.
        keys_version: u32,
        /// The value (borrowed).
        value: Obj,
    },
    /// `super().attribute`.
    SuperAttr,
    /// `super().method()`.
    SuperMethod,
    /// A global of the module.
    GlobalModule {
        /// Version of the globals' keys.
        keys_version: u32,
        /// Entry in them.
        index: u32,
    },
    /// A built-in.
    GlobalBuiltin {
        /// Version of the globals' keys.
        module_version: u32,
        /// Version of the builtins' keys.
        builtin_version: u32,
        /// Entry in the builtins.
        index: u32,
    },
    /// A Python function with exactly its positional arguments.
    PyCallExact {
        /// Version of the function.
        func_version: u32,
    },
    /// A Python function some of whose defaults are used (3.12).
    PyCallWithDefaults {
        /// Version of the function.
        func_version: u32,
    },
    /// A Python function, any arguments (3.13).
    PyCallGeneral {
        /// Version of the function.
        func_version: u32,
    },
    /// A bound method of a Python function, exact arguments.
    BoundMethodExact {
        /// Version of the function.
        func_version: u32,
    },
    /// A bound method of a Python function, any arguments (3.13).
    BoundMethodGeneral {
        /// Version of the function.
        func_version: u32,
    },
    /// A class with a Python `__init__` (3.13).
    AllocInit {
        /// Version of the class.
        type_version: u32,
    },
    /// A built-in class with vectorcall.
    BuiltinClass,
    /// METH_FASTCALL.
    BuiltinFast,
    /// METH_FASTCALL | METH_KEYWORDS.
    BuiltinFastKeywords,
    /// METH_O.
    BuiltinO,
    /// A method descriptor, METH_FASTCALL.
    MethodFast,
    /// A method descriptor, METH_FASTCALL | METH_KEYWORDS.
    MethodFastKeywords,
    /// A method descriptor, METH_NOARGS.
    MethodNoArgs,
    /// A method descriptor, METH_O.
    MethodO,
    /// Anything that is not a Python function (3.13).
    NonPyGeneral,
    /// The built-in `len`.
    CallLen,
    /// The built-in `isinstance`.
    CallIsinstance,
    /// `list.append`.
    CallListAppend,
    /// `type(x)`.
    CallType1,
    /// `str(x)`.
    CallStr1,
    /// `tuple(x)`.
    CallTuple1,
    /// A tuple of two.
    UnpackTwoTuple,
    /// A tuple.
    UnpackTuple,
    /// A list.
    UnpackList,
    /// Truth of a bool.
    ToBoolBool,
    /// Truth of an int.
    ToBoolInt,
    /// Truth of a list.
    ToBoolList,
    /// Truth of None.
    ToBoolNone,
    /// Truth of a str.
    ToBoolStr,
    /// Truth of an object whose type has neither `__bool__` nor `__len__`.
    ToBoolAlwaysTrue {
        /// Version of the type.
        type_version: u32,
    },
    /// `in` a dict.
    ContainsDict,
    /// `in` a set.
    ContainsSet,
    /// The last 16 outcomes of a conditional jump, newest in the low bit, 1: taken (3.13).
    Branch {
        /// The outcomes; 0x5555 before the first.
        history: u16,
    },
}

impl Feedback {
    /// The version of the class that the interpreter saw where an attribute of an instance is wanted.
    pub fn instance_version(self) -> Option<u32> {
        match self {
            Feedback::InstanceValue { type_version, .. }
            | Feedback::WithHint { type_version, .. }
            | Feedback::Slot { type_version, .. }
            | Feedback::Property { type_version, .. }
            | Feedback::MethodWithValues { type_version, .. }
            | Feedback::MethodNoDict { type_version, .. }
            | Feedback::NonDescriptorNoDict { type_version, .. }
            | Feedback::NonDescriptorWithValues { type_version, .. } => Some(type_version),
            _ => None,
        }
    }
}

/// Reads the caches of the instruction whose opcode is at `at`.
pub(crate) fn read(units: &Units, table: &OpcodeTable, at: u32, op: Opcode, hint: Option<Hint>) -> Feedback {
    // Cache words: +1 counter, +2 and +3 a version; what follows depends on the opcode.
    let version = units.word32(at + 2);
    let index = u32::from(units.word(at + 4));
    let keys_version = units.word32(at + 4);
    let pointer = || units.word64(at + 6) as usize as Obj;
    let Some(hint) = hint else {
        let branches = table.branch_history && is_branch(op);
        return if branches { Feedback::Branch { history: units.word(at + 1) } } else { Feedback::None };
    };
    match hint {
        Hint::Int => Feedback::Int,
        Hint::Float => Feedback::Float,
        Hint::Str => Feedback::Str,
        Hint::StrInPlace => Feedback::StrInPlace,
        Hint::ListInt => Feedback::ListInt,
        Hint::TupleInt => Feedback::TupleInt,
        Hint::StrInt => Feedback::StrInt,
        Hint::DictGet => Feedback::DictGet,
        Hint::GetItemFunction => Feedback::GetItemFunction,
        Hint::ListSetInt => Feedback::ListSetInt,
        Hint::DictSet => Feedback::DictSet,
        Hint::IterList => Feedback::IterList,
        Hint::IterTuple => Feedback::IterTuple,
        Hint::IterRange => Feedback::IterRange,
        Hint::IterGen => Feedback::IterGen,
        Hint::SendGen => Feedback::SendGen,
        Hint::InstanceValue => Feedback::InstanceValue { type_version: version, index },
        Hint::Slot => Feedback::Slot { type_version: version, offset: index },
        Hint::WithHint => Feedback::WithHint { type_version: version, hint: index },
        Hint::ModuleAttr => Feedback::ModuleAttr { keys_version: version, index },
        Hint::ClassAttr => Feedback::ClassAttr { type_version: version, value: pointer() },
        Hint::Property => Feedback::Property { type_version: version, func_version: keys_version, getter: pointer() },
        Hint::GetAttributeOverridden => {
            Feedback::GetAttributeOverridden { type_version: version, func_version: keys_version, function: pointer() }
        }
        Hint::MethodWithValues => Feedback::MethodWithValues { type_version: version, keys_version, descr: pointer() },
        Hint::MethodNoDict => Feedback::MethodNoDict { type_version: version, descr: pointer() },
        Hint::MethodLazyDict => Feedback::MethodLazyDict { type_version: version, descr: pointer() },
        Hint::NonDescriptorNoDict => Feedback::NonDescriptorNoDict { type_version: version, value: pointer() },
        Hint::NonDescriptorWithValues => {
            Feedback::NonDescriptorWithValues { type_version: version, keys_version, value: pointer() }
        }
        Hint::SuperAttr => Feedback::SuperAttr,
        Hint::SuperMethod => Feedback::SuperMethod,
        Hint::GlobalModule => Feedback::GlobalModule {
            keys_version: u32::from(units.word(at + u32::from(table.global_module))),
            index: u32::from(units.word(at + u32::from(table.global_index))),
        },
        Hint::GlobalBuiltin => Feedback::GlobalBuiltin {
            module_version: u32::from(units.word(at + u32::from(table.global_module))),
            builtin_version: u32::from(units.word(at + u32::from(table.global_builtin))),
            index: u32::from(units.word(at + u32::from(table.global_index))),
        },
        Hint::PyCallExact => Feedback::PyCallExact { func_version: version },
        Hint::PyCallWithDefaults => Feedback::PyCallWithDefaults { func_version: version },
        Hint::PyCallGeneral => Feedback::PyCallGeneral { func_version: version },
        Hint::BoundMethodExact => Feedback::BoundMethodExact { func_version: version },
        Hint::BoundMethodGeneral => Feedback::BoundMethodGeneral { func_version: version },
        Hint::AllocInit => Feedback::AllocInit { type_version: version },
        Hint::BuiltinClass => Feedback::BuiltinClass,
        Hint::BuiltinFast => Feedback::BuiltinFast,
        Hint::BuiltinFastKeywords => Feedback::BuiltinFastKeywords,
        Hint::BuiltinO => Feedback::BuiltinO,
        Hint::MethodFast => Feedback::MethodFast,
        Hint::MethodFastKeywords => Feedback::MethodFastKeywords,
        Hint::MethodNoArgs => Feedback::MethodNoArgs,
        Hint::MethodO => Feedback::MethodO,
        Hint::NonPyGeneral => Feedback::NonPyGeneral,
        Hint::CallLen => Feedback::CallLen,
        Hint::CallIsinstance => Feedback::CallIsinstance,
        Hint::CallListAppend => Feedback::CallListAppend,
        Hint::CallType1 => Feedback::CallType1,
        Hint::CallStr1 => Feedback::CallStr1,
        Hint::CallTuple1 => Feedback::CallTuple1,
        Hint::UnpackTwoTuple => Feedback::UnpackTwoTuple,
        Hint::UnpackTuple => Feedback::UnpackTuple,
        Hint::UnpackList => Feedback::UnpackList,
        Hint::ToBoolBool => Feedback::ToBoolBool,
        Hint::ToBoolInt => Feedback::ToBoolInt,
        Hint::ToBoolList => Feedback::ToBoolList,
        Hint::ToBoolNone => Feedback::ToBoolNone,
        Hint::ToBoolStr => Feedback::ToBoolStr,
        Hint::ToBoolAlwaysTrue => Feedback::ToBoolAlwaysTrue { type_version: version },
        Hint::ContainsDict => Feedback::ContainsDict,
        Hint::ContainsSet => Feedback::ContainsSet,
    }
}

/// Whether it is a conditional jump.
pub(crate) fn is_branch(op: Opcode) -> bool {
    matches!(op, Opcode::PopJumpIfTrue | Opcode::PopJumpIfFalse | Opcode::PopJumpIfNone | Opcode::PopJumpIfNotNone)
}

/// The specialiser's counter before an instruction's first run: one more run, backoff 1.
const WARMUP: u16 = 1 << 4 | 1;
/// A conditional jump's history before its first run.
const NO_HISTORY: u16 = 0x5555;

/// Whether an unspecialised instruction has run, as far as its counter tells.
pub(crate) fn ran(units: &Units, table: &OpcodeTable, at: u32, op: Opcode) -> bool {
    if is_branch(op) {
        return !table.branch_history || units.word(at + 1) != NO_HISTORY;
    }
    table.caches[op as usize] == 0 || op == Opcode::JumpBackward || units.word(at + 1) != WARMUP
}
