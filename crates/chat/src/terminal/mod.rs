//! The person's side: what is typed and what is shown.
//!
//! On a terminal a line editor keeps the half-typed line below the arriving messages; off a
//! terminal a line is a message. Everything that came from somebody else is escaped first.
//!
//! The editor is our own and not a crate's, for three reasons: the prompt has to
//! change while the line is empty and stand still once a key is pressed, the line has to be left
//! when the other side goes, and what is shown has to be written before the program ends.
//! rustyline (19) fixes the width of the prompt when a line begins, returns for nobody but the
//! keyboard, and prints what arrives through a pipe that acknowledges nothing.

pub(crate) mod console;
pub(crate) mod display;
pub(crate) mod editor;
pub(crate) mod escape;
pub(crate) mod keys;
pub(crate) mod line;
pub(crate) mod printer;
