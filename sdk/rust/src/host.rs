use crate::abi;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Level {
    Debug = abi::LEVEL_DEBUG,
    Info = abi::LEVEL_INFO,
    Warn = abi::LEVEL_WARN,
    Error = abi::LEVEL_ERROR,
}

/// Writes a line to the log of the pipeline. The host bounds what a batch may
/// log.
pub fn log(level: Level, message: &str) {
    if log_enabled(level) {
        imports::log(level as u32, message);
    }
}

/// Tells whether lines of that level are kept, so that making one can be spared.
pub fn log_enabled(level: Level) -> bool {
    level as u32 >= imports::log_level()
}

/// Adds to a counter of the plugin. What a batch counts that fails is not kept.
pub fn count(name: &str, delta: i64) {
    imports::count(name, delta);
}

/// Adds a value to a histogram of the plugin.
pub fn observe(name: &str, value: f64) {
    imports::observe(name, value);
}

#[cfg(target_arch = "wasm32")]
mod imports {
    #[link(wasm_import_module = "calve")]
    extern "C" {
        #[link_name = "log"]
        fn calve_log(level: u32, text: *const u8, size: usize);
        #[link_name = "log_level"]
        fn calve_log_level() -> u32;
        #[link_name = "counter_add"]
        fn calve_counter_add(name: *const u8, size: usize, delta: i64);
        #[link_name = "histogram"]
        fn calve_histogram(name: *const u8, size: usize, value: f64);
    }

    // The host reads the text before the call returns.

    pub fn log(level: u32, message: &str) {
        unsafe { calve_log(level, message.as_ptr(), message.len()) }
    }

    pub fn log_level() -> u32 {
        unsafe { calve_log_level() }
    }

    pub fn count(name: &str, delta: i64) {
        unsafe { calve_counter_add(name.as_ptr(), name.len(), delta) }
    }

    pub fn observe(name: &str, value: f64) {
        unsafe { calve_histogram(name.as_ptr(), name.len(), value) }
    }
}

/// Outside WebAssembly, in a plugin's own tests, there is no host to tell.
#[cfg(not(target_arch = "wasm32"))]
mod imports {
    pub fn log(_: u32, _: &str) {}

    pub fn log_level() -> u32 {
        crate::abi::LEVEL_WARN
    }

    pub fn count(_: &str, _: i64) {}

    pub fn observe(_: &str, _: f64) {}
}
