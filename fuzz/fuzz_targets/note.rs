//! Any bytes as the comment of a capture file: a note that reads as it was written, or none.

#![no_main]

use inspect::attribution::Note;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(note) = Note::parse(bytes) {
        let text = note.text();
        assert!(!text.chars().any(char::is_control));
        assert_eq!(Note::parse(text.as_bytes()), Some(note));
    }
});
