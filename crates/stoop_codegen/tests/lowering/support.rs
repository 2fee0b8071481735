//! A world for compiled code to run in: objects laid out by hand, helpers that write down what they see.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use stoop_codegen::abi::{Abi, Arrays, Expected, InlineValues, Place, Watch};
use stoop_codegen::memory::Arena;
use stoop_codegen::runtime::Helper;
use stoop_codegen::unit::Native;
use stoop_codegen::{Compiled, Error, ExitDesc, ExitKind, Recipe, Request, compile};
use stoop_ir::{Class, Function};

/// What a helper saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A slot's number and the value it is to hold.
    SyncInt(u32, i64),
    /// A slot's number and the value it is to hold.
    SyncFloat(u32, f64),
    /// A slot's number and the object it is to hold.
    SyncRef(u32, u64),
    /// An object is destroyed.
    Dealloc(u64),
    /// In-place reuse failed.
    SetFloat(Helper, f64),
    /// Any other helper, its arguments, and the position stored in the frame at that time.
    Call(Helper, Vec<i64>, u64),
}

#[derive(Default)]
struct Seen {
    log: Vec<Event>,
    /// Results of the next helpers; 1 when there are none left.
    results: VecDeque<i64>,
    /// What helpers with an out-parameter write.
    out: i64,
    frame: u64,
    /// Entries of the exit buffer, by exit.
    needs: Vec<usize>,
    exit: Option<(ExitKind, usize, Vec<u64>)>,
    look: bool,
    arguments: Vec<u64>,
    /// Objects that helpers made.
    heap: Vec<Box<[u64]>>,
}

thread_local! {
    static SEEN: RefCell<Seen> = RefCell::default();
}

/// What exits return: untagged.
pub const LEFT: u64 = 0x5000;
/// What exits with an exception return.
pub const RAISED: u64 = 0x6000;
pub const INSTR: i32 = 0;
pub const LOCALS: usize = 5;
pub const INT: usize = 0;
const FLOAT: usize = 1;
pub const LIST: usize = 2;
pub const TUPLE: usize = 3;
const BOOL: usize = 4;
/// A class of the program's own.
pub const POINT: usize = 5;
/// Its version tag.
pub const POINT_VERSION: u32 = 77;
/// The version of its instances' keys.
pub const POINT_KEYS: u32 = 9;

fn see<T>(f: impl FnOnce(&mut Seen) -> T) -> T {
    SEEN.with_borrow_mut(f)
}

fn slot_number(slot: u64) -> u32 {
    see(|s| ((slot - s.frame) as u32 - LOCALS as u32 * 8) / 8)
}

fn leave(kind: ExitKind, buffer: u64, index: i32) {
    see(|s| {
        let n = s.needs[index as usize];
        // SAFETY: the exit wrote as many entries as its recipes name.
        let values = (0..n).map(|i| unsafe { *(buffer as *const u64).add(i) }).collect();
        s.exit = Some((kind, index as usize, values));
    });
}

extern "C" fn side_exit(_: u64, _: u64, buffer: u64, record: u64, index: i32) -> u64 {
    assert_eq!(record, 0xfeed);
    leave(ExitKind::Leave, buffer, index);
    LEFT
}
extern "C" fn raise_exit(_: u64, _: u64, buffer: u64, record: u64, index: i32) -> u64 {
    assert_eq!(record, 0xfeed);
    leave(ExitKind::Raise, buffer, index);
    RAISED
}
extern "C" fn sync_int(slot: u64, value: i64) {
    let k = slot_number(slot);
    see(|s| s.log.push(Event::SyncInt(k, value)));
    put_slot(slot, make(int_words(value)));
}
extern "C" fn sync_float(slot: u64, value: f64) {
    let k = slot_number(slot);
    see(|s| s.log.push(Event::SyncFloat(k, value)));
    put_slot(slot, make(vec![1, type_address(FLOAT), value.to_bits()]));
}
extern "C" fn sync_ref(slot: u64, object: u64) {
    let k = slot_number(slot);
    see(|s| s.log.push(Event::SyncRef(k, object)));
    put_slot(slot, object);
}
fn put_slot(slot: u64, object: u64) {
    // SAFETY: compiled code passes the address of a slot in the world's frame.
    unsafe { *(slot as *mut u64) = object };
}
extern "C" fn dealloc(object: u64) {
    see(|s| s.log.push(Event::Dealloc(object)));
}
extern "C" fn box_float(value: f64) -> u64 {
    make(vec![1, type_address(FLOAT), value.to_bits()])
}
extern "C" fn box_int(value: i64) -> u64 {
    make(int_words(value))
}
extern "C" fn unbox_int(object: u64, out: *mut i64) -> i32 {
    // SAFETY: an int of the world has its value in the word after its tag and digit, and `out` is a word.
    unsafe { *out = *(object as *const i64).add(4) };
    see(|s| s.results.pop_front().unwrap_or(1) as i32)
}
extern "C" fn binary_out(_: i64, _: i64, out: *mut i64) -> i32 {
    // SAFETY: `out` is a word.
    see(|s| unsafe { *out = s.out });
    see(|s| s.results.pop_front().unwrap_or(1) as i32)
}
extern "C" fn float_pow(x: f64, y: f64, out: *mut f64) -> i32 {
    // SAFETY: `out` is a word.
    unsafe { *out = x.powf(y) };
    see(|s| s.results.pop_front().unwrap_or(1) as i32)
}
extern "C" fn float_floor_div(x: f64, y: f64) -> f64 {
    (x / y).floor()
}
extern "C" fn float_mod(x: f64, y: f64) -> f64 {
    x - y * (x / y).floor()
}
extern "C" fn float_fn(x: f64) -> f64 {
    x.sin()
}
extern "C" fn list_set_float(_: u64, _: i64, value: f64) {
    see(|s| s.log.push(Event::SetFloat(Helper::ListSetFloat, value)));
}
extern "C" fn slot_set_float(_: u64, value: f64) {
    see(|s| s.log.push(Event::SetFloat(Helper::SlotSetFloat, value)));
}
extern "C" fn load_method(object: i64, name: i64, out: *mut i64) -> i64 {
    // SAFETY: `out` is a word.
    unsafe { *out = see(|s| s.out) };
    record(Helper::PyLoadMethod, [object, name, 0, 0, 0])
}
extern "C" fn py_call(callable: i64, array: i64, count: i64, names: i64) -> i64 {
    let look = see(|s| s.look);
    if !look {
        return record(Helper::PyCall, [callable, array, count, names, 0]);
    }
    let n = (count & i64::MAX) as usize;
    // SAFETY: the array has so many entries, and one before that may be written.
    let arguments = unsafe {
        *(array as *mut u64).sub(1) = u64::MAX;
        std::slice::from_raw_parts(array as *const u64, n).to_vec()
    };
    let first = arguments[0];
    see(|s| s.arguments = arguments);
    first as i64
}
fn record(h: Helper, args: [i64; 5]) -> i64 {
    see(|s| {
        // SAFETY: the world's frame.
        let position = unsafe { *(s.frame as *const u64) };
        s.log.push(Event::Call(h, args[..h.params().len()].to_vec(), position));
        s.results.pop_front().unwrap_or(1)
    })
}

macro_rules! helpers {
    (special { $($s:ident $f:ident,)* } plain { $($n:ident)* }) => {
        fn address(h: Helper) -> u64 {
            $(extern "C" fn $n(a: i64, b: i64, c: i64, d: i64, e: i64) -> i64 { record(Helper::$n, [a, b, c, d, e]) })*
            match h {
                $(Helper::$s => $f as *const () as u64,)*
                $(Helper::$n => $n as *const () as u64,)*
            }
        }
    };
}

#[expect(non_snake_case, reason = "one function a helper, by its name")]
mod fakes {
    use super::*;
    helpers! {
        special {
            SideExit side_exit, RaiseExit raise_exit, SyncInt sync_int, SyncFloat sync_float, SyncRef sync_ref,
            Dealloc dealloc, BoxInt box_int, BoxFloat box_float, UnboxInt unbox_int, IntPow binary_out, FloatPow float_pow,
            FloatFloorDiv float_floor_div, FloatMod float_mod, MathSin float_fn, MathCos float_fn, MathTan float_fn, MathAsin float_fn, MathAcos float_fn, MathAtan float_fn, MathSinh float_fn, MathCosh float_fn, MathTanh float_fn, MathExp float_fn, MathLog float_fn, MathLog2 float_fn, MathLog10 float_fn, ListSetFloat list_set_float,
            SlotSetFloat slot_set_float, PyLoadMethod load_method, PyCall py_call,
        }
        plain {
            DeallocTold FindHome MakeHome MatchClass MatchKeys LoadBuildClass
            BoxUInt IntLow Poll Recheck FirstInlined RoomForInlined PopInlined ListSetInt ListAppend ListSlice ListPop ListInsert SlotSetInt NewObject InitResult NumBinary NumCompare NewRangeIter RangeLen PyBinary PyInplace PyUnary PyCompare
            PyCompareBool PyToBool PyContains PyGetItem PySetItem PyDelItem PyGetSlice PySetSlice PyLoadAttr
            NotInDict PyStoreAttr PyDelAttr PyLoadGlobal PyStoreGlobal PyDelGlobal PyLoadName PyStoreName PyCallEx
            PyGetIter PyYieldFromIter PyAwaitable Reveal PyNewGenerator PyIterNext IterNext PyUnpack PyFormat PyConvert PyUnpackEx PySuperAttr PyEnter PyRaise
            StrItem StrOrd StrChr StrEqual StrOrder StrIn StrAppend PyGetAttrOr PyHasAttr Equal Concat Truth StrOf Slice IsInstance DictFind DictFindTuple NoKey DictSet SetAdd Contains ItemsLen NativeCall AfterCall MatchKind Land PushHandled PopHandled ForgetFrame ExcMatches IsHeld MayBeWritten PyDictMerge PyImport PyImportFrom BuildTuple BuildList BuildMap
            BuildSet BuildString BuildSlice MakeCell MakeFunction SetFunctionAttr PyListExtend PySetAdd
            PySetUpdate PyMapAdd PyDictUpdate PyListToTuple PyLen
        }
    }
    pub(super) fn of(h: Helper) -> u64 {
        address(h)
    }
}

fn make(words: Vec<u64>) -> u64 {
    let object = words.into_boxed_slice();
    let address = object.as_ptr() as u64;
    see(|s| s.heap.push(object));
    address
}

thread_local! {
    static TYPES: Vec<u64> = {
        let keys: u64 = Box::leak(vec![u64::from(POINT_KEYS)].into_boxed_slice()).as_ptr() as u64;
        // Reference count, type, version, basic size, keys.
        (0..6).map(|i| Box::leak(vec![1, 0, if i == POINT { u64::from(POINT_VERSION) } else { i as u64 + 1000 }, 24, keys]
            .into_boxed_slice()).as_ptr() as u64).collect()
    };
}

pub fn type_address(i: usize) -> u64 {
    TYPES.with(|t| t[i])
}

/// Reference count, type, tag, digit, and the value where compiled code does not look.
fn int_words(i: i64) -> Vec<u64> {
    let sign = if i == 0 {
        1
    } else if i < 0 {
        2
    } else {
        0
    };
    let magnitude = i.unsigned_abs();
    let digits = if magnitude >> 30 == 0 {
        u64::from(i != 0)
    } else if magnitude >> 60 == 0 {
        2
    } else {
        3
    };
    vec![1, type_address(INT), digits << 3 | sign, magnitude & ((1 << 30) - 1), i as u64]
}

/// The interpreter that compiled code believes in.
pub struct World {
    frame: Box<[u64; 64]>,
    tstate: Box<[u64; 8]>,
    small: Box<[u64]>,
    /// The word that says whether assumptions stand: 1.
    pub valid: Box<u64>,
    /// Where the bytecode of code object 0 lies.
    pub code: u64,
    /// Whether inline values follow the object.
    pub after_object: bool,
    /// Whether basic sizes are known while compiling.
    pub sizes_known: bool,
    /// What to compile with.
    pub optimise: bool,
    /// C functions of callables.
    pub natives: HashMap<u64, Native>,
    pub hidden: Option<u64>,
    none_object: u64,
    true_object: u64,
    false_object: u64,
}

/// Inverse of what an exit's recipe says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Thing {
    Int(i64),
    Float(f64),
    Bool(bool),
    Owned(u64),
    Borrowed(u64),
    Null,
    Const(u64),
}

/// How a run ended.
pub struct Outcome {
    /// What compiled code returned.
    pub result: u64,
    /// The exit it took.
    pub exit: Option<(ExitDesc, Vec<u64>)>,
    /// What the helpers saw.
    pub log: Vec<Event>,
    /// The compiled code.
    pub compiled: Compiled,
}

impl Outcome {
    fn thing(&self, r: Recipe) -> Thing {
        let values = &self.exit.as_ref().expect("an exit").1;
        match r {
            Recipe::Int(i) => Thing::Int(values[i] as i64),
            Recipe::Float(i) => Thing::Float(f64::from_bits(values[i])),
            Recipe::Bool(i) => Thing::Bool(values[i] != 0),
            Recipe::Owned(i) => Thing::Owned(values[i]),
            Recipe::Borrowed(i) => Thing::Borrowed(values[i]),
            Recipe::Null => Thing::Null,
            Recipe::Tuple(..) | Recipe::Range(..) | Recipe::Iter(..) => {
                panic!("tuples and iterators are tested through the engine")
            }
            Recipe::Const(a) => Thing::Const(a),
            Recipe::OwnedConst(a) => Thing::Owned(a),
            Recipe::ConstInt(i) => Thing::Int(i),
            Recipe::ConstFloat(b) => Thing::Float(f64::from_bits(b)),
            Recipe::ConstBool(b) => Thing::Bool(b),
        }
    }
    /// The exit taken.
    pub fn exit(&self) -> &ExitDesc {
        &self.exit.as_ref().expect("an exit").0
    }
    /// The locals that the exit writes.
    pub fn locals(&self) -> Vec<(u32, Thing)> {
        self.exit().locals.iter().map(|(k, r)| (*k, self.thing(*r))).collect()
    }
    /// The stack that the exit rebuilds.
    pub fn stack(&self) -> Vec<Thing> {
        self.exit().stack.iter().map(|r| self.thing(*r)).collect()
    }
    /// What the guard met.
    pub fn met(&self) -> Thing {
        self.thing(self.exit().met.expect("a guard of a reference"))
    }
    /// The object returned, which must be tagged.
    pub fn returned(&self) -> u64 {
        assert!(self.exit.is_none(), "left at {:?}", self.exit);
        assert_eq!(self.result & 1, 1, "the result is not tagged");
        self.result & !1
    }
    /// The integer returned.
    pub fn int(&self) -> i64 {
        int_value(self.returned())
    }
    /// The float returned.
    pub fn float(&self) -> f64 {
        float_value(self.returned())
    }
    /// Helpers called, without what they were called with.
    pub fn calls(&self) -> Vec<Helper> {
        self.log.iter().filter_map(|e| if let Event::Call(h, ..) = e { Some(*h) } else { None }).collect()
    }
}

/// The value of an int that the world or compiled code made.
pub fn int_value(object: u64) -> i64 {
    // SAFETY: tests only ask this of ints of the world.
    let words = unsafe { std::slice::from_raw_parts(object as *const u64, 5) };
    assert_eq!(words[1], type_address(INT));
    if words[2] >= 16 {
        return words[4] as i64;
    }
    (1 - (words[2] & 3) as i64) * (words[3] as u32 as i64)
}

/// The value of a float.
pub fn float_value(object: u64) -> f64 {
    // SAFETY: tests only ask this of floats of the world.
    let words = unsafe { std::slice::from_raw_parts(object as *const u64, 3) };
    assert_eq!(words[1], type_address(FLOAT));
    f64::from_bits(words[2])
}

/// A word of an object.
pub fn word(object: u64, i: usize) -> u64 {
    // SAFETY: tests only ask this of objects of the world, within their size.
    unsafe { *(object as *const u64).add(i) }
}

/// Changes a word of an object.
pub fn set_word(object: u64, i: usize, value: u64) {
    // SAFETY: as in `word`.
    unsafe { *(object as *mut u64).add(i) = value };
}

const IMMORTAL: u64 = 0xffff_ffff;

impl World {
    pub fn new() -> World {
        see(|s| *s = Seen::default());
        let mut small = Vec::new();
        for i in -5..=256 {
            let mut words = int_words(i);
            words[0] = IMMORTAL;
            small.extend(words);
        }
        World {
            frame: Box::new([0; 64]),
            tstate: Box::new([0, 0, 0, 0, 0, 100, 0, 0]),
            small: small.into_boxed_slice(),
            valid: Box::new(1),
            code: 0x10_0000,
            after_object: true,
            sizes_known: false,
            optimise: true,
            natives: HashMap::new(),
            hidden: None,
            none_object: make(vec![IMMORTAL, type_address(BOOL)]),
            true_object: make(vec![IMMORTAL, type_address(BOOL)]),
            false_object: make(vec![IMMORTAL, type_address(BOOL)]),
        }
    }
    pub fn int(&self, i: i64) -> u64 {
        make(int_words(i))
    }
    pub fn float(&self, x: f64) -> u64 {
        make(vec![1, type_address(FLOAT), x.to_bits()])
    }
    pub fn bool(&self, b: bool) -> u64 {
        if b { self.true_object } else { self.false_object }
    }
    /// The cached small int.
    pub fn small(&self, i: i64) -> u64 {
        self.small.as_ptr() as u64 + 40 * (i + 5) as u64
    }
    pub fn list(&self, items: &[u64]) -> u64 {
        let storage = make(items.to_vec());
        make(vec![1, type_address(LIST), items.len() as u64, storage])
    }
    /// An `array.array` of the class over bytes. The arrays' type is at address 1.
    pub fn array(&self, class: Class, bytes: &[u8]) -> u64 {
        let element = class.array_element().expect("a class of arrays");
        let mut words: Vec<u64> = bytes.chunks(8).map(|c| c.iter().rev().fold(0, |w, b| w << 8 | u64::from(*b))).collect();
        words.push(0);
        ARRAYS.set_type(1);
        ARRAYS.set_descriptor(class, 2 + u64::from(element.code));
        let storage = make(words);
        let size = bytes.len() as u64 / u64::from(element.bytes);
        make(vec![1, 1, size, storage, size, 2 + u64::from(element.code)])
    }
    /// The item of a list.
    pub fn item(&self, list: u64, i: usize) -> u64 {
        word(word(list, 3), i)
    }
    pub fn tuple(&self, items: &[u64]) -> u64 {
        let mut words = vec![1, type_address(TUPLE), items.len() as u64];
        words.extend(items);
        make(words)
    }
    /// Any object, by its words after reference count and type.
    pub fn object(&self, ty: usize, rest: &[u64]) -> u64 {
        let mut words = vec![1, type_address(ty)];
        words.extend(rest);
        make(words)
    }
    /// Sets a local's slot.
    pub fn local(&mut self, k: usize, object: u64) -> &mut World {
        self.frame[LOCALS + k] = object;
        self
    }
    /// What a local's slot holds.
    pub fn slot(&self, k: usize) -> u64 {
        // SAFETY: compiled code changes the frame behind the compiler's back.
        unsafe { std::ptr::read_volatile(&self.frame[LOCALS + k]) }
    }
    /// Sets a word of the frame before the locals.
    pub fn frame_word(&mut self, i: usize, value: u64) {
        self.frame[i] = value;
    }
    /// Sets how deep C functions may go.
    pub fn set_recursion(&mut self, left: u64) {
        self.tstate[5] = left;
    }
    /// How deep C functions may go.
    pub fn recursion(&self) -> u64 {
        // SAFETY: compiled code changes the thread state behind the compiler's back.
        unsafe { std::ptr::read_volatile(&self.tstate[5]) }
    }
    /// Makes the eval breaker ask.
    pub fn interrupt(&mut self) {
        self.tstate[1] = 0x100;
    }
    /// Changes the watched byte of the thread state.
    pub fn tool(&mut self, byte: u8) {
        self.tstate[2] = u64::from(byte);
    }
    /// Lets calls look at their arguments, and return the first.
    pub fn look_at_arguments(&self) {
        see(|s| s.look = true);
    }
    /// The arguments of the last call looked at.
    pub fn arguments(&self) -> Vec<u64> {
        see(|s| s.arguments.clone())
    }
    /// What the next helpers return.
    pub fn results(&self, results: &[i64]) {
        see(|s| s.results.extend(results));
    }
    /// What helpers write to their out-parameter.
    pub fn out(&self, value: i64) {
        see(|s| s.out = value);
    }
    pub fn abi(&self) -> Abi {
        Abi {
            ob_refcnt: 0,
            ob_type: 8,
            tp_version_tag: 16,
            dicts: stoop_codegen::abi::Dicts::default(),
            heap_keys: 32,
            keys_version: 0,
            ob_size: 16,
            long_tag: 16,
            long_digits: 24,
            float_value: 16,
            list_items: 24,
            array_items: 24,
            bytearray_start: 40,
            bytes_data: 32,
            dict_used: 16,
            set_used: 24,
            c_recursion: 40,
            array_descr: 40,
            cfunction_def: 16,
            cfunction_self: 24,
            arrays: &ARRAYS,
            tuple_items: 24,
            str_length: 16,
            str_state: 32,
            str_ascii: 64,
            str_ascii_data: 40,
            characters: 0,
            range_iter: [16, 24, 32],
            list_iter: [16, 24],
            tuple_iter: [16, 24],
            cell_ref: 16,
            func_closure: 16,
            func_code: 24,
            inline_values: if self.after_object {
                InlineValues::AfterObject { basicsize: 24, first: 8, valid: 3, size: 1, capacity: 0, dict: -24 }
            } else {
                InlineValues::TaggedPointer { offset: -8, first: 16, size: 8 }
            },
            frame_locals: LOCALS as i32 * 8,
            frame_instr: INSTR,
            frame_instr_bias: 0,
            frame_stacktop: 0,
            frame_globals: 8,
            frame_f_locals: 16,
            frame_function: 24,
            frame_object: 32,
            eval_breaker: Watch { place: Place::ThreadState(8), width: 8, mask: 0xffff, expected: Expected::Const(0) },
            class_types: vec![
                (Class::Int, type_address(INT)),
                (Class::Float, type_address(FLOAT)),
                (Class::List, type_address(LIST)),
                (Class::Tuple, type_address(TUPLE)),
                (Class::Bool, type_address(BOOL)),
            ],
            none_object: self.none_object,
            true_object: self.true_object,
            false_object: self.false_object,
            small_ints: (self.small(0), 40, -5, 256),
        }
    }
    pub fn compile(&self, func: &Function) -> Result<Compiled, Error> {
        let watches = [
            Watch { place: Place::Frame(32), width: 8, mask: u64::MAX, expected: Expected::Const(0) },
            Watch { place: Place::ThreadState(16), width: 1, mask: 0xff, expected: Expected::Memory(&raw const ZERO as u64) },
        ];
        compile(&Request {
            func,
            abi: &self.abi(),
            helpers: &fakes::of,
            record: 0xfeed,
            watches: &watches,
            valid: Watch {
                place: Place::Absolute(&raw const *self.valid as u64),
                width: 4,
                mask: 0xff,
                expected: Expected::Const(1),
            },
            unit_address: &|code, unit| self.code + 0x10_0000 * u64::from(code) + u64::from(unit),
            unit_before: &|code, unit| self.code + 0x10_0000 * u64::from(code) + u64::from(unit.saturating_sub(1)),
            name_address: &|name| 0x7000 + u64::from(name.0),
            basicsize: &|version| (self.sizes_known && version == POINT_VERSION).then_some(24),
            link: &|_| None,
            frames: None,
            homes: &[],
            native: &|f| self.natives.get(&f).copied(),
            turns: None,
            hidden: self.hidden,
            optimise: self.optimise,
            want_text: true,
        })
    }
    /// Compiles a text, runs it, and tells how it ended.
    pub fn run(&mut self, text: &str) -> Outcome {
        let func = stoop_ir::parse::parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        self.run_func(&func)
    }
    pub fn run_func(&mut self, func: &Function) -> Outcome {
        let compiled = self.compile(func).unwrap_or_else(|e| panic!("{e}"));
        let frame = self.frame.as_mut_ptr() as u64;
        see(|s| {
            s.log.clear();
            s.exit = None;
            s.frame = frame;
            s.needs = compiled.exits.iter().map(need).collect();
        });
        let code = Arena::new(1 << 20).place(&compiled.bytes).expect("executable memory");
        // SAFETY: the code was compiled to this signature and its helpers and objects are alive.
        let entry: extern "C" fn(u64, u64) -> u64 = unsafe { std::mem::transmute(code.address()) };
        let result = entry(self.tstate.as_mut_ptr() as u64, frame);
        let (log, exit) = see(|s| (std::mem::take(&mut s.log), s.exit.take()));
        let exit = exit.map(|(kind, i, values)| {
            assert_eq!(compiled.exits[i].kind, kind);
            assert_eq!(result, if kind == ExitKind::Leave { LEFT } else { RAISED });
            (compiled.exits[i].clone(), values)
        });
        Outcome { result, exit, log, compiled }
    }
}

pub static ARRAYS: Arrays = Arrays::new();
static ZERO: u64 = 0;

/// How many entries of the buffer an exit's recipes name.
fn need(e: &ExitDesc) -> usize {
    let parents = e.parents.iter().flat_map(|p| p.locals.iter().map(|l| l.1).chain(p.stack.iter().copied()));
    let all =
        e.locals.iter().map(|l| l.1).chain(e.stack.iter().copied()).chain(e.met).chain(parents).chain(e.parts.iter().copied());
    all.map(|r| match r {
        Recipe::Int(i) | Recipe::Float(i) | Recipe::Bool(i) | Recipe::Owned(i) | Recipe::Borrowed(i) => i + 1,
        Recipe::Null
        | Recipe::Const(_)
        | Recipe::OwnedConst(_)
        | Recipe::ConstInt(_)
        | Recipe::ConstFloat(_)
        | Recipe::ConstBool(_)
        | Recipe::Tuple(..)
        | Recipe::Range(..)
        | Recipe::Iter(..) => 0,
    })
    .max()
    .unwrap_or(0)
}
