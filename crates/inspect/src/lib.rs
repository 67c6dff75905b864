//! Sockets, their owners, and the packets between them: the library behind `inspect`.
//!
//! A map of the rooms, from the ground up; each knows only those on lower floors.
//!
//! | floor | rooms |
//! |---|---|
//! | 0 | [`model`]: the words everything is written in |
//! | 1 | [`bpf`]: programs the kernel runs for us; [`selection`], [`names`], [`namespaces`], [`limits`], [`launch`]: a command and its children, [`ports`], [`clock`], [`privilege`], [`stop`] |
//! | 2 | [`sockets`]: the kernel's tables; [`owners`]: who holds a socket; [`life`]: what happens to both; [`processes`]: what a process says of itself; [`trace`]: calls; [`capture`]: frames and what they say |
//! | 3 | [`listing`]: sockets joined with owners and peers; [`attribution`]: packets joined with both; [`streams`]: what each side said, in order |
//! | 4 | [`diagnosis`]: what is wrong or stands in the way, with evidence |
//! | 5 | [`cli`]: flags -> requests; [`render`]: screens, lines, JSON |
//! | 6 | `app`: one file a view; files, signals, terminal |

mod app;
pub mod attribution;
pub mod bpf;
pub mod capture;
pub mod cli;
pub mod clock;
pub mod diagnosis;
pub mod launch;
pub mod life;
pub mod limits;
pub mod listing;
pub mod model;
pub mod names;
pub mod namespaces;
pub mod owners;
pub mod ports;
pub mod privilege;
pub mod processes;
pub mod render;
pub mod selection;
pub mod sockets;
pub mod stop;
pub mod streams;
pub mod trace;

pub use app::{is_closed_pipe, run, run_with, screen_of_stdout};
