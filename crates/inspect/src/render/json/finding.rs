//! The `finding` record.

use serde::Serialize;
use serde_json::{Map, Value};

use super::OwnerRecord;

/// Something that is wrong, or stands in the way, with its evidence.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "finding")]
pub struct FindingRecord {
    /// What it is, for programs: `accept-queue-full`.
    pub name: &'static str,
    /// How urgent it is: `critical`, `warning` or `notice`.
    pub severity: &'static str,
    /// The numbers and names that show it.
    pub evidence: Map<String, Value>,
    /// Whose it is.
    pub owners: Vec<OwnerRecord<'static>>,
    /// The same in words. Names from outside stand in it escaped.
    pub text: String,
}
