//! The house of `crates/inspect` keeps its floors: dependencies point down, rooms of one floor do
//! not know each other, and only a room's `source` touches the system.
//!
//! Read off the source text: `crate::room` paths in code that is compiled into the library. The
//! rooms that tests alone use are not dependencies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms and their floors. A room that is not here is built without a place in the house.
const FLOORS: [(&str, u8); 24] = [
    ("app", 6),
    ("cli", 5),
    ("render", 5),
    ("diagnosis", 4),
    ("listing", 3),
    ("attribution", 3),
    ("streams", 3),
    ("sockets", 2),
    ("owners", 2),
    ("life", 2),
    ("processes", 2),
    ("capture", 2),
    ("trace", 2),
    ("bpf", 1),
    ("selection", 1),
    ("names", 1),
    ("namespaces", 1),
    ("limits", 1),
    ("launch", 1),
    ("ports", 1),
    ("clock", 1),
    ("privilege", 1),
    ("stop", 1),
    ("model", 0),
];

/// Rooms of one file that are about the system itself: two clocks, this process's rights, and
/// the eventfd every source polls.
const SYSTEM_ROOMS: [&str; 3] = ["clock.rs", "privilege.rs", "stop.rs"];

/// Words that only code touching the system needs.
const SYSTEM_WORDS: [&str; 21] = [
    "std::fs",
    "File::",
    "std::process",
    "std::env",
    "std::thread",
    "std::net::Tcp",
    "std::net::Udp",
    "io::stdout",
    "io::stderr",
    "Instant::now",
    "SystemTime",
    "rustix::",
    "aya_obj::",
    "uzers::",
    "pcap::",
    "procfs::process",
    "signal_hook::",
    "dns_lookup::",
    "libc::",
    "TimeZone::system",
    "Timestamp::now",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/inspect/src")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The path below src, and the code without comments and test modules.
fn code() -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(&source(), &mut found);
    assert!(
        found.len() > 20,
        "the house has moved: {}",
        source().display()
    );
    found
        .into_iter()
        .map(|path| {
            let name = path
                .strip_prefix(source())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            (path, name)
        })
        // `#[cfg(test)] mod tests;`
        .filter(|(_, name)| !name.contains("/tests/") && !name.ends_with("/tests.rs"))
        .map(|(path, name)| {
            let text = fs::read_to_string(&path).unwrap();
            let built = text.split("#[cfg(test)]\n").next().unwrap();
            let code: Vec<&str> = built
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            (name, code.join("\n"))
        })
        .collect()
}

fn room(name: &str) -> &str {
    name.split('/').next().unwrap().trim_end_matches(".rs")
}

fn floor(room: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == room)
        .map(|(_, floor)| *floor)
}

/// The rooms that a piece of code names: `crate::room` and `crate::{room, other::Thing}`.
fn named_rooms(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut item = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        rooms.insert(first_word(&item));
                        item.clear();
                        continue;
                    }
                    _ => {}
                }
                item.push(c);
            }
            rooms.insert(first_word(&item));
        } else {
            rooms.insert(first_word(rest));
        }
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

fn first_word(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[test]
fn groups_of_paths_are_understood() {
    let rooms = named_rooms("use crate::{model::{A, B}, clock};\nlet x = crate::stop::Stop;");
    assert_eq!(
        rooms.into_iter().collect::<Vec<_>>(),
        ["clock", "model", "stop"]
    );
}

#[test]
fn dependencies_point_down_and_rooms_of_one_floor_do_not_know_each_other() {
    let mut wrong = Vec::new();
    for (name, code) in code() {
        let here = room(&name);
        if matches!(here, "lib" | "main") {
            continue;
        }
        let Some(here_floor) = floor(here) else {
            wrong.push(format!("{name}: {here} has no floor in this test"));
            continue;
        };
        for there in named_rooms(&code) {
            if there == here {
                continue;
            }
            match floor(&there) {
                Some(there_floor) if there_floor < here_floor => {}
                Some(there_floor) => wrong.push(format!(
                    "{name}: {here} [{here_floor}] knows {there} [{there_floor}]"
                )),
                None => wrong.push(format!("{name}: {there} has no floor in this test")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn touches_the_system(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap();
    room(name) == "app"
        || matches!(room(name), "lib" | "main")
        || SYSTEM_ROOMS.contains(&name)
        || file == "source.rs"
        || name.contains("/source/")
}

#[test]
fn only_a_source_touches_the_system() {
    let mut wrong = Vec::new();
    for (name, code) in code() {
        if touches_the_system(&name) {
            continue;
        }
        for word in SYSTEM_WORDS {
            // Constants of C and its types are numbers, which do nothing.
            let is_number = |at: usize| {
                let rest = &code[at + word.len()..];
                word == "libc::"
                    && (rest.starts_with(|c: char| c.is_ascii_uppercase() || c == '$')
                        || rest.starts_with("c_"))
            };
            if code.match_indices(word).any(|(at, _)| !is_number(at)) {
                wrong.push(format!("{name} names {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_a_source_holds_unsafe_code_and_says_why() {
    let mut wrong = Vec::new();
    let mut found = Vec::new();
    files(&source(), &mut found);
    for path in found {
        let name = path
            .strip_prefix(source())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap();
            if !code.contains("unsafe {") && !code.contains("unsafe fn") {
                continue;
            }
            let file = name.rsplit('/').next().unwrap();
            if file != "source.rs" && !name.contains("/source/") {
                wrong.push(format!("{name}:{} is unsafe", number + 1));
            }
            let above = &lines[number.saturating_sub(6)..number];
            if !above.iter().any(|line| line.contains("SAFETY:")) {
                wrong.push(format!("{name}:{} does not say why it is safe", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_model_needs_the_standard_library_only() {
    for (name, code) in code() {
        if room(&name) == "model" {
            for line in code.lines().filter(|line| line.starts_with("use ")) {
                assert!(
                    ["use std::", "use super::"]
                        .iter()
                        .any(|start| line.starts_with(start)),
                    "{name}: {line}"
                );
            }
        }
    }
}

#[test]
fn chat_and_inspect_do_not_know_each_other() {
    for (member, other) in [("chat", "inspect"), ("inspect", "chat")] {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("crates")
            .join(member)
            .join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).unwrap();
        assert!(
            !manifest.contains(&format!("{other}.workspace")),
            "{member} knows {other}"
        );
    }
}
