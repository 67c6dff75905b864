//! Which kinds of sockets are asked for.

use super::Flags;
use crate::model::{Family, Protocol};
use crate::selection::{Selection, Test};
use crate::sockets::Table;

impl Flags {
    pub(super) fn picked(&self) -> bool {
        self.tcp || self.udp || self.raw || self.unix
    }

    /// As in ss, each of -t -u -w -x picks a kind, and several pick several. Without any it is
    /// TCP and UDP, and with -a everything. Both versions of IP are read even for one: the other
    /// end of an IPv4 connection may be an IPv6 socket.
    ///
    /// Without any, an expression that asks for other sockets picks those, too.
    pub(super) fn tables(&self, expression: &Selection) -> Vec<Table> {
        let everything = !self.picked() && (self.all || self.summary);
        let bare = !self.picked();
        let asked = expression.tests();
        Table::ALL
            .into_iter()
            .filter(|table| {
                everything
                    || match table {
                        Table::Tcp | Table::Tcp6 => self.tcp || bare,
                        Table::Udp | Table::Udp6 => self.udp || bare,
                        Table::Raw | Table::Raw6 => self.raw,
                        Table::Unix => self.unix,
                        _ => false,
                    }
                    || bare && asked.iter().any(|test| asks_for(test, *table))
            })
            .filter(|table| match table.family() {
                Family::Inet | Family::Inet6 => true,
                _ => !self.ipv4 && !self.ipv6,
            })
            .collect()
    }

    /// The families that the summary tells of: those of the tables read, and with them those
    /// that no table lists.
    pub(super) fn families(&self, tables: &[Table]) -> Vec<Family> {
        let unlisted = !self.picked() && !self.ipv4 && !self.ipv6;
        Family::ALL
            .into_iter()
            .filter(|family| match family {
                Family::Inet if self.ipv6 => false,
                Family::Inet6 if self.ipv4 => false,
                Family::Vsock | Family::Tipc => unlisted,
                family => tables.iter().any(|table| table.family() == *family),
            })
            .collect()
    }

    /// The same as a selection, for sources that list more than they were asked for.
    pub(super) fn kinds(&self) -> Selection {
        let mut parts = Vec::new();
        if self.picked() {
            let mut protocols = Vec::new();
            protocols.extend(self.tcp.then_some(Protocol::Tcp));
            protocols.extend(self.udp.then_some(Protocol::Udp));
            protocols.extend(self.raw.then_some(Protocol::Raw));
            if self.unix {
                protocols.extend([
                    Protocol::UnixStream,
                    Protocol::UnixDatagram,
                    Protocol::UnixSeqpacket,
                ]);
            }
            parts.push(Selection::one_of(protocols.into_iter().map(Test::Protocol)));
        }
        if self.ipv4 {
            parts.push(Selection::Test(Test::Family(Family::Inet)));
        }
        if self.ipv6 {
            parts.push(Selection::Test(Test::Family(Family::Inet6)));
        }
        Selection::All(parts)
    }
}

/// Whether sockets of this table are asked for by name.
fn asks_for(test: &Test, table: Table) -> bool {
    match test {
        Test::EndUnix { .. } => table == Table::Unix,
        Test::Family(family) => table.family() == *family,
        Test::Protocol(protocol) => match table.protocol() {
            Some(listed) => listed == *protocol,
            None => {
                let word = protocol.word();
                word.starts_with(table.family().word())
            }
        },
        _ => false,
    }
}
