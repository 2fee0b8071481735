//! The extension module `stoop._stoop`.
