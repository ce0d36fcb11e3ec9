use crate::abi;

/// Why a batch failed or a configuration is refused. Made from text with `?` or
/// `into()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub(crate) status: u32,
    pub(crate) message: String,
}

/// What a plugin's functions return.
pub type Result<T> = core::result::Result<T, Error>;

impl Error {
    /// The batch failed.
    pub fn new(message: impl Into<String>) -> Error {
        Error { status: abi::STATUS_FAILED, message: message.into() }
    }

    /// The batch failed for now: the host tries it once more.
    pub fn retry(message: impl Into<String>) -> Error {
        Error { status: abi::STATUS_RETRY, message: message.into() }
    }

    /// The batch failed, with a status of the plugin's own, from 16 on.
    pub fn with_status(status: u32, message: impl Into<String>) -> Error {
        Error { status: status.max(abi::STATUS_OWN), message: message.into() }
    }

    /// What it says.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<String> for Error {
    fn from(message: String) -> Error {
        Error::new(message)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Error {
        Error::new(message)
    }
}
