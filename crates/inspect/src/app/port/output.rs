//! Records, and what is said beside the answer.

use std::io::Write;

use super::super::look::{Eyes, Look};
use super::super::names::Resolved;
use super::super::sockets::told::write_gaps;
use super::super::{Context, machine};
use crate::listing::Row;
use crate::model::{Gap, Origin, OwnerStatus};
use crate::privilege::{self, Right};
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
        let record = SocketRecord::new(&row, looks.now, user.map(String::as_str), interface);
        json::write(out, &record)?;
        count += 1;
    }
    Ok(count)
}

/// That owners are hidden, for the records.
pub(super) fn hidden<'a>(rows: impl IntoIterator<Item = &'a Row<'a>>, look: &Look) -> Option<Gap> {
    let hidden =
        |row: &Row<'_>| matches!(row.owner_status, OwnerStatus::Hidden | OwnerStatus::Partial);
    rows.into_iter().find(|row| hidden(row))?;
    let unreadable = look.listing.holdings().unreadable().len();
    let reason = "processes could not be read, so that owners are hidden";
    Some(match u64::try_from(unreadable) {
        Ok(count @ 1..) => Gap::counted(Origin::Owners, reason, count),
        _ => Gap::uncounted(Origin::Owners, reason),
    })
}

/// That owners are hidden, and the command that would show them.
pub(super) fn tell_hidden(hidden: usize, recorded: bool, context: &Context) {
    let words = match hidden {
        0 => return,
        1 => "1 owner hidden".to_owned(),
        more => format!("{more} owners hidden"),
    };
    if !recorded && privilege::has(Right::ReadOwners) == Some(false) {
        let them = if hidden == 1 { "it" } else { "them" };
        context.hint(&format!("{words}; to see {them}:"));
        let command = privilege::with_sudo(&context.program, &context.arguments);
        context.hint(&format!("  {command}"));
    } else {
        context.hint(&format!("{words} (-v says why)."));
    }
}
