//! The instructions that are left to the interpreter, and why: one row each.

use stoop_cpython::opcodes::Opcode;

macro_rules! rows {
    ($($op:ident $why:literal;)*) => {
        const ROWS: &[(Opcode, &str)] = &[$((Opcode::$op, $why)),*];
    };
}

rows! {
    BeforeAsyncWith "BEFORE_ASYNC_WITH: what an `async with` awaits is resumed with its own code";
    CallIntrinsic2 "CALL_INTRINSIC_2: `except*` and type parameters are the interpreter's";
    CheckEgMatch "CHECK_EG_MATCH: `except*` is the interpreter's";
    CleanupThrow "CLEANUP_THROW: something was thrown into what is awaited or delegated to";
    EndAsyncFor "END_ASYNC_FOR: an `async for` is at its end";
    EndSend "END_SEND: what was awaited or delegated to is at its end";
    EnterExecutor "ENTER_EXECUTOR: another compiler's code";
    ExitInitCheck "EXIT_INIT_CHECK: the interpreter's own, when an `__init__` returns";
    GetAiter "GET_AITER: what an `async for` awaits is resumed with its own code";
    GetAnext "GET_ANEXT: what an `async for` awaits is resumed with its own code";
    InterpreterExit "INTERPRETER_EXIT: the interpreter's own, when it returns to C";
    LoadFromDictOrDeref "LOAD_FROM_DICT_OR_DEREF: bodies of classes run once";
    LoadFromDictOrGlobals "LOAD_FROM_DICT_OR_GLOBALS: bodies of classes run once";
    LoadLocals "LOAD_LOCALS: bodies of classes run once";
    Reraise "RERAISE: an exception goes on past `except`, `finally` or `with`";
    ReturnGenerator "RETURN_GENERATOR: generators and coroutines are entered where they are resumed";
    Send "SEND: something is awaited or delegated to where the code was not entered by a resumption";
    SetupAnnotations "SETUP_ANNOTATIONS: bodies of modules and classes run once";
    WithExceptStart "WITH_EXCEPT_START: a `with` block raised";
    YieldValue "YIELD_VALUE: a value is yielded where the code was not entered by a resumption";
}

/// Why an instruction is left to the interpreter wherever it stands, or where this exit says it is.
pub fn why(op: Opcode) -> Option<&'static str> {
    ROWS.iter().find(|(o, _)| *o == op).map(|(_, why)| *why)
}

/// The same for an opcode's name as exits have it.
pub fn why_named(name: &str) -> Option<&'static str> {
    ROWS.iter().find(|(o, _)| o.name() == name).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::instrs::is_translated;

    #[test]
    fn every_opcode_is_translated_or_has_a_row() {
        for op in Opcode::ALL {
            // A generator's region ends at its yield; elsewhere the interpreter yields.
            let translated = is_translated(*op) || *op == Opcode::YieldValue;
            assert!(translated || why(*op).is_some(), "{op:?} has neither code nor a row");
            assert!(
                !translated || why(*op).is_none() || *op == Opcode::YieldValue,
                "{op:?} has code, and a row that says why not"
            );
        }
    }

    #[test]
    fn rows_name_their_opcode_once() {
        for (op, sentence) in ROWS {
            assert!(sentence.starts_with(&format!("{}: ", op.name())), "{sentence}");
            assert_eq!(ROWS.iter().filter(|(o, _)| o == op).count(), 1, "{op:?}");
        }
    }
}
