//! Records, and what is said beside the answer.

use std::io::Write;

use super::super::look::{Eyes, Look};
use super::super::machine;
use super::super::names::Resolved;
use super::super::sockets::told::{NotShown, write_gaps};
use crate::listing::{Row, Undecided};
use crate::model::Gap;
use crate::render::json::{self, End, SocketRecord};
use crate::render::port::{self, Looks, Port};

/// begin, and for each port its sockets, those elsewhere, findings and the rest; gaps and end.
pub(super) fn records(
    out: &mut dyn Write,
    ports: &[Port<'_>],
    (eyes, look): (&Eyes, &Look),
    gaps: &[Gap],
    looks: &Looks,
) -> anyhow::Result<()> {
    let begin = machine::begin_at(eyes.root(), "port", look.sources());
    json::write(out, &begin)?;
    let names = Resolved::new(eyes);
    let (mut count, mut findings) = (0, 0);
    for port in ports {
        let rows = port.uses.iter().flat_map(|it| &it.rows).copied();
        let elsewhere = port.elsewhere.iter().map(|it| it.row);
        count += sockets(out, rows.chain(elsewhere), &names, looks)?;
        let (found, record) = port::records(port, looks);
        for finding in &found {
            json::write(out, finding)?;
            findings += 1;
        }
        json::write(out, &record)?;
    }
    write_gaps(out, gaps)?;
    let ports = u64::try_from(ports.len())?;
    let counts = [("sockets", count), ("findings", findings), ("ports", ports)];
    json::write(out, &End::new(counts, gaps))?;
    Ok(())
}

/// Writes socket records; how many they were.
pub(super) fn sockets<'a>(
    out: &mut dyn Write,
    rows: impl Iterator<Item = Row<'a>>,
    names: &Resolved,
    looks: &Looks,
) -> anyhow::Result<u64> {
    let mut count = 0;
    for row in rows {
        let user = row.socket.uid.and_then(|uid| looks.users.get(&uid.0));
        let interface = names.bound_to(row.socket);
        let record = SocketRecord::new(&row, looks.at, user.map(String::as_str), interface);
        json::write(out, &record)?;
        count += 1;
    }
    Ok(count)
}

/// What is said of rows with hidden owners; nothing else is left out here.
pub(super) fn not_shown(hidden: usize) -> NotShown {
    NotShown {
        folded: 0,
        undecided: Undecided::default(),
        hidden,
    }
}
