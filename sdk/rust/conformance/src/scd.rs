//! The conformance plugin of the Rust SDK for dimensions: sdk/conformance/README.md
//! says what it does.

use calve::{Action, Batch, Column, Config, Output, Plugin, Result};

calve::plugin!(Plugin::configured_scd("conformance", "1.2.3", configure)
    .summary("decides on changes")
    .batch_rows_hint(1024)
    .input([Column::string("name"), Column::string("city"), Column::long("points"), Column::binary("raw")])
    .output([
        Column::string("name"),
        Column::string("city"),
        Column::long("points"),
        Column::binary("raw"),
        Column::string("before"),
        Column::timestamptz("since"),
    ]));

type Decide = fn(&Batch, &Batch, &Output) -> Result<()>;

fn configure(config: &Config, _: &[Column]) -> Result<Decide> {
    match config.text() {
        "\"refuse\"" => Err("this config is refused".into()),
        _ => Ok(decide),
    }
}

fn decide(changes: &Batch, in_force: &Batch, out: &Output) -> Result<()> {
    act(changes, in_force, out)?;
    let (name, old_name) = (changes.string("name")?, in_force.string("name")?);
    let (points, old_points) = (changes.long("points")?, in_force.long("points")?);
    let (mut names, mut before, mut sum) = (out.string("name")?, out.string("before")?, out.long("points")?);
    for i in 0..changes.len() {
        if let Some(known) = name.get(i).or_else(|| old_name.get(i)) {
            names.set(i, known);
        }
        if in_force.has(i) {
            before.set(i, old_name.or(i, "(nobody)"));
        }
        if !points.is_null(i) || !old_points.is_null(i) {
            sum.set(i, points.or(i, 0) + old_points.or(i, 0));
        }
    }
    out.pass("city", changes.column("city")?)?;
    out.pass("raw", changes.column("raw")?)?;
    out.pass("since", changes.column("_effective_at")?)
}

fn act(changes: &Batch, in_force: &Batch, out: &Output) -> Result<()> {
    let (op, name, old_name) = (changes.string("_op")?, changes.string("name")?, in_force.string("name")?);
    let (city, old_city) = (changes.string("city")?, in_force.string("city")?);
    for i in 0..changes.len() {
        match (name.at(i), op.at(i)) {
            ("trap", _) => panic!("it traps"),
            ("fail", _) => return Err(format!("change {} fails", i).into()),
            ("refuse", _) => out.row_error(i, "refused", "name", "this change is refused"),
            (_, "d") => out.action(i, Action::Delete),
            (_, "r") => {} // without an action a change is ignored
            _ if !in_force.has(i) || city.get(i) != old_city.get(i) => out.action(i, Action::NewVersion),
            _ if name.get(i) != old_name.get(i) => out.action(i, Action::Overwrite),
            _ => out.action(i, Action::Ignore),
        }
    }
    Ok(())
}
