//! The text form of functions.
//!
//! ```text
//! func "name"
//! @0 = int "3"
//! s0 = code 0 unit 12 locals [v0, -, v3] stack [v4!, v5] parent s1
//! b0():
//!   v0: obj = entry.local #0
//!   v1: i64 = const.int 5
//!   jump b1(v1)
//! b1(v2: i64) entry s0:
//!   v3: i64 = int.add v2, v1 state s0 !class int
//!   v4: i1 = int.cmp lt v3, v1
//!   branch v4, b1(v3), b2
//! ```
//!
//! The immediate operand comes first: an integer, a double (bits as `f:0x…` where decimal digits would lose
//! any), `@const`, `#index`, `"name"`, or an operator's word. `!` after a stack entry says that compiled code
//! owns the reference. `-` is a local that compiled code never touches.
//!
//! Only what blocks lead to is printed, numbered in order of appearance: text says nothing about arenas.

use std::fmt::{Display, Formatter, Result, Write};

use crate::cfg::Cfg;
use crate::func::{Block, ConstData, Function, Hint, Imm, Inst, State, Value};

/// Numbers of the entities as they are printed.
struct Numbers {
    blocks: Vec<u32>,
    values: Vec<u32>,
    states: Vec<u32>,
    state_order: Vec<State>,
}

const UNNUMBERED: u32 = u32::MAX;

impl Numbers {
    fn new(func: &Function, order: &[Block]) -> Numbers {
        let mut n = Numbers {
            blocks: vec![UNNUMBERED; func.blocks.len()],
            values: vec![UNNUMBERED; func.values.len()],
            states: vec![UNNUMBERED; func.states.len()],
            state_order: Vec::new(),
        };
        let mut next = 0;
        for (i, b) in order.iter().enumerate() {
            n.blocks[b.index()] = i as u32;
            let data = &func.blocks[b.index()];
            let results = data.insts.iter().filter_map(|i| func.inst(*i).result);
            for v in data.params.iter().copied().chain(results) {
                n.values[v.index()] = next;
                next += 1;
            }
            if let Some(s) = data.entry_state {
                n.add_state(func, s);
            }
            for s in data.insts.iter().filter_map(|i| func.inst(*i).state) {
                n.add_state(func, s);
            }
        }
        n
    }

    fn add_state(&mut self, func: &Function, s: State) {
        if self.states[s.index()] != UNNUMBERED {
            return;
        }
        if let Some(p) = func.states[s.index()].parent {
            self.add_state(func, p);
        }
        self.states[s.index()] = self.state_order.len() as u32;
        self.state_order.push(s);
    }

    fn value(&self, v: Value) -> Numbered {
        Numbered('v', self.values[v.index()], v.0)
    }
    fn state(&self, s: State) -> Numbered {
        Numbered('s', self.states[s.index()], s.0)
    }
    fn block(&self, b: Block) -> Numbered {
        Numbered('b', self.blocks[b.index()], b.0)
    }
}

/// A letter and a number. Something that is used but defined nowhere prints as `v?7`: the text of a broken
/// function must still be readable.
struct Numbered(char, u32, u32);

impl Display for Numbered {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.1 == UNNUMBERED { write!(f, "{}?{}", self.0, self.2) } else { write!(f, "{}{}", self.0, self.1) }
    }
}

impl Display for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let cfg = Cfg::new(self);
        let mut order: Vec<Block> = cfg.rpo().to_vec();
        order.sort();
        let n = Numbers::new(self, &order);
        writeln!(f, "func {:?}", self.name)?;
        for (i, c) in self.consts.iter().enumerate() {
            write_const(f, i, c)?;
        }
        for &s in &n.state_order {
            write_state(f, self, &n, s)?;
        }
        for &b in &order {
            write_block(f, self, &n, b)?;
        }
        Ok(())
    }
}

/// The text of one instruction, numbered as in the arenas (not as in the function's text).
pub fn inst_text(func: &Function, inst: Inst) -> String {
    let identity = |n: usize| (0..n as u32).collect::<Vec<_>>();
    let n = Numbers {
        blocks: identity(func.blocks.len()),
        values: identity(func.values.len()),
        states: identity(func.states.len()),
        state_order: Vec::new(),
    };
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write_inst(&mut out, func, &n, inst);
    out
}

fn write_const(f: &mut Formatter<'_>, i: usize, c: &ConstData) -> Result {
    write!(f, "@{i} = {} {:?}", c.class.map_or("obj", |c| c.text()), c.text)?;
    if c.address != 0 {
        write!(f, " at {:#x}", c.address)?;
    }
    writeln!(f)
}

fn write_state(f: &mut Formatter<'_>, func: &Function, n: &Numbers, s: State) -> Result {
    let data = &func.states[s.index()];
    write!(f, "{} = code {} unit {} locals [", n.state(s), data.code, data.unit)?;
    for (i, v) in data.locals.iter().enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        match v {
            Some(v) if data.owned.contains(&(i as u32)) => write!(f, "{comma}{}!", n.value(*v))?,
            Some(v) => write!(f, "{comma}{}", n.value(*v))?,
            None => write!(f, "{comma}-")?,
        }
    }
    f.write_str("] stack [")?;
    for (i, e) in data.stack.iter().enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        write!(f, "{comma}{}{}", n.value(e.value), if e.owned { "!" } else { "" })?;
    }
    f.write_str("]")?;
    if let Some(p) = data.parent {
        write!(f, " parent {}", n.state(p))?;
    }
    writeln!(f)
}

fn write_block(f: &mut Formatter<'_>, func: &Function, n: &Numbers, b: Block) -> Result {
    let data = &func.blocks[b.index()];
    write!(f, "{}(", n.block(b))?;
    for (i, p) in data.params.iter().enumerate() {
        write!(f, "{}{}: {}", if i > 0 { ", " } else { "" }, n.value(*p), func.ty(*p))?;
    }
    f.write_str(")")?;
    if let Some(s) = data.entry_state {
        write!(f, " entry {}", n.state(s))?;
    }
    f.write_str(":\n")?;
    for &i in &data.insts {
        f.write_str("  ")?;
        write_inst(f, func, n, i)?;
        f.write_str("\n")?;
    }
    Ok(())
}

fn write_inst(f: &mut dyn Write, func: &Function, n: &Numbers, i: Inst) -> Result {
    let data = func.inst(i);
    if let Some(r) = data.result {
        write!(f, "{}: {} = ", n.value(r), func.ty(r))?;
    }
    write!(f, "{}", data.op)?;
    match data.imm {
        Imm::None => {}
        Imm::Int(v) => write!(f, " {v}")?,
        Imm::Float(bits) => write!(f, " {}", float_text(bits))?,
        Imm::Const(c) => write!(f, " @{}", c.0)?,
        Imm::Index(v) => write!(f, " #{v}")?,
        Imm::Name(name) => write!(f, " {:?}", func.names[name.index()])?,
        Imm::Bin(o) => write!(f, " {o}")?,
        Imm::Un(o) => write!(f, " {o}")?,
        Imm::Cmp(o) => write!(f, " {o}")?,
    }
    let mut sep = " ";
    for a in &data.args {
        write!(f, "{sep}{}", n.value(*a))?;
        sep = ", ";
    }
    for t in &data.targets {
        write!(f, "{sep}{}", n.block(t.block))?;
        sep = ", ";
        if !t.args.is_empty() {
            let args: Vec<String> = t.args.iter().map(|a| n.value(*a).to_string()).collect();
            write!(f, "({})", args.join(", "))?;
        }
    }
    if let Some(s) = data.state {
        write!(f, " state {}", n.state(s))?;
    }
    match data.hint {
        Hint::None => Ok(()),
        Hint::Class(c) => write!(f, " !class {c}"),
        Hint::Classes(a, b) => write!(f, " !classes {a} {b}"),
        Hint::Field(v, i) => write!(f, " !field {v} {i}"),
        Hint::Slot(v, i) => write!(f, " !slot {v} {i}"),
        Hint::Method(v, c) => write!(f, " !method {v} @{}", c.0),
        Hint::Numbers => write!(f, " !numbers"),
        Hint::Mixed => write!(f, " !mixed"),
        Hint::Generic => write!(f, " !generic"),
        Hint::Leave => write!(f, " !leave"),
    }
}

/// A double's text: shortest decimal digits that read back as the same bits, else the bits.
fn float_text(bits: u64) -> String {
    let v = f64::from_bits(bits);
    if v.is_finite() { format!("{v:?}") } else { format!("f:{bits:#x}") }
}
