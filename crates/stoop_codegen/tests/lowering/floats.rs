//! Unboxed floats.

use crate::support::{Thing, World, float_value};

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

fn binary(op: &str, x: f64, y: f64) -> Option<f64> {
    let mut w = World::new();
    let (a, b) = (w.float(x), w.float(y));
    let out = w.local(0, a).local(1, b).run(&format!(
        "func \"t\"
         s0 = code 0 unit 3 locals [v0, v1] stack []
         b0():
           v0: float = entry.local #0
           v1: float = entry.local #1
           v2: f64 = unbox.float v0
           v3: f64 = unbox.float v1
           v4: f64 = {op} v2, v3 state s0
           v5: float = box.float v4
           return v5"
    ));
    out.exit.is_none().then(|| out.float())
}

#[test]
fn arithmetic_is_ieee_and_leaves_at_a_zero_divisor() {
    assert_eq!(binary("float.add", 0.1, 0.2), Some(0.1 + 0.2));
    assert_eq!(binary("float.sub", 1.0, 1e-17), Some(1.0));
    assert_eq!(binary("float.mul", 1e300, 1e10), Some(INF));
    assert_eq!(binary("float.div", 1.0, 3.0), Some(1.0 / 3.0));
    assert_eq!(binary("float.floordiv", -7.0, 2.0), Some(-4.0));
    assert_eq!(binary("float.mod", -7.0, 2.0), Some(1.0));
    assert_eq!(binary("float.pow", 2.0, 0.5), Some(2f64.powf(0.5)));
    for op in ["float.div", "float.floordiv", "float.mod"] {
        assert_eq!(binary(op, 1.0, 0.0), None, "{op} by 0.0");
        assert_eq!(binary(op, 1.0, -0.0), None, "{op} by -0.0");
        assert!(binary(op, 1.0, NAN).is_some_and(f64::is_nan), "{op} by nan");
    }
}

#[test]
fn comparisons_with_nan_are_false_but_for_ne() {
    for (cmp, less, same, more, unordered) in [
        ("lt", true, false, false, false),
        ("le", true, true, false, false),
        ("eq", false, true, false, false),
        ("ne", true, false, true, true),
        ("gt", false, false, true, false),
        ("ge", false, true, true, false),
    ] {
        for (x, y, want) in [(1.0, 2.0, less), (0.0, -0.0, same), (INF, 1.0, more), (NAN, NAN, unordered), (1.0, NAN, unordered)]
        {
            for branch in [false, true] {
                let mut w = World::new();
                let (a, b, yes) = (w.float(x), w.float(y), w.bool(true));
                let end = if branch {
                    "branch v4, b1(), b2()
                     b1():
                       v6: i1 = const.bool 1
                       v7: bool = box.bool v6
                       return v7
                     b2():
                       v8: i1 = const.bool 0
                       v9: bool = box.bool v8
                       return v9"
                } else {
                    "v5: bool = box.bool v4
                       return v5"
                };
                let out = w.local(0, a).local(1, b).run(&format!(
                    "func \"t\"
                     b0():
                       v0: float = entry.local #0
                       v1: float = entry.local #1
                       v2: f64 = unbox.float v0
                       v3: f64 = unbox.float v1
                       v4: i1 = float.cmp {cmp} v2, v3
                       {end}"
                ));
                assert_eq!(out.returned() == yes, want, "{x} {cmp} {y}, branch: {branch}");
            }
        }
    }
}

fn unary(op: &str, ty: &str, boxed: &str, class: &str, x: f64) -> Option<(World, u64)> {
    let mut w = World::new();
    let a = w.float(x);
    let out = w.local(0, a).run(&format!(
        "func \"t\"
         s0 = code 0 unit 3 locals [v0] stack []
         b0():
           v0: float = entry.local #0
           v1: f64 = unbox.float v0
           v2: {ty} = {op} v1 state s0
           v3: {class} = {boxed} v2
           return v3"
    ));
    let result = out.exit.is_none().then(|| out.returned());
    result.map(|r| (w, r))
}

#[test]
fn unary_operations_agree_with_a_reference() {
    let float = |op, x| unary(op, "f64", "box.float", "float", x).map(|(_, r)| crate::support::float_value(r));
    assert_eq!(float("float.neg", 0.0).map(f64::to_bits), Some((-0.0f64).to_bits()));
    assert_eq!(float("float.abs", -2.5), Some(2.5));
    assert_eq!(float("float.sqrt", 2.0), Some(2f64.sqrt()));
    assert_eq!(float("float.sqrt", -0.0).map(f64::to_bits), Some((-0.0f64).to_bits()));
    assert_eq!(float("float.sqrt", -1.0), None);
    assert!(float("float.sqrt", NAN).is_some_and(f64::is_nan));
    let int = |x| unary("float.toint", "i64", "box.int", "int", x).map(|(_, r)| crate::support::int_value(r));
    for (x, want) in [
        (2.9, Some(2)),
        (-2.9, Some(-2)),
        (-9_223_372_036_854_775_808.0, Some(i64::MIN)),
        (9_223_372_036_854_774_784.0, Some(9_223_372_036_854_774_784)),
        (9_223_372_036_854_775_808.0, None),
        (-9_223_372_036_854_777_856.0, None),
        (NAN, None),
        (INF, None),
    ] {
        assert_eq!(int(x), want, "int({x})");
    }
    for (x, want) in [(0.0, false), (-0.0, false), (1e-320, true), (NAN, true)] {
        let (w, r) = unary("float.tobool", "i1", "box.bool", "bool", x).expect("no exit");
        assert_eq!(r == w.bool(true), want, "bool({x})");
    }
}

#[test]
fn a_float_loop_leaves_with_its_accumulator() {
    let mut w = World::new();
    let (x, n) = (w.float(1.0), w.float(0.5));
    // Divides by a number that shrinks to zero.
    let out = w.local(0, x).local(1, n).run(
        "func \"t\"
         s1 = code 0 unit 4 locals [v4, v5, v6] stack [v5]
         b0():
           v0: float = entry.local #0
           v1: float = entry.local #1
           v2: f64 = unbox.float v0
           v3: f64 = unbox.float v1
           v9: i1 = const.bool 1
           jump b1(v2, v3, v9)
         b1(v4: f64, v5: f64, v6: i1) entry s1:
           v7: f64 = float.div v4, v5 state s1
           v8: f64 = float.sub v5, v3
           v10: i1 = bool.not v6
           jump b1(v7, v8, v10)",
    );
    assert_eq!(out.locals(), [(0, Thing::Float(2.0)), (1, Thing::Float(0.0)), (2, Thing::Bool(false))]);
    assert_eq!(out.stack(), [Thing::Float(0.0)]);
}

#[test]
fn floats_stay_in_registers_across_rare_calls() {
    let mut w = World::new();
    let (a, b) = (w.float(1.0), w.float(2.0));
    let (list, n) = (w.list(&[a, b]), w.int(50));
    let text = "func \"t\"
         s0 = code 0 unit 2 locals [v0, v1, -] stack []
         s1 = code 0 unit 4 locals [v0, v1, v11] stack []
         b0():
           v0: list = entry.local #0
           v1: int = entry.local #1
           v3: i64 = unbox.int v1 state s0
           v4: i64 = const.int 0
           v5: f64 = const.float 0.5
           v6: f64 = const.float 0.25
           jump b1(v4, v5, v6)
         b1(v10: i64, v11: f64, v12: f64):
           poll state s1
           v20: i1 = int.cmp lt v10, v3
           branch v20, b2(), b3()
         b2():
           v22: i64 = const.int 1
           v28: f64 = float.add v11, v12
           list.setfloat v0, v22, v28
           v33: i64 = int.add v10, v22 state s1
           jump b1(v33, v28, v11)
         b3():
           v40: float = box.float v11
           return v40";
    let mut want = (0.5, 0.25);
    for _ in 0..50 {
        want = (want.0 + want.1, want.0);
    }
    let quiet = w.local(0, list).local(1, n).run(text);
    assert_eq!((quiet.float(), quiet.log.len()), (want.0, 0));
    let asm = quiet.compiled.asm.expect("text");
    let spills = asm.lines().filter(|l| l.contains("[rsp") && l.contains("xmm")).count();
    assert!(spills <= 1, "only exits write floats to memory:\n{asm}");
    // With every rare call taken, the values survive all the same.
    crate::support::set_word(b, 0, 2);
    w.interrupt();
    w.results(&[0; 60]);
    let busy = w.run(text);
    assert_eq!(busy.float(), want.0);
    assert_eq!(busy.log.iter().filter(|e| matches!(e, crate::support::Event::SetFloat(_, _))).count(), 50);
    assert_eq!(busy.calls().len(), 51);
}

#[test]
fn floats_and_small_ints_are_taken_alike() {
    let mut w = World::new();
    let (float, list) = (w.float(-2.5), w.list(&[]));
    let ints = [0, 7, -7, (1 << 30) - 1, 1 - (1 << 30), 1 << 30, -(1 << 30)].map(|i| (w.int(i), i));
    let mut run = |object| {
        w.local(0, object).run(
            "func \"t\"
             s0 = code 0 unit 3 locals [v0] stack []
             b0():
               v0: obj = entry.local #0
               v1: f64 = num.tofloat v0 state s0
               v2: float = box.float v1
               return v2",
        )
    };
    assert_eq!(float_value(run(float).returned()), -2.5);
    for (object, i) in ints {
        let out = run(object);
        if i.abs() < 1 << 30 {
            assert_eq!(float_value(out.returned()).to_bits(), (i as f64).to_bits());
        } else {
            assert!(out.exit.is_some(), "{i}");
        }
    }
    assert!(run(list).exit.is_some());
}
