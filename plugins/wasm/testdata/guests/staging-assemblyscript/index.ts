// The transform of guests/staging in AssemblyScript: renames, a cast, two fills, a
// filter and a derived column.
import {
  Batch, Column, NO_TIMESTAMP, Output, Plugin, Text, parseTimestamp, register,
} from "../../../../../sdk/assemblyscript/assembly";
export * from "../../../../../sdk/assemblyscript/assembly/exports";

const UNKNOWN = Text.of("unknown");
const DELETED = Text.of("deleted");

function staging(input: Batch, out: Output): void {
  out.pass("event_id", input.column("id"));
  out.pass("status", input.column("status"));
  const price = input.double("price"), qty = input.int("qty"), discount = input.double("discount");
  const amount = out.double("amount").values();
  for (let i = 0; i < input.rows; i++) amount[i] = price[i] * qty[i] * (1 - discount.or(i, 0));

  const email = input.string("email"), time = input.string("event_time"), status = input.string("status");
  const to = out.string("email"), at = out.timestamp("event_time");
  for (let i = 0; i < input.rows; i++) {
    to.set(i, email.or(i, UNKNOWN));
    const us = parseTimestamp(time[i]);
    if (us != NO_TIMESTAMP) at.set(i, us);
    if (status[i] == DELETED) out.drop(i);
  }
}

register(
  new Plugin("staging", "1.0.0", staging)
    .input([
      Column.long("id"), Column.int("qty"), Column.double("price"), Column.double("discount"), Column.string("status"),
      Column.string("email"), Column.string("event_time"),
    ])
    .output([
      Column.long("event_id"), Column.double("amount"), Column.string("status"), Column.string("email"),
      Column.timestamptz("event_time"),
    ]),
);
