//! Unboxed integers.

use crate::support::{LEFT, Thing, World};

const MIN: i64 = i64::MIN;
const MAX: i64 = i64::MAX;

/// Runs a binary operation on two locals' values; None if it left.
fn binary(op: &str, x: i64, y: i64, optimise: bool) -> Option<i64> {
    let mut w = World::new();
    w.optimise = optimise;
    let (a, b) = (w.int(x), w.int(y));
    let out = w.local(0, a).local(1, b).run(&format!(
        "func \"t\"
         s0 = code 0 unit 7 locals [v0, v1] stack [v2!]
         b0():
           v0: maybe = entry.local #0
           v1: maybe = entry.local #1
           v2: int = ref.cast v0
           v3: int = ref.cast v1
           v4: i64 = unbox.int v2 state s0
           v5: i64 = unbox.int v3 state s0
           v6: i64 = {op} v4, v5 state s0
           v7: int = box.int v6
           return v7"
    ));
    if out.exit.is_some() {
        assert_eq!(out.exit().unit, 7);
        assert_eq!(out.exit().op.text(), op);
        assert_eq!(out.locals(), [], "the slots hold the operands");
        assert_eq!(out.stack(), [Thing::Owned(a)]);
        return None;
    }
    Some(out.int())
}

/// The same with the second operand a constant, as most are.
fn with_constant(op: &str, x: i64, y: i64) -> Option<i64> {
    let mut w = World::new();
    let a = w.int(x);
    let out = w.local(0, a).run(&format!(
        "func \"t\"
         s0 = code 0 unit 7 locals [v0] stack []
         b0():
           v0: int = entry.local #0
           v1: i64 = unbox.int v0 state s0
           v2: i64 = const.int {y}
           v3: i64 = {op} v1, v2 state s0
           v4: int = box.int v3
           return v4"
    ));
    out.exit.is_none().then(|| out.int())
}

const INTERESTING: [i64; 21] =
    [0, 1, -1, 2, -2, 3, -3, 7, -7, 8, 63, 64, 65, 255, 257, -300, 1 << 30, -(1 << 31), 1 << 62, MIN, MAX];

type Reference = fn(i64, i64) -> Option<i64>;

fn floor_div(x: i64, y: i64) -> Option<i64> {
    let q = x.checked_div(y)?;
    Some(if x % y != 0 && (x < 0) != (y < 0) { q - 1 } else { q })
}

fn floor_mod(x: i64, y: i64) -> Option<i64> {
    if y == 0 {
        return None;
    }
    let r = x.wrapping_rem(y);
    Some(if r != 0 && (r < 0) != (y < 0) { r + y } else { r })
}

fn shl(x: i64, y: i64) -> Option<i64> {
    let wide = i128::from(x) << u32::try_from(y).ok().filter(|y| *y < 64)?;
    i64::try_from(wide).ok()
}

fn shr(x: i64, y: i64) -> Option<i64> {
    (y >= 0).then(|| x >> y.min(63))
}

const OPERATIONS: [(&str, Reference); 10] = [
    ("int.add", i64::checked_add),
    ("int.sub", i64::checked_sub),
    ("int.mul", i64::checked_mul),
    ("int.floordiv", floor_div),
    ("int.mod", floor_mod),
    ("int.and", |x, y| Some(x & y)),
    ("int.or", |x, y| Some(x | y)),
    ("int.xor", |x, y| Some(x ^ y)),
    ("int.shl", shl),
    ("int.shr", shr),
];

#[test]
fn binary_operations_agree_with_a_reference() {
    for (op, reference) in OPERATIONS {
        for x in INTERESTING {
            for y in [0, 1, -1, 2, 3, -3, 5, 7, 10, 62, 63, 64, 641, 1000, 1 << 31, 1_000_000_007, MIN, MAX - 1, MAX] {
                let want = reference(x, y);
                assert_eq!(binary(op, x, y, true), want, "{x} {op} {y}");
                assert_eq!(with_constant(op, x, y), want, "{x} {op} constant {y}");
            }
        }
        assert_eq!(binary(op, 100, 3, false), reference(100, 3), "{op} without optimisation");
    }
}

/// Runs a unary operation whose result has the printed type; None if it left.
fn unary(op: &str, ty: &str, boxed: &str, x: i64) -> Option<(i64, f64, bool)> {
    let mut w = World::new();
    let (a, yes) = (w.int(x), w.bool(true));
    let class = boxed.trim_start_matches("box.");
    let out = w.local(0, a).run(&format!(
        "func \"t\"
         s0 = code 0 unit 7 locals [v0] stack []
         b0():
           v0: int = entry.local #0
           v1: i64 = unbox.int v0 state s0
           v2: {ty} = {op} v1 state s0
           v3: {class} = {boxed} v2
           return v3"
    ));
    if out.exit.is_some() {
        assert_eq!(out.result, LEFT);
        return None;
    }
    Some(match ty {
        "i64" => (out.int(), 0.0, false),
        "f64" => (0, out.float(), false),
        _ => (0, 0.0, out.returned() == yes),
    })
}

#[test]
fn unary_operations_agree_with_a_reference() {
    for x in INTERESTING {
        let int = |op| unary(op, "i64", "box.int", x).map(|r| r.0);
        assert_eq!(int("int.neg"), x.checked_neg(), "-{x}");
        assert_eq!(int("int.abs"), x.checked_abs(), "abs {x}");
        assert_eq!(int("int.not"), Some(!x), "~{x}");
        assert_eq!(unary("int.tobool", "i1", "box.bool", x).map(|r| r.2), Some(x != 0), "bool {x}");
        assert_eq!(unary("int.tofloat", "f64", "box.float", x).map(|r| r.1), Some(x as f64), "float {x}");
    }
    for (x, exact) in [(1 << 53, true), (-(1 << 53), true), ((1 << 53) + 1, false), (-(1 << 53) - 1, false), (MIN, false)] {
        let want = exact.then_some(x as f64);
        assert_eq!(unary("int.tofloat.exact", "f64", "box.float", x).map(|r| r.1), want, "exact float {x}");
    }
}

#[test]
fn comparisons_are_signed() {
    for (cmp, less, same, more) in [
        ("lt", true, false, false),
        ("le", true, true, false),
        ("eq", false, true, false),
        ("ne", true, false, true),
        ("gt", false, false, true),
        ("ge", false, true, true),
    ] {
        for (x, y, want) in [(MIN, 1, less), (-1, 0, less), (5, 5, same), (3, -3, more)] {
            let mut w = World::new();
            let (a, b, yes) = (w.int(x), w.int(y), w.bool(true));
            let out = w.local(0, a).local(1, b).run(&format!(
                "func \"t\"
                 s0 = code 0 unit 7 locals [v0, v1] stack []
                 b0():
                   v0: int = entry.local #0
                   v1: int = entry.local #1
                   v2: i64 = unbox.int v0 state s0
                   v3: i64 = unbox.int v1 state s0
                   v4: i1 = int.cmp {cmp} v2, v3
                   v5: bool = box.bool v4
                   return v5"
            ));
            assert_eq!(out.returned() == yes, want, "{x} {cmp} {y}");
        }
    }
}

#[test]
fn a_loop_sums_and_keeps_its_locals_unboxed() {
    let mut w = World::new();
    let (n, zero) = (w.int(100_000), w.small(0));
    let out = w.local(0, n).local(1, zero).local(2, zero).run(SUM);
    assert_eq!(out.int(), 99_999 * 100_000 / 2);
    assert_eq!(out.calls(), [], "no helper but boxing at the end");
    assert_eq!(w.slot(1), zero, "the slots were not written");
}

const SUM: &str = "func \"sum\"
     s0 = code 0 unit 2 locals [v0, v1, v2] stack []
     s1 = code 0 unit 4 locals [v3, v7, v8] stack []
     b0():
       v0: int = entry.local #0
       v1: int = entry.local #1
       v2: int = entry.local #2
       v3: i64 = unbox.int v0 state s0
       v4: i64 = unbox.int v1 state s0
       v5: i64 = unbox.int v2 state s0
       jump b1(v4, v5)
     b1(v7: i64, v8: i64) entry s1:
       v9: i1 = int.cmp lt v8, v3
       branch v9, b2(), b3()
     b2():
       v10: i64 = int.add v7, v8 state s1
       v11: i64 = const.int 1
       v12: i64 = int.add v8, v11 state s1
       jump b1(v10, v12)
     b3():
       v13: int = box.int v7
       return v13";

#[test]
fn an_overflow_in_a_loop_leaves_with_the_locals_of_that_turn() {
    let mut w = World::new();
    let (n, big, zero) = (w.int(100), w.int(MAX - 10), w.small(0));
    let out = w.local(0, n).local(1, big).local(2, zero).run(SUM);
    assert_eq!(out.exit().unit, 4);
    // 0 + 1 + 2 + 3 + 4 fit, 5 no longer does. The loop's bound never changed.
    assert_eq!(out.locals(), [(1, Thing::Int(MAX)), (2, Thing::Int(5))]);
    assert!(out.compiled.asm.as_deref().expect("text").contains(" jo "), "overflow jumps on the flag");
}

#[test]
fn large_ints_unbox_through_the_helper() {
    for (x, fits) in [(1 << 30, true), (MIN, true), (MAX, false)] {
        let mut w = World::new();
        let a = w.int(x);
        w.results(&[i64::from(fits)]);
        let out = w.local(0, a).run(
            "func \"t\"
             s0 = code 0 unit 3 locals [v0] stack []
             b0():
               v0: int = entry.local #0
               v1: i64 = unbox.int v0 state s0
               v2: int = box.int v1
               return v2",
        );
        assert_eq!(out.exit.is_none(), fits);
        if fits {
            assert_eq!(out.int(), x);
        }
    }
}

#[test]
fn small_results_are_the_cached_objects() {
    for x in [-6, -5, 0, 256, 257] {
        let mut w = World::new();
        let a = w.int(x);
        let out = w.local(0, a).run(
            "func \"t\"
             s0 = code 0 unit 3 locals [v0] stack []
             b0():
               v0: int = entry.local #0
               v1: i64 = unbox.int v0 state s0
               v2: int = box.int v1
               return v2",
        );
        assert_eq!(out.int(), x);
        if (-5..=256).contains(&x) {
            assert_eq!(out.returned(), w.small(x));
        }
    }
}

#[test]
fn power_is_the_helper_s_and_leaves_when_it_says_so() {
    let text = "func \"t\"
         s0 = code 0 unit 3 locals [v0] stack []
         b0():
           v0: int = entry.local #0
           v1: i64 = unbox.int v0 state s0
           v2: i64 = int.pow v1, v1 state s0
           v3: int = box.int v2
           return v3";
    let mut w = World::new();
    let a = w.int(3);
    w.out(27);
    assert_eq!(w.local(0, a).run(text).int(), 27);
    w.results(&[0]);
    assert_eq!(w.run(text).exit().op.text(), "int.pow");
}

#[test]
fn an_index_counts_from_the_end_and_leaves_out_of_range() {
    for (i, want) in [(0, Some(0)), (2, Some(2)), (3, None), (-1, Some(2)), (-3, Some(0)), (-4, None), (MIN, None), (MAX, None)] {
        for constant in [false, true] {
            let mut w = World::new();
            let a = w.int(i);
            let index = if constant { format!("const.int {i}") } else { "unbox.int v0 state s0".to_owned() };
            let out = w.local(0, a).run(&format!(
                "func \"t\"
                 s0 = code 0 unit 3 locals [v0] stack []
                 b0():
                   v0: int = entry.local #0
                   v1: i64 = {index}
                   v2: i64 = const.int 3
                   v3: i64 = index v1, v2 state s0
                   v4: int = box.int v3
                   return v4"
            ));
            assert_eq!(out.exit.is_none().then(|| out.int()), want, "index {i}, constant: {constant}");
        }
    }
}
