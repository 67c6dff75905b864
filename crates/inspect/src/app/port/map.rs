//! Every port that is waited on.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use super::super::look::{Eyes, Look};
use super::super::names::Resolved;
use super::super::sockets::told::{hidden, hidden_rows, tell_gaps, write_gaps};
use super::super::{Context, Exit, machine};
use super::{Surroundings, gather, is_here, looks, output, users};
use crate::cli::port::Request;
use crate::listing::Row;
use crate::model::{Gap, Protocol, State};
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
    let mut rows = look.listing.rows();
    rows.retain(|row| {
        // A datagram socket that was given no port yet waits for nobody.
        let has_port = row.socket.endpoints().is_some_and(|it| it.0.port != 0);
        let wanted = request.protocols.contains(&row.socket.protocol);
        waits(&row) && has_port && wanted && is_here(&row, eyes)
    });
    let mut by_port: BTreeMap<(u16, Protocol), Vec<Row<'_>>> = BTreeMap::new();
    for row in rows.iter() {
        let port = row.socket.endpoints().map_or(0, |(local, _)| local.port);
        let key = (port, row.socket.protocol);
        by_port.entry(key).or_default().push(row);
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
    let map = Map {
        listening,
        limits: &surroundings.limits,
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
        let names = Resolved::new(eyes);
        let sockets = output::sockets(&mut out, rows.iter(), &names, &looks)?;
        let records = map.records();
        for record in &records {
            json::write(&mut out, record)?;
        }
        gaps.extend(hidden(&rows, 0, look.listing.holdings()));
        write_gaps(&mut out, &gaps)?;
        let ranges = u64::try_from(records.len())?;
        let counts = [("sockets", sockets), ("ranges", ranges)];
        json::write(&mut out, &End::new(counts, &gaps))?;
    } else {
        write_map(&mut out, &map, &looks)?;
        out.flush()?;
        tell_gaps(&gaps, context);
        if !request.quiet {
            output::not_shown(hidden_rows(&rows)).tell(eyes.recorded(), context);
        }
    }
    out.flush()?;
    Ok(if map.listening.is_empty() {
        Exit::Failed
    } else {
        Exit::Done
    })
}
