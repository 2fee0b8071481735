//! Documents made and damaged by chance: see [`support::exercise`] for what must hold.

mod support;

use std::time::{Duration, Instant};

use stoop_bson::batch::{Index, OnError};
use support::{Random, document, exercise, lay, rows, schemas, sparse};

fn buffer(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    if random.one_in(4) {
        let odd = [0, 10, 100][random.below(3)];
        for _ in 0..random.below(900) {
            bytes.extend(sparse(random, odd));
        }
        return bytes;
    }
    let base = document(random);
    // Now and then so many different ones that templates give way to the cache of fields.
    let alike = !random.one_in(8);
    for _ in 0..random.below(if alike { 120 } else { 900 }) {
        if alike && random.one_in(2) { bytes.extend(&base) } else { bytes.extend(document(random)) }
    }
    bytes
}

/// Changes bytes in the ways that hurt parsers.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    const LENGTHS: [i32; 9] = [0, 1, 4, 5, -1, i32::MAX, i32::MIN, 127, 65536];
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(7) {
            0 => bytes[at] = random.next() as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = 0,
            3 if at + 4 <= bytes.len() => {
                bytes[at..at + 4].copy_from_slice(&LENGTHS[random.below(LENGTHS.len())].to_le_bytes());
            }
            4 => bytes.truncate(at),
            5 => {
                let piece = bytes[at..(at + random.below(40)).min(bytes.len())].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            // A type for another type of the same size, or nearly so.
            _ => bytes[at] = [1, 2, 3, 4, 5, 7, 8, 9, 10, 0x10, 0x12, 0x13, 0xFF][random.below(13)],
        }
    }
}

#[test]
fn good_documents_decode_alike_in_bulk_and_alone() {
    let mut random = Random(11);
    for round in 0..120 {
        exercise(&buffer(&mut random), round);
    }
}

#[test]
fn damaged_documents_are_errors_and_nothing_worse() {
    let mut random = Random(12);
    // A longer run is a matter of setting this: FUZZ_SECONDS=3600 cargo test --release -p stoop_bson --test chance
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut round = 0;
    while round < 400 || Instant::now() < end {
        let mut bytes = buffer(&mut random);
        damage(&mut bytes, &mut random);
        exercise(&bytes, round);
        round += 1;
    }
    println!("{round} buffers");
}

#[test]
fn counting_on_threads_is_counting() {
    let mut random = Random(13);
    for round in 0..300 {
        let mut bytes = buffer(&mut random);
        if round % 2 == 0 {
            damage(&mut bytes, &mut random);
        }
        let alone = Index::of(&bytes);
        for threads in [2, 3, 7] {
            let together = Index::on_threads(&bytes, threads);
            assert_eq!(
                (together.documents, together.consumed, &together.broken),
                (alone.documents, alone.consumed, &alone.broken)
            );
        }
    }
}

#[test]
fn several_threads_agree_with_one() {
    let mut random = Random(14);
    let laid: Vec<_> = schemas().into_iter().filter(|(_, in_rows)| *in_rows).map(|(fields, _)| lay(fields)).collect();
    for round in 0..24 {
        // Large enough to be cut, and of one size now and then.
        let mut bytes = Vec::new();
        while bytes.len() < 1_300_000 {
            let some = if round % 4 == 0 { document(&mut random) } else { buffer(&mut random) };
            bytes.extend(if round % 4 == 0 { some.repeat(1_300_000 / some.len()) } else { some });
        }
        for _ in 0..random.below(3) {
            damage(&mut bytes, &mut random);
        }
        let laid = &laid[round % laid.len()];
        for on_error in [OnError::Raise, OnError::Skip, OnError::Collect] {
            let alone = rows(laid, &bytes, on_error, 1);
            for threads in [2, 5] {
                assert!(rows(laid, &bytes, on_error, threads) == alone, "round {round}, {threads} threads, {on_error:?}");
            }
        }
    }
}
