//! Passes and machine code.

use std::collections::BTreeSet;

use stoop_codegen::abi::{Expected, Place, Watch};
use stoop_codegen::cranelift;
use stoop_codegen::cranelift::entry::{EntryRequest, MOST_LOCALS, compile_entry};
use stoop_codegen::runtime::Helper;
use stoop_codegen::unit::{InlinedFrames, Request};
use stoop_cpython::capi;
use stoop_cpython::decode::CodeInfo;
use stoop_cpython::{generator, monitoring};
use stoop_ir::{Flags, Function, Inst, Op};
use stoop_passes::pipeline;

use super::{Job, Output, Shared, Unfinished, catch};
use crate::engine::record::Record;
use crate::engine::trial::Verdict;
use crate::engine::turns;
use crate::engine::{budget, entry, exits, framed, nested};
use crate::frontend::Entry;
use crate::reasons::Refusal;

/// Values in frame states above which a region is not compiled: code and exits grow with their number, the square of
/// a function's length.
const MOST_NAMED: usize = 500_000;

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

/// Whether anything in a region may run Python code: compiling may then make it slower.
fn calls_python(f: &Function) -> bool {
    let mut all = f.blocks.iter().flat_map(|b| &b.insts).map(|i| f.inst(*i).op);
    all.any(|op| op.is(Flags::PY) && op != Op::Poll)
}

/// The polls at the ends of turns of the loop that is entered. One that is asked for whether it is due stands for the
/// one that then follows.
fn polls_of_entry(f: &Function, info: &CodeInfo, entry: Entry) -> Vec<Inst> {
    let header = entry.header();
    let own = crate::engine::choose::own(info, entry).iter();
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
        bounds: crate::engine::stack::bounds(),
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
