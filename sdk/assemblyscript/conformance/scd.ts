// The conformance plugin of the AssemblyScript SDK for dimensions:
// sdk/conformance/README.md says what it does.
import { Action, Batch, Column, Config, Output, Plugin, Text, Texts, fail, register } from "../assembly";
export * from "../assembly/exports";

const TRAP = Text.of("trap"), FAIL = Text.of("fail"), REFUSE = Text.of("refuse");
const DELETED = Text.of("d"), READ = Text.of("r"), NOBODY = Text.of("(nobody)");

register(
  Plugin.scd("conformance", "1.2.3", decide)
    .summary("decides on changes")
    .batchRowsHint(1024)
    .input([Column.string("name"), Column.string("city"), Column.long("points"), Column.binary("raw")])
    .output([
      Column.string("name"), Column.string("city"), Column.long("points"), Column.binary("raw"),
      Column.string("before"), Column.timestamptz("since"),
    ])
    .configure((config: Config, input: Column[]) => {
      if (config.json.toString() == '"refuse"') fail("this config is refused");
    }),
);

function decide(changes: Batch, inForce: Batch, out: Output): void {
  act(changes, inForce, out);
  const name = changes.string("name"), oldName = inForce.string("name");
  const points = changes.long("points"), oldPoints = inForce.long("points");
  const names = out.string("name"), before = out.string("before"), sum = out.long("points");
  for (let i = 0; i < changes.rows; i++) {
    const known = name.isNull(i) ? oldName : name;
    if (!known.isNull(i)) names.set(i, known[i]);
    if (inForce.has(i)) before.set(i, oldName.or(i, NOBODY));
    if (!points.isNull(i) || !oldPoints.isNull(i)) sum.set(i, points.or(i, 0) + oldPoints.or(i, 0));
  }
  out.pass("city", changes.column("city"));
  out.pass("raw", changes.column("raw"));
  out.pass("since", changes.column("_effective_at"));
}

function act(changes: Batch, inForce: Batch, out: Output): void {
  const op = changes.string("_op"), name = changes.string("name"), oldName = inForce.string("name");
  const city = changes.string("city"), oldCity = inForce.string("city");
  for (let i = 0; i < changes.rows; i++) {
    if (name[i] == TRAP) unreachable();
    if (name[i] == FAIL) fail(`change ${i} fails`);
    if (name[i] == REFUSE) out.rowError(i, "refused", "name", "this change is refused");
    else if (op[i] == DELETED) out.action(i, Action.Delete);
    else if (op[i] == READ) continue; // without an action a change is ignored
    else if (!inForce.has(i) || !same(city, oldCity, i)) out.action(i, Action.NewVersion);
    else if (!same(name, oldName, i)) out.action(i, Action.Overwrite);
    else out.action(i, Action.Ignore);
  }
}

// Whether the texts of row i are equal, or both null.
function same(a: Texts, b: Texts, i: i32): bool {
  return a.isNull(i) == b.isNull(i) && a[i] == b[i];
}
