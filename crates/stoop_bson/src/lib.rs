//! BSON documents decoded straight into rows and columns.
//!
//! A [`schema::Schema`] says which fields are wanted, as what, and where they lie; [`plan::Plan`] is the schema
//! made ready; [`document::Reader`] decodes one document, [`batch`] many. Bytes are never trusted: every length is
//! checked, nothing recurses deeper than the schema does, and a document that is not what the schema says is an
//! error that names the document, the field, what was expected and what was found.
//!
//! The crate knows no Python and has no unsafe code.
#![forbid(unsafe_code)]

pub mod arrow;
pub mod batch;
pub mod cache;
pub mod columns;
pub mod decimal;
pub mod document;
pub mod element;
pub mod encode;
pub mod encode_columns;
pub mod error;
pub mod keys;
pub mod layout;
pub mod number;
pub mod op;
pub mod order;
pub mod parallel;
pub mod plan;
pub mod rows;
pub mod scan;
pub mod schema;
pub mod sink;
pub mod stage;
pub mod template;
pub mod text;
pub mod validate;
pub mod value;
