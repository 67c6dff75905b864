//! The `process` record.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::about::AboutFields;
use super::{Time, exact};
use crate::model::Pid;
use crate::render::process::{Portrait, Sight};

/// One process, who it is and what it does; its sockets are records of their own.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "process")]
pub struct ProcessRecord<'a> {
    pid: u32,
    command: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_base64: Option<String>,
    /// As proc_pid_stat(5) has it.
    state: Option<char>,
    kernel_thread: Option<bool>,
    parent: Option<ParentRecord<'a>>,
    threads: Option<u64>,
    started: Option<Time>,
    uid: Option<u32>,
    user: Option<&'a str>,
    #[serde(flatten)]
    about: AboutFields,
    netns: Option<u64>,
    descriptors: Option<DescriptorsRecord>,
    descriptor_limit: Option<u64>,
    /// How many sockets it holds that are listed; `null` when that is hidden.
    sockets: Option<usize>,
    /// How many more it holds.
    sockets_unlisted: Option<usize>,
    socket_status: &'static str,
    /// The answer in words.
    text: String,
}

#[derive(Debug, Clone, Serialize)]
struct ParentRecord<'a> {
    pid: u32,
    command: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_base64: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct DescriptorsRecord {
    total: u64,
    by_kind: BTreeMap<&'static str, u64>,
}

impl<'a> ProcessRecord<'a> {
    /// A process, the name of its user, and the answer in words.
    pub fn new(portrait: &Portrait<'a>, user: Option<&'a str>, text: String) -> Self {
        let about = portrait.about;
        let seen = portrait.sight != Sight::Hidden || !portrait.standing.held.is_empty();
        Self {
            pid: about.pid.0,
            command: about.command.to_lossy(),
            command_base64: exact(&about.command),
            state: about.state,
            kernel_thread: about.kernel_thread,
            parent: about
                .parent
                .filter(|pid| *pid != Pid(0))
                .map(|pid| ParentRecord {
                    pid: pid.0,
                    command: portrait.parent.map(|name| name.to_lossy()),
                    command_base64: portrait.parent.and_then(exact),
                }),
            threads: about.threads,
            started: about.started.map(Time),
            uid: about.uid.map(|uid| uid.0),
            user,
            about: about.into(),
            netns: about.netns.map(|netns| netns.0),
            descriptors: about.descriptors.as_ref().map(|it| DescriptorsRecord {
                total: it.total,
                by_kind: it
                    .by_kind
                    .iter()
                    .map(|(kind, count)| (kind.word(), *count))
                    .collect(),
            }),
            descriptor_limit: about.descriptor_limit,
            sockets: seen.then_some(portrait.standing.held.len()),
            sockets_unlisted: seen.then_some(portrait.standing.unlisted),
            socket_status: portrait.sight.word(),
            text,
        }
    }
}
