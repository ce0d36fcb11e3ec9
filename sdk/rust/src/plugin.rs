use crate::abi;
use crate::column::Column;
use crate::config::Config;
use crate::error::Result;
use crate::input::Batch;
use crate::output::Output;
use crate::text::quote;

pub(crate) type Transform = Box<dyn Fn(&Batch, &Output) -> Result<()>>;
pub(crate) type Make = Box<dyn Fn(&Config, &[Column]) -> Result<Transform>>;
pub(crate) type Derive = Box<dyn Fn(&Config, &[Column]) -> Result<Vec<Column>>>;

/// A transform: what it is called, its columns, and its function.
pub struct Plugin {
    name: String,
    version: String,
    summary: String,
    input: Option<Vec<Column>>,
    pub(crate) output: Vec<Column>,
    pub(crate) more: Vec<Vec<Column>>,
    config_schema: String,
    batch_rows_hint: u32,
    pub(crate) make: Make,
    pub(crate) derive: Option<Derive>,
}

impl Plugin {
    /// A plugin without configuration. An error or a panic of the function fails
    /// the batch: the host then tries its rows in smaller batches, to find those
    /// that are at fault. Use [`Output::row_error`] for rows known to be.
    pub fn transform(name: &str, version: &str, run: fn(&Batch, &Output) -> Result<()>) -> Plugin {
        Plugin::configured(name, version, move |_, _| Ok(run))
    }

    /// A plugin whose function is made from the model's config and the columns
    /// of its input, once, before the first batch. An error refuses the model,
    /// with its text.
    pub fn configured<M, F>(name: &str, version: &str, make: M) -> Plugin
    where
        M: Fn(&Config, &[Column]) -> Result<F> + 'static,
        F: Fn(&Batch, &Output) -> Result<()> + 'static,
    {
        Plugin {
            name: name.into(),
            version: version.into(),
            summary: String::new(),
            input: None,
            output: vec![],
            more: vec![],
            config_schema: String::new(),
            batch_rows_hint: 0,
            make: Box::new(move |config, input| Ok(Box::new(make(config, input)?) as Transform)),
            derive: None,
        }
    }

    /// One line for a listing.
    pub fn summary(mut self, summary: &str) -> Plugin {
        self.summary = summary.into();
        self
    }

    /// The columns that the function reads; any, if this is not called. The
    /// model may hand over more.
    pub fn input(mut self, columns: impl Into<Vec<Column>>) -> Plugin {
        self.input = Some(columns.into());
        self
    }

    /// The columns that it makes, which must be those of the model.
    pub fn output(mut self, columns: impl Into<Vec<Column>>) -> Plugin {
        self.output = columns.into();
        self
    }

    /// The columns of one more stream, 1 and up, for routing.
    pub fn stream(mut self, columns: impl Into<Vec<Column>>) -> Plugin {
        self.more.push(columns.into());
        self
    }

    /// Computes the columns of the output from the config and the columns of the
    /// input instead of declaring them. An error refuses the model.
    pub fn derive(mut self, derive: impl Fn(&Config, &[Column]) -> Result<Vec<Column>> + 'static) -> Plugin {
        self.derive = Some(Box::new(derive));
        self
    }

    /// A JSON Schema of the plugin's config.
    pub fn config_schema(mut self, schema: &str) -> Plugin {
        self.config_schema = schema.into();
        self
    }

    /// The number of rows that suits it.
    pub fn batch_rows_hint(mut self, rows: u32) -> Plugin {
        self.batch_rows_hint = rows;
        self
    }

    /// The JSON of calve_describe.
    pub(crate) fn describe(&self) -> String {
        let columns = |c: &[Column]| format!("[{}]", c.iter().map(describe_column).collect::<Vec<_>>().join(","));
        let input = self.input.as_deref().map_or("\"any\"".to_string(), columns);
        let output = if self.derive.is_some() { "\"derived\"".to_string() } else { columns(&self.output) };
        let mut streams = format!("{{\"stream\":{},\"columns\":{}}}", abi::STREAM_MAIN, output);
        for (i, c) in self.more.iter().enumerate() {
            streams += &format!(",{{\"stream\":{},\"columns\":{}}}", i + 1, columns(c));
        }
        let mut text = format!(
            "{{\"abi\":{},\"name\":{},\"version\":{},\"kind\":\"{}\",\"input\":{},\"outputs\":[{}]",
            abi::VERSION,
            quote(&self.name),
            quote(&self.version),
            abi::KIND_TRANSFORM,
            input,
            streams
        );
        if !self.summary.is_empty() {
            text += &format!(",\"summary\":{}", quote(&self.summary));
        }
        if !self.config_schema.is_empty() {
            text += &format!(",\"config_schema\":{}", self.config_schema);
        }
        if self.batch_rows_hint > 0 {
            text += &format!(",\"batch_rows_hint\":{}", self.batch_rows_hint);
        }
        text + "}"
    }
}

fn describe_column(c: &Column) -> String {
    let mut text = format!("{{\"name\":{},\"format\":{}", quote(&c.name), quote(&c.format));
    if c.required {
        text += ",\"nullable\":false";
    }
    if !c.children.is_empty() {
        let children: Vec<_> = c.children.iter().map(describe_column).collect();
        text += &format!(",\"children\":[{}]", children.join(","));
    }
    text + "}"
}
