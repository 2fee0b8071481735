//! Object files of machine code, for other people's disassemblers.

use crate::unit::Error;
use object::write::{Object, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};

/// An ELF object file whose text section is `code`, with one function symbol over all of it.
pub fn object_file(symbol: &str, code: &[u8]) -> Result<Vec<u8>, Error> {
    let architecture = if cfg!(target_arch = "x86_64") {
        Architecture::X86_64
    } else if cfg!(target_arch = "aarch64") {
        Architecture::Aarch64
    } else {
        return Err(Error::Unsupported("object files for this machine".to_owned()));
    };
    let mut file = Object::new(BinaryFormat::Elf, architecture, Endianness::Little);
    let text = file.add_section(Vec::new(), b".text".to_vec(), SectionKind::Text);
    file.append_section_data(text, code, 16);
    file.add_symbol(Symbol {
        name: symbol.as_bytes().to_vec(),
        value: 0,
        size: code.len() as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(text),
        flags: SymbolFlags::None,
    });
    file.write().map_err(|e| Error::Backend(e.to_string()))
}
