//! Values and a writer -> screens, lines and JSON. No clock, no /proc, no exit.

pub mod call;
pub mod doctor;
pub mod expression;
pub mod facts;
pub mod json;
pub mod packet;
pub mod port;
pub mod process;
mod screen;
mod since;
pub mod sockets;
pub mod table;
mod text;
mod workers;

pub use screen::{Screen, Style};
pub use since::When;
pub use text::{Charset, Escaped, message};
pub use workers::{OneByOne, Workers};
