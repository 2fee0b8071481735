//! The type lattice of the IR.
//!
//! `MaybeNull` ⊃ `Obj` ⊃ `Exact(class)`, `Heap(version)`; beside them the unboxed `I64`, `F64`, `I1`.

use crate::table::text_enum;

text_enum! {
    /// A built-in class whose exact instances the compiler knows.
    pub enum Class {
        /// `int`, of any size.
        Int = "int",
        /// `float`.
        Float = "float",
        /// `bool`.
        Bool = "bool",
        /// `NoneType`.
        NoneType = "none",
        /// `str`.
        Str = "str",
        /// `bytes`.
        Bytes = "bytes",
        /// `list`.
        List = "list",
        /// `tuple`.
        Tuple = "tuple",
        /// `dict`.
        Dict = "dict",
        /// `set`.
        Set = "set",
        /// `frozenset`.
        FrozenSet = "frozenset",
        /// `range`.
        Range = "range",
        /// `range_iterator`.
        RangeIter = "range_iter",
        /// `list_iterator`.
        ListIter = "list_iter",
        /// `tuple_iterator`.
        TupleIter = "tuple_iter",
        /// `slice`.
        Slice = "slice",
        /// A Python function.
        Function = "function",
        /// A built-in function or method object.
        Builtin = "builtin",
        /// A bound method.
        Method = "method",
        /// A module.
        Module = "module",
        /// A cell.
        Cell = "cell",
        /// `complex`.
        Complex = "complex",
        /// `bytearray`.
        ByteArray = "bytearray",
        /// `type` itself (a class object whose metaclass is exactly `type`).
        Type = "type",
        /// `array.array` of typecode `d`.
        ArrayD = "array_d",
        /// `array.array` of typecode `f`.
        ArrayF = "array_f",
        /// `array.array` of typecode `b`.
        ArrayI8 = "array_i8",
        /// `array.array` of typecode `B`.
        ArrayU8 = "array_u8",
        /// `array.array` of typecode `h`.
        ArrayI16 = "array_i16",
        /// `array.array` of typecode `H`.
        ArrayU16 = "array_u16",
        /// `array.array` of typecode `i`.
        ArrayI = "array_i",
        /// `array.array` of typecode `I`.
        ArrayU = "array_u",
        /// `array.array` of typecode `l`.
        ArrayL = "array_l",
        /// `array.array` of typecode `q`.
        ArrayQ = "array_q",
    }
}

/// What an `array.array` holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Element {
    /// The typecode.
    pub code: u8,
    /// Bytes an item.
    pub bytes: u8,
    /// Whether items are floats.
    pub is_float: bool,
    /// Whether items are ints without a sign.
    pub is_unsigned: bool,
}

impl Element {
    /// The known ones, each with the class of such arrays.
    pub const ALL: [(Class, Element); 10] = [
        (Class::ArrayD, Element::new(b'd', 8)),
        (Class::ArrayF, Element::new(b'f', 4)),
        (Class::ArrayI8, Element::new(b'b', 1)),
        (Class::ArrayU8, Element::new(b'B', 1)),
        (Class::ArrayI16, Element::new(b'h', 2)),
        (Class::ArrayU16, Element::new(b'H', 2)),
        (Class::ArrayI, Element::new(b'i', 4)),
        (Class::ArrayU, Element::new(b'I', 4)),
        (Class::ArrayL, Element::new(b'l', 8)),
        (Class::ArrayQ, Element::new(b'q', 8)),
    ];

    const fn new(code: u8, bytes: u8) -> Element {
        Element { code, bytes, is_float: matches!(code, b'd' | b'f'), is_unsigned: code.is_ascii_uppercase() }
    }

    /// The element of a typecode.
    pub fn from_code(code: i64) -> Option<Element> {
        Element::ALL.iter().map(|(_, e)| *e).find(|e| i64::from(e.code) == code)
    }

    /// The least and the greatest int an item can be.
    pub fn range(self) -> (i64, i64) {
        let bits = 8 * u32::from(self.bytes);
        if self.is_unsigned { (0, (1 << bits) - 1) } else { (i64::MIN >> (64 - bits), i64::MAX >> (64 - bits)) }
    }
}

impl Class {
    /// What instances hold, if the class is `array.array` of a known typecode.
    pub fn array_element(self) -> Option<Element> {
        Element::ALL.iter().find(|(c, _)| *c == self).map(|(_, e)| *e)
    }
}

/// The static type of a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Type {
    /// No value.
    Void,
    /// An unboxed 64-bit signed integer; its box is a Python `int`.
    I64,
    /// An unboxed double; its box is a Python `float`.
    F64,
    /// An unboxed truth value; its box is a Python `bool`.
    I1,
    /// The interpreter's NULL stack entry.
    Null,
    /// A reference or NULL (an unbound local, an exhausted iterator's result).
    MaybeNull,
    /// A reference to any object.
    Obj,
    /// A reference to an exact instance of a built-in class.
    Exact(Class),
    /// A reference to an instance of the type with this version tag.
    Heap(u32),
}

impl Type {
    /// Whether a value of this type is a pointer to a Python object (or NULL).
    pub fn is_ref(self) -> bool {
        matches!(self, Type::Null | Type::MaybeNull | Type::Obj | Type::Exact(_) | Type::Heap(_))
    }

    /// Whether this is one of the unboxed types.
    pub fn is_unboxed(self) -> bool {
        matches!(self, Type::I64 | Type::F64 | Type::I1)
    }

    /// The exact built-in class of the (boxed or unboxed) value, if known.
    pub fn class(self) -> Option<Class> {
        match self {
            Type::I64 => Some(Class::Int),
            Type::F64 => Some(Class::Float),
            Type::I1 => Some(Class::Bool),
            Type::Exact(c) => Some(c),
            _ => None,
        }
    }

    /// The type of the box of an unboxed value; other types are their own box.
    pub fn boxed(self) -> Type {
        match self {
            Type::I64 => Type::Exact(Class::Int),
            Type::F64 => Type::Exact(Class::Float),
            Type::I1 => Type::Exact(Class::Bool),
            t => t,
        }
    }

    /// The unboxed form of a class, where there is one.
    pub fn unboxed(class: Class) -> Option<Type> {
        match class {
            Class::Int => Some(Type::I64),
            Class::Float => Some(Type::F64),
            Class::Bool => Some(Type::I1),
            _ => None,
        }
    }

    /// The least type that both are members of, comparing by box.
    ///
    /// Unboxed and boxed forms of one class join to the boxed class.
    pub fn join(self, other: Type) -> Type {
        let (a, b) = (self, other);
        if a == b {
            return a;
        }
        let (a, b) = (a.boxed(), b.boxed());
        if a == b {
            return a;
        }
        match (a, b) {
            (Type::Void, _) | (_, Type::Void) => Type::Void,
            (Type::Null | Type::MaybeNull, _) | (_, Type::Null | Type::MaybeNull) => Type::MaybeNull,
            _ => Type::Obj,
        }
    }

    /// Whether every value of this type is also one of `other`. Boxed and unboxed forms are not each other's.
    pub fn is_subtype_of(self, other: Type) -> bool {
        self == other
            || match other {
                Type::MaybeNull => self.is_ref(),
                Type::Obj => matches!(self, Type::Exact(_) | Type::Heap(_)),
                _ => false,
            }
    }

    /// Whether dropping the last reference to a value of this type can never run Python code.
    ///
    /// Containers are excluded: their items may have finalisers.
    pub fn drop_is_silent(self) -> bool {
        matches!(self, Type::I64 | Type::F64 | Type::I1 | Type::Null | Type::Void)
            || matches!(
                self,
                Type::Exact(
                    Class::Int
                        | Class::Float
                        | Class::Bool
                        | Class::NoneType
                        | Class::Str
                        | Class::Bytes
                        | Class::Range
                        | Class::RangeIter
                        | Class::Complex
                        | Class::ByteArray
                )
            )
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Type::Void => f.write_str("void"),
            Type::I64 => f.write_str("i64"),
            Type::F64 => f.write_str("f64"),
            Type::I1 => f.write_str("i1"),
            Type::Null => f.write_str("null"),
            Type::MaybeNull => f.write_str("maybe"),
            Type::Obj => f.write_str("obj"),
            Type::Exact(c) => f.write_str(c.text()),
            Type::Heap(v) => write!(f, "heap:{v}"),
        }
    }
}

impl std::str::FromStr for Type {
    type Err = String;
    fn from_str(s: &str) -> Result<Type, String> {
        Ok(match s {
            "void" => Type::Void,
            "i64" => Type::I64,
            "f64" => Type::F64,
            "i1" => Type::I1,
            "null" => Type::Null,
            "maybe" => Type::MaybeNull,
            "obj" => Type::Obj,
            _ => {
                if let Some(v) = s.strip_prefix("heap:") {
                    Type::Heap(v.parse().map_err(|_| format!("bad type version in {s:?}"))?)
                } else {
                    Type::Exact(Class::from_text(s).ok_or_else(|| format!("unknown type {s:?}"))?)
                }
            }
        })
    }
}
