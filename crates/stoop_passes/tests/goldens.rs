//! The text goldens in `tests/ir`: what each pass makes of small functions.
//!
//! A file holds cases, each begun by `; pass: name`, then the input, `; ---`, and the expected output.
//! `STOOP_BLESS=1` writes the outputs anew; review the difference.

use std::path::{Path, PathBuf};

use stoop_ir::parse::parse;
use stoop_ir::verify::verify;
use stoop_ir::{Const, Function};
use stoop_passes::{ConstValue, PASSES, PassContext};

struct Case {
    pass: String,
    input: String,
    expected: String,
}

fn files() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/ir");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("tests/ir is there")
        .map(|e| e.expect("a readable directory").path())
        .filter(|p| p.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    assert!(files.len() >= 6, "goldens are missing: {files:?}");
    files
}

fn cases(text: &str) -> Vec<Case> {
    let mut out: Vec<Case> = Vec::new();
    let mut in_output = false;
    for line in text.lines() {
        if let Some(pass) = line.strip_prefix("; pass: ") {
            out.push(Case { pass: pass.trim().to_owned(), input: String::new(), expected: String::new() });
            in_output = false;
        }
        let case = out.last_mut().expect("a file begins with `; pass: name`");
        if line == "; ---" {
            in_output = true;
        } else if in_output {
            case.expected.push_str(line);
            case.expected.push('\n');
        } else {
            case.input.push_str(line);
            case.input.push('\n');
        }
    }
    out
}

/// Number constants have their value in a context, from their text.
fn context(func: &Function) -> PassContext {
    let mut ctx = PassContext::default();
    for (k, c) in func.consts.iter().enumerate() {
        let value = match c.class.map(|c| c.text()) {
            Some("int") => c.text.parse().ok().map(ConstValue::Int),
            Some("float") => c.text.parse().ok().map(ConstValue::Float),
            Some("bool") => Some(ConstValue::Bool(c.text == "True")),
            _ => None,
        };
        if let Some(v) = value {
            ctx.const_values.insert(Const(k as u32), v);
        }
    }
    ctx
}

fn sound(what: &str, f: &Function) {
    let errors = verify(f);
    assert!(errors.is_empty(), "{what}: {errors:#?}\n{f}");
    let text = f.to_string();
    let again = parse(&text).unwrap_or_else(|e| panic!("{what}: {e}\n{text}")).to_string();
    assert_eq!(again, text, "{what} does not round-trip");
}

#[test]
fn goldens() {
    let bless = std::env::var_os("STOOP_BLESS").is_some();
    let mut wrong = Vec::new();
    for file in files() {
        let name = file.file_name().expect("a file name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("a readable file");
        let mut blessed = String::new();
        for (k, case) in cases(&text).into_iter().enumerate() {
            let what = format!("{name}, case {}", k + 1);
            let mut f = parse(&case.input).unwrap_or_else(|e| panic!("{what}: {e}"));
            sound(&format!("{what}, input"), &f);
            let mut ctx = context(&f);
            if case.pass == "pipeline" {
                stoop_passes::run(&mut f, &mut ctx, &mut stoop_passes::Options { verify: true, ..Default::default() });
            } else {
                let pass = stoop_passes::pipeline::pass(&case.pass);
                (pass.unwrap_or_else(|| panic!("{what}: no pass {:?}", case.pass)).run)(&mut f, &mut ctx);
            }
            sound(&format!("{what}, output"), &f);
            let output = f.to_string();
            if output.trim_end() != case.expected.trim_end() {
                wrong.push(format!("{what}: expected\n{}\ngot\n{output}", case.expected));
            }
            blessed.push_str(&format!("{}\n; ---\n{output}\n", case.input.trim_end()));
        }
        if bless {
            std::fs::write(&file, format!("{}\n", blessed.trim_end())).expect("a writable file");
        }
    }
    assert!(bless || wrong.is_empty(), "{}\n(STOOP_BLESS=1 writes them anew)", wrong.join("\n"));
}

#[test]
fn every_general_pass_has_a_golden() {
    let text: String = files().iter().map(|f| std::fs::read_to_string(f).expect("a readable file")).collect();
    let own = ["forget_entry_states"];
    for pass in PASSES.iter().filter(|p| !own.contains(&p.name)) {
        assert!(text.contains(&format!("; pass: {}\n", pass.name)), "no golden for {}", pass.name);
    }
}

/// The names of the passes that ran.
fn ran(off: &[&str]) -> Vec<String> {
    let mut f = parse("func \"f\"\nb0:\n v0: null = const.null\n return v0\n").unwrap();
    let mut names = Vec::new();
    let mut dump = |name: &str, _: &Function| names.push(name.to_owned());
    let mut options = stoop_passes::Options {
        off: off.iter().map(|s| (*s).to_owned()).collect(),
        dump: Some(&mut dump),
        verify: true,
        goes_on: None,
    };
    stoop_passes::run(&mut f, &mut PassContext::default(), &mut options);
    names
}

#[test]
fn each_switch_turns_off_exactly_its_pass() {
    let all = ran(&[]);
    assert_eq!(all.len(), PASSES.len() + 1);
    assert_eq!(all[0], "build");
    assert!(all[1..].iter().zip(PASSES).all(|(n, p)| n == p.name));
    for pass in PASSES {
        let expected: Vec<String> = if pass.name == "forget_entry_states" {
            all.clone()
        } else {
            all.iter().filter(|n| *n != pass.name).cloned().collect()
        };
        assert_eq!(ran(&[pass.name]), expected, "{} off", pass.name);
    }
    assert_eq!(ran(&["no such pass"]), all);
}

#[test]
fn passes_go_on_only_where_that_is_wanted() {
    let until = PASSES.iter().position(|p| p.name == "fold_constants").unwrap() + 1;
    for (wanted, runs) in [(true, PASSES.len()), (false, until)] {
        let mut f = parse("func \"f\"\nb0:\n v0: null = const.null\n return v0\n").unwrap();
        let asked = std::cell::Cell::new(0);
        let goes_on = |_: &stoop_ir::Function| {
            asked.set(asked.get() + 1);
            wanted
        };
        let mut ctx = PassContext::default();
        let mut options = stoop_passes::Options { goes_on: Some(&goes_on), ..Default::default() };
        stoop_passes::run(&mut f, &mut ctx, &mut options);
        assert_eq!((ctx.timings.len(), asked.get()), (runs, 1));
    }
}

#[test]
fn each_run_is_timed_and_counted() {
    let mut f = parse("func \"f\"\nb0:\n v0: i64 = const.int 2\n v1: i64 = int.add v0, v0 state s0\n v2: int = box.int v1\n return v2\ns0 = code 0 unit 0 locals [] stack []\n").unwrap();
    let mut ctx = PassContext::default();
    stoop_passes::run(&mut f, &mut ctx, &mut stoop_passes::Options::default());
    assert_eq!(ctx.timings.len(), PASSES.len());
    assert_eq!(ctx.counter("folded"), 1);
    assert_eq!(ctx.counter("no such counter"), 0);
}
