//! Making machine code enterable.

use stoop_codegen::thunk::{self, thunk};
use stoop_cpython::capi::{self, Obj};
use stoop_cpython::monitoring;

use super::{Job, Output, Shared, Unfinished};
use crate::engine::record::{CodeState, NativeFn, Record};
use crate::engine::trial::Verdict;
use crate::engine::{budget, entry, journal, registry, totals};
use crate::frontend::Entry;

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
                budget::learn(crate::engine::choose::own(&units, record.entry).len(), operations, spent);
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
                            crate::engine::generators::publish(address);
                        } else {
                            crate::engine::choose::arm_again(s, monitoring::JUMP);
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
    crate::engine::addresses::CODES.note(s.code as usize);
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
        crate::engine::perf::name(memory.address(), memory.len(), &out.func.name);
    }
    if !shared.jitdump.is_empty() {
        let line = |unit: u32| record.info.index_of(unit).map_or(0, |k| record.info.instrs[k].line);
        let mut lines: Vec<(u32, u32)> = compiled.unit_map.iter().map(|(at, unit)| (*at, line(*unit))).collect();
        lines.retain(|(_, line)| *line != 0);
        lines.dedup_by_key(|(_, line)| *line);
        let (bytes, filename) = (&compiled.bytes[..compiled.code_size()], &record.info.filename);
        let piece =
            crate::engine::jitdump::Piece { address: memory.address(), bytes, name: &out.func.name, filename, lines: &lines };
        crate::engine::jitdump::add(&shared.jitdump, &piece);
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
