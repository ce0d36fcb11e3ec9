//! SDK for Calve plugins written in Rust: no dependency, Rust 1.63 or later.
//!
//! A transform is one function from a batch of rows to columns:
//!
//! ```
//! use calve::{Batch, Column, Output, Plugin, Result};
//!
//! calve::plugin!(Plugin::transform("orders", "1.0.0", gross)
//!     .input([Column::long("id"), Column::double("price")])
//!     .output([Column::long("order_id"), Column::double("gross")]));
//!
//! fn gross(input: &Batch, out: &Output) -> Result<()> {
//!     out.pass("order_id", input.column("id")?)?; // the same column, not copied
//!     let (price, mut to) = (input.double("price")?, out.double("gross")?);
//!     for i in 0..input.len() {
//!         match price.get(i) {
//!             None => {} // rows not set are null
//!             Some(p) if p < 0.0 => out.row_error(i, "negative_price", "price", "a price cannot be negative"),
//!             Some(p) => to.set(i, p * 1.2),
//!         }
//!     }
//!     Ok(())
//! }
//! # fn main() {}
//! ```
//!
//! The same input must give the same output: there is no clock, no randomness,
//! no file and no network, and a transform keeps nothing from one batch to the
//! next, since any instance may get any batch.
//!
//! # Unsafe code
//!
//! An author needs none. Inside, `guest` and `raw` read what the host wrote and
//! hand out addresses of what the plugin built; both are bound to one call. What
//! they rely on is the contract of the ABI: the host's structs are well-formed,
//! its buffers aligned, its text UTF-8, and it calls one export at a time.

#[allow(dead_code)] // it is the whole ABI, of which a guest needs a part
mod abi;
mod column;
mod config;
mod error;
#[doc(hidden)]
pub mod guest;
mod host;
mod input;
mod output;
mod plugin;
mod raw;
mod state;
mod text;
mod time;

pub use column::Column;
pub use config::Config;
pub use error::{Error, Result};
pub use host::{count, log, log_enabled, observe, Level};
pub use input::{Batch, Binaries, Booleans, Numbers, Position, Strings, Values};
pub use output::{Action, BinaryBuilder, BooleanBuilder, Number, NumberBuilder, Output, StringBuilder};
pub use plugin::Plugin;
pub use state::{Session, State, StateBooleans, StateNumbers};
pub use time::{parse_date, parse_timestamp};

/// Makes a [`Plugin`] the module's plugin. Use it once, at the top of the crate.
#[macro_export]
macro_rules! plugin {
    ($plugin:expr) => {
        #[cfg(target_arch = "wasm32")]
        mod calve_exports {
            use super::*;

            #[no_mangle]
            pub extern "C" fn calve_abi_1() {}

            #[no_mangle]
            pub extern "C" fn calve_alloc(size: u32) -> u32 {
                $crate::guest::alloc(size)
            }

            #[no_mangle]
            pub extern "C" fn calve_describe() -> u64 {
                $crate::guest::describe(&$plugin)
            }

            #[no_mangle]
            pub extern "C" fn calve_init(address: u32, size: u32) -> u32 {
                $crate::guest::init($plugin, address, size)
            }

            #[no_mangle]
            pub extern "C" fn calve_process(batch: u32) -> u32 {
                $crate::guest::process(batch)
            }

            #[no_mangle]
            pub extern "C" fn calve_accumulate(batch: u32) -> u32 {
                $crate::guest::accumulate(batch)
            }

            #[no_mangle]
            pub extern "C" fn calve_merge(batch: u32) -> u32 {
                $crate::guest::merge(batch)
            }

            #[no_mangle]
            pub extern "C" fn calve_finish(batch: u32) -> u32 {
                $crate::guest::finish(batch)
            }

            #[no_mangle]
            pub extern "C" fn calve_close() {}
        }

        #[cfg(not(target_arch = "wasm32"))]
        #[allow(dead_code)]
        fn calve_plugin() -> $crate::Plugin {
            $plugin
        }
    };
}
