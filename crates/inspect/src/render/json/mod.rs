//! JSON Lines: one object a line, `type` first.
//!
//! The records are types of their own, apart from the model: what scripts rely on changes only
//! here. Unknown is `null`; numbers that may exceed 2^53 are strings.

mod about;
mod call;
mod conversation;
mod detail;
mod extended;
mod finding;
mod options;
mod packet;
mod port;
mod process;
mod socket;
mod stream;
mod tally;
mod timeline;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::model::{Endpoint, ForeignText, Gap, Owner, OwnerRef, Timestamp};
pub use about::AboutFields;
pub use call::{CallRecord, StateRecord};
pub use conversation::ConversationRecord;
pub use finding::FindingRecord;
pub use packet::PacketRecord;
pub use port::{
    BindRecord, HolderRecord, PortRecord, ProtocolUse, RangeRecord, ReachRecord, SpanRecord,
};
pub use process::ProcessRecord;
pub use socket::{ChangeRecord, PeerRecord, SocketRecord};
pub use stream::StreamRecord;
pub use tally::{CallsRecord, DescriptorRecord};
pub use timeline::{EventRecord, TimelineRecord};

/// The version of the records' meaning.
pub const SCHEMA: u32 = 1;

/// Writes one record and its newline.
///
/// # Errors
/// What the writer answers.
pub fn write(out: &mut dyn Write, record: &impl Serialize) -> io::Result<()> {
    // Into memory first: a record is many small pieces, and each would be a call of the writer.
    let mut line = Vec::with_capacity(1024);
    append(&mut line, record)?;
    out.write_all(&line)
}

/// Adds one record and its newline to others.
///
/// # Errors
/// When the record cannot be written as JSON.
pub fn append(lines: &mut Vec<u8>, record: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *lines, record)?;
    lines.push(b'\n');
    Ok(())
}

/// The record that opens every output.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "begin")]
pub struct Begin {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The program's version.
    pub version: &'static str,
    /// The subcommand.
    pub view: &'static str,
    /// The machine's name.
    pub host: Option<String>,
    /// The kernel's id of this boot.
    pub boot_id: Option<String>,
    /// The wall clock.
    pub time: String,
    /// The monotonic clock at the same moment, nanoseconds.
    pub monotonic_ns: String,
    /// What was read.
    pub sources: Vec<String>,
}

/// The record that closes every output; without it the output was cut.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "end")]
pub struct End {
    /// How many of each record.
    pub counts: BTreeMap<&'static str, u64>,
    /// How many things are known to be lost; gap records say which.
    pub lost: u64,
    /// Whether nothing is missing.
    pub complete: bool,
}

impl End {
    /// Counts, and what the gaps say is missing.
    pub fn new(counts: impl IntoIterator<Item = (&'static str, u64)>, gaps: &[Gap]) -> Self {
        Self {
            counts: counts.into_iter().collect(),
            lost: gaps.iter().filter_map(|gap| gap.count).sum(),
            complete: gaps.is_empty(),
        }
    }
}

/// Something that could not be seen.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "gap")]
pub struct GapRecord<'a> {
    source: &'static str,
    reason: &'a str,
    count: Option<u64>,
}

impl<'a> From<&'a Gap> for GapRecord<'a> {
    fn from(gap: &'a Gap) -> Self {
        Self {
            source: gap.source.word(),
            reason: &gap.reason,
            count: gap.count,
        }
    }
}

/// An address and a port; a link-local address has its scope, `null` where that is not known.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointRecord {
    address: IpAddr,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Option<u32>>,
}

impl From<Endpoint> for EndpointRecord {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            address: endpoint.address,
            port: endpoint.port,
            scope: (endpoint.scope.is_some() || is_link_local(endpoint.address))
                .then_some(endpoint.scope),
        }
    }
}

/// Whether an address means one thing on each interface (RFC 4291, 2.5.6).
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// A process that holds a socket.
#[derive(Debug, Clone, Serialize)]
pub struct OwnerRecord<'a> {
    pid: u32,
    tid: u32,
    fd: u32,
    command: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_base64: Option<String>,
    started: Option<Time>,
    /// What the process says of itself; `null` when that could not be read, and left out when
    /// nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Option<Box<AboutFields>>>,
}

impl From<Owner> for OwnerRecord<'static> {
    fn from(owner: Owner) -> Self {
        let record = OwnerRecord::from(owner.by_ref());
        Self {
            command: Cow::Owned(record.command.into_owned()),
            ..record
        }
    }
}

impl<'a> From<OwnerRef<'a>> for OwnerRecord<'a> {
    fn from(owner: OwnerRef<'a>) -> Self {
        Self {
            pid: owner.pid.0,
            tid: owner.tid.0,
            fd: owner.fd.0,
            command: owner.command.to_lossy(),
            command_base64: exact(owner.command),
            started: owner.started.map(Time),
            process: None,
        }
    }
}

/// The exact bytes of a text that is not UTF-8, for its `…_base64` sibling.
pub fn exact(text: &ForeignText) -> Option<String> {
    match text.as_utf8() {
        Some(_) => None,
        None => Some(base64(text.as_bytes())),
    }
}

/// Base64 (RFC 4648, with padding).
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A moment: RFC 3339, UTC, nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.rfc_3339();
        serializer.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_local_address_has_a_scope_though_it_may_be_unknown() {
        let record = |address: &str, scope| {
            let mut endpoint = Endpoint::new(address.parse().unwrap(), 1);
            endpoint.scope = scope;
            serde_json::to_string(&EndpointRecord::from(endpoint)).unwrap()
        };
        assert_eq!(
            record("fe80::1", None),
            r#"{"address":"fe80::1","port":1,"scope":null}"#
        );
        assert_eq!(
            record("fe80::1", Some(2)),
            r#"{"address":"fe80::1","port":1,"scope":2}"#
        );
        assert_eq!(record("::1", None), r#"{"address":"::1","port":1}"#);
    }
}
