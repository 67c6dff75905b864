//! `inspect port`: who has a port, or why it cannot be had.

mod elsewhere;
mod gather;
mod map;
mod options;
mod output;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write};

use anyhow::Context as _;
use jiff::tz::TimeZone;

use super::abouts::Abouts;
use super::look::{Eyes, Look};
use super::sockets::told::{hidden, hidden_rows, tell_gaps};
use super::{Context, Exit, Usage, machine};
use crate::cli::port::{Request, Wanted};
use crate::limits::{self, Limits};
use crate::listing::{Row, Rows};
use crate::model::{Gap, Origin, Pid, Protocol, Uid};
use crate::names::{InterfaceAddress, Services, Users};
use crate::privilege::{self, Right};
use crate::render::When;
use crate::render::port::{Holder, Looks, Port, Use, write};
use crate::selection::{Selection, Test};
use crate::sockets::{Details, Query, Table};
use crate::stop::Stop;
use elsewhere::Others;
use options::Options;

/// What a look at ports knows beside the sockets.
struct Surroundings {
    /// What the namespace does with port numbers.
    limits: Limits,
    /// The addresses of its interfaces; `None` where they cannot be told.
    addresses: Option<Vec<InterfaceAddress>>,
    services: Services,
    /// Who asks.
    uid: Uid,
    /// Whether who asks may bind low ports.
    may_bind_low: Option<bool>,
}

pub(super) fn run(request: &Request, context: &Context) -> anyhow::Result<Exit> {
    // Ctrl-C ends the program as it ends any.
    let stop = Stop::new().context("cannot make a stop signal")?;
    let mut eyes = Eyes::new(&request.sources, stop)?;
    let services = Services::read();
    let numbers = numbers(&request.ports, &services)?;
    let surroundings = surroundings(&eyes, services);
    let query = query(request, &numbers);
    let others = (!numbers.is_empty()).then(|| elsewhere::look(&eyes, &query));
    let sockets = others
        .as_ref()
        .map_or_else(Vec::new, elsewhere::Sockets::all);
    let look = eyes.look_for(&query, &sockets)?;
    if context.verbose {
        look.tell_sources(eyes.root(), context);
    }
    let gaps = look.gaps.clone();
    let unlisted = unlisted(&eyes, &look);
    let Some(others) = others else {
        return map::run(request, &eyes, &look, &surroundings, gaps, context);
    };

    let others = others.owned(look.listing.holdings());
    let mut users = users(&eyes);
    let abouts = Abouts::new(&eyes);
    let mut rows = look.listing.rows();
    rows.retain(|row| {
        let has = |protocol| {
            let mut numbers = numbers.iter();
            numbers.any(|number| gather::has_port(&row, protocol, *number))
        };
        is_here(&row, &eyes) && request.protocols.iter().any(|it| has(*it))
    });
    let mut ports = Vec::new();
    for number in numbers {
        ports.push(known(
            number,
            &rows,
            request,
            (&eyes, &look),
            &others,
            &surroundings,
            (&abouts, &mut users),
        ));
    }
    let looks = looks(&eyes, &look, &mut users, context);
    let mut out = BufWriter::new(io::stdout().lock());
    if request.json {
        let mut gaps = gaps;
        gaps.extend(unlisted);
        gaps.extend(others.closed_gap());
        gaps.extend(hidden(&rows, 0, look.listing.holdings()));
        output::records(&mut out, &ports, (&eyes, &look), &gaps, &looks)?;
    } else {
        for (index, port) in ports.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            write(&mut out, port, &looks)?;
        }
        out.flush()?;
        tell_gaps(&gaps, context);
        others.tell_closed(context);
        if ports.iter().any(Port::is_perhaps_bound) {
            tell_gaps(unlisted.as_slice(), context);
        }
        if !request.quiet {
            let hidden = hidden_rows(&rows);
            output::not_shown(hidden).tell(eyes.recorded(), context);
        }
    }
    out.flush()?;
    Ok(if ports.iter().any(Port::is_had) {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// The numbers asked for, each once, in the order in which they were typed.
fn numbers(wanted: &[Wanted], services: &Services) -> anyhow::Result<Vec<u16>> {
    let mut numbers: Vec<u16> = Vec::new();
    for wanted in wanted {
        let of_name;
        let found: &[u16] = match wanted {
            Wanted::Number(number) => {
                of_name = [*number];
                &of_name
            }
            Wanted::Name(name) => match services.ports(name) {
                [] => {
                    return Err(Usage(format!(
                        "{name:?} is no port: neither a number from 1 to 65535, nor a name in \
                         /etc/services"
                    ))
                    .into());
                }
                found => found,
            },
        };
        for number in found {
            if !numbers.contains(number) {
                numbers.push(*number);
            }
        }
    }
    Ok(numbers)
}

/// Both versions of IP are always read: they are in each other's way.
fn query(request: &Request, numbers: &[u16]) -> Query {
    let mut tables = Vec::new();
    for protocol in &request.protocols {
        match protocol {
            Protocol::Tcp => tables.extend([Table::Tcp, Table::Tcp6]),
            _ => tables.extend([Table::Udp, Table::Udp6]),
        }
    }
    Query {
        tables,
        selection: if numbers.is_empty() {
            map::selection()
        } else {
            Selection::one_of(numbers.iter().copied().map(Test::Port))
        },
        details: Details {
            // When TIME_WAIT ends.
            timers: true,
            // IPV6_V6ONLY, and whether the kernel chose the port.
            extended: true,
            ..Details::default()
        },
    }
}

fn surroundings(eyes: &Eyes, services: Services) -> Surroundings {
    let recorded = eyes.recorded();
    let inside = eyes.inside(|root| {
        let addresses = if recorded {
            None
        } else {
            crate::names::addresses().ok()
        };
        (limits::read(root), addresses)
    });
    let (limits, addresses) = inside.unwrap_or_default();
    // Who runs this program is nobody on the machine of a recorded tree: there root is meant.
    let (uid, may_bind_low) = if recorded {
        (0, Some(true))
    } else {
        let uid = rustix::process::geteuid().as_raw();
        (uid, privilege::has(Right::BindLow))
    };
    Surroundings {
        limits,
        addresses,
        services,
        uid: Uid(uid),
        may_bind_low,
    }
}

/// sock_diag lists sockets that are bound and neither listen nor talk since Linux 6.8
/// (`TCP_BOUND_INACTIVE`, net/ipv4/inet_diag.c); /proc/net never does.
fn unlisted(eyes: &Eyes, look: &Look) -> Option<Gap> {
    if eyes.recorded() {
        return None;
    }
    // One of UDP waits for datagrams from bind() on, and is listed.
    let tcp = |table| matches!(table, Table::Tcp | Table::Tcp6);
    let mut readings = look.readings.iter();
    let by_proc = readings.any(|it| it.source == Some("proc") && tcp(it.table));
    let lister = if by_proc {
        "/proc/net does"
    } else if machine::kernel_is_at_least(eyes.root(), (6, 8)) != Some(true) {
        "kernels before Linux 6.8 do"
    } else {
        return None;
    };
    Some(Gap::uncounted(
        Origin::Sockets,
        format!("{lister} not list sockets that are bound and do not listen"),
    ))
}

fn users(eyes: &Eyes) -> Users {
    if eyes.recorded() {
        Users::of_another_machine()
    } else {
        Users::of_this_machine()
    }
}

fn looks(eyes: &Eyes, look: &Look, users: &mut Users, context: &Context) -> Looks {
    let mut names = BTreeMap::new();
    for uid in look.listing.sockets().iter().filter_map(|it| it.uid) {
        if let std::collections::btree_map::Entry::Vacant(entry) = names.entry(uid.0)
            && let Some(name) = users.name(uid)
        {
            entry.insert(name.to_owned());
        }
    }
    Looks {
        screen: context.screen,
        at: look.at,
        when: When::new(TimeZone::system(), (!eyes.recorded()).then_some(look.at)),
        incomplete: !look.cut.is_empty(),
        users: names,
    }
}

/// Whether a socket is of the namespace that the answer is about.
fn is_here(row: &Row<'_>, eyes: &Eyes) -> bool {
    !eyes.several() || row.socket.netns == eyes.namespace()
}

/// All that is known of one number.
fn known<'a>(
    number: u16,
    rows: &Rows<'a>,
    request: &Request,
    (eyes, look): (&Eyes, &'a Look),
    others: &'a Others,
    surroundings: &'a Surroundings,
    (abouts, users): (&Abouts, &mut Users),
) -> Port<'a> {
    let uses: Vec<Use<'a>> = request
        .protocols
        .iter()
        .map(|protocol| {
            let mut rows: Vec<Row<'a>> = rows
                .iter()
                .filter(|row| gather::has_port(row, *protocol, number))
                .collect();
            gather::sort(&mut rows);
            let options = Options::read(&rows, eyes);
            gather::use_of(number, *protocol, rows, &options, surroundings)
        })
        .collect();
    let services = request.protocols.iter().filter_map(|protocol| {
        let name = surroundings.services.name(number, *protocol)?;
        Some((*protocol, name.to_owned()))
    });
    Port {
        number,
        services: services.collect(),
        limits: &surroundings.limits,
        processes: holders(&uses, abouts, users),
        elsewhere: elsewhere::of(number, request, (eyes, look), others),
        uses,
    }
}

/// What the processes that have it say of themselves; those that merely talk through a server's
/// connections are counted with those.
fn holders(uses: &[Use<'_>], abouts: &Abouts, users: &mut Users) -> Vec<Holder> {
    let mut seen: BTreeSet<Pid> = BTreeSet::new();
    let owners = uses.iter().flat_map(Use::holding).flat_map(|it| it.owners);
    owners
        .filter(|owner| seen.insert(owner.pid))
        .filter_map(|owner| {
            let about = abouts.of(&owner)?;
            let user = about.uid.and_then(|uid| users.name(uid)).map(str::to_owned);
            Some(Holder { about, user })
        })
        .collect()
}
