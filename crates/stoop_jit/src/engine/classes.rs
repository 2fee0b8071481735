//! The exact built-in classes, by the addresses of their type objects.

use stoop_codegen::abi::Arrays;
use stoop_cpython::capi::{self, Obj};
use stoop_cpython::inspect;
use stoop_ir::{Class, Element};

/// The kinds of `array.array` met so far.
pub static ARRAYS: Arrays = Arrays::new();

/// Type object addresses by class.
pub fn all() -> Vec<(Class, u64)> {
    let mut v: Vec<(Class, u64)> =
        inspect::builtin_types().into_iter().filter_map(|(name, ty)| Class::from_text(name).map(|c| (c, ty as u64))).collect();
    // SAFETY: None has a type.
    v.push((Class::NoneType, unsafe { capi::type_of(capi::none()) } as u64));
    v
}

/// The class that a type is, if it is a well-known built-in one.
pub fn of_type(ty: u64) -> Option<Class> {
    thread_local! {
        static TABLE: Vec<(Class, u64)> = all();
    }
    TABLE.with(|t| t.iter().find(|(_, a)| *a == ty).map(|(c, _)| *c))
}

/// The exact class of an object.
pub fn class_of(o: Obj) -> Option<Class> {
    // SAFETY: `o` is alive and the GIL is held.
    of_type(unsafe { capi::type_of(o) } as u64).or_else(|| array_class(o))
}

/// The class of an exact `array.array`. What guards compare with is noted, and the type kept alive for good.
fn array_class(o: Obj) -> Option<Class> {
    // SAFETY: `o` is alive and the GIL is held.
    let (code, bytes, descriptor) = unsafe { inspect::array_kind(o) }?;
    let (class, _) = Element::ALL.iter().find(|(_, e)| e.code == code && u32::from(e.bytes) == bytes)?;
    // SAFETY: as above.
    let ty = unsafe { capi::type_of(o) };
    match ARRAYS.type_address() {
        0 => {
            // SAFETY: a live type.
            unsafe { capi::incref(ty) };
            ARRAYS.set_type(ty as u64);
        }
        known if known != ty as u64 => return None,
        _ => {}
    }
    ARRAYS.set_descriptor(*class, descriptor);
    Some(*class)
}
