//! What the front end may ask of the running program, answered under the GIL without running Python code.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use stoop_cpython::capi::Frame;
use stoop_cpython::capi::{self, Obj};
use stoop_cpython::decode::CodeInfo;
use stoop_cpython::layout::{self, read};
use stoop_cpython::objects::ListWays;
use stoop_cpython::{frame, inspect, objects};
use stoop_ir::Class;

use super::classes;
use super::homes::{self, Home};
use super::invariants::{self, Kind, is_atom, kind_of};
use super::record::{CodeState, Record};
use super::types::{self, look_up, version_of};
use crate::frontend::{Constructor, Environment, Known, Place, Source, SuperMethod};
use crate::helpers::attributes::{self, Found, OfClass};

/// The environment of one compilation.
pub struct Live<'a> {
    /// The decoded code object.
    pub info: Arc<CodeInfo>,
    /// What is known of it.
    pub state: *const CodeState,
    /// The region being made, which invariants refer to.
    pub record: *mut Record,
    /// A frame of the code, where one is running: its locals' classes are assumed.
    pub frame: *mut Frame,
    /// Globals.
    pub globals: Obj,
    /// Builtins.
    pub builtins: Obj,
    /// The callers of the function being inlined, outermost first.
    pub callers: Vec<Caller>,
    /// The function being inlined, or the region's own where that is known, or NULL.
    pub function: Obj,
    /// Functions that are not to be inlined.
    pub no_inline: &'a BTreeSet<u64>,
    /// Objects to keep alive.
    pub keep: Vec<Obj>,
    /// Basic sizes of instances, by their classes' versions.
    pub sizes: HashMap<u32, i32>,
    /// Assumptions, for people.
    pub assumptions: Vec<String>,
    /// Variables of a module that are locals of the region, whose slots follow the frame's own.
    pub variables: Vec<Arc<Home>>,
    /// Homes of other variables.
    pub homes: Vec<Arc<Home>>,
    /// Whether this is a loop's entry: the frame's stack may be read.
    pub at_loop: bool,
}

/// What the environment comes back to after an inlined function.
pub struct Caller {
    pub(super) info: Arc<CodeInfo>,
    pub(super) state: *const CodeState,
    pub(super) globals: Obj,
    pub(super) builtins: Obj,
    pub(super) function: Obj,
}

/// Above this many instructions a function is not inlined.
const INLINE_INSTRUCTIONS: usize = 100;

/// Whether a small function was decoded when the interpreter had not seen all of it yet.
fn is_early(info: &CodeInfo) -> bool {
    info.instrs.len() <= INLINE_INSTRUCTIONS && info.instrs.iter().any(|i| !i.ran)
}

impl Live<'_> {
    /// A function's code, if the function can be inlined as far as that is known before.
    fn inlinable(&self, function: Obj, arguments: u32) -> Option<Arc<CodeInfo>> {
        const OPTIMIZED_NEWLOCALS: u32 = 0x3;
        const OTHER_FORMS: u32 = 0x4 | 0x8 | 0x20 | 0x80 | 0x200;
        if self.no_inline.contains(&(function as u64)) {
            return None;
        }
        // SAFETY: an exact function, alive.
        let (code, defaults) = unsafe { (inspect::function_code(function), inspect::function_defaults(function).len()) };
        let s = super::registry::state(code);
        if s.never || s.dropped.is_some() {
            return None;
        }
        let info = match &s.info {
            Some(i) if !is_early(i) => i.clone(),
            _ => super::compile::info(s).ok()?,
        };
        let plain = info.flags & (OPTIMIZED_NEWLOCALS | OTHER_FORMS) == OPTIMIZED_NEWLOCALS
            && info.kwonly == 0
            && info.nfree == 0
            && info.ncells == 0
            && (arguments..=arguments + defaults as u32).contains(&info.argcount)
            && info.instrs.len() <= INLINE_INSTRUCTIONS;
        // What has never run has shown nothing to build on.
        let ran = info.instrs.iter().any(|i| i.ran && i.op != stoop_cpython::opcodes::Opcode::Resume);
        // A function that is made gets its globals from the frame, which is the region's own.
        let makes = info.instrs.iter().any(|i| i.op == stoop_cpython::opcodes::Opcode::MakeFunction);
        (plain && ran && !makes).then_some(info)
    }

    pub(super) fn known(&mut self, o: Obj) -> Known {
        // SAFETY: the GIL is held and `o` is alive; the reference keeps it so for the compiled code.
        unsafe { capi::incref(o) };
        self.keep.push(o);
        Known { address: o as u64, class: classes::class_of(o), text: super::well_known::describe(o) }
    }

    /// Remembers the size of a class's instances: its version stands for it.
    ///
    /// # Safety
    /// A live class.
    unsafe fn note_size(&mut self, class: Obj) {
        // SAFETY: as documented.
        let (version, size) = unsafe { (objects::type_version(class), read::<isize, _>(class, layout::get().tp_basicsize)) };
        if let (true, Ok(size)) = (version != 0, i32::try_from(size)) {
            self.sizes.insert(version, size);
        }
    }

    /// What a local slot of the frame holds, or a variable of the module that is a local; NULL if nothing.
    fn local(&self, slot: u32) -> Obj {
        // SAFETY: the frame is alive: the GIL is held since it was found. So is the place of a home's value.
        unsafe {
            let Some(k) = (slot as usize).checked_sub(self.info.nlocalsplus as usize) else {
                return *frame::slot(self.frame, slot as usize);
            };
            let place = self.variables[k].find();
            if place.is_null() { std::ptr::null_mut() } else { *place }
        }
    }

    fn generic_local(&self, slot: u32) -> bool {
        // SAFETY: as for `is_generic`.
        unsafe { (*self.state).generic_locals.contains(&slot) }
    }

    /// Whether the code itself rebinds a global of this name. Of a module's own code the front end knows better which part
    /// of it is compiled.
    fn stores(&self, name_index: u32) -> bool {
        use stoop_cpython::opcodes::Opcode as O;
        !self.names_are_globals()
            && self
                .info
                .instrs
                .iter()
                .any(|i| i.arg == name_index && matches!(i.op, O::StoreGlobal | O::DeleteGlobal | O::StoreName | O::DeleteName))
    }
}

impl Environment for Live<'_> {
    fn global(&mut self, name_index: u32) -> Option<Known> {
        if self.stores(name_index) {
            return None;
        }
        let name = self.info.names[name_index as usize];
        // SAFETY: exact dicts and an exact interned str: the look-up compares by identity and text only.
        let found = unsafe {
            if !inspect::is_exact_dict(self.globals) || !inspect::is_exact_dict(self.builtins) {
                return None;
            }
            let v = capi::PyDict_GetItem(self.globals, name);
            if v.is_null() { capi::PyDict_GetItem(self.builtins, name) } else { v }
        };
        if found.is_null() {
            return None;
        }
        let kind = kind_of(found);
        // Code of a module runs once: whoever counts references to what it works on, counts there.
        if self.names_are_globals() && kind == Kind::Value && !is_atom(found) {
            return None;
        }
        if ![self.globals, self.builtins].into_iter().all(|dict| invariants::track_name(self.record, dict, name, kind)) {
            return None;
        }
        self.assumptions.push(format!("global {} unchanged", self.info.names_text[name_index as usize]));
        Some(self.known(found))
    }

    fn home(&mut self, name_index: u32, stores: bool) -> Option<(u64, u64)> {
        let name = self.info.names[name_index as usize];
        // SAFETY: an exact dict, alive, and an interned name; what is there lives while the GIL is held.
        unsafe {
            if !inspect::is_exact_dict(self.globals) {
                return None;
            }
            let home = homes::home(self.globals, name)?;
            if stores && !invariants::make_variable(None, self.globals, name) {
                return None;
            }
            let place = home.find();
            let address = home.address();
            self.homes.push(home);
            (!place.is_null()).then(|| (address, *place as u64))
        }
    }

    fn module_home(&mut self, module: u64, name_index: u32) -> Option<(u64, u64)> {
        let name = self.info.names[name_index as usize];
        // SAFETY: `module` is an exact module kept alive by this compilation; its dict is exact. What is there lives.
        unsafe {
            let dict = capi::PyModule_GetDict(module as Obj);
            // What the region itself keeps in registers is not there.
            if self.variables.iter().any(|h| h.dict() == dict) {
                return None;
            }
            let home = homes::home(dict, name)?;
            let place = home.find();
            let address = home.address();
            self.homes.push(home);
            (!place.is_null()).then(|| (address, *place as u64))
        }
    }

    fn names_are_globals(&self) -> bool {
        // SAFETY: the frame is alive: the GIL is held since it was found.
        self.at_loop
            && self.callers.is_empty()
            && !self.frame.is_null()
            && unsafe { frame::locals_mapping(self.frame) == self.globals && inspect::is_exact_dict(self.globals) }
    }

    fn own_variable(&mut self, name_index: u32) -> Option<u32> {
        let name = self.info.names[name_index as usize];
        // SAFETY: as for `home`.
        let home = unsafe {
            let home = homes::home(self.globals, name)?;
            invariants::make_variable(Some(self.record), self.globals, name).then_some(home)?
        };
        let known = self.variables.iter().position(|h| Arc::ptr_eq(h, &home));
        let k = known.unwrap_or_else(|| {
            self.variables.push(home);
            self.variables.len() - 1
        });
        Some(self.info.nlocalsplus + k as u32)
    }

    fn shares_globals(&self) -> bool {
        self.callers.first().is_none_or(|c| c.globals == self.globals)
    }

    fn classes(&mut self, unit: u32, seen: Option<u32>) -> Vec<u64> {
        let seen = seen.and_then(types::by_version);
        // SAFETY: states live as long as their code objects, which are in use.
        let site = super::registry::state(unsafe { (*self.state).code }).sites.entry(unit).or_default();
        seen.into_iter().for_each(|class| site.note(class));
        site.classes().into_iter().map(|o| o as u64).collect()
    }

    fn classes_met(&mut self, unit: u32) -> Vec<Class> {
        let met = self.classes(unit, None);
        met.into_iter().filter_map(classes::of_type).collect()
    }

    fn classes_elsewhere(&mut self, unit: u32) -> Vec<u64> {
        // SAFETY: as for `classes`.
        let state = super::registry::state(unsafe { (*self.state).code });
        types::elsewhere(state, &self.info, unit).into_iter().map(|o| o as u64).collect()
    }

    fn class_of_version(&self, version: u32) -> Option<u64> {
        types::by_version(version).map(|o| o as u64)
    }

    fn dict_offset(&self, class: u64) -> Option<u32> {
        let l = layout::get();
        // SAFETY: a live class.
        unsafe {
            let managed = objects::type_flags(class as Obj) & layout::flags::MANAGED_DICT != 0;
            let offset: i64 = read(class as Obj, l.tp_dictoffset);
            u32::try_from(offset).ok().filter(|offset| *offset > 0 && !managed)
        }
    }

    fn load_place(&mut self, class: u64, name_index: u32, method: bool) -> Option<(u32, Place)> {
        let version = version_of(class as Obj)?;
        let name = self.info.names[name_index as usize];
        // SAFETY: a live class, an interned name.
        let place = match unsafe { attributes::find_for_code(class as Obj, name, method, false) }? {
            Found::Field(k) => Place::Field(k),
            Found::Slot(offset) => Place::Slot(offset as u32),
            Found::Value(value, keys) => Place::Value(self.known(value), keys),
            Found::Property(getter) => Place::Property(self.known(getter)),
            Found::InDict => return None,
        };
        Some((version, place))
    }

    fn dict_place(
        &mut self,
        class: u64,
        name_index: u32,
        method: bool,
        seen: Option<(u32, u32)>,
        example: Option<u64>,
    ) -> Option<(u32, Place)> {
        let version = version_of(class as Obj)?;
        let name = self.info.names[name_index as usize];
        let seen = seen.filter(|s| s.0 == version).map(|s| s.1);
        // SAFETY: examples are alive while the GIL is held; nothing runs meanwhile.
        let example = example.map(|o| o as Obj).filter(|o| unsafe { capi::type_of(*o) } == class as Obj);
        // SAFETY: as above, an instance of the class.
        let found = example.and_then(|o| unsafe { attributes::entry_of(o, name) });
        if seen.is_none() && found.is_none() {
            return None;
        }
        // SAFETY: a live class, an interned name.
        let place = match unsafe { attributes::find_for_code(class as Obj, name, method, true) }? {
            Found::InDict => Place::Entry(found.flatten().map(|f| f.0).or(seen)?),
            Found::Value(value, _) => Place::Unless(self.known(value)),
            Found::Slot(offset) => Place::Slot(offset as u32),
            Found::Property(getter) => Place::Property(self.known(getter)),
            Found::Field(_) => return None,
        };
        Some((version, place))
    }

    fn example_entry(&self, object: u64, name_index: u32) -> Option<u64> {
        let name = self.info.names[name_index as usize];
        // SAFETY: as for `dict_place`.
        unsafe { attributes::entry_of(object as Obj, name) }.flatten().map(|f| f.1 as u64)
    }

    fn made_class(&self, object: u64) -> Option<u64> {
        // SAFETY: a live example.
        unsafe {
            let class = capi::type_of(object as Obj);
            let made = objects::type_flags(class) & (layout::flags::HEAP | layout::flags::IMMUTABLE) == layout::flags::HEAP;
            made.then_some(class as u64)
        }
    }

    fn name(&mut self, name_index: u32) -> Known {
        let name = self.info.names[name_index as usize];
        self.known(name)
    }

    fn class_attribute(&mut self, class: u64, name_index: u32) -> Option<(u32, Known, bool)> {
        let version = version_of(class as Obj)?;
        let name = self.info.names[name_index as usize];
        // SAFETY: a live class, an interned name.
        match unsafe { attributes::find_of_class(class as Obj, name) }? {
            OfClass::Value(o) => Some((version, self.known(o), false)),
            OfClass::Bound(f) => Some((version, self.known(f), true)),
        }
    }

    fn bind(&mut self, function: u64, positional: u32, names: Option<u64>) -> Option<Vec<Source>> {
        const OTHER_FORMS: u32 = 0x4 | 0x8;
        let f = function as Obj;
        // SAFETY: an exact function, alive.
        let s = super::registry::state(unsafe { inspect::function_code(f) });
        let info = match &s.info {
            Some(i) => i.clone(),
            None => super::compile::info(s).ok()?,
        };
        let count = info.argcount as usize;
        if info.flags & OTHER_FORMS != 0 || info.kwonly != 0 || positional as usize > count {
            return None;
        }
        let mut sources: Vec<Option<Source>> =
            (0..count).map(|k| (k < positional as usize).then_some(Source::Given(k))).collect();
        // SAFETY: a constant tuple of strings.
        let names: &[Obj] = names.map_or(&[], |t| unsafe { objects::tuple_slice(t as Obj) });
        for (k, name) in names.iter().enumerate() {
            // SAFETY: as above.
            let text = unsafe { objects::str_text(*name) };
            let at = (info.posonly as usize..count).find(|k| info.varnames[*k] == text)?;
            if sources[at].is_some() {
                return None;
            }
            sources[at] = Some(Source::Given(positional as usize + k));
        }
        let missing = sources.iter().any(Option::is_none);
        // Names say nothing once the function has another code.
        if (missing || !names.is_empty()) && !invariants::track_function(self.record, f) {
            return None;
        }
        if missing {
            // SAFETY: a live function, whose defaults are watched.
            let defaults = unsafe { inspect::function_defaults(f) };
            let first = count - defaults.len().min(count);
            for (k, source) in sources.iter_mut().enumerate().filter(|(_, s)| s.is_none()) {
                *source = Some(Source::Default(self.known(*defaults.get(k.checked_sub(first)?)?)));
            }
        }
        sources.into_iter().collect()
    }

    fn interned(&mut self, text: u64) -> Option<Known> {
        if classes::class_of(text as Obj) != Some(Class::Str) {
            return None;
        }
        // SAFETY: a live str; `known` takes a reference of its own.
        unsafe {
            let mut name = capi::new_ref(text as Obj);
            capi::PyUnicode_InternInPlace(&mut name);
            let known = self.known(name);
            capi::decref(name);
            Some(known)
        }
    }

    fn classes_in(&mut self, tuple: u64) -> Option<Vec<Known>> {
        const MOST: usize = 4;
        if classes::class_of(tuple as Obj) != Some(Class::Tuple) {
            return None;
        }
        // SAFETY: a live tuple.
        let items = unsafe { objects::tuple_slice(tuple as Obj) };
        let all = (1..=MOST).contains(&items.len()) && items.iter().all(|o| classes::class_of(*o) == Some(Class::Type));
        all.then(|| items.iter().map(|o| self.known(*o)).collect())
    }

    fn tuple_len(&self, tuple: u64) -> usize {
        // SAFETY: a constant tuple, which the code object keeps.
        unsafe { objects::tuple_slice(tuple as Obj) }.len()
    }

    fn store_place(&mut self, class: u64, name_index: u32) -> Option<(u32, Place)> {
        let version = version_of(class as Obj)?;
        let name = self.info.names[name_index as usize];
        // SAFETY: a live class, an interned name.
        match unsafe { attributes::find_store_for_code(class as Obj, name) }? {
            Found::Field(k) => Some((version, Place::Field(k))),
            Found::Slot(offset) => Some((version, Place::Slot(offset as u32))),
            Found::InDict | Found::Value(..) | Found::Property(_) => None,
        }
    }

    fn enter(&mut self, function: u64, arguments: u32) -> Option<Arc<CodeInfo>> {
        let f = function as Obj;
        let info = self.inlinable(f, arguments)?;
        if !invariants::track_function(self.record, f) {
            return None;
        }
        self.known(f);
        self.assumptions.push(format!("function {} unchanged", info.qualname));
        // SAFETY: an exact function, alive.
        let (globals, builtins) = unsafe { (inspect::function_globals(f), inspect::function_builtins(f)) };
        self.descend(info.clone(), globals, builtins, f);
        Some(info)
    }

    fn enter_expression(&mut self, code: u64) -> Option<Arc<CodeInfo>> {
        self.enter_made(code as Obj)
    }

    fn leave(&mut self) {
        if let Some(c) = self.callers.pop() {
            (self.info, self.state, self.globals, self.builtins) = (c.info, c.state, c.globals, c.builtins);
            self.function = c.function;
        }
    }

    fn default(&mut self, slot: u32) -> Known {
        // SAFETY: an exact function, alive, whose defaults the region's assumptions keep; the slot is among them.
        let o = unsafe {
            let defaults = inspect::function_defaults(self.function);
            defaults[defaults.len() - (self.info.argcount - slot) as usize]
        };
        self.known(o)
    }

    fn constructor(&mut self, class: u64, arguments: u32) -> Option<Constructor> {
        let class = class as Obj;
        // SAFETY: a live constant; the look-up goes along the class's bases and runs no Python code.
        unsafe {
            if !objects::is_plain_class(class) && !objects::is_plain_list_class(class) {
                return None;
            }
            let version = self.class_version(class as u64)?;
            self.note_size(class);
            let finalises = !look_up(class, "__del__").is_null();
            if objects::has_no_init(class) {
                // An instance that nobody looks at is not made, but its finaliser is to run.
                return (arguments == 0 && !finalises).then_some(Constructor { version, init: None, finalises });
            }
            let init = look_up(class, "__init__");
            let is_function = !init.is_null() && classes::class_of(init) == Some(Class::Function);
            is_function.then(|| Constructor { version, init: Some(self.known(init)), finalises })
        }
    }

    fn example_local(&self, slot: u32) -> Option<u64> {
        if self.frame.is_null() || !self.callers.is_empty() {
            return None;
        }
        let o = self.local(slot);
        (!o.is_null()).then_some(o as u64)
    }

    fn example_stack_sequence(&self, depth: u32) -> Option<u64> {
        if self.frame.is_null() || !self.at_loop {
            return None;
        }
        let l = layout::get();
        // SAFETY: a loop's frame has that entry; list and tuple iterators hold their sequence, or NULL at the end.
        unsafe {
            let it = *frame::slot(self.frame, (self.info.nlocalsplus + depth) as usize);
            if it.is_null() {
                return None;
            }
            let offset = match classes::class_of(it) {
                Some(Class::ListIter) => l.list_iter_seq,
                Some(Class::TupleIter) => l.tuple_iter_seq,
                _ => return None,
            };
            let seq: Obj = read(it, offset);
            (!seq.is_null()).then_some(seq as u64)
        }
    }

    fn example_item(&self, container: u64, position: usize) -> Option<u64> {
        let o = container as Obj;
        // SAFETY: examples are alive while the GIL is held; nothing runs meanwhile.
        let items: &[Obj] = unsafe {
            match classes::class_of(o) {
                Some(Class::List) => objects::list_slice(o),
                Some(Class::Tuple) => objects::tuple_slice(o),
                Some(Class::Str) => return crate::helpers::strings::example_character(o),
                _ if objects::is_list_class(capi::type_of(o)) => objects::list_slice(o),
                _ => return None,
            }
        };
        items.get(position).filter(|o| !o.is_null()).map(|o| *o as u64)
    }

    fn example_field(&mut self, object: u64, version: u32, index: u32) -> Option<u64> {
        let (o, l) = (object as Obj, layout::get());
        // SAFETY: an object whose type has that version keeps its attributes as the interpreter's cache says.
        unsafe {
            let ty = capi::type_of(o);
            if objects::type_version(ty) != version {
                return None;
            }
            self.note_size(ty);
            let values: *const u8 = match l.values_valid {
                None => {
                    let word: usize = read(o, l.managed_dict);
                    if word & 1 == 0 {
                        return None;
                    }
                    (word + 1) as *const u8
                }
                Some(valid) => {
                    let size: isize = read(ty, l.tp_basicsize);
                    let values = o.cast::<u8>().offset(size).cast_const();
                    if read::<u8, _>(values, valid) == 0 {
                        return None;
                    }
                    values
                }
            };
            let v: Obj = read(values, l.values_first + 8 * index as i32);
            (!v.is_null()).then_some(v as u64)
        }
    }

    fn example_class(&self, object: u64) -> Option<Class> {
        classes::class_of(object as Obj)
    }

    fn goes_first(&self, a: u64, b: u64) -> bool {
        // SAFETY: live classes.
        unsafe { objects::derives_from_object_only(a as Obj) && (a == b || capi::PyType_IsSubtype(b as Obj, a as Obj) == 0) }
    }

    fn class_version(&self, class: u64) -> Option<u32> {
        let ty = class as Obj;
        // SAFETY: a live class.
        unsafe {
            if objects::type_version(ty) == 0 {
                capi::PyUnstable_Type_AssignVersionTag(ty);
            }
            Some(objects::type_version(ty)).filter(|v| *v != 0)
        }
    }

    fn derived_list(&self, class: u64) -> Option<(u32, ListWays)> {
        // SAFETY: a live class.
        let ways = unsafe { objects::list_ways(class as Obj) }?;
        Some((self.class_version(class)?, ways))
    }

    fn is_made(&self, class: u64) -> bool {
        // SAFETY: a live class.
        unsafe {
            let ty = class as Obj;
            capi::type_of(ty) == stoop_cpython::type_ptr!(PyType_Type) && objects::type_flags(ty) & layout::flags::HEAP != 0
        }
    }

    fn compares_by_identity(&self, class: u64) -> bool {
        let (ty, l) = (class as Obj, layout::get());
        // SAFETY: live classes.
        unsafe {
            let of_object: usize = read((&raw mut capi::PyBaseObject_Type).cast::<u8>(), l.tp_richcompare);
            objects::derives_from_object_only(ty) && read::<usize, _>(ty, l.tp_richcompare) == of_object
        }
    }

    fn class_has(&self, class: u64, name: &str) -> bool {
        // SAFETY: a live class.
        unsafe { !objects::derives_from_object_only(class as Obj) || !look_up(class as Obj, name).is_null() }
    }

    fn type_of(&self, object: u64) -> u64 {
        // SAFETY: examples are alive while the GIL is held.
        unsafe { capi::type_of(object as Obj) as u64 }
    }

    fn list_sort(&mut self) -> Known {
        self.known(super::well_known::object("list.sort"))
    }

    fn not_implemented(&mut self) -> Known {
        self.known(capi::not_implemented())
    }

    fn special_method(&mut self, class: u64, name: &str) -> Option<(u32, Known)> {
        const HEAP: u64 = layout::flags::HEAP;
        let ty = class as Obj;
        // SAFETY: a look-up along the type's bases, which runs no Python code.
        unsafe {
            if objects::type_flags(ty) & HEAP == 0 {
                return None;
            }
            let found = look_up(ty, name);
            if found.is_null() || classes::class_of(found) != Some(Class::Function) {
                return None;
            }
            if objects::type_version(ty) == 0 {
                capi::PyUnstable_Type_AssignVersionTag(ty);
            }
            let version = objects::type_version(ty);
            (version != 0).then(|| (version, self.known(found)))
        }
    }

    fn super_method(&mut self, class: u64, own: u64, name_index: u32) -> Option<SuperMethod> {
        let name = self.info.names[name_index as usize];
        // SAFETY: live objects: a program may name anything.
        if unsafe { !objects::is_type(class as Obj) || !objects::is_type(own as Obj) } {
            return None;
        }
        let version = self.class_version(own)?;
        // SAFETY: live classes.
        let found = unsafe { objects::method_above(own as Obj, class as Obj, name) };
        (!found.is_null()).then(|| SuperMethod { version, class: self.known(class as Obj), method: self.known(found) })
    }

    fn is_super(&self, o: u64) -> bool {
        o == &raw mut capi::PySuper_Type as u64
    }

    fn closure_class(&self, n: u32) -> Option<u64> {
        if self.function.is_null() || !self.callers.is_empty() {
            return None;
        }
        // SAFETY: a live function.
        let o = unsafe { inspect::function_cell(self.function, n as usize) };
        (!o.is_null() && classes::class_of(o) == Some(Class::Type)).then_some(o as u64)
    }

    fn constant(&mut self, index: u32) -> Known {
        let o = self.info.consts[index as usize];
        self.known(o)
    }

    fn module_attribute(&mut self, module: u64, name_index: u32) -> Option<Known> {
        let name = self.info.names[name_index as usize];
        // SAFETY: `module` is an exact module kept alive by this compilation; its dict is exact.
        let (dict, found) = unsafe {
            let dict = capi::PyModule_GetDict(module as Obj);
            (dict, capi::PyDict_GetItem(dict, name))
        };
        if found.is_null() || !invariants::track_name(self.record, dict, name, kind_of(found)) {
            return None;
        }
        self.assumptions.push(format!("module attribute {} unchanged", self.info.names_text[name_index as usize]));
        Some(self.known(found))
    }

    fn none(&mut self) -> Known {
        self.known(capi::none())
    }

    fn assertion_error(&mut self) -> Known {
        // SAFETY: a built-in exception class, for good.
        let class = unsafe { capi::PyExc_AssertionError };
        self.known(class)
    }

    fn type_attribute(&mut self, class: Option<u64>, version: u32, name_index: u32) -> Option<Known> {
        let name = self.info.names[name_index as usize];
        // SAFETY: examples and built-in types are alive; the look-up goes along the type's bases and runs no code.
        unsafe {
            let of_example = class.map(|c| c as Obj);
            let built_in = inspect::builtin_types().into_iter().map(|(_, t)| t);
            let ty = of_example
                .into_iter()
                .chain(built_in)
                .find(|t| objects::type_version(*t) == version)
                .or_else(|| types::by_version(version))
                .filter(|t| objects::has_plain_names(*t))?;
            let found = capi::_PyType_Lookup(ty, name);
            self.note_size(ty);
            (!found.is_null() && objects::type_version(ty) == version).then(|| self.known(found))
        }
    }

    fn is_version_of(&self, class: Class, version: u32) -> bool {
        // SAFETY: built-in types.
        classes::all().into_iter().any(|(c, ty)| c == class && unsafe { objects::type_version(ty as Obj) } == version)
    }

    fn is_generic(&self, unit: u32) -> bool {
        // SAFETY: states live as long as their code objects, which are in use.
        unsafe { (*self.state).generic.contains(&unit) }
    }

    fn drops_run_code(&self, unit: u32) -> bool {
        // SAFETY: as above.
        unsafe { (*self.state).noisy.contains(&unit) }
    }

    fn is_mixed(&self, unit: u32) -> bool {
        // SAFETY: as above.
        unsafe { (*self.state).mixed.contains(&unit) }
    }

    fn entry_local(&self, slot: u32) -> Option<Option<Class>> {
        if self.frame.is_null() || self.generic_local(slot) {
            return None;
        }
        let o = self.local(slot);
        if o.is_null() {
            return self.at_loop.then_some(None);
        }
        classes::class_of(o).map(Some)
    }

    fn entry_method(&self, slot: u32) -> Option<(&'static str, u64)> {
        if self.frame.is_null() {
            return None;
        }
        // SAFETY: the frame is alive; an exact built-in has a definition.
        unsafe {
            let o = self.local(slot);
            if o.is_null() || classes::class_of(o) != Some(Class::Builtin) {
                return None;
            }
            let definition: u64 = read(o, layout::get().cfunction_def);
            super::well_known::method_name(definition).map(|name| (name, definition))
        }
    }

    fn entry_stack(&self, depth: u32) -> Option<Option<Class>> {
        if self.frame.is_null() || !self.at_loop {
            return None;
        }
        // SAFETY: as above; a loop's frame has at least the header's depth on its stack.
        let o = unsafe { *frame::slot(self.frame, (self.info.nlocalsplus + depth) as usize) };
        if o.is_null() { Some(None) } else { classes::class_of(o).map(Some) }
    }

    fn owns_entry_stack(&self, depth: u32) -> bool {
        if self.frame.is_null() || !self.at_loop {
            return false;
        }
        // SAFETY: as above.
        unsafe {
            let o = *frame::slot(self.frame, (self.info.nlocalsplus + depth) as usize);
            !o.is_null() && (*o).ob_refcnt == 1
        }
    }
}
