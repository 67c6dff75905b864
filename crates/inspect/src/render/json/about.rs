//! What a process says of itself, wherever a record tells it.

use serde::Serialize;

use super::{base64, exact};
use crate::model::ForeignText;
use crate::processes::About;

/// Fields of a process beyond its id and name; they stand beside the others of their record.
#[derive(Debug, Clone, Serialize)]
pub struct AboutFields {
    command_line: Option<Vec<String>>,
    /// Every word, when one of them is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    command_line_base64: Option<Vec<String>>,
    directory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory_base64: Option<String>,
    executable: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable_base64: Option<String>,
    unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_base64: Option<String>,
    container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_base64: Option<String>,
    cgroup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_base64: Option<String>,
}

impl From<&About> for AboutFields {
    fn from(about: &About) -> Self {
        let line = about.command_line.as_deref();
        let is_text = line.is_none_or(|words| words.iter().all(|word| word.as_utf8().is_some()));
        let placement = about.placement.as_ref();
        let unit = placement.and_then(|it| it.unit.as_ref());
        let container = placement.and_then(|it| it.container.as_ref());
        let cgroup = placement.map(|it| &it.cgroup);
        let lossy = |it: &ForeignText| it.to_lossy().into_owned();
        let text = |it: Option<&ForeignText>| it.map(lossy);
        let bytes = |it: Option<&ForeignText>| it.and_then(exact);
        Self {
            command_line: line.map(|words| words.iter().map(lossy).collect()),
            command_line_base64: line.filter(|_| !is_text).map(|words| {
                let words = words.iter();
                words.map(|word| base64(word.as_bytes())).collect()
            }),
            directory: text(about.directory.as_ref()),
            directory_base64: bytes(about.directory.as_ref()),
            executable: text(about.executable.as_ref()),
            executable_base64: bytes(about.executable.as_ref()),
            unit: text(unit),
            unit_base64: bytes(unit),
            container: text(container),
            container_base64: bytes(container),
            cgroup: text(cgroup),
            cgroup_base64: bytes(cgroup),
        }
    }
}
