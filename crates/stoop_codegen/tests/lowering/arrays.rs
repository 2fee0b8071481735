//! Arrays, and what works on whole lists.

use crate::support::{Event, Outcome, World, float_value, word};
use stoop_codegen::runtime::Helper;
use stoop_ir::{Class, Element};

/// Runs a body over an array in local 0, an object in local 1 and a position in v3; items' address is v2.
fn run(w: &mut World, class: Class, position: i64, body: &str) -> Outcome {
    w.run(&format!(
        "func \"t\"
         s0 = code 0 unit 3 locals [v0] stack []
         b0():
           v0: obj = entry.local #0
           v1: {class} = guard.class v0 state s0
           v2: i64 = array.data v1
           v3: i64 = const.int {position}
           {body}"
    ))
}

#[test]
fn ints_of_each_size_are_widened() {
    for (class, element) in Element::ALL {
        if element.is_float {
            continue;
        }
        let n = usize::from(element.bytes);
        let code = element.code;
        let (least, greatest) = element.range();
        let mut bytes = vec![0x55; 3 * n];
        bytes[n..2 * n].copy_from_slice(&least.to_le_bytes()[..n]);
        bytes[2 * n..].copy_from_slice(&greatest.to_le_bytes()[..n]);
        let mut w = World::new();
        let array = w.array(class, &bytes);
        w.local(0, array);
        for (position, value) in [(1, least), (2, greatest)] {
            let body = format!("v4: i64 = array.loadint {code} v2, v3\nv5: int = box.int v4\nreturn v5");
            assert_eq!(run(&mut w, class, position, &body).int(), value, "{class}");
        }
        assert_eq!(run(&mut w, class, 0, "v4: i64 = array.len v1\nv5: int = box.int v4\nreturn v5").int(), 3);
    }
}

#[test]
fn ints_are_stored_if_they_fit() {
    for (class, element) in Element::ALL {
        if element.is_float {
            continue;
        }
        let (n, code) = (usize::from(element.bytes), element.code);
        let (least, greatest) = element.range();
        let mut values = vec![(least, true), (greatest, true)];
        if n < 8 {
            values.extend([(least - 1, false), (greatest + 1, false), (i64::MIN, false), (i64::MAX, false)]);
        }
        for (value, fits) in values {
            let mut w = World::new();
            let array = w.array(class, &[0x55; 24]);
            w.local(0, array);
            let body = format!("v4: i64 = const.int {value}\narray.storeint {code} v2, v3, v4 state s0\nreturn v1");
            let out = run(&mut w, class, 1, &body);
            assert_eq!(out.exit.is_none(), fits, "{class} {value}");
            let mut bytes = [0x55; 24];
            if fits {
                bytes[n..2 * n].copy_from_slice(&value.to_le_bytes()[..n]);
            }
            let got: Vec<u8> = (0..3).flat_map(|i| word(word(array, 3), i).to_le_bytes()).collect();
            assert_eq!(got, bytes, "{class} {value}");
        }
    }
}

#[test]
fn floats_are_rounded_to_the_items_size() {
    for x in [1.0_f64, 0.1, -0.0, 1e300, 5e-324] {
        let mut w = World::new();
        let array = w.array(Class::ArrayD, &[0; 24]);
        w.local(0, array);
        let body = |code| {
            format!(
                "v4: f64 = const.float {x:?}\narray.storefloat {code} v2, v3, v4
                 v5: f64 = array.loadfloat {code} v2, v3\nv6: float = box.float v5\nreturn v6"
            )
        };
        let result = run(&mut w, Class::ArrayD, 2, &body(b'd')).returned();
        assert_eq!((float_value(result).to_bits(), word(word(array, 3), 2)), (x.to_bits(), x.to_bits()));
        let array = w.array(Class::ArrayF, &[0; 24]);
        w.local(0, array);
        let result = run(&mut w, Class::ArrayF, 1, &body(b'f')).returned();
        assert_eq!(float_value(result).to_bits(), f64::from(x as f32).to_bits());
        assert_eq!(word(word(array, 3), 0) >> 32, u64::from((x as f32).to_bits()));
    }
}

#[test]
fn other_objects_and_other_typecodes_are_left() {
    let mut w = World::new();
    let (ints, floats, list) = (w.array(Class::ArrayI, &[0; 8]), w.array(Class::ArrayD, &[0; 8]), w.list(&[]));
    for (object, is) in [(ints, true), (floats, false), (list, false)] {
        w.local(0, object);
        let out = run(&mut w, Class::ArrayI, 0, "return v1");
        assert_eq!(out.exit.is_none(), is);
    }
}

#[test]
fn a_prefix_is_reversed_in_place() {
    for n in 0..6_usize {
        for last in -1..7_i64 {
            let mut w = World::new();
            let items: Vec<u64> = (0..n).map(|i| w.int(i as i64)).collect();
            let list = w.list(&items);
            let out = w.local(0, list).run(&format!(
                "func \"t\"
                 s0 = code 0 unit 3 locals [v0] stack []
                 b0():
                   v0: list = entry.local #0
                   v1: i64 = const.int {last}
                   list.reverseprefix v0, v1 state s0
                   return v0"
            ));
            let inside = usize::try_from(last).is_ok_and(|last| last < n);
            assert_eq!(out.exit.is_none(), inside, "{n} {last}");
            let mut wanted = items.clone();
            if inside {
                wanted[..=last as usize].reverse();
            }
            assert_eq!((0..n).map(|i| w.item(list, i)).collect::<Vec<_>>(), wanted, "{n} {last}");
            assert_eq!(items.iter().map(|o| word(*o, 0)).collect::<Vec<_>>(), vec![1; n]);
        }
    }
}

#[test]
fn bound_methods_are_told_by_their_definition() {
    let mut w = World::new();
    let list = w.list(&[]);
    for (definition, is) in [(77, true), (78, false)] {
        let builtin = w.object(0, &[definition, list]);
        let out = w.local(0, builtin).run(
            "func \"t\"
             s0 = code 0 unit 3 locals [v0] stack []
             b0():
               v0: builtin = entry.local #0
               guard.builtin 77 v0 state s0
               v1: obj = builtin.self v0
               return v1",
        );
        assert_eq!(out.exit.is_none(), is);
        if is {
            assert_eq!(out.returned(), list);
        }
    }
}

#[test]
fn lists_change_by_helpers_that_may_fail() {
    for (op, helper) in [
        ("v2: obj = list.pop v0, v1 state s0", Helper::ListPop),
        ("list.insert v0, v1, v0 state s0", Helper::ListInsert),
        ("v2: list = list.slice v0, v1, v1 state s0", Helper::ListSlice),
    ] {
        let mut w = World::new();
        let list = w.list(&[]);
        let out = w.local(0, list).run(&format!(
            "func \"t\"
             s0 = code 0 unit 3 locals [v0] stack []
             b0():
               v0: list = entry.local #0
               v1: i64 = const.int 5
               {op}
               return v0"
        ));
        assert!(out.log.iter().any(|e| matches!(e, Event::Call(h, ..) if *h == helper)), "{op}: {:?}", out.log);
    }
}
