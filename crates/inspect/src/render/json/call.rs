//! The `call` and `state` records.

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use super::{EndpointRecord, Time, base64};
use crate::model::{Endpoint, UnixAddress};
use crate::trace::{Address, Bytes, Call, Outcome, Socket, StateChange, Value, error_name};

/// A system call on a socket.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "call")]
pub struct CallRecord<'a> {
    time: Time,
    monotonic_ns: String,
    pid: u32,
    tid: u32,
    command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_base64: Option<String>,
    call: &'static str,
    fd: Option<u32>,
    inode: Option<u64>,
    cookie: Option<String>,
    local: Option<EndpointRecord>,
    remote: Option<EndpointRecord>,
    arguments: Arguments<'a>,
    result: Option<i64>,
    /// The descriptor that the call made, and its ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<MadeRecord>,
    error: Option<ErrorRecord>,
    /// Set where it did not return: `thread ended`, `waits`, `lost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    unfinished: Option<&'static str>,
    duration_ns: Option<u64>,
}

#[derive(Debug, Clone, Serialize)]
struct MadeRecord {
    fd: u32,
    inode: Option<u64>,
    cookie: Option<String>,
    local: Option<EndpointRecord>,
    remote: Option<EndpointRecord>,
}

#[derive(Debug, Clone, Serialize)]
struct ErrorRecord {
    name: Option<&'static str>,
    number: i32,
}

#[derive(Debug, Clone)]
struct Arguments<'a>(&'a [(&'static str, Value)]);

impl<'a> From<&'a Call> for CallRecord<'a> {
    fn from(call: &'a Call) -> Self {
        let socket = call.socket();
        let fd = call.fd();
        let made = call.after.filter(|(after, _)| {
            call.before.is_none_or(|(before, _)| before != *after) && call.before.is_some()
        });
        let (local, remote) = ends(socket);
        let (result, error, unfinished) = match &call.outcome {
            Outcome::Returned(number) => (Some(*number), None, None),
            Outcome::Failed(number) => {
                let name = error_name(*number);
                let error = ErrorRecord {
                    name,
                    number: *number,
                };
                (Some(-1), Some(error), None)
            }
            Outcome::ThreadEnded => (None, None, Some("thread ended")),
            Outcome::StillWaits => (None, None, Some("waits")),
            Outcome::Lost => (None, None, Some("lost")),
        };
        let command = call.process.command.as_bytes();
        Self {
            time: Time(call.time),
            monotonic_ns: call.monotonic_ns.to_string(),
            pid: call.process.pid.0,
            tid: call.tid.0,
            command: String::from_utf8_lossy(command).into_owned(),
            command_base64: std::str::from_utf8(command)
                .is_err()
                .then(|| base64(command)),
            call: call.name,
            fd: fd.map(|fd| fd.0),
            inode: socket.and_then(|socket| Some(socket.inode?.0)),
            cookie: socket.and_then(cookie),
            local,
            remote,
            arguments: Arguments(&call.arguments),
            result,
            made: made.map(|(fd, socket)| {
                let (local, remote) = ends(Some(&socket));
                MadeRecord {
                    fd: fd.0,
                    inode: socket.inode.map(|inode| inode.0),
                    cookie: cookie(&socket),
                    local,
                    remote,
                }
            }),
            error,
            unfinished,
            duration_ns: call.duration_ns,
        }
    }
}

fn cookie(socket: &Socket) -> Option<String> {
    Some(format!("{:x}", socket.cookie?.0))
}

pub(super) fn ends(socket: Option<&Socket>) -> (Option<EndpointRecord>, Option<EndpointRecord>) {
    let ends = socket.and_then(|socket| socket.ends);
    let set = |end: Endpoint| (!end.is_unspecified()).then(|| end.into());
    match ends {
        Some((local, remote)) => (set(local), set(remote)),
        None => (None, None),
    }
}

impl Serialize for Arguments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0 {
            // The record has it beside its socket.
            if *name != "fd" {
                map.serialize_entry(name, &ValueRecord(value))?;
            }
        }
        map.end()
    }
}

struct ValueRecord<'a>(&'a Value);

impl Serialize for ValueRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Number(number) => serializer.serialize_i64(*number),
            Value::Hex(number) | Value::Pointer(number) => {
                serializer.collect_str(&format_args!("{number:#x}"))
            }
            Value::Constant(name) => serializer.serialize_str(name),
            Value::Flags(names, rest) => {
                let mut list = serializer.serialize_seq(None)?;
                for name in names {
                    list.serialize_element(name)?;
                }
                if *rest != 0 {
                    list.serialize_element(&format!("{rest:#x}"))?;
                }
                list.end()
            }
            Value::Fd(number) => serializer.serialize_i32(*number),
            Value::Bytes(bytes) => BytesRecord::from(bytes).serialize(serializer),
            Value::Address(address) => address_record(address, serializer),
            Value::Null => serializer.serialize_unit(),
            Value::Unread(at) => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("unread", &format!("{at:#x}"))?;
                map.end()
            }
            Value::List(values, more) => {
                let mut list = serializer.serialize_seq(None)?;
                for value in values {
                    list.serialize_element(&ValueRecord(value))?;
                }
                if *more > 0 {
                    list.serialize_element(&MoreRecord { more: *more })?;
                }
                list.end()
            }
            Value::Fields(fields) => {
                let mut map = serializer.serialize_map(None)?;
                for (name, value) in fields {
                    map.serialize_entry(name, &ValueRecord(value))?;
                }
                map.end()
            }
        }
    }
}

/// How many elements of a list are not told.
#[derive(Serialize)]
struct MoreRecord {
    more: u64,
}

#[derive(Serialize)]
struct BytesRecord<'a> {
    text: Option<&'a str>,
    base64: String,
    /// Set where there were more.
    #[serde(skip_serializing_if = "Option::is_none")]
    whole_length: Option<u64>,
}

impl<'a> From<&'a Bytes> for BytesRecord<'a> {
    fn from(bytes: &'a Bytes) -> Self {
        let shown = u64::try_from(bytes.bytes.len()).unwrap_or(u64::MAX);
        Self {
            text: std::str::from_utf8(&bytes.bytes).ok(),
            base64: base64(&bytes.bytes),
            whole_length: (shown < bytes.length).then_some(bytes.length),
        }
    }
}

fn address_record<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    let family = |map: &mut S::SerializeMap, name: &str| map.serialize_entry("family", name);
    match address {
        Address::Internet(end) => {
            let name = match end.address {
                std::net::IpAddr::V4(_) => "inet",
                std::net::IpAddr::V6(_) => "inet6",
            };
            family(&mut map, name)?;
            map.serialize_entry("address", &end.address)?;
            map.serialize_entry("port", &end.port)?;
            if let Some(scope) = end.scope {
                map.serialize_entry("scope", &scope)?;
            }
        }
        Address::Unix(unix) => {
            family(&mut map, "unix")?;
            let (kind, path) = match unix {
                UnixAddress::Path(path) => ("path", Some(path)),
                UnixAddress::Abstract(name) => ("abstract", Some(name)),
                UnixAddress::Unnamed => ("unnamed", None),
            };
            map.serialize_entry("kind", kind)?;
            let bytes = path.map(|path| path.as_bytes());
            let text = bytes.map(String::from_utf8_lossy);
            map.serialize_entry("path", &text)?;
            if let Some(bytes) = bytes.filter(|bytes| std::str::from_utf8(bytes).is_err()) {
                map.serialize_entry("path_base64", &base64(bytes))?;
            }
        }
        Address::Netlink(port, groups) => {
            family(&mut map, "netlink")?;
            map.serialize_entry("port", port)?;
            map.serialize_entry("groups", groups)?;
        }
        Address::Packet(protocol, interface, hardware) => {
            family(&mut map, "packet")?;
            map.serialize_entry("protocol", protocol)?;
            map.serialize_entry("interface", interface)?;
            map.serialize_entry("address_base64", &base64(hardware))?;
        }
        Address::Unspecified => family(&mut map, "unspec")?,
        Address::Other(number, bytes) => {
            map.serialize_entry("family", number)?;
            map.serialize_entry("base64", &base64(bytes))?;
        }
    }
    map.end()
}

/// TCP went from one state into another.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "state")]
pub struct StateRecord {
    time: Time,
    monotonic_ns: String,
    cookie: Option<String>,
    from: &'static str,
    to: &'static str,
    local: Option<EndpointRecord>,
    remote: Option<EndpointRecord>,
}

impl From<&StateChange> for StateRecord {
    fn from(change: &StateChange) -> Self {
        let (local, remote) = ends(Some(&change.socket));
        Self {
            time: Time(change.time),
            monotonic_ns: change.monotonic_ns.to_string(),
            cookie: cookie(&change.socket),
            from: change.from.word(),
            to: change.to.word(),
            local,
            remote,
        }
    }
}
