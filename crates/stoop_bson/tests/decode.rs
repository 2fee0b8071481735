//! What decoding gives, policy by policy, and what its errors say.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use stoop_bson::arrow::Buffer;

use stoop_bson::batch::{OnError, Origin, STRETCH};
use stoop_bson::decimal::Decimal;
use stoop_bson::parallel::{self, Options};
use stoop_bson::rows::Rows;
use stoop_bson::schema::{Absent, Convert, Field, Kind, Unit};
use support::{Doc, Laid, Random, columns, field, lay, masked, numbers, rows};

fn f64s(bytes: &[u8]) -> Vec<f64> {
    bytes.chunks(8).map(|chunk| f64::from_le_bytes(chunk.try_into().expect("eight"))).collect()
}

fn error(laid: &Laid, doc: Doc) -> String {
    let decoded = rows(laid, &doc.bytes(), OnError::Raise, 1);
    assert_eq!(decoded.rows, 0);
    decoded.errors.into_iter().next().expect("an error")
}

fn one(field: Field) -> Laid {
    lay(vec![field])
}

fn lossy(mut field: Field) -> Field {
    field.policy.convert = Convert::Lossy;
    field
}

#[test]
fn numbers_convert_only_when_exact() {
    let int = one(field("a", Kind::Int(8)));
    for (doc, value) in [(Doc::default().f64("a", 1.0), 1i64), (Doc::default().i32("a", -2), -2)] {
        assert_eq!(rows(&int, &doc.bytes(), OnError::Raise, 1).out, value.to_le_bytes());
    }
    let text = "document 0 (byte 0): field \"a\": expected int64, found double 1.9 (not a whole number)";
    assert_eq!(error(&int, Doc::default().f64("a", 1.9)), text);
    assert!(error(&int, Doc::default().f64("a", f64::NAN)).contains("not a whole number"));
    assert!(error(&int, Doc::default().f64("a", 9.3e18)).contains("out of range"));
    assert!(error(&one(field("a", Kind::Int(1))), Doc::default().i32("a", 128)).contains("expected int8, found int32 128"));
    assert!(error(&one(field("a", Kind::Uint(8))), Doc::default().i32("a", -1)).contains("out of range"));
    let double = one(field("a", Kind::F64));
    assert!(error(&double, Doc::default().i64("a", (1 << 53) + 1)).contains("lossy"));
    assert_eq!(rows(&double, &Doc::default().i64("a", 1 << 60).bytes(), OnError::Raise, 1).rows, 1);
    assert!(error(&double, Doc::default().bool("a", true)).contains("found bool true"));
    assert!(error(&one(field("a", Kind::F32)), Doc::default().f64("a", 0.1)).contains("lossy"));
}

#[test]
fn lossy_rounds_and_never_wraps() {
    let int = one(lossy(field("a", Kind::Int(2))));
    assert_eq!(rows(&int, &Doc::default().f64("a", -1.9).bytes(), OnError::Raise, 1).out, (-1i16).to_le_bytes());
    assert!(error(&int, Doc::default().f64("a", 40000.5)).contains("out of range"));
    assert!(error(&int, Doc::default().f64("a", f64::INFINITY)).contains("int16"));
}

#[test]
fn strict_takes_the_own_type_only() {
    let mut strict = field("a", Kind::F64);
    strict.policy.convert = Convert::Strict;
    assert!(error(&one(strict), Doc::default().i32("a", 1)).contains("expected float64, found int32 1"));
}

#[test]
fn the_last_of_equal_names_wins() {
    let laid = lay(vec![masked("a", Kind::F64), masked("d.x", Kind::F64), masked("d.y", Kind::F64)]);
    let doc =
        Doc::default().null("a").f64("a", 2.0).doc("d", Doc::default().f64("x", 5.0)).doc("d", Doc::default().f64("y", 6.0));
    let decoded = rows(&laid, &doc.bytes(), OnError::Raise, 1);
    assert_eq!(f64s(&decoded.out), [2.0, 0.0, 6.0]);
    assert_eq!(decoded.mask, [0, 1, 0]);
    let doc = Doc::default().f64("a", 2.0).null("a");
    assert_eq!(rows(&laid, &doc.bytes(), OnError::Raise, 1).mask, [1, 1, 1]);
}

#[test]
fn absent_values_follow_their_policy() {
    let mut filled = field("a", Kind::F64);
    (filled.policy.missing, filled.policy.fill) = (Absent::Fill, 7.5f64.to_le_bytes().to_vec());
    let laid = one(filled);
    assert_eq!(f64s(&rows(&laid, &Doc::default().bytes(), OnError::Raise, 1).out), [7.5]);
    assert!(error(&laid, Doc::default().null("a")).ends_with("expected float64, found null"));
    assert!(
        error(&one(field("a.b", Kind::F64)), Doc::default()).ends_with("field \"a.b\": expected float64, found no such field")
    );
    assert!(
        error(&one(field("a.b", Kind::F64)), Doc::default().i32("a", 1))
            .contains("field \"a\": expected document, found int32 1")
    );
}

#[test]
fn bad_documents_are_left_out_and_listed() {
    let laid = lay(vec![masked("x", Kind::F64)]);
    let mut bytes = Vec::new();
    for number in 0..100 {
        let doc = Doc::default().f64("x", f64::from(number));
        bytes.extend(if number % 10 == 3 { Doc::default().text("x", "n/a") } else { doc }.bytes());
    }
    let decoded = rows(&laid, &bytes, OnError::Collect, 1);
    assert_eq!((decoded.rows, decoded.errors.len()), (90, 10));
    assert_eq!(decoded.errors[0], "document 3 (byte 48): field \"x\": expected float64, found string \"n/a\"");
    let left: Vec<f64> = (0..100).filter(|number| number % 10 != 3).map(f64::from).collect();
    assert_eq!(f64s(&decoded.out), left);
    assert!(decoded.mask.iter().all(|&mask| mask == 0));
}

#[test]
fn several_threads_give_the_same_rows() {
    let laid = lay(vec![masked("x", Kind::F64), masked("s", Kind::FixedText(4))]);
    let mut bytes = Vec::new();
    for number in 0..60_000 {
        let doc = Doc::default().f64("x", f64::from(number));
        let doc = if number % 7 == 0 { doc } else { doc.text("s", "abcd") };
        bytes.extend(if number % 1000 == 3 { doc.text("s", "too long") } else { doc }.bytes());
    }
    let (one, four) = (rows(&laid, &bytes, OnError::Collect, 1), rows(&laid, &bytes, OnError::Collect, 4));
    assert_eq!(one.errors.len(), 60);
    assert_eq!(one, four);
    let raised = rows(&laid, &bytes, OnError::Raise, 4);
    assert_eq!(raised.rows, 3);
    assert_eq!(raised.errors, one.errors[..1]);
}

#[test]
fn several_threads_are_not_taken_in_by_documents_that_seem_to_have_one_size() {
    let laid = lay(vec![masked("x", Kind::F64), masked("s", Kind::FixedText(40))]);
    let plain = |number: u32| Doc::default().f64("x", f64::from(number)).text("s", "0123456789").bytes();
    let size = plain(0).len();
    let same: Vec<u8> = (0..60_000).flat_map(plain).collect();
    // Two in place of two, and of one size together: longer and shorter, at the cut between two threads and elsewhere.
    let mut shifted = same.clone();
    for at in [30_000, 100, 59_000] {
        let longer = Doc::default().f64("x", 1.0).text("s", "0123456789abc").bytes();
        let shorter = Doc::default().f64("x", 2.0).text("s", "0123456").bytes();
        shifted[(at - 1) * size..(at + 1) * size].copy_from_slice(&[longer, shorter].concat());
    }
    // One of two sizes: one document fewer than it seems.
    let mut fewer = same.clone();
    let double = Doc::default().f64("x", 3.0).text("s", &"0".repeat(10 + size)).bytes();
    fewer[500 * size..502 * size].copy_from_slice(&double);
    let mut bad = same.clone();
    bad[45_000 * size + 4] = 0x7E;
    for bytes in [&same, &shifted, &fewer, &bad] {
        for threads in [2, 3, 7] {
            for on_error in [OnError::Raise, OnError::Skip, OnError::Collect] {
                assert_eq!(rows(&laid, bytes, on_error, 1), rows(&laid, bytes, on_error, threads), "{threads} {on_error:?}");
            }
        }
    }
    assert_eq!(rows(&laid, &same, OnError::Raise, 2).rows, 60_000);
}

#[test]
fn texts_fit_or_are_refused() {
    let laid = one(field("s", Kind::FixedText(5)));
    let decoded = rows(&laid, &Doc::default().text("s", "héé").bytes(), OnError::Raise, 1);
    let letters: Vec<u8> = "héé".chars().flat_map(|letter| u32::from(letter).to_le_bytes()).chain([0; 8]).collect();
    assert_eq!(decoded.out, letters);
    assert!(error(&laid, Doc::default().text("s", "toolong")).contains("too long; overflow=\"truncate\" cuts"));
    assert!(error(&laid, Doc::default().text("s", "a\0")).contains("ends with NUL"));
    let invalid = Doc::default().raw(2, "s", &[3, 0, 0, 0, 0xC3, 0x28, 0]);
    assert!(error(&laid, invalid.clone()).contains("not UTF-8"));
    let mut replaced = field("s", Kind::FixedText(5));
    replaced.policy.replace_invalid = true;
    assert_eq!(rows(&one(replaced), &invalid.bytes(), OnError::Raise, 1).rows, 1);
    let mut cut = field("s", Kind::FixedBytes(4));
    cut.policy.truncate = true;
    assert_eq!(rows(&one(cut), &Doc::default().text("s", "abcé").bytes(), OnError::Raise, 1).out, b"abc\0");
}

#[test]
fn invalid_text_is_found_in_documents_like_the_one_before() {
    for kind in [Kind::FixedText(8), Kind::FixedBytes(8)] {
        let laid = one(field("s", kind));
        let good = Doc::default().text("s", "good").bytes();
        let bad = Doc::default().raw(2, "s", &[5, 0, 0, 0, b'b', 0xFF, b'd', b'!', 0]).bytes();
        let all = [&good[..], &good, &good, &bad, &good].concat();
        let decoded = rows(&laid, &all, OnError::Collect, 1);
        assert_eq!((decoded.rows, decoded.errors.len()), (4, 1));
        assert!(decoded.errors[0].starts_with("document 3"), "{}", decoded.errors[0]);
    }
}

#[test]
fn times_scale_exactly() {
    let seconds = one(field("t", Kind::Datetime(Unit::Seconds)));
    let time = |milliseconds: i64| Doc::default().raw(9, "t", &milliseconds.to_le_bytes());
    assert_eq!(rows(&seconds, &time(-2000).bytes(), OnError::Raise, 1).out, (-2i64).to_le_bytes());
    assert!(error(&seconds, time(1)).contains("datetime64[s]"));
    let floor = one(lossy(field("t", Kind::Datetime(Unit::Seconds))));
    assert_eq!(rows(&floor, &time(-1).bytes(), OnError::Raise, 1).out, (-1i64).to_le_bytes());
    assert!(error(&one(field("t", Kind::Datetime(Unit::Nanoseconds))), time(1 << 50)).contains("out of range"));
}

#[test]
fn arrays_have_their_length() {
    let laid = one(field("a", Kind::Array(Box::new(field("a", Kind::Int(4))), 3)));
    let decoded = rows(&laid, &Doc::default().array("a", numbers(&[1, 2, 3])).bytes(), OnError::Raise, 1);
    assert_eq!(decoded.out, [1i32, 2, 3].map(i32::to_le_bytes).concat());
    assert!(
        error(&laid, Doc::default().array("a", numbers(&[1, 2]))).contains("expected array of 3 items, found array of 2 items")
    );
    let wrong = Doc::default().i32("0", 1).text("1", "x").i32("2", 3);
    assert!(error(&laid, Doc::default().array("a", wrong)).contains("field \"a.1\": expected int32, found string \"x\""));
}

#[test]
fn lists_forget_what_was_there_before() {
    let list = masked("l", Kind::List(Box::new(masked("", Kind::Int(4)))));
    let twice = Doc::default().array("l", Doc::default().null("0").null("1")).array("l", numbers(&[5]));
    let bytes = [twice.bytes(), Doc::default().bytes(), Doc::default().array("l", numbers(&[6, 7])).bytes()].concat();
    let (batches, _) = columns(vec![list], &bytes, OnError::Raise);
    let list = &batches[0].children[0];
    assert_eq!(list.buffers[1], Buffer::Offsets(vec![0, 1, 1, 3]));
    assert_eq!(list.nulls, 1);
    assert_eq!(list.children[0].nulls, 0);
    assert_eq!(list.children[0].buffers[1], Buffer::Bytes([5i32, 6, 7].map(i32::to_le_bytes).concat()));
}

#[test]
fn decimals_are_exact() {
    let decimal = |coefficient: u128, exponent: i32| ((6176 + exponent) as u128) << 113 | coefficient;
    let of = |bits: u128| Decimal::of(bits.to_le_bytes());
    assert_eq!(of(decimal(125, -2)).scaled(10, 3, false), Ok(1250));
    assert!(of(decimal(1255, -3)).scaled(10, 2, false).is_err());
    assert_eq!(of(decimal(1255, -3)).scaled(10, 2, true), Ok(126));
    assert_eq!(of(decimal(1245, -3)).scaled(10, 2, true), Ok(124));
    assert_eq!(of(decimal(5, 6) | 1 << 127).scaled(38, 0, false), Ok(-5_000_000));
    assert!(of(decimal(1, 40)).scaled(38, 0, false).is_err());
    assert_eq!(of(0x78 << 120), Decimal::Infinite(false));
    assert_eq!(of(0x7C << 120), Decimal::Nan);
    assert!((of(decimal(15, -1)).to_f64() - 1.5).abs() < f64::EPSILON);
}

#[test]
fn deep_documents_are_refused_without_recursion() {
    let mut bytes = Doc::default().bytes();
    for _ in 0..10_000 {
        bytes = Doc::default().raw(3, "a", &bytes).bytes();
    }
    let (document, _, fault) = stoop_bson::validate::validate_all(&bytes).expect_err("too deep");
    assert_eq!(document, 0);
    assert!(fault.found.contains("deeper than 200"));
    // What nobody asks for is stepped over, however deep it is.
    let laid = one(masked("b", Kind::F64));
    assert_eq!(rows(&laid, &bytes, OnError::Raise, 1).rows, 1);
}

#[test]
fn schemas_are_checked() {
    use stoop_bson::plan::{InRows, Plan};
    use stoop_bson::schema::Schema;
    let wrong = |fields: Vec<Field>| Plan::new(&Schema { fields }, &mut InRows::default()).expect_err("wrong");
    let place = |mut field: Field| {
        field.place = Some(Default::default());
        field
    };
    let a = || place(field("a", Kind::F64));
    assert!(wrong(vec![a(), a()]).contains("listed twice"));
    assert!(wrong(vec![a(), place(field("a.b", Kind::F64))]).contains("inside another"));
    assert!(wrong(vec![field("a", Kind::F64)]).contains("no offset"));
    assert!(wrong(vec![place(field("a", Kind::Text))]).contains("any length"));
    assert!(InRows::check(&Schema { fields: vec![a()] }, 7, 0).is_err());
}

/// Documents in bulk whose field is null at first, and then has values that are not copied as they are.
#[test]
fn a_field_that_was_null_before_it_had_values() {
    let names = ["x0", "y0", "k0", "x1", "y1", "k1", "x2", "y2", "k2"];
    let kinds = [Kind::F64, Kind::F32, Kind::Int(4)];
    let laid = lay((0..9).map(|number| masked(names[number], kinds[number % 3].clone())).collect());
    let mut random = Random(21);
    let mut documents: Vec<Vec<u8>> = Vec::new();
    for number in 0..3000 {
        let mut doc = Doc::default();
        for (place, name) in names.into_iter().enumerate() {
            doc = match (random.below(4), place % 3) {
                (0, _) => doc,
                (1, _) => doc.null(name),
                _ if number < 300 => doc.null(name),
                (_, 0) => doc.i32(name, 7),
                (_, 1) => doc.f64(name, 65536.0),
                _ => doc.i64(name, 5),
            };
        }
        documents.push(doc.bytes());
    }
    let all = rows(&laid, &documents.concat(), OnError::Raise, 1);
    let alone: Vec<_> = documents.iter().map(|bytes| rows(&laid, bytes, OnError::Raise, 1)).collect();
    assert_eq!(all.rows, 3000);
    assert_eq!(all.out, alone.iter().flat_map(|one| one.out.clone()).collect::<Vec<_>>());
    assert_eq!(all.mask, alone.iter().flat_map(|one| one.mask.clone()).collect::<Vec<_>>());
}

#[test]
fn decoding_stops_when_it_is_told_to() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let laid = one(field("x", Kind::F64));
    let bytes = Doc::default().f64("x", 1.5).bytes().repeat(5 * STRETCH / 16);
    let run = |threads, stop: fn() -> bool| {
        ASKED.store(0, Ordering::Relaxed);
        let options = Options { on_error: OnError::Raise, threads, origin: Origin::default() };
        let cut = parallel::cut(&bytes, options, true);
        let mut out = vec![0; cut.rows * laid.size];
        let mut rows = Rows { out: &mut out, mask: &mut [], size: laid.size, mask_size: 0, objects: Vec::new() };
        let outcome = parallel::rows_of(&laid.plan, &cut, &mut rows, options, stop);
        (outcome.stopped, outcome.rows, ASKED.load(Ordering::Relaxed))
    };
    let (stopped, rows, asked) = run(1, || ASKED.fetch_add(1, Ordering::Relaxed) == 2);
    assert!(stopped && asked == 3 && rows > 0 && rows < bytes.len() / 16, "{rows} {asked}");
    let (stopped, rows, asked) = run(1, || ASKED.fetch_add(1, Ordering::Relaxed) == usize::MAX);
    assert!(!stopped && asked == 4 && rows == bytes.len() / 16, "{rows} {asked}");
    let (stopped, rows, asked) = run(2, || ASKED.fetch_add(1, Ordering::Relaxed) == 0);
    assert!(stopped && asked >= 1 && rows == 0, "{rows} {asked}");
}

/// The last of several fields of a name wins, whatever the ones before are, if they are BSON at all.
#[test]
fn earlier_values_of_a_name_may_be_wrong() {
    let laid = lay(vec![field("x", Kind::F64), masked("d.k", Kind::Int(4))]);
    let inner = |doc: Doc| Doc::default().text("k", "no number").doc("more", doc);
    let twice =
        Doc::default().text("x", "n/a").doc("d", inner(Doc::default())).f64("x", 1.5).doc("d", Doc::default().i32("k", 3));
    let decoded = rows(&laid, &twice.clone().bytes(), OnError::Raise, 1);
    assert_eq!((decoded.errors.len(), f64s(&decoded.out[..8]), decoded.out[8]), (0, vec![1.5], 3));
    assert!(error(&laid, twice.clone().text("x", "n/a")).contains("field \"x\": expected float64, found string \"n/a\""));
    // What is no BSON is an error wherever it is.
    assert!(error(&laid, Doc::default().raw(2, "x", &[0; 4]).f64("x", 1.5)).contains("field \"x\""));
    let gone = Doc::default().f64("x", 1.5).doc("d", inner(Doc::default())).null("d");
    assert_eq!(rows(&laid, &gone.bytes(), OnError::Raise, 1).mask, [1]);
}
