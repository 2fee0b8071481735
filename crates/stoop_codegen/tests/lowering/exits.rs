//! Exits, syncs, safe points, local slots.

use crate::support::{Event, INSTR, LEFT, POINT, RAISED, Thing, World, set_word, word};
use stoop_codegen::runtime::Helper;
use stoop_codegen::{Error, Recipe};

#[test]
fn constants_are_recipes_and_take_no_room() {
    let mut w = World::new();
    let a = w.object(POINT, &[]);
    let out = w.local(0, a).local(1, a).run(&format!(
        "func \"t\"
         @0 = obj \"thing\" at 0x{a:x}
         s0 = code 0 unit 3 locals [v1, v2, v3, v4, v5, -] stack [v5, v5!, v0, v0!, v2]
         b0():
           v0: obj = entry.local #0
           v9: maybe = entry.local #3
           v1: i64 = const.int -3
           v2: f64 = const.float 1.5
           v3: i1 = const.bool 1
           v4: null = const.null
           v5: obj = const.obj @0
           exit \"why\" state s0"
    ));
    assert_eq!(out.result, LEFT);
    assert_eq!(
        out.exit().locals.iter().map(|l| l.1).collect::<Vec<_>>(),
        [Recipe::ConstInt(-3), Recipe::ConstFloat(1.5f64.to_bits()), Recipe::ConstBool(true), Recipe::Null, Recipe::Const(a),]
    );
    assert_eq!(out.stack(), [Thing::Const(a), Thing::Owned(a), Thing::Borrowed(a), Thing::Owned(a), Thing::Float(1.5)]);
    assert_eq!(out.compiled.exits.len(), 1);
}

#[test]
fn a_failed_guard_tells_what_it_met() {
    let mut w = World::new();
    let a = w.float(2.0);
    let text = "func \"t\"
         s0 = code 0 unit 3 locals [v0] stack []
         b0():
           v0: obj = entry.local #0
           v1: int = guard.class v0 state s0
           return v1";
    let out = w.local(0, a).run(text);
    assert_eq!((out.met(), out.exit().unit), (Thing::Borrowed(a), 3));
    let b = w.int(2);
    assert_eq!(w.local(0, b).run(text).returned(), b);
}

#[test]
fn guards_on_possibly_null_references_do_not_look_through_null() {
    let mut w = World::new();
    for guard in ["v1: int = guard.class v0", "v1: obj = guard.notnull v0", "v1: heap:77 = guard.version v0"] {
        let out = w.run(&format!(
            "func \"t\"
             s0 = code 0 unit 3 locals [v0] stack []
             b0():
               v0: maybe = entry.local #0
               {guard} state s0
               return v1"
        ));
        assert_eq!(out.met(), Thing::Borrowed(0), "{guard}");
    }
}

const CALLS: &str = "func \"t\"
     s0 = code 0 unit 3 locals [v3, v4, v5, v0, v6] stack []
     s1 = code 0 unit 2 locals [-, -, -, v0, -] stack []
     b0():
       v0: obj = entry.local #3
       v9: maybe = entry.local #4
       v1: i64 = const.int 300
       v3: i64 = int.neg v1 state s1
       v4: f64 = const.float 2.5
       v5: i1 = int.cmp lt v3, v1
       v6: null = const.null
       v7: obj = py.binary add v0, v0 state s0
       v8: obj = py.getiter v7 state s0
       return v8";

#[test]
fn locals_are_written_before_python_code_may_look_and_once() {
    let mut w = World::new();
    let (a, yes) = (w.object(POINT, &[]), w.bool(true));
    w.results(&[0x4440, 0x8880]);
    let out = w.local(3, a).run(CALLS);
    // References first; the slot that holds its object already is left alone.
    assert_eq!(
        out.log,
        [
            Event::SyncRef(4, 0),
            Event::SyncInt(0, -300),
            Event::SyncFloat(1, 2.5),
            Event::SyncRef(2, yes),
            Event::Call(Helper::PyBinary, vec![0, a as i64, a as i64], 0x10_0003),
            Event::Call(Helper::PyGetIter, vec![0x4440], 0x10_0003),
        ]
    );
    assert_eq!(out.returned(), 0x8880);
}

#[test]
fn an_error_raises_with_the_slots_written() {
    let mut w = World::new();
    let a = w.object(POINT, &[]);
    w.results(&[0]);
    let out = w.local(3, a).run(CALLS);
    assert_eq!(out.result, RAISED);
    assert_eq!((out.exit().op.text(), out.locals()), ("py.binary", vec![]));
}

#[test]
fn two_references_are_held_while_their_slots_are_exchanged() {
    let mut w = World::new();
    let (a, b) = (w.object(POINT, &[]), w.object(POINT, &[]));
    w.results(&[0]);
    let out = w.local(0, a).local(1, b).run(
        "func \"t\"
         s0 = code 0 unit 3 locals [v1, v0] stack []
         b0():
           v0: obj = entry.local #0
           v1: obj = entry.local #1
           py.delattr v0 \"x\" state s0
           return v0"
            .replace("py.delattr v0 \"x\"", "py.delattr \"x\" v0")
            .as_str(),
    );
    assert_eq!(out.log[..2], [Event::SyncRef(0, b), Event::SyncRef(1, a)]);
    assert_eq!((word(a, 0), word(b, 0)), (1, 1), "held and let go");
}

#[test]
fn a_check_leaves_when_a_watched_word_changed() {
    let text = "func \"t\"
         s0 = code 0 unit 9 locals [v0] stack []
         b0():
           v0: obj = entry.local #0
           check state s0
           return v0";
    for (i, op) in [(0, "check"), (1, "check"), (2, "check"), (2, "check.valid")] {
        let mut w = World::new();
        let a = w.object(POINT, &[]);
        let text = text.replace("check", op);
        assert_eq!(w.local(0, a).run(&text).returned(), a);
        match i {
            0 => w.frame_word(4, 0x99),
            1 => w.tool(1),
            _ => *w.valid = 0,
        }
        assert_eq!(w.run(&text).exit().unit, 9, "{op} {i}");
    }
    // Bits outside the mask do not count, nor do other words for check.valid.
    let mut w = World::new();
    let a = w.object(POINT, &[]);
    *w.valid = 0xff01;
    assert_eq!(w.local(0, a).run(text).returned(), a);
    w.frame_word(4, 0x99);
    assert_eq!(w.run(&text.replace("check", "check.valid")).returned(), a);
}

#[test]
fn a_drop_that_may_have_run_code_leaves() {
    let text = "func \"t\"
         s0 = code 0 unit 9 locals [v0] stack []
         b0():
           v0: obj = entry.local #0
           v1: obj = entry.local #1
           DROP !leave
           check.valid 1 state s0 !leave
           return v0";
    for drop in ["decref v1", "v2: null = const.null\nstore.local #1 v2, v1"] {
        let text = text.replace("DROP", drop);
        for (count, told, valid, leaves) in [(1, 0, 1, false), (1, 1, 1, true), (1, 0, 0, true), (2, 1, 0, false)] {
            let mut w = World::new();
            let (a, b) = (w.object(POINT, &[]), w.object(POINT, &[]));
            set_word(b, 0, count);
            *w.valid = valid;
            w.results(&[told]);
            let out = w.local(0, a).local(1, b).run(&text);
            assert_eq!(out.calls().len(), usize::from(count == 1), "{drop}, count {count}");
            if leaves {
                assert_eq!(out.exit().unit, 9, "{drop}");
            } else {
                assert_eq!(out.returned(), a, "{drop}, count {count}");
            }
        }
    }
}

#[test]
fn a_check_about_one_drop_is_made_where_that_destroys() {
    let text = "func \"t\"
         s0 = code 0 unit 9 locals [v0] stack []
         b0():
           v0: obj = entry.local #0
           v1: obj = entry.local #1
           DROP
           check.valid 1 state s0
           return v0";
    for drop in ["decref v1", "v2: null = const.null\nstore.local #1 v2, v1"] {
        let text = text.replace("DROP", drop);
        for (count, valid, leaves) in [(1, 1, false), (1, 0, true), (2, 0, false), (0xffff_ffff, 0, false)] {
            let mut w = World::new();
            let (a, b) = (w.object(POINT, &[]), w.object(POINT, &[]));
            set_word(b, 0, count);
            *w.valid = valid;
            let out = w.local(0, a).local(1, b).run(&text);
            assert_eq!(out.log, if count == 1 { vec![Event::Dealloc(b)] } else { vec![] }, "{drop}, count {count}");
            if leaves {
                assert_eq!(out.exit().unit, 9, "{drop}");
            } else {
                assert_eq!(out.returned(), a, "{drop}, count {count}");
            }
        }
    }
}

#[test]
fn a_check_about_a_poll_is_made_where_that_serves() {
    let text = POLLS.replace("poll state s1", "poll state s1\ncheck.valid 1 state s1");
    for (asks, valid, leaves) in [(false, 1, false), (true, 1, false), (false, 0, false), (true, 0, true)] {
        let mut w = World::new();
        let zero = w.int(0);
        if asks {
            w.interrupt();
            w.results(&[0; 8]);
        }
        *w.valid = valid;
        let out = w.local(0, zero).run(&text);
        if leaves {
            assert_eq!(out.exit().unit, 5);
            assert_eq!(out.calls(), [Helper::Poll]);
        } else {
            assert_eq!(out.int(), 3);
        }
    }
}

#[test]
fn positions_are_written_whole_where_only_half_could_be_wrong() {
    let text = "func \"t\"
         s0 = code 0 unit 9 locals [v0] stack []
         b0():
           v0: obj = entry.local #0
           v1: obj = py.getiter v0 state s0
           return v0";
    for first in [0x7f00_1000_0000, 0x7f00_fff0_0000, 0x7f01_0000_1000] {
        let mut w = World::new();
        w.code = first;
        w.frame_word(INSTR as usize / 8, first - 2);
        let a = w.object(POINT, &[]);
        let out = w.local(0, a).run(text);
        assert!(matches!(out.log[0], Event::Call(Helper::PyGetIter, _, at) if at == first + 9), "{:x?}", out.log);
    }
}

const POLLS: &str = "func \"t\"
     s0 = code 0 unit 2 locals [v0, -] stack []
     s1 = code 0 unit 5 locals [v2, -] stack []
     b0():
       v0: int = entry.local #0
       v1: i64 = unbox.int v0 state s0
       jump b1(v1)
     b1(v2: i64) entry s1:
       poll state s1
       v3: i64 = const.int 3
       v4: i1 = int.cmp ge v2, v3
       v5: i64 = const.int 1
       v6: i64 = int.add v2, v5 state s1
       branch v4, b2(), b1(v6)
     b2():
       v7: int = box.int v2
       store.local #0 v7, v2
       return v7";

#[test]
fn a_poll_costs_nothing_while_nobody_asks() {
    let mut w = World::new();
    let zero = w.small(0);
    let out = w.local(0, zero).run(POLLS);
    assert_eq!((out.int(), out.log.len()), (3, 0));
}

#[test]
fn a_poll_writes_the_locals_serves_and_goes_on() {
    let mut w = World::new();
    let zero = w.int(0);
    w.interrupt();
    w.results(&[0, 0, 0, 0]);
    let out = w.local(0, zero).run(POLLS);
    assert_eq!(out.int(), 3);
    // Every poll syncs: the way that did not sync joins the one that did, so the slot is out of date again.
    let synced: Vec<i64> = out.log.iter().filter_map(|e| if let Event::SyncInt(0, i) = e { Some(*i) } else { None }).collect();
    assert_eq!(synced, [0, 1, 2, 3]);
    assert_eq!(out.calls(), [Helper::Poll; 4]);
    assert!(matches!(out.log[1], Event::Call(Helper::Poll, _, 0x10_0005)), "the position is stored: {:?}", out.log[1]);
    // The store dropped what the poll had put there, not the local's first object.
    assert_eq!(word(zero, 0), 1);
    let dropped = out.log.iter().filter(|e| matches!(e, Event::Dealloc(_))).count();
    assert_eq!(dropped, 1);
}

#[test]
fn a_poll_leaves_or_raises_when_told() {
    for (status, result) in [(1, LEFT), (-1, RAISED)] {
        let mut w = World::new();
        let zero = w.int(0);
        w.interrupt();
        w.results(&[0, status]);
        let out = w.local(0, zero).run(POLLS);
        assert_eq!((out.result, out.exit().unit, out.locals()), (result, 5, vec![]));
    }
}

#[test]
fn store_local_stores_then_drops_the_former_object() {
    let text = "func \"t\"
         s0 = code 0 unit 2 locals [v2] stack []
         b0():
           v0: obj = entry.local #0
           v1: obj = entry.local #1
           v2: obj = ref.cast v1
           store.local #0 v2, v0
           exit \"why\" state s0";
    for count in [1, 2, 0xffff_ffff] {
        let mut w = World::new();
        let (a, b) = (w.object(POINT, &[]), w.object(POINT, &[]));
        set_word(a, 0, count);
        let out = w.local(0, a).local(1, b).run(text);
        assert_eq!(w.slot(0), b);
        assert_eq!(out.locals(), [], "the slot holds it");
        match count {
            1 => assert_eq!(out.log, [Event::Dealloc(a)]),
            2 => assert_eq!((word(a, 0), out.log.len()), (1, 0)),
            _ => assert_eq!((word(a, 0), out.log.len()), (count, 0)),
        }
    }
}

#[test]
fn store_local_over_an_out_of_date_slot_drops_what_is_in_memory() {
    // Local 0's value is an unboxed 7, but the slot still holds the object of entry.
    let mut w = World::new();
    let (a, b) = (w.object(POINT, &[]), w.object(POINT, &[]));
    let text = "func \"t\"
         s0 = code 0 unit 2 locals [v3] stack []
         b0():
           v0: obj = entry.local #0
           v1: obj = entry.local #1
           v2: i64 = const.int 7
           v4: int = box.int v2
           store.local #0 v1, v4
           v3: null = const.null
           store.local #0 v3, v1
           exit \"why\" state s0";
    let out = w.local(0, a).local(1, b).run(text);
    assert_eq!(out.log, [Event::Dealloc(a), Event::Dealloc(b)]);
    assert_eq!((w.slot(0), out.locals()), (0, vec![]));
}

#[test]
fn store_local_over_an_unknown_slot_tests_for_null() {
    let mut w = World::new();
    let a = w.object(POINT, &[]);
    let text = "func \"t\"
         b0():
           v0: maybe = entry.local #0
           v1: obj = entry.local #1
           store.local #0 v1, v0
           return v1";
    let out = w.local(0, 0).local(1, a).run(text);
    assert_eq!((out.log.len(), w.slot(0)), (0, a));
    let out = w.run(text);
    assert_eq!(out.log, [Event::Dealloc(a)]);
}

#[test]
fn slots_that_nobody_reads_at_entry_are_null() {
    let mut w = World::new();
    let a = w.object(POINT, &[]);
    w.results(&[0x4440]);
    let out = w.local(0, a).run(
        "func \"t\"
         s0 = code 0 unit 2 locals [v0, v1, v1] stack []
         b0():
           v0: obj = entry.local #0
           v1: null = const.null
           v2: obj = py.getiter v0 state s0
           store.local #1 v2, v1
           return v2",
    );
    assert_eq!((out.log.len(), out.calls()), (1, vec![Helper::PyGetIter]), "nothing to write, nothing to drop");
    assert_eq!(w.slot(1), 0x4440);
}

#[test]
fn a_slot_is_known_through_loops_and_joins() {
    // Local 0 is stored before the join on both ways; local 1 only on one.
    for way in [0, 1] {
        let mut w = World::new();
        let (a, b) = (w.object(POINT, &[]), w.object(POINT, &[]));
        let flag = w.small(way);
        let out = w.local(0, a).local(1, b).local(2, flag).run(
            "func \"t\"
             s0 = code 0 unit 2 locals [v0, v1, v2] stack []
             s1 = code 0 unit 6 locals [v5, v6, v2] stack []
             b0():
               v0: obj = entry.local #0
               v1: obj = entry.local #1
               v2: int = entry.local #2
               v3: i64 = unbox.int v2 state s0
               v4: i1 = int.tobool v3
               branch v4, b1(), b2()
             b1():
               store.local #0 v1, v0
               jump b3(v1, v1)
             b2():
               store.local #0 v1, v0
               jump b3(v1, v0)
             b3(v5: obj, v6: obj) entry s1:
               exit \"why\" state s1",
        );
        let other = if way == 1 { b } else { a };
        assert_eq!(out.locals(), [(1, Thing::Borrowed(other))], "way {way}");
    }
}

#[test]
fn inlined_frames_list_all_their_locals() {
    let mut w = World::new();
    let (a, b) = (w.object(POINT, &[]), w.object(POINT, &[]));
    let text = "func \"t\"
         s0 = code 0 unit 2 locals [v0, v1] stack [v0]
         s1 = code 1 unit 4 locals [v1, -] stack [v2] parent s0
         b0():
           v0: obj = entry.local #0
           v1: obj = entry.local #1
           v2: i64 = const.int 5
           exit \"why\" state s1";
    let out = w.local(0, a).local(1, b).run(text);
    let e = out.exit();
    assert_eq!((e.code, e.unit, out.locals()), (1, 4, vec![(0, Thing::Borrowed(b))]));
    assert_eq!((e.parents.len(), e.parents[0].code, e.parents[0].unit), (1, 0, 2));
    assert_eq!((e.parents[0].locals.len(), e.parents[0].stack.len()), (0, 1));
    let text = text.replace("exit \"why\" state s1", "v3: obj = py.getiter v0 state s1\nreturn v3");
    let func = stoop_ir::parse::parse(&text).expect("text");
    assert!(matches!(w.compile(&func), Err(Error::Unsupported(_))), "not there yet");
}

#[test]
fn code_is_mapped_to_units() {
    let mut w = World::new();
    let a = w.object(POINT, &[]);
    w.results(&[0x4440]);
    let out = w.local(0, a).run(
        "func \"t\"
         s0 = code 0 unit 30 locals [v0] stack []
         s1 = code 0 unit 20 locals [v0] stack []
         b0():
           v0: obj = entry.local #0
           v1: obj = py.getiter v0 state s0
           v2: obj = py.getiter v1 state s1
           return v2",
    );
    let units: Vec<u32> = out.compiled.unit_map.iter().map(|u| u.1).collect();
    assert_eq!(units[..2], [30, 20]);
    assert!(out.compiled.unit_map.is_sorted_by_key(|u| u.0));
    assert!(out.compiled.asm.is_some_and(|t| t.contains("; unit 20")));
    assert!(out.compiled.clif.is_some_and(|t| t.contains("call_indirect")));
}
