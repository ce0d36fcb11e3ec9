//! The conformance plugin of the Rust SDK: sdk/conformance/README.md says what
//! each mode does.

use calve::{count, log, observe, parse_timestamp, Batch, Column, Config, Level, Output, Plugin, Result};

calve::plugin!(Plugin::configured("conformance", "1.2.3", Mode::new)
    .summary("does \"what its config says\"")
    .config_schema("{\"type\":\"object\"}")
    .batch_rows_hint(4096)
    .derive(derive)
    .stream([Column::long("id"), Column::string("why")]));

/// What the plugin was configured to do.
struct Mode {
    config: Config,
    input: Vec<Column>,
}

impl Mode {
    #[allow(clippy::new_ret_no_self)]
    fn new(config: &Config, input: &[Column]) -> Result<impl Fn(&Batch, &Output) -> Result<()>> {
        let name = config.string("mode").unwrap_or_default();
        let run = run_of(&name).ok_or_else(|| format!("mode \"{}\" is unknown", name))?;
        let mode = Mode { config: config.clone(), input: input.to_vec() };
        Ok(move |input: &Batch, out: &Output| run(&mode, input, out))
    }

    fn pass(&self, input: &Batch, out: &Output) -> Result<()> {
        for c in &self.input {
            out.pass(&c.name, input.column(&c.name)?)?;
        }
        Ok(())
    }
}

fn derive(config: &Config, input: &[Column]) -> Result<Vec<Column>> {
    Ok(match config.string("mode").unwrap_or_default().as_str() {
        "fill" => vec![Column::string("text")],
        "explode" => vec![Column::long("id").required(), Column::string("word").required()],
        "sparse" => vec![
            Column::long("number"),
            Column::string("word"),
            Column::binary("raw"),
            Column::boolean("flag"),
            Column::decimal("amount", 20, 2),
        ],
        "timestamps" => vec![Column::timestamptz("at")],
        "positions" => {
            vec![Column::string("topic"), Column::int("partition"), Column::long("offset"), Column::timestamptz("at")]
        }
        "config" => {
            vec![Column::string("text"), Column::double("number"), Column::long("count"), Column::boolean("flag")]
        }
        _ => input.to_vec(),
    })
}

type Run = fn(&Mode, &Batch, &Output) -> Result<()>;

fn run_of(mode: &str) -> Option<Run> {
    Some(match mode {
        "pass" => Mode::pass,
        "copy" => copy,
        "values" => values,
        "even" => even,
        "errors" => errors,
        "fill" => fill,
        "explode" => explode,
        "route" => route,
        "sparse" => sparse,
        "timestamps" => timestamps,
        "positions" => positions,
        "config" => members,
        "log" => logs,
        "metrics" => metrics,
        "fail" => fail,
        "trap" => trap,
        "forget" => |_, _, _| Ok(()),
        "missing" => |_, input, _| input.long("nope").map(|_| ()),
        "mistype" => |_, input, _| input.long("text").map(|_| ()),
        "undeclared" => |_, _, out| out.long("nope").map(|_| ()),
        "misbuild" => |_, _, out| out.long("text").map(|_| ()),
        "backwards" => backwards,
        "nostream" => |_, _, out| out.stream(7).map(|_| ()),
        "ownpass" => ownpass,
        _ => return None,
    })
}

macro_rules! copy {
    ($input:ident, $out:ident, $name:expr, $kind:ident) => {{
        let (from, mut to) = ($input.$kind($name)?, $out.$kind($name)?);
        for i in 0..$input.len() {
            if let Some(v) = from.get(i) {
                to.set(i, v);
            }
        }
    }};
}

fn copy(mode: &Mode, input: &Batch, out: &Output) -> Result<()> {
    for c in &mode.input {
        let name = c.name.as_str();
        match c.format.as_str() {
            "b" => copy!(input, out, name, boolean),
            "i" => copy!(input, out, name, int),
            "l" => copy!(input, out, name, long),
            "f" => copy!(input, out, name, float),
            "g" => copy!(input, out, name, double),
            "u" => copy!(input, out, name, string),
            "z" => copy!(input, out, name, binary),
            "tdD" => copy!(input, out, name, date),
            f if f.starts_with("ts") => copy!(input, out, name, timestamp),
            f if f.starts_with("d:") => copy!(input, out, name, decimal),
            _ => out.pass(name, input.column(name)?)?,
        }
    }
    Ok(())
}

fn values(mode: &Mode, input: &Batch, out: &Output) -> Result<()> {
    mode.pass(input, out)?;
    let mut to = out.long("id")?;
    for (to, from) in to.values().iter_mut().zip(input.long("id")?.values()) {
        *to = 2 * from;
    }
    Ok(())
}

fn even(mode: &Mode, input: &Batch, out: &Output) -> Result<()> {
    let id = input.long("id")?;
    out.keep(|i| id.at(i) % 2 == 0);
    mode.pass(input, out)
}

fn errors(mode: &Mode, input: &Batch, out: &Output) -> Result<()> {
    let id = input.long("id")?;
    for i in 0..input.len() {
        let v = id.at(i);
        if v % 3 == 0 {
            out.row_error(i, "by_three", "id", &format!("id {} is divisible by 3", v));
            out.row_error(i, "again", "", "the first error of a row counts");
        } else if v % 5 == 0 {
            out.drop_row(i);
        }
    }
    mode.pass(input, out)
}

fn fill(_: &Mode, input: &Batch, out: &Output) -> Result<()> {
    let (text, mut to) = (input.string("text")?, out.string("text")?);
    to.reserve(8 * input.len());
    for i in 0..input.len() {
        to.set(i, text.or(i, "(no"));
        if text.is_null(i) {
            to.append("ne)");
        }
    }
    Ok(())
}

fn explode(_: &Mode, input: &Batch, out: &Output) -> Result<()> {
    out.own_rows();
    let (ids, texts) = (input.long("id")?, input.string("text")?);
    let (mut id, mut word) = (out.long("id")?, out.string("word")?);
    for i in 0..input.len() {
        for w in texts.at(i).split(' ').filter(|w| !w.is_empty()) {
            let row = out.add_row(i);
            id.set(row, ids.at(i));
            word.set(row, w);
        }
    }
    Ok(())
}

fn route(mode: &Mode, input: &Batch, out: &Output) -> Result<()> {
    let (id, other) = (input.long("id")?, out.stream(1)?);
    for i in (0..input.len()).filter(|&i| id.at(i) < 0) {
        out.drop_row(i);
        other.own_rows();
        let row = other.add_row(i);
        other.long("id")?.set(row, id.at(i));
        other.string("why")?.set(row, "negative");
    }
    mode.pass(input, out)
}

fn sparse(_: &Mode, input: &Batch, out: &Output) -> Result<()> {
    let (id, text) = (input.long("id")?, input.string("text")?);
    let (mut number, mut word, mut raw) = (out.long("number")?, out.string("word")?, out.binary("raw")?);
    let (mut flag, mut amount) = (out.boolean("flag")?, out.decimal("amount")?);
    for i in (0..input.len()).rev() {
        number.set(i, id.at(i));
    }
    for i in 0..input.len() {
        if i % 4 == 0 {
            number.set_null(i);
        }
        if i % 3 == 0 {
            word.set(i, text.at(i));
            raw.set(i, text.at(i).as_bytes());
        }
        if i % 2 == 0 {
            flag.set(i, id.at(i) % 2 != 0);
        } else {
            amount.set(i, id.at(i).into());
        }
    }
    Ok(())
}

fn timestamps(_: &Mode, input: &Batch, out: &Output) -> Result<()> {
    let (text, mut at) = (input.string("text")?, out.timestamp("at")?);
    for i in 0..input.len() {
        if let Some(us) = parse_timestamp(text.at(i)) {
            at.set(i, us);
        }
    }
    Ok(())
}

fn positions(_: &Mode, input: &Batch, out: &Output) -> Result<()> {
    let (mut topic, mut partition) = (out.string("topic")?, out.int("partition")?);
    let (mut offset, mut at) = (out.long("offset")?, out.timestamp("at")?);
    for i in 0..input.len() {
        if let Some(p) = input.position(i) {
            topic.set(i, p.topic);
            partition.set(i, p.partition);
            offset.set(i, p.offset);
            at.set(i, p.timestamp);
        }
    }
    if let Some(us) = input.watermark() {
        count("watermark", us);
    }
    Ok(())
}

fn members(mode: &Mode, input: &Batch, out: &Output) -> Result<()> {
    let (mut text, mut number) = (out.string("text")?, out.double("number")?);
    let (mut whole, mut flag) = (out.long("count")?, out.boolean("flag")?);
    for i in 0..input.len() {
        if let Some(v) = mode.config.string("text") {
            text.set(i, &v);
        }
        if let Some(v) = mode.config.double("number") {
            number.set(i, v);
        }
        if let Some(v) = mode.config.long("count") {
            whole.set(i, v);
        }
        if let Some(v) = mode.config.boolean("flag") {
            flag.set(i, v);
        }
    }
    Ok(())
}

fn logs(mode: &Mode, input: &Batch, out: &Output) -> Result<()> {
    let text = mode.config.string("text").unwrap_or_default();
    log(Level::Info, &format!("an info line: {}", text));
    log(Level::Debug, "a debug line");
    mode.pass(input, out)
}

fn metrics(mode: &Mode, input: &Batch, out: &Output) -> Result<()> {
    count("batches", 1);
    count("rows", input.len() as i64);
    observe("sizes", input.len() as f64);
    observe("sizes", 0.5);
    mode.pass(input, out)
}

/// The first row whose text is that.
fn row_with(input: &Batch, wanted: &str) -> Result<Option<usize>> {
    let text = input.string("text")?;
    Ok((0..input.len()).find(|&i| text.at(i) == wanted))
}

fn fail(mode: &Mode, input: &Batch, out: &Output) -> Result<()> {
    match row_with(input, "fail")? {
        Some(row) => Err(format!("row {} is refused", row).into()),
        None => mode.pass(input, out),
    }
}

fn trap(mode: &Mode, input: &Batch, out: &Output) -> Result<()> {
    if row_with(input, "trap")?.is_some() {
        panic!("a row traps");
    }
    mode.pass(input, out)
}

fn backwards(mode: &Mode, input: &Batch, out: &Output) -> Result<()> {
    mode.pass(input, out)?;
    let mut text = out.string("text")?;
    text.set(1, "b");
    text.set(0, "a");
    Ok(())
}

fn ownpass(_: &Mode, input: &Batch, out: &Output) -> Result<()> {
    out.own_rows();
    out.pass("id", input.column("id")?)
}
