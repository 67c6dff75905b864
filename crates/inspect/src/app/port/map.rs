//! Every port that is waited on.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use super::super::look::{Eyes, Look};
use super::super::names::Resolved;
use super::super::sockets::told::{tell_gaps, write_gaps};
use super::super::{Context, Exit, machine};
use super::{Surroundings, gather, looks, output, users};
use crate::cli::port::Request;
use crate::listing::Row;
use crate::model::{Gap, OwnerStatus, Protocol, State};
use crate::render::json::{self, End};
use crate::render::port::{Listening, Map, waits, write_map};
use crate::selection::{Selection, Test};

/// What waits for somebody.
pub(super) fn selection() -> Selection {
    Selection::one_of([Test::State(State::Listen), Test::State(State::Unconnected)])
}

pub(super) fn run(
    request: &Request,
    eyes: &Eyes,
    look: &Look,
    surroundings: &Surroundings,
    mut gaps: Vec<Gap>,
    context: &Context,
) -> anyhow::Result<Exit> {
    let own = eyes.namespace();
    let mut by_port: BTreeMap<(u16, Protocol), Vec<Row<'_>>> = BTreeMap::new();
    let rows = look.listing.rows();
    for row in rows.iter().filter(waits) {
        let here = !eyes.several() || row.socket.netns == own;
        // A datagram socket that was given no port yet waits for nobody.
        let port = row.socket.endpoints().map_or(0, |(local, _)| local.port);
        if here && port != 0 && request.protocols.contains(&row.socket.protocol) {
            let key = (port, row.socket.protocol);
            by_port.entry(key).or_default().push(row);
        }
    }
    let listening: Vec<Listening<'_>> = by_port
        .into_iter()
        .map(|((port, protocol), rows)| Listening {
            protocol,
            port,
            reach: gather::reach_of(&rows, eyes, surroundings),
            rows,
        })
        .collect();
    let hidden = listening
        .iter()
        .flat_map(|it| &it.rows)
        .filter(|row| row.owner_status == OwnerStatus::Hidden)
        .count();
    let map = Map {
        listening,
        settings: &surroundings.settings,
        place: if eyes.recorded() {
            "in the recorded tree".to_owned()
        } else {
            "in this network namespace".to_owned()
        },
    };
    let mut users = users(eyes);
    let looks = looks(eyes, look, &mut users, context);
    let mut out = BufWriter::new(io::stdout().lock());
    if request.json {
        let begin = machine::begin_at(eyes.root(), "port", look.sources());
        json::write(&mut out, &begin)?;
        let rows = || map.listening.iter().flat_map(|it| &it.rows);
        let names = Resolved::new(eyes);
        let sockets = output::sockets(&mut out, rows().copied(), &names, &looks)?;
        let records = map.records();
        for record in &records {
            json::write(&mut out, record)?;
        }
        gaps.extend(output::hidden(rows(), look));
        write_gaps(&mut out, &gaps)?;
        let ranges = u64::try_from(records.len())?;
        let counts = [("sockets", sockets), ("ranges", ranges)];
        json::write(&mut out, &End::new(counts, &gaps))?;
    } else {
        write_map(&mut out, &map, &looks)?;
        out.flush()?;
        tell_gaps(&gaps, context);
        if !request.quiet {
            output::tell_hidden(hidden, eyes.recorded(), context);
        }
    }
    out.flush()?;
    Ok(if map.listening.is_empty() {
        Exit::Failed
    } else {
        Exit::Done
    })
}
