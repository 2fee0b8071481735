//! What a compilation takes of the running program: its bytecode, what is known of its objects, and its first IR.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use stoop_codegen::unit::{Convention, Native};
use stoop_cpython::capi::{self, Frame, Obj};
use stoop_cpython::decode::{self, CodeInfo};
use stoop_cpython::feedback::Feedback;
use stoop_cpython::{frame, inspect, monitoring, natives};
use stoop_ir::{Function, Inst, Op};

use super::{Job, catch};
use crate::engine::environment::Live;
use crate::engine::record::{CodeState, Record};
use crate::engine::trial::Trial;
use crate::engine::turns::{self, Turns};
use crate::engine::{budget, framed, guesses, keepers, peeling, registry};
use crate::frontend::{self, Entry, Environment};
use crate::reasons::Refusal;

const GENERATOR_FLAGS: u32 = 0x20 | 0x80 | 0x200;

const OPTIMIZED_NEWLOCALS: u32 = 0x3;

/// Decodes a code object, or says why not. Keeps feedback that instrumentation has since taken away.
pub fn info(s: &mut CodeState) -> Result<Arc<CodeInfo>, String> {
    // SAFETY: a live code object, the GIL held.
    let mut new = unsafe { decode::decode(s.code) }.map_err(|e| e.to_string())?;
    if let Some(old) = &s.info {
        for (n, o) in new.instrs.iter_mut().zip(&old.instrs) {
            if n.feedback == Feedback::None {
                n.feedback = o.feedback;
            }
            n.ran |= o.ran;
        }
    }
    let new = Arc::new(new);
    s.info = Some(new.clone());
    Ok(new)
}

/// Whether calls of a code object make generators or coroutines.
pub fn resumes(info: &CodeInfo) -> bool {
    info.flags & (GENERATOR_FLAGS & !0x200) != 0
}

/// Why calls of a code object cannot enter compiled code.
pub fn cannot_be_called(info: &CodeInfo) -> Option<Refusal> {
    if info.flags & GENERATOR_FLAGS != 0 {
        Some(Refusal::Generator)
    } else if info.flags & OPTIMIZED_NEWLOCALS != OPTIMIZED_NEWLOCALS {
        Some(Refusal::Body)
    } else {
        None
    }
}

/// Builds the IR of a region.
///
/// # Safety
/// The GIL is held; `fr` is NULL or a live frame of the code (at the loop's header, for a loop).
pub unsafe fn prepare(code: Obj, entry: Entry, fr: *mut Frame, function: Obj, want_text: bool) -> Result<Job, String> {
    let meter = budget::Meter::start();
    // SAFETY: as documented.
    let job = unsafe { prepare_unmetered(code, entry, fr, function, want_text) };
    let spent = meter.read();
    budget::charge(spent / job.as_ref().map_or(1, |job| job.bargain));
    job.map(|job| Job { spent, ..job })
}

unsafe fn prepare_unmetered(code: Obj, entry: Entry, fr: *mut Frame, function: Obj, want_text: bool) -> Result<Job, String> {
    // SAFETY: as documented.
    unsafe {
        let s = registry::state(code);
        let info = info(s)?;
        let refusal = cannot_be_called(&info).filter(|_| entry == Entry::Function);
        if let Some(why) = refusal {
            return Err(why.into());
        }
        keepers::find(s, fr, function);
        let (globals, builtins) = if fr.is_null() {
            (inspect::function_globals(function), inspect::function_builtins(function))
        } else {
            (frame::globals(fr), frame::builtins(fr))
        };
        let at = entry.header().unwrap_or(0);
        let line = if entry == Entry::Function { info.first_line } else { info.index_of(at).map_or(0, |k| info.instrs[k].line) };
        const VARIADIC: u32 = 4 | 8;
        let plain = (info.kwonly == 0 && info.flags & VARIADIC == 0).then_some(info.argcount);
        let mut record = Box::new(Record {
            valid: AtomicU64::new(1),
            entry,
            code,
            info: info.clone(),
            line,
            native: None,
            memory: None,
            thunk: None,
            trial_thunk: None,
            counted: false,
            trial: Trial::default(),
            turns: Turns::new(turns::Verdict::Pays),
            call: None,
            exits: Vec::new(),
            exit_counts: Vec::new(),
            entries: 0,
            native_ns: 0,
            interpreted_calls: 0,
            timed_entries: 0,
            active: 0,
            local_events: Vec::new(),
            consts: Vec::new(),
            compile_us: 0,
            code_bytes: 0,
            variables: Vec::new(),
            names_are_globals: false,
            homes: Vec::new(),
            assumptions: Vec::new(),
            names: Vec::new(),
            texts: Vec::new(),
            plain_args: plain,
            globals,
            builtins,
            news: 0,
            inlined: Vec::new(),
            entry_slots: HashMap::new(),
        });
        let state = registry::state(code);
        let nothing = BTreeSet::new();
        let mut live = Live {
            info: info.clone(),
            state,
            record: &raw mut *record,
            frame: fr,
            globals,
            builtins,
            callers: Vec::new(),
            function: if function.is_null() && !fr.is_null() { frame::function(fr) } else { function },
            no_inline: state.no_inline.get(&entry.header()).unwrap_or(&nothing),
            keep: Vec::new(),
            sizes: HashMap::new(),
            assumptions: Vec::new(),
            variables: Vec::new(),
            homes: Vec::new(),
            at_loop: entry != Entry::Function,
        };
        // A bug in the front end or a pass must not take the program down.
        let built = catch(|| peeling::build(&info, entry, &mut live)).and_then(|b| b.map_err(|e| e.to_string()));
        let sizes = std::mem::take(&mut live.sizes);
        record.names_are_globals = live.names_are_globals();
        record.consts = live.keep;
        record.variables = live.variables;
        record.homes = live.homes;
        record.assumptions = live.assumptions;
        record.assumptions.sort();
        record.assumptions.dedup();
        let func = match built {
            Ok(b) => {
                record.inlined = b.functions;
                b.func
            }
            Err(e) => {
                registry::retire(Some(record));
                return Err(e);
            }
        };
        record.news = guesses::news(record.codes());
        record.entry_slots = entry_slots(&func);
        if !note_events(&mut record) {
            registry::retire(Some(record));
            return Err("its monitoring data cannot be made".to_owned());
        }
        let name_objects = func.names.iter().map(|n| name_object(n, &info, &record.inlined)).collect();
        let links = record.consts.iter().filter_map(|&o| Some((o as u64, registry::link(o)?))).collect();
        let natives = record.consts.iter().filter_map(|&o| Some((o as u64, native(o)?))).collect();
        let images = record.inlined.iter().map(|f| framed::image(f)).collect();
        let any_price = budget::is_unlimited() || registry::state(code).asked;
        let fresh = (entry == Entry::Function).then(|| frame::fresh(code, globals, builtins));
        capi::incref(code);
        capi::xincref(function);
        let own = crate::engine::choose::own(&info, entry);
        let bargain = crate::engine::choose::bargain(own);
        let reserved = budget::estimate(own.len()) / bargain;
        budget::reserve(reserved);
        let operations = func.blocks.iter().map(|b| b.insts.len()).sum();
        let func = Some(func);
        Ok(Job {
            code,
            record,
            func,
            function,
            name_objects,
            sizes,
            links,
            natives,
            fresh,
            images,
            any_price,
            units: info,
            operations,
            spent: 0,
            bargain,
            reserved,
            counts_turns: false,
            want_text,
        })
    }
}

/// Notes where the region's code objects keep which tools listen to them.
unsafe fn note_events(record: &mut Record) -> bool {
    let mut codes = vec![record.code];
    for f in &record.inlined {
        if !codes.contains(&f.code.code) {
            codes.push(f.code.code);
        }
    }
    // SAFETY: live code objects. An inlined function may get another one while this region still runs.
    unsafe {
        for &code in &codes[1..] {
            capi::incref(code);
            record.consts.push(code);
        }
        record.local_events = codes.iter().filter_map(|c| monitoring::local_events(*c)).collect();
    }
    record.local_events.len() == codes.len()
}

/// The str object of a name that the outermost function or one inlined uses.
fn name_object(name: &str, info: &CodeInfo, inlined: &[frontend::Inlined]) -> u64 {
    std::iter::once(info)
        .chain(inlined.iter().map(|f| &*f.code))
        .find_map(|i| i.names_text.iter().position(|t| t == name).map(|k| i.names[k] as u64))
        .unwrap_or(0)
}

/// Which local each guard of an entry value is about.
fn entry_slots(f: &Function) -> HashMap<Inst, u32> {
    let mut out = HashMap::new();
    for (k, d) in f.insts.iter().enumerate() {
        if !matches!(d.op, Op::GuardClass | Op::GuardNotNull) {
            continue;
        }
        let mut v = d.args[0];
        while let Some(i) = f.def_inst(v) {
            let e = f.inst(i);
            match (e.op, e.imm) {
                (Op::EntryLocal, stoop_ir::Imm::Index(slot)) => {
                    out.insert(Inst(k as u32), slot);
                    break;
                }
                (Op::GuardClass | Op::GuardNotNull | Op::RefCast, _) => v = e.args[0],
                _ => break,
            }
        }
    }
    out
}

/// The C function of a built-in function or method, for the code generator.
fn native(o: Obj) -> Option<Native> {
    // SAFETY: the record keeps its constants alive; the GIL is held.
    let n = unsafe {
        crate::helpers::heaps::start();
        natives::native(o)?
    };
    let convention = match n.convention {
        natives::Convention::Nothing => Convention::Nothing,
        natives::Convention::One => Convention::One,
        natives::Convention::Array => Convention::Array,
        natives::Convention::ArrayAndNames => Convention::ArrayAndNames,
    };
    Some(Native { function: n.function, convention, owner: n.owner as u64, bound: n.bound as u64 })
}
