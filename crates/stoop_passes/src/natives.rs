//! Built-in functions and methods that run no Python code and change nothing, given arguments of these classes.
//!
//! One row a signature: the callable's name, its arguments' exact classes (self first, for a method), the class of what it
//! yields. They may raise. (`id` is none of them: it tells audit hooks.) Where several rows have a name, the first one is
//! what is guessed of arguments nothing is known of.

use stoop_ir::Class::{self, *};

/// A row.
pub(crate) struct Native {
    name: &'static str,
    /// `None`: anything.
    args: &'static [Option<Class>],
    /// The class of the result; `None` if that depends.
    pub(crate) result: Option<Class>,
}

macro_rules! natives {
    ($($name:literal ($($arg:tt)*) -> $result:tt;)*) => {
        static TABLE: &[Native] = &[$(Native { name: $name, args: &[$(natives!(@ $arg)),*], result: natives!(@ $result) }),*];
    };
    (@ _) => { None };
    (@ $class:tt) => { Some($class) };
}

natives! {
    "str.startswith" (Str Str) -> Bool;
    "str.startswith" (Str Tuple) -> Bool;
    "str.startswith" (Str Str Int) -> Bool;
    "str.startswith" (Str Tuple Int) -> Bool;
    "str.startswith" (Str Str Int Int) -> Bool;
    "str.endswith" (Str Str) -> Bool;
    "str.endswith" (Str Tuple) -> Bool;
    "str.find" (Str Str) -> Int;
    "str.find" (Str Str Int) -> Int;
    "str.find" (Str Str Int Int) -> Int;
    "str.rfind" (Str Str) -> Int;
    "str.rfind" (Str Str Int) -> Int;
    "str.rfind" (Str Str Int Int) -> Int;
    "str.index" (Str Str) -> Int;
    "str.index" (Str Str Int) -> Int;
    "str.rindex" (Str Str) -> Int;
    "str.count" (Str Str) -> Int;
    "str.isdigit" (Str) -> Bool;
    "str.isdecimal" (Str) -> Bool;
    "str.isnumeric" (Str) -> Bool;
    "str.isalpha" (Str) -> Bool;
    "str.isalnum" (Str) -> Bool;
    "str.isspace" (Str) -> Bool;
    "str.isupper" (Str) -> Bool;
    "str.islower" (Str) -> Bool;
    "str.istitle" (Str) -> Bool;
    "str.isascii" (Str) -> Bool;
    "str.isidentifier" (Str) -> Bool;
    "str.isprintable" (Str) -> Bool;
    "str.strip" (Str) -> Str;
    "str.strip" (Str Str) -> Str;
    "str.lstrip" (Str) -> Str;
    "str.lstrip" (Str Str) -> Str;
    "str.rstrip" (Str) -> Str;
    "str.rstrip" (Str Str) -> Str;
    "str.lower" (Str) -> Str;
    "str.upper" (Str) -> Str;
    "str.title" (Str) -> Str;
    "str.capitalize" (Str) -> Str;
    "str.swapcase" (Str) -> Str;
    "str.casefold" (Str) -> Str;
    "str.zfill" (Str Int) -> Str;
    "str.ljust" (Str Int) -> Str;
    "str.ljust" (Str Int Str) -> Str;
    "str.rjust" (Str Int) -> Str;
    "str.rjust" (Str Int Str) -> Str;
    "str.center" (Str Int) -> Str;
    "str.center" (Str Int Str) -> Str;
    "str.replace" (Str Str Str) -> Str;
    "str.replace" (Str Str Str Int) -> Str;
    "str.removeprefix" (Str Str) -> Str;
    "str.removesuffix" (Str Str) -> Str;
    "str.split" (Str) -> List;
    "str.split" (Str Str) -> List;
    "str.split" (Str NoneType) -> List;
    "str.split" (Str Str Int) -> List;
    "str.split" (Str NoneType Int) -> List;
    "str.rsplit" (Str) -> List;
    "str.rsplit" (Str Str) -> List;
    "str.rsplit" (Str Str Int) -> List;
    "str.splitlines" (Str) -> List;
    "str.partition" (Str Str) -> Tuple;
    "str.rpartition" (Str Str) -> Tuple;
    "str.join" (Str List) -> Str;
    "str.join" (Str Tuple) -> Str;
    "str.encode" (Str) -> Bytes;
    "bytes.startswith" (Bytes Bytes) -> Bool;
    "bytes.endswith" (Bytes Bytes) -> Bool;
    "bytes.find" (Bytes Bytes) -> Int;
    "bytes.find" (Bytes Bytes Int) -> Int;
    "bytes.decode" (Bytes) -> Str;
    "bytes.hex" (Bytes) -> Str;
    "int.bit_length" (Int) -> Int;
    "int.bit_count" (Int) -> Int;
    "float.is_integer" (Float) -> Bool;
    "dict.copy" (Dict) -> Dict;
    "dict.keys" (Dict) -> _;
    "dict.values" (Dict) -> _;
    "dict.items" (Dict) -> _;
    "list.copy" (List) -> List;
    "set.copy" (Set) -> Set;
    "builtins.callable" (_) -> Bool;
    "builtins.hash" (Str) -> Int;
    "builtins.hash" (Int) -> Int;
    "builtins.hash" (Float) -> Int;
    "builtins.repr" (Int) -> Str;
    "builtins.repr" (Str) -> Str;
    "builtins.repr" (Float) -> Str;
    "builtins.hex" (Int) -> Str;
    "builtins.oct" (Int) -> Str;
    "builtins.bin" (Int) -> Str;
    "builtins.divmod" (Int Int) -> Tuple;
}

/// The row at a place that [`find`] yielded.
pub(crate) fn row(k: u16) -> &'static Native {
    &TABLE[usize::from(k)]
}

impl Native {
    /// The class that argument `k` has to have, self counted; `None` if any will do.
    pub(crate) fn class(&self, k: usize) -> Option<Class> {
        self.args[k]
    }
}

/// The row for a call: what is known of the arguments' classes, self first; `None` of those nothing is known of,
/// which may be guessed if `guess` says so.
pub(crate) fn find(name: &str, args: &[Option<Class>], guess: bool) -> Option<u16> {
    let fits = |row: &Native| {
        row.name == name
            && row.args.len() == args.len()
            && row.args.iter().zip(args).all(|(wanted, known)| wanted.is_none() || wanted == known || guess && known.is_none())
    };
    TABLE.iter().position(fits).map(|k| k as u16)
}
