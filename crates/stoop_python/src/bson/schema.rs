//! Schemas as Python gives them: lists of (path, kind, params, policy).

use pyo3::exceptions::{PyNotImplementedError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

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
    let reader = Reader { path: path.join("."), params, rows };
    let mut policy = reader.policy(&policy)?;
    policy.replace_invalid = reader.text("utf8", "error")? == "replace";
    let place = rows.then(|| reader.place()).transpose()?;
    let kind = reader.kind(&kind, &mut policy)?;
    Ok(reader.finish(path, kind, policy, place))
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

struct Reader<'py> {
    path: String,
    params: Bound<'py, PyDict>,
    rows: bool,
}

impl<'py> Reader<'py> {
    fn bad(&self, what: &str) -> PyErr {
        PyValueError::new_err(format!("field {:?}: {what}", self.path))
    }

    fn number(&self, name: &str) -> PyResult<Option<usize>> {
        get(&self.params, name)
    }

    fn text(&self, name: &str, default: &str) -> PyResult<String> {
        Ok(get(&self.params, name)?.unwrap_or_else(|| default.to_owned()))
    }

    fn policy(&self, policy: &Bound<'py, PyDict>) -> PyResult<Policy> {
        self.policy_or(policy, Absent::Error)
    }

    fn policy_or(&self, policy: &Bound<'py, PyDict>, default: Absent) -> PyResult<Policy> {
        let convert = match get::<String>(policy, "convert")?.as_deref() {
            None | Some("exact") => Convert::Exact,
            Some("lossy") => Convert::Lossy,
            Some("strict") => Convert::Strict,
            Some(other) => return Err(self.bad(&format!("convert={other:?} is none of \"exact\", \"lossy\", \"strict\""))),
        };
        let truncate = match get::<String>(policy, "overflow")?.as_deref() {
            None | Some("error") => false,
            Some("truncate") => true,
            Some(other) => return Err(self.bad(&format!("overflow={other:?} is neither \"error\" nor \"truncate\""))),
        };
        Ok(Policy {
            missing: absent(policy, "missing", default)?,
            null: absent(policy, "null", default)?,
            fill: get(policy, "fill")?.unwrap_or_default(),
            convert,
            truncate,
            replace_invalid: false,
        })
    }

    fn place(&self) -> PyResult<RowPlace> {
        Ok(RowPlace {
            offset: self.number("offset")?.unwrap_or(0),
            mask: self.number("mask_offset")?,
            stride: self.number("stride")?.unwrap_or(0),
            mask_stride: self.number("mask_stride")?.unwrap_or(1),
        })
    }

    fn kind(&self, kind: &Bound<'py, PyAny>, policy: &mut Policy) -> PyResult<Kind> {
        let Ok(name) = kind.cast::<PyString>() else { return self.nested(kind, policy) };
        let name: String = name.extract()?;
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
            other => return Err(PyNotImplementedError::new_err(format!("field {:?}: the kind {other:?}", self.path))),
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

    fn nested(&self, kind: &Bound<'py, PyAny>, _policy: &mut Policy) -> PyResult<Kind> {
        let tag: String = kind.get_item(0)?.extract().map_err(|_| PyTypeError::new_err("a kind is a str or a tuple"))?;
        match tag.as_str() {
            "struct" => Ok(Kind::Struct(list(&kind.get_item(1)?, self.rows)?)),
            other => Err(PyNotImplementedError::new_err(format!("field {:?}: the kind {other:?}", self.path))),
        }
    }

    fn finish(&self, path: Vec<String>, kind: Kind, policy: Policy, place: Option<RowPlace>) -> Field {
        Field { path, kind, policy, place }
    }
}
