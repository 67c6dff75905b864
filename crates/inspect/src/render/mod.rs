//! Values and a writer -> screens, lines and JSON. No clock, no /proc, no exit.

pub mod expression;
pub mod json;
pub mod packet;
pub mod port;
mod screen;
pub mod sheet;
pub mod sockets;
pub mod table;
mod text;

pub use screen::{Screen, Style};
pub use text::{Charset, Escaped, message};
