//! The objects of the reference interpreter: a model of Python's, with exact reference counts.

use std::fmt::Write;

use crate::types::{Class, Type};

/// A fault: something that no sound code does (use after free, a NULL dereference, a type confusion).
pub type Fault = String;

/// An object's number in the [`Heap`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Obj(pub u32);

/// A value at run time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Val {
    /// An unboxed integer.
    I64(i64),
    /// An unboxed double.
    F64(f64),
    /// An unboxed truth value.
    I1(bool),
    /// NULL.
    Null,
    /// A reference.
    Ref(Obj),
}

/// What an object is.
#[derive(Clone, PartialEq, Debug)]
pub enum Kind {
    /// An `int` that fits 64 bits.
    Int(i64),
    /// An `int` that does not.
    BigInt,
    /// A `float`.
    Float(f64),
    /// A `bool`.
    Bool(bool),
    /// `None`.
    None,
    /// A `str`.
    Str(String),
    /// A `list`.
    List(Vec<Obj>),
    /// A `tuple`.
    Tuple(Vec<Obj>),
    /// A range iterator: next value, step, values left.
    RangeIter(i64, i64, i64),
    /// A list iterator: the list until the end is reached, and the position.
    ListIter(Option<Obj>, usize),
    /// A tuple iterator.
    TupleIter(Option<Obj>, usize),
    /// A cell.
    Cell(Option<Obj>),
    /// An instance of a Python class: type version and inline attribute values.
    Instance(u32, Vec<Option<Obj>>),
    /// A `dict`: keys and values in turn.
    Dict(Vec<Obj>),
    /// An `array.array`: its class, its items.
    Array(Class, Vec<Val>),
    /// Anything else.
    Other(Option<Class>, String),
}

impl Kind {
    fn children(&self) -> Vec<Obj> {
        match self {
            Kind::List(items) | Kind::Tuple(items) | Kind::Dict(items) => items.clone(),
            Kind::ListIter(o, _) | Kind::TupleIter(o, _) | Kind::Cell(o) => o.iter().copied().collect(),
            Kind::Instance(_, fields) => fields.iter().flatten().copied().collect(),
            _ => Vec::new(),
        }
    }

    /// The type of references to such an object.
    pub fn ty(&self) -> Type {
        Type::Exact(match self {
            Kind::Int(_) | Kind::BigInt => Class::Int,
            Kind::Float(_) => Class::Float,
            Kind::Bool(_) => Class::Bool,
            Kind::None => Class::NoneType,
            Kind::Str(_) => Class::Str,
            Kind::List(_) => Class::List,
            Kind::Tuple(_) => Class::Tuple,
            Kind::Dict(_) => Class::Dict,
            Kind::RangeIter(..) => Class::RangeIter,
            Kind::ListIter(..) => Class::ListIter,
            Kind::TupleIter(..) => Class::TupleIter,
            Kind::Cell(_) => Class::Cell,
            Kind::Array(class, _) => *class,
            Kind::Instance(version, _) => return Type::Heap(*version),
            Kind::Other(Some(c), _) => *c,
            Kind::Other(None, _) => return Type::Obj,
        })
    }
}

struct Cell {
    kind: Kind,
    refs: i64,
    immortal: bool,
}

/// All objects.
#[derive(Default)]
pub struct Heap {
    cells: Vec<Cell>,
}

impl Heap {
    /// A new object with one reference, which the caller owns.
    pub fn alloc(&mut self, kind: Kind) -> Obj {
        let immortal = matches!(kind, Kind::Bool(_) | Kind::None);
        self.cells.push(Cell { kind, refs: 1, immortal });
        Obj(self.cells.len() as u32 - 1)
    }
    /// A new object that is never destroyed.
    pub fn alloc_immortal(&mut self, kind: Kind) -> Obj {
        let o = self.alloc(kind);
        self.cells[o.0 as usize].immortal = true;
        o
    }
    fn cell(&mut self, o: Obj) -> Result<&mut Cell, Fault> {
        match self.cells.get_mut(o.0 as usize) {
            Some(c) if c.refs > 0 || c.immortal => Ok(c),
            _ => Err(format!("use of the destroyed object {}", o.0)),
        }
    }
    /// What an object is.
    pub fn get(&mut self, o: Obj) -> Result<&mut Kind, Fault> {
        Ok(&mut self.cell(o)?.kind)
    }
    /// Whether there is one reference to an object.
    pub fn is_unique(&mut self, o: Obj) -> Result<bool, Fault> {
        self.cell(o).map(|c| c.refs == 1 && !c.immortal)
    }
    /// Takes a reference.
    pub fn incref(&mut self, o: Obj) -> Result<(), Fault> {
        self.cell(o)?.refs += 1;
        Ok(())
    }
    /// Drops a reference; the last one destroys the object.
    pub fn decref(&mut self, o: Obj) -> Result<(), Fault> {
        let mut work = vec![o];
        while let Some(o) = work.pop() {
            let c = self.cell(o)?;
            if c.immortal {
                continue;
            }
            c.refs -= 1;
            if c.refs == 0 {
                work.extend(c.kind.children());
            }
        }
        Ok(())
    }
    /// Drops a reference that may be NULL.
    pub fn drop_val(&mut self, v: Val) -> Result<(), Fault> {
        match v {
            Val::Ref(o) => self.decref(o),
            _ => Ok(()),
        }
    }
    /// How many mortal objects are alive.
    pub fn live(&self) -> usize {
        self.cells.iter().filter(|c| !c.immortal && c.refs > 0).count()
    }
    /// The object of an unboxed value, with a reference the caller owns; references as they are.
    pub fn boxed(&mut self, v: Val) -> Val {
        match v {
            Val::I64(i) => Val::Ref(self.alloc(Kind::Int(i))),
            Val::F64(f) => Val::Ref(self.alloc(Kind::Float(f))),
            Val::I1(b) => Val::Ref(self.alloc(Kind::Bool(b))),
            v => v,
        }
    }
    /// A value's text: boxed and unboxed forms of a number have the same one.
    pub fn show(&mut self, v: Val) -> Result<String, Fault> {
        Ok(match v {
            Val::I64(i) => i.to_string(),
            // Which NaN it is, nobody promises.
            Val::F64(f) => format!("{f:?}"),
            Val::I1(b) => b.to_string(),
            Val::Null => "NULL".to_owned(),
            Val::Ref(o) => {
                let kind = self.get(o)?.clone();
                match &kind {
                    Kind::Int(i) => i.to_string(),
                    Kind::BigInt => "big".to_owned(),
                    Kind::Float(f) => format!("{f:?}"),
                    Kind::Bool(b) => b.to_string(),
                    Kind::None => "None".to_owned(),
                    Kind::Str(s) => format!("{s:?}"),
                    Kind::RangeIter(next, step, left) => format!("range_iter({next}, {step}, {left})"),
                    Kind::Other(_, s) => format!("<{s}>"),
                    Kind::Array(class, items) => format!("{class:?} {items:?}"),
                    Kind::ListIter(_, at) | Kind::TupleIter(_, at) => self.show_all(&format!("iter {at} "), &kind)?,
                    Kind::List(_) | Kind::Tuple(_) => self.show_all("", &kind)?,
                    Kind::Dict(_) => self.show_all("dict ", &kind)?,
                    Kind::Cell(_) => self.show_all("cell ", &kind)?,
                    Kind::Instance(version, _) => self.show_all(&format!("instance {version} "), &kind)?,
                }
            }
        })
    }

    fn show_all(&mut self, what: &str, kind: &Kind) -> Result<String, Fault> {
        let mut out = format!("{what}[");
        for (i, o) in kind.children().into_iter().enumerate() {
            // Writing to a String does not fail.
            let _ = write!(out, "{}{}", if i > 0 { ", " } else { "" }, self.show(Val::Ref(o))?);
        }
        out.push(']');
        Ok(out)
    }
}
