//! The records of `trace -c`.

use serde::Serialize;

use super::{EndpointRecord, base64};
use crate::trace::{OnDescriptor, Sum};

/// The calls of one name.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "calls")]
pub struct CallsRecord {
    call: &'static str,
    #[serde(flatten)]
    sum: SumRecord,
}

#[derive(Debug, Clone, Serialize)]
struct SumRecord {
    calls: u64,
    errors: u64,
    time_ns: u64,
    bytes_out: u64,
    bytes_in: u64,
}

impl From<Sum> for SumRecord {
    fn from(sum: Sum) -> Self {
        Self {
            calls: sum.calls,
            errors: sum.errors,
            time_ns: sum.time_ns,
            bytes_out: sum.bytes.0,
            bytes_in: sum.bytes.1,
        }
    }
}

impl CallsRecord {
    /// Of this name.
    pub fn new(call: &'static str, sum: Sum) -> Self {
        Self {
            call,
            sum: sum.into(),
        }
    }
}

/// The calls on one descriptor.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "descriptor")]
pub struct DescriptorRecord {
    pid: u32,
    command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_base64: Option<String>,
    fd: u32,
    inode: Option<u64>,
    local: Option<EndpointRecord>,
    remote: Option<EndpointRecord>,
    #[serde(flatten)]
    sum: SumRecord,
}

impl From<&OnDescriptor> for DescriptorRecord {
    fn from(on: &OnDescriptor) -> Self {
        let command = on.process.command.as_bytes();
        let (local, remote) = super::call::ends(Some(&on.socket));
        Self {
            pid: on.process.pid.0,
            command: String::from_utf8_lossy(command).into_owned(),
            command_base64: std::str::from_utf8(command)
                .is_err()
                .then(|| base64(command)),
            fd: on.fd.0,
            inode: on.socket.inode.map(|inode| inode.0),
            local,
            remote,
            sum: on.sum.into(),
        }
    }
}
