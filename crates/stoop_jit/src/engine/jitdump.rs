//! jitdump: a file by which the profiler `perf` learns the names, bytes and source lines of compiled code.
//!
//! `perf record -k mono` sees the file because a page of it is mapped executable; `perf inject --jit` then merges it
//! with what was recorded. Unlike a perf map it tells code apart that was placed where other code had been before.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Mutex;

const MAGIC: u32 = 0x4A69_5444;
const VERSION: u32 = 1;
const HEADER_SIZE: u32 = 40;
const ELF_MACHINE_X86_64: u32 = 62;

/// Kinds of records.
const CODE_LOAD: u32 = 0;
const CODE_DEBUG_INFO: u32 = 2;

/// A process's file.
struct Dump {
    file: File,
    /// Forked children write files of their own.
    pid: u32,
    pieces: u64,
}

static DUMP: Mutex<Option<Dump>> = Mutex::new(None);

/// A piece of code.
pub struct Piece<'a> {
    /// Where it is.
    pub address: u64,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Its name.
    pub name: &'a str,
    /// Its source file.
    pub filename: &'a str,
    /// Offsets into it and the source lines that begin there, ascending.
    pub lines: &'a [(u32, u32)],
}

/// Adds a piece of code to the file in a directory. A file that cannot be written is done without.
pub fn add(directory: &str, piece: &Piece<'_>) {
    let mut dump = DUMP.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let pid = std::process::id();
    if dump.as_ref().is_none_or(|d| d.pid != pid) {
        *dump = open(directory, pid);
    }
    let Some(d) = dump.as_mut() else { return };
    // One write: a file cut short by the process's end still ends with a whole record.
    let _ = d.file.write_all(&records(piece, pid, d.pieces));
    d.pieces += 1;
}

fn open(directory: &str, pid: u32) -> Option<Dump> {
    let path = Path::new(directory).join(format!("jit-{pid}.dump"));
    let mut file = File::options().create(true).truncate(true).read(true).write(true).open(path).ok()?;
    let mut header = Vec::new();
    for word in [MAGIC, VERSION, HEADER_SIZE, ELF_MACHINE_X86_64, 0, pid] {
        header.extend(word.to_le_bytes());
    }
    header.extend(now().to_le_bytes());
    header.extend(0u64.to_le_bytes());
    file.write_all(&header).ok()?;
    // SAFETY: a fresh private mapping of the file, which nobody reads or writes: perf only sees that it is made.
    unsafe {
        let length = libc::sysconf(libc::_SC_PAGESIZE) as usize;
        let kind = libc::PROT_READ | libc::PROT_EXEC;
        libc::mmap(std::ptr::null_mut(), length, kind, libc::MAP_PRIVATE, file.as_raw_fd(), 0);
    }
    Some(Dump { file, pid, pieces: 0 })
}

/// Nanoseconds of the clock that `perf record -k mono` uses.
fn now() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the struct is the call's to fill.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// The lines of a piece, then the piece.
fn records(piece: &Piece<'_>, pid: u32, index: u64) -> Vec<u8> {
    let mut out = Vec::new();
    if !piece.lines.is_empty() {
        let mut body = Vec::new();
        body.extend(piece.address.to_le_bytes());
        body.extend((piece.lines.len() as u64).to_le_bytes());
        for (offset, line) in piece.lines {
            body.extend((piece.address + u64::from(*offset)).to_le_bytes());
            body.extend(line.to_le_bytes());
            body.extend(0u32.to_le_bytes());
            text(&mut body, piece.filename);
        }
        record(&mut out, CODE_DEBUG_INFO, &body);
    }
    // SAFETY: asks for the calling thread's number.
    let thread = unsafe { libc::gettid() } as u32;
    let mut body = Vec::new();
    body.extend(pid.to_le_bytes());
    body.extend(thread.to_le_bytes());
    for word in [piece.address, piece.address, piece.bytes.len() as u64, index] {
        body.extend(word.to_le_bytes());
    }
    text(&mut body, piece.name);
    body.extend(piece.bytes);
    record(&mut out, CODE_LOAD, &body);
    out
}

fn record(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    const PREFIX: u32 = 16;
    out.extend(kind.to_le_bytes());
    out.extend((PREFIX + body.len() as u32).to_le_bytes());
    out.extend(now().to_le_bytes());
    out.extend(body);
}

/// A text without NULs, ended by one.
fn text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().filter(|b| *b != 0));
    out.push(0);
}
