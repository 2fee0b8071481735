//! Code memory, thunks, object files, and errors.

use crate::support::World;
use object::{Object, ObjectSymbol};
use stoop_codegen::Error;
use stoop_codegen::memory::{Arena, MemoryError};

/// mov eax, i; ret
fn returns(i: u8) -> [u8; 6] {
    [0xb8, i, 0, 0, 0, 0xc3]
}

fn call(address: u64) -> i32 {
    // SAFETY: the tests place code of this signature there.
    let f: extern "C" fn() -> i32 = unsafe { std::mem::transmute(address) };
    f()
}

#[test]
fn units_share_pages_and_keep_running_while_others_come_and_go() {
    for arena in [Arena::new(1 << 20), Arena::with_own_pages(1 << 20)] {
        let codes: Vec<_> = (0..100).map(|i| arena.place(&returns(i)).expect("room")).collect();
        for (i, c) in codes.iter().enumerate() {
            assert_eq!(call(c.address()), i as i32);
        }
        let used = arena.used();
        let kept: Vec<_> = codes.into_iter().step_by(3).collect();
        assert!(arena.used() < used);
        let again: Vec<_> = (100..160).map(|i| arena.place(&returns(i)).expect("room")).collect();
        for (i, c) in kept.iter().enumerate() {
            assert_eq!(call(c.address()), 3 * i as i32);
        }
        for (i, c) in again.iter().enumerate() {
            assert_eq!(call(c.address()), 100 + i as i32);
        }
        drop((kept, again));
        assert_eq!(arena.used(), 0);
    }
}

#[test]
fn freed_ranges_join() {
    let arena = Arena::new(1 << 20);
    let whole = arena.place(&[0x90; 200_000]).expect("room").address();
    let parts: Vec<_> = (0..6000).map(|_| arena.place(&returns(1)).expect("room")).collect();
    assert_eq!(parts[0].address(), whole);
    drop(parts);
    assert_eq!(arena.place(&[0x90; 200_000]).expect("room").address(), whole);
    assert_eq!(arena.mapped(), 256 * 1024);
}

#[test]
fn the_budget_is_kept_and_named() {
    let arena = Arena::new(4096);
    let first = arena.place(&[0x90; 4000]).expect("room");
    let error = arena.place(&[0x90; 4000]).expect_err("no room");
    assert!(matches!(error, MemoryError::Budget { .. }));
    assert_eq!(error.to_string(), "4000 more bytes of machine code exceed the budget: 4000 of 4096 are in use");
    drop(first);
    arena.place(&[0x90; 4000]).expect("room again");
}

#[test]
fn code_is_never_writable() {
    let arena = Arena::new(1 << 20);
    let code = arena.place(&returns(7)).expect("room");
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    let line = maps.lines().find(|l| {
        let (from, to) = l.split(' ').next().and_then(|r| r.split_once('-')).expect("a range");
        let at = |s| u64::from_str_radix(s, 16).expect("hex");
        (at(from)..at(to)).contains(&code.address())
    });
    assert!(line.expect("mapped").contains("r-xp"), "{line:?}");
}

#[test]
fn a_forked_child_has_code_of_its_own() {
    let arena = Arena::new(1 << 20);
    let first = arena.place(&returns(1)).expect("room");
    // SAFETY: the child only runs code that needs no lock another thread may hold, and leaves at once.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let second = arena.place(&returns(2));
        let ok = second.is_ok_and(|s| call(s.address()) == 2) && call(first.address()) == 1;
        // SAFETY: as above.
        unsafe { libc::_exit(i32::from(!ok)) };
    }
    let third = arena.place(&returns(3)).expect("room");
    let mut status = -1;
    // SAFETY: the child is ours.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!((status, call(first.address()), call(third.address())), (0, 1, 3));
}

extern "C" fn fifth(a: u64, b: u64, c: u64, d: u64, record: u64) -> u64 {
    assert_eq!((a, b, c, d), (1, 2, 3, 4));
    record
}

#[test]
fn a_thunk_passes_its_record_after_four_arguments() {
    let bytes = stoop_codegen::thunk::thunk(0x1234_5678_9abc_def0, fifth as *const () as u64).expect("this machine");
    let code = Arena::new(1 << 16).place(&bytes).expect("room");
    // SAFETY: a thunk keeps the target's signature but for the last parameter.
    let f: extern "C" fn(u64, u64, u64, u64) -> u64 = unsafe { std::mem::transmute(code.address()) };
    assert_eq!(f(1, 2, 3, 4), 0x1234_5678_9abc_def0);
}

#[test]
fn object_files_name_the_function() {
    let file = stoop_codegen::object::object_file("stoop::f", &returns(1)).expect("an object file");
    let read = object::File::parse(&*file).expect("an ELF file");
    let symbol = read.symbols().find(|s| s.name() == Ok("stoop::f")).expect("the symbol");
    assert_eq!(symbol.size(), 6);
}

#[test]
fn broken_ir_is_an_error_not_a_panic() {
    for (text, part) in [
        ("b0():\nv0: obj = entry.local #0", "terminator"),
        ("b0():\njump b1()\nb1():\nreturn v0\nb2():\nv0: obj = entry.local #0\nreturn v0", "before its definition"),
        ("b0():\nv0: obj = entry.local #0\njump b1()\nb1(v1: obj):\nreturn v1", "block arguments"),
        ("b0():\nv0: i64 = const.int 1\njump b1(v0)\nb1(v1: obj):\nreturn v1", "passes i64 where obj"),
        ("b0():\nv0: obj = entry.local #0\nincref v0, v0\nreturn v0", "operands"),
        ("b0():\nv0: i64 = const.int 1\nincref v0\nv1: int = box.int v0\nreturn v1", "unboxed"),
        ("b0():\nv0: obj = entry.local #0\nv1: obj = py.getiter v0\nreturn v1", "frame state"),
    ] {
        let func = stoop_ir::parse::parse(&format!("func \"t\"\n{text}")).expect("text");
        match World::new().compile(&func) {
            Err(Error::Malformed(m)) => assert!(m.contains(part), "{m:?} lacks {part:?}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}
