//! Values and a writer -> screens, lines and JSON. No clock, no /proc, no exit.

pub mod doctor;
pub mod expression;
pub mod json;
pub mod packet;
mod screen;
pub mod sockets;
pub mod table;
mod text;

pub use screen::{Screen, Style};
pub use text::{Charset, Escaped, message};
