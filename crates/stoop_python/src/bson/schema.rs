//! Schemas as Python gives them: lists of (path, kind, params, policy).

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use stoop_bson::op::width;
use stoop_bson::schema::{Absent, Convert, Field, Kind, Policy, RowPlace, Schema, Unit};

/// A schema of a list of fields.
pub fn schema(fields: &Bound<'_, PyAny>, rows: bool) -> PyResult<Schema> {
    Ok(Schema { fields: list(fields, rows)? })
}

fn list(fields: &Bound<'_, PyAny>, rows: bool) -> PyResult<Vec<Field>> {
    fields.try_iter()?.map(|row| field(&row?, rows)).collect()
}

fn field(row: &Bound<'_, PyAny>, rows: bool) -> PyResult<Field> {
    let (path, kind, params, policy): (Vec<String>, Bound<'_, PyAny>, Bound<'_, PyDict>, Bound<'_, PyDict>) = row.extract()?;
    Reader { path, params, policy, rows }.field(&kind, Absent::Error)
}

fn get<'py, T: FromPyObjectOwned<'py>>(dict: &Bound<'py, PyDict>, name: &str) -> PyResult<Option<T>> {
    match dict.get_item(name)? {
        Some(value) if !value.is_none() => value.extract().map(Some).map_err(Into::into),
        _ => Ok(None),
    }
}

fn absent(policy: &Bound<'_, PyDict>, name: &str, default: Absent) -> PyResult<Absent> {
    match get::<String>(policy, name)?.as_deref() {
        None => Ok(default),
        Some("error") => Ok(Absent::Error),
        Some("fill") => Ok(Absent::Fill),
        Some("mask") => Ok(Absent::Mask),
        Some(other) => Err(PyValueError::new_err(format!("{name}={other:?} is none of \"error\", \"fill\", \"mask\""))),
    }
}

fn has_objects(kind: &Kind) -> bool {
    match kind {
        Kind::Struct(fields) => fields.iter().any(|field| has_objects(&field.kind)),
        Kind::Array(item, _) => has_objects(&item.kind),
        kind => *kind == Kind::Object,
    }
}

struct Reader<'py> {
    path: Vec<String>,
    params: Bound<'py, PyDict>,
    policy: Bound<'py, PyDict>,
    rows: bool,
}

impl<'py> Reader<'py> {
    fn field(&self, kind: &Bound<'py, PyAny>, default: Absent) -> PyResult<Field> {
        if let Ok(tag) = kind.get_item(0).and_then(|tag| tag.extract::<String>())
            && tag == "array"
        {
            return self.array(kind, default);
        }
        let kind = self.kind(kind)?;
        Ok(Field {
            path: self.path.clone(),
            name: get(&self.params, "name")?.unwrap_or_else(|| self.path.join(".")),
            zone: get(&self.params, "tz")?.unwrap_or_else(|| "UTC".to_owned()),
            large: get(&self.params, "large")?.unwrap_or(false),
            policy: self.policy(default)?,
            place: self.rows.then(|| self.place()).transpose()?,
            kind,
        })
    }

    /// Fixed arrays, one inside the other for each dimension; the field's parameters are the items'.
    fn array(&self, kind: &Bound<'py, PyAny>, default: Absent) -> PyResult<Field> {
        let shape: Vec<usize> = kind.get_item(2)?.extract()?;
        let inner = Reader { path: self.path.clone(), params: self.params.copy()?, policy: self.policy.clone(), rows: self.rows };
        let outer = self.place()?;
        inner.params.set_item("offset", 0)?;
        if outer.mask.is_some() {
            inner.params.set_item("mask_offset", 0)?;
        }
        let mut field = inner.field(&kind.get_item(1)?, default)?;
        if self.rows && has_objects(&field.kind) {
            return Err(self.bad("arrays of a fixed shape hold no objects; take the whole array as one"));
        }
        if shape.iter().try_fold(1usize, |items, &count| items.checked_mul(count)).is_none_or(|items| items > 1 << 30) {
            return Err(self.bad("the shape is too large"));
        }
        let width = width(&field.kind).unwrap_or(0);
        let stride = self.number("stride")?.unwrap_or(width);
        for (dimension, &count) in shape.iter().enumerate().rev() {
            let place = RowPlace { offset: 0, mask: outer.mask.map(|_| 0), stride, mask_stride: outer.mask_stride };
            let place = if dimension == 0 { RowPlace { stride, ..outer } } else { place };
            field = Field {
                path: self.path.clone(),
                name: field.name.clone(),
                zone: String::new(),
                large: false,
                policy: self.policy(default)?,
                place: Some(place),
                kind: Kind::Array(Box::new(field), count),
            };
        }
        Ok(field)
    }

    /// The items of a list have parameters and a policy of their own; null by default where they are null.
    fn item(&self, kind: &Bound<'py, PyAny>) -> PyResult<Field> {
        let empty = || PyDict::new(kind.py());
        let params = get::<Bound<'py, PyDict>>(&self.params, "item")?.unwrap_or_else(empty);
        let policy = get::<Bound<'py, PyDict>>(&self.policy, "item")?.unwrap_or_else(empty);
        Reader { path: self.path.clone(), params, policy, rows: self.rows }.field(kind, Absent::Mask)
    }

    fn bad(&self, what: &str) -> PyErr {
        PyValueError::new_err(format!("field {:?}: {what}", self.path.join(".")))
    }

    fn number(&self, name: &str) -> PyResult<Option<usize>> {
        get(&self.params, name)
    }

    fn text(&self, name: &str, default: &str) -> PyResult<String> {
        Ok(get(&self.params, name)?.unwrap_or_else(|| default.to_owned()))
    }

    fn policy(&self, default: Absent) -> PyResult<Policy> {
        let policy = &self.policy;
        let convert = match get::<String>(policy, "convert")?.as_deref() {
            None | Some("exact") => Convert::Exact,
            Some("lossy") => Convert::Lossy,
            Some("strict") => Convert::Strict,
            Some(other) => return Err(self.bad(&format!("convert={other:?} is none of \"exact\", \"lossy\", \"strict\""))),
        };
        Ok(Policy {
            missing: absent(policy, "missing", default)?,
            null: absent(policy, "null", default)?,
            fill: get(policy, "fill")?.unwrap_or_default(),
            convert,
            truncate: self.either(policy, "overflow", "truncate")?,
            pad: self.either(policy, "length", "pad")?,
            replace_invalid: self.either(&self.params, "utf8", "replace")?,
        })
    }

    /// Whether an option is this word rather than "error".
    fn either(&self, dict: &Bound<'py, PyDict>, name: &str, word: &str) -> PyResult<bool> {
        match get::<String>(dict, name)?.as_deref() {
            None | Some("error") => Ok(false),
            Some(given) if given == word => Ok(true),
            Some(other) => Err(self.bad(&format!("{name}={other:?} is neither \"error\" nor {word:?}"))),
        }
    }

    fn place(&self) -> PyResult<RowPlace> {
        Ok(RowPlace {
            offset: self.number("offset")?.unwrap_or(0),
            mask: self.number("mask_offset")?,
            stride: self.number("stride")?.unwrap_or(0),
            mask_stride: self.number("mask_stride")?.unwrap_or(1),
        })
    }

    fn size(&self) -> PyResult<usize> {
        let size = self.number("size")?.ok_or_else(|| self.bad("no size given"))?;
        // What the widest row could hold; keeps arithmetic on sizes in range.
        if size > 1 << 30 { Err(self.bad("the size is too large")) } else { Ok(size) }
    }

    fn kind(&self, kind: &Bound<'py, PyAny>) -> PyResult<Kind> {
        let Ok(name) = kind.cast::<PyString>() else { return self.nested(kind) };
        let name: String = name.extract()?;
        let subtype = || get::<u8>(&self.params, "subtype");
        Ok(match name.as_str() {
            "f64" => Kind::F64,
            "f32" => Kind::F32,
            "i64" | "i32" | "i16" | "i8" | "u64" | "u32" | "u16" | "u8" => {
                let bits: u8 = name[1..].parse().map_err(|_| self.bad("a width"))?;
                if name.starts_with('i') { Kind::Int(bits / 8) } else { Kind::Uint(bits / 8) }
            }
            "bool" => Kind::Bool,
            "datetime" => Kind::Datetime(self.unit()?),
            "objectid" if self.text("form", "")? == "hex" => Kind::ObjectIdHex,
            "objectid" => Kind::ObjectId,
            "timestamp" => Kind::Timestamp,
            "string" => match self.text("form", if self.rows { "U" } else { "arrow" })?.as_str() {
                "U" => Kind::FixedText(self.size()?),
                "S" => Kind::FixedBytes(self.size()?),
                "arrow" => Kind::Text,
                other => return Err(self.bad(&format!("form={other:?} is none of \"U\", \"S\", \"arrow\""))),
            },
            "binary" if self.number("size")?.is_some() => Kind::FixedBinary(self.size()?, subtype()?),
            "binary" => Kind::Binary(subtype()?),
            "uuid" => Kind::Uuid(subtype()?.unwrap_or(4)),
            "decimal128" => match (get(&self.params, "precision")?, get::<i8>(&self.params, "scale")?) {
                (None, _) => Kind::Decimal,
                (Some(precision), scale) if (1..=38).contains(&precision) => {
                    Kind::ScaledDecimal { precision, scale: scale.unwrap_or(0) }
                }
                (Some(_), _) => return Err(self.bad("the precision of a decimal128 is 1 to 38")),
            },
            "raw" => Kind::Raw,
            "object" => Kind::Object,
            "null" => Kind::Null,
            other => return Err(self.bad(&format!("there is no kind {other:?}"))),
        })
    }

    fn unit(&self) -> PyResult<Unit> {
        Ok(match self.text("unit", "ms")?.as_str() {
            "D" => Unit::Days,
            "h" => Unit::Hours,
            "m" => Unit::Minutes,
            "s" => Unit::Seconds,
            "ms" => Unit::Milliseconds,
            "us" => Unit::Microseconds,
            "ns" => Unit::Nanoseconds,
            other => return Err(self.bad(&format!("the unit {other:?} is none of D, h, m, s, ms, us, ns"))),
        })
    }

    fn nested(&self, kind: &Bound<'py, PyAny>) -> PyResult<Kind> {
        let tag: String = kind.get_item(0)?.extract().map_err(|_| PyTypeError::new_err("a kind is a str or a tuple"))?;
        match tag.as_str() {
            "struct" => Ok(Kind::Struct(list(&kind.get_item(1)?, self.rows)?)),
            "list" if self.rows => Err(self.bad("lists of any length need columns, or the kind \"object\"")),
            "list" => Ok(Kind::List(Box::new(self.item(&kind.get_item(1)?)?))),
            other => Err(self.bad(&format!("there is no kind {other:?}"))),
        }
    }
}
