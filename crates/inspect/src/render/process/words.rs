//! The words of the listing, as texts of their own.

use std::net::IpAddr;

use crate::listing::{Row, SocketColumn};
use crate::model::{Endpoint, Protocol, Uid};
use crate::render::sockets::{Text, columns};
use crate::render::table::Cell;
use crate::sockets::Socket;

/// Turns values into words for one output.
#[derive(Clone, Copy)]
pub(super) struct Words<'a>(pub(super) Text<'a>);

impl Words<'_> {
    pub(super) fn user(self, uid: Uid) -> String {
        written(|out| self.0.user(out, uid))
    }

    pub(super) fn host(self, address: IpAddr) -> String {
        written(|out| self.0.host(out, Endpoint::new(address, 0)))
    }

    pub(super) fn endpoint(self, address: IpAddr, port: u16) -> String {
        written(|out| {
            self.0
                .endpoint(out, Endpoint::new(address, port), Protocol::Tcp);
        })
    }

    pub(super) fn local(self, socket: &Socket) -> String {
        written(|out| self.0.local(out, socket))
    }

    /// A cell as the listing has it.
    pub(super) fn cell(self, column: SocketColumn, row: &Row<'_>) -> Cell {
        let mut text = String::new();
        let style = columns::write(column, &mut text, row, &self.0);
        Cell {
            lines: text.split('\n').map(str::to_owned).collect(),
            style,
        }
    }
}

fn written(write: impl FnOnce(&mut String)) -> String {
    let mut out = String::new();
    write(&mut out);
    out
}
