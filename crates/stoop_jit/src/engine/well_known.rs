//! Builtins whose meaning the compiler knows, recognised by identity.

use std::sync::OnceLock;

use stoop_cpython::capi::{self, Obj};
use stoop_cpython::layout::{self, read};
use stoop_cpython::objects;
use stoop_ir::Class;

use super::classes;

struct Row {
    /// The name the passes know it by.
    name: &'static str,
    address: usize,
}

static TABLE: OnceLock<Vec<Row>> = OnceLock::new();
/// Functions of `math`, once the program has imported it.
static MATH: OnceLock<Vec<Row>> = OnceLock::new();
const MATH_NAMES: &[(&str, &str)] = &[
    ("sqrt", "math.sqrt"),
    ("sin", "math.sin"),
    ("cos", "math.cos"),
    ("tan", "math.tan"),
    ("asin", "math.asin"),
    ("acos", "math.acos"),
    ("atan", "math.atan"),
    ("sinh", "math.sinh"),
    ("cosh", "math.cosh"),
    ("tanh", "math.tanh"),
    ("exp", "math.exp"),
    ("log", "math.log"),
    ("log2", "math.log2"),
    ("log10", "math.log10"),
];

/// Attributes to look up: module, attribute (a dot goes through a class).
const NAMES: &[(&str, &str, &str)] = &[
    ("builtins", "len", "builtins.len"),
    ("builtins", "abs", "builtins.abs"),
    ("builtins", "range", "builtins.range"),
    ("builtins", "int", "builtins.int"),
    ("builtins", "float", "builtins.float"),
    ("builtins", "str", "builtins.str"),
    ("builtins", "list", "builtins.list"),
    ("builtins", "tuple", "builtins.tuple"),
    ("builtins", "set", "builtins.set"),
    ("builtins", "dict", "builtins.dict"),
    ("builtins", "enumerate", "builtins.enumerate"),
    ("builtins", "zip", "builtins.zip"),
    ("builtins", "isinstance", "builtins.isinstance"),
    ("builtins", "getattr", "builtins.getattr"),
    ("builtins", "hasattr", "builtins.hasattr"),
    ("builtins", "any", "builtins.any"),
    ("builtins", "all", "builtins.all"),
    ("builtins", "sum", "builtins.sum"),
    ("builtins", "min", "builtins.min"),
    ("builtins", "max", "builtins.max"),
    ("builtins", "round", "builtins.round"),
    ("builtins", "type", "builtins.type"),
    ("builtins", "sorted", "builtins.sorted"),
    ("builtins", "callable", "builtins.callable"),
    ("builtins", "hash", "builtins.hash"),
    ("builtins", "repr", "builtins.repr"),
    ("builtins", "hex", "builtins.hex"),
    ("builtins", "oct", "builtins.oct"),
    ("builtins", "bin", "builtins.bin"),
    ("builtins", "divmod", "builtins.divmod"),
    ("builtins", "ord", "builtins.ord"),
    ("builtins", "chr", "builtins.chr"),
    ("sys", "getrefcount", "sys.getrefcount"),
    ("builtins", "set.add", "set.add"),
    ("builtins", "list.append", "list.append"),
    ("builtins", "list.sort", "list.sort"),
    ("builtins", "list.pop", "list.pop"),
    ("builtins", "list.insert", "list.insert"),
];

/// Looks the objects up. Called when the engine starts, before any user code can have changed them in its sight.
///
/// # Safety
/// The GIL is held.
pub unsafe fn start() {
    TABLE.get_or_init(|| NAMES.iter().filter_map(|(m, attr, name)| Some(Row { name, address: find(m, attr)? })).collect());
}

fn find(module: &str, attr: &str) -> Option<usize> {
    let m = std::ffi::CString::new(module).ok()?;
    // SAFETY: the GIL is held; references are kept for ever, as the table is.
    unsafe {
        let mut o = capi::PyImport_ImportModule(m.as_ptr());
        for part in attr.split('.') {
            if o.is_null() {
                capi::PyErr_Clear();
                return None;
            }
            let a = std::ffi::CString::new(part).ok()?;
            o = capi::PyObject_GetAttrString(o, a.as_ptr());
        }
        if o.is_null() {
            capi::PyErr_Clear();
            return None;
        }
        Some(o as usize)
    }
}

/// The name of a well-known object.
pub fn name_of(o: Obj) -> Option<&'static str> {
    let found = TABLE.get()?.iter().find(|r| r.address == o as usize).map(|r| r.name);
    found.or_else(|| math()?.iter().find(|r| r.address == o as usize).map(|r| r.name))
}

/// The well-known object of that name.
pub fn object(name: &str) -> Obj {
    let found = TABLE.get().and_then(|t| t.iter().find(|r| r.name == name));
    found.expect("a name of the table").address as Obj
}

/// What `math` has, if the program has imported it: the engine imports nothing of its own.
fn math() -> Option<&'static [Row]> {
    if let Some(rows) = MATH.get() {
        return Some(rows);
    }
    // SAFETY: the GIL is held; `sys.modules` is an exact dict.
    let loaded = unsafe { capi::PyDict_GetItemString(capi::PyImport_GetModuleDict(), c"math".as_ptr()) };
    if loaded.is_null() {
        return None;
    }
    let rows = MATH_NAMES.iter().filter_map(|(attr, name)| Some(Row { name, address: find("math", attr)? })).collect();
    Some(MATH.get_or_init(|| rows))
}

/// The name of the well-known method with this `PyMethodDef`, for built-in methods that are bound already.
///
/// # Safety
/// The GIL is held.
pub unsafe fn method_name(definition: u64) -> Option<&'static str> {
    let descriptors = TABLE.get()?.iter().filter(|r| r.name.starts_with("list.") || r.name.starts_with("set."));
    // SAFETY: what such well-known names stand for are method descriptors, kept alive by the table.
    let found = descriptors.filter(|r| unsafe { read::<u64, _>(r.address as Obj, layout::get().methoddescr_def) } == definition);
    found.map(|r| r.name).next()
}

/// The name of a method of a built-in class, such as `str.find`.
pub fn method_text(o: Obj) -> Option<String> {
    // SAFETY: a live object, the GIL held.
    let (owner, name) = unsafe { stoop_cpython::natives::method_of(o) }?;
    let class = super::classes::all().into_iter().find(|(_, ty)| *ty == owner as u64)?.0;
    Some(format!("{class}.{name}"))
}

/// A text for a constant: exact for numbers and truth values, a qualified name for well-known builtins.
pub fn describe(o: Obj) -> String {
    const SHOWN: usize = 40;
    // SAFETY: `o` is alive, of the class found.
    unsafe {
        match classes::class_of(o) {
            Some(Class::Int) => objects::wide_value(o).map_or_else(|| "big".to_owned(), |v| v.to_string()),
            Some(Class::Float) => format!("{:?}", objects::float_value(o)),
            Some(Class::Bool) => if o == capi::py_true() { "True" } else { "False" }.to_owned(),
            Some(Class::Str) => objects::str_text(o).chars().take(SHOWN).collect(),
            _ => match name_of(o) {
                Some(name) => name.to_owned(),
                None => method_text(o).unwrap_or_else(|| objects::type_name(capi::type_of(o))),
            },
        }
    }
}
