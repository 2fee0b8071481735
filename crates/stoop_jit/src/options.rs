//! Options: one table behind the keyword of `stoop.enable`, the environment variable, the interpreter flag and
//! the reference page. No Python here: values come and go as text or [`Value`].
//!
//! The only place in the project that reads the environment.

use std::fmt::{self, Display};
use std::ops::RangeInclusive;

/// An option's value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// On or off.
    Switch(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Switch(v) => write!(f, "{v}"),
            Value::Number(v) => write!(f, "{v}"),
            Value::Text(v) => f.write_str(v),
        }
    }
}

/// What an option accepts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Accepts {
    /// On or off.
    Switch,
    /// A whole number in a range.
    Number(RangeInclusive<i64>),
    /// Any text.
    Text,
    /// Names of passes, separated by commas.
    Passes,
}

impl Display for Accepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Accepts::Switch => f.write_str("on or off (1 or 0, true or false)"),
            Accepts::Number(range) => write!(f, "a whole number from {} to {}", range.start(), range.end()),
            Accepts::Text => f.write_str("a text"),
            Accepts::Passes => {
                f.write_str("names of passes with commas between: ")?;
                f.write_str(&pass_names().join(", "))
            }
        }
    }
}

/// The passes that can be switched off, each once, in order.
fn pass_names() -> Vec<&'static str> {
    let mut names = Vec::new();
    for pass in stoop_passes::pipeline::PASSES {
        if !names.contains(&pass.name) {
            names.push(pass.name);
        }
    }
    names
}

/// A row of the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The name, as a keyword.
    pub name: &'static str,
    /// The value when nothing is said.
    pub default: Value,
    /// What it accepts.
    pub accepts: Accepts,
    /// What a number counts; empty where there is nothing to count.
    pub unit: &'static str,
    /// One or two sentences for the user.
    pub help: &'static str,
}

/// How a kind of option is held in [`Options`], and moved to and from a [`Value`].
macro_rules! kind {
    (type switch) => {
        bool
    };
    (type number) => {
        i64
    };
    (type text) => {
        String
    };
    (type passes) => {
        String
    };
    (wrap switch $v:expr) => {
        Value::Switch($v)
    };
    (wrap number $v:expr) => {
        Value::Number($v)
    };
    (wrap text $v:expr) => {
        Value::Text($v.to_owned())
    };
    (wrap passes $v:expr) => {
        Value::Text($v.to_owned())
    };
    (accepts switch) => {
        Accepts::Switch
    };
    (accepts number $range:expr) => {
        Accepts::Number($range)
    };
    (accepts text) => {
        Accepts::Text
    };
    (accepts passes) => {
        Accepts::Passes
    };
    (unwrap switch $v:expr) => {
        match $v {
            Value::Switch(v) => v,
            _ => unreachable!("checked against the row"),
        }
    };
    (unwrap number $v:expr) => {
        match $v {
            Value::Number(v) => v,
            _ => unreachable!("checked against the row"),
        }
    };
    (unwrap text $v:expr) => {
        match $v {
            Value::Text(v) => v,
            _ => unreachable!("checked against the row"),
        }
    };
    (unwrap passes $v:expr) => {
        match $v {
            Value::Text(v) => v,
            _ => unreachable!("checked against the row"),
        }
    };
}

macro_rules! options {
    ($($name:ident: $kind:ident $(($range:expr))? = $default:expr, $unit:literal, $help:literal;)*) => {
        /// The options in force.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct Options { $(#[doc = $help] pub $name: kind!(type $kind),)* }

        impl Default for Options {
            fn default() -> Options { Options { $($name: $default.into(),)* } }
        }

        /// The table.
        pub fn rows() -> Vec<Row> {
            vec![$(Row {
                name: stringify!($name),
                default: kind!(wrap $kind $default),
                accepts: kind!(accepts $kind $($range)?),
                unit: $unit,
                help: $help,
            }),*]
        }

        impl Options {
            /// Every option's value, in table order.
            pub fn values(&self) -> Vec<(&'static str, Value)> {
                vec![$((stringify!($name), kind!(wrap $kind self.$name)),)*]
            }
            /// Stores a value that its row accepts.
            fn store(&mut self, name: &str, value: Value) {
                match name {
                    $(stringify!($name) => self.$name = kind!(unwrap $kind value),)*
                    _ => unreachable!("the name is a row's"),
                }
            }
        }
    };
}

options! {
    threshold: number(1..=1_000_000) = 2, "samples",
        "How often the sampler must find code running before it is compiled. 1: nothing is sampled; functions are compiled at their third call and loops in their third iteration, at once, which is the same each time and slow. For tests.";
    sample_interval_ms: number(1..=60_000) = 5, "milliseconds",
        "Time between two looks of the sampler at what is running; it looks less often while nothing is hot.";
    compile_share: number(1..=100) = 12, "percent",
        "How much of the program's processor time compiling may take in the first seconds; half of it in the first moments and a quarter later; less where little is gained by it, up to twice as much where much is. 100: compile whatever is hot at once, as with threshold 1.";
    functions: switch = true, "",
        "Enter compiled functions where they are called.";
    osr: switch = true, "",
        "Take running loops over (on-stack replacement), also in functions called once and in modules.";
    budget_mb: number(1..=4096) = 64, "MiB",
        "Memory for machine code. When it is spent, nothing more is compiled until code is freed.";
    max_recompiles: number(0..=1000) = 12, "compilations",
        "How often the code of one function may be compiled anew after its assumptions failed, before it is dropped.";
    passes_off: passes = "", "",
        "Optimisation passes to leave out, by name, with commas between.";
    verify: switch = false, "",
        "Check the compiler's intermediate code after each pass. For work on Stoop; slows compiling down.";
    force_exit: number(0..=1_000_000_000) = 0, "",
        "For tests: make the guard of this number (from 1) of every compiled region fail each time. 0: none.";
    perf_map: switch = false, "",
        "Write /tmp/perf-PID.map, by which the profiler perf names compiled code.";
    jitdump: text = "", "",
        "Directory for a file jit-PID.dump, from which the profiler perf (record -k mono, inject --jit) takes compiled code, its names and source lines. Empty: none.";
    journal: text = "", "",
        "File to which a line is added for each thing that is done to compiled code: when it was made, tried, judged, voided. Empty: none.";
}

/// A wrong name or value: a sentence for the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OptionError(String);

impl Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OptionError {}

impl Options {
    /// Sets an option. Texts are parsed by the option's kind; dashes in names count as underscores.
    ///
    /// # Errors
    /// An unknown name (the sentence has the nearest known one) or a value that the option does not accept.
    pub fn set(&mut self, name: &str, value: &Value) -> Result<(), OptionError> {
        let known = name.replace('-', "_");
        let row = rows().into_iter().find(|row| row.name == known).ok_or_else(|| unknown(name))?;
        let accepted = accept(&row, value).ok_or_else(|| {
            let said = if let Value::Text(text) = value { format!("'{text}'") } else { value.to_string() };
            OptionError(format!("option '{}': {said} is not {}", row.name, row.accepts))
        })?;
        self.store(row.name, accepted);
        Ok(())
    }

    /// Sets options from environment variables: `STOOP_` and the name in capitals.
    ///
    /// Variables that look like a misspelt option are errors; others of the prefix are somebody else's.
    ///
    /// # Errors
    /// As [`Options::set`], in terms of the variable.
    pub fn set_from(&mut self, variables: impl IntoIterator<Item = (String, String)>) -> Result<(), OptionError> {
        for (variable, text) in variables {
            let Some(name) = variable.strip_prefix("STOOP_").map(str::to_lowercase) else {
                continue;
            };
            let near = nearest(&name).is_some_and(|(_, distance)| distance <= 2);
            if near && !OTHERS.contains(&name.as_str()) {
                let told = |e: OptionError| OptionError(format!("environment variable {variable}: {e}"));
                self.set(&name, &Value::Text(text)).map_err(told)?;
            }
        }
        Ok(())
    }

    /// Sets options from the environment of this process.
    ///
    /// # Errors
    /// As [`Options::set_from`].
    pub fn set_from_environment(&mut self) -> Result<(), OptionError> {
        // Text that is not UTF-8 cannot be an option's.
        let text =
            |(name, value): (std::ffi::OsString, std::ffi::OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        self.set_from(std::env::vars_os().filter_map(text))
    }

    /// The passes to leave out.
    pub fn passes_off(&self) -> Vec<String> {
        split(&self.passes_off).map(str::to_owned).collect()
    }
}

/// Names after `STOOP_` that the Python side reads itself.
const OTHERS: &[&str] = &["stats"];

fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// The value as the row's kind, if the row accepts it.
fn accept(row: &Row, value: &Value) -> Option<Value> {
    match (&row.accepts, value) {
        (Accepts::Switch, Value::Switch(_)) => Some(value.clone()),
        (Accepts::Switch, Value::Number(n)) => (0..=1).contains(n).then_some(Value::Switch(*n == 1)),
        (Accepts::Switch, Value::Text(text)) => match text.to_lowercase().as_str() {
            "1" | "on" | "true" | "yes" => Some(Value::Switch(true)),
            "0" | "off" | "false" | "no" => Some(Value::Switch(false)),
            _ => None,
        },
        (Accepts::Number(range), Value::Number(n)) => range.contains(n).then_some(Value::Number(*n)),
        (Accepts::Number(range), Value::Text(text)) => text.trim().parse().ok().filter(|n| range.contains(n)).map(Value::Number),
        (Accepts::Text, Value::Text(_)) => Some(value.clone()),
        (Accepts::Passes, Value::Text(text)) => {
            let known = pass_names();
            split(text).all(|name| known.contains(&name)).then(|| value.clone())
        }
        (Accepts::Number(_), Value::Switch(_)) | (Accepts::Text | Accepts::Passes, _) => None,
    }
}

fn unknown(name: &str) -> OptionError {
    let sentence = match nearest(&name.replace('-', "_")) {
        Some((near, distance)) if distance <= near.len() / 2 => format!("did you mean '{near}'?"),
        _ => format!("known options: {}", rows().iter().map(|row| row.name).collect::<Vec<_>>().join(", ")),
    };
    OptionError(format!("unknown option '{name}'; {sentence}"))
}

/// The known name with the fewest changes from `name`, and their number.
fn nearest(name: &str) -> Option<(&'static str, usize)> {
    rows().into_iter().map(|row| (row.name, distance(name, row.name))).min_by_key(|(_, d)| *d)
}

/// Letters to insert, delete, replace, or swap with their neighbour to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(s: &str) -> Value {
        Value::Text(s.to_owned())
    }

    fn error(name: &str, value: Value) -> String {
        Options::default().set(name, &value).expect_err("must be refused").to_string()
    }

    #[test]
    fn defaults_are_the_tables_and_acceptable() {
        let table: Vec<_> = rows().into_iter().map(|row| (row.name, row.default)).collect();
        assert_eq!(Options::default().values(), table);
        for row in rows() {
            assert_eq!(accept(&row, &row.default).as_ref(), Some(&row.default), "{}", row.name);
            assert!(row.help.ends_with('.'), "{}", row.name);
        }
    }

    #[test]
    fn every_option_can_be_set_by_text() {
        for row in rows() {
            let (said, expected) = match &row.default {
                Value::Switch(v) => (if *v { "off" } else { "on" }.to_owned(), Value::Switch(!v)),
                Value::Number(v) => ((v + 1).to_string(), Value::Number(v + 1)),
                Value::Text(_) if row.accepts == Accepts::Passes => (pass_names()[0].to_owned(), text(pass_names()[0])),
                Value::Text(_) => ("there".to_owned(), text("there")),
            };
            let mut options = Options::default();
            options.set(row.name, &text(&said)).expect(row.name);
            for ((name, value), other) in options.values().into_iter().zip(rows()) {
                assert_eq!(value, if name == row.name { expected.clone() } else { other.default });
            }
        }
    }

    #[test]
    fn misspelt_names_get_the_nearest() {
        assert_eq!(error("treshold", Value::Number(1)), "unknown option 'treshold'; did you mean 'threshold'?");
        assert_eq!(error("thershold", Value::Number(1)), "unknown option 'thershold'; did you mean 'threshold'?");
        assert_eq!(error("budget-md", Value::Number(1)), "unknown option 'budget-md'; did you mean 'budget_mb'?");
        for row in rows() {
            let wrong = format!("{}x", row.name);
            assert!(error(&wrong, row.default).contains(&format!("'{}'?", row.name)));
        }
        assert!(error("zzzzzzzzzzzz", text("")).contains("known options: threshold, "));
    }

    #[test]
    fn wrong_values_are_told_what_is_accepted() {
        assert_eq!(error("threshold", text("many")), "option 'threshold': 'many' is not a whole number from 1 to 1000000");
        assert_eq!(error("threshold", Value::Number(0)), "option 'threshold': 0 is not a whole number from 1 to 1000000");
        assert!(error("threshold", Value::Switch(true)).starts_with("option 'threshold': true is not"));
        assert_eq!(error("osr", text("perhaps")), "option 'osr': 'perhaps' is not on or off (1 or 0, true or false)");
        assert!(error("passes-off", text("unroll")).contains("specialise"));
    }

    #[test]
    fn variables_are_read_by_their_prefix() {
        let mut options = Options::default();
        let environment = [("STOOP_THRESHOLD", "7"), ("STOOP_STATS", "1"), ("STOOP_HOME", "/x"), ("OTHER", "1"), ("STOOP", "1")];
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        options.set_from(owned(&environment)).expect("all fine");
        assert_eq!(options, Options { threshold: 7, ..Options::default() });
        let wrong = options.set_from(owned(&[("STOOP_TRESHOLD", "7")])).expect_err("misspelt").to_string();
        assert_eq!(wrong, "environment variable STOOP_TRESHOLD: unknown option 'treshold'; did you mean 'threshold'?");
        let wrong = options.set_from(owned(&[("STOOP_OSR", "9")])).expect_err("no switch").to_string();
        assert!(wrong.starts_with("environment variable STOOP_OSR: option 'osr': '9' is not"));
    }

    #[test]
    fn lists_of_passes_are_split() {
        let mut options = Options::default();
        let two = format!(" {}, {},", pass_names()[0], pass_names()[1]);
        options.set("passes_off", &text(&two)).expect("known passes");
        assert_eq!(options.passes_off(), pass_names()[..2]);
    }
}
