//! Why compiled code was left, and why code stays interpreted: one row each, with the counter's name and the
//! sentence that users read.

use stoop_codegen::unit::{ExitDesc, ExitKind};
use stoop_ir::{Imm, Op};

macro_rules! reasons {
    ($(#[$meta:meta])* pub enum $name:ident { $($variant:ident $counter:literal $sentence:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum $name { $(#[doc = $sentence] $variant,)* }
        impl $name {
            /// Every reason, in table order.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];
            /// The counter's name.
            pub fn counter(self) -> &'static str { match self { $($name::$variant => $counter,)* } }
            /// The sentence for users (without full stop: details may follow).
            pub fn sentence(self) -> &'static str { match self { $($name::$variant => $sentence,)* } }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.sentence()) }
        }
        impl From<$name> for String {
            fn from(reason: $name) -> String { reason.sentence().to_owned() }
        }
    };
}

reasons! {
    /// Why compiled code was left for the interpreter.
    pub enum ExitReason {
        Class "exit_class" "a value was not of the class it used to be";
        HeapType "exit_type" "an object was not of the class it used to be, or its class was changed";
        Keys "exit_keys" "the class's objects had got other attributes";
        Depth "exit_depth" "a function that is compiled in place would have gone beyond the recursion limit";
        Identity "exit_identity" "a name, method or callee was not the object it used to be";
        Unbound "exit_unbound" "a variable was not set, or a value was missing";
        Condition "exit_condition" "a condition that always held did not";
        IntOverflow "exit_int_overflow" "an int did not fit in 64 bits, or in an array's item";
        IntDivision "exit_int_division" "an int was divided by zero, or its quotient did not fit in 64 bits";
        IntShift "exit_int_shift" "an int was shifted by a negative or large count, or its bits did not fit";
        FloatDivision "exit_float_division" "a float was divided by zero";
        FloatPower "exit_float_power" "a power of floats overflowed, or is not a float";
        FloatSqrt "exit_float_sqrt" "the square root of a negative number was asked for";
        FloatToInt "exit_float_to_int" "a float did not fit in a 64-bit int";
        IntToFloat "exit_int_to_float" "an int was too large to be exact as a float";
        Index "exit_index" "an index was out of range";
        Range "exit_range" "a range had step 0 or was too long";
        Character "exit_character" "a string was no single character, or a number stood for none";
        Shared "exit_shared" "a loop's iterator was the program's as well, or at its end";
        Attribute "exit_attribute" "an attribute was not stored in the object where it used to be";
        Key "exit_key" "a key was missing, or looking for it needs the object's own methods";
        Cell "exit_cell" "a variable shared with an inner function was not set";
        Assumption "exit_assumption" "something changed that the code relied on, a debugger or profiler came, or the frame was looked at";
        Breaker "exit_breaker" "the interpreter was called for: a signal, another thread, or a pending call";
        NeverRan "exit_never_ran" "the program came to code that had not run before";
        NotCompiled "exit_not_compiled" "the next instruction is left to the interpreter";
        Raised "exit_raised" "an exception was raised";
        Other "exit_other" "a guard failed";
    }
}

reasons! {
    /// Why a code object or a region of it is not compiled, or not any more.
    pub enum Refusal {
        Never "refused_never" "it is marked with @stoop.never";
        Off "refused_off" "the engine is off: call stoop.enable() first";
        Generator "refused_generator" "generators and coroutines are entered where they are resumed, and at their loops";
        Body "refused_body" "module and class bodies run once";
        Bytecode "refused_bytecode" "its bytecode has something that is not compiled yet";
        TooLarge "refused_too_large" "it is too large";
        Lowering "refused_lowering" "the code generator cannot compile it yet";
        Bug "refused_bug" "the compiler failed, which is a bug in Stoop";
        Budget "refused_budget" "the memory for machine code is spent (option budget_mb), or executable memory is not allowed";
        Processor "refused_processor" "this processor is not supported";
        LeavesEarly "dropped_leaves_early" "most calls leave it before they return";
        DoesNotPay "dropped_does_not_pay" "it is left so soon after each entry that it does not pay";
        SlowerTurns "dropped_slower_turns" "its turns take as long as in the interpreter, or longer";
        Yields "refused_yields" "each of its turns yields a value, and leaves it by that";
        Imports "refused_imports" "it belongs to the import system, which runs while programs start";
        SlowerResumptions "dropped_slower_resumptions" "its resumptions take as long as in the interpreter, or longer";
        KeepsFailing "dropped_keeps_failing" "its assumptions kept failing";
    }
}

impl Refusal {
    /// The sentence with what is particular to the case.
    pub fn with(self, detail: impl std::fmt::Display) -> String {
        format!("{}: {detail}", self.sentence())
    }
}

impl ExitReason {
    /// The reason of a guard or instruction that leaves.
    fn of_op(op: Op) -> ExitReason {
        match op {
            Op::GuardClass | Op::NumToFloat | Op::NumBinary | Op::NumCompare | Op::Truth | Op::Equal | Op::ItemsData => {
                ExitReason::Class
            }
            Op::GuardVersion | Op::GuardShapes | Op::GuardClassVersion => ExitReason::HeapType,
            Op::GuardKeys | Op::GuardClassKeys | Op::GuardNotInDict | Op::GuardNoDict => ExitReason::Keys,
            Op::GuardDepth => ExitReason::Depth,
            Op::GuardIs | Op::GuardFuncVersion | Op::GuardBuiltin => ExitReason::Identity,
            Op::GuardNotNull | Op::GlobalHome => ExitReason::Unbound,
            Op::GuardTrue | Op::GuardFalse => ExitReason::Condition,
            Op::UnboxInt | Op::IntAdd | Op::IntSub | Op::IntMul | Op::IntPow | Op::IntNeg | Op::IntAbs | Op::ArrayStoreInt => {
                ExitReason::IntOverflow
            }
            Op::IntFloorDiv | Op::IntMod => ExitReason::IntDivision,
            Op::IntShl | Op::IntShr => ExitReason::IntShift,
            Op::IntToFloatExact => ExitReason::IntToFloat,
            Op::FloatDiv | Op::FloatFloorDiv | Op::FloatMod => ExitReason::FloatDivision,
            Op::FloatPow => ExitReason::FloatPower,
            Op::FloatSqrt | Op::FloatFn => ExitReason::FloatSqrt,
            Op::FloatToInt => ExitReason::FloatToInt,
            Op::Index | Op::ListReversePrefix => ExitReason::Index,
            Op::NewRangeIter | Op::RangeLen => ExitReason::Range,
            Op::StrItem | Op::StrOrd | Op::StrChr => ExitReason::Character,
            Op::GuardUnique | Op::IterSequence => ExitReason::Shared,
            Op::LoadField | Op::LoadDictEntry | Op::SwapField | Op::SetFieldFloat | Op::SetFieldInt | Op::LoadSlot => {
                ExitReason::Attribute
            }
            Op::LoadCell => ExitReason::Cell,
            Op::DictFind
            | Op::DictFindTuple
            | Op::DictLoad
            | Op::DictSet
            | Op::SetAdd
            | Op::Contains
            | Op::IsInstance
            | Op::IterNext => ExitReason::Key,
            Op::Check | Op::CheckHandling | Op::CheckValid => ExitReason::Assumption,
            Op::Poll => ExitReason::Breaker,
            Op::Exit | Op::Yield => ExitReason::NotCompiled,
            _ => ExitReason::Other,
        }
    }

    /// The reason of an exit, and its particulars where it has some. `names` are the IR function's.
    pub fn of<'a>(exit: &ExitDesc, names: &'a [String]) -> (ExitReason, Option<&'a str>) {
        match (exit.kind, exit.op, exit.imm) {
            (ExitKind::Raise, ..) => (ExitReason::Raised, None),
            (ExitKind::Leave, Op::Exit, Imm::Name(name)) => match names.get(name.index()).map(String::as_str) {
                Some(crate::frontend::NEVER_RAN) => (ExitReason::NeverRan, None),
                particular => {
                    (ExitReason::NotCompiled, particular.map(|name| crate::frontend::left::why_named(name).unwrap_or(name)))
                }
            },
            (ExitKind::Leave, op, _) => (ExitReason::of_op(op), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoop_ir::Flags;

    #[test]
    fn every_leaving_op_has_a_reason_of_its_own() {
        for op in Op::ALL.iter().filter(|op| op.is(Flags::EXIT)) {
            assert_ne!(ExitReason::of_op(*op), ExitReason::Other, "{op}");
        }
    }

    #[test]
    fn counters_and_sentences_are_unique() {
        let counters = || ExitReason::ALL.iter().map(|r| r.counter()).chain(Refusal::ALL.iter().map(|r| r.counter()));
        let sentences = || ExitReason::ALL.iter().map(|r| r.sentence()).chain(Refusal::ALL.iter().map(|r| r.sentence()));
        assert_eq!(counters().collect::<std::collections::BTreeSet<_>>().len(), counters().count());
        assert_eq!(sentences().collect::<std::collections::BTreeSet<_>>().len(), sentences().count());
    }
}
