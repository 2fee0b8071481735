//! Every byte of a document checked, in depth.
//!
//! Decoding looks only at what the schema asks for; this looks at everything. It keeps its own stack, so that a
//! document of ten thousand levels costs an error and no recursion.

use crate::document::document_size;
use crate::element::{self, Type, find_nul, int32};
use crate::error::{Fallible, Fault};

/// Documents may be nested so deep; MongoDB's own limit is 100.
pub const MAX_DEPTH: usize = 200;

struct Level {
    end: usize,
    /// How much of the path is left when the document ends.
    path_length: usize,
}

/// Checks a document that takes up all of `bytes`.
pub fn validate(bytes: &[u8]) -> Fallible<()> {
    let size = document_size(bytes).map_err(|found| Fault::malformed("", found))?;
    let mut path = String::new();
    let mut levels = vec![Level { end: size - 1, path_length: 0 }];
    let mut at = 4;
    while let Some(level) = levels.last() {
        if at == level.end {
            path.truncate(level.path_length);
            levels.pop();
            at += 1;
            continue;
        }
        let end = level.end;
        let start = path.len();
        let name_end = find_nul(&bytes[..end], at + 1);
        let Some(name_end) = name_end else {
            return Err(Fault::malformed(&path, "a field name that runs past the end of its document"));
        };
        let Ok(name) = std::str::from_utf8(&bytes[at + 1..name_end]) else {
            return Err(Fault::malformed(&path, "a field name that is not UTF-8"));
        };
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        let ty = bytes[at];
        let value = name_end + 1;
        let size = element::value_size(ty, &bytes[value..end]).map_err(|problem| fault(&path, ty, problem))?;
        let inner = check(ty, &bytes[value..value + size]).map_err(|problem| fault(&path, ty, problem))?;
        match inner {
            None => {
                at = value + size;
                path.truncate(start);
            }
            Some(skip) => {
                if levels.len() >= MAX_DEPTH {
                    return Err(Fault::malformed(&path, format!("documents nested deeper than {MAX_DEPTH} levels")));
                }
                levels.push(Level { end: value + size - 1, path_length: start });
                at = value + skip + 4;
            }
        }
    }
    if at == bytes.len() { Ok(()) } else { Err(Fault::malformed("", "bytes behind the document")) }
}

/// Checks a value whose size is right.
pub fn value(ty: u8, value: &[u8]) -> Fallible<()> {
    match check(ty, value).map_err(|problem| fault("", ty, problem))? {
        None => Ok(()),
        Some(inner) => validate(&value[inner..]),
    }
}

fn fault(path: &str, ty: u8, problem: &str) -> Box<Fault> {
    if Type(ty).extent() == element::Extent::Unknown {
        return Fault::malformed(path, format!("an element of unknown type 0x{ty:02x}"));
    }
    Fault::malformed(path, format!("{} with {problem}", Type(ty).name()))
}

/// Checks a value apart from the document inside it; `Some` says where that starts.
fn check(ty: u8, value: &[u8]) -> Result<Option<usize>, &'static str> {
    let utf8 = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err("text that is not UTF-8"),
    };
    match Type(ty) {
        Type::STRING | Type::CODE | Type::SYMBOL => utf8(&value[4..value.len() - 1])?,
        Type::DB_POINTER => utf8(&value[4..value.len() - 13])?,
        Type::REGEX => {
            utf8(value)?;
        }
        Type::BOOL if value[0] > 1 => return Err("a value that is neither 0 nor 1"),
        Type::BINARY => {
            crate::text::binary(value)?;
        }
        Type::DOCUMENT | Type::ARRAY => return Ok(Some(0)),
        Type::CODE_WITH_SCOPE => {
            let code = int32(value, 4).and_then(|size| usize::try_from(size).ok()).filter(|&size| size > 0);
            let scope = code.and_then(|size| size.checked_add(8)).filter(|&scope| scope + 5 <= value.len());
            let scope = scope.ok_or("a code whose length is wrong")?;
            if value[scope - 1] != 0 {
                return Err("a code without its terminator");
            }
            utf8(&value[8..scope - 1])?;
            if int32(value, scope) != Some((value.len() - scope) as i32) {
                return Err("lengths of code and scope that do not add up");
            }
            return Ok(Some(scope));
        }
        _ => {}
    }
    Ok(None)
}

/// Checks all documents of a buffer; the number and start of the first bad one.
pub fn validate_all(bytes: &[u8]) -> Result<usize, (usize, usize, Box<Fault>)> {
    let (mut documents, mut at) = (0, 0);
    while at < bytes.len() {
        let size = document_size(&bytes[at..]).map_err(|found| (documents, at, Fault::malformed("", found)))?;
        validate(&bytes[at..at + size]).map_err(|fault| (documents, at, fault))?;
        documents += 1;
        at += size;
    }
    Ok(documents)
}
