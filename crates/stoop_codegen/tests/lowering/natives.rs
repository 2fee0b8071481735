//! C functions that constants stand for, and helpers that look into dicts and sets.

use crate::support::{Event, INT, LIST, POINT, World, type_address};
use std::cell::RefCell;
use stoop_codegen::runtime::Helper;
use stoop_codegen::unit::{Convention, Native};

thread_local! {
    static CALLS: RefCell<Vec<[u64; 4]>> = const { RefCell::new(Vec::new()) };
}

/// Writes down what it is given.
extern "C" fn native(this: u64, a: u64, b: u64, c: u64) -> u64 {
    CALLS.with_borrow_mut(|calls| calls.push([this, a, b, c]));
    0x4440
}

fn function(convention: Convention, owner: u64, bound: u64) -> Native {
    Native { function: native as *const () as u64, convention, owner, bound }
}

fn call(w: &mut World, op: &str, n: Native) -> (Vec<[u64; 4]>, crate::support::Outcome) {
    CALLS.take();
    w.natives.insert(0x880, n);
    let out = w.run(&format!(
        "func \"t\"
         @0 = obj \"f\" at 0x880
         s0 = code 0 unit 3 locals [v1, v2] stack []
         b0():
           v0: obj = const.obj @0
           v1: obj = entry.local #0
           v2: obj = entry.local #1
           v3: null = const.null
           v4: obj = {op} state s0
           return v4"
    ));
    (CALLS.take(), out)
}

#[test]
fn methods_are_called_with_self_first() {
    for op in ["py.call v0, v1, v2", "py.call v0, v3, v1, v2"] {
        let mut w = World::new();
        let list = w.list(&[]);
        w.local(0, list).local(1, 0x20);
        let (calls, out) = call(&mut w, op, function(Convention::One, type_address(LIST), 0));
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0][..2], [list, 0x20]);
        assert_eq!(out.returned(), 0x4440);
        assert_eq!(out.log, []);
    }
}

#[test]
fn another_class_goes_through_the_object() {
    let mut w = World::new();
    let object = w.object(POINT, &[]);
    w.local(0, object).local(1, 0x20).results(&[0x50]);
    let (calls, out) = call(&mut w, "py.call v0, v1, v2", function(Convention::One, type_address(LIST), 0));
    assert_eq!(calls.len(), 0);
    assert_eq!(out.returned(), 0x50);
    assert!(matches!(&out.log[..], [Event::Call(Helper::PyCall, ..)]), "{:?}", out.log);
}

#[test]
fn functions_take_arrays_and_names() {
    for (convention, names) in [(Convention::Array, None), (Convention::ArrayAndNames, Some(0))] {
        let mut w = World::new();
        let one = w.object(INT, &[]);
        w.local(0, one).local(1, 0x20);
        let (calls, _) = call(&mut w, "py.call v0, v3, v1, v2", function(convention, 0, 0x99));
        assert_eq!((calls[0][0], calls[0][2]), (0x99, 2));
        if let Some(names) = names {
            assert_eq!(calls[0][3], names);
        }
        let (calls, _) = call(&mut w, "native.call v0, v3, v1, v2", function(convention, 0, 0x99));
        assert_eq!((calls[0][0], calls[0][2]), (0x99, 2));
    }
}

#[test]
fn too_deep_is_left_to_the_interpreter() {
    let mut w = World::new();
    let list = w.list(&[]);
    w.local(0, list).local(1, 0x20).results(&[0x50]);
    w.set_recursion(0);
    let n = function(Convention::One, type_address(LIST), 0);
    let (calls, _) = call(&mut w, "py.call v0, v1, v2", n);
    assert_eq!(calls.len(), 0);
    w.set_recursion(5);
    let (calls, _) = call(&mut w, "py.call v0, v1, v2", n);
    assert_eq!((calls.len(), w.recursion()), (1, 5));
}

#[test]
fn the_breaker_is_served_after_a_call() {
    let mut w = World::new();
    let list = w.list(&[]);
    w.local(0, list).local(1, 0x20).results(&[0x60]);
    w.interrupt();
    let (calls, out) = call(&mut w, "py.call v0, v1, v2", function(Convention::One, type_address(LIST), 0));
    assert_eq!(calls.len(), 1);
    assert!(matches!(&out.log[..], [Event::Call(Helper::AfterCall, args, _)] if args[0] == 0x4440), "{:?}", out.log);
    assert_eq!(out.returned(), 0x60);
}

#[test]
fn looking_leaves_where_it_cannot_tell() {
    for (op, helper, told, unsure) in [
        ("v4: i64 = dict.find v1, v2", Helper::DictFind, 0x70, 1),
        ("v4: i64 = dict.find v1, v2", Helper::DictFind, 0, 1),
        ("v5: i1 = contains v2, v1", Helper::Contains, 1, -1),
        ("v5: i1 = contains v2, v1", Helper::Contains, 0, -1),
        ("v4: i64 = dict.findtuple v1, v2, v3", Helper::DictFindTuple, 0x70, 1),
        ("dict.set v1, v2, v2, v3", Helper::DictSet, 0, 1),
        ("set.add v1, v2", Helper::SetAdd, 0, 1),
        ("v4: maybe = iter.next v1", Helper::IterNext, 0, 2),
    ] {
        for (result, leaves) in [(told, false), (unsure, true)] {
            let mut w = World::new();
            let object = w.object(POINT, &[]);
            w.local(0, object).local(1, object).results(&[result]);
            let out = w.run(&format!(
                "func \"t\"
                 s0 = code 0 unit 3 locals [v1, v2] stack []
                 b0():
                   v1: dict = entry.local #0
                   v2: obj = entry.local #1
                   v3: i64 = const.int 0
                   {op} state s0
                   return v1"
            ));
            assert_eq!(out.exit.is_some(), leaves, "{op} {result}");
            assert!(out.log.iter().any(|e| matches!(e, Event::Call(h, ..) if *h == helper)), "{op}: {:?}", out.log);
        }
    }
}

#[test]
fn the_class_itself_needs_no_helper() {
    let mut w = World::new();
    let object = w.object(POINT, &[]);
    for (class, helped) in [(type_address(POINT), false), (type_address(INT), true)] {
        w.local(0, object).local(1, class).results(&[1]);
        let out = w.run(
            "func \"t\"
             s0 = code 0 unit 3 locals [v1, v2] stack []
             b0():
               v1: obj = entry.local #0
               v2: obj = entry.local #1
               v3: i1 = isinstance v1, v2 state s0
               v4: obj = type.of v1
               v5: bool = box.bool v3
               return v4",
        );
        assert_eq!(out.returned(), type_address(POINT));
        assert_eq!(!out.log.is_empty(), helped);
    }
}
