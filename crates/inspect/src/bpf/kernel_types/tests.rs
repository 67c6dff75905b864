use proptest::prelude::*;

use super::*;

/// Writes the types of a test.
#[derive(Default)]
struct Sketch(Writer);

impl Sketch {
    fn simple(&mut self, kind: u32, name: &str, size_or_type: u32, rest: &[u8]) -> u32 {
        let name = self.0.name(name.as_bytes());
        self.0.push(name, kind << 24, size_or_type, rest)
    }

    fn int(&mut self, size: u32) -> u32 {
        self.simple(kind::INT, "int", size, &(size * 8).to_ne_bytes())
    }

    fn array(&mut self, element: u32, count: u32) -> u32 {
        let rest: Vec<u8> = [element, 1, count]
            .into_iter()
            .flat_map(u32::to_ne_bytes)
            .collect();
        self.simple(kind::ARRAY, "", 0, &rest)
    }

    /// Members are name, type, offset in bits.
    fn composite(&mut self, kind: u32, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        let mut rest = Vec::new();
        for (name, of, offset) in members {
            for number in [self.0.name(name.as_bytes()), *of, *offset] {
                rest.extend(number.to_ne_bytes());
            }
        }
        let name = self.0.name(name.as_bytes());
        let count = u32::try_from(members.len()).unwrap();
        self.0.push(name, kind << 24 | count, size, &rest)
    }
}

/// What an object that reads `task->comm` and `task->in.chosen` declares.
fn object() -> Vec<u8> {
    let mut sketch = Sketch::default();
    let int = sketch.int(4);
    let inner = sketch.composite(kind::STRUCT, "", 4, &[("chosen", int, 0)]);
    let name = sketch.array(int, 4);
    sketch.composite(
        kind::STRUCT,
        "task___here",
        20,
        &[("comm", name, 0), ("in", inner, 128)],
    );
    sketch.0.finish()
}

/// A kernel in which these are to be found among others.
fn kernel() -> Vec<u8> {
    let mut sketch = Sketch::default();
    let int = sketch.int(4);
    let unwanted = sketch.composite(kind::STRUCT, "other", 4, &[("comm", int, 0)]);
    let whole = sketch.composite(kind::STRUCT, "unrelated", 4, &[("in", int, 0)]);
    let pointer = sketch.simple(kind::PTR, "", whole, &[]);
    let constant = sketch.simple(kind::CONST, "", int, &[]);
    let inner = sketch.composite(
        kind::UNION,
        "",
        8,
        &[("left", pointer, 0), ("chosen", constant, 32)],
    );
    let outer = sketch.simple(kind::TYPEDEF, "inner_t", inner, &[]);
    let name = sketch.array(int, 16);
    let task = sketch.composite(
        kind::STRUCT,
        "task",
        200,
        &[
            ("flags", int, 0),
            ("comm", name, 64),
            ("", inner, 640),
            ("in", outer, 768),
            ("other", unwanted, 960),
        ],
    );
    let proto = sketch.simple(kind::FUNC_PROTO, "", 0, &[]);
    sketch.simple(kind::FUNC, "bpf_iter_task", proto, &[]);
    sketch.simple(kind::FUNC, "bpf_iter_task_file", proto, &[]);
    sketch.simple(kind::PTR, "", task, &[]);
    sketch.0.finish()
}

#[test]
fn what_the_object_names_is_kept_with_its_places_and_nothing_else() {
    let reduced = reduce(&object(), &kernel(), &[b"bpf_iter_task_file"]).unwrap();
    let types = Types::new(&reduced.types).unwrap();
    let shown: Vec<String> = types
        .iter()
        .map(|found| {
            let (_, found) = found.unwrap();
            let name = |at| String::from_utf8_lossy(types.name(at).unwrap()).into_owned();
            let members: Vec<String> = found
                .members()
                .map(|member| format!("{}:{}@{}", name(member.name), member.kind, member.offset))
                .collect();
            format!(
                "{} {:?} {} {}",
                found.kind(),
                name(found.name),
                found.size_or_type,
                members.join(" ")
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "1 \"\" 4 ",
            "3 \"\" 0 ",
            "5 \"\" 8 chosen:1@32",
            "4 \"task\" 200 comm:2@64 :3@640 in:3@768",
        ]
    );
    // Its number counts all types of the kernel.
    assert_eq!(reduced.targets, [Some(12)]);
}

#[test]
fn types_of_tracepoints_have_numbers_too_in_the_order_asked_for() {
    let wanted: [&[u8]; 3] = [b"bpf_iter_task_file", b"nothing", b"inner_t"];
    let reduced = reduce(&object(), &kernel(), &wanted).unwrap();
    let [function, nothing, definition] = reduced.targets[..] else {
        panic!("{reduced:?}")
    };
    assert_eq!((function, nothing), (Some(12), None));
    assert!(definition.is_some_and(|number| number < 12));
}

#[test]
fn a_function_that_is_not_there_has_no_number() {
    let reduced = reduce(&object(), &kernel(), &[b"bpf_iter"]).unwrap();
    assert_eq!(reduced.targets, [None]);
}

#[test]
fn a_structure_within_itself_is_an_error() {
    let mut sketch = Sketch::default();
    sketch.composite(kind::STRUCT, "task", 4, &[("in", 1, 0)]);
    let kernel = sketch.0.finish();
    assert_eq!(reduce(&object(), &kernel, &[b"f"]), Err(BtfError::Nested));
}

#[test]
fn what_does_not_make_sense_is_an_error() {
    let whole = kernel();
    let cut = &whole[..whole.len() - 1];
    assert_eq!(reduce(&object(), cut, &[b"f"]), Err(BtfError::Truncated));
    assert_eq!(reduce(b"", &whole, &[b"f"]), Err(BtfError::NoHeader));
    let mut sketch = Sketch::default();
    sketch.simple(31, "", 0, &[]);
    let unknown = sketch.0.finish();
    assert_eq!(
        reduce(&object(), &unknown, &[b"f"]),
        Err(BtfError::UnknownKind(31))
    );
}

proptest! {
    #[test]
    fn any_bytes_are_types_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = reduce(&object(), &bytes, &[b"f"]);
        let _ = reduce(&bytes, &kernel(), &[b"f"]);
    }

    #[test]
    fn types_with_any_bytes_changed_are_types_or_an_error(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
    ) {
        for from in [object(), kernel()] {
            let mut bytes = from;
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if let Ok(reduced) = reduce(&object(), &bytes, &[b"bpf_iter_task_file"]) {
                let types = Types::new(&reduced.types).unwrap();
                prop_assert!(types.iter().all(|found| found.is_ok()));
            }
            let _ = reduce(&bytes, &kernel(), &[b"f"]);
        }
    }
}
