//! The conformance plugin of the Rust SDK for sessions: sdk/conformance/README.md
//! says what it does.

use calve::{Batch, Column, Config, Output, Plugin, Result, Session, State};

calve::plugin!(Plugin::configured_session("conformance", "1.2.3", configure)
    .summary("sums up sessions")
    .batch_rows_hint(65536)
    .input([
        Column::boolean("flag"),
        Column::int("small"),
        Column::long("big"),
        Column::float("single"),
        Column::double("double"),
        Column::decimal("amount", 20, 2),
        Column::string("text"),
        Column::binary("raw"),
        Column::date("day"),
        Column::timestamp("at"),
        Column::timestamptz("at_utc"),
    ])
    .state([
        Column::long("rows").required().initial("0"),
        Column::boolean("flag").initial("false"),
        Column::int("small").initial("-1"),
        Column::long("big"),
        Column::float("single").initial("0.5"),
        Column::double("double"),
        Column::decimal("amount", 20, 2).initial("\"1.50\""),
        Column::date("day"),
        Column::timestamp("at"),
        Column::timestamptz("at_utc").initial("\"2026-01-01T00:00:00Z\""),
        Column::string("texts").initial("\"\""),
        Column::binary("raw"),
        Column::string("kept").required().initial("\"as \\\"it\\\" was\""),
        Column::list("list", Column::string("element")).initial("[\"a\"]"),
    ])
    .output([
        Column::long("rows").required(),
        Column::boolean("flag"),
        Column::int("small"),
        Column::long("big"),
        Column::float("single"),
        Column::double("double"),
        Column::decimal("amount", 20, 2),
        Column::date("day"),
        Column::timestamp("at"),
        Column::timestamptz("at_utc"),
        Column::string("texts"),
        Column::binary("raw"),
        Column::string("kept").required(),
        Column::list("list", Column::string("element")),
        Column::string("key"),
        Column::timestamptz("began"),
        Column::timestamptz("ended"),
        Column::long("events"),
        Column::boolean("closed"),
    ]));

struct Sums;

fn configure(config: &Config, _: &[Column]) -> Result<Sums> {
    match config.text() {
        "\"refuse\"" => Err("this config is refused".into()),
        _ => Ok(Sums),
    }
}

/// Does something with each column of fixed width that rows and state have in
/// common.
macro_rules! each_column {
    ($do:ident) => {
        $do!(flag, boolean);
        $do!(small, int);
        $do!(big, long);
        $do!(single, float);
        $do!(double, double);
        $do!(amount, decimal);
        $do!(day, date);
        $do!(at, timestamp);
        $do!(at_utc, timestamp);
    };
}

/// Collects what changes the columns of state: by what is not null in a row, or to
/// null.
macro_rules! columns {
    ($from:expr, $state:expr, $columns:ident) => {
        macro_rules! column {
            ($name:ident, $kind:ident) => {
                let mut $name = ($from.$kind(stringify!($name))?, $state.$kind(stringify!($name))?);
                $columns.push(Box::new(move |change| match change {
                    Change::Take(i, g) => {
                        if let Some(v) = $name.0.get(i) {
                            $name.1.set(g, v);
                        }
                    }
                    Change::Forget(g) => $name.1.set_null(g),
                }));
            };
        }
        each_column!(column);
    };
}

/// What happens to row g of the state.
#[derive(Clone, Copy)]
enum Change {
    Take(usize, usize),
    Forget(usize),
}

/// Does what the text asks for; true if it asks for a row error.
fn refuses(what: &str, text: &str, i: usize) -> Result<bool> {
    match text {
        "trap" => panic!("it traps"),
        "fail" => Err(format!("{} {} fails", what, i).into()),
        _ => Ok(text == "refuse"),
    }
}

impl Session for Sums {
    fn accumulate(&self, input: &Batch, groups: &[u32], state: &State) -> Result<()> {
        let mut columns: Vec<Box<dyn FnMut(Change) + '_>> = vec![];
        columns!(input, state, columns);
        let mut rows = state.long("rows")?;
        let (text, raw) = (input.string("text")?, input.binary("raw")?);
        let (old_text, old_raw) = (state.string("texts")?, state.binary("raw")?);
        let (mut texts, mut raws) = (state.build_string("texts")?, state.build_binary("raw")?);
        let mut i = 0;
        for g in 0..state.len() {
            let mut last = old_raw.get(g);
            texts.set(g, old_text.at(g));
            while i < input.len() && groups[i] as usize == g {
                let row = i;
                i += 1;
                if refuses("row", text.at(row), row)? {
                    state.row_error(row, "refused", "text", "this row is refused");
                    continue;
                }
                rows.values()[g] += 1;
                if text.at(row) == "forget" {
                    columns.iter_mut().for_each(|c| c(Change::Forget(g)));
                    continue;
                }
                columns.iter_mut().for_each(|c| c(Change::Take(row, g)));
                texts.append(text.at(row));
                last = raw.get(row).or(last);
            }
            if let Some(v) = last {
                raws.set(g, v);
            }
        }
        Ok(())
    }

    fn merge(&self, into: &State, from: &Batch) -> Result<()> {
        let mut columns: Vec<Box<dyn FnMut(Change) + '_>> = vec![];
        columns!(from, into, columns);
        let (mut rows, more) = (into.long("rows")?, from.long("rows")?);
        let (text, new_text) = (into.string("texts")?, from.string("texts")?);
        let (raw, new_raw) = (into.binary("raw")?, from.binary("raw")?);
        let (mut texts, mut raws) = (into.build_string("texts")?, into.build_binary("raw")?);
        for i in 0..into.len() {
            if refuses("pair", new_text.at(i), i)? {
                into.row_error(i, "refused", "texts", "no pair is refused");
            }
            rows.values()[i] += more.at(i);
            columns.iter_mut().for_each(|c| c(Change::Take(i, i)));
            texts.set(i, text.at(i));
            texts.append("+");
            texts.append(new_text.at(i));
            if let Some(v) = new_raw.get(i).or_else(|| raw.get(i)) {
                raws.set(i, v);
            }
        }
        Ok(())
    }

    fn finish(&self, input: &Batch, out: &Output) -> Result<()> {
        let texts = input.string("texts")?;
        for i in 0..input.len() {
            if refuses("session", texts.at(i), i)? {
                out.row_error(i, "refused", "texts", "this session is refused");
            }
            if texts.at(i) == "drop" {
                out.drop_row(i);
            }
        }
        let state = [
            "rows", "flag", "small", "big", "single", "double", "amount", "day", "at", "at_utc", "texts", "raw",
            "kept", "list",
        ];
        for name in state {
            out.pass(name, input.column(name)?)?;
        }
        out.pass("key", input.column("_key")?)?;
        out.pass("began", input.column("_start")?)?;
        out.pass("ended", input.column("_end")?)?;
        out.pass("events", input.column("_count")?)?;
        out.pass("closed", input.column("_closed")?)
    }
}
