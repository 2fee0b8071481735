//! Code objects read into version-neutral instructions.
//!
//! Pure memory reads: no Python code runs, nothing is allocated on Python's side, no exception is set.

use crate::capi::Obj;
use crate::feedback::{self, Feedback};
use crate::layout::{self, Layout, read};
use crate::objects::{bytes_slice, str_text, tuple_slice};
use crate::opcodes::{Entry, Opcode};

/// One instruction.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Instr {
    /// First unit, prefixes included: where a jump lands and where the interpreter must resume to run it whole.
    pub unit: u32,
    /// Unit of the opcode itself: what the instruction pointer must show while it runs.
    pub op_unit: u32,
    /// Unit after its inline caches.
    pub next: u32,
    /// What it does.
    pub op: Opcode,
    /// Its argument, normalised (see [`Opcode`]).
    pub arg: u32,
    /// Where it may jump.
    pub target: Option<u32>,
    /// Constant index of the keyword names of a CALL (3.12).
    pub kwnames: Option<u32>,
    /// Source line; 0 where there is none.
    pub line: u32,
    /// What its specialisation says.
    pub feedback: Feedback,
    /// See [`Opcode`].
    pub flag: bool,
    /// See [`Opcode`].
    pub flag2: bool,
    /// 1 for the second half of a pair that shares one unit. The interpreter cannot resume between the halves:
    /// a state there must be the pair's own.
    pub half: u8,
    /// False where the specialiser's counter shows that the instruction never ran.
    pub ran: bool,
}

/// A row of the exception table: units `start..end` go to `target`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handler {
    /// First unit covered.
    pub start: u32,
    /// First unit no more covered.
    pub end: u32,
    /// The handler's unit.
    pub target: u32,
    /// Operand stack depth to cut to.
    pub depth: u32,
    /// Whether the unit that raised is pushed before the exception.
    pub lasti: bool,
}

/// Kinds of locals, bits of `local_kinds`.
pub mod kind {
    /// Hidden (comprehension variables of a class or module).
    pub const HIDDEN: u8 = 0x10;
    /// An argument or local variable.
    pub const LOCAL: u8 = 0x20;
    /// Also or only a cell.
    pub const CELL: u8 = 0x40;
    /// A free variable.
    pub const FREE: u8 = 0x80;
}

/// A code object, read. Object pointers are borrowed from the code object.
#[derive(Clone, Debug)]
pub struct CodeInfo {
    /// The code object.
    pub code: Obj,
    /// `co_name`.
    pub name: String,
    /// `co_qualname`.
    pub qualname: String,
    /// `co_filename`.
    pub filename: String,
    /// First source line.
    pub first_line: u32,
    /// Constants.
    pub consts: Vec<Obj>,
    /// Names (str objects).
    pub names: Vec<Obj>,
    /// Their text.
    pub names_text: Vec<String>,
    /// Names of all locals, cells and free variables.
    pub varnames: Vec<String>,
    /// Their kinds (see [`kind`]).
    pub local_kinds: Vec<u8>,
    /// Locals, arguments included.
    pub nlocals: u32,
    /// Locals, cells and free variables.
    pub nlocalsplus: u32,
    /// Cells.
    pub ncells: u32,
    /// Free variables.
    pub nfree: u32,
    /// Positional arguments.
    pub argcount: u32,
    /// Of which positional-only.
    pub posonly: u32,
    /// Keyword-only arguments.
    pub kwonly: u32,
    /// `CO_*` flags.
    pub flags: u32,
    /// Operand stack size.
    pub stacksize: u32,
    /// Frame size in words.
    pub framesize: u32,
    /// First unit at which a frame counts as complete.
    pub first_traceable: u32,
    /// Number of units.
    pub units: u32,
    /// The instructions, in order.
    pub instrs: Vec<Instr>,
    /// The exception table.
    pub handlers: Vec<Handler>,
    /// Units that jumps and handlers lead to, ascending, each once.
    pub jump_targets: Vec<u32>,
}

impl CodeInfo {
    /// The index of the instruction that starts at a unit (prefix included), or whose opcode is there.
    pub fn index_of(&self, unit: u32) -> Option<usize> {
        let at = self.instrs.partition_point(|i| i.op_unit < unit);
        let found = self.instrs.get(at)?;
        (found.unit <= unit).then_some(at)
    }

    /// The handler in charge of a unit.
    pub fn handler(&self, unit: u32) -> Option<&Handler> {
        self.handlers.iter().find(|h| h.start <= unit && unit < h.end)
    }
}

/// Why a code object could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreadable(pub String);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the interpreter has learnt by now at an instruction that was decoded some time ago.
///
/// # Safety
/// The code object lives; GIL held.
pub unsafe fn feedback_now(info: &CodeInfo, instr: &Instr) -> Feedback {
    let layout = layout::get();
    // SAFETY: as documented.
    let units = unsafe { Units::new(info.code, layout) };
    let hint = match units.entry(instr.op_unit) {
        Entry::Special(op, hint) if op == instr.op => Some(hint),
        _ => None,
    };
    feedback::read(&units, layout.opcodes, instr.op_unit, instr.op, hint)
}

/// The code units of a code object, live.
pub(crate) struct Units {
    code: Obj,
    base: *const u16,
    pub(crate) len: u32,
    layout: &'static Layout,
}

impl Units {
    /// # Safety
    /// A live code object, GIL held while this lives.
    pub(crate) unsafe fn new(code: Obj, layout: &'static Layout) -> Units {
        // SAFETY: a code object carries `ob_size` units at `co_code_adaptive`.
        unsafe {
            let len: isize = read(code, layout.ob_size);
            Units { code, base: code.cast::<u8>().offset(layout.co_code_adaptive as isize).cast(), len: len as u32, layout }
        }
    }

    /// A unit, 0 past the end.
    pub(crate) fn word(&self, unit: u32) -> u16 {
        if unit >= self.len {
            return 0;
        }
        // SAFETY: within the code object; the interpreter may respecialise, but not while we hold the GIL.
        unsafe { self.base.add(unit as usize).read() }
    }

    /// Two units as one number.
    pub(crate) fn word32(&self, unit: u32) -> u32 {
        u32::from(self.word(unit)) | u32::from(self.word(unit + 1)) << 16
    }

    /// Four units as one number.
    pub(crate) fn word64(&self, unit: u32) -> u64 {
        u64::from(self.word32(unit)) | u64::from(self.word32(unit + 2)) << 32
    }

    fn arg(&self, unit: u32) -> u32 {
        u32::from(self.word(unit) >> 8)
    }

    /// The meaning of the opcode at a unit, instrumentation removed.
    fn entry(&self, unit: u32) -> Entry {
        let entries = &self.layout.opcodes.entries;
        let mut entry = entries[usize::from(self.word(unit) & 0xff)];
        if entry == Entry::InstrumentedLine {
            entry = self.original(self.layout.mon_lines, self.layout.mon_line_size, self.layout.mon_line_opcode, unit);
        }
        if entry == Entry::InstrumentedInstruction {
            entry = self.original(self.layout.mon_instruction_opcodes, 1, 0, unit);
        }
        if let Entry::Instrumented(base) = entry {
            entry = entries[usize::from(base)];
        }
        entry
    }

    /// The original opcode from one of the tables of the monitoring data.
    fn original(&self, table: i32, size: i32, at: i32, unit: u32) -> Entry {
        // SAFETY: a code object with instrumented opcodes has monitoring data with one entry a unit.
        unsafe {
            let data: *const u8 = read(self.code, self.layout.co_monitoring);
            if data.is_null() {
                return Entry::Unknown;
            }
            let rows: *const u8 = read(data, table);
            if rows.is_null() {
                return Entry::Unknown;
            }
            let opcode = rows.offset(unit as isize * size as isize + at as isize).read();
            self.layout.opcodes.entries[usize::from(opcode)]
        }
    }
}

/// Reads a code object.
///
/// # Safety
/// A live code object; GIL held; [`crate::check::check`] has succeeded.
pub unsafe fn decode(code: Obj) -> Result<CodeInfo, Unreadable> {
    let l = layout::get();
    // SAFETY: the caller's code object; the layout was checked against the running interpreter.
    unsafe {
        let units = Units::new(code, l);
        let lines = line_table(bytes_slice(read(code, l.co_linetable)), read(code, l.co_firstlineno), units.len);
        let handlers = exception_table(bytes_slice(read(code, l.co_exceptiontable)));
        let instrs = instructions(&units, &lines)?;
        let mut jump_targets: Vec<u32> =
            instrs.iter().filter_map(|i| i.target).chain(handlers.iter().map(|h| h.target)).collect();
        jump_targets.sort_unstable();
        jump_targets.dedup();
        let names = tuple_slice(read(code, l.co_names)).to_vec();
        let text = |offset: i32| str_text(read(code, offset));
        let number = |offset: i32| read::<u32, _>(code, offset);
        Ok(CodeInfo {
            code,
            name: text(l.co_name),
            qualname: text(l.co_qualname),
            filename: text(l.co_filename),
            first_line: number(l.co_firstlineno),
            consts: tuple_slice(read(code, l.co_consts)).to_vec(),
            names_text: names.iter().map(|&n| str_text(n)).collect(),
            names,
            varnames: tuple_slice(read(code, l.co_localsplusnames)).iter().map(|&n| str_text(n)).collect(),
            local_kinds: bytes_slice(read(code, l.co_localspluskinds)).to_vec(),
            nlocals: number(l.co_nlocals),
            nlocalsplus: number(l.co_nlocalsplus),
            ncells: number(l.co_ncellvars),
            nfree: number(l.co_nfreevars),
            argcount: number(l.co_argcount),
            posonly: number(l.co_posonlyargcount),
            kwonly: number(l.co_kwonlyargcount),
            flags: number(l.co_flags),
            stacksize: number(l.co_stacksize),
            framesize: number(l.co_framesize),
            first_traceable: number(l.co_firsttraceable),
            units: units.len,
            instrs,
            handlers,
            jump_targets,
        })
    }
}

/// Reads all instructions.
fn instructions(units: &Units, lines: &[u32]) -> Result<Vec<Instr>, Unreadable> {
    let table = units.layout.opcodes;
    let mut out: Vec<Instr> = Vec::with_capacity(units.len as usize / 2);
    let mut at = 0;
    let mut start = 0;
    let mut prefix = 0u32;
    let mut kwnames = None;
    while at < units.len {
        let arg = prefix << 8 | units.arg(at);
        let entry = units.entry(at);
        let (op, hint) = match entry {
            Entry::ExtendedArg => {
                prefix = arg;
                at += 1;
                continue;
            }
            Entry::KwNames => {
                kwnames = Some(arg);
                prefix = 0;
                at += 1;
                continue;
            }
            Entry::Plain(op) | Entry::Pair(op, _) => (op, None),
            Entry::Special(op, hint) => (op, Some(hint)),
            Entry::FormatSimple | Entry::FormatWithSpec => (Opcode::FormatValue, None),
            Entry::Unknown | Entry::Cache | Entry::Instrumented(_) | Entry::InstrumentedLine | Entry::InstrumentedInstruction => {
                return Err(Unreadable(format!("opcode {} at unit {at} is not known", units.word(at) & 0xff)));
            }
        };
        let caches = u32::from(table.caches[op as usize]);
        let mut instr = Instr {
            unit: start,
            op_unit: at,
            next: at + 1 + caches,
            op,
            arg,
            target: None,
            kwnames: kwnames.take(),
            line: lines.get(at as usize).copied().unwrap_or(0),
            feedback: feedback::read(units, table, at, op, hint),
            flag: false,
            flag2: false,
            half: 0,
            ran: hint.is_some() || feedback::ran(units, table, at, op),
        };
        // A branch that goes this way and that in turn looks as if it had never run: what leads to it knows better.
        if !instr.ran && feedback::is_branch(op) {
            let counted = |i: &&Instr| table.caches[i.op as usize] > 0 && i.op != Opcode::JumpBackward;
            instr.ran = out.iter().rev().take_while(|i| !feedback::is_branch(i.op)).find(counted).is_some_and(|i| i.ran);
        }
        normalise(&mut instr, entry, units.layout);
        out.push(instr);
        if let Entry::Pair(_, second) = entry {
            out.push(Instr { op: second, arg: arg & 15, half: 1, ..instr });
        }
        at = instr.next;
        start = at;
        prefix = 0;
    }
    Ok(out)
}

/// Splits flags off the argument and computes targets.
fn normalise(i: &mut Instr, entry: Entry, layout: &Layout) {
    let table = layout.opcodes;
    let arg = i.arg;
    match i.op {
        Opcode::LoadGlobal | Opcode::LoadAttr => {
            i.flag = arg & 1 != 0;
            i.arg = arg >> 1;
        }
        Opcode::LoadSuperAttr => {
            i.flag = arg & 1 != 0;
            i.flag2 = arg & 2 != 0;
            i.arg = arg >> 2;
        }
        Opcode::CompareOp => {
            i.flag = arg & table.compare_bool != 0;
            i.arg = arg >> table.compare_shift;
        }
        Opcode::BinaryOp => {
            i.flag = arg >= 13;
            i.arg = arg % 13;
        }
        Opcode::IsOp | Opcode::ContainsOp | Opcode::CallFunctionEx => i.flag = arg & 1 != 0,
        Opcode::FormatValue => {
            (i.arg, i.flag) = match entry {
                Entry::FormatSimple => (0, false),
                Entry::FormatWithSpec => (0, true),
                _ => (arg & 3, arg & 4 != 0),
            };
        }
        Opcode::ForIter => i.target = Some(i.next + arg + u32::from(table.for_iter_skip)),
        Opcode::JumpForward
        | Opcode::PopJumpIfFalse
        | Opcode::PopJumpIfNone
        | Opcode::PopJumpIfNotNone
        | Opcode::PopJumpIfTrue
        | Opcode::Send => i.target = Some(i.next + arg),
        Opcode::JumpBackward | Opcode::JumpBackwardNoInterrupt => i.target = i.next.checked_sub(arg),
        _ => {}
    }
    if let Entry::Pair(..) = entry {
        i.arg = arg >> 4;
    }
}

/// The source line of each unit (0: none), from CPython's location table.
fn line_table(bytes: &[u8], first: i32, units: u32) -> Vec<u32> {
    let mut lines = Vec::with_capacity(units as usize);
    let mut line = first;
    let mut at = 0;
    while at < bytes.len() {
        let head = bytes[at];
        let length = usize::from(head & 7) + 1;
        let kind = head >> 3 & 15;
        at += 1;
        let body = at;
        while at < bytes.len() && bytes[at] & 0x80 == 0 {
            at += 1;
        }
        line += match kind {
            10..=12 => i32::from(kind) - 10,
            13 | 14 => signed_varint(&bytes[body..at]),
            _ => 0,
        };
        let shown = if kind == 15 { 0 } else { line.max(0) as u32 };
        lines.extend(std::iter::repeat_n(shown, length));
    }
    lines
}

/// A little-endian varint of 6-bit groups, sign in the low bit.
fn signed_varint(bytes: &[u8]) -> i32 {
    let mut value = 0u32;
    for (i, b) in bytes.iter().enumerate() {
        value |= u32::from(b & 63) << (6 * i).min(30);
        if b & 64 == 0 {
            break;
        }
    }
    if value & 1 != 0 { -((value >> 1) as i32) } else { (value >> 1) as i32 }
}

/// CPython's exception table.
pub(crate) fn exception_table(bytes: &[u8]) -> Vec<Handler> {
    let mut out = Vec::new();
    let mut at = 0;
    let number = |at: &mut usize| {
        let mut value = 0u32;
        while let Some(b) = bytes.get(*at) {
            *at += 1;
            value = value << 6 | u32::from(b & 63);
            if b & 64 == 0 {
                break;
            }
        }
        value
    };
    while at < bytes.len() {
        let start = number(&mut at);
        let size = number(&mut at);
        let target = number(&mut at);
        let depth = number(&mut at);
        out.push(Handler { start, end: start + size, target, depth: depth >> 1, lasti: depth & 1 != 0 });
    }
    out
}

/// A code object as text, a line an instruction, for tests and for looking at:
/// `unit op_unit next NAME arg [flags] [-> target] line N [feedback]`.
///
/// # Safety
/// As [`decode`].
pub unsafe fn decode_text(code: Obj) -> String {
    use std::fmt::Write;
    // SAFETY: the caller's duty.
    let info = match unsafe { decode(code) } {
        Ok(info) => info,
        Err(e) => return format!("error: {e}\n"),
    };
    let mut out = String::new();
    for i in &info.instrs {
        let _ = write!(out, "{} {} {} {} {}", i.unit, i.op_unit, i.next, i.op.name(), i.arg);
        let _ = write!(out, " flag={} flag2={} half={}", u8::from(i.flag), u8::from(i.flag2), i.half);
        let _ = write!(out, " ran={}", u8::from(i.ran));
        if let Some(t) = i.target {
            let _ = write!(out, " target={t}");
        }
        if let Some(k) = i.kwnames {
            let _ = write!(out, " kwnames={k}");
        }
        let _ = writeln!(out, " line={} feedback={:?}", i.line, i.feedback);
    }
    for h in &info.handlers {
        let _ = writeln!(out, "handler {} {} {} {} {}", h.start, h.end, h.target, h.depth, u8::from(h.lasti));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exception_table_has_big_endian_groups() {
        // start 70 (two groups), size 2, target 5, depth 3 with lasti.
        let rows = exception_table(&[0x80 | 0x40 | 1, 6, 2, 5, 7]);
        assert_eq!(rows, [Handler { start: 70, end: 72, target: 5, depth: 3, lasti: true }]);
    }

    #[test]
    fn line_table_follows_deltas() {
        // one-line form +1 over 2 units; no location over 1; long svarint -1 over 1.
        let bytes = [0x80 | 11 << 3 | 1, 0, 0, 0x80 | 15 << 3, 0x80 | 13 << 3, 3];
        assert_eq!(line_table(&bytes, 10, 4), [11, 11, 0, 10]);
    }

    #[test]
    fn varints_carry_the_sign_in_the_low_bit() {
        assert_eq!(signed_varint(&[64 | 1, 1]), -32);
        assert_eq!(signed_varint(&[4]), 2);
    }
}
