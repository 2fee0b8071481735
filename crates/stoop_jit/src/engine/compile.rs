//! Compiling a region: prepare (GIL), optimise and lower (no GIL needed), install (GIL).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use stoop_codegen::abi::{Abi, Expected, Place, Watch};
use stoop_codegen::cranelift;
use stoop_codegen::cranelift::entry::{EntryAbi, EntryRequest, MOST_LOCALS, compile_entry};
use stoop_codegen::memory::Arena;
use stoop_codegen::runtime::Helper;
use stoop_codegen::thunk::{self, thunk};
use stoop_codegen::unit::{Compiled, Convention, FrameImage, InlinedFrames, Native, Request};
use stoop_cpython::capi::{self, Frame, Obj};
use stoop_cpython::decode::{self, CodeInfo};
use stoop_cpython::feedback::Feedback;
use stoop_cpython::{frame, generator, inspect, monitoring, natives};
use stoop_ir::{Flags, Function, Inst, Op};
use stoop_passes::pipeline;

use super::environment::Live;
use super::record::{CodeState, NativeFn, Record};
use super::trial::{Trial, Verdict};
use super::turns::{self, Turns};
use super::{budget, entry, exits, framed, guesses, journal, keepers, nested, peeling, registry, totals};
use crate::frontend::{self, Entry, Environment};
use crate::reasons::Refusal;

/// What a compilation needs of the process; made once.
pub struct Shared {
    /// The interpreter's description.
    pub abi: Arc<Abi>,
    /// What entries need of that.
    pub entry_abi: EntryAbi,
    /// The safe points' watches.
    pub watches: Vec<Watch>,
    /// Executable memory.
    pub arena: Arena,
    /// Whether perf is told the names of compiled code.
    pub perf_map: bool,
    /// Directory for the jitdump file; empty: none is written.
    pub jitdump: String,
    /// The guard (counted from 1 in each region) that always leaves: for tests.
    pub force_exit: Option<u32>,
    /// Whether the IR is verified after each pass in release builds too.
    pub verify: bool,
    /// Passes that are switched off.
    pub passes_off: Vec<String>,
}

/// A region between its preparation and its installation.
pub struct Job {
    /// The code object, with a reference of our own.
    code: Obj,
    record: Box<Record>,
    /// Until it is optimised.
    func: Option<Function>,
    /// Function whose vectorcall asked for it (a reference of our own), or NULL.
    function: Obj,
    name_objects: Vec<u64>,
    /// Basic sizes of instances, by their classes' versions.
    sizes: HashMap<u32, i32>,
    /// Links of the functions it calls, by their addresses.
    links: HashMap<u64, u64>,
    /// C functions of the built-in functions and methods it calls, by the callables' addresses.
    natives: HashMap<u64, Native>,
    /// The function's frames.
    fresh: Option<frame::Fresh>,
    /// Those of inlined functions.
    images: Vec<FrameImage>,
    /// Whether the code may be large: somebody wants it whatever it costs.
    any_price: bool,
    units: Arc<CodeInfo>,
    /// How many operations it begins with.
    operations: usize,
    /// Nanoseconds of processor time that it has taken so far.
    spent: u64,
    /// How much more it is worth than other code: the budget is charged a part of its cost only.
    bargain: u64,
    /// What the budget keeps for it.
    reserved: u64,
    /// Whether turns of the loop are counted.
    counts_turns: bool,
    want_text: bool,
}

// SAFETY: while a job is away from the GIL only its IR and plain numbers are touched; its references are kept and
// dropped under the GIL.
unsafe impl Send for Job {}

/// Optimised and lowered.
pub struct Output {
    compiled: Result<Compiled, Unfinished>,
    call: Option<Vec<u8>>,
    func: Function,
    texts: Vec<(String, String)>,
}

/// Why a region was not compiled.
#[derive(Debug)]
pub enum Unfinished {
    /// It cannot be: a sentence.
    Refused(String),
    /// These functions should not have been inlined: it has to be built again.
    Again(BTreeSet<u64>),
}

impl From<String> for Unfinished {
    fn from(why: String) -> Unfinished {
        Unfinished::Refused(why)
    }
}

impl Output {
    /// The texts of the stages; an error where the last one failed.
    pub fn into_texts(self) -> Result<Vec<(String, String)>, Unfinished> {
        self.compiled?;
        Ok(self.texts)
    }
}

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

const GENERATOR_FLAGS: u32 = 0x20 | 0x80 | 0x200;
const OPTIMIZED_NEWLOCALS: u32 = 0x3;

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
        let own = super::choose::own(&info, entry);
        let bargain = super::choose::bargain(own);
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

/// Watches of whether a tool listens to the region's code objects: of all events, or, for the first one, of those only
/// that concern a function that is running.
fn local_watches(record: &Record, all: bool) -> Vec<Watch> {
    let [whole, running] = monitoring::LOCAL_WORDS;
    let mut out = Vec::new();
    for (k, events) in record.local_events.iter().enumerate() {
        let words = if all || k > 0 { &[whole, running][..] } else { &[running] };
        out.extend(words.iter().map(|w| Watch {
            place: Place::Absolute(events + w),
            width: 8,
            mask: monitoring::LOCAL_MASK,
            expected: Expected::Const(0),
        }));
    }
    out
}

/// Runs a part of the compiler; a panic in it is a refusal.
fn catch<T>(part: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(part)).map_err(|_| Refusal::Bug.into())
}

/// Whether anything in a region may run Python code: compiling may then make it slower.
fn calls_python(f: &Function) -> bool {
    let mut all = f.blocks.iter().flat_map(|b| &b.insts).map(|i| f.inst(*i).op);
    all.any(|op| op.is(Flags::PY) && op != Op::Poll)
}

/// The polls at the ends of turns of the loop that is entered. One that is asked for whether it is due stands for the
/// one that then follows.
fn polls_of_entry(f: &Function, info: &CodeInfo, entry: Entry) -> Vec<Inst> {
    let header = entry.header();
    let own = super::choose::own(info, entry).iter();
    let back: BTreeSet<u32> = own.filter(|i| i.target.is_some() && i.target == header).map(|i| i.unit).collect();
    let ends_turn = |i: &&Inst| {
        let d = f.inst(**i);
        let at = d.state.map(|s| &f.states[s.index()]);
        d.op == Op::Poll && at.is_some_and(|s| s.parent.is_none() && back.contains(&s.unit))
    };
    let poll_in = |b: &stoop_ir::func::BlockData| b.insts.iter().find(ends_turn).copied();
    let (mut polls, mut stood_for) = (Vec::new(), Vec::new());
    for b in &f.blocks {
        polls.extend(poll_in(b));
        let due = b.insts.iter().find(|i| f.inst(**i).op == Op::PollDue);
        if let (Some(due), Some(last)) = (due, b.insts.last()) {
            let then = f.inst(*last).targets.iter().find_map(|t| poll_in(&f.blocks[t.block.index()]));
            if let Some(poll) = then {
                polls.push(*due);
                stood_for.push(poll);
            }
        }
    }
    polls.retain(|p| !stood_for.contains(p));
    polls
}

/// The str object of a name that the outermost function or one inlined uses.
fn name_object(name: &str, info: &CodeInfo, inlined: &[frontend::Inlined]) -> u64 {
    std::iter::once(info)
        .chain(inlined.iter().map(|f| &*f.code))
        .find_map(|i| i.names_text.iter().position(|t| t == name).map(|k| i.names[k] as u64))
        .unwrap_or(0)
}

impl Job {
    /// Its code object and where it is entered.
    pub fn region(&self) -> (Obj, Entry) {
        (self.code, self.record.entry)
    }

    /// Function whose vectorcall asked for it, or NULL.
    pub fn function(&self) -> Obj {
        self.function
    }

    /// Its decoded code object.
    pub fn info(&self) -> &CodeInfo {
        &self.units
    }

    /// How many operations it begins with.
    pub fn size(&self) -> usize {
        self.operations
    }

    /// Gives its references up. The GIL is held.
    pub fn abandon(self) {
        let Job { code, record, function, reserved, .. } = self;
        budget::settle(reserved);
        if let Some(s) = registry::find(code) {
            s.pending.remove(&record.entry.header());
        }
        registry::retire(Some(record));
        // SAFETY: taken in `prepare`.
        unsafe {
            capi::decref(code);
            capi::xdecref(function);
        }
    }
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

/// Values in frame states above which a region is not compiled: code and exits grow with their number, the square of
/// a function's length.
const MOST_NAMED: usize = 500_000;

/// Optimises and lowers. Needs no GIL.
pub fn finish(job: &mut Job, shared: &Shared) -> Output {
    let meter = budget::Meter::start();
    let out = finish_unmetered(job, shared);
    let spent = meter.read();
    budget::charge(spent / job.bargain);
    job.spent += spent;
    out
}

fn finish_unmetered(job: &mut Job, shared: &Shared) -> Output {
    let mut func = job.func.take().expect("a job is finished once");
    let mut texts = Vec::new();
    let stays = |f: &Function| framed::too_dear(f, &job.units, &job.record.inlined, job.any_price).is_empty();
    let optimised = catch(|| optimise(&mut func, shared, &stays, job.want_text, &mut texts)).map_err(Unfinished::from);
    let optimised = optimised.and_then(|()| match framed::too_dear(&func, &job.units, &job.record.inlined, job.any_price) {
        banned if banned.is_empty() => Ok(()),
        banned => Err(Unfinished::Again(banned)),
    });
    let optimised = optimised.and_then(|()| match func.named_by_states() {
        n if n > MOST_NAMED => Err(Refusal::TooLarge.with(format!("its exits would name {n} values")).into()),
        _ => Ok(()),
    });
    if let Err(e) = optimised {
        return Output { compiled: Err(e), call: None, func, texts };
    }
    if matches!(job.record.entry, Entry::Resume { .. }) && budget::is_unlimited() {
        job.record.trial.verdict = Verdict::Pays;
    }
    job.counts_turns = matches!(job.record.entry, Entry::Loop { .. }) && !budget::is_unlimited() && calls_python(&func);
    if job.counts_turns {
        job.record.turns.verdict = turns::Verdict::Open;
    }
    let job = &*job;
    if let Some(n) = shared.force_exit {
        force_exit(&mut func, n);
    }
    let info_of = |code: u32| if code == 0 { &job.units } else { &job.record.inlined[code as usize - 1].code };
    let address_in = |info: &CodeInfo, op_unit: u32| {
        let first = (info.code as u64).wrapping_add(stoop_cpython::layout::get().co_code_adaptive as u64);
        first + 2 * u64::from(op_unit)
    };
    let unit_address = |code: u32, unit: u32| {
        let info = info_of(code);
        address_in(info, info.index_of(unit).map_or(unit, |k| info.instrs[k].op_unit))
    };
    let unit_before = |code: u32, unit: u32| {
        let info = info_of(code);
        let before = info.instrs.partition_point(|i| i.unit < unit).checked_sub(1);
        address_in(info, before.map_or(unit, |k| info.instrs[k].op_unit))
    };
    let name_address = |n: stoop_ir::Name| job.name_objects[n.index()];
    let helpers = |h: Helper| match h {
        Helper::SideExit => exits::side_exit as *const () as u64,
        Helper::RaiseExit => exits::raise_exit as *const () as u64,
        Helper::Poll => exits::poll as *const () as u64,
        Helper::Recheck => exits::recheck as *const () as u64,
        Helper::FirstInlined => nested::first_inlined as *const () as u64,
        Helper::RoomForInlined => nested::room_for_inlined as *const () as u64,
        Helper::PopInlined => nested::pop_inlined as *const () as u64,
        h => crate::helpers::address(h).expect("every other helper has an address"),
    };
    let record: *const Record = &raw const *job.record;
    // SAFETY: only the field's address is taken.
    let valid = unsafe { &raw const (*record).valid } as u64;
    let watches = [&shared.watches[..], &local_watches(&job.record, false)].concat();
    let polls = polls_of_entry(&func, &job.units, job.record.entry);
    // SAFETY: only the field's address is taken.
    let count = unsafe { &raw const (*record).turns.count } as u64;
    let homes: Vec<u64> = job.record.variables.iter().map(|h| h.address()).collect();
    let request = Request {
        func: &func,
        abi: &shared.abi,
        helpers: &helpers,
        record: record as u64,
        watches: &watches,
        valid: Watch { place: Place::Absolute(valid), width: 8, mask: u64::MAX, expected: Expected::Const(1) },
        unit_address: &unit_address,
        unit_before: &unit_before,
        name_address: &name_address,
        basicsize: &|version| job.sizes.get(&version).copied(),
        link: &|function| job.links.get(&function).copied(),
        homes: &homes,
        native: &|callable| job.natives.get(&callable).copied(),
        frames: Some(InlinedFrames { abi: &shared.entry_abi, images: &job.images }),
        hidden: matches!(job.record.entry, Entry::Resume { .. }).then(|| generator::HIDDEN.address() as u64),
        turns: job.counts_turns.then_some((count, &polls[..])),
        optimise: true,
        want_text: job.want_text,
    };
    let compiled = catch(|| cranelift::compile(&request)).and_then(|r| r.map_err(|e| e.to_string()));
    if let (true, Ok(c)) = (job.want_text, &compiled) {
        texts.extend(c.clif.clone().map(|t| ("clif".to_owned(), t)));
        texts.extend(c.asm.clone().map(|t| ("asm".to_owned(), t)));
    }
    let call = compiled.is_ok().then(|| call_code(job, shared)).flatten();
    Output { compiled: compiled.map_err(Unfinished::from), call, func, texts }
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

/// The code that plain calls of the function run through; `None` where they go through the general one.
fn call_code(job: &Job, shared: &Shared) -> Option<Vec<u8>> {
    let fresh = job.fresh.as_ref()?;
    let arguments = job.record.plain_args?;
    if fresh.locals > MOST_LOCALS {
        return None;
    }
    let record: *const Record = &raw const *job.record;
    // SAFETY: only addresses of fields are taken.
    let (valid, native, entries, active) = unsafe {
        (&raw const (*record).valid, &raw const (*record).native, &raw const (*record).entries, &raw const (*record).active)
    };
    let mut watches: Vec<Watch> = shared.watches.iter().filter(|w| !matches!(w.place, Place::Frame(_))).copied().collect();
    watches.extend(local_watches(&job.record, true));
    watches.insert(0, Watch { place: Place::Absolute(valid as u64), width: 8, mask: u64::MAX, expected: Expected::Const(1) });
    let request = EntryRequest {
        abi: &shared.entry_abi,
        watches: &watches,
        bounds: super::stack::bounds(),
        words: &fresh.words,
        // SAFETY: the job keeps the code object alive; an immortal one stays that.
        code: (!unsafe { capi::is_immortal(job.code) }).then_some(job.code as u64),
        frame_size: fresh.size,
        arguments,
        locals: fresh.locals,
        native: native as u64,
        entries: entries as u64,
        active: active as u64,
        record: record as u64,
        slow: entry::call as *const () as u64,
        pop: entry::pop as *const () as u64,
        thread: capi::PyThreadState_Get as *const () as u64,
        dealloc: crate::helpers::address(Helper::Dealloc)?,
    };
    catch(|| compile_entry(&request)).ok()?.ok()
}

/// Puts a guard that never holds before the n-th operation that may leave, with the same state.
fn force_exit(f: &mut Function, n: u32) {
    let mut seen = 0;
    for b in 0..f.blocks.len() {
        for k in 0..f.blocks[b].insts.len() {
            let d = f.inst(f.blocks[b].insts[k]);
            let waits = matches!(d.op, Op::Check | Op::CheckHandling | Op::CheckValid | Op::Poll);
            let (true, Some(state)) = (d.op.is(Flags::EXIT) && !d.op.is(Flags::TERM) && !waits, d.state) else { continue };
            seen += 1;
            if seen == n {
                let (c, no) = f.make_inst(Op::ConstBool, &[], stoop_ir::Imm::Int(0), stoop_ir::Type::I1, None);
                let no = no.expect("a constant has a result");
                let (g, _) = f.make_inst(Op::GuardTrue, &[no], stoop_ir::Imm::None, stoop_ir::Type::Void, Some(state));
                f.blocks[b].insts.splice(k..k, [c, g]);
                return;
            }
        }
    }
}

/// Runs the passes, as far as `goes_on` lets them.
fn optimise(
    func: &mut Function,
    shared: &Shared,
    goes_on: &dyn Fn(&Function) -> bool,
    want_text: bool,
    texts: &mut Vec<(String, String)>,
) {
    let mut dump = |name: &str, f: &Function| {
        if want_text {
            texts.push((name.to_owned(), f.to_string()));
        }
    };
    let mut options = pipeline::Options {
        off: shared.passes_off.clone(),
        dump: want_text.then_some(&mut dump),
        verify: shared.verify,
        goes_on: Some(goes_on),
    };
    pipeline::run(func, &mut pipeline::PassContext::default(), &mut options);
}

/// Makes a finished region enterable; says why not where it can't be.
///
/// # Safety
/// The GIL is held.
pub unsafe fn install(job: Job, out: Output, shared: &Shared) -> Result<(), Unfinished> {
    let meter = budget::Meter::start();
    let Job { code, mut record, function, units, operations, mut spent, bargain, reserved, .. } = job;
    budget::settle(reserved);
    // SAFETY: the references taken in `prepare` are given back at the end.
    unsafe {
        let region = record.entry.header();
        let s = registry::state(code);
        s.pending.remove(&region);
        let result = place(&mut record, out, shared);
        spent += meter.read();
        budget::charge(meter.read() / bargain);
        record.compile_us = spent / 1000;
        totals::count(|t| t.compile_us += record.compile_us);
        let result = match result {
            Ok(()) if !registry::is_enabled() => Err(Unfinished::Refused("the engine is off".to_owned())),
            Ok(()) => {
                budget::learn(super::choose::own(&units, record.entry).len(), operations, spent);
                totals::count(|t| {
                    t.compiled += 1;
                    t.code_bytes += record.code_bytes as u64;
                });
                s.cool();
                s.owed = false;
                journal::note(&record, || {
                    let (kib, inlined) = (record.code_bytes as f64 / 1024.0, record.inlined.len());
                    format!("compiled in {} us, {kib:.1} KiB, {inlined} functions in place", record.compile_us)
                });
                registry::has_region(code);
                match region {
                    None => install_function(s, record, function),
                    Some(u) => {
                        let resumes = matches!(record.entry, Entry::Resume { .. });
                        let address: *mut Record = &raw mut *record;
                        let old = s.loops.insert(u, record);
                        if resumes {
                            super::generators::publish(address);
                        } else {
                            super::choose::arm_again(s, monitoring::JUMP);
                        }
                        registry::retire(old);
                    }
                }
                Ok(())
            }
            Err(e) => {
                journal::note(&record, || format!("not compiled: {e:?}"));
                match &e {
                    Unfinished::Refused(why) => {
                        totals::count(|t| t.refused += 1);
                        s.refused.insert(region, why.clone());
                    }
                    Unfinished::Again(banned) => s.no_inline.entry(region).or_default().extend(banned),
                }
                registry::retire(Some(record));
                Err(e)
            }
        };
        capi::decref(code);
        capi::xdecref(function);
        result
    }
}

unsafe fn install_function(s: &mut CodeState, mut record: Box<Record>, function: Obj) {
    if s.asked {
        record.trial.verdict = Verdict::Pays;
    }
    super::addresses::CODES.note(s.code as usize);
    let old = s.function.replace(record);
    let functions = std::mem::take(&mut s.functions);
    for (f, version) in &functions {
        registry::uninstall(*f as Obj, *version);
    }
    for f in functions.into_keys() {
        registry::install(f as Obj);
    }
    if !function.is_null() {
        registry::install(function);
    }
    registry::retire(old);
}

fn place(record: &mut Box<Record>, out: Output, shared: &Shared) -> Result<(), Unfinished> {
    let compiled = out.compiled?;
    let memory = shared.arena.place(&compiled.bytes).map_err(|e| e.to_string())?;
    if record.entry == Entry::Function {
        let address: *mut Record = &raw mut **record;
        // The entry made for the function takes a thread state where the general one takes the record.
        record.call = out.call.and_then(|bytes| shared.arena.place(&bytes).ok());
        let lasting = match &record.call {
            Some(call) => thunk(0, call.address()),
            None => thunk(address as u64, entry::call as *const () as u64),
        };
        let tried = thunk(address as u64, entry::tried as *const () as u64);
        let place = |bytes: Option<[u8; thunk::SIZE]>| {
            let bytes = bytes.ok_or("this processor is not supported")?;
            shared.arena.place(&bytes).map(Some).map_err(|e| e.to_string())
        };
        record.thunk = place(lasting)?;
        record.trial_thunk = place(tried)?;
    }
    if shared.perf_map {
        super::perf::name(memory.address(), memory.len(), &out.func.name);
    }
    if !shared.jitdump.is_empty() {
        let line = |unit: u32| record.info.index_of(unit).map_or(0, |k| record.info.instrs[k].line);
        let mut lines: Vec<(u32, u32)> = compiled.unit_map.iter().map(|(at, unit)| (*at, line(*unit))).collect();
        lines.retain(|(_, line)| *line != 0);
        lines.dedup_by_key(|(_, line)| *line);
        let (bytes, filename) = (&compiled.bytes[..compiled.code_size()], &record.info.filename);
        let piece = super::jitdump::Piece { address: memory.address(), bytes, name: &out.func.name, filename, lines: &lines };
        super::jitdump::add(&shared.jitdump, &piece);
    }
    // SAFETY: the code was made with this signature.
    record.native = Some(unsafe { std::mem::transmute::<u64, NativeFn>(memory.address()) });
    record.memory = Some(memory);
    record.code_bytes = compiled.bytes.len();
    record.exit_counts = vec![0; compiled.exits.len()];
    record.exits = compiled.exits;
    record.names = out.func.names;
    record.texts = out.texts;
    Ok(())
}
