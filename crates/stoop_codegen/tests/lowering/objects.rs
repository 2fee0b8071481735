//! References, lists, tuples, iterators, attributes.

use crate::support::{
    Event, POINT, POINT_KEYS, POINT_VERSION, Thing, World, float_value, int_value, set_word, type_address, word,
};
use stoop_codegen::runtime::Helper;

fn set_float(w: &mut World, list: u64) -> crate::support::Outcome {
    w.local(0, list).run(
        "func \"t\"
         b0():
           v0: list = entry.local #0
           v1: i64 = const.int 1
           v2: f64 = const.float 2.5
           list.setfloat v0, v1, v2
           return v0",
    )
}

#[test]
fn a_uniquely_owned_float_is_overwritten_in_place() {
    let mut w = World::new();
    let (x, y) = (w.float(1.0), w.float(1.0));
    let list = w.list(&[x, y]);
    let out = set_float(&mut w, list);
    assert_eq!((w.item(list, 1), float_value(y), float_value(x)), (y, 2.5, 1.0));
    assert!(out.log.is_empty());
    // Somebody else holds it; it is no float.
    set_word(y, 0, 2);
    assert_eq!(set_float(&mut w, list).log, [Event::SetFloat(Helper::ListSetFloat, 2.5)]);
    let n = w.int(1000);
    let list = w.list(&[x, n]);
    assert_eq!(set_float(&mut w, list).log, [Event::SetFloat(Helper::ListSetFloat, 2.5)]);
    assert_eq!(int_value(n), 1000);
}

#[test]
fn a_uniquely_owned_int_is_overwritten_in_place() {
    let limit = 1 << 30;
    for (old, new, in_place) in [
        (1000, 2000, true),
        (1000, -2000, true),
        (-1000, limit - 1, true),
        (1000, 1 - limit, true),
        (1000, limit, false),
        (1000, -limit, false),
        (1000, 256, false),
        (1000, -5, false),
        (1000, -6, true),
        (limit, 2000, false),
    ] {
        let mut w = World::new();
        let n = w.int(old);
        let list = w.list(&[n]);
        let out = w.local(0, list).run(&format!(
            "func \"t\"
             b0():
               v0: list = entry.local #0
               v1: i64 = const.int 0
               v2: i64 = const.int {new}
               list.setint v0, v1, v2
               return v0"
        ));
        // Small ints are shared: the list gets the cached one, the former object goes.
        let is_small = (-5..=256).contains(&new);
        assert_eq!(out.calls().is_empty(), in_place || is_small, "{old} becomes {new}");
        assert_eq!(int_value(n), if in_place { new } else { old });
        assert_eq!(w.item(list, 0), if is_small { w.small(new) } else { n });
        assert_eq!(out.log.contains(&Event::Dealloc(n)), is_small);
    }
}

#[test]
fn items_are_read_and_swapped() {
    let mut w = World::new();
    let (x, y) = (w.float(1.0), w.float(2.0));
    let (list, tuple) = (w.list(&[x, y]), w.tuple(&[y, x]));
    let out = w.local(0, list).local(1, tuple).run(
        "func \"t\"
         b0():
           v0: list = entry.local #0
           v1: tuple = entry.local #1
           v2: i64 = const.int 1
           v3: obj = list.item v0, v2
           v4: obj = tuple.item v1, v2
           v5: obj = list.swap v0, v2, v4
           v6: i1 = obj.is v3, v5
           v7: i64 = list.len v0
           v8: i64 = tuple.len v1
           v9: i64 = int.xor v7, v8
           v10: i64 = bool.toint v6
           v11: i64 = int.or v9, v10
           v12: int = box.int v11
           return v12",
    );
    assert_eq!((out.int(), w.item(list, 1)), (1, x));
}

#[test]
fn references_are_counted_but_for_immortals_and_null() {
    let text = |op: &str| format!("func \"t\"\nb0():\nv0: maybe = entry.local #0\n{op} v0\nv1: obj = entry.local #1\nreturn v1");
    let mut w = World::new();
    let (a, keep) = (w.object(POINT, &[]), w.object(POINT, &[]));
    w.local(0, a).local(1, keep);
    w.run(&text("incref"));
    assert_eq!(word(a, 0), 2);
    assert_eq!(w.run(&text("decref")).log, []);
    assert_eq!(word(a, 0), 1);
    assert_eq!(w.run(&text("decref")).log, [Event::Dealloc(a)]);
    for op in ["incref", "decref"] {
        set_word(a, 0, 0xffff_ffff);
        assert_eq!(w.run(&text(op)).log, []);
        assert_eq!(word(a, 0), 0xffff_ffff, "{op} of an immortal");
    }
    w.local(0, 0);
    for op in ["incref", "decref"] {
        assert_eq!(w.run(&text(op)).log, [], "{op} of null");
    }
}

#[test]
fn truth_values_box_and_unbox_by_identity() {
    for b in [false, true] {
        let mut w = World::new();
        let a = w.bool(b);
        let out = w.local(0, a).run(
            "func \"t\"
             b0():
               v0: bool = entry.local #0
               v1: i1 = unbox.bool v0
               v2: i1 = bool.not v1
               v3: bool = box.bool v2
               return v3",
        );
        assert_eq!(out.returned(), w.bool(!b));
    }
}

#[test]
fn a_range_iterator_advances() {
    let mut w = World::new();
    let it = w.object(POINT, &[10, (-3i64) as u64, 4]);
    let out = w.local(0, it).run(
        "func \"t\"
         b0():
           v0: range_iter = entry.local #0
           v1: i64 = rangeiter.len v0
           v2: i64 = rangeiter.next v0
           v3: i64 = rangeiter.next v0
           v4: i64 = int.xor v1, v3
           v5: int = box.int v4
           return v5",
    );
    assert_eq!(out.int(), 4 ^ 7);
    assert_eq!((word(it, 2), word(it, 4)), (4, 2));
}

#[test]
fn sequence_iterators_yield_items_then_let_go() {
    for list in [true, false] {
        let mut w = World::new();
        let (x, y) = (w.float(1.0), w.float(2.0));
        let sequence = if list { w.list(&[x, y]) } else { w.tuple(&[x, y]) };
        let it = w.object(POINT, &[0, sequence]);
        w.local(0, it);
        let (class, op) = if list { ("list_iter", "listiter.next") } else { ("tuple_iter", "tupleiter.next") };
        let text = format!("func \"t\"\nb0():\nv0: {class} = entry.local #0\nv1: maybe = {op} v0\nreturn v1");
        assert_eq!(w.run(&text).returned(), x);
        assert_eq!(w.run(&text).returned(), y);
        let end = w.run(&text);
        assert_eq!((end.returned(), end.log), (0, vec![Event::Dealloc(sequence)]));
        assert_eq!((word(it, 2) as i64, word(it, 3)), (if list { -1 } else { 2 }, 0));
        let again = w.run(&text);
        assert_eq!((again.returned(), again.log.len()), (0, 0));
    }
}

/// An object with two inline values, in either layout, and where the first value is.
fn point(w: &World, values: [u64; 2], inline: bool) -> (u64, u64) {
    if w.after_object {
        // Three words, then the header, then the values.
        let p = w.object(POINT, &[0, if inline { 1 << 24 } else { 0 }, values[0], values[1]]);
        (p, p + 32)
    } else {
        let table = w.object(POINT, &[values[0], values[1]]);
        let before = w.object(POINT, &[if inline { table - 1 } else { table }, 1, type_address(POINT)]);
        (before + 24, table + 16)
    }
}

#[test]
fn inline_attributes_are_read_written_and_guarded() {
    for (after_object, sizes_known) in [(true, false), (true, true), (false, false)] {
        let mut w = World::new();
        (w.after_object, w.sizes_known) = (after_object, sizes_known);
        let (x, y) = (w.float(1.0), w.float(2.0));
        let text = |body: &str| {
            format!(
                "func \"t\"
                 s0 = code 0 unit 3 locals [v0] stack []
                 b0():
                   v0: obj = entry.local #0
                   v1: heap:{POINT_VERSION} = guard.version v0 state s0
                   {body}"
            )
        };
        let load = text("v2: obj = field.load #1 v1 state s0\nreturn v2");
        let swap = text("v3: float = entry.local #1\nv2: maybe = field.swap #0 v1, v3 state s0\nreturn v2");
        let set = text("v3: f64 = const.float 7.5\nfield.setfloat #1 v1, v3 state s0\nreturn v1");
        let set_int = text("v3: i64 = const.int 3000\nfield.setint #1 v1, v3 state s0\nreturn v1");
        let keys = text(&format!("guard.keys {POINT_KEYS} v1 state s0\nreturn v1"));
        let (p, first) = point(&w, [x, y], true);
        w.local(0, p).local(1, y);
        assert_eq!(w.run(&load).returned(), y);
        assert_eq!((w.run(&swap).returned(), word(first, 0)), (x, y));
        assert_eq!((w.run(&set).returned(), float_value(y)), (p, 7.5));
        assert_eq!(w.run(&keys).returned(), p);
        assert_eq!(w.run(&keys.replace("guard.keys 9", "guard.keys 8")).exit().op.text(), "guard.keys");
        let n = w.int(1000);
        set_word(first, 1, n);
        assert_eq!((w.run(&set_int).returned(), int_value(n)), (p, 3000));
        // An unset value, a materialised dict, another type.
        set_word(first, 1, 0);
        assert!(w.run(&load).exit.is_some(), "an unset value is not there");
        let (q, _) = point(&w, [x, y], false);
        w.local(0, q);
        for t in [&load, &swap, &set, &set_int, &keys] {
            assert_eq!(w.run(t).locals(), [], "no inline values");
        }
        let other = w.float(1.0);
        assert_eq!(w.local(0, other).run(&load).met(), Thing::Borrowed(other));
    }
}

#[test]
fn slots_and_cells() {
    let mut w = World::new();
    let x = w.float(1.0);
    let cell = w.object(POINT, &[x]);
    let closure = w.tuple(&[0, cell]);
    let function = w.object(POINT, &[closure, 0x7777]);
    w.local(0, cell).frame_word(3, function);
    let run = |w: &mut World, body: &str| {
        w.run(&format!("func \"t\"\n@0 = obj \"code\" at 0x1\ns0 = code 0 unit 3 locals [v0] stack []\nb0():\nv0: cell = entry.local #0\n{body}"))
    };
    assert_eq!(run(&mut w, "v1: obj = slot.load 16 v0 state s0\nreturn v1").returned(), x);
    assert_eq!(run(&mut w, "v1: cell = closure.cell #1\nv2: obj = cell.load v1 state s0\nreturn v2").returned(), x);
    assert_eq!(run(&mut w, "v1: function = frame.function\nguard.funcversion @0 v1 state s0\nreturn v0").exit().unit, 3);
    assert_eq!(run(&mut w, "v1: null = const.null\nv2: maybe = cell.swap v0, v1\nreturn v2").returned(), x);
    assert_eq!(word(cell, 2), 0);
    assert!(run(&mut w, "v1: obj = slot.load 16 v0 state s0\nreturn v1").exit.is_some());
    assert!(run(&mut w, "v1: obj = cell.load v0 state s0\nreturn v1").exit.is_some());
    assert_eq!(run(&mut w, "v1: maybe = slot.swap 16 v0, v0\nreturn v1").returned(), 0);
    assert_eq!(word(cell, 2), cell);
}

#[test]
fn items_are_found_once_until_something_may_move_them() {
    let mut w = World::new();
    let (x, y) = (w.float(1.5), w.float(2.0));
    let list = w.list(&[x]);
    let text = |between: &str| {
        format!(
            "func \"t\"
             s0 = code 0 unit 3 locals [v0, v1] stack []
             b0():
               v0: list = entry.local #0
               v1: obj = entry.local #1
               v2: i64 = const.int 0
               v3: obj = list.item v0, v2
               v4: float = guard.class v3 state s0
               v5: f64 = unbox.float v4
               {between}
               v7: f64 = float.add v5, v5
               list.setfloat v0, v2, v7
               v8: obj = list.item v0, v2
               return v8"
        )
    };
    w.local(0, list).local(1, y);
    let out = w.run(&text("incref v1"));
    assert_eq!((out.returned(), float_value(x)), (x, 3.0));
    let checks =
        |o: &crate::support::Outcome| o.compiled.exits.len() + o.compiled.asm.as_deref().map_or(0, |a| a.matches("cmp").count());
    let once = checks(&out);
    set_word(y, 0, 1);
    let out = w.run(&text("v6: obj = list.swap v0, v2, v1"));
    assert_eq!((out.returned(), float_value(y), float_value(x)), (y, 6.0, 3.0), "the new item was changed");
    assert!(checks(&out) > once, "and was checked");
}
