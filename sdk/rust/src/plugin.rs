use std::rc::Rc;

use crate::abi;
use crate::column::Column;
use crate::config::Config;
use crate::error::Result;
use crate::input::Batch;
use crate::output::Output;
use crate::state::Session;
use crate::text::quote;

pub(crate) type Transform = Box<dyn Fn(&Batch, &Output) -> Result<()>>;
pub(crate) type Decide = Box<dyn Fn(&Batch, &Batch, &Output) -> Result<()>>;
pub(crate) type Make = Box<dyn Fn(&Config, &[Column]) -> Result<Work>>;
pub(crate) type Derive = Box<dyn Fn(&Config, &[Column]) -> Result<Vec<Column>>>;

/// What a plugin does, by its kind.
pub(crate) enum Work {
    Transform(Transform),
    Session(Box<dyn Session>),
    Scd(Decide),
}

/// A plugin: what it is called, its columns, and its functions.
pub struct Plugin {
    kind: &'static str,
    name: String,
    version: String,
    summary: String,
    input: Option<Vec<Column>>,
    pub(crate) output: Vec<Column>,
    pub(crate) more: Vec<Vec<Column>>,
    pub(crate) state: Vec<Column>,
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
        let make = move |config: &Config, input: &[Column]| Ok(Work::Transform(Box::new(make(config, input)?)));
        Plugin::new(abi::KIND_TRANSFORM, name, version, Box::new(make))
    }

    /// A plugin of kind session without configuration. It needs [`Plugin::state`].
    pub fn session<S: Session + 'static>(name: &str, version: &str, session: S) -> Plugin {
        let session = Rc::new(session);
        Plugin::configured_session(name, version, move |_, _| Ok(session.clone()))
    }

    /// A plugin of kind session that is made from the model's config and the
    /// columns of its input, as [`Plugin::configured`] does.
    pub fn configured_session<M, S>(name: &str, version: &str, make: M) -> Plugin
    where
        M: Fn(&Config, &[Column]) -> Result<S> + 'static,
        S: Session + 'static,
    {
        let make = move |config: &Config, input: &[Column]| Ok(Work::Session(Box::new(make(config, input)?)));
        Plugin::new(abi::KIND_SESSION, name, version, Box::new(make))
    }

    /// A plugin of kind scd without configuration: it sets the action of each
    /// change with [`Output::action`], and the attributes to store. The changes
    /// have `_op` (string: c, u, d or r), `_effective_at` (timestamp) and the
    /// attributes; row i of the second batch is the version that row i would
    /// change, which is there if [`Batch::has`] says so. Rows cannot be dropped:
    /// ignore them.
    pub fn scd(name: &str, version: &str, decide: fn(&Batch, &Batch, &Output) -> Result<()>) -> Plugin {
        Plugin::configured_scd(name, version, move |_, _| Ok(decide))
    }

    /// A plugin of kind scd whose function is made from the model's config and
    /// the columns of its input, as [`Plugin::configured`] does.
    pub fn configured_scd<M, F>(name: &str, version: &str, make: M) -> Plugin
    where
        M: Fn(&Config, &[Column]) -> Result<F> + 'static,
        F: Fn(&Batch, &Batch, &Output) -> Result<()> + 'static,
    {
        let make = move |config: &Config, input: &[Column]| Ok(Work::Scd(Box::new(make(config, input)?)));
        Plugin::new(abi::KIND_SCD, name, version, Box::new(make))
    }

    fn new(kind: &'static str, name: &str, version: &str, make: Make) -> Plugin {
        Plugin {
            kind,
            name: name.into(),
            version: version.into(),
            summary: String::new(),
            input: None,
            output: vec![],
            more: vec![],
            state: vec![],
            config_schema: String::new(),
            batch_rows_hint: 0,
            make,
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

    /// The columns of a session's state, some with an initial value by
    /// [`Column::initial`].
    pub fn state(mut self, columns: impl Into<Vec<Column>>) -> Plugin {
        self.state = columns.into();
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
            self.kind,
            input,
            streams
        );
        if !self.state.is_empty() {
            text += &format!(",\"state\":{}", columns(&self.state));
        }
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
    if let Some(initial) = &c.initial {
        text += &format!(",\"initial\":{}", initial);
    }
    if !c.children.is_empty() {
        let children: Vec<_> = c.children.iter().map(describe_column).collect();
        text += &format!(",\"children\":[{}]", children.join(","));
    }
    text + "}"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    struct Nothing;

    impl Session for Nothing {
        fn accumulate(&self, _: &Batch, _: &[u32], _: &State) -> Result<()> {
            Ok(())
        }

        fn merge(&self, _: &State, _: &Batch) -> Result<()> {
            Ok(())
        }

        fn finish(&self, _: &Batch, _: &Output) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn descriptions_name_the_kind_and_initial_values() {
        let session = Plugin::session("s", "1", Nothing)
            .state([Column::long("views").required().initial("0"), Column::string("path").initial("\"/\"")])
            .output([Column::long("views")]);
        assert_eq!(
            session.describe(),
            concat!(
                r#"{"abi":1,"name":"s","version":"1","kind":"session","input":"any","#,
                r#""outputs":[{"stream":0,"columns":[{"name":"views","format":"l"}]}],"#,
                r#""state":[{"name":"views","format":"l","nullable":false,"initial":0},"#,
                r#"{"name":"path","format":"u","initial":"/"}]}"#
            )
        );
        let scd = Plugin::scd("d", "1", |_, _, _| Ok(())).output([Column::long("n")]);
        assert!(scd.describe().contains(r#""kind":"scd""#), "{}", scd.describe());
    }

    #[test]
    fn what_is_made_is_of_the_kind() {
        let config = Config::new("null");
        assert!(matches!((Plugin::session("s", "1", Nothing).make)(&config, &[]), Ok(Work::Session(_))));
        let refusing = Plugin::configured_session("s", "1", |_, _| -> Result<Nothing> { Err("no".into()) });
        assert!(matches!((refusing.make)(&config, &[]), Err(e) if e.message() == "no"));
    }
}
