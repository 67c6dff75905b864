//! Values and a writer -> screens, lines and JSON. No clock, no /proc, no exit.

pub mod json;
pub mod packet;
mod screen;
mod text;

pub use screen::{Screen, Style};
pub use text::{Charset, Escaped};
