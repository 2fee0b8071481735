//! Compiles small functions, runs the machine code over objects laid out by hand, and looks at what it did.

mod arrays;
mod calls;
mod exits;
mod floats;
mod ints;
mod natives;
mod objects;
mod parts;
mod support;
