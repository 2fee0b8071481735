//! Variables of modules: LOAD_GLOBAL and STORE_GLOBAL, and LOAD_NAME and STORE_NAME where these mean the same.
//!
//! There are four ways to read one. A value that has not changed is a constant, while the dict is watched. What the loop of
//! a module itself stores is a *local* of the region, with a number behind the frame's own: its slot is the dict's entry.
//! Any other variable is read and written in the dict's entry, through its home. The rest is looked up.

use std::collections::{BTreeMap, BTreeSet};

use stoop_cpython::decode::{CodeInfo, Instr};
use stoop_cpython::opcodes::Opcode;
use stoop_ir::{Hint, Imm, Op, Type, Value};

use super::Environment;
use super::blocks::Blocks;
use super::builder::{Builder, Item};
use super::operators::{generic, generic_void};

/// Most variables of a module that a region keeps as locals.
const MOST_VARIABLES: usize = 64;

/// The names that a region of a module's own code stores, by their indices.
pub(super) fn stored(code: &CodeInfo, blocks: &Blocks, env: &dyn Environment) -> BTreeSet<u32> {
    let all = blocks.by_unit.values().flat_map(|b| &code.instrs[b.first..b.end]);
    let runs = all.filter(|i| i.ran || env.is_generic(i.unit));
    let stores = |i: &&Instr| matches!(i.op, Opcode::StoreName | Opcode::StoreGlobal | Opcode::DeleteName | Opcode::DeleteGlobal);
    runs.filter(stores).map(|i| i.arg).collect()
}

/// The names that it deletes.
pub(super) fn deleted(code: &CodeInfo, blocks: &Blocks) -> BTreeSet<u32> {
    let all = blocks.by_unit.values().flat_map(|b| &code.instrs[b.first..b.end]);
    all.filter(|i| matches!(i.op, Opcode::DeleteName | Opcode::DeleteGlobal)).map(|i| i.arg).collect()
}

/// Those of the stored names that the region can keep as locals, and which.
pub(super) fn variables(stored: &BTreeSet<u32>, deleted: &BTreeSet<u32>, env: &mut dyn Environment) -> BTreeMap<u32, u32> {
    let kept = stored.difference(deleted).take(MOST_VARIABLES);
    kept.filter_map(|n| Some((*n, env.own_variable(*n)?))).collect()
}

/// LOAD_GLOBAL.
pub(super) fn load_global(b: &mut Builder<'_>, i: &Instr) {
    if i.flag && b.quirks.null_below_callable {
        b.push_null();
    }
    // The NULL below is not there yet when the instruction raises.
    let below = (i.flag && b.quirks.null_below_callable).then(|| b.pop());
    let item = match read(b, i) {
        Some(item) => item,
        None => {
            let st = b.state(i.unit);
            let n = b.name(i.arg);
            b.ran_python = true;
            let v = b.op(Op::PyLoadGlobal, &[], Imm::Name(n), Type::Obj, Some(st));
            Item { value: v, owned: true, slot: None }
        }
    };
    b.lv.stack.extend(below);
    b.lv.stack.push(item);
    if i.flag && !b.quirks.null_below_callable {
        b.push_null();
    }
}

/// LOAD_NAME.
pub(super) fn load_name(b: &mut Builder<'_>, i: &Instr) {
    if b.lv.names_are_globals
        && let Some(item) = read(b, i)
    {
        b.lv.stack.push(item);
        return;
    }
    let n = b.name(i.arg);
    generic(b, i, Op::PyLoadName, 0, Imm::Name(n), Type::Obj, Hint::None);
}

/// The value of a variable, where it need not be looked up.
fn read(b: &mut Builder<'_>, i: &Instr) -> Option<Item> {
    if let Some(&slot) = b.lv.variables.get(&i.arg) {
        let known = b.lv.locals[slot as usize];
        return Some(take(b, known));
    }
    if let Some(known) = outer(b, i) {
        return Some(take(b, known));
    }
    if b.env.is_generic(i.unit) || b.lv.deleted_names.contains(&i.arg) {
        return None;
    }
    if !b.lv.stored_names.contains(&i.arg)
        && let Some(k) = b.env.global(i.arg)
    {
        let value = b.known(k);
        return Some(Item { value, owned: false, slot: None });
    }
    let (home, now) = b.env.home(i.arg, false)?;
    Some(from_home(b, i, home, now))
}

/// The value of a module's attribute, of a module that is known.
pub(super) fn of_module(b: &mut Builder<'_>, i: &Instr, module: u64) -> Option<Item> {
    if let Some(k) = b.env.module_attribute(module, i.arg) {
        let value = b.known(k);
        return Some(Item { value, owned: false, slot: None });
    }
    let (home, now) = b.env.module_home(module, i.arg)?;
    Some(from_home(b, i, home, now))
}

/// What a variable holds whose home is known, `now` as an example.
fn from_home(b: &mut Builder<'_>, i: &Instr, home: u64, now: u64) -> Item {
    let st = b.state(i.unit);
    let home = b.op(Op::GlobalHome, &[], Imm::Int(home as i64), Type::Obj, Some(st));
    let value = b.op(Op::LoadSlot, &[home], Imm::Int(0), Type::Obj, Some(st));
    b.examples.insert(value, now);
    b.void(Op::IncRef, &[value], Imm::None, None);
    Item { value, owned: true, slot: None }
}

/// In an inlined function, what a variable holds that the region keeps as a local.
fn outer(b: &Builder<'_>, i: &Instr) -> Option<Value> {
    let known = b.lv.outer.get(&b.lv.code.names_text[i.arg as usize]).copied();
    known.filter(|_| b.env.shares_globals())
}

/// The value of a variable that is a local. Others may store to it while it is used, so it gets a reference of its own.
fn take(b: &mut Builder<'_>, known: Value) -> Item {
    let value = match b.f.ty(known) {
        Type::MaybeNull => {
            let v = b.op(Op::RefCast, &[known], Imm::None, Type::Obj, None);
            b.same_example(known, v);
            v
        }
        _ => known,
    };
    b.void(Op::IncRef, &[value], Imm::None, None);
    Item { value, owned: true, slot: None }
}

/// STORE_GLOBAL and STORE_NAME.
pub(super) fn store(b: &mut Builder<'_>, i: &Instr) {
    if let Some(&slot) = b.lv.variables.get(&i.arg) {
        let x = b.pop();
        let v = b.own(x);
        b.store_local(slot, v);
        return;
    }
    let is_global = i.op == Opcode::StoreGlobal || b.lv.names_are_globals;
    if is_global
        && !b.lv.deleted_names.contains(&i.arg)
        && outer(b, i).is_none()
        && !b.env.is_generic(i.unit)
        && let Some((home, _)) = b.env.home(i.arg, true)
    {
        let st = b.state(i.unit);
        let home = b.op(Op::GlobalHome, &[], Imm::Int(home as i64), Type::Obj, Some(st));
        let x = b.pop();
        let old = b.op(Op::SwapSlot, &[home, x.value], Imm::Int(0), Type::MaybeNull, None);
        b.void(Op::IncRef, &[x.value], Imm::None, None);
        b.void(Op::DecRef, &[old], Imm::None, None);
        b.dropped = true;
        b.drop_item(x);
        return;
    }
    let op = if i.op == Opcode::StoreGlobal { Op::PyStoreGlobal } else { Op::PyStoreName };
    let n = b.name(i.arg);
    generic_void(b, i, op, 1, Imm::Name(n));
}
