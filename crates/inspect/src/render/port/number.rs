//! What kind of number it is.

use super::words::escaped;
use super::{Port, Standing};
use crate::ports::Class;
use crate::render::Screen;
use crate::render::facts::Fact;

pub(super) fn fact(port: &Port<'_>, screen: Screen) -> Fact {
    Fact::new("number", words(port, screen))
}

fn words(port: &Port<'_>, screen: Screen) -> String {
    let class = Class::of(port.number);
    let range = class.range();
    let mut parts = Vec::new();
    let mut kind = format!("{} range ({}-{})", class.word(), range.start(), range.end());
    if class == Class::Dynamic {
        kind += ", not meant for servers";
    }
    parts.push(kind);
    let mut names: Vec<String> = Vec::new();
    for (_, name) in &port.services {
        let name = escaped(name, screen.charset);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if !names.is_empty() {
        parts.push(format!("{} in /etc/services", names.join(", ")));
    } else if class != Class::Dynamic {
        parts.push("no name in /etc/services".to_owned());
    }
    parts.extend(privileged(port));
    parts.extend(handed_out(port));
    parts.join("; ")
}

fn privileged(port: &Port<'_>) -> Option<String> {
    let start = port.limits.unprivileged_start?;
    if u32::from(port.number) < start {
        return Some(format!("below {start} a bind() needs CAP_NET_BIND_SERVICE"));
    }
    // The usual limit is left unsaid where it does not matter.
    let usual = Class::of(port.number) != Class::WellKnown;
    (!usual).then(|| format!("this kernel lets everybody bind() from {start} on"))
}

fn handed_out(port: &Port<'_>) -> Option<String> {
    let range = port.limits.ephemeral.as_ref()?;
    let (first, last) = (range.start(), range.end());
    let inside = range.contains(&port.number);
    Some(match (inside, port.limits.is_reserved(port.number)) {
        (true, Some(true)) => format!(
            "inside this kernel's {first}-{last}, but reserved (ip_local_reserved_ports): no \
             client is given it"
        ),
        (false, Some(true)) => {
            format!(
                "reserved (ip_local_reserved_ports); this kernel hands out {first}-{last} to clients"
            )
        }
        (true, _) if port.uses.iter().all(|it| it.standing() == Standing::Free) => {
            format!("inside this kernel's {first}-{last}, so a client may hold it when you start")
        }
        (true, _) => format!("inside this kernel's {first}-{last}, which it hands out to clients"),
        (false, _) => format!("this kernel hands out {first}-{last} to clients"),
    })
}
