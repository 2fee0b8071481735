//! How wide a program is: whether its time goes to a few functions, or a little to each of very many.
//!
//! Looks that find code which no look had found before tell how likely the next one is to do so (Good and Turing's
//! estimate), and with it how much of the program's time goes to code that is rarely seen. In programs as wide as test
//! suites, documentation tools and command lines hardly any function is worth its price, and one that was seen twice was
//! mostly seen so by chance. Looks are counted in spans, so that what a program is like now counts and not how it began.

use std::sync::atomic::{AtomicU32, Ordering};

/// Looks in a span.
const SPAN: u32 = 150;
/// Looks before which a span says nothing: in the beginning all is new.
const FEW: u32 = 60;
/// A program is wide where at least one look in so many finds what only that look has found.
const WIDE: u32 = 4;
/// Code is a large part of a program if one look in so many finds it, and this many did.
const LARGE: u32 = 24;
const LARGE_SIGHTINGS: u32 = 3;

static SPANS: AtomicU32 = AtomicU32::new(0);
static LOOKS: AtomicU32 = AtomicU32::new(0);
static ONCE: AtomicU32 = AtomicU32::new(0);
/// What the last whole span has told: looks, and those whose code was seen once; 0 before there was one.
static LAST: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];

/// How often a code object was found running in the span under way.
#[derive(Clone, Copy, Default, Debug)]
pub struct Sightings {
    span: u32,
    count: u32,
}

/// Starts to count.
pub fn start() {
    SPANS.fetch_add(1, Ordering::Relaxed);
    for count in [&LOOKS, &ONCE, &LAST[0], &LAST[1]] {
        count.store(0, Ordering::Relaxed);
    }
}

/// Code was found running. The GIL is held.
pub fn saw(seen: &mut Sightings) {
    if LOOKS.load(Ordering::Relaxed) == SPAN {
        LAST[0].store(SPAN, Ordering::Relaxed);
        LAST[1].store(ONCE.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        LOOKS.store(0, Ordering::Relaxed);
        SPANS.fetch_add(1, Ordering::Relaxed);
    }
    let span = SPANS.load(Ordering::Relaxed);
    if seen.span != span {
        *seen = Sightings { span, count: 0 };
    }
    seen.count += 1;
    LOOKS.fetch_add(1, Ordering::Relaxed);
    match seen.count {
        1 => ONCE.fetch_add(1, Ordering::Relaxed),
        2 => ONCE.fetch_sub(1, Ordering::Relaxed),
        _ => 0,
    };
}

/// Whether the program is known not to be wide.
pub fn is_narrow() -> bool {
    let now = [&LOOKS, &ONCE].map(|n| n.load(Ordering::Relaxed));
    let [looks, once] = if now[0] >= FEW { now } else { LAST.each_ref().map(|n| n.load(Ordering::Relaxed)) };
    once * WIDE < looks
}

/// Whether code that was found so often is a large part of what the program does now.
pub fn is_large(seen: &Sightings) -> bool {
    let now = seen.span == SPANS.load(Ordering::Relaxed);
    now && seen.count >= LARGE_SIGHTINGS && seen.count * LARGE >= LOOKS.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_is_what_is_seen_once() {
        start();
        let mut few = [Sightings::default(); 8];
        for k in 0..1000 {
            assert_eq!(is_narrow(), k >= FEW as usize, "{k}");
            saw(&mut few[k % 8]);
        }
        // A third of the looks finds something new: that shows within a span.
        let mut many = vec![Sightings::default(); 200];
        for k in 0..600 {
            saw(if k % 3 == 0 { &mut many[k / 3] } else { &mut few[k % 8] });
        }
        assert!(!is_narrow());
        assert!(is_large(&few[1]) && !is_large(&many[199]));
        // And it is over as soon.
        for k in 0..2 * SPAN as usize {
            saw(&mut few[k % 8]);
        }
        assert!(is_narrow());
    }
}
