//! Text that another program chose.

use std::borrow::Cow;
use std::sync::Arc;

/// Bytes that came from another program: a process name, a unix path, a payload. They may hold
/// anything, escape codes included, so there is no `Display`: `render` escapes them for a screen
/// or writes them exactly into JSON. A clone shares the bytes: a name may stand in many rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ForeignText(Arc<[u8]>);

impl ForeignText {
    /// Takes the bytes as they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into().into())
    }

    /// The exact bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, where it is UTF-8.
    pub fn as_utf8(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The text with U+FFFD in place of what is not UTF-8. Not for a screen: controls stay.
    pub fn to_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for ForeignText {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}
