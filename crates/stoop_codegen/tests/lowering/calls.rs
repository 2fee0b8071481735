//! Calls of runtime helpers: what they are given, and what their results mean.

use crate::support::{Event, POINT, RAISED, World};
use stoop_codegen::runtime::Helper;

const OFFSET: i64 = i64::MIN;

/// Runs a call and yields (callable, arguments as they lie in the array, count, keyword names).
fn call(receiver: &str, receiver_object: u64, extra: &str) -> (Vec<i64>, crate::support::Outcome) {
    let mut w = World::new();
    let callable = w.object(POINT, &[]);
    w.results(&[0x4440]);
    let out = w.local(0, callable).local(1, receiver_object).local(2, 0x20).local(3, 0x30).run(&format!(
        "func \"t\"
         @0 = obj \"names\" at 0x770
         s0 = code 0 unit 3 locals [v0, -, -, -] stack []
         b0():
           v0: obj = entry.local #0
           v1: {receiver}
           v2: obj = entry.local #2
           v3: obj = entry.local #3
           v4: obj = py.call {extra} v0, v1, v2, v3 state s0
           return v4"
    ));
    let [Event::Call(Helper::PyCall, args, _)] = &out.log[..] else { panic!("{:?}", out.log) };
    assert_eq!(args[0], callable as i64);
    (args.clone(), out)
}

#[test]
fn a_call_counts_self_only_when_there_is_one() {
    let (known_null, _) = call("null = const.null", 0, "");
    assert_eq!(known_null[2..], [2 | OFFSET, 0]);
    let (known, _) = call("obj = entry.local #1", 0x10, "@0");
    assert_eq!(known[2..], [3 | OFFSET, 0x770]);
    let (unknown_null, _) = call("maybe = entry.local #1", 0, "");
    assert_eq!(unknown_null[2..], [2 | OFFSET, 0]);
    let (unknown, out) = call("maybe = entry.local #1", 0x10, "");
    assert_eq!(unknown[2..], [3 | OFFSET, 0]);
    assert_eq!(out.returned(), 0x4440);
}

#[test]
fn arguments_lie_after_a_free_place() {
    // The world's call helper notes the first argument; self comes first where there is one.
    for (receiver, first) in [(0, 0x20), (0x10, 0x10)] {
        let mut w = World::new();
        let callable = w.object(POINT, &[]);
        w.look_at_arguments();
        let out = w.local(0, callable).local(1, receiver).local(2, 0x20).local(3, 0x30).run(
            "func \"t\"
             s0 = code 0 unit 3 locals [v0, -, -, -] stack []
             b0():
               v0: obj = entry.local #0
               v1: maybe = entry.local #1
               v2: obj = entry.local #2
               v3: obj = entry.local #3
               v4: obj = py.call v0, v1, v2, v3 state s0
               return v4",
        );
        assert_eq!(out.returned(), first);
        let want: &[u64] = if receiver == 0 { &[0x20, 0x30] } else { &[0x10, 0x20, 0x30] };
        assert_eq!(w.arguments(), want);
    }
}

#[test]
fn a_method_s_self_is_what_the_helper_wrote() {
    for receiver in [0, 0x10] {
        let mut w = World::new();
        let a = w.object(POINT, &[]);
        w.results(&[0x4440, 0x8880]);
        w.out(receiver);
        let out = w.local(0, a).run(
            "func \"t\"
             s0 = code 0 unit 3 locals [v0] stack []
             b0():
               v0: obj = entry.local #0
               v1: obj = py.loadmethod \"go\" v0 state s0
               v2: maybe = py.methodself v1, v0
               v3: obj = py.call v1, v2 state s0
               return v3",
        );
        let Event::Call(Helper::PyCall, args, _) = &out.log[1] else { panic!("{:?}", out.log) };
        assert_eq!((args[0], args[2]), (0x4440, i64::from(receiver != 0) | OFFSET));
        assert_eq!(out.returned(), 0x8880);
    }
}

/// The helpers' error conventions: (operation, result's type, statuses that raise, statuses that do not).
#[test]
fn every_convention_of_errors_is_checked() {
    for (op, ty, bad, good) in [
        ("py.getitem v0, v0", "obj", 0, 0x40),
        ("py.setitem v0, v0, v0", "", -1, 0),
        ("py.tobool v0", "i1", -1, 0),
        ("py.contains v0, v0", "i1", -1, 1),
        ("py.compare.bool ge v0, v0", "i1", -1, 1),
        ("py.len v0", "i64", -1, 5),
        ("py.iternext v0", "maybe", 1, 0),
        ("py.loadglobal \"x\"", "obj", 0, 0x40),
        ("py.storeattr \"x\" v0, v0", "", -1, 0),
        ("py.unary neg v0", "obj", 0, 0x40),
        ("py.convert 2 v0", "obj", 0, 0x40),
        ("py.import \"x\" v0, v0", "obj", 0, 0x40),
        ("build.list v0, v0, v0", "list", 0, 0x40),
        ("build.function v0", "function", 0, 0x40),
        ("list.append v0, v0", "", -1, 0),
    ] {
        for (status, raises) in [(bad, true), (good, false)] {
            let mut w = World::new();
            let a = w.object(POINT, &[]);
            w.results(&[status]);
            let define = if ty.is_empty() { String::new() } else { format!("v1: {ty} = ") };
            let out = w.local(0, a).run(&format!(
                "func \"t\"
                 s0 = code 0 unit 6 locals [v0] stack [v0]
                 b0():
                   v0: list = entry.local #0
                   {define}{op} state s0
                   return v0"
            ));
            assert_eq!(out.result == RAISED, raises, "{op} gives {status}");
            let Some(Event::Call(_, _, position)) = out.log.first() else { panic!("{op}: no call") };
            assert_eq!(*position, 0x10_0006, "{op} stores its position");
        }
    }
}

#[test]
fn operators_are_passed_by_their_place_in_the_table() {
    let mut w = World::new();
    let a = w.object(POINT, &[]);
    w.results(&[0x40, 0x40, 0x40, 0x40]);
    let out = w.local(0, a).run(
        "func \"t\"
         s0 = code 0 unit 6 locals [v0] stack []
         b0():
           v0: obj = entry.local #0
           v1: obj = py.binary matmul v0, v0 state s0
           v2: obj = py.inplace sub v0, v0 state s0
           v3: obj = py.unary not v0 state s0
           v4: obj = py.compare ge v0, v0 state s0
           return v4",
    );
    let first: Vec<i64> = out.log.iter().map(|e| if let Event::Call(_, args, _) = e { args[0] } else { -1 }).collect();
    assert_eq!(first, [12, 1, 3, 5]);
    assert_eq!(out.calls(), [Helper::PyBinary, Helper::PyInplace, Helper::PyUnary, Helper::PyCompare]);
}

#[test]
fn a_range_iterator_that_cannot_be_made_leaves() {
    let text = "func \"t\"
         s0 = code 0 unit 6 locals [-] stack []
         b0():
           v0: i64 = const.int 1
           v1: range_iter = rangeiter.new v0, v0, v0 state s0
           return v1";
    let mut w = World::new();
    w.results(&[0x40, 0]);
    assert_eq!(w.run(text).returned(), 0x40);
    assert_eq!(w.run(text).exit().op.text(), "rangeiter.new");
}

#[test]
fn stack_entries_lie_after_the_locals() {
    let mut w = World::new();
    w.local(3, 0x90);
    let out = w.run(
        "func \"t\"
         s0 = code 0 unit 6 locals [-, -] stack [v0!]
         b0():
           v0: obj = entry.stack #1
           exit \"why\" state s0",
    );
    assert_eq!(out.stack(), [crate::support::Thing::Owned(0x90)]);
}
