//! What is said beside the packets.

use std::fmt::Write as _;
use std::io::Write as _;

use unicode_width::UnicodeWidthStr;

use crate::app::Context;
use crate::attribution::Table;
use crate::capture::Interface;
use crate::cli::capture::{From, Request};
use crate::privilege::{Right, shell_word, with_sudo};
use crate::render::{Charset, Escaped};

/// `Capturing port 2345 on every interface. Ctrl-C ends.`
pub(super) fn capturing(request: &Request) -> String {
    let place = match &request.from {
        From::Interface(Some(name)) => name.as_str(),
        _ => "every interface",
    };
    let wanted = wanted(request);
    let end = match request.command.first() {
        Some(name) => format!("{} ends it", name.to_string_lossy()),
        None => "Ctrl-C ends".to_owned(),
    };
    match &request.netns {
        Some(netns) => format!("Capturing{wanted} on {place} of namespace {netns}. {end}."),
        None => format!("Capturing{wanted} on {place}. {end}."),
    }
}

/// What is wanted, with a space before it, or nothing.
fn wanted(request: &Request) -> String {
    let mut text = String::new();
    for (index, port) in request.ports.iter().enumerate() {
        let before = if index == 0 { " port " } else { ", " };
        let _ = write!(text, "{before}{port}");
    }
    text.push_str(&request.wanted);
    if !request.filter.is_empty() {
        let and = if text.is_empty() { " " } else { " and " };
        let _ = write!(text, "{and}{:?}", request.filter);
    }
    text
}

/// The port of the pair, for which there is a program to suggest.
const PAIR: u16 = 2345;

/// After two silent seconds: what is awaited.
pub(super) fn awaited(request: &Request, table: Option<&Table>) -> String {
    let port = match request.ports.as_slice() {
        [ports] if request.wanted.is_empty() => ports.alone(),
        _ => None,
    };
    let (Some(table), Some(port)) = (table, port) else {
        return format!(
            "Nothing yet{}.",
            match wanted(request) {
                nothing if nothing.is_empty() => nothing,
                wanted => format!(" of{wanted}"),
            }
        );
    };
    let here = match &request.netns {
        Some(netns) => format!("in namespace {netns}"),
        None => "here".to_owned(),
    };
    let usage = table.port_use(port);
    let sockets = |count: usize| if count == 1 { "socket" } else { "sockets" };
    match (usage.waiting, usage.connected) {
        (0, 0) if port == PAIR && request.netns.is_none() => format!(
            "Nothing yet. No socket {here} uses port {port}; chat pair starts a conversation."
        ),
        (0, 0) => format!("Nothing yet. No socket {here} uses port {port}."),
        (1, 0) => format!("Nothing yet. 1 listener on port {port} waits."),
        (waiting, 0) => format!("Nothing yet. {waiting} listeners on port {port} wait."),
        (_, connected) => format!(
            "Nothing yet. {connected} connected {} on port {port}, all silent.",
            sockets(connected)
        ),
    }
}

/// A flag says how to show packets, and none are shown.
pub(super) fn without_effect(flag: &str) -> String {
    format!(
        "{flag} shows nothing here: packets are written into the file (--print shows them too)."
    )
}

/// Packets of a file that has no owners shall be chosen by them.
pub(super) fn needs_owners() -> &'static str {
    "--process and --pid need a live capture, or a pcapng file with owners: a pcap file does not \
     tell who held the sockets"
}

/// Packets were to be chosen by owners, and the file turned out to have none.
pub(super) fn no_owners(request: &Request) -> String {
    let name = match &request.from {
        From::File(path) => path.display().to_string(),
        _ => "the capture".to_owned(),
    };
    format!(
        "inspect: {name} does not tell who held the sockets: --process and --pid need a live \
         capture, or a pcapng file that a capture with owners has written"
    )
}

/// The thread that looks for owners has ended, which it never should.
pub(super) const NO_OWNERS: &str = "inspect: the look at sockets and owners broke off: owners \
     of what comes now are unknown (the packets themselves are complete)";

/// At the end: of how many conversations the owner was not seen.
pub(super) fn owners_missed(here: u64, missed: Option<u64>) -> String {
    let missed = missed.unwrap_or(here);
    let conversations = if here == 1 {
        "conversation"
    } else {
        "conversations"
    };
    format!("Owners not seen in {missed} of {here} {conversations} on this machine.")
}

/// Without the right: one error, and the two ways out.
pub(super) fn permission(context: &Context) -> String {
    let program = shell_word(&context.program.to_string_lossy());
    format!(
        "inspect: cannot capture: permission denied\n  \
         once:    {}\n  \
         always:  sudo setcap {} {program}\n           \
         (then every user of this machine may read its traffic)",
        with_sudo(&context.program, &context.arguments),
        Right::Capture.setcap_words(),
    )
}

/// `-D`.
pub(super) fn list_interfaces(interfaces: &[Interface], charset: Charset) -> anyhow::Result<()> {
    let text = listed(interfaces, charset);
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

fn listed(interfaces: &[Interface], charset: Charset) -> String {
    let mut text = String::new();
    let names: Vec<String> = interfaces
        .iter()
        .map(|it| Escaped::name(&it.name, charset).to_string())
        .collect();
    let width = names.iter().map(|name| name.width()).max().unwrap_or(0);
    for (name, interface) in names.iter().zip(interfaces) {
        let state = if interface.up { "up  " } else { "down" };
        let addresses: Vec<String> = interface
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect();
        let room = " ".repeat(width - name.width());
        let line = format!("{name}{room}  {state}  {}", addresses.join(" "));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ForeignText;

    #[test]
    fn a_terminal_obeys_no_name_of_an_interface() {
        let named = |name: &str| Interface {
            name: ForeignText::from(name),
            addresses: vec![[127, 0, 0, 1].into()],
            up: true,
            loopback: true,
        };
        let text = listed(&[named("lo"), named("\u{1b}[31mx")], Charset::Utf8);
        assert_eq!(
            text,
            "lo           up    127.0.0.1\n\\u{1b}[31mx  up    127.0.0.1\n"
        );
    }
}
