//! The reference interpreter on functions whose meaning is known.

use stoop_ir::interp::heap::{Heap, Kind, Val};
use stoop_ir::interp::{Host, NoPython, Outcome, Raised, Run, Setup, Trace, run};
use stoop_ir::{Function, InstData, Op};

fn func(body: &str) -> Function {
    let f = stoop_ir::parse::parse(body).unwrap();
    assert_eq!(stoop_ir::verify::verify(&f), Vec::<String>::new());
    f
}

fn go(body: &str, locals: Vec<Kind>) -> Result<Run, String> {
    run(&func(body), Setup::new(locals), &mut NoPython)
}

fn outcome(body: &str, locals: Vec<Kind>) -> Outcome {
    let r = go(body, locals).unwrap();
    assert_eq!(r.leaked, 0);
    r.outcome
}

const SUM: &str = r#"func "sum of a list of floats"
s0 = code 0 unit 0 locals [v0] stack []
s1 = code 0 unit 4 locals [v0, v4, v5] stack []
b0:
  v0: obj = entry.local #0
  v1: list = guard.class v0 state s0
  v2: i64 = const.int 0
  v3: f64 = const.float 0.0
  jump b1(v2, v3)
b1(v4: i64, v5: f64) entry s1:
  v6: i64 = list.len v1
  v7: i1 = int.cmp lt v4, v6
  branch v7, b2, b3
b2:
  v8: i64 = index v4, v6 state s1
  v9: obj = list.item v1, v8
  v10: float = guard.class v9 state s1
  v11: f64 = unbox.float v10
  v12: f64 = float.add v5, v11
  v13: i64 = const.int 1
  v14: i64 = int.add v4, v13 state s1
  jump b1(v14, v12)
b3:
  v15: float = box.float v5
  return v15
"#;

/// A list object must be built in the heap before the slots are filled.
fn with_list(items: Vec<Kind>) -> Setup {
    let mut setup = Setup::new(Vec::new());
    let items = items.into_iter().map(|k| setup.heap.alloc(k)).collect();
    setup.locals = vec![Some(setup.heap.alloc(Kind::List(items)))];
    setup.trace = Trace::Entries;
    setup
}

#[test]
fn a_loop_over_a_list() {
    let r = run(&func(SUM), with_list(vec![Kind::Float(1.5), Kind::Float(2.0)]), &mut NoPython).unwrap();
    assert_eq!(r.outcome, Outcome::Returned("3.5".to_owned()));
    assert_eq!(r.leaked, 0);
    assert_eq!(r.passed.len(), 3);
    assert_eq!(r.passed[1].locals, vec![Some("[1.5, 2.0]".to_owned()), Some("1".to_owned()), Some("1.5".to_owned())]);
}

#[test]
fn a_failed_guard_leaves_with_the_state() {
    let r = run(&func(SUM), with_list(vec![Kind::Float(1.5), Kind::Int(2)]), &mut NoPython).unwrap();
    let Outcome::Exited(p) = r.outcome else { panic!("{:?}", r.outcome) };
    assert_eq!((p.unit, p.locals[2].as_deref(), r.leaked), (4, Some("1.5"), 0));
    let Outcome::Exited(p) = outcome(SUM, vec![Kind::None]) else { panic!("did not leave") };
    assert_eq!(p.unit, 0);
}

fn int_op(op: &str, a: i64, b: i64) -> Outcome {
    let text = format!(
        "func \"t\"\ns0 = code 0 unit 7 locals [] stack [v0, v1]\nb0:\n v0: i64 = const.int {a}\n v1: i64 = const.int {b}\n v2: i64 = {op} v0, v1 state s0\n v3: int = box.int v2\n return v3\n"
    );
    outcome(&text, Vec::new())
}

#[test]
fn arithmetic_leaves_where_it_must() {
    let is = |r: Outcome, v: i64| assert_eq!(r, Outcome::Returned(v.to_string()));
    let leaves = |r: Outcome| assert!(matches!(r, Outcome::Exited(p) if p.unit == 7 && p.stack.len() == 2));
    is(int_op("int.add", 2, 3), 5);
    leaves(int_op("int.add", i64::MAX, 1));
    is(int_op("int.floordiv", -7, 2), -4);
    is(int_op("int.mod", 7, -2), -1);
    leaves(int_op("int.mod", 1, 0));
    leaves(int_op("int.floordiv", i64::MIN, -1));
    is(int_op("int.shl", -1, 63), i64::MIN);
    leaves(int_op("int.shl", 1, 63));
    is(int_op("int.shr", -5, 100), -1);
    is(int_op("index", -1, 4), 3);
    leaves(int_op("index", 4, 4));
    leaves(int_op("int.pow", 10, 19));
}

#[test]
fn ranges_have_pythons_lengths() {
    let len = |a: i64, b: i64, c: i64| {
        let text = format!(
            "func \"t\"\ns0 = code 0 unit 7 locals [] stack []\nb0:\n v0: i64 = const.int {a}\n v1: i64 = const.int {b}\n v2: i64 = const.int {c}\n v3: range_iter = rangeiter.new v0, v1, v2 state s0\n v4: i64 = rangeiter.len v3\n decref v3\n v5: int = box.int v4\n return v5\n"
        );
        outcome(&text, Vec::new())
    };
    for (a, b, c, n) in [(0, 10, 3, 4), (0, 9, 3, 3), (10, 0, -3, 4), (9, 0, -3, 3), (5, 5, 1, 0), (0, 5, -1, 0)] {
        assert_eq!(len(a, b, c), Outcome::Returned(n.to_string()), "range({a}, {b}, {c})");
    }
    assert!(matches!(len(0, 1, 0), Outcome::Exited(_)));
}

#[test]
fn wrong_reference_counts_are_found() {
    let twice = "func \"t\"\nb0:\n v0: f64 = const.float 1.0\n v1: float = box.float v0\n decref v1\n return v1\n";
    assert!(go(twice, Vec::new()).unwrap_err().contains("destroyed"));
    let leak = "func \"t\"\nb0:\n v0: f64 = const.float 1.0\n v1: float = box.float v0\n incref v1\n return v1\n";
    assert_eq!(go(leak, Vec::new()).unwrap().leaked, 1);
}

#[test]
fn a_unique_box_is_overwritten_and_a_shared_one_is_not() {
    let text = |keep: &str, drop: &str| {
        format!(
            "func \"t\"\ns0 = code 0 unit 0 locals [] stack []\nb0:\n v0: list = entry.local #0\n v1: i64 = const.int 0\n v2: obj = list.item v0, v1\n {keep}\n v3: f64 = const.float 2.5\n list.setfloat v0, v1, v3\n v4: float = guard.class v2 state s0\n v5: f64 = unbox.float v4\n {drop}\n v6: float = box.float v5\n return v6\n"
        )
    };
    let result = |t: &str| run(&func(t), with_list(vec![Kind::Float(1.0)]), &mut NoPython).unwrap();
    assert_eq!(result(&text("", "")).outcome, Outcome::Returned("2.5".to_owned()));
    let kept = result(&text("incref v2", "decref v2"));
    assert_eq!((kept.outcome, kept.leaked), (Outcome::Returned("1.0".to_owned()), 0));
}

/// Adds ints; everything else raises.
struct Adder;

impl Host for Adder {
    fn python(&mut self, heap: &mut Heap, _: &Function, inst: &InstData, args: &[Val]) -> Result<Option<Val>, Raised> {
        let int = |heap: &mut Heap, v: Val| match v {
            Val::Ref(o) => match heap.get(o) {
                Ok(Kind::Int(i)) => Ok(*i),
                _ => Err(Raised),
            },
            _ => Err(Raised),
        };
        if inst.op != Op::PyBinary {
            return Err(Raised);
        }
        let sum = int(heap, args[0])? + int(heap, args[1])?;
        Ok(Some(Val::Ref(heap.alloc(Kind::Int(sum)))))
    }
}

#[test]
fn python_operations_go_to_the_host() {
    let text = "func \"t\"\ns0 = code 0 unit 3 locals [v0, v1] stack [v0, v1]\nb0:\n v0: obj = entry.local #0\n v1: obj = entry.local #1\n v2: obj = py.binary add v0, v1 state s0\n return v2\n";
    let r = run(&func(text), Setup::new(vec![Kind::Int(2), Kind::Int(3)]), &mut Adder).unwrap();
    assert_eq!((r.outcome, r.leaked), (Outcome::Returned("5".to_owned()), 0));
    let r = run(&func(text), Setup::new(vec![Kind::Int(2), Kind::None]), &mut Adder).unwrap();
    let Outcome::Raised(p) = r.outcome else { panic!("{:?}", r.outcome) };
    assert_eq!((p.stack, r.leaked), (vec!["2".to_owned(), "None".to_owned()], 0));
}

#[test]
fn endless_loops_end() {
    let text = "func \"t\"\nb0:\n jump b1\nb1:\n jump b1\n";
    assert_eq!(go(text, Vec::new()).unwrap_err(), "too many steps");
}
