/// Declares a column or a nested field: its name, and its type as an Arrow C Data
/// format string. Make one with [`Column::long`] and the like, whose names are
/// those of data_type in a model. Columns may be null unless required.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub format: String,
    pub required: bool,
    pub children: Vec<Column>,
    /// Of a column of state: its initial value as JSON, else null.
    pub initial: Option<String>,
}

impl Column {
    fn new(name: &str, format: &str, children: Vec<Column>) -> Column {
        Column { name: name.into(), format: format.into(), required: false, children, initial: None }
    }

    /// The same column, never null.
    pub fn required(mut self) -> Column {
        self.required = true;
        self
    }

    /// The same column of state with an initial value, as JSON.
    pub fn initial(mut self, json: &str) -> Column {
        self.initial = Some(json.into());
        self
    }

    /// A column of true and false.
    pub fn boolean(name: &str) -> Column {
        Column::new(name, "b", vec![])
    }

    /// A column of 32-bit integers.
    pub fn int(name: &str) -> Column {
        Column::new(name, "i", vec![])
    }

    /// A column of 64-bit integers.
    pub fn long(name: &str) -> Column {
        Column::new(name, "l", vec![])
    }

    /// A column of 32-bit floating-point numbers.
    pub fn float(name: &str) -> Column {
        Column::new(name, "f", vec![])
    }

    /// A column of 64-bit floating-point numbers.
    pub fn double(name: &str) -> Column {
        Column::new(name, "g", vec![])
    }

    /// A column of UTF-8 text.
    pub fn string(name: &str) -> Column {
        Column::new(name, "u", vec![])
    }

    /// A column of bytes.
    pub fn binary(name: &str) -> Column {
        Column::new(name, "z", vec![])
    }

    /// A column of days since 1970-01-01.
    pub fn date(name: &str) -> Column {
        Column::new(name, "tdD", vec![])
    }

    /// A column of microseconds since 1970-01-01 00:00:00 without a time zone.
    pub fn timestamp(name: &str) -> Column {
        Column::new(name, "tsu:", vec![])
    }

    /// A column of instants: microseconds since 1970-01-01 00:00:00 UTC.
    pub fn timestamptz(name: &str) -> Column {
        Column::new(name, "tsu:UTC", vec![])
    }

    /// A column of decimals of `precision` digits (1 to 38), `scale` of them
    /// after the point.
    pub fn decimal(name: &str, precision: u8, scale: u8) -> Column {
        Column::new(name, &format!("d:{},{}", precision, scale), vec![])
    }

    /// A column of lists. Nested columns can be passed through, not read or
    /// built.
    pub fn list(name: &str, element: Column) -> Column {
        Column::new(name, "+l", vec![element])
    }

    /// A column of structs.
    pub fn structure(name: &str, fields: impl Into<Vec<Column>>) -> Column {
        Column::new(name, "+s", fields.into())
    }

    /// A column of maps. Keys are never null.
    pub fn map(name: &str, key: Column, value: Column) -> Column {
        let entries = Column::structure("entries", [key.required(), value]).required();
        Column::new(name, "+m", vec![entries])
    }
}
