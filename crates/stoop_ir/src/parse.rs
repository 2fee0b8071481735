//! Reads the text form that [`crate::print`] describes.
//!
//! Numbers in the text only have to be distinct: entities are numbered anew in order of appearance.
//! `;` starts a comment. State lines may stand anywhere. `b0()`'s parentheses may be left out.

use std::collections::HashMap;

use crate::func::{
    Block, BlockData, Const, ConstData, Def, FrameState, Function, Hint, Imm, Inst, InstData, StackEntry, State, Target, Value,
    ValueData,
};
use crate::ops::{BinOp, CmpOp, Op, UnOp};
use crate::types::{Class, Type};

/// Why a text is no function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ParseError {}

type Parsed<T> = Result<T, String>;

/// A token: a word (anything without blanks or punctuation), a string, or one punctuation mark.
#[derive(Clone, PartialEq, Debug)]
enum Token {
    Word(String),
    Text(String),
    Mark(char),
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Token::Word(w) => write!(f, "`{w}`"),
            Token::Text(t) => write!(f, "{t:?}"),
            Token::Mark(c) => write!(f, "`{c}`"),
        }
    }
}

/// The tokens of one line, read from the front.
struct Line {
    number: usize,
    tokens: Vec<Token>,
    at: usize,
}

impl Line {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }
    fn next(&mut self) -> Option<Token> {
        let t = self.tokens.get(self.at).cloned();
        self.at += 1;
        t
    }
    fn mark(&mut self, c: char) -> bool {
        let found = self.peek() == Some(&Token::Mark(c));
        self.at += usize::from(found);
        found
    }
    fn expect(&mut self, c: char) -> Parsed<()> {
        if self.mark(c) { Ok(()) } else { Err(format!("expected `{c}`, found {}", self.found())) }
    }
    fn keyword(&mut self, w: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(x)) if x == w);
        self.at += usize::from(found);
        found
    }
    fn found(&self) -> String {
        self.peek().map_or_else(|| "the end of the line".to_owned(), Token::to_string)
    }
    fn word(&mut self, what: &str) -> Parsed<String> {
        match self.peek() {
            Some(Token::Word(w)) => {
                let w = w.clone();
                self.at += 1;
                Ok(w)
            }
            _ => Err(format!("expected {what}, found {}", self.found())),
        }
    }
    fn text(&mut self, what: &str) -> Parsed<String> {
        match self.peek() {
            Some(Token::Text(w)) => {
                let w = w.clone();
                self.at += 1;
                Ok(w)
            }
            _ => Err(format!("expected {what} in quotes, found {}", self.found())),
        }
    }
    fn number(&mut self, what: &str) -> Parsed<u32> {
        let w = self.word(what)?;
        w.parse().map_err(|_| format!("expected {what}, found `{w}`"))
    }
    /// A word made of a letter and a number.
    fn entity(&mut self, letter: char, what: &str) -> Parsed<u32> {
        let w = self.word(what)?;
        numbered(&w, letter).ok_or_else(|| format!("expected {what}, found `{w}`"))
    }
    fn end(&self) -> Parsed<()> {
        if self.peek().is_none() { Ok(()) } else { Err(format!("unexpected {}", self.found())) }
    }
}

fn numbered(word: &str, letter: char) -> Option<u32> {
    word.strip_prefix(letter)?.parse().ok()
}

fn tokens(line: &str) -> Parsed<Vec<Token>> {
    let mut out = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(&c) = chars.peek() {
        match c {
            ';' => break,
            _ if c.is_whitespace() => {
                chars.next();
            }
            '"' => {
                chars.next();
                out.push(Token::Text(quoted(&mut chars)?));
            }
            '(' | ')' | '[' | ']' | ',' | '=' | '!' | '#' | '@' => {
                chars.next();
                out.push(Token::Mark(c));
            }
            ':' => {
                chars.next();
                out.push(Token::Mark(c));
            }
            _ => {
                let mut w = String::new();
                while let Some(&c) = chars.peek() {
                    // A colon inside a word (`heap:12`, `f:0x7ff8`) belongs to it; at its end it does not.
                    let ends = match c {
                        ':' => {
                            let mut ahead = chars.clone();
                            ahead.next();
                            !(w == "heap" || w == "f") || !ahead.peek().is_some_and(char::is_ascii_alphanumeric)
                        }
                        _ => c.is_whitespace() || "()[],=!#@;\"".contains(c),
                    };
                    if ends {
                        break;
                    }
                    w.push(c);
                    chars.next();
                }
                out.push(Token::Word(w));
            }
        }
    }
    Ok(out)
}

/// The rest of a string after its opening quote, with Rust's escapes.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Parsed<String> {
    let mut out = String::new();
    loop {
        match chars.next().ok_or("a string does not end")? {
            '"' => return Ok(out),
            '\\' => out.push(match chars.next().ok_or("a string does not end")? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                '0' => '\0',
                'u' => {
                    let digits: String = chars.by_ref().skip_while(|c| *c == '{').take_while(|c| *c != '}').collect();
                    u32::from_str_radix(&digits, 16)
                        .ok()
                        .and_then(char::from_u32)
                        .ok_or_else(|| format!("bad character number {digits:?}"))?
                }
                c @ ('\\' | '"' | '\'') => c,
                c => return Err(format!("unknown escape `\\{c}`")),
            }),
            c => out.push(c),
        }
    }
}

/// What a line begins with.
enum Kind {
    Func,
    Const,
    State,
    Block,
    Inst,
}

fn kind(line: &Line) -> Parsed<Kind> {
    let second = line.tokens.get(1);
    Ok(match line.peek() {
        Some(Token::Word(w)) if w == "func" => Kind::Func,
        Some(Token::Mark('@')) => Kind::Const,
        Some(Token::Word(w)) if numbered(w, 's').is_some() && second == Some(&Token::Mark('=')) => Kind::State,
        Some(Token::Word(w)) if numbered(w, 'b').is_some() => Kind::Block,
        Some(Token::Word(_)) => Kind::Inst,
        _ => return Err(format!("a line can't begin with {}", line.found())),
    })
}

#[derive(Default)]
struct Parser {
    func: Function,
    values: HashMap<u32, Value>,
    blocks: HashMap<u32, Block>,
    states: HashMap<u32, State>,
    at: Option<Block>,
    next_inst: u32,
}

/// Reads one function.
pub fn parse(text: &str) -> Result<Function, ParseError> {
    let mut lines = Vec::new();
    for (i, l) in text.lines().enumerate() {
        let tokens = tokens(l).map_err(|message| ParseError { line: i + 1, message })?;
        if !tokens.is_empty() {
            lines.push(Line { number: i + 1, tokens, at: 0 });
        }
    }
    let mut p = Parser::default();
    // Uses may come before definitions (loops, state lines), so names are collected first.
    for line in &mut lines {
        p.declare(line).map_err(|message| ParseError { line: line.number, message })?;
        line.at = 0;
    }
    for line in &mut lines {
        p.read(line).and_then(|()| line.end()).map_err(|message| ParseError { line: line.number, message })?;
    }
    if p.func.blocks.is_empty() {
        return Err(ParseError { line: text.lines().count().max(1), message: "the function has no block".to_owned() });
    }
    Ok(p.func)
}

impl Parser {
    /// Makes the entities that a line defines.
    fn declare(&mut self, line: &mut Line) -> Parsed<()> {
        match kind(line)? {
            Kind::Func | Kind::Const => {}
            Kind::State => {
                let n = line.entity('s', "a state")?;
                let s = self.func.add_state(FrameState {
                    code: 0,
                    unit: 0,
                    locals: Vec::new(),
                    owned: Vec::new(),
                    stack: Vec::new(),
                    parent: None,
                });
                if self.states.insert(n, s).is_some() {
                    return Err(format!("s{n} is defined twice"));
                }
            }
            Kind::Block => {
                let n = line.entity('b', "a block")?;
                let b = Block(self.func.blocks.len() as u32);
                self.func.blocks.push(BlockData::default());
                if self.blocks.insert(n, b).is_some() {
                    return Err(format!("b{n} is defined twice"));
                }
                if line.mark('(') && !line.mark(')') {
                    loop {
                        let n = line.entity('v', "a parameter")?;
                        let v = self.declare_value(line, n, Def::Param(b))?;
                        self.func.blocks[b.index()].params.push(v);
                        if !line.mark(',') {
                            break;
                        }
                    }
                    line.expect(')')?;
                }
                self.at = Some(b);
            }
            Kind::Inst => {
                let b = self.at.ok_or("an instruction before the first block")?;
                let inst = Inst(self.func.insts.len() as u32);
                let mut data = InstData {
                    op: Op::Jump,
                    args: Vec::new(),
                    imm: Imm::None,
                    hint: Hint::None,
                    state: None,
                    asked: None,
                    result: None,
                    targets: Vec::new(),
                };
                if line.tokens.get(1) == Some(&Token::Mark(':')) {
                    let n = line.entity('v', "a value")?;
                    data.result = Some(self.declare_value(line, n, Def::Inst(inst))?);
                }
                self.func.insts.push(data);
                self.func.blocks[b.index()].insts.push(inst);
            }
        }
        Ok(())
    }

    fn declare_value(&mut self, line: &mut Line, n: u32, def: Def) -> Parsed<Value> {
        line.expect(':')?;
        let ty: Type = line.word("a type")?.parse()?;
        let v = Value(self.func.values.len() as u32);
        self.func.values.push(ValueData { ty, def });
        match self.values.insert(n, v) {
            None => Ok(v),
            Some(_) => Err(format!("v{n} is defined twice")),
        }
    }

    /// Fills in the entities that a line defines.
    fn read(&mut self, line: &mut Line) -> Parsed<()> {
        match kind(line)? {
            Kind::Func => {
                line.word("func")?;
                self.func.name = line.text("a name")?;
                self.at = None;
                Ok(())
            }
            Kind::Const => self.read_const(line),
            Kind::State => self.read_state(line),
            Kind::Block => self.read_block(line),
            Kind::Inst => self.read_inst(line),
        }
    }

    fn read_const(&mut self, line: &mut Line) -> Parsed<()> {
        line.expect('@')?;
        let n = line.number("a constant's number")?;
        if n as usize != self.func.consts.len() {
            return Err(format!("constants are numbered in order: expected @{}", self.func.consts.len()));
        }
        line.expect('=')?;
        let word = line.word("a class or `obj`")?;
        let class = match word.as_str() {
            "obj" => None,
            w => Some(Class::from_text(w).ok_or_else(|| format!("unknown class `{w}`"))?),
        };
        let text = line.text("a description")?;
        let mut address = 0;
        if line.keyword("at") {
            let w = line.word("an address")?;
            address = hex(&w)?;
        }
        self.func.consts.push(ConstData { address, text, class });
        Ok(())
    }

    fn read_state(&mut self, line: &mut Line) -> Parsed<()> {
        let s = self.state(line)?;
        line.expect('=')?;
        let field = |line: &mut Line, w: &str| {
            if line.keyword(w) { Ok(()) } else { Err(format!("expected `{w}`, found {}", line.found())) }
        };
        field(line, "code")?;
        let code = line.number("a code number")?;
        field(line, "unit")?;
        let unit = line.number("a code unit")?;
        field(line, "locals")?;
        let mut locals = Vec::new();
        let mut owned = Vec::new();
        list(line, '[', ']', |line| {
            locals.push(if line.keyword("-") { None } else { Some(self.value(line)?) });
            if line.mark('!') {
                owned.push(locals.len() as u32 - 1);
            }
            Ok(())
        })?;
        field(line, "stack")?;
        let mut stack = Vec::new();
        list(line, '[', ']', |line| {
            let value = self.value(line)?;
            stack.push(StackEntry { value, owned: line.mark('!') });
            Ok(())
        })?;
        let parent = if line.keyword("parent") { Some(self.state(line)?) } else { None };
        self.func.states[s.index()] = FrameState { code, unit, locals, owned, stack, parent };
        Ok(())
    }

    fn read_block(&mut self, line: &mut Line) -> Parsed<()> {
        let n = line.entity('b', "a block")?;
        let b = self.blocks[&n];
        if line.mark('(') {
            while !line.mark(')') {
                line.next();
            }
        }
        if line.keyword("entry") {
            let s = self.state(line)?;
            self.func.blocks[b.index()].entry_state = Some(s);
        }
        self.at = Some(b);
        line.expect(':')
    }

    fn read_inst(&mut self, line: &mut Line) -> Parsed<()> {
        // Lines are read in the order in which they were declared.
        let inst = Inst(self.next_inst);
        self.next_inst += 1;
        if self.func.inst(inst).result.is_some() {
            while !line.mark('=') {
                line.next().ok_or("expected `=`")?;
            }
        }
        let name = line.word("an operation")?;
        let op = Op::from_text(&name).ok_or_else(|| format!("unknown operation `{name}`"))?;
        let imm = self.read_imm(line)?;
        let (mut args, mut targets) = (Vec::new(), Vec::new());
        while let Some(Token::Word(w)) = line.peek() {
            if w == "state" {
                break;
            }
            if numbered(w, 'b').is_some() {
                targets.push(self.target(line)?);
            } else {
                args.push(self.value(line)?);
            }
            if !line.mark(',') {
                break;
            }
        }
        let state = if line.keyword("state") { Some(self.state(line)?) } else { None };
        let hint = if line.mark('!') { self.read_hint(line)? } else { Hint::None };
        let data = self.func.inst_mut(inst);
        *data = InstData { op, args, imm, hint, state, asked: None, result: data.result, targets };
        Ok(())
    }

    fn target(&mut self, line: &mut Line) -> Parsed<Target> {
        let n = line.entity('b', "a block")?;
        let block = *self.blocks.get(&n).ok_or_else(|| format!("b{n} is not defined"))?;
        let mut args = Vec::new();
        if line.peek() == Some(&Token::Mark('(')) {
            list(line, '(', ')', |line| {
                args.push(self.value(line)?);
                Ok(())
            })?;
        }
        Ok(Target { block, args })
    }

    fn read_imm(&mut self, line: &mut Line) -> Parsed<Imm> {
        let Some(token) = line.peek() else { return Ok(Imm::None) };
        let imm = match token {
            Token::Text(t) => Imm::Name(self.func.add_name(&t.clone())),
            Token::Mark('@') => return Ok(Imm::Const(self.constant(line)?)),
            Token::Mark('#') => {
                line.next();
                return Ok(Imm::Index(line.number("an index")?));
            }
            Token::Word(w) => match word_imm(w)? {
                Some(imm) => imm,
                None => return Ok(Imm::None),
            },
            Token::Mark(_) => return Ok(Imm::None),
        };
        line.next();
        Ok(imm)
    }

    fn read_hint(&mut self, line: &mut Line) -> Parsed<Hint> {
        let class = |line: &mut Line| {
            let w = line.word("a class")?;
            Class::from_text(&w).ok_or_else(|| format!("unknown class `{w}`"))
        };
        let w = line.word("a hint")?;
        Ok(match w.as_str() {
            "class" => Hint::Class(class(line)?),
            "classes" => Hint::Classes(class(line)?, class(line)?),
            "field" => Hint::Field(line.number("a version")?, line.number("an index")?),
            "slot" => Hint::Slot(line.number("a version")?, line.number("an offset")?),
            "method" => Hint::Method(line.number("a version")?, self.constant(line)?),
            "numbers" => Hint::Numbers,
            "mixed" => Hint::Mixed,
            "generic" => Hint::Generic,
            "leave" => Hint::Leave,
            w => return Err(format!("unknown hint `{w}`")),
        })
    }

    fn constant(&self, line: &mut Line) -> Parsed<Const> {
        line.expect('@')?;
        Ok(Const(line.number("a constant's number")?))
    }

    fn state(&self, line: &mut Line) -> Parsed<State> {
        let n = line.entity('s', "a state")?;
        self.states.get(&n).copied().ok_or_else(|| format!("s{n} is not defined"))
    }

    fn value(&self, line: &mut Line) -> Parsed<Value> {
        let n = line.entity('v', "a value")?;
        self.values.get(&n).copied().ok_or_else(|| format!("v{n} is not defined"))
    }
}

/// The immediate operand that a word is; `None` for a value, a block or `state`.
fn word_imm(w: &str) -> Parsed<Option<Imm>> {
    if let Some(bits) = w.strip_prefix("f:") {
        return Ok(Some(Imm::Float(hex(bits)?)));
    }
    let operator = BinOp::from_text(w).map(Imm::Bin).or(UnOp::from_text(w).map(Imm::Un)).or(CmpOp::from_text(w).map(Imm::Cmp));
    if operator.is_some() {
        return Ok(operator);
    }
    if !w.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return Ok(None);
    }
    if let Ok(i) = w.parse() {
        return Ok(Some(Imm::Int(i)));
    }
    w.parse().map(|f: f64| Some(Imm::Float(f.to_bits()))).map_err(|_| format!("bad number `{w}`"))
}

fn hex(w: &str) -> Parsed<u64> {
    let digits = w.strip_prefix("0x").ok_or_else(|| format!("expected `0x…`, found `{w}`"))?;
    u64::from_str_radix(digits, 16).map_err(|_| format!("bad number `{w}`"))
}

fn list(line: &mut Line, open: char, close: char, mut item: impl FnMut(&mut Line) -> Parsed<()>) -> Parsed<()> {
    line.expect(open)?;
    if line.mark(close) {
        return Ok(());
    }
    loop {
        item(line)?;
        if !line.mark(',') {
            return line.expect(close);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn everything_round_trips() {
        let text = r#"func "a \"b\" ; \u{1}\n"
@0 = int "3" at 0x7f00
@1 = obj "<x>"
s0 = code 0 unit 1 locals [v0, -] stack []
s1 = code 1 unit 12 locals [] stack [v0, v8!] parent s0
b0():
  v0: obj = entry.local #0 !class none
  v1: f64 = const.float f:0x7ff8000000000001
  v2: f64 = const.float -0.0
  v3: f64 = const.float 1e300
  v4: f64 = const.float f:0xfff0000000000000
  v5: i64 = const.int -9223372036854775808
  v6: i1 = int.cmp le v5, v5
  v7: heap:12 = guard.version v0 state s0 !method 12 @1
  v8: obj = py.binary add v0, v7 state s0 !classes int float
  v9: obj = py.call v8, v0, v0 state s1
  branch v6, b1(v9, v1), b1(v0, v2)
b1(v10: obj, v11: f64) entry s0:
  v12: obj = py.loadattr "x y" v10 state s0 !field 3 4
  exit "over" state s1 !generic
"#;
        let printed = parse(text).unwrap().to_string();
        assert_eq!(printed, text);
        assert_eq!(parse(&printed).unwrap().to_string(), text);
    }

    #[test]
    fn numbers_need_not_be_dense_and_dead_things_are_not_printed() {
        let f = parse("func \"f\" ; comment\nb7:\n v9: i64 = const.int 1\n jump b3\ns4 = code 0 unit 0 locals [v9] stack []\nb3:\n return v9\nb4: jump").unwrap_err();
        assert_eq!(f.to_string(), "line 8: unexpected `jump`");
        let f = parse("func \"f\"\nb7:\n v9: obj = const.obj @0\n jump b3\ns4 = code 0 unit 0 locals [v9] stack []\nb5:\n jump b3\nb3:\n return v9\n").unwrap();
        assert_eq!(f.to_string(), "func \"f\"\nb0():\n  v0: obj = const.obj @0\n  jump b1\nb1():\n  return v0\n");
    }

    #[test]
    fn errors_name_the_line_and_the_thing() {
        assert_eq!(error("func \"f\"\nb0():\n  int.frob v0"), "line 3: unknown operation `int.frob`");
        assert_eq!(error("b0():\n  return v0"), "line 2: v0 is not defined");
        assert_eq!(error("b0():\n  jump b4"), "line 2: b4 is not defined");
        assert_eq!(error("b0():\n  check state s1"), "line 2: s1 is not defined");
        assert_eq!(error("b0():\n  v0: oj = const.null"), "line 2: unknown type \"oj\"");
        assert_eq!(error("b0(v0: obj):\nb0():"), "line 2: b0 is defined twice");
        assert_eq!(error("b0():\n  v0: obj = const.null\n  v0: obj = const.null"), "line 3: v0 is defined twice");
        assert_eq!(error("func f"), "line 1: expected a name in quotes, found `f`");
        assert_eq!(error("s0 = code 0 unit x"), "line 1: expected a code unit, found `x`");
        assert_eq!(error("func \"f"), "line 1: a string does not end");
        assert_eq!(error("  return v0"), "line 1: an instruction before the first block");
        assert_eq!(error("b0():\n  jump b0 !odd"), "line 2: unknown hint `odd`");
        assert_eq!(error("func \"f\""), "line 1: the function has no block");
    }
}
