//! The front end: bytecode to SSA.
//!
//! An abstract stack is run over the reachable blocks from one entry. Values on it remember whether compiled code
//! owns their reference; a value read from a local is borrowed from the local's slot and gets its own reference only
//! when the slot is about to change or a block ends. Every instruction that may leave or raise carries the frame
//! state of its instruction; instructions that may have run Python code are followed by a safe point.
//!
//! Never runs Python code: what it must know of the running program it asks of an [`Environment`].

mod attributes;
pub mod blocks;
mod builder;
mod calls;
mod construct;
mod consumers;
mod containers;
mod edges;
mod flow;
mod functions;
mod globals;
mod handlers;
mod inline;
mod instrs;
pub mod left;
mod level;
mod lists;
mod operators;
mod special;
mod supers;
mod walks;

pub use builder::{BuildError, Built, Copies, Entry, Inlined, Peel, Request, Role, build};
pub use consumers::Consumer;
pub use handlers::cold_handler;
pub use instrs::{EMPTY_LOOP, NEVER_RAN};
pub use operators::{binary_op, comparison};
pub use special::method_names;

use stoop_cpython::objects::ListWays;
use stoop_ir::Class;

/// An object known while compiling, which the engine keeps alive for the compiled code.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its address.
    pub address: u64,
    /// Its exact built-in class, if one of the known ones.
    pub class: Option<Class>,
    /// For ints and floats their exact repr; for well-known builtins their qualified name; else a description.
    pub text: String,
}

/// What calling a plain class does.
#[derive(Clone, Debug)]
pub struct Constructor {
    /// The class's version.
    pub version: u32,
    /// Its `__init__`, if it has one.
    pub init: Option<Known>,
    /// Whether instances have a finaliser, which may look at the frame when one is dropped.
    pub finalises: bool,
}

/// Where instances of a class have an attribute.
#[derive(Clone, Debug)]
pub enum Place {
    /// Among the inline values, at this index.
    Field(u32),
    /// In a slot, at this byte offset.
    Slot(u32),
    /// At this place in the object's own dict.
    Entry(u32),
    /// It is this object of the class's, while the object's own dict has none.
    Unless(Known),
    /// It is this object of the class's, while the class's shared keys have this version (0: always).
    Value(Known, u32),
    /// What this function returns for the instance.
    Property(Known),
}

/// What fills a parameter.
#[derive(Clone, Debug)]
pub enum Source {
    /// The argument at this place in the call.
    Given(usize),
    /// A default.
    Default(Known),
}

/// What a call through `super` calls.
pub struct SuperMethod {
    /// The version of the object's class.
    pub version: u32,
    /// The class that is named.
    pub class: Known,
    /// The method.
    pub method: Known,
}

/// More classes than this at one place, and it is left to a look-up at run time.
pub const MOST_CLASSES: usize = 4;

/// What the front end may ask of the running program. No answer may run Python code.
pub trait Environment {
    /// The value of a global or builtin that compiled code may rely on (the engine watches it).
    fn global(&mut self, name_index: u32) -> Option<Known>;
    /// Where the dict keeps the value of a global, and what it is; `None` if it has none there. `stores`: compiled code is
    /// going to replace it there.
    fn home(&mut self, name_index: u32, stores: bool) -> Option<(u64, u64)>;
    /// The same for reading a module's attribute.
    fn module_home(&mut self, module: u64, name_index: u32) -> Option<(u64, u64)>;
    /// Whether LOAD_NAME and STORE_NAME are about the globals: in the code of a module that is running.
    fn names_are_globals(&self) -> bool;
    /// The local slot, behind the frame's own, of a global that the loop of a module itself stores, and that nobody else
    /// stores while it runs.
    fn own_variable(&mut self, name_index: u32) -> Option<u32>;
    /// Whether the function being inlined has the globals of the region's own code.
    fn shares_globals(&self) -> bool;
    /// A constant of the code object.
    fn constant(&mut self, index: u32) -> Known;
    /// The value of a module's attribute that compiled code may rely on.
    fn module_attribute(&mut self, module: u64, name_index: u32) -> Option<Known>;
    /// `None`.
    fn none(&mut self) -> Known;
    /// `AssertionError`, the builtin.
    fn assertion_error(&mut self) -> Known;
    /// What an attribute of that name is on the type with that version, if that is the given class or a built-in one: the
    /// interpreter's own caches may name objects that are gone.
    fn type_attribute(&mut self, class: Option<u64>, version: u32, name_index: u32) -> Option<Known>;
    /// The classes of the objects whose attribute is wanted at a code unit, as far as they are known: those met by
    /// guards, and the one with the version that the interpreter saw. None where there are too many.
    fn classes(&mut self, unit: u32, seen: Option<u32>) -> Vec<u64>;
    /// Those of these that are well-known built-in ones.
    fn classes_met(&mut self, unit: u32) -> Vec<Class>;
    /// Classes that may come there as well: those met where an attribute of the same variable is wanted elsewhere in the
    /// code. None where there are too many.
    fn classes_elsewhere(&mut self, unit: u32) -> Vec<u64>;
    /// The live class with a version.
    fn class_of_version(&self, version: u32) -> Option<u64>;
    /// Where instances of a class have the dict that is made when it is first wanted: a byte offset.
    fn dict_offset(&self, class: u64) -> Option<u32>;
    /// A class's version, and where its instances have an attribute (that is to be called at once: `method`).
    fn load_place(&mut self, class: u64, name_index: u32, method: bool) -> Option<(u32, Place)>;
    /// The same for instances with dicts of their own instead of inline values, as far as there is reason to expect that:
    /// the interpreter saw one with this version, and where in it (`seen`), or an example has one.
    fn dict_place(
        &mut self,
        class: u64,
        name_index: u32,
        method: bool,
        seen: Option<(u32, u32)>,
        example: Option<u64>,
    ) -> Option<(u32, Place)>;
    /// What an example has under a name in its own dict.
    fn example_entry(&self, object: u64, name_index: u32) -> Option<u64>;
    /// An example's class, if it is one made in Python.
    fn made_class(&self, object: u64) -> Option<u64>;
    /// A name's object.
    fn name(&mut self, name_index: u32) -> Known;
    /// The version of a class that is an instance of `type` itself, and what its attribute is; `true` for a function
    /// that is to be bound to the class.
    fn class_attribute(&mut self, class: u64, name_index: u32) -> Option<(u32, Known, bool)>;
    /// What fills the parameters of a function, if it takes positional arguments by the interpreter's rules: with so
    /// many given by position, then those of this tuple of names. The region relies on the function's defaults.
    fn bind(&mut self, function: u64, positional: u32, names: Option<u64>) -> Option<Vec<Source>>;
    /// Whether calls of a function make generators or coroutines, and nothing but its parameters has to be known.
    fn makes_generators(&self, function: u64) -> bool {
        let function = function as stoop_cpython::capi::Obj;
        // SAFETY: a live function.
        unsafe { stoop_cpython::fresh_generator::makes_generators(stoop_cpython::inspect::function_code(function)) }
    }
    /// Whether calls of functions with this code, which have no defaults that matter, make generators of so many arguments.
    fn makes_generators_of(&self, code: u64, arguments: usize) -> bool {
        let code = code as stoop_cpython::capi::Obj;
        // SAFETY: a constant, which is a code object.
        unsafe {
            stoop_cpython::fresh_generator::makes_generators(code) && stoop_cpython::inspect::argument_count(code) == arguments
        }
    }
    /// The interned str that a constant is equal to, if it is an exact str.
    fn interned(&mut self, text: u64) -> Option<Known>;
    /// The classes in a constant, if it is a tuple of a few instances of `type` itself.
    fn classes_in(&mut self, tuple: u64) -> Option<Vec<Known>>;
    /// How many items a constant tuple has.
    fn tuple_len(&self, tuple: u64) -> usize;
    /// The same for storing: a field or a slot.
    fn store_place(&mut self, class: u64, name_index: u32) -> Option<(u32, Place)>;
    /// Goes into a function that is to be inlined: later questions are about its code, until [`Environment::leave`].
    /// `None` if it can't be: not a plain function, wrong number of arguments, too large, refused before.
    fn enter(&mut self, function: u64, arguments: u32) -> Option<std::sync::Arc<stoop_cpython::decode::CodeInfo>>;
    /// Goes into the code of a generator expression, whose function the region makes; as [`Environment::enter`].
    fn enter_expression(&mut self, code: u64) -> Option<std::sync::Arc<stoop_cpython::decode::CodeInfo>>;
    /// What an argument slot of the function last entered gets when the call does not give it.
    fn default(&mut self, slot: u32) -> Known;
    /// What calling a class with so many arguments does, if that is plain: an instance is made as `object` does it, and
    /// `__init__` is a Python function, or there is none and no argument.
    fn constructor(&mut self, class: u64, arguments: u32) -> Option<Constructor>;
    /// Comes back from the function last entered.
    fn leave(&mut self);
    /// An object that a local slot holds now. Examples tell what to expect, never what is.
    fn example_local(&self, slot: u32) -> Option<u64>;
    /// The sequence that the iterator in a stack slot goes through.
    fn example_stack_sequence(&self, depth: u32) -> Option<u64>;
    /// What is at a position of an example list or tuple, or in a str.
    fn example_item(&self, container: u64, position: usize) -> Option<u64>;
    /// An inline attribute value of an example of that type version.
    fn example_field(&mut self, object: u64, version: u32, index: u32) -> Option<u64>;
    /// The exact class of an example.
    fn example_class(&self, object: u64) -> Option<Class>;
    /// The version of a class, and the Python function that is its special method of that name.
    fn special_method(&mut self, class: u64, name: &str) -> Option<(u32, Known)>;
    /// The method that `super(class, o).name` finds for an `o` of class `own`, where calls need not bind it.
    fn super_method(&mut self, class: u64, own: u64, name_index: u32) -> Option<SuperMethod>;
    /// Whether an object is `super` itself.
    fn is_super(&self, object: u64) -> bool;
    /// The class that the n-th cell of the region's function's closure holds.
    fn closure_class(&self, n: u32) -> Option<u64>;
    /// Whether `a OP b` asks a method of `a` first, whatever the class of `b` has: that is no subclass.
    fn goes_first(&self, a: u64, b: u64) -> bool;
    /// The version of a class.
    fn class_version(&self, class: u64) -> Option<u32>;
    /// The version of a class that derives from `list`, and which of lists' ways it has kept.
    fn derived_list(&self, class: u64) -> Option<(u32, ListWays)>;
    /// Whether a class was made by the program, and no metaclass says what calling it does.
    fn is_made(&self, class: u64) -> bool;
    /// Whether instances of a class are compared by identity, as `object` does it.
    fn compares_by_identity(&self, class: u64) -> bool;
    /// Whether a class, which is no built-in one, has an attribute of that name.
    fn class_has(&self, class: u64, name: &str) -> bool;
    /// The class of an example.
    fn type_of(&self, object: u64) -> u64;
    /// `list.sort`.
    fn list_sort(&mut self) -> Known;
    /// `NotImplemented`.
    fn not_implemented(&mut self) -> Known;
    /// Whether a type version is that of a built-in class.
    fn is_version_of(&self, class: Class, version: u32) -> bool;
    /// Whether speculation at this code unit has failed too often.
    fn is_generic(&self, unit: u32) -> bool;
    /// Whether drops before this code unit keep running code.
    fn drops_run_code(&self, unit: u32) -> bool;
    /// Whether ints and floats, or lists and tuples, meet at this code unit, now these, now those.
    fn is_mixed(&self, unit: u32) -> bool;
    /// The class of what a local slot holds at the entry, if worth assuming; `Some(None)` when it is unbound.
    fn entry_local(&self, slot: u32) -> Option<Option<Class>>;
    /// Name and definition of the well-known built-in method that a local slot holds, bound, at the entry.
    fn entry_method(&self, slot: u32) -> Option<(&'static str, u64)>;
    /// The class of what a stack slot holds at a loop entry, if worth assuming; `Some(None)` when it is NULL.
    fn entry_stack(&self, depth: u32) -> Option<Option<Class>>;
    /// Whether a stack slot has the only reference to what it holds at a loop entry, if worth assuming.
    fn owns_entry_stack(&self, depth: u32) -> bool;
}
