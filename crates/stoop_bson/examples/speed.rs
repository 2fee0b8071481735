//! How fast documents are decoded: `cargo run --release -p stoop_bson --example speed [case] [megabytes]`.
//!
//! One core, its processor time, the best of many passes over the same documents. For changes to this crate; figures
//! that compare with others come from the benchmarks in Python.

use stoop_bson::batch::{Index, OnError, Origin};
use stoop_bson::parallel::{self, Options};
use stoop_bson::plan::{InRows, Plan};
use stoop_bson::rows::Rows;
use stoop_bson::schema::{Absent, Field, Kind, Policy, RowPlace, Schema};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }
}

enum Value<'a> {
    Double(f64),
    Int(i32),
    Bool(bool),
    Id,
    Text(&'a str),
    Document(Vec<(String, Value<'a>)>),
}

fn document(fields: &[(String, Value)], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend([0; 4]);
    for (name, value) in fields {
        let ty = match value {
            Value::Double(_) => 1,
            Value::Int(_) => 16,
            Value::Bool(_) => 8,
            Value::Id => 7,
            Value::Text(_) => 2,
            Value::Document(_) => 3,
        };
        out.push(ty);
        out.extend(name.as_bytes());
        out.push(0);
        match value {
            Value::Double(double) => out.extend(double.to_le_bytes()),
            Value::Int(int) => out.extend(int.to_le_bytes()),
            Value::Bool(bool) => out.push((*bool).into()),
            Value::Id => out.extend([7; 12]),
            Value::Text(text) => {
                out.extend((text.len() as i32 + 1).to_le_bytes());
                out.extend(text.as_bytes());
                out.push(0);
            }
            Value::Document(fields) => document(fields, out),
        }
    }
    out.push(0);
    let size = (out.len() - start) as i32;
    out[start..start + 4].copy_from_slice(&size.to_le_bytes());
}

type Made = (Vec<u8>, Vec<(String, Kind)>, bool);

fn named(name: &str, kind: Kind) -> (String, Kind) {
    (name.to_owned(), kind)
}

fn case(name: &str, bytes: usize) -> Option<Made> {
    let mut random = Random(7);
    let mut out = Vec::with_capacity(bytes + 4096);
    let doubles = |count: usize| (0..count).map(|n| named(&format!("f{n:02}"), Kind::F64)).collect::<Vec<_>>();
    let mut fill = |make: &mut dyn FnMut(&mut Random) -> Vec<(String, Value<'static>)>| {
        while out.len() < bytes {
            document(&make(&mut random), &mut out);
        }
    };
    let double = |name: String, random: &mut Random| (name, Value::Double(random.next() as f64));
    let int = |name: &str| (name.to_owned(), Value::Int(3));
    let (wanted, mask) = match name {
        "xyk" => {
            fill(&mut |random| {
                vec![
                    ("_id".into(), Value::Id),
                    double("x".into(), random),
                    double("y".into(), random),
                    ("k".into(), Value::Int(random.next() as i32)),
                ]
            });
            (vec![named("_id", Kind::ObjectId), named("x", Kind::F64), named("y", Kind::F64), named("k", Kind::Int(4))], false)
        }
        "twenty" => {
            fill(&mut |random| (0..20).map(|n| double(format!("f{n:02}"), random)).collect());
            (doubles(20), false)
        }
        "select" => {
            fill(&mut |random| (0..50).map(|n| double(format!("f{n:02}"), random)).collect());
            (vec![named("f10", Kind::F64), named("f40", Kind::F64)], false)
        }
        "select_text" => {
            fill(&mut |random| {
                (0..50)
                    .map(|n| match n % 3 {
                        0 => (format!("f{n:02}"), Value::Text("some text, not long")),
                        _ => double(format!("f{n:02}"), random),
                    })
                    .collect()
            });
            (vec![named("f10", Kind::F64), named("f40", Kind::F64)], false)
        }
        "missing" => {
            fill(&mut |random| {
                let mut fields: Vec<_> = (0..10).map(|n| double(format!("f{n:02}"), random)).collect();
                fields.retain(|_| random.next() % 10 >= 3);
                fields
            });
            (doubles(10), true)
        }
        "orders" => {
            fill(&mut |random| {
                let mut fields: Vec<_> = (0..8).map(|n| double(format!("f{n:02}"), random)).collect();
                for place in (1..fields.len()).rev() {
                    fields.swap(place, random.next() as usize % (place + 1));
                }
                fields
            });
            (doubles(8), false)
        }
        "nested" => {
            fill(&mut |random| {
                let inner = vec![double("x".into(), random), double("y".into(), random)];
                let middle = vec![("c".into(), Value::Document(inner)), ("k".into(), Value::Int(5))];
                vec![("_id".into(), Value::Id), ("b".into(), Value::Document(middle)), double("z".into(), random)]
            });
            (vec![named("b.c.x", Kind::F64), named("b.c.y", Kind::F64), named("b.k", Kind::Int(4)), named("z", Kind::F64)], false)
        }
        "strings" => {
            fill(&mut |random| {
                const WORDS: [&str; 4] = ["a", "cash", "credit card", "no charge, voided"];
                vec![
                    ("_id".into(), Value::Id),
                    ("s".into(), Value::Text(WORDS[random.next() as usize % 4])),
                    double("x".into(), random),
                    ("t".into(), Value::Text(WORDS[random.next() as usize % 4])),
                ]
            });
            (vec![named("s", Kind::FixedText(20)), named("x", Kind::F64), named("t", Kind::FixedBytes(20))], false)
        }
        // The three that follow are the benchmark's.
        "few_missing" => {
            fill(&mut |random| {
                let mut fields = vec![("_id".into(), Value::Int(3))];
                let others = [double("x".into(), random), double("y".into(), random), int("k"), int("n")];
                fields.extend(others.into_iter().filter(|_| random.next() % 10 >= 3));
                fields
            });
            (
                vec![
                    named("_id", Kind::Int(4)),
                    named("x", Kind::F64),
                    named("y", Kind::F64),
                    named("k", Kind::Int(4)),
                    named("n", Kind::Int(4)),
                ],
                true,
            )
        }
        "few_orders" => {
            fill(&mut |random| {
                let mut fields = vec![int("_id"), double("x".into(), random), double("y".into(), random), int("k")];
                fields.push(("flag".into(), Value::Bool(random.next() % 2 == 0)));
                for place in (1..fields.len()).rev() {
                    fields.swap(place, random.next() as usize % (place + 1));
                }
                fields
            });
            (
                vec![
                    named("_id", Kind::Int(4)),
                    named("x", Kind::F64),
                    named("y", Kind::F64),
                    named("k", Kind::Int(4)),
                    named("flag", Kind::Bool),
                ],
                false,
            )
        }
        "few_strings" => {
            fill(&mut |random| {
                const LETTERS: &str = "abcdefghijabcdefghij";
                let word = |random: &mut Random| &LETTERS[..4 + random.next() as usize % 12];
                vec![
                    int("_id"),
                    ("name".into(), Value::Text(word(random))),
                    ("city".into(), Value::Text(word(random))),
                    ("x".into(), Value::Double(1.5)),
                ]
            });
            (
                vec![
                    named("_id", Kind::Int(4)),
                    named("name", Kind::FixedBytes(16)),
                    named("city", Kind::FixedBytes(16)),
                    named("x", Kind::F64),
                ],
                false,
            )
        }
        _ => return None,
    };
    Some((out, wanted, mask))
}

const CASES: [&str; 11] = [
    "xyk",
    "twenty",
    "select",
    "select_text",
    "missing",
    "few_missing",
    "orders",
    "few_orders",
    "nested",
    "strings",
    "few_strings",
];

/// Processor time of this thread: others may be busy.
fn seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is this function's own.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let wanted = arguments.get(1).map_or("all", String::as_str);
    let megabytes: usize = arguments.get(2).and_then(|text| text.parse().ok()).unwrap_or(8);
    println!("{:>12} {:>10} {:>10} {:>8}", "case", "bytes/doc", "ns/doc", "GB/s");
    for name in CASES {
        if wanted != "all" && wanted != name {
            continue;
        }
        let Some((bytes, kinds, mask)) = case(name, megabytes << 20) else { continue };
        let (mut fields, mut offset) = (Vec::new(), 0);
        for (number, (name, kind)) in kinds.into_iter().enumerate() {
            let width = stoop_bson::op::width(&kind).unwrap_or(0);
            let place = RowPlace { offset, mask: mask.then_some(number), ..RowPlace::default() };
            let missing = if mask { Absent::Mask } else { Absent::Error };
            fields.push(Field {
                path: name.split('.').map(str::to_owned).collect(),
                name,
                zone: String::new(),
                large: false,
                kind,
                policy: Policy { missing, ..Policy::default() },
                place: Some(place),
            });
            offset += width;
        }
        let mask_size = if mask { fields.len() } else { 0 };
        let plan = Plan::new(&Schema { fields }, &mut InRows::default()).expect("a good schema");
        let index = Index::of(&bytes);
        let mut out = vec![1; index.documents * offset];
        let mut masks = vec![0; index.documents * mask_size];
        let options = Options { on_error: OnError::Raise, threads: 1, origin: Origin::default() };
        let mut best = f64::INFINITY;
        for _ in 0..if megabytes < 4 { 1 } else { 25 } {
            let started = seconds();
            let mut rows = Rows { out: &mut out, mask: &mut masks, size: offset, mask_size, objects: Vec::new() };
            let outcome = parallel::rows(&plan, &bytes, &mut rows, options);
            best = best.min(seconds() - started);
            assert_eq!(outcome.rows, index.documents, "{:?}", outcome.errors);
        }
        let documents = index.documents as f64;
        let size = bytes.len() as f64;
        println!("{name:>12} {:>10.0} {:>10.1} {:>8.2}", size / documents, best * 1e9 / documents, size / best / 1e9);
    }
}
