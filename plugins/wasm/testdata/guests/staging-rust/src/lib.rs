//! The transform of guests/staging in Rust: renames, a cast, two fills, a filter
//! and a derived column.

use calve::{parse_timestamp, Batch, Column, Output, Plugin, Result};

calve::plugin!(Plugin::transform("staging", "1.0.0", staging)
    .input([
        Column::long("id"),
        Column::int("qty"),
        Column::double("price"),
        Column::double("discount"),
        Column::string("status"),
        Column::string("email"),
        Column::string("event_time"),
    ])
    .output([
        Column::long("event_id"),
        Column::double("amount"),
        Column::string("status"),
        Column::string("email"),
        Column::timestamptz("event_time"),
    ]));

fn staging(input: &Batch, out: &Output) -> Result<()> {
    out.pass("event_id", input.column("id")?)?;
    out.pass("status", input.column("status")?)?;
    let (price, qty, discount) =
        (input.double("price")?.values(), input.int("qty")?.values(), input.double("discount")?);
    for (i, amount) in out.double("amount")?.values().iter_mut().enumerate() {
        *amount = price[i] * f64::from(qty[i]) * (1.0 - discount.or(i, 0.0));
    }
    let (email, mut to) = (input.string("email")?, out.string("email")?);
    let (text, mut at) = (input.string("event_time")?, out.timestamp("event_time")?);
    for i in 0..input.len() {
        to.set(i, email.or(i, "unknown"));
        if let Some(us) = parse_timestamp(text.at(i)) {
            at.set(i, us);
        }
    }
    let status = input.string("status")?;
    out.keep(|i| status.at(i) != "deleted");
    Ok(())
}
