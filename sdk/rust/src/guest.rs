//! What the exports of a module do. Only the macro `plugin!` calls it, and only
//! WebAssembly runs it: addresses have 32 bits.

use crate::abi;
use crate::column::Column;
use crate::config::{member, Config};
use crate::error::{Error, Result};
use crate::host::{log, Level};
use crate::input::Batch;
use crate::output::{pad, Outputs, Set, Slot, Stream};
use crate::plugin::{Plugin, Work};
use crate::raw::{address, at, columns_at, slice_at, ArrowArray, ArrowSchema, BatchStruct, OutputStruct, ResultStruct};
use crate::state::State;

/// The state of the instance.
#[derive(Default)]
struct Guest {
    arena: Vec<u8>, // what calve_alloc gave out
    description: String,
    opened: Option<Opened>,
    frame: Frame,
}

/// What calve_init made.
struct Opened {
    work: Work,
    input: Vec<Column>,
    beside: Vec<Column>, // of calve_finish, or of what is in force
    state: Vec<Column>,
    meta: Vec<Column>,
    outputs: Outputs,
    after: Outputs, // of calve_accumulate and calve_merge
}

static mut GUEST: Option<Guest> = None;

/// The host calls one export at a time, and no export calls another: there is one
/// reference.
fn guest() -> &'static mut Guest {
    unsafe { (*core::ptr::addr_of_mut!(GUEST)).get_or_insert_with(Guest::default) }
}

pub fn alloc(size: u32) -> u32 {
    let arena = &mut guest().arena;
    let align = abi::BUFFER_ALIGN as usize;
    let need = size as usize + align + abi::BUFFER_SLACK as usize;
    if arena.capacity() < need {
        *arena = Vec::new(); // first, so that both are never there
        if arena.try_reserve_exact(need + need / 4).is_err() && arena.try_reserve_exact(need).is_err() {
            return 0;
        }
    }
    let start = arena.as_ptr() as usize;
    ((start + align - 1) & !(align - 1)) as u32
}

pub fn describe(plugin: &Plugin) -> u64 {
    let text = &mut guest().description;
    *text = plugin.describe();
    u64::from(address(text.as_str())) << 32 | text.len() as u64
}

pub fn init(plugin: Plugin, text: u32, size: u32) -> u32 {
    std::panic::set_hook(Box::new(|info| log(Level::Error, &info.to_string())));
    let g = guest();
    let json = unsafe { slice_at(text, size as usize) };
    match open(plugin, &String::from_utf8_lossy(json), &mut g.frame) {
        Ok(opened) => {
            g.opened = Some(opened);
            address(&g.frame.result)
        }
        Err(e) => g.frame.fail(e),
    }
}

fn open(plugin: Plugin, json: &str, frame: &mut Frame) -> Result<Opened> {
    let malformed = || Error::new("malformed JSON from the host");
    let config = Config::new(member(json, "config").ok_or_else(malformed)?);
    let schema = member(json, "input_schema").and_then(|n| n.parse().ok()).ok_or_else(malformed)?;
    let input = unsafe { columns_at(schema) };
    let refused = |e: Error| Error { status: abi::STATUS_REFUSED, ..e };
    let beside = match member(json, "state_schema").and_then(|n| n.parse().ok()) {
        Some(0) | None => vec![],
        Some(schema) => unsafe { columns_at(schema) },
    };
    let work = (plugin.make)(&config, &input).map_err(refused)?;
    frame.clear();
    let mut streams = vec![plugin.output];
    if let Some(derive) = &plugin.derive {
        streams[0] = derive(&config, &input).map_err(refused)?;
        frame.announce(&streams[0]);
    }
    streams.extend(plugin.more);
    let meta = vec![Column::string(""), Column::int(""), Column::long(""), Column::timestamptz("")];
    let after = Outputs::new(vec![plugin.state.clone()]);
    Ok(Opened { work, input, beside, state: plugin.state, meta, outputs: Outputs::new(streams), after })
}

/// Runs a call on the batch at that address, and writes what `run` returns.
fn answer(batch: u32, run: for<'a> fn(&'a mut Opened, &BatchStruct) -> Result<&'a Outputs>) -> u32 {
    let Guest { frame, opened, .. } = guest();
    let result = match opened {
        Some(opened) => run(opened, unsafe { at(batch) }),
        None => Err(Error::new("a call before calve_init")),
    };
    let written = result.and_then(|outputs| {
        outputs.take_failure()?;
        frame.succeed(outputs)
    });
    match written {
        Ok(()) => address(&frame.result),
        Err(e) => frame.fail(e),
    }
}

fn not_of_kind<T>(kind: &str) -> Result<T> {
    Err(Error::new(format!("the plugin is not of kind {}", kind)))
}

pub fn process(batch: u32) -> u32 {
    answer(batch, |o, batch| {
        let input = unsafe { Batch::at(batch, &o.input, &o.meta) };
        o.outputs.begin(input.len());
        match &o.work {
            Work::Transform(transform) => transform(&input, &o.outputs.main())?,
            Work::Scd(decide) => {
                o.outputs.begin_actions();
                let in_force = unsafe { Batch::beside(batch.state, &o.beside) };
                decide(&input, &in_force, &o.outputs.main())?;
            }
            Work::Session(_) => return not_of_kind(abi::KIND_TRANSFORM),
        }
        Ok(&o.outputs)
    })
}

pub fn accumulate(batch: u32) -> u32 {
    answer(batch, |o, batch| {
        let session = match &o.work {
            Work::Session(session) => session,
            _ => return not_of_kind(abi::KIND_SESSION),
        };
        let input = unsafe { Batch::at(batch, &o.input, &o.meta) };
        let rows = unsafe { Batch::beside(batch.state, &o.state) };
        o.after.begin(rows.len());
        o.after.begin_errors(input.len());
        let state = unsafe { State::new(rows, o.after.main()) };
        session.accumulate(&input, input.groups()?, &state)?;
        state.keep();
        Ok(&o.after)
    })
}

pub fn merge(batch: u32) -> u32 {
    answer(batch, |o, batch| {
        let session = match &o.work {
            Work::Session(session) => session,
            _ => return not_of_kind(abi::KIND_SESSION),
        };
        let (into, from) = unsafe { (Batch::beside(batch.array, &o.state), Batch::beside(batch.state, &o.state)) };
        o.after.begin(into.len());
        o.after.begin_errors(0);
        let state = unsafe { State::new(into, o.after.main()) };
        session.merge(&state, &from)?;
        state.keep();
        Ok(&o.after)
    })
}

pub fn finish(batch: u32) -> u32 {
    answer(batch, |o, batch| {
        let session = match &o.work {
            Work::Session(session) => session,
            _ => return not_of_kind(abi::KIND_SESSION),
        };
        let input = unsafe { Batch::at(batch, &o.beside, &o.meta) };
        o.outputs.begin(input.len());
        session.finish(&input, &o.outputs.main())?;
        Ok(&o.outputs)
    })
}

/// The structs of one result. The host reads them until the next call; what is
/// boxed does not move.
#[derive(Default)]
struct Frame {
    result: ResultStruct,
    message: String,
    outputs: Vec<OutputStruct>,
    #[allow(clippy::vec_box)]
    arrays: Vec<Box<ArrowArray>>,
    pointers: Vec<Box<[u32]>>,
    #[allow(clippy::vec_box)]
    schemas: Vec<Box<ArrowSchema>>,
    texts: Vec<String>,
}

/// What buffers without bytes point at.
static NOWHERE: [u64; 2] = [0; 2];

impl Frame {
    fn clear(&mut self) {
        self.result = ResultStruct::default();
        self.outputs.clear();
        self.arrays.clear();
        self.pointers.clear();
    }

    fn fail(&mut self, e: Error) -> u32 {
        self.clear();
        self.message = e.message;
        self.result.status = e.status;
        self.result.message = address(self.message.as_str());
        self.result.message_size = self.message.len() as u32;
        address(&self.result)
    }

    /// Writes the result of calve_init for a derived output.
    fn announce(&mut self, columns: &[Column]) {
        let root = Column {
            name: String::new(),
            format: "+s".into(),
            required: true,
            children: columns.to_vec(),
            initial: None,
        };
        let schema = self.schema(&root);
        self.outputs.push(OutputStruct { stream: abi::STREAM_MAIN, schema, ..OutputStruct::default() });
        self.result.n_outputs = 1;
        self.result.outputs = address(&self.outputs[0]);
    }

    fn schema(&mut self, column: &Column) -> u32 {
        let children: Vec<u32> = column.children.iter().map(|c| self.schema(c)).collect();
        let schema = Box::new(ArrowSchema {
            format: self.text(&column.format),
            name: self.text(&column.name),
            flags: if column.required { 0 } else { i64::from(abi::FLAG_NULLABLE) },
            n_children: children.len() as i64,
            children: self.pointers(children),
            ..ArrowSchema::default()
        });
        self.schemas.push(schema);
        address(&**self.schemas.last().unwrap())
    }

    fn text(&mut self, text: &str) -> u32 {
        self.texts.push(format!("{}\0", text));
        address(self.texts.last().unwrap().as_str())
    }

    fn pointers(&mut self, pointers: Vec<u32>) -> u32 {
        self.pointers.push(pointers.into_boxed_slice());
        address(&**self.pointers.last().unwrap())
    }

    fn array(&mut self, array: ArrowArray) -> u32 {
        self.arrays.push(Box::new(array));
        address(&**self.arrays.last().unwrap())
    }

    fn table(&mut self, rows: usize, children: Vec<u32>) -> u32 {
        let array = ArrowArray {
            length: rows as i64,
            n_buffers: 1,
            n_children: children.len() as i64,
            buffers: address(&NOWHERE),
            children: self.pointers(children),
            ..ArrowArray::default()
        };
        self.array(array)
    }

    fn column(&mut self, rows: usize, null_count: i64, buffers: Vec<u32>) -> u32 {
        let array = ArrowArray {
            length: rows as i64,
            null_count,
            n_buffers: buffers.len() as i64,
            buffers: self.pointers(buffers),
            ..ArrowArray::default()
        };
        self.array(array)
    }

    /// Writes the outputs that the transform touched.
    fn succeed(&mut self, all: &Outputs) -> Result<()> {
        self.clear();
        for (number, stream) in all.streams.iter().enumerate() {
            if stream.used.get() || number == abi::STREAM_MAIN as usize {
                let output = self.output(all, stream)?;
                self.outputs.push(OutputStruct { stream: number as u32, ..output });
            }
        }
        self.result.n_outputs = self.outputs.len() as u32;
        self.result.outputs = address(self.outputs.as_slice());
        self.result.row_errors = self.row_errors(all);
        Ok(())
    }

    fn output(&mut self, all: &Outputs, stream: &Stream) -> Result<OutputStruct> {
        let (rows, own) = (all.len(stream), stream.own.get());
        if own && stream.selects.get() {
            return Err(Error::new("an output with rows of its own cannot drop rows: do not add them"));
        }
        let mut children = Vec::with_capacity(stream.columns.len() + 1);
        if let Some(actions) = all.actions.borrow().as_ref() {
            let values = if actions.is_empty() { address(&NOWHERE) } else { address(actions.as_slice()) };
            children.push(self.column(rows, 0, vec![0, values]));
        }
        for (column, slot) in stream.columns.iter().zip(&stream.slots) {
            let slot = &mut *slot.borrow_mut();
            children.push(match slot.set {
                Set::Nothing => return Err(Error::new(format!("output column \"{}\" was not set", column.name))),
                Set::Passed(_) if own => {
                    return Err(Error::new(format!(
                        "output column \"{}\": a column cannot be passed through to an output with rows of its own",
                        column.name
                    )))
                }
                Set::Passed(source) => source,
                _ => self.built(slot, rows),
            });
        }
        let mut output = OutputStruct { array: self.table(rows, children), ..OutputStruct::default() };
        if stream.selects.get() {
            output.selection = address(stream.selection.borrow().as_slice());
        }
        if own {
            output.rows = address(stream.rows_of.borrow().as_slice());
        }
        Ok(output)
    }

    /// Writes a column that was built, with null for rows that were not set.
    fn built(&mut self, slot: &mut Slot, rows: usize) -> u32 {
        let bytes = (rows + 7) / 8;
        slot.valid.resize(bytes, 0);
        let mut buffers = vec![address(slot.valid.as_slice())];
        match slot.set {
            Set::Text => {
                pad(&mut slot.offsets, rows + 1);
                buffers.push(address(slot.offsets.as_slice()));
                buffers.push(address(slot.bytes.as_slice()));
            }
            Set::Booleans => {
                slot.bytes.resize(bytes, 0);
                buffers.push(address(slot.bytes.as_slice()));
            }
            _ => buffers.push(slot.numbers.finish(rows)),
        }
        self.column(rows, -1, buffers)
    }

    fn row_errors(&mut self, all: &Outputs) -> u32 {
        let errors = all.errors.borrow();
        let n = errors.rows.len();
        if n == 0 {
            return 0;
        }
        let mut children = vec![self.column(n, 0, vec![0, address(errors.rows.as_slice())])];
        for t in &errors.texts {
            children.push(self.column(n, 0, vec![0, address(t.offsets.as_slice()), address(t.bytes.as_slice())]));
        }
        self.table(n, children)
    }
}
