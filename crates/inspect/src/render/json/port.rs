//! The `port` and `range` records.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Serialize;

use super::{Time, exact};
use crate::diagnosis::reach::Reach;
use crate::limits::Limits;
use crate::model::ForeignText;
use crate::ports::Class;
use crate::processes::About;

/// Ports from one to another.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SpanRecord {
    first: u16,
    last: u16,
}

impl From<&RangeInclusive<u16>> for SpanRecord {
    fn from(range: &RangeInclusive<u16>) -> Self {
        Self {
            first: *range.start(),
            last: *range.end(),
        }
    }
}

/// What is known of a port, beside its sockets and what is in the way.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "port")]
pub struct PortRecord<'a> {
    port: u16,
    class: &'static str,
    class_range: SpanRecord,
    service: ServiceRecord<'a>,
    ephemeral_range: Option<SpanRecord>,
    /// Whether the kernel may give it to a client.
    ephemeral: Option<bool>,
    reserved: Option<bool>,
    unprivileged_start: Option<u32>,
    privileged: Option<bool>,
    /// `null` where that protocol was not asked about.
    tcp: Option<ProtocolUse>,
    udp: Option<ProtocolUse>,
    processes: Vec<HolderRecord<'a>>,
}

#[derive(Debug, Clone, Serialize)]
struct ServiceRecord<'a> {
    tcp: Option<&'a str>,
    udp: Option<&'a str>,
}

/// Who has a port of one protocol.
#[derive(Debug, Clone, Serialize)]
pub struct ProtocolUse {
    /// `taken`, `in-the-way` or `free`.
    pub standing: &'static str,
    /// How many sockets have it.
    pub sockets: usize,
    /// The same by state.
    pub states: BTreeMap<&'static str, usize>,
    /// Those of which the owner is hidden.
    pub hidden: usize,
    /// From where those that wait can be reached; `null` where none waits.
    pub reach: Option<ReachRecord>,
    /// How binds would end.
    pub bind: Vec<BindRecord>,
}

/// A bind(); `null` is: it depends on what is not known.
#[derive(Debug, Clone, Serialize)]
pub struct BindRecord {
    /// 4 or 6; `::` is both, unless `v6_only`.
    pub version: u8,
    /// The address; `null` for any that no socket has.
    pub address: Option<String>,
    /// Whether IPV6_V6ONLY is set.
    pub v6_only: bool,
    /// Whether it fails.
    pub fails: Option<bool>,
    /// Whether it fails with SO_REUSEADDR.
    pub fails_with_reuse_address: Option<bool>,
    /// Whether it fails with SO_REUSEPORT.
    pub fails_with_reuse_port: Option<bool>,
}

/// From where a socket can be reached, firewalls apart.
#[derive(Debug, Clone, Serialize)]
pub struct ReachRecord {
    this_machine_only: bool,
    every_network: bool,
    /// Interfaces whose network reaches it.
    interfaces: Vec<String>,
    /// Addresses that no interface has.
    addresses: Vec<String>,
    /// Multicast groups and broadcast addresses.
    groups: Vec<String>,
    ipv4: Option<bool>,
    ipv6: Option<bool>,
}

impl From<&Reach> for ReachRecord {
    fn from(reach: &Reach) -> Self {
        let texts = |all: &std::collections::BTreeSet<std::net::IpAddr>| {
            all.iter().map(ToString::to_string).collect()
        };
        Self {
            this_machine_only: reach.is_this_machine_only(),
            every_network: reach.every_network,
            interfaces: reach
                .networks
                .iter()
                .map(|name| name.to_lossy().into_owned())
                .collect(),
            addresses: texts(&reach.addresses),
            groups: texts(&reach.groups),
            ipv4: reach.v4,
            ipv6: reach.v6,
        }
    }
}

/// A process that has the port.
#[derive(Debug, Clone, Serialize)]
pub struct HolderRecord<'a> {
    pid: u32,
    command: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_base64: Option<String>,
    uid: Option<u32>,
    user: Option<&'a str>,
    started: Option<Time>,
    /// The words of the command line; empty for a process that erased them.
    command_line: Option<Vec<Cow<'a, str>>>,
    /// Set when one of the words is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    command_line_base64: Option<Vec<String>>,
    directory: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory_base64: Option<String>,
}

impl<'a> HolderRecord<'a> {
    /// What a process says of itself, and the name of its user.
    pub fn new(about: &'a About, user: Option<&'a str>) -> Self {
        let line = about.command_line.as_deref();
        let odd = line.is_some_and(|words| words.iter().any(|word| word.as_utf8().is_none()));
        let bytes = |words: &[ForeignText]| {
            let words = words.iter();
            words.map(|word| super::base64(word.as_bytes())).collect()
        };
        Self {
            pid: about.pid.0,
            command: about.command.to_lossy(),
            command_base64: exact(&about.command),
            uid: about.uid.map(|uid| uid.0),
            user,
            started: about.started.map(Time),
            command_line: line.map(|words| words.iter().map(ForeignText::to_lossy).collect()),
            command_line_base64: line.filter(|_| odd).map(bytes),
            directory: about.directory.as_ref().map(ForeignText::to_lossy),
            directory_base64: about.directory.as_ref().and_then(exact),
        }
    }
}

impl<'a> PortRecord<'a> {
    /// The number, what the namespace does with it, its names of TCP and UDP, who has it of
    /// each, and the processes.
    pub fn new(
        port: u16,
        limits: &Limits,
        [tcp_name, udp_name]: [Option<&'a str>; 2],
        [tcp, udp]: [Option<ProtocolUse>; 2],
        processes: Vec<HolderRecord<'a>>,
    ) -> Self {
        let class = Class::of(port);
        Self {
            port,
            class: class.word(),
            class_range: (&class.range()).into(),
            service: ServiceRecord {
                tcp: tcp_name,
                udp: udp_name,
            },
            ephemeral_range: limits.ephemeral.as_ref().map(Into::into),
            ephemeral: limits.hands_out(port),
            reserved: limits.is_reserved(port),
            unprivileged_start: limits.unprivileged_start,
            privileged: limits.is_privileged(port),
            tcp,
            udp,
            processes,
        }
    }
}

/// One of the three ranges, and what waits in it.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "range")]
pub struct RangeRecord {
    class: &'static str,
    first: u16,
    last: u16,
    tcp: Vec<u16>,
    udp: Vec<u16>,
    ephemeral_range: Option<SpanRecord>,
    reserved: Option<Vec<SpanRecord>>,
    unprivileged_start: Option<u32>,
}

impl RangeRecord {
    /// A range with the ports in it that are waited on.
    pub fn new(class: Class, limits: &Limits, tcp: Vec<u16>, udp: Vec<u16>) -> Self {
        let range = class.range();
        Self {
            class: class.word(),
            first: *range.start(),
            last: *range.end(),
            tcp,
            udp,
            ephemeral_range: limits.ephemeral.as_ref().map(Into::into),
            reserved: limits
                .reserved
                .as_ref()
                .map(|all| all.iter().map(Into::into).collect()),
            unprivileged_start: limits.unprivileged_start,
        }
    }
}
