//! `inspect sockets -s`: how many there are of each family.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use super::told::{tell_gaps, write_gaps};
use crate::app::look::{Eyes, Look};
use crate::app::{Context, machine};
use crate::cli::Format;
use crate::cli::sockets::Request;
use crate::listing::{self, Rows};
use crate::model::Family;
use crate::render::json::{self, End};
use crate::render::sockets::{Count, write_summary};

#[derive(Serialize)]
#[serde(tag = "type", rename = "family")]
struct FamilyRecord {
    family: &'static str,
    /// `null` when the kernel has the family and the source cannot list it.
    sockets: Option<usize>,
    supported: bool,
    states: BTreeMap<String, BTreeMap<&'static str, usize>>,
}

pub(super) fn write_families(
    out: &mut dyn Write,
    request: &Request,
    rows: &Rows<'_>,
    look: &Look,
    eyes: &Eyes,
    context: &Context,
) -> anyhow::Result<()> {
    let sockets = rows.iter().map(|row| row.socket);
    let summaries: Vec<_> = listing::summarise(sockets, &request.families)
        .into_iter()
        .map(|summary| {
            let count = match summary.family {
                Family::Vsock | Family::Tipc => match eyes.has_family(summary.family) {
                    Some(false) => Count::NoFamily,
                    _ => Count::Untold,
                },
                family if look.cut.iter().any(|table| table.family() == family) => Count::Untold,
                _ => Count::Known(summary.total()),
            };
            (summary, count)
        })
        .collect();
    if request.format == Format::Json {
        let begin = machine::begin_at(eyes.root(), "sockets", look.sources());
        json::write(out, &begin)?;
        for (summary, count) in &summaries {
            let mut states: BTreeMap<String, BTreeMap<&'static str, usize>> = BTreeMap::new();
            for ((protocol, state), number) in &summary.counts {
                let protocol = states.entry(protocol.word().to_owned()).or_default();
                protocol.insert(state.word(), *number);
            }
            let record = FamilyRecord {
                family: summary.family.word(),
                sockets: match count {
                    Count::Known(number) => Some(*number),
                    Count::NoFamily => Some(0),
                    Count::Untold => None,
                },
                supported: *count != Count::NoFamily,
                states,
            };
            json::write(out, &record)?;
        }
        write_gaps(out, &look.gaps)?;
        let families = u64::try_from(summaries.len())?;
        json::write(out, &End::new([("families", families)], &look.gaps))?;
    } else {
        let packet_owners: Vec<_> = rows
            .iter()
            .filter(|row| row.socket.family == Family::Packet)
            .flat_map(|row| row.owners)
            .collect();
        write_summary(out, &summaries, &packet_owners, context.screen)?;
        out.flush()?;
        tell_gaps(&look.gaps, context);
    }
    out.flush()?;
    Ok(())
}
